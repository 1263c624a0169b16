"""From gaps between groups to weights and copies, and what they did, measured as the gaps were.

After mitigation everything is measured twice: with the weights as they are used, and with weights that were fitted on
the other patients (in five parts by a hash of the patient), which could not have been fitted to what they are
measured on.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from training.curate.answers import QUALITY
from training.curate.bias import Answers, Effort, Floats, Gap, Ints, comparable_groups, gap_again, measure_gaps
from training.curate.reweighting import Fault, Reweighting, effective_size, faults

HALVED = 0.5
"""A gap counts as mended when no more than this share of it is left."""
TOLERANCE = 0.005
"""An overall share that falls by more than this has fallen."""
_PARTS = 5


@dataclass(frozen=True, slots=True)
class Rows:
    """Calls and copies of them, each after its call: ``owners`` tells each row's call, ``axes`` the axis of a copy (-1:
    the call itself); ``keys`` are hashes of the patient.
    """

    answers: Answers
    owners: Ints
    axes: Ints
    keys: npt.NDArray[np.uint64]

    def chosen(self, rows: npt.NDArray[Any]) -> Rows:
        """Only some of them."""
        return Rows(self.answers.rows(rows), self.owners[rows], self.axes[rows], self.keys[rows])

    def originals(self) -> Rows:
        """The calls themselves, in order."""
        return self.chosen(self.axes < 0)

    def sample(self, most: int) -> Rows:
        """All rows of about so many calls, drawn by patient."""
        calls = int((self.axes < 0).sum())
        if calls <= most:
            return self
        return self.chosen(self.keys < np.uint64(2**64 * most // calls))


def within_share(
    owners: Ints, copied: npt.NDArray[np.bool_], draws: npt.NDArray[np.uint64], share: float
) -> npt.NDArray[np.bool_]:
    """Of rows of calls and all copies that they could have (``copied``), the calls and at most so many copies (a share
    of the calls), drawn by ``draws`` of each call, those of one call together.
    """
    possible = np.unique(owners[copied])
    ranked = possible[np.argsort(draws[possible], kind="stable")]
    copies = np.bincount(owners)[ranked] - 1
    taken = np.zeros(len(draws), dtype=np.bool_)
    taken[ranked[np.cumsum(copies) <= share * len(draws)]] = True
    return np.asarray(~copied | taken[owners])


@dataclass(frozen=True, slots=True)
class Mended:
    """A gap that was to be mended: as it was, as it is, and as it is under weights fitted on other patients."""

    before: Gap
    after: Gap
    crossed: Gap

    @property
    def left(self) -> float:
        """The share of the gap that is left."""
        return abs(self.after.gap) / abs(self.before.gap)

    @property
    def left_crossed(self) -> float:
        """The same under weights fitted on other patients."""
        return abs(self.crossed.gap) / abs(self.before.gap)


@dataclass(frozen=True, slots=True)
class Overall:
    """The mean of a measure over all calls."""

    measure: str
    good: bool
    before: float
    after: float
    crossed: float

    @property
    def fell(self) -> bool:
        """Whether a good measure is lower than before; quality is to hold for other patients too."""
        lowest = min(self.after, self.crossed) if self.measure == QUALITY else self.after
        return self.good and lowest < self.before - TOLERANCE


@dataclass(frozen=True, slots=True)
class Mitigation:
    """What was found and what the weights make of it. ``weights`` are of ``rows``, copies among them; they were fitted
    to the dimensions ``fitted``.
    """

    rows: Rows
    weights: Floats
    before: list[Gap]
    after: list[Gap]
    mended: list[Mended]
    overall: list[Overall]
    fitted: list[str]
    tested: int
    effective: float


def mitigate(
    kept: Rows,
    effort: Effort,
    seed: int,
    *,
    cap: float,
    most: int,
    mended: Sequence[str],
    reweight: bool = True,
    reference: Mapping[str, Mapping[str, float]] | None = None,
    topics: Sequence[str] = (),
) -> Mitigation:
    """Find the gaps among the calls, fit weights, measure again. ``topics`` are the names of the topics' codes, for a
    reference that gives their shares.

    Only gaps in the measures ``mended`` are mended, all are measured. Dimensions are mended one by one, that of the
    largest gap first, until every gap is halved: often one dimension's gaps are only another's, seen through groups
    that overlap.
    """
    tested = kept.sample(most)
    plain = tested.originals()
    plain = replace(plain, answers=replace(plain.answers, weights=np.ones(len(plain.owners))))
    groups = comparable_groups(plain.answers, effort.smallest_group)
    before = measure_gaps(plain.answers, groups, effort, np.random.default_rng(seed))
    raised = [gap for gap in before if gap.alarm and gap.measure in mended]
    weigh = _Weigher([], cap, (reference or {}) if reweight else {}, topics)
    for dimension in _largest_first(raised) if reweight else []:
        weigh = replace(weigh, wanted=[*weigh.wanted, *faults(raised, dimension, plain.answers)])
        if _all_halved(raised, replace(tested.answers, weights=tested.answers.weights * weigh.factors(tested, tested))):
            break

    weights = kept.answers.weights * weigh.factors(tested, kept)
    again = replace(tested.answers, weights=tested.answers.weights * weigh.factors(tested, tested))
    crossed = replace(tested.answers, weights=tested.answers.weights * weigh.crossed(tested))
    after, other = (
        measure_gaps(answers, groups, effort, np.random.default_rng(seed), test=False) for answers in (again, crossed)
    )
    return Mitigation(
        rows=kept,
        weights=weights,
        before=before,
        after=after,
        mended=_mended(raised, after, other),
        overall=_overall(plain.answers, again, crossed),
        fitted=sorted({fault.dimension for fault in weigh.wanted}),
        tested=len(plain.owners),
        effective=effective_size(weights, kept.owners),
    )


@dataclass(frozen=True, slots=True)
class _Weigher:
    wanted: list[Fault]
    cap: float
    reference: Mapping[str, Mapping[str, float]]
    topics: Sequence[str]

    def factors(self, fitted: Rows, rows: Rows) -> Floats:
        """Factors of mean 1 for the rows, fitted on others; 1 where nothing is to be mended."""
        if not (self.wanted or self.reference) or not len(fitted.owners):
            return np.ones(len(rows.owners))
        fit = Reweighting(fitted.answers, self.wanted, cap=self.cap, reference=self.reference, topics=self.topics)
        return fit.weights(rows.answers)

    def crossed(self, rows: Rows) -> Floats:
        """Factors for the rows of each part of the patients, fitted on the other parts."""
        parts = rows.keys % np.uint64(_PARTS)
        factors = np.ones(len(parts))
        for part in range(_PARTS):
            mine = parts == part
            factors[mine] = self.factors(rows.chosen(~mine), rows.chosen(mine))
        return factors


def _largest_first(raised: Sequence[Gap]) -> list[str]:
    """The dimensions of gaps, by their largest effect."""
    largest: dict[str, float] = {}
    for gap in raised:
        largest[gap.dimension] = max(largest.get(gap.dimension, 0.0), abs(gap.effect))
    return sorted(largest, key=lambda dimension: (-largest[dimension], dimension))


def _all_halved(raised: Sequence[Gap], answers: Answers) -> bool:
    """Whether no more than half is left of each gap."""
    return all(abs(gap_again(answers, gap)) <= HALVED * abs(gap.gap) for gap in raised)


def _mended(raised: Sequence[Gap], after: Sequence[Gap], crossed: Sequence[Gap]) -> list[Mended]:
    found, other = ({(gap.dimension, gap.group, gap.measure): gap for gap in gaps} for gaps in (after, crossed))
    keys = {(gap.dimension, gap.group, gap.measure): gap for gap in raised}
    return [Mended(gap, found[key], other[key]) for key, gap in keys.items() if key in found and key in other]


def _overall(before: Answers, after: Answers, crossed: Answers) -> list[Overall]:
    rows = []
    for column, measure in enumerate(before.measures):
        means = [_mean(answers, column) for answers in (before, after, crossed)]
        if not np.isnan(means).any():
            rows.append(Overall(measure.name, measure.good, *means))
    return rows


def _mean(answers: Answers, column: int) -> float:
    known = ~np.isnan(answers.values[:, column])
    weights = answers.weights[known]
    return float(np.average(answers.values[known, column], weights=weights)) if known.any() else float("nan")
