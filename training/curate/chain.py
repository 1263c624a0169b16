"""Run the stages one after another, each in a folder of its own under ``work``; what is finished is not done again.

A stage writes into a hidden folder that gets its name only when all is written, with :data:`FINISHED` in it: what the
stage was made from and the hashes of its files. A run that was cut off therefore goes on at the stage where it stopped,
and a file that was cut or changed since is found and made again.
"""

from __future__ import annotations

import fcntl
import hashlib
import importlib.metadata
import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cache, cached_property
from pathlib import Path
from typing import Any, Protocol

from pydantic import BaseModel, ConfigDict, ValidationError

from app.contracts.site import Site
from app.errors import ConfigurationError
from training.curate.augment import Augment
from training.curate.balance import Balance
from training.curate.check import Check
from training.curate.config import CurateConfig
from training.curate.correct import Correct
from training.curate.dataset import Provenance, StageEntry, fingerprint, write_version
from training.curate.deduplicate import Deduplicate
from training.curate.deidentify import Deidentify
from training.curate.ingest import Ingest, source_files
from training.curate.pseudonyms import plain_files
from training.curate.public import Public
from training.curate.publish import Publish
from training.curate.report import write_report
from training.curate.review import questions, verdicts
from training.curate.shards import SHARDED, join_deidentify, join_ingest, join_reports
from training.curate.split import Split
from training.curate.stages import REVIEW, Context, Stage, StageReport, silent
from training.curate.versions import TOMBSTONES, forgotten

STAGES: tuple[Stage, ...] = (
    Ingest(),
    Deidentify(),
    Correct(),
    Check(),
    Deduplicate(),
    Balance(),
    Split(),
    Augment(),
    Publish(),
)
REPORT, FINISHED = "report.json", "finished.json"
_HEX = 64
_ROOT = Path(__file__).parents[2]
_CODE = (
    "training/curate",
    "training/finetune",
    "training/wording.py",
    "training/handouts.py",
    "app/redaction",
    "app/contracts",
    "app/encoder",
    "app/guardrails",
    "app/knowledge",
)
_NO_CODE = ("demo_sources", "__pycache__")
_LIBRARIES = (
    "presidio-analyzer", "presidio-anonymizer", "onnxruntime", "rapidfuzz", "rensa", "regex", "numpy", "pydantic",
)  # fmt: skip


class Watch(Protocol):
    """Is told how a run goes on."""

    def begins(self, stage: str, number: int, of: int) -> Callable[[int, int | None], None]:
        """A stage begins; the result is called with records done, and all of them where their number is known."""
        ...

    def ended(self, report: StageReport, fresh: bool) -> None:
        """A stage is finished, ``fresh`` if it was not already."""
        ...


class Unwatched:
    """Nobody looks."""

    def begins(self, stage: str, number: int, of: int) -> Callable[[int, int | None], None]:
        """See Watch."""
        return silent

    def ended(self, report: StageReport, fresh: bool) -> None:
        """See Watch."""


class Finished(BaseModel):
    """What a stage's folder was made from, and the SHA-256 of each of its files."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    fingerprint: str
    files: dict[str, str]


@dataclass(frozen=True, slots=True)
class Outcome:
    """Reports of the stages that were asked for. ``version`` and ``report`` (a page) are there after a whole run;
    ``questions`` are open ones.
    """

    reports: tuple[StageReport, ...]
    version: Path | None = None
    report: Path | None = None
    questions: int = 0


@dataclass
class Chain:
    """One config and all that its stages stand on, read once."""

    config: CurateConfig
    stages: Sequence[Stage] = STAGES
    watch: Watch = field(default_factory=Unwatched)
    workers: int | None = None

    def __post_init__(self) -> None:
        """Raises ConfigurationError before any work: site, articles, key, decisions."""
        self.site: Site = self.config.read_site()
        if not self.config.articles.is_dir():
            raise ConfigurationError(f"{self.config.articles} is not a folder; the site needs articles/")
        self._context = Context(
            site=self.site,
            articles=self.config.articles,
            decisions=verdicts(self.config.decisions),
            secret=self.config.key(self.site),
            seed=self.config.seed,
            workers=self.workers or self.config.workers,
            encoder=self.config.encoder,
        )
        listed = forgotten(self.config.versions / TOMBSTONES, self._context.secret)
        self._context = replace(self._context, forgotten=listed)

    # 1. What can be asked for.

    def run(self) -> Outcome:
        """All stages, then the version and the report."""
        with _alone(self.config.work):
            reports = [self._stage(self.config.work, index, (1, 1)) for index in range(len(self.stages))]
            return self._published(tuple(reports))

    def only(self, name: str, shard: tuple[int, int] = (1, 1)) -> Outcome:
        """One stage on what the stage before it has written. ConfigurationError if that is not finished."""
        index = self._index(name)
        folder = self._work(shard)
        with _alone(folder):
            for before in range(index):
                if self._standing(folder, before, shard) is None:
                    missing = self.stages[before].name
                    raise ConfigurationError(f"{missing} is not finished for these sources and options; run it first")
            return Outcome((self._stage(folder, index, shard),))

    def shard(self, part: tuple[int, int]) -> Outcome:
        """The stages that look at one conversation at a time, on a part of the conversations."""
        folder = self._work(part)
        with _alone(folder):
            return Outcome(tuple(self._stage(folder, index, part) for index in self._sharded()))

    def join(self, shards: int) -> Outcome:
        """What all shards made, joined, and then the stages that need the whole. ConfigurationError if one is missing
        or was made from other sources, options, decisions or code.
        """
        with _alone(self.config.work):
            for index in self._sharded():
                if self._standing(self.config.work, index, (1, 1)) is None:
                    self._joined(index, shards)
        return self.run()

    # 2. One stage.

    def _stage(self, work: Path, index: int, shard: tuple[int, int]) -> StageReport:
        stage = self.stages[index]
        if standing := self._standing(work, index, shard):
            self.watch.ended(standing, fresh=False)
            return standing
        progress = self.watch.begins(stage.name, index + 1, len(self.stages))
        context = replace(self._context, options=getattr(self.config, stage.name, None), shard=shard, progress=progress)
        source = self.config.sources if index == 0 else self._folder(work, index - 1)
        with self._written(work, index, shard) as out:
            report = stage.run(source, out, context)
            (out / REPORT).write_text(report.model_dump_json(indent=1) + "\n", encoding="utf-8")
        self.watch.ended(report, fresh=True)
        return report

    @contextmanager
    def _written(self, work: Path, index: int, shard: tuple[int, int]) -> Iterator[Path]:
        """A folder to write into, which becomes the stage's own when nothing was raised."""
        stage, target = self.stages[index], self._folder(work, index)
        for leftover in work.glob(".*.part"):
            shutil.rmtree(leftover)
        part = work / f".{target.name}.part"
        try:
            part.mkdir(mode=0o700)
            wanted = self._fingerprint(work, index, shard)
            yield part
            files = {path.relative_to(part).as_posix(): _sha256(path) for path in _files(part)}
            (part / FINISHED).write_text(Finished(fingerprint=wanted, files=files).model_dump_json(), encoding="utf-8")
            shutil.rmtree(target, ignore_errors=True)
            part.rename(target)
        except OSError as error:
            raise ConfigurationError(
                f"{stage.name}: {error.filename or part}: {error.strerror or error}; mend it and run again: finished "
                "stages are kept"
            ) from error

    def _standing(self, work: Path, index: int, shard: tuple[int, int]) -> StageReport | None:
        """The report of a finished stage, if it was made from what is there now and nothing of it has changed."""
        folder = self._folder(work, index)
        finished = _read_finished(folder)
        if finished is None or finished.fingerprint != self._fingerprint(work, index, shard):
            return None
        if any(not (folder / name).is_file() or _sha256(folder / name) != was for name, was in finished.files.items()):
            return None
        return StageReport.model_validate_json((folder / REPORT).read_bytes())

    def _fingerprint(self, work: Path, index: int, shard: tuple[int, int]) -> str:
        """What decides a stage's output: what it reads, options, decisions, key, seed, shard and code."""
        stage, options = self.stages[index], getattr(self.config, self.stages[index].name, None)
        before = [_read_finished(self._folder(work, earlier)) for earlier in range(index)]
        content = {
            "stage": stage.name,
            "reads": self._sources if index == 0 else [_data(finished) for finished in before],
            "options": options.model_dump(mode="json") if isinstance(options, BaseModel) else None,
            "decisions": dict(sorted(self._context.decisions.items())),
            "forgotten": sorted(self._context.forgotten),
            "secret": fingerprint(self._context.secret),
            "seed": self._context.seed,
            "shard": shard,
            "site": self._hospital,
            "code": _code(),
        }
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()

    # 3. Shards.

    def _sharded(self) -> list[int]:
        return [index for index, stage in enumerate(self.stages) if stage.name in SHARDED]

    def _joined(self, index: int, shards: int) -> None:
        stage = self.stages[index]
        parts, reports = [], []
        for number in range(1, shards + 1):
            work = self._work((number, shards))
            report = self._standing(work, index, (number, shards))
            if report is None:
                raise ConfigurationError(
                    f"{stage.name} of shard {number}/{shards} is not finished for these sources and options; run "
                    f"`bedside-train curate CONFIG --shard {number}/{shards}` with its folder {work}"
                )
            parts.append(self._folder(work, index))
            reports.append(report)
        with self._written(self.config.work, index, (1, 1)) as out:
            if index == 0:
                join_ingest(parts, out)
            else:
                before = [self._folder(self._work((n, shards)), index - 1) for n in range(1, shards + 1)]
                join_deidentify(before, parts, out, self._context.secret, self.config.deidentify.questions)
            (out / REPORT).write_text(join_reports(reports).model_dump_json(indent=1) + "\n", encoding="utf-8")

    # 4. The end.

    def _published(self, reports: tuple[StageReport, ...]) -> Outcome:
        by_name = {stage.name: getattr(self.config, stage.name, None) for stage in self.stages}
        public = Public.read(self.site, self.config.articles, self.config.deidentify.allowed)
        plain = plain_files(self._context.secret, public, self.config.encoder)
        provenance = Provenance(
            site=self.site.name,
            sources={plain.file(name): value for name, value in self._sources.items() if len(value) == _HEX},
            stages=[StageEntry.of(report, by_name[report.stage]) for report in reports],
            decisions=dict(self._context.decisions),
            seed=self.config.seed,
            secret_fingerprint=fingerprint(self._context.secret),
        )
        content = self._folder(self.config.work, len(self.stages) - 1)
        version = write_version(content, self.config.versions, provenance)
        if self.config.current is not None:
            set_link(self.config.current, version)
        asked = [question.item for question in questions(self.config.work)]
        waiting = [item for item in asked if item.key not in self._context.decisions]
        folder = self.config.work / "report"
        manifest = json.loads((version / "manifest.json").read_bytes())
        write_report(folder, reports, manifest, waiting)
        return Outcome(reports, version, folder / "report.html", len(waiting))

    # 5. Names and hashes.

    def _work(self, shard: tuple[int, int]) -> Path:
        """Where a shard works: beside the whole run, so that its questions are not counted twice."""
        work = self.config.work
        return work if shard[1] == 1 else work.with_name(f"{work.name}-shard-{shard[0]}-of-{shard[1]}")

    def _folder(self, work: Path, index: int) -> Path:
        return work / f"{index + 1:02}-{self.stages[index].name}"

    def _index(self, name: str) -> int:
        names = [stage.name for stage in self.stages]
        if name not in names:
            raise ConfigurationError(f"there is no stage {name}; the stages are {', '.join(names)}")
        return names.index(name)

    @cached_property
    def _sources(self) -> dict[str, str]:
        """SHA-256 of each raw file by name; links and what is no file by what they are."""
        found: dict[str, str] = {}
        for name, path, unsafe in source_files(self.config.sources, self.config.ingest.exclude):
            try:
                found[name] = unsafe or _sha256(path)
            except OSError as error:
                found[name] = f"cannot be read: {error.strerror}"
        return found

    @cached_property
    def _hospital(self) -> str:
        """Hash over what the site's folder says."""
        digest = hashlib.sha256()
        for path in (self.config.site / "site.yaml", *sorted(self.config.articles.glob("*.md"))):
            digest.update(f"{path.name} {_sha256(path)}\n".encode())
        return digest.hexdigest()


@cache
def _code() -> str:
    """Hash over our code and data that stages stand on, and the libraries' versions; of the start of the process."""
    digest = hashlib.sha256()
    for place in _CODE:
        for path in _files(_ROOT / place):
            if not any(part in _NO_CODE for part in path.parts):
                digest.update(f"{path.relative_to(_ROOT)} {_sha256(path)}\n".encode())
    for library in _LIBRARIES:
        digest.update(f"{library} {importlib.metadata.version(library)}\n".encode())
    return digest.hexdigest()


@contextmanager
def _alone(work: Path) -> Iterator[None]:
    """Hold the work folder; ConfigurationError if another run does."""
    try:
        work.mkdir(parents=True, exist_ok=True, mode=0o700)
        with (work / ".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            yield
    except BlockingIOError:
        raise ConfigurationError(f"{work}: another run is working here; wait for it") from None
    except PermissionError as error:
        raise ConfigurationError(f"{error.filename or work} cannot be written: {error.strerror}") from None


def set_link(link: Path, target: Path) -> None:
    """Set a link in one step."""
    link.parent.mkdir(parents=True, exist_ok=True)
    part = link.with_name(f".{link.name}.part")
    part.unlink(missing_ok=True)
    part.symlink_to(os.path.relpath(target, link.parent))
    part.replace(link)


def _read_finished(folder: Path) -> Finished | None:
    try:
        return Finished.model_validate_json((folder / FINISHED).read_bytes())
    except (OSError, ValidationError):
        return None


def _data(finished: Finished | None) -> Mapping[str, Any]:
    """The hashes of what later stages read: neither report nor questions."""
    files = finished.files if finished else {}
    return {name: sha256 for name, sha256 in files.items() if name not in (REPORT, REVIEW)}


def _files(path: Path) -> list[Path]:
    return sorted(found for found in path.rglob("*") if found.is_file()) if path.is_dir() else [path]


def _sha256(path: Path) -> str:
    with path.open("rb") as data:
        return hashlib.file_digest(data, "sha256").hexdigest()
