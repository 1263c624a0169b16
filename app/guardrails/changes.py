"""What differs between two policy bundles, for whoever reviews the new one."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from app.guardrails.policy import PolicyBundle, Rule

Kind = Literal["added", "removed", "changed"]
_MARKS = {"added": "+", "removed": "-", "changed": "~"}


@dataclass(frozen=True, slots=True)
class FieldChange:
    """A field with another value; of a list only the entries that came or went (none: their order changed)."""

    field: str
    was: Any
    now: Any


@dataclass(frozen=True, slots=True)
class Change:
    """A rule, text, list or header that came, went or has other fields."""

    section: str
    name: str
    kind: Kind
    fields: tuple[FieldChange, ...] = ()


@dataclass(frozen=True, slots=True)
class Changes:
    """All differences. ``old`` and ``new`` name the bundles by version and hash."""

    old: tuple[str, str]
    new: tuple[str, str]
    changes: tuple[Change, ...]

    def as_json(self) -> dict[str, Any]:
        """The stable form of ``bedside policies diff --json``."""
        (was, was_hash), (now, now_hash) = self.old, self.new
        return {
            "old": {"version": was, "hash": was_hash},
            "new": {"version": now, "hash": now_hash},
            "changes": [asdict(change) for change in self.changes],
        }

    def as_lines(self) -> Iterator[str]:
        """The same for people."""
        yield f"{self.old[0]} {self.old[1][:12]} -> {self.new[0]} {self.new[1][:12]}"
        section = ""
        for change in self.changes:
            if change.section != section:
                section = change.section
                yield f"\n{section}"
            yield f"  {_MARKS[change.kind]} {change.name}"
            for field in change.fields:
                yield from _shown(field)
        if not self.changes:
            yield "no difference"


def compare(old: PolicyBundle, new: PolicyBundle) -> Changes:
    """What it takes to get from one bundle to the other."""
    changes = list(_changed("bundle", {"bundle.yaml": _fields(old.header)}, {"bundle.yaml": _fields(new.header)}))
    for section in ("triage", "scope", "injection"):
        before, after = _by_id(getattr(old, section)), _by_id(getattr(new, section))
        changes += _changed(section, before, after)
        if section == "scope":
            changes += _moved(list(before), list(after))
    changes += _changed("texts", old.texts, new.texts)
    changes += _changed("learned raise", _learned(old), _learned(new))
    changes += _changed("learned wish", _wishes(old), _wishes(new))
    for section in ("lexicon", "context"):
        changes += _changed(section, _lists(getattr(old, section)), _lists(getattr(new, section)))
    was, now = ({"protected.txt": {"words": sorted(bundle.protected)}} for bundle in (old, new))
    changes += _changed("words", was, now)
    return Changes((old.version, old.hash), (new.version, new.hash), tuple(changes))


def _fields(model: Any) -> dict[str, Any]:
    found: dict[str, Any] = model.model_dump(mode="json", by_alias=True)
    return found


def _learned(bundle: PolicyBundle) -> dict[str, dict[str, Any]]:
    if bundle.learned is None:
        return {}
    fields = _fields(bundle.learned)
    categories = {f"category {name}": entry for name, entry in fields.pop("categories").items()}
    weights = hashlib.sha256(bundle.learned_weights).hexdigest()
    return {"learned.yaml": {**fields, "sha256 of the weights": weights}, **categories}


def _wishes(bundle: PolicyBundle) -> dict[str, dict[str, Any]]:
    if bundle.wishes is None:
        return {}
    weights = hashlib.sha256(bundle.wishes_weights).hexdigest()
    return {"wishes.yaml": {**_fields(bundle.wishes), "sha256 of the weights": weights}}


def _by_id(rules: Sequence[Rule]) -> dict[str, dict[str, Any]]:
    return {rule.id: _fields(rule) for rule in rules}


def _lists(lists: Mapping[str, list[str]]) -> dict[str, dict[str, Any]]:
    return {name: {"phrases": phrases} for name, phrases in lists.items()}


def _changed(
    section: str, before: Mapping[str, Mapping[str, Any]], after: Mapping[str, Mapping[str, Any]]
) -> Iterator[Change]:
    for name in sorted(before.keys() | after.keys()):
        if name not in before:
            yield Change(section, name, "added", tuple(FieldChange(f, None, v) for f, v in after[name].items() if v))
        elif name not in after:
            yield Change(section, name, "removed")
        elif before[name] != after[name]:
            keys = dict.fromkeys([*before[name], *after[name]])
            fields = [_field(key, before[name].get(key), after[name].get(key)) for key in keys]
            yield Change(section, name, "changed", tuple(field for field in fields if field is not None))


def _field(name: str, was: Any, now: Any) -> FieldChange | None:
    if was == now:
        return None
    if isinstance(was, list) and isinstance(now, list):
        return FieldChange(name, _beyond(was, now), _beyond(now, was))
    return FieldChange(name, was, now)


def _beyond(entries: Iterable[str], others: Iterable[str]) -> list[str]:
    """Entries that the others do not have (or not as often)."""
    return list((Counter(entries) - Counter(others)).elements())


def _moved(before: list[str], after: list[str]) -> Iterator[Change]:
    """The order of scope rules decides which one answers."""
    was = [name for name in before if name in after]
    now = [name for name in after if name in before]
    if was != now:
        yield Change("scope", "order of the rules", "changed", (FieldChange("order", was, now),))


def _shown(change: FieldChange) -> Iterator[str]:
    if isinstance(change.was, list) and isinstance(change.now, list):
        if not change.was and not change.now:
            yield f"      {change.field}: another order"
        for mark, entries in (("-", change.was), ("+", change.now)):
            for entry in entries:
                yield f"      {change.field}: {mark} {entry}"
    elif change.was is None:
        value = "; ".join(map(str, change.now)) if isinstance(change.now, list) else change.now
        yield f"      {change.field}: {value}"
    else:
        yield f"      {change.field}: {change.was} -> {change.now}"
