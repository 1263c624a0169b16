"""`make bench-privacy`: what redaction finds, what it mangles and how long it takes, beside stock Presidio.

Run: ``python -m tests.bench_privacy [--set dev|blind] [--rules] [--failures] [--write]``. An identifier is found when
every letter and digit of it is covered, by whatever type. The set blind, its clean messages and the kept lines give
figures only, never messages; ``--failures`` lists what went wrong on dev. ``--rules`` leaves the learned recognizer
out. ``--write`` puts the report between the markers in docs/measurements.md. One core; about two minutes.

Stock Presidio is AnalyzerEngine as it is installed, all its English recognizers, no threshold, without a model.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import statistics
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import TypeAlias

from app.encoder.encoder import Encoder
from app.logging import configure
from app.redaction.detector import Detector
from app.redaction.redactor import build_detector
from tests.privacy_sets import FOLDER, Message, load
from tests.redteam.report import percent, table
from tests.redteam.target import ENCODER

ROOT = Path(__file__).parents[1]
REPORT = ROOT / "docs" / "measurements.md"
BEGIN, END = "<!-- bench-privacy: begin -->", "<!-- bench-privacy: end -->"
KEPT = FOLDER / "kept.txt"
OURS, RULES, STOCK = "Bedside", "rules alone", "stock Presidio"
TIMEOUT_S = 60.0
"""Generous, so that a busy machine does not turn a slow message into a failure; the times are told apart."""
LENGTH = 200
"""Characters of a message whose time is taken."""
TIMED = 300

Find: TypeAlias = Callable[[str], Iterable[tuple[int, int]]]
"""Start and end of every identifier that a method finds in a text."""


@dataclass(frozen=True, slots=True)
class Identifier:
    """One marked identifier and whether each method covered it."""

    text: str
    type: str
    kind: str
    origin: str
    language: str
    message: str
    found: dict[str, bool]


@dataclass(frozen=True, slots=True)
class Row:
    """A line of the table: which identifiers count, and the share of them that is to be found."""

    name: str
    goal: float
    counts: Callable[[Identifier], bool]


def of(types: str, kinds: str = "", *, without: str = "") -> Callable[[Identifier], bool]:
    """Identifiers of these types, and of these kinds if any are named, ``without`` the others."""
    wanted, named, out = set(types.split()), set(kinds.split()), set(without.split())
    return lambda one: one.type in wanted and (not named or one.kind in named) and one.kind not in out


CONTACT = "EMAIL PHONE SSN CARD IP URL MBI"
IDS = "MRN MEMBER_ID ACCOUNT LICENSE VEHICLE DEVICE USERNAME"
PLACES = "ADDRESS CITY ZIP"
CUELESS = "bare spelled"

ROWS = (
    *(Row(name, 0.999, of(name)) for name in CONTACT.split()),
    Row("**contact, SSN, card, MBI: all**", 0.999, of(CONTACT)),
    *(Row(f"{name}, with a cue", 0.99, of(name, without=CUELESS)) for name in IDS.split()),
    Row("**record, plan, device ids: all with a cue**", 0.99, of(IDS, without=CUELESS)),
    *(Row(f"{name}, bare or spelled", 0.95, of(name, CUELESS)) for name in IDS.split()),
    Row("**record, plan, device ids: all bare or spelled**", 0.95, of(IDS, CUELESS)),
    *(Row(f"PERSON, {kind}", 0.99, of("PERSON", kind)) for kind in ("first", "full", "title", "signature", "upper")),
    *(Row(f"PERSON, {kind}", 0.95, of("PERSON", kind)) for kind in ("lower", "wordlike", "spelled")),
    Row("**names: all**", 0.99, of("PERSON")),
    *(Row(f"DATE, {kind}", 0.99, of("DATE", kind)) for kind in ("birthday", "numeric", "partial", "textual")),
    Row("DATE, spelled", 0.95, of("DATE", "spelled")),
    Row("**dates: all**", 0.99, of("DATE")),
    Row("AGE over 89, digits", 0.99, of("AGE", "digits")),
    Row("AGE over 89, spelled", 0.95, of("AGE", "spelled")),
    *(Row(name, 0.98, of(name)) for name in PLACES.split()),
    Row("**street, city, ZIP: all**", 0.98, of(PLACES)),
    Row("ORGANIZATION, facility", 0.95, of("ORGANIZATION", "facility")),
    Row("ORGANIZATION, employer or other", 0.95, of("ORGANIZATION", "employer_or_other")),
    Row("**all identifiers**", 0.99, lambda one: True),
)


def methods(*, learned: bool) -> dict[str, Find]:
    """The detector as served (unless ``learned`` is false), its rules alone, and stock Presidio."""
    found = {RULES: _spans(build_detector(timeout_s=TIMEOUT_S)), STOCK: stock_presidio()}
    if not learned:
        return found
    return {OURS: _spans(build_detector(timeout_s=TIMEOUT_S, encoder=Encoder.load(ENCODER))), **found}


def _spans(detector: Detector) -> Find:
    return lambda text: [(span.start, span.end) for span in detector.find(text)]


def stock_presidio() -> Find:
    """Presidio's own engine and recognizers. app.redaction.presidio is loaded already: torch stays hidden from it."""
    from presidio_analyzer import AnalyzerEngine
    from presidio_analyzer.nlp_engine import NoOpNlpEngine

    engine = AnalyzerEngine(nlp_engine=NoOpNlpEngine(models=[{"lang_code": "en", "model_name": "none"}]))
    return lambda text: [(one.start, one.end) for one in engine.analyze(text, "en")]


def covered(text: str, start: int, end: int, spans: Iterable[tuple[int, int]]) -> bool:
    """Whether every letter and digit of the identifier is inside one of the spans."""
    left = {at for at in range(start, end) if text[at].isalnum()}
    for begin, stop in spans:
        left.difference_update(range(begin, stop))
    return not left


def measure(messages: Sequence[Message], find: dict[str, Find]) -> list[Identifier]:
    """Every identifier of the messages, with what each method made of it."""
    identifiers = []
    for message in messages:
        text = message["text"]
        spans = {name: list(method(text)) for name, method in find.items()}
        for span in message["spans"]:
            start, end = span["start"], span["end"]
            found = {name: covered(text, start, end, spans[name]) for name in find}
            value, origin = text[start:end], span.get("origin", "")
            identifiers.append(
                Identifier(value, span["type"], span["kind"], origin, message["language"], message["id"], found)
            )
    return identifiers


def _shares(group: Sequence[Identifier], names: Sequence[str]) -> list[str]:
    return [percent(sum(one.found[name] for one in group), len(group)) for name in names]


def class_table(identifiers: Sequence[Identifier], names: Sequence[str]) -> str:
    """Recall by class, beside its goal and whether the goal is reached (the share itself, not its lower bound)."""
    rows: list[list[object]] = []
    for row in ROWS:
        group = [one for one in identifiers if row.counts(one)]
        if group:
            reached = sum(one.found[names[0]] for one in group) / len(group) >= row.goal
            goal = f"{100 * row.goal:.4g} %{'' if reached else ', missed'}"
            rows.append([row.name, len(group), goal, *_shares(group, names)])
    return table(["wholly covered (95 %)", "identifiers", "goal", *names], rows)


def slice_table(identifiers: Sequence[Identifier], names: Sequence[str]) -> str:
    """Recall by language and by kind; "wordlike, small letters" are the hardest names."""
    slices: dict[str, Callable[[Identifier], bool]] = {
        "English": lambda one: one.language == "en",
        "Spanish": lambda one: one.language == "es",
        "mixed": lambda one: one.language == "mixed",
        "kind cue": lambda one: one.kind == "cue",
        "kind bare": lambda one: one.kind == "bare",
        "kind spelled": lambda one: one.kind == "spelled",
        "kind mistyped": lambda one: one.kind == "mistyped",
        "names in small letters": lambda one: one.type == "PERSON" and one.text.islower(),
        "names that are words": lambda one: one.kind == "wordlike",
        "names that are words, in small letters": lambda one: one.kind == "wordlike" and one.text.islower(),
    }
    rows: list[list[object]] = []
    for name, counts in slices.items():
        group = [one for one in identifiers if counts(one)]
        if group:
            rows.append([name, len(group), *_shares(group, names)])
    return table(["slice (95 %)", "identifiers", *names], rows)


def origin_table(identifiers: Sequence[Identifier], names: Sequence[str]) -> str:
    """Recall of names by the origin of their form. The goal of 2 points needs larger sets than these."""
    groups: dict[str, list[Identifier]] = defaultdict(list)
    for one in identifiers:
        if one.type == "PERSON":
            groups[one.origin].append(one)
    rows = [[origin, len(groups[origin]), *_shares(groups[origin], names)] for origin in sorted(groups)]
    shares = [statistics.fmean(one.found[names[0]] for one in group) for group in groups.values()]
    spread = 100 * (max(shares) - min(shares)) if shares else 0.0
    rows.append([f"**largest difference, {names[0]}: {spread:.1f} points (goal 2)**", "", *("" for _ in names)])
    return table(["names by origin (95 %)", "names", *names], rows)


def leak_row(identifiers: Sequence[Identifier], names: Sequence[str]) -> list[object]:
    """Messages of which any identifier is left, wholly or in part."""
    whole: dict[str, dict[str, bool]] = {name: {} for name in names}
    for one in identifiers:
        for name in names:
            whole[name][one.message] = whole[name].get(one.message, True) and one.found[name]
    shares = [percent(sum(not kept for kept in whole[name].values()), len(whole[name])) for name in names]
    return ["messages that leak anything", len(whole[names[0]]), "1 %", *shares]


def changed_rows(messages: Sequence[Message], find: dict[str, Find], show: Callable[[str], None]) -> list[list[object]]:
    """Messages without any identifier in which something is replaced all the same."""
    rows: list[list[object]] = []
    groups = (("plain messages changed", "1 %", False), ("adversarial medical messages changed", "5 %", True))
    for name, goal, adversarial in groups:
        texts = [one["text"] for one in messages if one["slice"].startswith("adv") == adversarial]
        rows.append([name, len(texts), goal, *_changed(texts, find, show)])
    return rows


def _changed(texts: Sequence[str], find: dict[str, Find], show: Callable[[str], None]) -> list[str]:
    shares = []
    for name, method in find.items():
        changed = 0
        for text in texts:
            spans = list(method(text))
            changed += bool(spans)
            if spans and name == next(iter(find)):
                show(f"changed: {text!r}: {[text[start:end] for start, end in spans]}")
        shares.append(percent(changed, len(texts)))
    return shares


def lines_of(text: str) -> list[str]:
    """Lines that hold something and are no remark."""
    return [line for line in text.splitlines() if line.strip() and not line.startswith("#")]


def stretches(messages: Iterable[Message], length: int = LENGTH) -> Iterable[str]:
    """Texts of ``length`` characters: messages one after another, cut at that length."""
    text = ""
    for message in messages:
        text = f"{text} {message['text']}".lstrip()
        if len(text) >= length:
            yield text[:length]
            text = ""


def time_table(messages: Sequence[Message], find: dict[str, Find]) -> str:
    """Times of one text after another. Processor time is what remains of a time when nothing else runs."""
    texts = list(islice(stretches(messages), TIMED))
    rows: list[list[object]] = []
    for name, method in find.items():
        walls, processor = [], []
        method(texts[0])
        for text in texts:
            begun, worked = time.perf_counter(), time.process_time()
            method(text)
            processor.append(1000 * (time.process_time() - worked))
            walls.append(1000 * (time.perf_counter() - begun))
        begun = time.process_time()
        for message in messages:
            method(message["text"])
        rate = len(messages) / (time.process_time() - begun)
        figures = [f"{figure:.1f}" for times in (walls, processor) for figure in _p50_p95(times)]
        rows.append([name, len(texts), *figures, f"{rate:.0f}"])
    return table(
        [f"{LENGTH} characters (goal p50 <= 8, p95 <= 15)", "texts", "p50 ms", "p95", "processor p50 ms", "p95",
         "messages of the set a second of processor time"],
        rows,
    )  # fmt: skip


def _p50_p95(times: Sequence[float]) -> tuple[float, float]:
    ordered = sorted(times)
    return statistics.median(ordered), ordered[min(len(ordered) - 1, int(0.95 * len(ordered)))]


@dataclass(frozen=True, slots=True)
class Texts:
    """What is measured; ``kept`` is empty for dev, whose every text may be shown."""

    messages: Sequence[Message]
    clean: Sequence[Message]
    kept: Sequence[str]
    shown: bool

    @classmethod
    def read(cls, chosen: str) -> Texts:
        """The files of one set."""
        kept = lines_of(KEPT.read_text(encoding="utf-8")) if chosen == "blind" else []
        return cls(load(chosen), load(f"{chosen}_clean"), kept, chosen == "dev")


def report(texts: Texts, find: dict[str, Find], show: Callable[[str], None]) -> str:
    """All tables of one set. The first method is the one whose failures are shown and whose goals are judged."""
    show = show if texts.shown else _hush
    messages, names = texts.messages, list(find)
    identifiers = measure(messages, find)
    for one in identifiers:
        if not one.found[names[0]]:
            show(f"missed: {one.type} {one.kind} {one.text!r} in {one.message}")
    rows = [leak_row(identifiers, names), *changed_rows(texts.clean, find, show)]
    if texts.kept:
        rows.append(
            [
                "doses, vitals, lab values and drug names altered",
                len(texts.kept),
                "none",
                *_changed(texts.kept, find, _hush),
            ]
        )
    return "\n\n".join(
        [
            class_table(identifiers, names),
            table(["messages (95 %)", "messages", "goal", *names], rows),
            slice_table(identifiers, names),
            origin_table(identifiers, names),
            time_table(messages, find),
        ]
    )


def _hush(_line: str) -> None:
    """Held-out texts are not shown."""


def head(chosen: str, *, learned: bool) -> str:
    """What was measured, by the sums of its files."""
    files = [FOLDER / f"{chosen}.jsonl", FOLDER / f"{chosen}_clean.jsonl", *([KEPT] if chosen == "blind" else [])]
    option = "" if learned else " --rules"
    sums = ", ".join(f"{path.name} {hashlib.sha256(path.read_bytes()).hexdigest()[:12]}" for path in files)
    command = f'make bench-privacy ARGS="--set {chosen}{option}"'
    return f"{datetime.now(UTC):%Y-%m-%d}, `{command}`, one thread of {os.cpu_count()} cores, sha256 {sums}."


def write(text: str, path: Path = REPORT) -> None:
    """Put the report between the markers."""
    whole = path.read_text(encoding="utf-8")
    before, rest = whole.split(BEGIN)
    path.write_text(f"{before}{BEGIN}\n{text}\n{END}{rest.split(END)[1]}", encoding="utf-8")


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--set", choices=("dev", "blind"), default="dev", dest="chosen")
    parser.add_argument("--rules", action="store_true", help="leave the learned recognizer out")
    parser.add_argument("--failures", action="store_true", help="list what went wrong, dev only")
    parser.add_argument("--write", action="store_true", help="put the tables into docs/measurements.md")
    arguments = parser.parse_args()
    configure("critical", "json")
    show: Callable[[str], None] = print if arguments.failures else _hush
    begun = time.perf_counter()
    tables = report(Texts.read(arguments.chosen), methods(learned=not arguments.rules), show)
    text = f"{head(arguments.chosen, learned=not arguments.rules)}\n\n{tables}"
    print(f"{time.perf_counter() - begun:.0f} s", file=sys.stderr)
    print(f"\n{text}")
    if arguments.write:
        write(text)


if __name__ == "__main__":
    main()
