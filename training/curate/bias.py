"""Are groups of patients answered alike? Gaps between each group and the rest, with intervals and corrected tests.

A gap is taken at equal topics: the coefficient of the group in a regression on group and stratum, by Frisch and Waugh,
so that a group that asks harder questions is not called badly served. Intervals are percentiles of a bootstrap over
patients. Tests permute units (a patient's calls together) within blocks of like units, two-sided, and are corrected
over all groups and measures by S. Holm, "A simple sequentially rejective multiple test procedure", 1979. With no bias
at all an alarm is raised in at most a share ``alpha`` of data sets.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from training.curate.answers import Measure

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

UNKNOWN = "unknown"
"""The group of records that do not tell theirs. It is no group: it is compared with nobody."""
LANGUAGE = "language"


REACHED = 20


@dataclass(frozen=True, slots=True)
class Labels:
    """A dimension's groups and each record's place among them; -1: unknown."""

    names: tuple[str, ...]
    codes: Ints

    def of(self, group: str) -> npt.NDArray[np.bool_]:
        """Which records belong to a group."""
        return np.asarray(self.codes == self.names.index(group))


@dataclass(frozen=True, slots=True)
class Answers:
    """What was measured, one row a record: ``values`` in columns of ``measures`` (NaN: not measured), ``topics`` and
    ``languages`` as codes, ``patients`` as codes of who belongs together, ``weights`` above 0.
    """

    measures: tuple[Measure, ...]
    values: Floats
    dimensions: Mapping[str, Labels]
    topics: Ints
    languages: Ints
    patients: Ints
    weights: Floats

    def rows(self, chosen: npt.NDArray[Any]) -> Answers:
        """Only the chosen records."""
        return replace(
            self,
            values=self.values[chosen],
            dimensions={name: Labels(labels.names, labels.codes[chosen]) for name, labels in self.dimensions.items()},
            topics=self.topics[chosen],
            languages=self.languages[chosen],
            patients=self.patients[chosen],
            weights=self.weights[chosen],
        )

    def strata(self, dimension: str) -> Ints:
        """Records that may be compared with each other: of one topic, and of one language unless that is compared."""
        if dimension == LANGUAGE:
            return self.topics
        return _codes(self.topics, self.languages)


@dataclass(frozen=True, slots=True)
class Gap:
    """One group against all others of its dimension by one measure.

    ``group_mean`` and ``rest_mean`` are plain (weighted) means, ``gap`` is at equal topics, ``low`` and ``high`` its
    95 % interval. ``effect`` is J. Cohen's h for shares and d for means. ``p`` and ``p_holm`` are None where weights
    were fitted to the gap: a test of what was set to zero would say nothing.
    """

    dimension: str
    group: str
    measure: str
    records: int
    group_mean: float
    rest_mean: float
    gap: float
    low: float
    high: float
    effect: float
    p: float | None = None
    p_holm: float | None = None
    alarm: bool = False


@dataclass(frozen=True, slots=True)
class Effort:
    """How much is drawn, and when a gap is an alarm. ``permutations`` is the most that are drawn: a dimension is done
    earlier once each of its tests was reached :data:`REACHED` times (J. Besag, P. Clifford, "Sequential Monte Carlo
    p-values", 1991).
    """

    alpha: float = 0.05
    smallest_group: int = 20
    permutations: int = 4999
    resamples: int = 1000


def measure_gaps(
    answers: Answers,
    groups_by_dimension: Mapping[str, Sequence[str]],
    effort: Effort,
    rng: np.random.Generator,
    *,
    test: bool = True,
) -> list[Gap]:
    """The gaps of the given groups, in the order of dimensions, groups and measures; those with fewer than
    ``smallest_group`` measured records on either side, or in which nothing varies, are left out.
    """
    gaps: list[Gap] = []
    for dimension, groups in groups_by_dimension.items():
        part = _Comparison(answers, dimension)
        intervals = part.intervals(groups, effort.resamples, rng)
        values = part.p_values(groups, effort.permutations, rng) if test else {}
        for group in groups:
            for column in range(len(answers.measures)):
                if not part.comparable(group, column, effort.smallest_group):
                    continue
                gap = part.gap(group, column)
                low, high = intervals[group, column]
                gaps.append(replace(gap, low=low, high=high, p=values.get((group, column))))
    if not test:
        return gaps
    corrected = holm([gap.p if gap.p is not None else 1.0 for gap in gaps])
    return [replace(gap, p_holm=p, alarm=p < effort.alpha) for gap, p in zip(gaps, corrected, strict=True)]


def gap_again(answers: Answers, gap: Gap) -> float:
    """The size of the same gap in other answers, without interval and test."""
    column = [measure.name for measure in answers.measures].index(gap.measure)
    return _Comparison(answers, gap.dimension).gap(gap.group, column).gap


def comparable_groups(answers: Answers, smallest: int) -> dict[str, list[str]]:
    """The groups of at least ``smallest`` patients with as many in the rest, by dimension. Of two groups that are each
    other's rest only the smaller is named.
    """
    found: dict[str, list[str]] = {}
    for dimension, labels in answers.dimensions.items():
        sizes = {name: len(np.unique(answers.patients[labels.codes == code])) for code, name in enumerate(labels.names)}
        everyone = sum(sizes.values())
        large = [name for name, size in sizes.items() if size >= smallest and everyone - size >= smallest]
        if len(labels.names) == 2 and len(large) == 2:
            large = [min(large, key=lambda name: (sizes[name], name))]
        if large:
            found[dimension] = large
    return found


def holm(values: Sequence[float]) -> list[float]:
    """Holm's adjusted p-values, in the given order."""
    order = sorted(range(len(values)), key=lambda place: values[place])
    adjusted = [0.0] * len(values)
    highest = 0.0
    for rank, place in enumerate(order):
        highest = max(highest, min(1.0, (len(values) - rank) * values[place]))
        adjusted[place] = highest
    return adjusted


class _Comparison:
    """The groups of one dimension, strata taken out."""

    def __init__(self, answers: Answers, dimension: str) -> None:
        self._dimension = dimension
        self._answers = answers.rows(answers.dimensions[dimension].codes >= 0)
        self._labels = self._answers.dimensions[dimension]
        self._strata = self._answers.strata(dimension)
        self._known = ~np.isnan(self._answers.values)
        self._inside = within(self._answers.values, self._strata, self._answers.weights)
        self._indicators: dict[tuple[str, int], Floats] = {}

    def comparable(self, group: str, column: int, smallest: int) -> bool:
        """Whether enough is measured on both sides, it varies, and it means the same on both sides."""
        if self._dimension == LANGUAGE and not self._answers.measures[column].any_language:
            return False
        known, mine = self._known[:, column], self._labels.of(group)
        enough = min((known & mine).sum(), (known & ~mine).sum()) >= smallest
        return bool(enough and self._inside[known, column].any() and self._parts(group, column)[1].sum() > 0)

    def gap(self, group: str, column: int) -> Gap:
        """The gap without interval and test."""
        known, mine = self._known[:, column], self._labels.of(group)
        values, weights = self._answers.values[:, column], self._answers.weights
        one, other = (float(np.average(values[rows], weights=weights[rows])) for rows in (known & mine, known & ~mine))
        over, under = self._parts(group, column)
        gap = float(over.sum() / under.sum())
        measure = self._answers.measures[column]
        return Gap(
            dimension=self._dimension,
            group=group,
            measure=measure.name,
            records=int((known & mine).sum()),
            group_mean=one,
            rest_mean=other,
            gap=gap,
            low=gap,
            high=gap,
            effect=self._effect(measure, column, other, gap),
        )

    def intervals(
        self, groups: Sequence[str], resamples: int, rng: np.random.Generator
    ) -> dict[Any, tuple[float, float]]:
        """95 % intervals by (group, column): patients are drawn with replacement. Strata means stay, for which the
        intervals are widened by the degrees of freedom."""
        keys = [(group, column) for group in groups for column in range(len(self._answers.measures))]
        _, patients = np.unique(self._answers.patients, return_inverse=True)
        count = int(patients.max()) + 1
        parts = [self._parts(*key) for key in keys]
        over = np.column_stack([np.bincount(patients, part[0], count) for part in parts])
        under = np.column_stack([np.bincount(patients, part[1], count) for part in parts])
        drawn = []
        for size in _chunks(resamples, count):
            times = rng.multinomial(count, np.full(count, 1 / count), size=size).astype(np.float64)
            below = times @ under
            drawn.append(np.divide(times @ over, below, out=np.zeros_like(below), where=below > 0))
        found = over.sum(axis=0) / np.maximum(under.sum(axis=0), 1e-12)
        rows, strata = len(self._strata), len(np.unique(self._strata))
        wider = np.sqrt(rows / max(rows - strata, 1))
        low, high = found + wider * (np.percentile(np.concatenate(drawn), [2.5, 97.5], axis=0) - found)
        return {key: (float(low[place]), float(high[place])) for place, key in enumerate(keys)}

    def p_values(self, groups: Sequence[str], permutations: int, rng: np.random.Generator) -> dict[Any, float]:
        """Two-sided p-values by (group, column)."""
        units, blocks, sizes = self._units()
        count = len(blocks)
        values = np.column_stack([np.bincount(units, column, count) for column in self._inside.T]) / sizes[:, None]
        first = np.zeros(count, dtype=np.int64)
        first[units[::-1]] = np.arange(len(units))[::-1]
        codes = self._labels.codes[first]
        places = [self._labels.names.index(group) for group in groups]
        marks = np.column_stack([(codes == place).astype(np.float64) for place in places])
        marks = within(marks, blocks, sizes) * sizes[:, None]
        values = within(values, blocks, np.ones(count))
        order = np.argsort(blocks, kind="stable")
        values, marks, blocks = values[order], marks[order], blocks[order].astype(np.float64)
        seen = np.abs(marks.T @ values)
        reached = np.zeros_like(seen)
        drawn = 0
        for size in _chunks(permutations, count * values.shape[1]):
            if drawn and reached.min() >= REACHED:
                break
            drawn += size
            shuffled = np.argsort(blocks + rng.random((size, count)), axis=1)
            reached += (np.abs(marks.T @ values[shuffled]) >= seen - 1e-9).sum(axis=0)
        p = (1 + reached) / (1 + drawn)
        return {
            (group, column): float(p[row, column]) for row, group in enumerate(groups) for column in range(p.shape[1])
        }

    def _units(self) -> tuple[Ints, Ints, Floats]:
        """Each record's unit, and the units' blocks and sizes. A unit is what one patient of one group brought; units
        of one call are exchanged within its stratum, larger ones among their like."""
        units = _codes(self._answers.patients, self._labels.codes)
        sizes = np.bincount(units)
        strata = np.zeros(len(sizes), dtype=np.int64)
        strata[units] = self._strata
        several = -np.minimum(sizes, 3)
        return units, _codes(np.where(sizes > 1, several, strata), np.zeros_like(strata)), sizes.astype(np.float64)

    def _parts(self, group: str, column: int) -> tuple[Floats, Floats]:
        """What each record adds to a gap's numerator and denominator."""
        weights = self._answers.weights * self._known[:, column]
        mine = self._labels.of(group).astype(np.float64)
        centred = within(mine[:, None], self._strata, weights)[:, 0]
        inside = self._inside[:, column]
        return weights * centred * inside, weights * centred * mine

    def _effect(self, measure: Measure, column: int, rest: float, gap: float) -> float:
        if measure.kind == "share":
            first, second = (2 * np.arcsin(np.sqrt(np.clip(share, 0, 1))) for share in (rest + gap, rest))
            return float(first - second)
        known = self._known[:, column]
        spread = np.average(self._inside[known, column] ** 2, weights=self._answers.weights[known])
        return gap / float(np.sqrt(spread)) if spread > 0 else 0.0


def within(values: Floats, strata: Ints, weights: Floats) -> Floats:
    """Each value less the weighted mean of its stratum, column by column; 0 where the value is NaN."""
    known = ~np.isnan(values)
    filled = np.where(known, values, 0.0)
    count = int(strata.max(initial=0)) + 1
    result = np.empty_like(filled)
    for column in range(values.shape[1]):
        mine = weights * known[:, column]
        total = np.bincount(strata, mine, count)
        mean = np.bincount(strata, mine * filled[:, column], count) / np.where(total > 0, total, 1.0)
        result[:, column] = np.where(known[:, column], filled[:, column] - mean[strata], 0.0)
    return result


def _codes(first: Ints, second: Ints) -> Ints:
    """One code for each pair, counted from 0."""
    return np.unique(np.stack([first, second]), axis=1, return_inverse=True)[1].reshape(-1).astype(np.int64)


def _chunks(count: int, width: int) -> Iterator[int]:
    """Parts of ``count``, at most 500 and so small that a float matrix of that many rows of ``width`` takes 32 MB."""
    size = min(500, max(1, 4_000_000 // max(1, width)))
    while count > 0:
        yield min(size, count)
        count -= size
