"""Curation in figures: what is left of labelled identifiers, what the stage *check* doubts, time and memory.

Run: ``python -m tests.bench_curate [--records 1000 10000 ...] [--workers 2] [--write]``; no records: without time and
memory. First come the demonstration's sources, whose defects are labelled, then calls that *check* has never seen:
``tests/data/curate/check``, whose figures may be read, its calls may not by whoever writes rules.

The sources for time and memory are those of the demonstration hospital, drawn anew with as many seeds as the number
asks for, each with its own patients and calls. For each number ``bedside-train curate`` runs in a process of its own;
memory is that of the command and of all that it starts, read from the system four times a second; a page that
processes share counts in each. ``--write`` puts the report between the markers in docs/measurements.md. About three
minutes, and one more for each 1,000 records on two busy cores.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import yaml

from app.contracts.site import load_site
from tests.scoring_curate import Found, score_check
from training.curate.chain import FINISHED
from training.curate.check import DOUBTS
from training.curate.config import load_config
from training.curate.demo_sources.write import KEY, write_sources
from training.curate.keys import keyed_hash
from training.curate.records import Record, read_records
from training.curate.stages import RECORDS

ROOT = Path(__file__).parents[1]
REPORT = ROOT / "docs" / "measurements.md"
BEGIN, END = "<!-- bench-curate: begin -->", "<!-- bench-curate: end -->"
UNSEEN = ROOT / "tests" / "data" / "curate" / "check"
OFF_TOPIC = "off_topic"
STRICT = ("SSN", "PHONE", "EMAIL", "MRN")
"""Of these none may be left."""
FIRST_SEED = 100
GOAL_S = 300.0
"""For 10,000 transcripts on two cores."""
EVERY_S = 0.25
_IDS = re.compile(rb"\b(C-|N-|F-|P)(\d{4,5})\b")


@dataclass(frozen=True, slots=True)
class Group:
    """Calls of one kind: with a labelled defect, those in which it was found, and those doubted elsewhere or for
    nothing; ``off_topic`` are those taken for no matter of the hospital.
    """

    name: str
    calls: int
    labelled: int
    found: int
    alarmed: int
    off_topic: int


def doubts(store: Path) -> list[Group]:
    """Run the chain up to *check* over the unseen calls, and compare its doubts with the key."""
    folder = store / "check"
    lines = [line for name in ("calls", "off_topic") for line in (UNSEEN / f"{name}.jsonl").read_bytes().splitlines()]
    (folder / "sources").mkdir(parents=True)
    (folder / "sources" / "calls.jsonl").write_bytes(b"\n".join(lines) + b"\n")
    content = yaml.safe_load(config(folder, 2).read_text(encoding="utf-8"))
    content["ingest"] = {"sources": [{"files": "*", "kind": "transcript", "fields": {"conversation": "id"}}]}
    (folder / "curate.yaml").write_text(yaml.safe_dump(content), encoding="utf-8")
    for stage in ("ingest", "deidentify", "correct", "check"):
        _curate(folder / "curate.yaml", "--only", stage)
    ids = [json.loads(line)["id"] for line in lines]
    told: defaultdict[str, set[tuple[str, int]]] = defaultdict(set)
    for line in next((folder / "work").glob(f"*check/{DOUBTS}")).read_text(encoding="utf-8").splitlines():
        doubt = json.loads(line)
        told[ids[doubt["place"] - 1]].add((doubt["kind"], doubt["turn"]))
    return groups(read(UNSEEN / "groups.jsonl"), read(UNSEEN / "key.jsonl"), told)


def read(path: Path) -> list[dict[str, Any]]:
    """The objects of a JSON-lines file."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def groups(
    kinds: Sequence[dict[str, Any]], key: Sequence[dict[str, Any]], told: Mapping[str, set[tuple[str, int]]]
) -> list[Group]:
    """The doubts ``told`` (kind and turn, by call) against the key, by group.

    A defect is found where any figure or contradiction is doubted in its turn. Doubts about tone do not count.
    """
    labels = {label["id"]: label for label in key}
    counted: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for row in kinds:
        label, of_call = labels.get(row["id"]), told.get(row["id"], set())
        off_topic = any(kind == OFF_TOPIC for kind, _ in of_call)
        turns = {turn for kind, turn in of_call if kind not in (OFF_TOPIC, "tone")}
        about = label is not None and label["defect"] == OFF_TOPIC
        found = label is not None and (off_topic if about else label["turn"] in turns)
        counted[row["group"]].update(
            calls=1, labelled=label is not None, found=found, alarmed=bool(turns) and (about or not found),
            off_topic=off_topic,
        )  # fmt: skip
    return [Group(name=name, **counts) for name, counts in sorted(counted.items())]


def check_report(found: Sequence[Group]) -> str:
    """The table, with goals and totals."""
    of_facts = [group for group in found if group.name != OFF_TOPIC]
    labelled, right = sum(group.labelled for group in of_facts), sum(group.found for group in of_facts)
    alarmed = sum(group.alarmed for group in found)
    rows = [
        f"| {g.name} | {g.calls} | {f'{g.found} of {g.labelled}' if g.labelled else ''} | {g.alarmed} | {g.off_topic} |"
        for g in found
    ]
    return "\n".join([
        f"Of {labelled} wrong figures and contradictions {right} were found, {right / labelled:.1%} (goal 90 %); of "
        f"the {right + alarmed} calls that were doubted, {right / max(1, right + alarmed):.0%} rightly (goal 80 %).",
        "",
        "| calls | number | labelled, found | doubted wrongly | taken for off topic |",
        "| --- | --- | --- | --- | --- |",
        *rows,
    ])  # fmt: skip


@dataclass(frozen=True, slots=True)
class Left:
    """Of the labelled identifiers of each entity type, those that still stand in their turn after de-identification;
    ``messages`` were written, ``touched`` of them hold one.
    """

    messages: int
    touched: int
    labelled: Counter[str]
    left: Counter[str]


def labelled(store: Path) -> str:
    """Run the chain up to *check* over the demonstration's sources, and compare with its key."""
    folder = store / "labelled"
    folder.mkdir()
    content = yaml.safe_load(config(folder, 2).read_text(encoding="utf-8"))
    demonstration = yaml.safe_load((ROOT / "demo" / "curate.yaml").read_text(encoding="utf-8"))
    content |= {"sources": str(ROOT / demonstration["sources"]), "ingest": demonstration["ingest"]}
    path = folder / "curate.yaml"
    path.write_text(yaml.safe_dump(content), encoding="utf-8")
    for stage in ("ingest", "deidentify", "correct", "check"):
        _curate(path, "--only", stage)
    secret = load_config(path).key(load_site(ROOT / "demo"))
    stages = {found.name[3:]: found for found in (folder / "work").iterdir() if found.is_dir()}
    raw = {keyed_hash(secret, "record", one.id): one for one in read_records(stages["ingest"] / RECORDS)}
    plain = list(read_records(stages["deidentify"] / RECORDS))
    renamed = {raw[one.id].source: one.source for one in plain}
    key = ROOT / demonstration["sources"] / KEY
    found = left(read(key), {(raw[one.id].source, raw[one.id].place): one for one in plain})
    checked = read_records(stages["correct"] / RECORDS)
    scored = score_check(key, stages["check"] / DOUBTS, checked, "", lambda name: renamed.get(name, name))
    return labelled_report(found, scored)


def left(key: Sequence[dict[str, Any]], records: Mapping[tuple[str, int], Record]) -> Left:
    """Look for each labelled identifier, in any case, in what became of its turn; records that are no longer there do
    not count.
    """
    of, still = Counter[str](), Counter[str]()
    touched = set()
    for label in key:
        record = records.get((label["source"], label["place"]))
        if label["defect"] != "identifier" or record is None:
            continue
        of[label["note"]] += 1
        text = record.turns[label["turn"]].text
        if re.search(rf"(?<!\w){re.escape(label['wrong'])}(?!\w)", text, re.IGNORECASE):
            still[label["note"]] += 1
            touched.add((record.id, label["turn"]))
    return Left(sum(len(record.turns) for record in records.values()), len(touched), of, still)


def labelled_report(found: Left, scored: Sequence[Found]) -> str:
    """The tables."""
    strict = ", ".join(f"{name} {found.left[name]} of {found.labelled[name]}" for name in STRICT)
    others = ", ".join(f"{name} {n} of {found.labelled[name]}" for name, n in found.left.most_common())
    lines = [
        f"Labelled sources: {found.touched} of {found.messages:,} messages, {found.touched / found.messages:.2%}, "
        f"hold a labelled identifier after de-identification (goal 0.5 %); {strict} (goal 0). Left by type: "
        f"{others or 'none'}.",
        "",
        "| labelled | number | found | doubted rightly |",
        "| --- | --- | --- | --- |",
    ]
    for one in scored:
        lines.append(f"| {one.what} | {one.labelled} | {one.recall:.1%} | {one.right} of {one.told} |")
    return "\n".join(lines)


@dataclass(frozen=True, slots=True)
class Run:
    """One run: records read, seconds in all and by stage, peak of resident memory in MB of the command alone and with
    its processes.
    """

    records: int
    seconds: float
    stages: dict[str, float]
    own_mb: float
    peak_mb: float


def sources(folder: Path, records: int) -> int:
    """Write at least ``records`` records below ``folder``; returns how many."""
    site, written, part = load_site(ROOT / "demo"), 0, 0
    while written < records:
        here = folder / f"set-{part:03}"
        here.mkdir(parents=True)
        counts = write_sources(here, ROOT / "demo" / "articles", site, FIRST_SEED + part)
        written += sum(counts[kind] for kind in ("transcript", "note", "faq"))
        (here / KEY).unlink()
        for path in here.rglob("*"):
            if path.is_file():
                path.write_bytes(_IDS.sub(rb"\g<1>%03d\g<2>" % part, path.read_bytes()))
        part += 1
    return written


def config(folder: Path, workers: int) -> Path:
    """The demonstration's config for sources below ``folder``."""
    content = yaml.safe_load((ROOT / "demo" / "curate.yaml").read_text(encoding="utf-8"))
    content |= {"sources": str(folder / "sources"), "work": str(folder / "work"), "versions": str(folder / "versions")}
    content |= {"decisions": str(folder / "decisions.jsonl"), "workers": workers}
    del content["current"]
    for rule in content["ingest"]["sources"]:
        rule["files"] = f"*/{rule['files']}"
    path = folder / "curate.yaml"
    path.write_text(yaml.safe_dump(content), encoding="utf-8")
    return path


def measure(records: int, workers: int, store: Path) -> Run:
    """Run the chain once over new sources below ``store``."""
    folder = store / str(records)
    shutil.rmtree(folder, ignore_errors=True)
    made = sources(folder / "sources", records)
    start = time.time()
    own, peak = _curate(config(folder, workers))
    ends = sorted((path.stat().st_mtime, path.parent.name[3:]) for path in (folder / "work").glob(f"*/{FINISHED}"))
    starts = [start, *(end for end, _ in ends)]
    stages = {name: end - begin for begin, (end, name) in zip(starts, ends, strict=False)}
    return Run(made, time.time() - start, stages, own, peak)


def _curate(*arguments: object) -> tuple[float, float]:
    """Run the command; the most of memory, in MB, that it had alone and with all that it started."""
    command = [sys.executable, "-m", "training.cli", "curate", *map(str, arguments)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL) as process:
        own = peak = 0.0
        while process.poll() is None:
            now, whole = _resident(process.pid)
            own, peak = max(own, now), max(peak, whole)
            time.sleep(EVERY_S)
    if process.returncode:
        raise SystemExit(f"bedside-train curate ended with {process.returncode}")
    return own, peak


def _resident(pid: int) -> tuple[float, float]:
    """Resident MB of a process, and of it with all below it; shared pages count in each."""
    try:
        top = psutil.Process(pid)
        sizes = [top.memory_info().rss]
        for child in top.children(recursive=True):
            sizes.append(child.memory_info().rss)
    except psutil.NoSuchProcess:
        return 0.0, 0.0
    return sizes[0] / 1e6, sum(sizes) / 1e6


def report(runs: Sequence[Run], workers: int) -> str:
    """The table."""
    lines = [
        f"The whole chain, {workers} processes. Goal: 10,000 in {GOAL_S:.0f} s, memory flat.",
        "",
        "| records | seconds | for 10,000 | seconds by stage | MB of the command | MB with its processes |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for run in runs:
        stages = ", ".join(f"{name} {seconds:.0f}" for name, seconds in run.stages.items())
        cells = [
            f"{run.records:,}",
            *(f"{seconds:.0f}" for seconds in (run.seconds, 10_000 * run.seconds / run.records)),
        ]
        lines.append("| " + " | ".join([*cells, stages, f"{run.own_mb:.0f}", f"{run.peak_mb:.0f}"]) + " |")
    return "\n".join(lines)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--records", type=int, nargs="*", default=[1_000, 10_000], help="sizes of the chain's input")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--write", action="store_true", help="put the table into docs/measurements.md")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bedside-curate-") as store:
        parts = [labelled(Path(store)), check_report(doubts(Path(store)))]
        text = "\n\n".join([f"{time.strftime('%Y-%m-%d')}, `make bench-curate`.", *parts])
        if runs := [measure(records, chosen.workers, Path(store)) for records in chosen.records]:
            text += f"\n\n{report(runs, chosen.workers)}"
    print(text)
    if chosen.write:
        before, rest = REPORT.read_text("utf-8").split(BEGIN)
        REPORT.write_text(f"{before}{BEGIN}\n{text}\n{END}{rest.split(END)[1]}", encoding="utf-8")


if __name__ == "__main__":
    main()
