"""What a source calls our fields, however it writes them: ``Patient``, ``patient `` and ``PATIENT`` are one key.

All formats look their keys, columns and headers up here.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any

from training.curate.formats.contract import FIELDS, FieldName, SourceRule
from training.curate.formats.encoding import cleaned
from training.curate.formats.facts import yes_or_no

_BETWEEN = re.compile(r"[\s_.\-]+")
_SHORT = 100
"""Characters of a key that is kept for the next time."""
_GROUPS = "groups"


def folded(key: str) -> str:
    """A key without regard to case and to blanks around it; ``_``, ``-``, ``.`` and blanks are alike."""
    return _folded_once(key) if len(key) <= _SHORT else _fold(key)


def _fold(key: str) -> str:
    text = key if key.isascii() else cleaned(key)[0]
    return _BETWEEN.sub(" ", text.casefold()).strip()


_folded_once = lru_cache(maxsize=4096)(_fold)


def told(pairs: Iterable[tuple[str, Any]], rule: SourceRule) -> dict[str, Any]:
    """What a record tells, by the rule's own keys; what the rule does not look for is left out.

    Where several of its keys are one for us, the one that is written as in the rule counts before others, and the first
    before the next, as far as it says anything. Of consent any no counts.
    """
    wanted = _wanted(rule)
    exact: dict[str, Any] = {}
    alike: dict[str, Any] = {}
    refused = False
    consent = rule.key("consent")
    for name, value in pairs:
        for key in wanted.get(folded(name), ()):
            into = exact if key == name else alike
            if key not in into or (_empty(into[key]) and not _empty(value)):
                into[key] = value
            refused |= key == consent and yes_or_no(value) is False
    found = alike | {key: value for key, value in exact.items() if key not in alike or not _empty(value)}
    return found | ({consent: False} if refused else {})


def told_inside(item: Mapping[str, Any], rule: SourceRule) -> dict[str, Any]:
    """What a JSON object tells: keys of objects inside it are joined by dots."""
    inner = [key for key in dict.fromkeys([*rule.fields.values(), *rule.groups.values()]) if "." in key]
    deep = [(key, value) for key in inner if key not in item for value in _at([item], key.split("."))]
    found = told([*item.items(), *deep], rule)
    turns = found.get(rule.key("turns"))
    # What the turns have is no word of the record's own.
    return dict.fromkeys(_of_turns(turns, rule)) | found if isinstance(turns, list) else found


def of_turn(item: Mapping[str, Any], rule: SourceRule, name: FieldName) -> Any:
    """A field of one turn."""
    key = rule.key(name)
    return item[key] if key in item else told(item.items(), rule).get(key)


def _of_turns(turns: Sequence[Any], rule: SourceRule) -> Iterator[str]:
    """Keys of what is said that some turn has."""
    for key in (rule.key("speaker"), rule.key("text")):
        if any(isinstance(turn, Mapping) and any(folded(name) == folded(key) for name in turn) for turn in turns):
            yield key


def column(header: Sequence[str], rule: SourceRule, name: FieldName) -> int | None:
    """The place of a field's column."""
    key = rule.key(name)
    if key in header:
        return header.index(key)
    return next((place for place, cell in enumerate(header) if folded(cell) == folded(key)), None)


def _wanted(rule: SourceRule) -> Mapping[str, Sequence[str]]:
    """The rule's keys by what they are for us."""
    found: defaultdict[str, list[str]] = defaultdict(list)
    for key in dict.fromkeys([*map(rule.key, FIELDS), *rule.groups.values(), _GROUPS]):
        found[folded(key)].append(key)
    return found


def _at(items: Iterable[Any], path: Sequence[str]) -> Iterator[Any]:
    """All that stands at a path; each object is looked at once for each of its steps."""
    for step in map(folded, path):
        items = [
            value for item in items if isinstance(item, Mapping) for key, value in item.items() if folded(key) == step
        ]
    yield from items


def _empty(value: Any) -> bool:
    return value is None or (isinstance(value, str) and not value.strip())
