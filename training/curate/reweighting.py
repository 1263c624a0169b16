"""Weights under which groups of patients are answered alike, as near to 1 as that allows.

For a gap that was found, good answers to the worse-served group are weighted up until that group's mean reaches the
better-served one's; nothing is gained by weighting good answers to others down, so no overall measure has to fall.
Measures that are neither good nor bad (length, grade) are brought to the common mean, if they are to be mended at all.
Topics, groups and the other good measures keep their shares and means, unless a reference population is given, to
which its dimension is then brought.

The weights are those of a bounded calibration (J.-C. Deville, C.-E. Särndal, "Calibration Estimators in Survey
Sampling", 1992): exp(x.lambda) cut at 1/cap and cap, with lambda from the convex dual by Newton's method. They are a
function of a record's group, topic and measures, so weights fitted on one half can be tried on the other.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from training.curate.answers import QUALITY
from training.curate.bias import Answers, Floats, Gap, Ints, Labels

_RIDGE, _RIDGE_KEPT = 0.02, 0.1
"""Of what is to be brought together, and of what is to be kept as it is. Smaller ones close the gaps further, but only
for the patients they are fitted to; chosen on the demonstration's calls."""
_STEPS = 60
_ROWS = 10_000
"""Records that are weighted together."""
_LEAST = 10
"""Groups with fewer measured records are brought to the aim together: alone they could only be reached by extremes."""


@dataclass(frozen=True, slots=True)
class Fault:
    """A dimension and measure whose groups are to be brought together.

    ``best``: the groups whose common mean the others are brought to; empty: all are brought to the mean of all.
    """

    dimension: str
    measure: str
    best: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class _Cell:
    """Groups (by code) whose mean, less that of their strata, is to be ``aim``."""

    dimension: str
    measure: str
    codes: tuple[int, ...]
    aim: float


def faults(gaps: Iterable[Gap], dimension: str, answers: Answers) -> list[Fault]:
    """What a dimension's gaps ask for. Where a group is served better than the rest, all others are brought to its
    mean; where one is only served worse, it is brought to the mean of the others.
    """
    raised: dict[str, list[Gap]] = {}
    for gap in gaps:
        if gap.dimension == dimension:
            raised.setdefault(gap.measure, []).append(gap)
    good = {measure.name for measure in answers.measures if measure.good}
    if raised.keys() & (good - {QUALITY}):
        raised.pop(QUALITY, None)  # it follows from its parts
    found = []
    for measure, own in raised.items():
        better = {gap.group for gap in own if gap.gap > 0}
        worse = {gap.group for gap in own if gap.gap < 0}
        best = better or set(answers.dimensions[dimension].names) - worse
        found.append(Fault(dimension, measure, frozenset(best) if measure in good else frozenset()))
    return found


class Reweighting:
    """Fitted once; then gives weights to any records of the same dimensions and measures. ``topics`` are the names of
    the topics' codes, for a reference that gives their shares.
    """

    def __init__(
        self,
        answers: Answers,
        wanted: Sequence[Fault],
        *,
        cap: float,
        reference: Mapping[str, Mapping[str, float]] | None = None,
        topics: Sequence[str] = (),
    ) -> None:
        self._wanted, self._cap = wanted, cap
        self._topics = tuple(topics)
        self._reference = dict(reference or {})
        self._means = _stratum_means(answers)
        self._shares = self._own_shares(answers)
        self._cells = [cell for fault in wanted for cell in self._cells_of(answers, fault)]
        features = self._features(answers)
        self._scale = np.sqrt(np.average(features**2, axis=0, weights=answers.weights))
        self._scale[self._scale == 0] = 1.0
        base = answers.weights / answers.weights.sum()
        ridge = np.full(features.shape[1], _RIDGE_KEPT)
        ridge[: len(self._cells)] = _RIDGE
        self._lambda = _solve(features / self._scale, base, cap, ridge)

    def weights(self, answers: Answers) -> Floats:
        """A factor for each record, within 1/cap and cap, of mean 1 over the records it was fitted on."""
        count = len(answers.weights)
        parts = [self._part(answers.rows(np.arange(at, min(at + _ROWS, count)))) for at in range(0, count, _ROWS)]
        return np.concatenate([np.zeros(0), *parts])

    def _part(self, answers: Answers) -> Floats:
        features = np.column_stack([np.ones(len(answers.weights)), self._features(answers) / self._scale])
        logs = np.log(self._cap)
        return np.asarray(np.exp(np.clip(features @ self._lambda, -logs, logs)), dtype=np.float64)

    def _features(self, answers: Answers) -> Floats:
        """Columns whose weighted mean is to be 0."""
        inside = self._inside(answers)
        columns = []
        for cell in self._cells:
            column = _column(answers, cell.measure)
            chosen = np.isin(answers.dimensions[cell.dimension].codes, cell.codes) & ~np.isnan(
                answers.values[:, column]
            )
            columns.append(chosen * (inside[:, column] - cell.aim))
        moved = {QUALITY, *(fault.measure for fault in self._wanted)}
        columns += [
            inside[:, at] for at, measure in enumerate(answers.measures) if measure.good and measure.name not in moved
        ]
        for dimension, shares in self._shares.items():
            codes = answers.topics if dimension == "topic" else answers.dimensions[dimension].codes
            columns += [(codes == code) - share * (codes >= 0) for code, share in shares.items()]
        return np.column_stack([column.astype(np.float64) for column in columns])

    def _inside(self, answers: Answers) -> Floats:
        means = np.stack([self._means.get(key, self._means[None]) for key in _keys(answers)])
        return np.where(np.isnan(answers.values), 0.0, answers.values - means)

    def _cells_of(self, answers: Answers, fault: Fault) -> list[_Cell]:
        """The groups of a fault, small ones together. Faults of one measure share the highest aim, else they could
        not all be met."""
        same = [item for item in self._wanted if item.measure == fault.measure]
        aim = max(self._aim(answers, item) for item in same)
        codes = answers.dimensions[fault.dimension].codes
        known = ~np.isnan(answers.values[:, _column(answers, fault.measure)])
        sizes = np.bincount(codes[(codes >= 0) & known])
        large = [(int(code),) for code in np.flatnonzero(sizes >= _LEAST)]
        small = tuple(int(code) for code in np.flatnonzero((sizes > 0) & (sizes < _LEAST)))
        return [_Cell(fault.dimension, fault.measure, group, aim) for group in [*large, *([small] if small else [])]]

    def _aim(self, answers: Answers, fault: Fault) -> float:
        if not fault.best:
            return 0.0
        labels = answers.dimensions[fault.dimension]
        return self._mean(
            answers, fault.measure, np.isin(labels.codes, [labels.names.index(name) for name in fault.best])
        )

    def _mean(self, answers: Answers, measure: str, rows: npt.NDArray[np.bool_]) -> float:
        """The rows' mean, less that of their strata; 0 where nothing is measured."""
        column = _column(answers, measure)
        rows = rows & ~np.isnan(answers.values[:, column])
        weights = answers.weights[rows]
        return float(np.average(self._inside(answers)[rows, column], weights=weights)) if rows.any() else 0.0

    def _own_shares(self, answers: Answers) -> dict[str, dict[int, float]]:
        """The shares that the weighted groups are to have: as given, else as they are."""
        shares = {}
        for dimension, labels in {"topic": Labels(self._topics, answers.topics), **answers.dimensions}.items():
            shares[dimension] = _shares(labels.codes, answers.weights)
            if given := self._reference.get(dimension):
                codes = {name: code for code, name in enumerate(labels.names) if code in shares[dimension]}
                present = {codes[name]: share for name, share in given.items() if name in codes}
                whole = sum(present.values())
                rest = sum(share for code, share in shares[dimension].items() if code not in present)
                for code, share in present.items():
                    shares[dimension][code] = share / whole * (1 - rest)
        return shares


def effective_size(weights: Floats, origins: Ints) -> float:
    """How many equally weighted calls the weights are worth: L. Kish, (sum w)^2 / sum w^2, a record and the copies
    made from it counted as one.
    """
    sums = np.bincount(origins, weights)
    return float(sums.sum() ** 2 / (sums**2).sum()) if len(weights) else 0.0


def _solve(features: Floats, base: Floats, cap: float, ridges: Floats) -> Floats:
    """Minimise the dual mean(F(x.l)) - l0 + sum(ridges l^2) / 2, where F' = exp cut at 1/cap and cap."""
    logs = np.log(cap)
    design = np.column_stack([np.ones(len(base)), features])
    target = np.zeros(design.shape[1])
    target[0] = 1.0
    ridge = np.concatenate([[0.0], ridges])
    found = np.zeros(design.shape[1])

    def dual(point: Floats) -> float:
        eta = design @ point
        cut = np.clip(eta, -logs, logs)
        whole = np.exp(cut) + (eta - cut) * np.exp(cut)
        return float(base @ whole - target @ point + 0.5 * (ridge * point**2).sum())

    for _ in range(_STEPS):
        eta = design @ found
        weights = base * np.exp(np.clip(eta, -logs, logs))
        slope = design.T @ weights - target + ridge * found
        if np.abs(slope).max() < 1e-9:
            break
        free = np.where(np.abs(eta) < logs, weights, 0.0)
        curve = (design * free[:, None]).T @ design + np.diag(ridge + 1e-9)
        step = np.linalg.solve(curve, slope)
        size, before, drop = 1.0, dual(found), float(slope @ step)
        while size > 1e-8 and dual(found - size * step) > before - 1e-4 * size * drop:
            size /= 2
        if size <= 1e-8:
            break
        found = found - size * step
    return found


def _keys(answers: Answers) -> list[tuple[int, int]]:
    return list(zip(answers.topics.tolist(), answers.languages.tolist(), strict=True))


def _stratum_means(answers: Answers) -> dict[tuple[int, int] | None, Floats]:
    """Weighted means by (topic, language); under None those of all records, for a stratum that was not seen."""
    rows: dict[tuple[int, int] | None, list[int]] = {None: list(range(len(answers.weights)))}
    for row, key in enumerate(_keys(answers)):
        rows.setdefault(key, []).append(row)
    return {key: _means(answers.values[chosen], answers.weights[chosen]) for key, chosen in rows.items()}


def _means(values: Floats, weights: Floats) -> Floats:
    known = ~np.isnan(values)
    total = weights @ known
    return np.asarray(weights @ np.where(known, values, 0.0) / np.where(total > 0, total, 1.0), dtype=np.float64)


def _shares(codes: Ints, weights: Floats) -> dict[int, float]:
    known = codes >= 0
    whole = float(weights[known].sum())
    return {int(code): float(weights[codes == code].sum()) / whole for code in np.unique(codes[known])}


def _column(answers: Answers, measure: str) -> int:
    return [item.name for item in answers.measures].index(measure)
