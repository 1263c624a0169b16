"""What balancing keeps of each call: a few numbers in columns, so that memory hardly grows with the input."""

from __future__ import annotations

import hashlib
from array import array
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from training.curate.answers import MEASURES, Rater, language
from training.curate.bias import LANGUAGE, Answers, Labels
from training.curate.counterfactual import AXES, Axis, Mirror
from training.curate.mitigation import Rows
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


@dataclass(slots=True)
class _Coded:
    """A column of words, kept as codes; the empty word is -1."""

    names: dict[str, int] = field(default_factory=dict)
    codes: array[int] = field(default_factory=lambda: array("q"))

    def add(self, name: str) -> None:
        """One more row."""
        self.codes.append(self.names.setdefault(name, len(self.names)) if name else -1)

    def fill(self, rows: int) -> None:
        """Rows of nothing, up to a length."""
        self.codes.extend([-1] * (rows - len(self.codes)))

    def labels(self) -> Labels:
        """With the names in order."""
        names = sorted(self.names)
        place = np.full(len(names) + 1, -1, dtype=np.int64)
        for new, name in enumerate(names):
            place[self.names[name]] = new
        return Labels(tuple(names), place[np.array(self.codes, dtype=np.int64)])


class Columns:
    """Grown call by call; ``calls`` counts them."""

    def __init__(self) -> None:
        self.calls = 0
        self._values = array("d")
        self._owners, self._axes = array("q"), array("q")
        self._topics, self._languages, self._patients = _Coded(), _Coded(), _Coded()
        self._dimensions: dict[str, _Coded] = {}
        self._keys, self._draws = array("Q"), array("Q")

    def add(self, signature: Signature) -> None:
        """One more call with its possible copies."""
        for row in signature.rows:
            count = len(self._owners)
            self._values.extend(row.values)
            self._owners.append(self.calls)
            self._axes.append(-1 if row.axis is None else AXES.index(row.axis))
            self._topics.add(row.topic or "?")
            self._languages.add(row.language or "?")
            self._patients.add(signature.patient)
            self._keys.append(_hash(signature.patient))
            self._draws.append(_hash(signature.id))
            for name, group in row.groups.items():
                column = self._dimensions.setdefault(name, _Coded())
                column.fill(count)
                column.add(group)
        self.calls += 1

    def topics(self) -> Labels:
        """The topics as a dimension."""
        return self._topics.labels()

    def rows(self) -> Rows:
        """All rows, of weight 1. A dimension of one group or of too many is left out."""
        count = len(self._owners)
        dimensions = {}
        for name, column in sorted(self._dimensions.items()):
            column.fill(count)
            if 1 < len(column.names) <= MOST_GROUPS:
                dimensions[name] = column.labels()
        answers = Answers(
            measures=MEASURES,
            values=np.array(self._values, dtype=np.float64).reshape(count, len(MEASURES)),
            dimensions=dimensions,
            topics=self._topics.labels().codes,
            languages=self._languages.labels().codes,
            patients=np.array(self._patients.codes, dtype=np.int64),
            weights=np.ones(count),
        )
        return Rows(
            answers,
            owners=np.array(self._owners, dtype=np.int64),
            axes=np.array(self._axes, dtype=np.int64),
            keys=np.array(self._keys, dtype=np.uint64),
            draws=np.array(self._draws, dtype=np.uint64),
        )


def _hash(text: str) -> int:
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")
