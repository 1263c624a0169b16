"""Stages in order, restarted where they stopped, parted into shards: always the same bytes."""

from __future__ import annotations

import ast
import csv
import fcntl
import importlib.metadata
import json
import re
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import date
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from app.errors import ConfigurationError
from tests.unit.training.curate.chain_stages import (
    Clustered,
    Copied,
    Seen,
    Sides,
    call,
    chain,
    config,
    full_disk,
    made_anew,
    quick_chain,
)
from training.curate.chain import CODE, FINISHED, LIBRARIES, STAGES, Chain
from training.curate.dataset import find_versions, read_manifest
from training.curate.forgetting import forget
from training.curate.ingest import QUARANTINE, Ingest
from training.curate.locks import alone
from training.curate.records import read_records
from training.curate.review import export, import_decisions
from training.curate.stages import RECORDS, REPORT, REVIEW, Context, StageReport

ALL = ["ingest", "deidentify", "split", "publish"]


def contents(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != ".lock" and path.suffix != ".parquet"
    }


def test_a_run_makes_numbered_folders_a_version_and_a_report(tmp_path: Path) -> None:
    seen = Seen()
    done = chain(tmp_path, watch=seen).run()
    work = tmp_path / "work"
    assert seen.fresh == ALL
    assert sorted(path.name for path in work.iterdir() if not path.name.startswith(".")) == [
        "01-ingest", "02-deidentify", "03-split", "04-publish", "report"
    ]  # fmt: skip
    assert stat.S_IMODE(work.stat().st_mode) == 0o700
    assert done.version is not None
    assert done.report is not None
    manifest = read_manifest(done.version, verify=True)
    assert [stage.name for stage in manifest.stages] == ALL
    assert sorted(manifest.sources) == ["a.jsonl", "b.jsonl"]
    assert manifest.counts["records"] == 30
    assert done.questions == 30
    page = done.report.read_text(encoding="utf-8")
    assert "Mokoena" not in page + json.dumps(manifest.model_dump())
    assert "Qubix" not in page
    counts = {report.stage: report.counts for report in done.reports}
    assert counts["ingest"]["quarantined"] == 2


def test_what_is_finished_is_not_done_again(tmp_path: Path) -> None:
    chain(tmp_path).run()
    before = contents(tmp_path)
    seen = Seen()
    chain(tmp_path, watch=seen).run()
    assert (seen.fresh, seen.kept) == ([], ALL)
    assert contents(tmp_path) == before


def test_sources_that_change_while_they_are_read_give_no_version(tmp_path: Path) -> None:
    class Meanwhile(Seen):
        def ended(self, report: StageReport, fresh: bool) -> None:
            super().ended(report, fresh)
            if report.stage == "publish" and fresh:
                with (tmp_path / "sources" / "a.jsonl").open("a") as file:
                    file.write("{}\n")

    with pytest.raises(ConfigurationError, match="sources has changed since this run began: no version was written"):
        chain(tmp_path, watch=Meanwhile()).run()
    assert not list((tmp_path / "versions").glob("*/manifest.json"))
    assert chain(tmp_path).run().version is not None


def test_a_link_leads_to_the_newest_version(tmp_path: Path) -> None:
    link = tmp_path / "deep" / "current"
    first = chain(tmp_path, current=link).run().version
    assert first is not None
    assert link.resolve() == first.resolve()
    assert read_manifest(link).version == read_manifest(first).version
    second = chain(tmp_path, current=link, seed=8).run().version
    assert second is not None
    assert (link.resolve(), second != first) == (second.resolve(), True)


def test_the_same_input_gives_the_same_bytes_in_another_place(tmp_path: Path) -> None:
    chain(tmp_path / "one").run()
    chain(tmp_path / "two", workers=2).run()
    assert contents(tmp_path / "one" / "work") == contents(tmp_path / "two" / "work")
    assert contents(tmp_path / "one" / "versions") == contents(tmp_path / "two" / "versions")


def test_a_changed_config_runs_what_hangs_on_it(tmp_path: Path) -> None:
    chain(tmp_path).run()
    more: dict[str, Any] = {}
    for change, fresh in (
        ({"workers": 2}, []),
        ({"workers": 1}, []),
        ({"publish": {"languages": ["en"]}}, ["split", "publish"]),
        ({"deidentify": {"dates": "token"}}, ["deidentify", "split", "publish"]),
        ({"secret": {"demonstration": "and another secret"}}, ALL),
    ):
        more |= change
        seen = Seen()
        chain(tmp_path, watch=seen, **more).run()
        assert seen.fresh == fresh, change


def test_a_changed_source_runs_all_anew(tmp_path: Path) -> None:
    chain(tmp_path).run()
    with (tmp_path / "sources" / "a.jsonl").open("a", encoding="utf-8") as file:
        file.write(call(99))
    seen = Seen()
    chain(tmp_path, watch=seen).run()
    assert seen.fresh == ALL


def test_a_changed_article_runs_all_anew(tmp_path: Path) -> None:
    chain(tmp_path).run()
    with (tmp_path / "site" / "articles" / "garden.md").open("a", encoding="utf-8") as file:
        file.write("The fountain is off in winter.\n")
    seen = Seen()
    chain(tmp_path, watch=seen).run()
    assert seen.fresh == ALL


def test_a_changed_file_that_an_option_names_runs_the_stage_anew(tmp_path: Path) -> None:
    names = tmp_path / "formulary.txt"
    names.write_text("sertraline = Zoloft\n")
    settings = config(tmp_path, correct={"names": names, "words": tmp_path / "none.txt"})
    stages = (Ingest(), Copied("correct"), Copied("check"))
    assert made_anew(Chain(settings, stages)) == ["ingest", "correct", "check"]
    assert made_anew(Chain(settings, stages)) == []
    names.write_text("sertraline = Zoloft, Lustral\n")
    assert made_anew(Chain(settings, stages)) == ["correct"]


def test_a_stage_is_made_anew_when_an_earlier_one_left_another_file_for_it(tmp_path: Path) -> None:
    stages = (Ingest(), Clustered("deduplicate"), Copied("balance"), Copied("split"))
    assert made_anew(Chain(config(tmp_path), stages)) == ["ingest", "deduplicate", "balance", "split"]
    before = (tmp_path / "work" / "03-balance" / RECORDS).read_bytes()
    assert made_anew(Chain(config(tmp_path, deduplicate={"near": 0.9}), stages))[-1] == "split"
    assert (tmp_path / "work" / "03-balance" / RECORDS).read_bytes() == before


class Agreeing:
    """Notes the options of other stages that it is given."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.given: dict[str, Any] = {}

    def run(self, source: Path, out: Path, context: Context) -> StageReport:
        self.given = dict(context.others)
        return Copied(self.name).run(source, out, context)


@pytest.mark.parametrize(
    ("stage", "other", "change"),
    [
        ("split", "publish", {"languages": ["en"]}),
        ("augment", "deduplicate", {"kin": 0.7}),
        ("augment", "split", {"run": 8}),
    ],
)
def test_a_stage_gets_the_options_that_it_goes_by_too(
    tmp_path: Path, stage: str, other: str, change: dict[str, Any]
) -> None:
    agreeing = Agreeing(stage)
    stages = (Ingest(), agreeing)
    assert made_anew(Chain(config(tmp_path), stages)) == ["ingest", stage]
    assert made_anew(Chain(config(tmp_path), stages)) == []
    settings = config(tmp_path, **{other: change})
    assert made_anew(Chain(settings, stages)) == [stage]
    assert agreeing.given[other] == getattr(settings, other)


def test_other_code_makes_all_anew(tmp_path: Path) -> None:
    stages = (Ingest(), Copied("correct"))
    assert made_anew(Chain(config(tmp_path), stages)) == ["ingest", "correct"]
    assert made_anew(Chain(config(tmp_path), stages, code=Chain(config(tmp_path), stages).code)) == []
    assert made_anew(Chain(config(tmp_path), stages, code="another")) == ["ingest", "correct"]


def imported(path: Path) -> Iterator[str]:
    """Names of the modules that a file imports, and of what it takes from them."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def stood_on() -> tuple[set[Path], set[str]]:
    """Our files that the chain imports, directly or by way of others, and the packages of others."""
    files, packages, waiting = set[Path](), set[str](), [Path("training/curate/chain.py")]
    while waiting:
        files.add(path := waiting.pop())
        for name in imported(path):
            parts = name.split(".")
            if parts[0] not in ("app", "training"):
                packages.add(parts[0])
                continue
            whole, outer = Path(*parts), Path(*parts[:-1])
            places = (whole / "__init__.py", whole.with_suffix(".py"), outer / "__init__.py", outer.with_suffix(".py"))
            waiting += [place for place in places if place.is_file() and place not in files]
    return files, packages - sys.stdlib_module_names


def test_the_code_is_all_that_the_stages_import() -> None:
    files, packages = stood_on()
    assert len(files) > 100
    empty = {path for path in files if not path.stat().st_size}
    assert {path for path in files - empty if not any(path.is_relative_to(place) for place in CODE)} == set()
    # Pages, the copy for datasets.load_dataset and training hang on these, but no stage's output.
    packages -= {"jinja2", "datasets", "transformers"}
    known = importlib.metadata.packages_distributions()
    needed = {known[name][0].replace("_", "-").lower() for name in packages}
    assert needed <= {name.lower() for name in LIBRARIES}


def test_the_stages_come_in_the_order_that_the_manual_tells() -> None:
    # Correct before check: a misspelled medicine's dose would not be found. Deduplicate before split: its clusters.
    rows = re.findall(r"^\| (\d) (\w+) \|", Path("docs/curate.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert [(int(number), name) for number, name in rows] == [
        (number, stage.name) for number, stage in enumerate(STAGES, start=1)
    ]


def test_a_run_goes_on_where_it_stopped(tmp_path: Path) -> None:
    sides = Sides()
    sides.fails = OSError(28, "No space left on device")
    with pytest.raises(ConfigurationError, match=r"split: .*No space left on device.*run again"):
        chain(tmp_path, sides).run()
    assert not (tmp_path / "work" / "03-split").exists()
    sides.fails = KeyboardInterrupt()
    with pytest.raises(KeyboardInterrupt):
        chain(tmp_path, sides).run()
    sides.fails = None
    seen = Seen()
    chain(tmp_path, sides, seen).run()
    assert (seen.kept, seen.fresh) == (["ingest", "deidentify"], ["split", "publish"])
    assert sides.runs == 3
    assert list((tmp_path / "work").glob(".*.part")) == []


def test_half_written_output_is_never_taken_for_finished(tmp_path: Path) -> None:
    chain(tmp_path).run()
    whole = contents(tmp_path / "work")
    for name in ("01-ingest", "02-deidentify", "03-split"):
        path = tmp_path / "work" / name / RECORDS
        path.write_bytes(path.read_bytes()[:-50])
        seen = Seen()
        chain(tmp_path, watch=seen).run()
        assert seen.fresh[0] == name[3:]
        assert contents(tmp_path / "work") == whole
    (tmp_path / "work" / "02-deidentify" / FINISHED).unlink()
    (tmp_path / "work" / "03-split" / FINISHED).write_text("{")
    seen = Seen()
    chain(tmp_path, watch=seen).run()
    assert seen.fresh[:2] == ["deidentify", "split"]
    assert contents(tmp_path / "work") == whole


def test_one_stage_alone(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="ingest is not finished"):
        chain(tmp_path).only("deidentify")
    with pytest.raises(ConfigurationError, match="no stage sort; the stages are ingest,"):
        chain(tmp_path).only("sort")
    assert chain(tmp_path).only("ingest").reports[0].records_out == 30
    assert chain(tmp_path).only("deidentify").version is None
    assert sorted(path.name for path in (tmp_path / "work").glob("0*")) == ["01-ingest", "02-deidentify"]
    with pytest.raises(ConfigurationError, match="ingest is not finished"):
        chain(tmp_path, seed=9).only("deidentify")


def test_shards_joined_are_one_run(tmp_path: Path) -> None:
    chain(tmp_path / "one").run()
    for part in ((2, 3), (1, 3), (3, 3)):
        seen = Seen()
        chain(tmp_path / "two", watch=seen).shard(part)
        assert seen.fresh == ["ingest", "deidentify"]
    seen = Seen()
    chain(tmp_path / "two", watch=seen).join(3)
    assert seen.fresh == ["split", "publish"]
    assert contents(tmp_path / "two" / "work") == contents(tmp_path / "one" / "work")
    assert contents(tmp_path / "two" / "versions") == contents(tmp_path / "one" / "versions")
    assert {QUARANTINE, RECORDS, REPORT} <= {path.name for path in (tmp_path / "two" / "work" / "01-ingest").iterdir()}
    assert (tmp_path / "two" / "work" / "02-deidentify" / REVIEW).exists()
    seen = Seen()
    chain(tmp_path / "two", watch=seen).run()
    assert seen.kept == ALL


def test_a_missing_or_outdated_shard_is_named(tmp_path: Path) -> None:
    chain(tmp_path).shard((1, 2))
    with pytest.raises(ConfigurationError, match=r"ingest of shard 2/2 is not finished .*--shard 2/2"):
        chain(tmp_path).join(2)
    chain(tmp_path).shard((2, 2))
    with pytest.raises(ConfigurationError, match="shard 1/2 is not finished"):
        chain(tmp_path, seed=8).join(2)
    chain(tmp_path).join(2)


def test_two_runs_do_not_share_a_folder(tmp_path: Path) -> None:
    ready = chain(tmp_path)
    (tmp_path / "work").mkdir()
    with (tmp_path / "work" / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(ConfigurationError, match="another run is working here"):
            ready.run()
    ready.run()


class Deaf(Seen):
    """A terminal that takes nothing at the moment."""

    def begins(self, stage: str, number: int, of: int) -> Callable[[int, int | None], None]:
        """See Watch."""
        raise BlockingIOError(11, "Resource temporarily unavailable")


def test_what_blocks_within_a_run_is_no_other_run(tmp_path: Path) -> None:
    with pytest.raises(BlockingIOError):
        chain(tmp_path, watch=Deaf()).run()


@pytest.mark.parametrize(
    ("blocked", "said"),
    [
        ("versions", r"version: .*versions: File exists; mend it and run again"),
        ("link", r"current: .*link: File exists; mend it"),
        ("work/report", r"report: .*report: Not a directory; mend it"),
    ],
)
def test_what_the_disk_refuses_at_the_end_is_said(tmp_path: Path, blocked: str, said: str) -> None:
    ready = quick_chain(tmp_path, current=tmp_path / "link" / "current")
    (tmp_path / blocked).parent.mkdir(exist_ok=True)
    (tmp_path / blocked).write_text("a file in the place of a folder")
    with pytest.raises(ConfigurationError, match=said):
        ready.run()
    (tmp_path / blocked).unlink()
    seen = ready.watch = Seen()
    assert ready.run().version is not None
    assert seen.fresh == []


def test_a_report_that_cannot_be_written_leaves_the_one_before(tmp_path: Path) -> None:
    ready = quick_chain(tmp_path)
    ready.run()
    report = tmp_path / "work" / "report"
    before = contents(report)
    with full_disk(max(map(len, before.values())) - 1), pytest.raises(ConfigurationError, match=r"report: .*too large"):
        ready.run()
    assert contents(report) == before
    ready.run()
    assert contents(report) == before
    assert list((tmp_path / "work").glob(".*.part")) == []


def test_decisions_are_asked_for_once_and_applied(tmp_path: Path) -> None:
    done = chain(tmp_path).run()
    exported = export(tmp_path / "work", tmp_path / "review", tmp_path / "decisions.jsonl")
    assert exported.questions == done.questions
    text = exported.csv.read_text(encoding="utf-8-sig")
    assert "Qubix" not in text
    key = next(csv.DictReader(text.splitlines()))["key"]
    (tmp_path / "decided.csv").write_text(f"key,verdict\n{key},reject\n", encoding="utf-8")
    import_decisions(
        tmp_path / "decided.csv", tmp_path / "work", tmp_path / "decisions.jsonl", on=date(2026, 1, 1), reviewer="Ana"
    )
    again = chain(tmp_path).run()
    assert again.questions == done.questions - 1
    texts = "".join(record.text for record in read_records(tmp_path / "work" / "02-deidentify" / RECORDS))
    assert texts.count("Qubix") == 1
    assert again.version != done.version


def test_a_forgotten_patient_stays_out(tmp_path: Path) -> None:
    done = chain(tmp_path).run()
    assert done.version is not None
    ready = chain(tmp_path)
    secret = ready.config.key(ready.site)
    gone = forget(done.version, "P3", secret=secret, on=date(2026, 1, 2))
    assert gone.records > 0
    again = chain(tmp_path).run()
    counts = {report.stage: report.counts for report in again.reports}
    assert counts["deidentify"]["forgotten"] >= 6
    assert again.version is not None
    assert gone.patient not in (again.version / RECORDS).read_text(encoding="utf-8")


class Meanwhile(Seen):
    """Somebody is forgotten while a run is at work."""

    def __init__(self, ready: Chain, version: Path) -> None:
        super().__init__()
        self._secret, self._version = ready.config.key(ready.site), version

    def ended(self, report: StageReport, fresh: bool) -> None:
        """See Watch."""
        super().ended(report, fresh)
        if report.stage == "split":
            forget(self._version, "P3", secret=self._secret, on=date(2026, 1, 2))


def test_a_run_that_began_before_a_patient_was_forgotten_publishes_nothing(tmp_path: Path) -> None:
    first = quick_chain(tmp_path).run().version
    assert first is not None
    ready = quick_chain(tmp_path, seed=8)
    ready.watch = Meanwhile(ready, first)
    with pytest.raises(ConfigurationError, match=r"forgotten\.jsonl has changed since .* run it again"):
        ready.run()
    assert list(find_versions(tmp_path / "versions").values()) == [first]
    assert quick_chain(tmp_path, seed=8).run().version != first


class Prying(Thread):
    """Tries for the lock of a folder of versions as long as a run goes on. ``saw`` says that a version was seen while
    it was written, ``broke_in`` that the lock was to be had meanwhile.
    """

    def __init__(self, versions: Path) -> None:
        super().__init__()
        self.saw = self.broke_in = self.ended = False
        self._versions = versions

    def run(self) -> None:
        """See Thread."""
        while not self.ended:
            if not list(self._versions.glob(".version-*")):
                time.sleep(0.0005)
                continue
            self.saw = True
            with suppress(ConfigurationError), alone(self._versions):
                # Whoever holds the lock sees a whole version or none.
                self.broke_in |= bool(list(self._versions.glob(".version-*")))


def test_the_versions_are_locked_while_one_is_written(tmp_path: Path) -> None:
    ready = quick_chain(tmp_path)
    prying = Prying(tmp_path / "versions")
    prying.start()
    try:
        ready.run()
    finally:
        prying.ended = True
        prying.join()
    assert prying.saw
    assert not prying.broke_in


def test_a_version_waits_until_the_folder_is_free(tmp_path: Path) -> None:
    ready = quick_chain(tmp_path)
    running = Thread(target=ready.run)
    with alone(tmp_path / "versions"):
        running.start()
        for _ in range(600):
            if (tmp_path / "work" / "03-publish" / FINISHED).exists():
                break
            time.sleep(0.05)
        running.join(timeout=1)
        assert running.is_alive()
        assert find_versions(tmp_path / "versions") == {}
    running.join()
    assert len(find_versions(tmp_path / "versions")) == 1


KILLED = """
import os, shutil, sys
from pathlib import Path
from tests.unit.training.curate.chain_stages import quick_chain
def killed(*paths):
    os.kill(os.getpid(), 9)
ready = quick_chain(Path(sys.argv[1]))
shutil.copyfile, whole = (lambda a, b: (whole(a, b), killed())), shutil.copyfile
ready.run()
"""


def test_what_a_killed_run_has_left_is_gone_with_the_next_version(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", KILLED, str(tmp_path)], capture_output=True, text=True, check=False)
    assert done.returncode == -9, done.stderr
    [left] = (tmp_path / "versions").glob(".version-*")
    assert "Mokoena" in (left / "part" / RECORDS).read_text(encoding="utf-8")
    version = quick_chain(tmp_path).run().version
    assert version is not None
    assert sorted(path.name for path in (tmp_path / "versions").iterdir()) == [".lock", version.name]


def test_what_is_wrong_is_said_before_any_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("BEDSIDE_CURATE_SECRET", raising=False)
    with pytest.raises(ConfigurationError, match="BEDSIDE_CURATE_SECRET is not set"):
        chain(tmp_path, secret={})
    (tmp_path / "decisions.jsonl").write_text("{}\n")
    with pytest.raises(ConfigurationError, match=r"decisions\.jsonl:1"):
        chain(tmp_path)
    (tmp_path / "decisions.jsonl").unlink()
    with pytest.raises(ConfigurationError, match=r"site\.yaml does not exist"):
        chain(tmp_path, site=tmp_path)
    assert not (tmp_path / "work").exists()
    with pytest.raises(ConfigurationError, match="folder of sources, does not exist"):
        chain(tmp_path, sources=tmp_path / "nowhere").run()
