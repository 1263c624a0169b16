"""Small stages and a config for tests of the chain: real ingest and deidentify, then stages that count their runs."""

from __future__ import annotations

import json
import os
import resource
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from training.curate.chain import Chain, Unwatched
from training.curate.config import CurateConfig
from training.curate.deduplicate import CLUSTERS
from training.curate.deidentify import Deidentify
from training.curate.ingest import Ingest
from training.curate.publish import Publish
from training.curate.records import read_records, record_line
from training.curate.stages import RECORDS, Context, Stage, StageReport

NOBODY = 65_534
ARTICLE = """---
id: garden
title: The garden
topic: visiting
audience: patients
owner: Communications
reviewed: 2026-01-01
review_by: 2027-01-01
sources: [Grounds]
---
## Opening hours

The garden is open every day from 8 a.m. to 6 p.m. Dogs must be on a leash. Bring a hat in summer.
"""


class Copied:
    """Passes every record on, in place of a stage of that name."""

    def __init__(self, name: str) -> None:
        self.name = name

    def run(self, source: Path, out: Path, context: Context) -> StageReport:
        """See Stage."""
        shutil.copyfile(source / RECORDS, out / RECORDS)
        count = sum(1 for _ in read_records(out / RECORDS))
        return StageReport(stage=self.name, records_in=count, records_out=count)


class Clustered(Copied):
    """Passes every record on, and leaves a file beside them that hangs on its options alone."""

    def run(self, source: Path, out: Path, context: Context) -> StageReport:
        """See Stage."""
        (out / CLUSTERS).write_text(context.options.model_dump_json(), encoding="utf-8")
        return super().run(source, out, context)


class Sides:
    """Gives every record a side, after its id, in place of all stages between deidentify and publish."""

    name = "split"

    def __init__(self) -> None:
        self.runs = 0
        self.fails: BaseException | None = None

    def run(self, source: Path, out: Path, context: Context) -> StageReport:
        """See Stage."""
        self.runs += 1
        count = 0
        with (out / RECORDS).open("w", encoding="utf-8") as lines:
            for record in read_records(source / RECORDS):
                count += 1
                side = "held_out" if int(record.id, 16) % 5 == 0 else "train"
                lines.write(record_line(record.model_copy(update={"side": side})))
                if self.fails and count == 2:
                    raise self.fails
        return StageReport(stage=self.name, records_in=count, records_out=count)


def stages(sides: Sides) -> Sequence[Stage]:
    """A short chain."""
    return (Ingest(), Deidentify(), sides, Publish())


def quick(sides: Sides) -> Sequence[Stage]:
    """A chain to a version that loads no encoder: what a test of it shows must not hang on identifiers."""
    return (Ingest(), sides, Publish())


def site(folder: Path) -> Path:
    """A site with one article."""
    (folder / "articles").mkdir(parents=True)
    (folder / "articles" / "garden.md").write_text(ARTICLE, encoding="utf-8")
    (folder / "site.yaml").write_bytes(Path("demo/site.yaml").read_bytes())
    return folder


def invented(number: int) -> str:
    """A name of something that only the stricter look of deidentify suspects."""
    return f"Qubix{'abcdefghij'[number // 10 % 10]}{'abcdefghij'[number % 10]}"


def call(number: int, **more: Any) -> str:
    """A call as a line of JSON."""
    turns = [
        {"speaker": "caller", "text": f"I'm Zanele Mokoena, I use the {invented(number)} app. When is it open?"},
        {"speaker": "agent", "text": "The garden is open every day from 8 a.m. to 6 p.m."},
    ]
    fields = {
        "id": f"C{number % 12}",
        "patient": f"P{number % 5}",
        "date": "2026-03-14",
        "consent": True,
        "turns": turns,
    }
    return json.dumps(fields | more) + "\n"


def config(folder: Path, **more: Any) -> CurateConfig:
    """A config whose sources, site, work and versions lie in ``folder``; made if they are not there."""
    sources = folder / "sources"
    if not sources.exists():
        sources.mkdir(parents=True)
        (sources / "a.jsonl").write_text("".join(map(call, range(14))) + "broken\n", encoding="utf-8")
        (sources / "b.jsonl").write_text("".join(map(call, range(14, 30))) + "[]\n", encoding="utf-8")
        site(folder / "site")
    rule = {"files": "*", "kind": "transcript", "licence": "own", "fields": {"conversation": "id"}}
    fields: dict[str, Any] = {
        "name": "tried", "sources": sources, "site": folder / "site", "work": folder / "work",
        "versions": folder / "versions", "decisions": folder / "decisions.jsonl",
        "secret": {"demonstration": "nobody needs this secret"},
        "ingest": {"sources": [rule]},
    }  # fmt: skip
    return CurateConfig.model_validate(fields | more)


class Seen(Unwatched):
    """Remembers which stages ran anew."""

    def __init__(self) -> None:
        self.fresh: list[str] = []
        self.kept: list[str] = []

    def ended(self, report: StageReport, fresh: bool) -> None:
        """See Watch."""
        (self.fresh if fresh else self.kept).append(report.stage)


def chain(folder: Path, sides: Sides | None = None, watch: Unwatched | None = None, **more: Any) -> Chain:
    """A short chain over :func:`config`."""
    return Chain(config(folder, **more), stages(sides or Sides()), watch or Seen())


def quick_chain(folder: Path, **more: Any) -> Chain:
    """Like :func:`chain`, over :func:`quick`."""
    return Chain(config(folder, **more), quick(Sides()), Seen())


@contextmanager
def full_disk(left: int) -> Iterator[None]:
    """No file of this process may grow over so many bytes: what is written fails halfway, as on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (left, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@contextmanager
def somebody_else(folder: Path) -> Iterator[None]:
    """Root reads everything, so root runs the block as another user, who owns ``folder``."""
    if os.geteuid() != 0:
        yield
        return
    os.chown(folder, NOBODY, NOBODY)
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)


def made_anew(ready: Chain) -> list[str]:
    """Run the stages one by one, without a version; which of them ran anew."""
    ready.watch = seen = Seen()
    for stage in ready.stages:
        ready.only(stage.name)
    return seen.fresh
