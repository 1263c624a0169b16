"""Counterfactual copies: the same call, had the people in it been of the other sex or of another age.

A copy keeps its source's answer, so that whoever learns from both learns that the answer does not hang on the group.
The words that trade places, and those that forbid a copy because sex or age matters to the answer, stand in
``counterfactual.yaml``. The swap of sex is a mirror of everyone in the call; its copy's ``groups`` are mirrored too.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import yaml

from training.curate.answers import language
from training.curate.records import Record, Turn, record_id

Axis = Literal["sex", "age_band"]
AXES: tuple[Axis, ...] = ("sex", "age_band")

LANGUAGE_UNKNOWN = "not English"
NOTHING_TO_SWAP = "no word to swap"
NO_COUNTERPART = "group unknown or without counterpart"
TOPIC = "topic where age may matter"

_ADDRESS = frozenset({"sir", "ma'am", "ma’am"})
_SEXES = {"female": "male", "male": "female", "f": "m", "m": "f", "woman": "man", "man": "woman"}
_AGE = re.compile(
    r"\b(?P<before>(?:I.m|I am|he.s|he is|she.s|she is|turned|aged?) )(?P<age>[2-8]\d)\b"
    r"(?! ?(?:%|mg|minutes|hours|days|weeks))"
    r"|\b(?P<years>[2-8]\d)(?P<after>[- ]years?[- ]old)\b",
    re.IGNORECASE,
)
_FROM_AGE, _SHIFT = 60, 35


@dataclass(frozen=True, slots=True)
class Counterfactual:
    """A copy along one axis, or the reason why there is none."""

    axis: Axis
    copy: Record | None
    reason: str = ""


class Mirror:
    """Makes copies; build it once in each process."""

    def __init__(self, bands: Iterable[str] = ()) -> None:
        lists = yaml.safe_load(Path(__file__).with_name("counterfactual.yaml").read_text(encoding="utf-8"))
        pairs = [*lists["sex_pairs"], *lists["names"]]
        self._words = {one.lower(): other for pair in pairs for one, other in (pair, pair[::-1])}
        self._words |= {one.lower(): other for one, other in lists["one_way"]}
        words = sorted([*self._words, "her", "hers", "his", "him"], key=len, reverse=True)
        self._swapped = re.compile(r"(?<![\w<-])(" + "|".join(map(re.escape, words)) + r")(?![\w>-])", re.IGNORECASE)
        self._ends_her = frozenset(lists["after_object_her"].split())
        self._given = frozenset(name for pair in lists["names"] for name in pair)
        self._sex_matters, self._age_matters = _beginnings(lists["sex_matters"]), _beginnings(lists["age_matters"])
        self._age_topics = frozenset(lists["age_topics"])
        self._bands = {band: found for band in bands if (found := _range(band))}

    def copy(self, record: Record, axis: Axis) -> Counterfactual:
        """The copy along an axis, with ``origin``, id and groups of its own; weight and split side are its source's."""
        if language(record) not in ("en", ""):
            return Counterfactual(axis, None, LANGUAGE_UNKNOWN)
        group, texts, reason = self._mirrored(record) if axis == "sex" else self._aged(record)
        if reason:
            return Counterfactual(axis, None, reason)
        changed = record.with_turns(texts)
        changed = changed.model_copy(
            update={
                "id": record_id(record.source, record.place, changed.turns),
                "groups": {**record.groups, axis: group},
                "origin": record.id,
            }
        )
        return Counterfactual(axis, changed)

    def _mirrored(self, record: Record) -> tuple[str, list[str], str]:
        own = record.groups.get("sex", "")
        group = _like(own, _SEXES.get(own.lower(), ""))
        if not group:
            return "", [], NO_COUNTERPART
        if found := self._sex_matters.search(record.text):
            return "", [], f"sex may matter: {found.group(0).lower()}"
        if not any(self._tells(turn) for turn in record.turns):
            return "", [], NOTHING_TO_SWAP
        return group, [self._swapped.sub(self._other, turn.text) for turn in record.turns], ""

    def _tells(self, turn: Turn) -> bool:
        """Whether a word that would be swapped is about more than the agent whom a patient calls sir or ma'am."""
        found = {match.group(0) for match in self._swapped.finditer(turn.text) if self._other(match) != match.group(0)}
        return bool(found if turn.speaker == "staff" else {word for word in found if word.lower() not in _ADDRESS})

    def _other(self, match: re.Match[str]) -> str:
        word = match.group(0)
        if word.capitalize() in self._given and not word[0].isupper():
            return word
        lower = word.lower()
        if lower == "her":
            other = "his" if self._possesses(match.string[match.end() :]) else "him"
        elif lower == "his":
            other = "her" if re.match(r"\s+[\w<]", match.string[match.end() :]) else "hers"
        else:
            other = {"hers": "his", "him": "her"}.get(lower) or self._words[lower]
        return _like(word, other)

    def _possesses(self, rest: str) -> bool:
        following = re.match(r"\s+(<?[\w']+)", rest)
        return bool(following) and following is not None and following.group(1).lower() not in self._ends_her

    def _aged(self, record: Record) -> tuple[str, list[str], str]:
        own = record.groups.get("age_band", "")
        if own not in self._bands:
            return "", [], NO_COUNTERPART
        if record.topic not in self._age_topics:
            return "", [], TOPIC
        if found := self._age_matters.search(record.text):
            return "", [], f"age may matter: {found.group(0).lower()}"
        ages = {int(found["age"] or found["years"]) for turn in record.turns for found in _AGE.finditer(turn.text)}
        if not ages:
            return "", [], NOTHING_TO_SWAP
        age = min(ages)
        if len(ages) > 1 or not _holds(self._bands[own], age):
            return "", [], NO_COUNTERPART
        other = age - _SHIFT if age >= _FROM_AGE else age + _SHIFT
        band = next((name for name, ends in self._bands.items() if _holds(ends, other)), own)
        if band == own or other > 89:
            return "", [], NO_COUNTERPART
        return band, [_AGE.sub(_years(other), turn.text) for turn in record.turns], ""


def _years(age: int) -> Callable[[re.Match[str]], str]:
    return lambda match: f"{match['before'] or ''}{age}{match['after'] or ''}"


def _range(band: str) -> tuple[int, int] | None:
    """The ages of a band such as "18-39" or "65+"."""
    found = re.fullmatch(r"(\d+)\s*(?:[-–]\s*(\d+)|\+)", band.strip())
    return (int(found[1]), int(found[2] or 120)) if found else None


def _holds(ends: tuple[int, int], age: int) -> bool:
    return ends[0] <= age <= ends[1]


def _beginnings(patterns: Iterable[str]) -> re.Pattern[str]:
    return re.compile(r"\b(?:" + "|".join(patterns) + ")", re.IGNORECASE)


def _like(word: str, other: str) -> str:
    """The other word in the case of the first."""
    if word.isupper() and len(word) > 1:
        return other.upper()
    return other[:1].upper() + other[1:] if word[:1].isupper() else other.lower()
