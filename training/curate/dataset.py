"""A dataset version: a folder named by the hash of what is in it, with the manifest that says where it came from.

::

    <first 16 digits of version>/
        manifest.json      sources, stages with options and counts, decisions, licences, parent, erasures
        records.jsonl      the curated records
        train.jsonl  validation.jsonl  held_out.jsonl      dialogues, as fine-tuning reads them
        huggingface/       the same dialogues for datasets.load_dataset, with the messages that a model is given

The same records from the same sources by the same stages give the same bytes. Nothing in it tells a time of day, a
name of a person or the secret. A version is never changed: forgetting a patient makes a new one.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from app.contracts.prompt import PROMPT_VERSION
from app.errors import ConfigurationError
from training.curate.keys import keyed_hash
from training.curate.locks import WRITING, discard
from training.curate.publish import SIDES, record_of
from training.curate.records import read_records
from training.curate.stages import RECORDS, StageReport, Verdict
from training.files import file_hash, lines_of
from training.finetune.data import DATASET_MANIFEST, Dialogue, prompt_messages

FILES = (RECORDS, *(f"{side}.jsonl" for side in SIDES))
HUGGINGFACE = "huggingface"
SHORT = 16
"""Digits of a version in its folder's name."""


class StageEntry(BaseModel):
    """One stage of the run: its options as they were, and what it counted."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    options: dict[str, Any] = Field(default_factory=dict)
    records_in: int
    records_out: int
    counts: dict[str, int] = Field(default_factory=dict)

    @classmethod
    def of(cls, report: StageReport, options: BaseModel | None = None) -> StageEntry:
        """From a stage's report and the options it ran with."""
        return cls(
            name=report.stage,
            options=options.model_dump(mode="json") if options else {},
            records_in=report.records_in,
            records_out=report.records_out,
            counts=dict(report.counts),
        )


class Erasure(BaseModel):
    """That a patient was forgotten: ``patient`` is the keyed hash, ``version`` the one that still held the records."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    patient: str
    on: date
    version: str
    records: int
    dialogues: int


class Provenance(BaseModel):
    """What a run knows of itself and a folder of records does not tell.

    ``sources`` are SHA-256 of the raw files by their names as de-identification writes them; ``decisions`` the
    reviewers' verdicts that the run used; ``parent`` the version that this one replaces, if any.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    site: str
    sources: dict[str, str] = Field(default_factory=dict)
    stages: list[StageEntry] = Field(default_factory=list)
    decisions: dict[str, Verdict] = Field(default_factory=dict)
    seed: int = 7
    secret_fingerprint: str = ""
    parent: str = ""
    erasures: list[Erasure] = Field(default_factory=list)


class Manifest(Provenance):
    """``manifest.json``. ``version`` is the SHA-256 of all other fields; ``files`` those of the data. ``consent``
    counts the records by what they say of it, ``given`` or ``not_given``; ``licences`` by licence.
    """

    format: Literal[1] = 1
    version: str = ""
    prompt_version: str = PROMPT_VERSION
    files: dict[str, str]
    counts: dict[str, int]
    licences: dict[str, int]
    consent: dict[str, int]


def fingerprint(secret: bytes) -> str:
    """What tells whether two secrets are the same, and nothing else about them."""
    return keyed_hash(secret, "fingerprint", "")


def write_version(content: Path, versions: Path, provenance: Provenance) -> Path:
    """Make a version of the folder that the stage publish wrote; returns its folder in ``versions``.

    The same content from the same provenance is the same version: then nothing is written. Raises OSError where the
    disk refuses, and then leaves nothing; a kill leaves what :func:`training.curate.locks.sweep` removes.
    """
    manifest = _manifest(content, provenance)
    target = versions / manifest.version[:SHORT]
    if _stands(target, manifest.version):
        return target
    versions.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=versions, prefix=WRITING) as temporary:
        part = Path(temporary) / "part"
        part.mkdir()
        for name in FILES:
            shutil.copyfile(content / name, part / name)
        _write_huggingface(part, manifest, Path(temporary))
        text = json.dumps(manifest.model_dump(mode="json"), indent=2, sort_keys=True, ensure_ascii=False) + "\n"
        (part / DATASET_MANIFEST).write_text(text, encoding="utf-8")
        if target.exists():
            discard(target)
        part.rename(target)
    return target


def read_manifest(folder: Path, *, verify: bool = False) -> Manifest:
    """The manifest of a version; with ``verify`` every file must still be what it names. Raises ConfigurationError."""
    path = folder / DATASET_MANIFEST
    try:
        manifest = Manifest.model_validate_json(path.read_bytes())
    except OSError:
        raise ConfigurationError(f"{folder} is no dataset version: it holds no {DATASET_MANIFEST}") from None
    except ValidationError as error:
        fault = error.errors()[0]
        where = ".".join(map(str, fault["loc"]))
        raise ConfigurationError(f"{path} is no manifest of a dataset: {where}: {fault['msg']}") from None
    if _version(manifest) != manifest.version:
        raise ConfigurationError(f"{path} was changed: its version is not the hash of its fields")
    for name, wanted in manifest.files.items() if verify else ():
        if not (folder / name).is_file() or file_hash(folder / name) != wanted:
            raise ConfigurationError(f"{folder / name} is missing or was changed since the version was written")
    return manifest


def find_versions(versions: Path) -> dict[str, Path]:
    """Folders of all versions that lie in a folder, by version. Other folders and links are passed over."""
    found = {}
    manifests = sorted(versions.glob(f"*/{DATASET_MANIFEST}"))
    for path in (path for path in manifests if not path.parent.is_symlink()):
        try:
            found[read_manifest(path.parent).version] = path.parent
        except ConfigurationError:
            continue
    return found


def _stands(folder: Path, version: str) -> bool:
    """Whether a version is there, whole and unchanged."""
    try:
        return read_manifest(folder, verify=True).version == version
    except ConfigurationError:
        return False


def _manifest(content: Path, provenance: Provenance) -> Manifest:
    counts: Counter[str] = Counter()
    licences: Counter[str] = Counter()
    consent: Counter[str] = Counter(given=0)
    for record in read_records(content / RECORDS):
        counts["records"] += 1
        counts[f"records_{record.side}"] += 1
        licences[record.licence] += 1
        consent["given" if record.consent else "not_given"] += 1
    for side in SIDES:
        for line in lines_of(content / f"{side}.jsonl"):
            counts[f"dialogues_{side}"] += 1
            counts[f"dialogues_{json.loads(line)['kind']}"] += 1
    manifest = Manifest(
        **provenance.model_dump(),
        files={name: file_hash(content / name) for name in FILES},
        counts=dict(sorted(counts.items())),
        licences=dict(sorted(licences.items())),
        consent=dict(sorted(consent.items())),
    )
    return manifest.model_copy(update={"version": _version(manifest)})


def _version(manifest: Manifest) -> str:
    fields = manifest.model_dump(mode="json", exclude={"version"})
    return hashlib.sha256(json.dumps(fields, sort_keys=True, ensure_ascii=False).encode()).hexdigest()


def _write_huggingface(folder: Path, manifest: Manifest, temporary: Path) -> None:
    """Parquet files with a card that names the splits. Their bytes also hang on the versions of datasets and pyarrow,
    so they are no part of the version.
    """
    from datasets import Dataset, Features, Value, disable_progress_bars
    from datasets.exceptions import DatasetGenerationError

    disable_progress_bars()
    string = Value("string")
    fields = ("id", "record", "article_id", "question", "answer", "kind")
    features = Features(
        dict.fromkeys(fields, string) | {"passages": [string], "messages": [{"role": string, "content": string}]}
    )
    out = folder / HUGGINGFACE
    (out / "data").mkdir(parents=True)
    filled = [side for side in SIDES if manifest.counts.get(f"dialogues_{side}")]
    for side in filled:
        rows = temporary / f"{side}.jsonl"
        with rows.open("w", encoding="utf-8") as lines:
            for row in _rows(folder / f"{side}.jsonl", manifest.site):
                lines.write(json.dumps(row, ensure_ascii=False) + "\n")
        try:
            loaded = Dataset.from_json(str(rows), features=features, cache_dir=str(temporary / "cache"))
        except DatasetGenerationError as error:
            raise (error.__cause__ if isinstance(error.__cause__, OSError) else error) from None
        loaded.to_parquet(str(out / "data" / f"{side}.parquet"))
    (out / "README.md").write_text(_card(manifest, filled), encoding="utf-8")


def _rows(path: Path, site: str) -> Iterator[Mapping[str, Any]]:
    for line in lines_of(path):
        dialogue = Dialogue.model_validate_json(line)
        messages = [{"role": item.role, "content": item.content} for item in prompt_messages(dialogue, site)]
        yield {
            "id": dialogue.id,
            "record": record_of(dialogue.id),
            "article_id": dialogue.article_id,
            "question": dialogue.question,
            "answer": dialogue.answer,
            "kind": dialogue.kind,
            "passages": dialogue.passages,
            "messages": [*messages, {"role": "assistant", "content": dialogue.answer}],
        }


def _card(manifest: Manifest, sides: Sequence[str]) -> str:
    splits = "".join(f"  - split: {side}\n    path: data/{side}.parquet\n" for side in sides)
    head = f"---\nconfigs:\n- config_name: default\n  data_files:\n{splits}---\n" if sides else ""
    rows = "\n".join(f"| {name.replace('_', ' ')} | {count} |" for name, count in manifest.counts.items())
    licences = ", ".join(f"{name or 'not stated'} ({count})" for name, count in manifest.licences.items())
    text = [
        f"# Curated dialogues of {manifest.site}",
        "",
        f"Version `{manifest.version}`, prompt {manifest.prompt_version}. Load it with "
        '`datasets.load_dataset("<this folder>")`.',
        "",
        "Each dialogue is a patient's question without identifiers, a passage of an approved article, and those",
        "sentences of it that a member of staff said in other words. The manifest beside this folder tells the rest.",
        "",
        f"| | |\n|---|---|\n{rows}",
        "",
        f"Licences of the records: {licences}.",
        "",
    ]
    return head + "\n".join(text)
