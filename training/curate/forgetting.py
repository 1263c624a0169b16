"""How a patient is forgotten.

Forgetting never edits a version. It notes the patient's keyed hash in a list that every later run reads, writes a new
version without the patient's records and whatever was made from them, and says which adapters have learnt from them:
these cannot be mended and have to be trained again.
"""

from __future__ import annotations

import json
import os
import re
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from datetime import date
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from app.contracts.adapters import AdapterManifest
from app.errors import ConfigurationError
from training.curate.dataset import (
    Erasure,
    Manifest,
    Provenance,
    find_versions,
    fingerprint,
    read_manifest,
    write_version,
)
from training.curate.formats.encoding import cleaned
from training.curate.ingest import QUARANTINE
from training.curate.keys import keyed_hash
from training.curate.locks import FORGETTING, alone, discard, sweep
from training.curate.publish import SIDES, record_of
from training.curate.records import read_records
from training.curate.stages import RECORDS
from training.curate.tombstones import TOMBSTONES, Tombstone, bury, forgotten
from training.files import lines_of
from training.finetune.data import files_hash

_QUOTING = ("report", "review")
"""Folders of a work folder whose files quote what was said."""


class Forgotten(BaseModel):
    """What forgetting did. ``version`` is '' where the dataset held nothing of the patient.

    ``adapters`` are folders of adapters that were trained on versions with the patient's records; ``holding`` are
    those versions that are still there. ``elsewhere`` are work folders in which she was found, or whose reports and
    exported questions may quote her, and other files in which she was found. ``leftovers`` are folders of killed runs
    that were removed, whoever was in them.
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
    leftovers: list[Path] = []

    def text(self) -> str:
        """For a person: what was done, and what is left to do."""
        lines = [f"The patient ({self.patient}) will be left out of every later run."]
        if not (self.folder or self.holding or self.purged or self.elsewhere):
            lines.append("No version and no work folder knows this id: is it typed as the sources have it?")
        if self.folder:
            lines.append(f"{self.records} records and {self.dialogues} dialogues removed: new version {self.folder}")
        else:
            lines.append("This version holds no record of the patient; there is no new one.")
        lines += [f"Removed: {path}" for path in self.purged]
        lines += [f"Removed, a run that was killed had left it: {path}" for path in self.leftovers]
        lines += [f"Train again, it has learnt from these records: {path}" for path in self.adapters]
        lines += [f"Still holds the records, remove it: {path}" for path in [*self.holding, *self.elsewhere]]
        return "\n".join(lines)


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

    Removed are her records, others of her conversations, and whatever was made from either (``origin``); those of whom
    the list has already, too. ``adapters``
    are folders to look for adapters in, ``also`` work folders to look for her records in; ``purge`` removes every
    version beside ``dataset`` that holds them, but nothing elsewhere. What killed runs have left unfinished in any of
    these folders is removed. Raises ConfigurationError if the dataset was made with another secret, if a run is working
    in one of ``also``, or if the list cannot be read or written: then nothing is done; and if the rest cannot be read
    or written: then she is on the list, and it is to be run again.
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
        bury(dataset.parent / TOMBSTONES, stone)
        try:
            swept = [path for folder in (dataset.parent, *also) for path in sweep(folder)]
            done = _taken_out(dataset, manifest, stone, adapters, purge)
            roots = [*also, *_no_versions(dataset.parent)]
            files = list(_elsewhere(roots, stone.patient, patient))
            known = bool(done.records or done.holding or done.purged)
            return done.model_copy(update={"elsewhere": _named(files, also, known=known), "leftovers": swept})
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
    removed = _of_each(dataset, [stone.patient, *sorted(forgotten(dataset.parent / TOMBSTONES) - {stone.patient})])
    folder, dialogues = None, 0
    if stone.patient in removed:
        folder, dialogues = _without(dataset, manifest, removed, stone)
    # 3. The old ones.
    purged = sorted(holding.values()) if purge else []
    for path in purged:
        discard(path)
    return Forgotten(
        patient=stone.patient,
        version=read_manifest(folder).version if folder else "",
        folder=folder,
        records=len(removed.get(stone.patient, ())),
        dialogues=dialogues,
        adapters=learnt,
        holding=[path for path in sorted(holding.values()) if path not in purged],
        purged=purged,
        elsewhere=[],
    )


@contextmanager
def _held(works: Sequence[Path], versions: Path) -> Iterator[None]:
    with ExitStack() as locks:
        for work in sorted({work.resolve() for work in works}):
            locks.enter_context(alone(work))
        locks.enter_context(alone(versions, wait=True))
        yield


def _of_each(dataset: Path, patients: Sequence[str]) -> dict[str, frozenset[str]]:
    """Ids of each patient's records, of the other records of her conversations, and of all that was made from them;
    those of whom there is none are left out.
    """
    seen = [(r.id, r.origin, r.patient, r.conversation) for r in read_records(dataset / RECORDS)]
    found = {}
    for patient in patients:
        conversations = {conversation for _, _, who, conversation in seen if who == patient and conversation}
        removed = {name for name, _, who, conversation in seen if who == patient or conversation in conversations}
        while more := {name for name, origin, _, _ in seen if origin in removed} - removed:
            removed |= more
        if removed:
            found[patient] = frozenset(removed)
    return found


def _without(
    dataset: Path, manifest: Manifest, removed: Mapping[str, frozenset[str]], stone: Tombstone
) -> tuple[Path, int]:
    """Write the version without these records, hers and those of who was forgotten before and still stands in it; its
    folder, and how many dialogues of hers went.
    """
    owners = {name: patient for patient, names in reversed(list(removed.items())) for name in names}
    dialogues: Counter[str] = Counter()
    with tempfile.TemporaryDirectory(dir=dataset.parent, prefix=FORGETTING) as temporary:
        content = Path(temporary)
        for name in (RECORDS, *(f"{side}.jsonl" for side in SIDES)):
            with (content / name).open("w", encoding="utf-8") as out:
                for line in lines_of(dataset / name):
                    owner = owners.get(record_of(json.loads(line)["id"]))
                    if owner is None:
                        out.write(line)
                    elif name != RECORDS:
                        dialogues[owner] += 1
        erasures = [
            Erasure(
                patient=patient,
                on=stone.on,
                version=manifest.version,
                records=len(names),
                dialogues=dialogues[patient],
            )
            for patient, names in removed.items()
        ]
        kept = {name: getattr(manifest, name) for name in Provenance.model_fields}
        kept |= {"parent": manifest.version, "erasures": [*manifest.erasures, *erasures]}
        return write_version(content, dataset.parent, Provenance(**kept)), dialogues[stone.patient]


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
    for path in (path for root in roots for path in _files(root) if path.name == "manifest.json"):
        try:
            manifest = AdapterManifest.model_validate_json(path.read_bytes())
        except ValidationError:
            continue
        if not (holding.keys() | lost).isdisjoint(manifest.dataset_versions) or manifest.dataset_sha256 in hashes:
            found.add(path.parent)
    return sorted(found)


def _traces(folder: Path, patient: str) -> bool:
    return any(f'"{patient}"' in line for line in lines_of(folder / RECORDS))


def _elsewhere(roots: Sequence[Path], key: str, patient: str) -> Iterator[Path]:
    """Files in which the patient's hash or id stands as a JSON string, or the id as a word of what was set aside."""
    wanted = [json.dumps(name, ensure_ascii=False).encode() for name in (key, patient)]
    word = re.compile(rf"(?<!\w){re.escape(patient)}(?!\w)")
    files = (path for root in roots for path in _files(root))
    for path in (path for path in files if path.suffix == ".jsonl" and path.name != TOMBSTONES):
        aside = path.name == QUARANTINE
        with path.open("rb") as lines:
            if any(any(name in line for name in wanted) or (aside and word.search(_told(line))) for line in lines):
                yield path


def _named(files: Sequence[Path], works: Sequence[Path], *, known: bool) -> list[Path]:
    """What to remove: a work folder as a whole, as its reports and questions quote records without saying whose they
    are; these alone where no records are left and a version has ``known`` her; other files by themselves.
    """
    found = {next((work for work in works if path.is_relative_to(work)), path) for path in files}
    quoting = [work / name for work in works if known and work not in found for name in _QUOTING]
    return sorted(found.union(filter(Path.exists, quoting)))


def _told(line: bytes) -> str:
    """What a line of the quarantine tells, as ingest would have read it: pieces of sources, whatever their format."""
    text = line.decode(errors="replace")
    try:
        fields = json.loads(text)
    except (ValueError, RecursionError):
        return text
    return cleaned("\n".join(map(str, fields.values())) if isinstance(fields, dict) else text)[0]


def _no_versions(versions: Path) -> list[Path]:
    """Folders beside the versions that are none: their manifest is gone or was changed, and no run looks into them."""
    found = {os.path.realpath(path) for path in find_versions(versions).values()}
    return [path for path in sorted(versions.iterdir()) if path.is_dir() and os.path.realpath(path) not in found]


def _files(root: Path) -> Iterator[Path]:
    """All files under a folder, hidden ones too. OSError where a folder in it cannot be read: she may be there."""
    for folder, _, names in os.walk(root, onerror=_refused):
        yield from (path for path in (Path(folder) / name for name in names) if path.is_file())


def _refused(error: OSError) -> None:
    raise error
