"""What changed from one dataset version to another."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from training.curate.dataset import SHORT, Erasure, Manifest, read_manifest
from training.curate.publish import SIDES
from training.curate.records import read_records
from training.curate.stages import RECORDS
from training.files import lines_of

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


def _records(folder: Path) -> dict[str, dict[str, str]]:
    """Of each record a short hash of each part, so that two large versions fit into memory."""
    return {
        record.id: {part: _digest([fields[name] for name in names]) for part, names in _PARTS.items()}
        for record in read_records(folder / RECORDS)
        for fields in [record.model_dump(mode="json")]
    }


def _dialogues(folder: Path) -> dict[str, str]:
    return {json.loads(line)["id"]: _digest(line) for side in SIDES for line in lines_of(folder / f"{side}.jsonl")}


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
