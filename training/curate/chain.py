"""Run the stages one after another, each in a folder of its own under ``work``; what is finished is not done again.

A stage writes into a hidden folder that gets its name only when all is written, with :data:`FINISHED` in it: what the
stage was made from and the hashes of its files. A run that was cut off therefore goes on at the stage where it stopped,
and a file that was cut or changed since is found and made again.
"""

from __future__ import annotations

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
from training.curate.fields import PlainFields, plain_files
from training.curate.ingest import Ingest, source_files
from training.curate.ingest import Options as IngestOptions
from training.curate.locks import PART, alone, sweep
from training.curate.public import Public
from training.curate.publish import Publish
from training.curate.report import write_report
from training.curate.review import questions, verdicts
from training.curate.shards import SHARDED, join_deidentify, join_ingest, join_reports
from training.curate.split import Split
from training.curate.stages import REPORT, REVIEW, Context, Stage, StageReport, silent
from training.curate.tombstones import TOMBSTONES, forgotten
from training.files import file_hash

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
FINISHED = "finished.json"
_HEX = 64
_ROOT = Path(__file__).parents[2]
CODE = (
    "training/curate",
    "training/finetune",
    "training/demo_model/exercises.py",
    "training/demo_model/slots.py",
    "training/demo_model/sources.py",
    "training/config_file.py",
    "training/files.py",
    "training/sentences.py",
    "training/wording.py",
    "training/handouts.py",
    "app/redaction",
    "app/contracts",
    "app/encoder",
    "app/guardrails",
    "app/knowledge",
    "app/errors.py",
    "app/files.py",
)
"""What is imported here, by folder or file: another byte of it, and all stages are made again."""
_NO_CODE = ("demo_sources", "__pycache__")
LIBRARIES = (
    "presidio-analyzer", "presidio-anonymizer", "onnx", "onnxruntime", "tokenizers", "safetensors", "rapidfuzz",
    "rensa", "regex", "numpy", "pandas", "pandera", "pydantic", "PyYAML", "markdown-it-py",
)  # fmt: skip
"""Distributions that decide what stages write; another version of one, and all stages are made again."""


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


AGREES_WITH: dict[str, tuple[str, ...]] = {"split": ("publish",), "augment": ("deduplicate", "split")}
"""Stages whose options another stage goes by too: what publish takes for the passage of an answer gives a component its
side, and no variant may be what deduplicate takes for alike, nor share a run of words that split keeps apart.
"""


@cache
def _code() -> str:
    """Hash over our code and data that stages stand on, and the libraries' versions; of the start of the process."""
    digest = hashlib.sha256()
    for place in CODE:
        for path in _files(_ROOT / place):
            if not any(part in _NO_CODE for part in path.parts):
                digest.update(f"{path.relative_to(_ROOT)} {file_hash(path)}\n".encode())
    for library in LIBRARIES:
        digest.update(f"{library} {importlib.metadata.version(library)}\n".encode())
    return digest.hexdigest()


@dataclass
class Chain:
    """One config and all that its stages stand on, read once. ``code`` names the code that the stages are made of: what
    other code has made is made again.
    """

    config: CurateConfig
    stages: Sequence[Stage] = STAGES
    watch: Watch = field(default_factory=Unwatched)
    workers: int | None = None
    code: str = field(default_factory=_code)

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
        with alone(self.config.work):
            reports = [self._stage(self.config.work, index, (1, 1)) for index in range(len(self.stages))]
            return self._published(tuple(reports))

    def only(self, name: str, shard: tuple[int, int] = (1, 1)) -> Outcome:
        """One stage on what the stage before it has written. ConfigurationError if that is not finished."""
        index = self._index(name)
        folder = self._work(shard)
        with alone(folder):
            for before in range(index):
                if self._standing(folder, before, shard) is None:
                    missing = self.stages[before].name
                    raise ConfigurationError(f"{missing} is not finished for these sources and options; run it first")
            return Outcome((self._stage(folder, index, shard),))

    def shard(self, part: tuple[int, int]) -> Outcome:
        """The stages that look at one conversation at a time, on a part of the conversations."""
        folder = self._work(part)
        with alone(folder):
            return Outcome(tuple(self._stage(folder, index, part) for index in self._sharded()))

    def join(self, shards: int) -> Outcome:
        """What all shards made, joined, and then the stages that need the whole. ConfigurationError if one is missing
        or was made from other sources, options, decisions or code.
        """
        with alone(self.config.work):
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
        context = replace(
            self._context,
            options=getattr(self.config, stage.name, None),
            others=self._others(stage),
            shard=shard,
            progress=progress,
        )
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
        with _told(stage.name, work), _replaced(target) as part:
            wanted = self._fingerprint(work, index, shard)
            yield part
            files = {path.relative_to(part).as_posix(): file_hash(path) for path in _files(part)}
            (part / FINISHED).write_text(Finished(fingerprint=wanted, files=files).model_dump_json(), encoding="utf-8")

    def _standing(self, work: Path, index: int, shard: tuple[int, int]) -> StageReport | None:
        """The report of a finished stage, if it was made from what is there now and nothing of it has changed."""
        folder = self._folder(work, index)
        finished = _read_finished(folder)
        with _told(self.stages[index].name, folder):
            if finished is None or finished.fingerprint != self._fingerprint(work, index, shard):
                return None
            for name, was in finished.files.items():
                if not (folder / name).is_file() or file_hash(folder / name) != was:
                    return None
            return StageReport.model_validate_json((folder / REPORT).read_bytes())

    def _fingerprint(self, work: Path, index: int, shard: tuple[int, int]) -> str:
        """What decides a stage's output: what it reads, options and the files that they name, decisions, key, seed,
        shard and code.
        """
        stage, options = self.stages[index], getattr(self.config, self.stages[index].name, None)
        before = [_read_finished(self._folder(work, earlier)) for earlier in range(index)]
        content = {
            "stage": stage.name,
            "reads": self._sources if index == 0 else [_data(finished) for finished in before],
            "options": options.model_dump(mode="json") if isinstance(options, BaseModel) else None,
            "others": {name: other.model_dump(mode="json") for name, other in self._others(stage).items()},
            "named": _named(options.model_dump()) if isinstance(options, BaseModel) else {},
            "decisions": dict(sorted(self._context.decisions.items())),
            "forgotten": sorted(self._context.forgotten),
            "secret": fingerprint(self._context.secret),
            "seed": self._context.seed,
            "shard": shard,
            "site": self._hospital,
            "code": self.code,
        }
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()

    def _others(self, stage: Stage) -> dict[str, BaseModel]:
        return {name: getattr(self.config, name) for name in AGREES_WITH.get(stage.name, ())}

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
        with _told("version", self.config.versions):
            version = self._version(reports)
        if self.config.current is not None:
            with _told("current", self.config.current):
                set_link(self.config.current, version)
        waiting = [item for item in questions(self.config.work) if item.key not in self._context.decisions]
        folder = self.config.work / "report"
        with _told("report", folder), _replaced(folder) as part:
            write_report(part, reports, json.loads((version / "manifest.json").read_bytes()), waiting)
        return Outcome(reports, version, folder / "report.html", len(waiting))

    def _version(self, reports: tuple[StageReport, ...]) -> Path:
        """The new version's folder. ConfigurationError if a patient was forgotten since the list was read: the records
        may hold her. Nobody is forgotten while the version is written.
        """
        by_name = {stage.name: getattr(self.config, stage.name, None) for stage in self.stages}
        public = Public.read(self.site, self.config.articles, self.config.deidentify.allowed)
        plain = plain_files(self._context.secret, public, self.config.encoder)
        provenance = Provenance(
            site=self.site.name,
            sources={plain.file(name): value for name, value in self._sources.items() if len(value) == _HEX},
            stages=[StageEntry.of(report, _plain(by_name[report.stage], plain)) for report in reports],
            decisions=dict(self._context.decisions),
            seed=self.config.seed,
            secret_fingerprint=fingerprint(self._context.secret),
        )
        if self._raw_files() != self._sources:
            raise ConfigurationError(
                f"{self.config.sources} has changed since this run began: no version was written; run it again"
            )
        content = self._folder(self.config.work, len(self.stages) - 1)
        versions = self.config.versions
        versions.mkdir(parents=True, exist_ok=True)
        with alone(versions, wait=True):
            if forgotten(versions / TOMBSTONES, self._context.secret) != self._context.forgotten:
                raise ConfigurationError(
                    f"{versions / TOMBSTONES} has changed since this run began: no version was written; run it again"
                )
            sweep(versions)
            return write_version(content, versions, provenance)

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
        """The raw files as they were when the run began."""
        return self._raw_files()

    def _raw_files(self) -> dict[str, str]:
        """SHA-256 of each raw file by name; links and what is no file by what they are."""
        found: dict[str, str] = {}
        for name, path, unsafe in source_files(self.config.sources, self.config.ingest.exclude):
            try:
                found[name] = unsafe or file_hash(path)
            except OSError as error:
                found[name] = f"cannot be read: {error.strerror}"
        return found

    @cached_property
    def _hospital(self) -> str:
        """Hash over what the site's folder says."""
        digest = hashlib.sha256()
        for path in (self.config.site / "site.yaml", *sorted(self.config.articles.glob("*.md"))):
            digest.update(f"{path.name} {file_hash(path)}\n".encode())
        return digest.hexdigest()


def _plain(options: Any, plain: PlainFields) -> Any:
    """A stage's options as a version may tell them: patterns of files and labels of speakers may name a person."""
    if not isinstance(options, IngestOptions):
        return options
    rules = [
        rule.model_copy(
            update={
                "files": plain.file(rule.files),
                "speakers": {plain.file(label): side for label, side in rule.speakers.items()},
            }
        )
        for rule in options.sources
    ]
    return options.model_copy(update={"sources": rules, "exclude": [plain.file(name) for name in options.exclude]})


@contextmanager
def _told(doing: str, where: Path) -> Iterator[None]:
    """Name what the disk refused, and the mend: ConfigurationError for an OSError."""
    try:
        yield
    except OSError as error:
        raise ConfigurationError(
            f"{doing}: {error.filename2 or error.filename or where}: {error.strerror or error}; mend it and run again: "
            "finished stages are kept"
        ) from error


@contextmanager
def _replaced(folder: Path) -> Iterator[Path]:
    """A folder to write into, which takes the place of ``folder`` when nothing was raised."""
    sweep(folder.parent)
    part = folder.with_name(f".{folder.name}{PART}")
    part.mkdir(mode=0o700)
    yield part
    shutil.rmtree(folder, ignore_errors=True)
    part.rename(folder)


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


def _named(options: Any) -> dict[str, str]:
    """SHA-256 of the files that options name, by their paths."""
    match options:
        case Path():
            return {str(path): file_hash(path) for path in _files(options) if path.is_file()}
        case Mapping():
            return _named(list(options.values()))
        case list() | tuple() | set() | frozenset():
            return {name: sha256 for option in options for name, sha256 in _named(option).items()}
        case _:
            return {}


def _files(path: Path) -> list[Path]:
    return sorted(found for found in path.rglob("*") if found.is_file()) if path.is_dir() else [path]
