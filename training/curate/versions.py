"""Between dataset versions: what changed from one to another, and how a patient is forgotten.

Forgetting never edits a version. It notes the patient's keyed hash in a list that every later run reads, writes a new
version without the patient's records and whatever was made from them, and says which adapters have learnt from them:
these cannot be mended and have to be trained again.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import shutil
import stat
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from datetime import date
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from app.contracts.adapters import AdapterManifest
from app.errors import ConfigurationError
from app.files import replace_file
from training.curate.dataset import (
    SHORT,
    Erasure,
    Manifest,
    Provenance,
    find_versions,
    fingerprint,
    read_manifest,
    write_version,
)
from training.curate.formats.encoding import cleaned
from training.curate.keys import keyed_hash
from training.curate.publish import SIDES, record_of
from training.curate.records import read_records
from training.curate.stages import RECORDS
from training.finetune.data import files_hash

TOMBSTONES = "forgotten.jsonl"
"""The list of forgotten patients; it lies in the folder of the versions."""
_SHOWN = 10
_PARTS: dict[str, tuple[str, ...]] = {
    "text": ("turns",),
    "side": ("side",),
    "weight": ("weight",),
    "facts": (
        "kind",
        "topic",
        "language",
        "date",
        "groups",
        "licence",
        "consent",
        "resolved",
        "patient",
        "conversation",
    ),
}


class Change(BaseModel):
    """A value that differs: of an option, a count, a source's hash or a decision. None: not there."""

    model_config = ConfigDict(frozen=True)

    name: str
    before: Any = None
    after: Any = None


class ChangedRecord(BaseModel):
    """A record that both versions have, and which parts of it differ: text, side, weight, facts."""

    model_config = ConfigDict(frozen=True)

    id: str
    parts: list[str]


class Difference(BaseModel):
    """What changed from version ``before`` to version ``after``. Holds ids and counts, no text of a record."""

    model_config = ConfigDict(frozen=True)

    before: str
    after: str
    related: Literal["same", "child", "parent", "none"]
    added: list[str]
    removed: list[str]
    changed: list[ChangedRecord]
    dialogues_added: int
    dialogues_removed: int
    dialogues_changed: int
    counts: list[Change]
    options: list[Change]
    stage_counts: list[Change]
    sources: list[Change]
    decisions: list[Change]
    erasures: list[Erasure]

    def text(self) -> str:
        """For a person: counts first, then ids, ten of each at most."""
        kinship = {"same": "the same version", "child": "made from the first", "parent": "the first is made from it"}
        related = f" ({kinship[self.related]})" if self.related in kinship else ""
        parts = Counter(part for record in self.changed for part in record.parts)
        how = ", ".join(f"{part} {count}" for part, count in sorted(parts.items()))
        lines = [
            f"{self.before[:SHORT]} -> {self.after[:SHORT]}{related}",
            f"records: {len(self.added)} added, {len(self.removed)} removed, {len(self.changed)} changed"
            + (f" ({how})" if how else ""),
            f"dialogues: {self.dialogues_added} added, {self.dialogues_removed} removed, "
            f"{self.dialogues_changed} changed",
        ]
        for title, changes in (
            ("counts", self.counts), ("options", self.options), ("sources", self.sources),
            ("decisions", self.decisions), ("stages' counts", self.stage_counts),
        ):  # fmt: skip
            lines += _shown(title, [f"{item.name}: {_said(item.before)} -> {_said(item.after)}" for item in changes])
        lines += _shown("added", self.added)
        lines += _shown("removed", self.removed)
        lines += _shown("changed", [f"{record.id}: {', '.join(record.parts)}" for record in self.changed])
        lines += _shown("erasures", [f"{e.on}: {e.records} records, {e.dialogues} dialogues" for e in self.erasures])
        return "\n".join(lines)


class Forgotten(BaseModel):
    """What forgetting did. ``version`` is '' where the dataset held nothing of the patient.

    ``adapters`` are folders of adapters that were trained on versions with the patient's records; ``holding`` are
    those versions that are still there, ``elsewhere`` other files in which the patient was found.
    """

    model_config = ConfigDict(frozen=True)

    patient: str
    version: str
    folder: Path | None
    records: int
    dialogues: int
    adapters: list[Path]
    holding: list[Path]
    purged: list[Path]
    elsewhere: list[Path]

    def text(self) -> str:
        """For a person: what was done, and what is left to do."""
        lines = [f"The patient ({self.patient}) will be left out of every later run."]
        if self.folder:
            lines.append(f"{self.records} records and {self.dialogues} dialogues removed: new version {self.folder}")
        else:
            lines.append("This version holds no record of the patient; there is no new one.")
        lines += [f"Removed: {path}" for path in self.purged]
        lines += [f"Train again, it has learnt from these records: {path}" for path in self.adapters]
        lines += [f"Still holds the records, remove it: {path}" for path in [*self.holding, *self.elsewhere]]
        return "\n".join(lines)


def diff(before: Path, after: Path) -> Difference:
    """Compare two versions. Raises ConfigurationError for a folder that is no version or was changed."""
    old, new = read_manifest(before, verify=True), read_manifest(after, verify=True)
    was, now = _records(before), _records(after)
    said, says = _dialogues(before), _dialogues(after)
    differing = {name: _parts(was[name], now[name]) for name in sorted(was.keys() & now.keys())}
    return Difference(
        before=old.version,
        after=new.version,
        related=_related(old, new),
        added=sorted(now.keys() - was.keys()),
        removed=sorted(was.keys() - now.keys()),
        changed=[ChangedRecord(id=name, parts=parts) for name, parts in differing.items() if parts],
        dialogues_added=len(says.keys() - said.keys()),
        dialogues_removed=len(said.keys() - says.keys()),
        dialogues_changed=sum(said[name] != says[name] for name in said.keys() & says.keys()),
        counts=_changes(old.counts, new.counts),
        options=_changes(_options(old), _options(new)),
        stage_counts=_changes(_stage_counts(old), _stage_counts(new)),
        sources=_changes(old.sources, new.sources),
        decisions=_changes(old.decisions, new.decisions),
        erasures=[erasure for erasure in new.erasures if erasure not in old.erasures],
    )


def forgotten(path: Path, secret: bytes | None = None) -> frozenset[str]:
    """Keyed hashes of the patients whom no run may take in; none if the list does not exist.

    With ``secret`` the list must have been made with it: under another one nobody in it would be recognised. Raises
    ConfigurationError.
    """
    stones = _tombstones(path)
    for number, stone in enumerate(stones, start=1):
        if secret is not None and stone.secret_fingerprint != fingerprint(secret):
            raise ConfigurationError(
                f"{path}:{number}: written with another secret; curate with that one, or these patients come back"
            )
    return frozenset(stone.patient for stone in stones)


def forget(
    dataset: Path,
    patient: str,
    *,
    secret: bytes,
    on: date,
    adapters: Sequence[Path] = (),
    also: Sequence[Path] = (),
    purge: bool = False,
) -> Forgotten:
    """Make a version of ``dataset`` without a patient, whom the sources call ``patient`` (the id, not the name).

    Removed are her records, others of her conversations, and whatever was made from either (``origin``). ``adapters``
    are folders to look for adapters in, ``also`` work folders to look for her records in; ``purge`` removes every
    version beside ``dataset`` that holds them, but nothing elsewhere. Raises ConfigurationError if the dataset was made
    with another secret, if a run is working in one of ``also``, or if the list cannot be read or written: then nothing
    is done; and if the rest cannot be written: then she is on the list, and it is to be run again.
    """
    # 1. The patient as the dataset knows her.
    manifest = read_manifest(dataset, verify=True)
    if manifest.secret_fingerprint != fingerprint(secret):
        raise ConfigurationError(
            f"{dataset} was made with another secret; patients in it cannot be found with this one"
        )
    patient = cleaned(patient)[0].strip()  # as ingest reads it
    if not patient:
        raise ConfigurationError("the patient's id is empty")
    stone = Tombstone(patient=keyed_hash(secret, "patient", patient), secret_fingerprint=fingerprint(secret), on=on)
    # 2. No run that does not know of it publishes meanwhile.
    with _held(also, dataset.parent):
        # 3. Later runs first: whatever happens next, she does not come back.
        _bury(dataset.parent / TOMBSTONES, stone)
        try:
            done = _taken_out(dataset, manifest, stone, adapters, purge)
            return done.model_copy(update={"elsewhere": sorted(_elsewhere(also, (stone.patient, patient)))})
        except OSError as error:
            raise ConfigurationError(
                f"{error.filename or dataset.parent}: {error.strerror or error}; later runs will leave the patient "
                "out; mend it and run it again for the versions that are there"
            ) from error


def _taken_out(dataset: Path, manifest: Manifest, stone: Tombstone, roots: Sequence[Path], purge: bool) -> Forgotten:
    """Write the version without her, remove the others if asked to; ``elsewhere`` is not looked for."""
    # 1. What holds her, before anything is written or removed.
    found = find_versions(dataset.parent)
    holding = {name: folder for name, folder in found.items() if _traces(folder, stone.patient)}
    learnt = _adapters(roots, holding, _lost_ancestors(dataset.parent, holding.values()))
    # 2. The new version.
    removed = _hers(dataset, stone.patient)
    folder, dialogues = None, 0
    if removed:
        folder, dialogues = _without(dataset, manifest, removed, stone)
    # 3. The old ones.
    purged = sorted(holding.values()) if purge else []
    for path in purged:
        shutil.rmtree(path)
    return Forgotten(
        patient=stone.patient,
        version=read_manifest(folder).version if folder else "",
        folder=folder,
        records=len(removed),
        dialogues=dialogues,
        adapters=learnt,
        holding=[path for path in sorted(holding.values()) if path not in purged],
        purged=purged,
        elsewhere=[],
    )


@contextmanager
def alone(folder: Path, *, wait: bool = False) -> Iterator[None]:
    """Hold a folder, made if it is not there, against other processes. ConfigurationError if another holds it, unless
    this one is to ``wait``, and where the folder cannot be written.

    Who holds a work folder and the folder of the versions takes the work folder first.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        lock = (folder / ".lock").open("w")
    except OSError as error:
        raise ConfigurationError(f"{error.filename or folder} cannot be written: {error.strerror}") from None
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ConfigurationError(f"{folder}: another run is working here; wait for it") from None
        except OSError as error:
            raise ConfigurationError(f"{folder / '.lock'} cannot be locked: {error.strerror}") from None
        yield


@contextmanager
def _held(works: Sequence[Path], versions: Path) -> Iterator[None]:
    with ExitStack() as locks:
        for work in sorted({work.resolve() for work in works}):
            locks.enter_context(alone(work))
        locks.enter_context(alone(versions, wait=True))
        yield


class Tombstone(BaseModel):
    """A line of the list of forgotten patients."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    patient: str = Field(pattern=r"^[0-9a-f]{20}$")
    secret_fingerprint: str
    on: date


def _tombstones(path: Path) -> list[Tombstone]:
    """The list; ConfigurationError that names the line and the mend: whom a broken line names would come back."""
    try:
        lines = path.read_bytes().splitlines()
    except FileNotFoundError:
        return []
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be read: {error.strerror}") from None
    stones = []
    for number, line in enumerate(lines, start=1):
        try:
            stones.append(Tombstone.model_validate_json(line))
        except ValidationError as error:
            raise ConfigurationError(
                f"{path}:{number}: {error.errors()[0]['msg']}; take the list from a backup, or remove this line and "
                "forget the patient again: `bedside-train data forget`"
            ) from None
    return stones


def _bury(path: Path, stone: Tombstone) -> None:
    """Add to the list, which is there whole whatever happens. ConfigurationError if it cannot be written."""
    stones = _tombstones(path)
    if any(stone.patient == known.patient for known in stones):
        return
    text = "".join(f"{known.model_dump_json()}\n" for known in [*stones, stone])
    try:
        mode = stat.S_IMODE(path.stat().st_mode) if stones else 0o600
        replace_file(path, text.encode(), mode)
    except OSError as error:
        raise ConfigurationError(
            f"{path} cannot be written: {error.strerror}; mend it and run it again: nobody was forgotten"
        ) from None


def _hers(dataset: Path, patient: str) -> frozenset[str]:
    """Ids of a patient's records, of the other records of her conversations, and of all that was made from them."""
    seen = [(r.id, r.origin, r.patient, r.conversation) for r in read_records(dataset / RECORDS)]
    conversations = {conversation for _, _, who, conversation in seen if who == patient and conversation}
    removed = {name for name, _, who, conversation in seen if who == patient or conversation in conversations}
    while more := {name for name, origin, _, _ in seen if origin in removed} - removed:
        removed |= more
    return frozenset(removed)


def _without(dataset: Path, manifest: Manifest, removed: frozenset[str], stone: Tombstone) -> tuple[Path, int]:
    """Write the version without these records; its folder, and how many dialogues went with them."""
    dialogues = 0
    with tempfile.TemporaryDirectory(dir=dataset.parent, prefix=".forget-") as temporary:
        content = Path(temporary)
        for name in (RECORDS, *(f"{side}.jsonl" for side in SIDES)):
            with (content / name).open("w", encoding="utf-8") as out:
                for line in _lines(dataset / name):
                    if record_of(json.loads(line)["id"]) not in removed:
                        out.write(line)
                    elif name != RECORDS:
                        dialogues += 1
        erasure = Erasure(
            patient=stone.patient, on=stone.on, version=manifest.version, records=len(removed), dialogues=dialogues
        )
        kept = {name: getattr(manifest, name) for name in Provenance.model_fields}
        kept |= {"parent": manifest.version, "erasures": [*manifest.erasures, erasure]}
        return write_version(content, dataset.parent, Provenance(**kept)), dialogues


def _lost_ancestors(versions: Path, folders: Iterable[Path]) -> frozenset[str]:
    """Ancestors that are gone: what they held cannot be looked up, so it is taken to be what came after."""
    known = {name: read_manifest(folder) for name, folder in find_versions(versions).items()}
    lost = set()
    for folder in folders:
        parent = read_manifest(folder).parent
        while parent in known:
            parent = known[parent].parent
        lost.add(parent)
    return frozenset(lost - {""})


def _adapters(roots: Sequence[Path], holding: dict[str, Path], lost: frozenset[str]) -> list[Path]:
    """Folders of the adapters that were trained on one of the versions, by the manifest or by the files' hash."""
    hashes = {files_hash([folder / "train.jsonl", folder / "held_out.jsonl"]) for folder in holding.values()}
    found = set()
    for path in (path for root in roots for path in root.rglob("manifest.json")):
        try:
            manifest = AdapterManifest.model_validate_json(path.read_bytes())
        except (OSError, ValidationError):
            continue
        if not (holding.keys() | lost).isdisjoint(manifest.dataset_versions) or manifest.dataset_sha256 in hashes:
            found.add(path.parent)
    return sorted(found)


def _traces(folder: Path, patient: str) -> bool:
    return any(f'"{patient}"' in line for line in _lines(folder / RECORDS))


def _elsewhere(roots: Sequence[Path], names: Sequence[str]) -> Iterator[Path]:
    """Record and quarantine files in which one of the names stands as a JSON string."""
    wanted = [json.dumps(name, ensure_ascii=False).encode() for name in names]
    for path in (path for root in roots for path in root.rglob("*.jsonl") if path.name != TOMBSTONES):
        with path.open("rb") as lines:
            if any(name in line for line in lines for name in wanted):
                yield path


def _records(folder: Path) -> dict[str, dict[str, str]]:
    """Of each record a short hash of each part, so that two large versions fit into memory."""
    return {
        record.id: {part: _digest([fields[name] for name in names]) for part, names in _PARTS.items()}
        for record in read_records(folder / RECORDS)
        for fields in [record.model_dump(mode="json")]
    }


def _dialogues(folder: Path) -> dict[str, str]:
    return {json.loads(line)["id"]: _digest(line) for side in SIDES for line in _lines(folder / f"{side}.jsonl")}


def _parts(before: dict[str, str], after: dict[str, str]) -> list[str]:
    return [part for part in _PARTS if before[part] != after[part]]


def _digest(value: Any) -> str:
    text = json.dumps(value, sort_keys=True, ensure_ascii=False)
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()


def _related(old: Manifest, new: Manifest) -> Literal["same", "child", "parent", "none"]:
    if old.version == new.version:
        return "same"
    return "child" if new.parent == old.version else "parent" if old.parent == new.version else "none"


def _options(manifest: Manifest) -> dict[str, Any]:
    settings = {f"{stage.name}.{name}": value for stage in manifest.stages for name, value in _flat(stage.options)}
    secret, prompt = manifest.secret_fingerprint, manifest.prompt_version
    return settings | {"seed": manifest.seed, "site": manifest.site, "secret's fingerprint": secret, "prompt": prompt}


def _stage_counts(manifest: Manifest) -> dict[str, int]:
    found: dict[str, int] = {}
    for stage in manifest.stages:
        found |= {f"{stage.name}.records in": stage.records_in, f"{stage.name}.records out": stage.records_out}
        found |= {f"{stage.name}.{name}": count for name, count in stage.counts.items()}
    return found


def _flat(options: dict[str, Any], head: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in options.items():
        if isinstance(value, dict) and value:
            yield from _flat(value, f"{head}{name}.")
        else:
            yield f"{head}{name}", value


def _changes(before: dict[str, Any], after: dict[str, Any]) -> list[Change]:
    return [
        Change(name=name, before=before.get(name), after=after.get(name))
        for name in sorted(before.keys() | after.keys())
        if before.get(name) != after.get(name)
    ]


def _shown(title: str, lines: Sequence[str]) -> list[str]:
    if not lines:
        return []
    more = [f"  and {len(lines) - _SHOWN} more"] if len(lines) > _SHOWN else []
    return [f"{title}:", *(f"  {line}" for line in lines[:_SHOWN]), *more]


def _said(value: Any) -> str:
    text = "nothing" if value is None else str(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _lines(path: Path) -> Iterator[str]:
    with path.open(encoding="utf-8") as lines:
        yield from lines
