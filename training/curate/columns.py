"""What balancing keeps of each call: numbers in columns, about a hundred bytes with those of its possible copies."""

from __future__ import annotations

import hashlib
from array import array
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from itertools import repeat
from typing import Any

import numpy as np
import numpy.typing as npt

from training.curate.answers import MEASURES, Rater, language
from training.curate.bias import LANGUAGE, Answers, Ints, Labels
from training.curate.counterfactual import AXES, Axis, Mirror
from training.curate.mitigation import Rows, within_share
from training.curate.readability import level
from training.curate.records import Record

READING = "reading_level"
MOST_GROUPS = 30
"""A dimension of more groups than this is free text, not a group of people."""


@dataclass(frozen=True, slots=True)
class Row:
    """One call, or the copy along ``axis`` that it could have."""

    values: tuple[float, ...]
    groups: Mapping[str, str]
    topic: str
    language: str
    axis: Axis | None = None


@dataclass(frozen=True, slots=True)
class Signature:
    """A call's row, those of its possible copies, and for each axis without one the reason."""

    id: str
    patient: str
    rows: tuple[Row, ...]
    refused: tuple[tuple[Axis, str], ...]


def signer(rater: Rater, mirror: Mirror) -> Callable[[Record], Signature]:
    """The function that reads one call. A copy has its source's answer, and so its measures."""

    def sign(record: Record) -> Signature:
        asked = "\n".join(turn.text for turn in record.turns if turn.speaker == "patient")
        spoken = language(record)
        read = level(asked) if spoken in ("en", "") else ""
        own = Row(rater.rate(record), _groups(record, spoken, read), record.topic, spoken)
        found = [mirror.copy(record, axis) for axis in AXES]
        copies = [replace(own, groups=_groups(item.copy, spoken, read), axis=item.axis) for item in found if item.copy]
        refused = tuple((item.axis, item.reason) for item in found if item.copy is None)
        return Signature(record.id, record.patient or record.id, (own, *copies), refused)

    return sign


def _groups(record: Record, spoken: str, read: str) -> dict[str, str]:
    return {name: value.strip() for name, value in record.groups.items()} | {LANGUAGE: spoken, READING: read}


class _Coded:
    """A column of words, kept as codes; the empty word is -1. After ``most`` words no more are told apart."""

    def __init__(self, most: int | None = None) -> None:
        self.names: dict[str, int] = {}
        self._most = most
        self._codes: array[int] = array("i" if most is None else "b")

    def add(self, name: str) -> None:
        """One more row."""
        if name and (self._most is None or len(self.names) < self._most):
            self.names.setdefault(name, len(self.names))
        self._codes.append(self.names.get(name, -1))

    def fill(self, rows: int) -> None:
        """Rows of nothing, up to a length."""
        self._codes.extend(repeat(-1, rows - len(self._codes)))

    def labels(self, rows: npt.NDArray[Any]) -> Labels:
        """Of the chosen rows, with the names in order."""
        names = sorted(self.names)
        place = np.full(len(names) + 1, -1, dtype=np.int64)
        for new, name in enumerate(names):
            place[self.names[name]] = new
        return Labels(tuple(names), place[np.asarray(self._codes)[rows]])


class Columns:
    """Grown call by call; ``calls`` counts them. A copy's measures, topic and language are its call's and stand here
    once.
    """

    def __init__(self) -> None:
        self.calls = 0
        self._values = array("d")
        self._topics, self._languages = _Coded(), _Coded()
        self._keys, self._draws = array("Q"), array("Q")
        self._owners, self._axes = array("I"), array("b")
        self._dimensions: dict[str, _Coded] = {}

    def add(self, signature: Signature) -> None:
        """One more call with its possible copies."""
        own = signature.rows[0]
        self._values.extend(own.values)
        self._topics.add(own.topic or "?")
        self._languages.add(own.language or "?")
        self._keys.append(_hash(signature.patient))
        self._draws.append(_hash(signature.id))
        for row in signature.rows:
            for name, group in row.groups.items():
                column = self._dimensions.setdefault(name, _Coded(MOST_GROUPS + 1))
                column.fill(len(self._owners))
                column.add(group)
            self._owners.append(self.calls)
            self._axes.append(-1 if row.axis is None else AXES.index(row.axis))
        self.calls += 1

    def topics(self, rows: Rows) -> Labels:
        """The topics of rows as a dimension."""
        return Labels(tuple(sorted(self._topics.names)), rows.answers.topics)

    def rows(self, copies: float) -> Rows:
        """The calls and so many copies (:func:`within_share`), a call and its copies of weight 1 together. A dimension
        of one group or of too many is left out.
        """
        owners, axes = np.asarray(self._owners, dtype=np.int64), np.asarray(self._axes)
        kept = np.flatnonzero(within_share(owners, axes >= 0, np.asarray(self._draws), copies))
        count, owners = len(owners), owners[kept]
        dimensions = {}
        for name, column in sorted(self._dimensions.items()):
            column.fill(count)
            if 1 < len(column.names) <= MOST_GROUPS:
                dimensions[name] = column.labels(kept)
        keys = np.asarray(self._keys)
        answers = Answers(
            measures=MEASURES,
            values=np.asarray(self._values).reshape(self.calls, len(MEASURES))[owners],
            dimensions=dimensions,
            topics=self._topics.labels(owners).codes,
            languages=self._languages.labels(owners).codes,
            patients=_in_order(keys)[owners],
            weights=1 / np.bincount(owners)[owners],
        )
        return Rows(answers, owners, axes[kept].astype(np.int64), keys[owners])


def _in_order(keys: npt.NDArray[np.uint64]) -> Ints:
    """Codes for numbers, in the order in which each first comes."""
    _, first, inverse = np.unique(keys, return_index=True, return_inverse=True)
    code = np.empty(len(first), dtype=np.int64)
    code[np.argsort(first)] = np.arange(len(first))
    return code[inverse]


def _hash(text: str) -> int:
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")
