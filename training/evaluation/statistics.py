"""The statistics of the gate: intervals, tests and sizes, on plain sequences of values.

Items of one conversation or near-copies of one another form a *cluster*: they rise and fall together, so a cluster is
drawn, counted and tested as a whole. A value of ``None`` means that the figure does not apply to the item; such an item
(or pair, where one of the two is ``None``) is left out. Everything is deterministic for a seed.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from math import ceil, log
from typing import Literal

import numpy as np
import numpy.typing as npt
from scipy.stats import binomtest, norm

Values = Sequence[float | None]
Clusters = Sequence[Hashable]
Floats = npt.NDArray[np.float64]
Outcome = Literal["pass", "fail", "inconclusive"]

CONFIDENCE = 0.95
DRAWS = 10_000
_AT_ONCE = 1_000
"""So many resamples are held in memory together."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """A figure with its two-sided interval; ``n`` items in ``clusters`` clusters.

    ``p`` is two-sided, against a true value of 0; ``None`` where 0 is no question. With one cluster the interval is the
    value itself and says nothing: who decides by it looks at ``clusters`` first.
    """

    value: float
    low: float
    high: float
    n: int
    clusters: int
    p: float | None

    def __neg__(self) -> Estimate:
        return Estimate(-self.value, -self.high, -self.low, self.n, self.clusters, self.p)


@dataclass(frozen=True, slots=True)
class Bootstrap:
    """How intervals are made: so many resamples, this seed, this two-sided confidence."""

    draws: int = DRAWS
    seed: int = 7
    confidence: float = CONFIDENCE


def resampled_sums(rows: Floats, draws: int, seed: int) -> Floats:
    """Column sums of ``draws`` resamples of the rows, drawn with replacement; shape (draws, columns).

    Rows are clusters. Clusters with equal rows are interchangeable, so where there are few kinds of row, how often each
    kind is drawn comes from the multinomial distribution: what drawing row numbers gives, many times faster.
    (Cluster bootstrap: Davison and Hinkley, Bootstrap Methods and Their Application, 1997, section 3.8.)
    """
    kinds, counts = np.unique(rows, axis=0, return_counts=True)
    by_number = len(kinds) * 5 > len(rows) and rows.shape[1] <= 4
    rng = np.random.default_rng(seed)
    parts = []
    for start in range(0, draws, _AT_ONCE):
        size = min(_AT_ONCE, draws - start)
        if by_number:
            numbers = rng.integers(len(rows), size=(size, len(rows)), dtype=np.int32)
            parts.append(np.column_stack([column[numbers].sum(axis=1) for column in rows.T]))
        else:
            parts.append(rng.multinomial(len(rows), counts / len(rows), size=size) @ kinds)
    return np.concatenate(parts)


def mean(values: Values, clusters: Clusters, how: Bootstrap | None = None) -> Estimate | None:
    """Mean of the values that there are, with the percentile interval of the cluster bootstrap; None without any."""
    return _mean(_array(values), clusters, how or Bootstrap(), test=False)


def paired_difference(
    candidate: Values, champion: Values, clusters: Clusters, how: Bootstrap | None = None
) -> Estimate | None:
    """Mean of candidate - champion over items that both have, percentile interval and p of the cluster bootstrap.

    p is twice the smaller share of resamples at or beyond 0, with one added above and below, at most 1 (Davison and
    Hinkley 1997, section 4.4): it is under 0.05 just where the 95 % interval leaves 0 out. None without pairs.
    """
    return _mean(_array(candidate) - _array(champion), clusters, how or Bootstrap(), test=True)


def gap(
    values: Values, inside: Sequence[bool | None], clusters: Clusters, how: Bootstrap | None = None
) -> Estimate | None:
    """Mean of the items inside a group less the mean of those outside (``inside`` None: neither), by cluster bootstrap.

    ``n`` counts the smaller of the two sides. None where a side is empty.
    """
    how = how or Bootstrap()
    found = _array(values)
    known = np.array([side is not None for side in inside], dtype=bool) & ~np.isnan(found)
    member = np.array([bool(side) for side in inside], dtype=bool)
    left, right = known & member, known & ~member
    if not left.any() or not right.any():
        return None
    filled = np.nan_to_num(found)
    columns = np.column_stack([filled * left, left, filled * right, right])[known].astype(np.float64)
    rows = _by_cluster(columns, [name for name, kept in zip(clusters, known, strict=True) if kept])
    value = float(filled[left].mean() - filled[right].mean())
    drawn = resampled_sums(rows, how.draws, how.seed)
    drawn = drawn[(drawn[:, 1] > 0) & (drawn[:, 3] > 0)]
    made = drawn[:, 0] / drawn[:, 1] - drawn[:, 2] / drawn[:, 3]
    return _estimate(value, made, int(min(left.sum(), right.sum())), len(rows), how, test=True)


def paired_gap(
    values: Values,
    inside: Sequence[bool | None],
    pairs: Sequence[str],
    clusters: Clusters,
    how: Bootstrap | None = None,
) -> Estimate | None:
    """As :func:`gap`, within pairs: the mean over pairs of (mean inside - mean outside), for pairs with both sides.

    Items of a pair ask the same thing, so that how hard the questions are does not count. An item with an empty pair is
    left out. ``n`` counts pairs. None without any.
    """
    left: dict[str, list[float]] = {}
    right: dict[str, list[float]] = {}
    names: dict[str, Hashable] = {}
    for value, member, pair, cluster in zip(values, inside, pairs, clusters, strict=True):
        if value is not None and member is not None and pair:
            (left if member else right).setdefault(pair, []).append(value)
            names[pair] = cluster
    both = [pair for pair in names if pair in left and pair in right]
    found = np.array([np.mean(left[pair]) - np.mean(right[pair]) for pair in both], dtype=np.float64)
    return _mean(found, [names[pair] for pair in both], how or Bootstrap(), test=True)


def macro_f1(truth: Sequence[str], predicted: Sequence[str]) -> float:
    """Mean over the labels of the truth of F1 = 2 TP / (2 TP + FP + FN) (van Rijsbergen, Information Retrieval, 1979).

    A predicted label that the truth never has counts as a miss of the true one. Raises ValueError without items.
    """
    if not truth:
        raise ValueError("macro-F1 needs at least one item")
    labels = sorted(set(truth))
    return float(_f1(_counts(truth, predicted, labels).sum(axis=0, keepdims=True))[0])


def macro_f1_difference(
    truth: Sequence[str],
    candidate: Sequence[str],
    champion: Sequence[str],
    clusters: Clusters,
    how: Bootstrap | None = None,
) -> Estimate | None:
    """Macro-F1 of the candidate less the champion's, interval and p of the cluster bootstrap. None without items.

    In a resample the mean goes over the labels that its truth has.
    """
    if not truth:
        return None
    how = how or Bootstrap()
    labels = sorted(set(truth))
    width = 3 * len(labels)
    columns = np.hstack([_counts(truth, candidate, labels), _counts(truth, champion, labels)])
    rows = _by_cluster(columns, clusters)
    total = rows.sum(axis=0, keepdims=True)
    value = float((_f1(total[:, :width]) - _f1(total[:, width:]))[0])
    drawn = resampled_sums(rows, how.draws, how.seed)
    made = _f1(drawn[:, :width]) - _f1(drawn[:, width:])
    return _estimate(value, made, len(truth), len(rows), how, test=True)


@dataclass(frozen=True, slots=True)
class Discordant:
    """Clusters in which one of two systems was better overall, and the exact p of their being so unequal."""

    better: int
    worse: int
    p: float


def mcnemar(candidate: Values, champion: Values, clusters: Clusters) -> Discordant:
    """Exact McNemar test (McNemar 1947; exact form: a binomial test of the discordant pairs at 1/2).

    With clusters it becomes the sign test over clusters: a cluster counts once, for the system that was better in it
    overall. Where every item is its own cluster and values are 0 or 1, that is McNemar's test.
    """
    differences = _array(candidate) - _array(champion)
    kept = ~np.isnan(differences)
    sums = _by_cluster(differences[kept, None], [name for name, keep in zip(clusters, kept, strict=True) if keep])
    better, worse = int((sums > 1e-9).sum()), int((sums < -1e-9).sum())
    p = float(binomtest(better, better + worse, 0.5).pvalue) if better + worse else 1.0
    return Discordant(better, worse, p)


def holm(ps: Sequence[float]) -> list[float]:
    """Adjusted p-values of the step-down procedure (Holm, Scandinavian Journal of Statistics, 1979), in given order.

    Rejecting where the adjusted p is at most alpha keeps the chance of any false rejection at alpha.
    """
    adjusted, worst = [0.0] * len(ps), 0.0
    for rank, place in enumerate(sorted(range(len(ps)), key=lambda number: ps[number])):
        worst = max(worst, min(1.0, (len(ps) - rank) * ps[place]))
        adjusted[place] = worst
    return adjusted


def share_interval(events: int, cases: int, confidence: float = CONFIDENCE) -> tuple[float, float]:
    """Two-sided exact interval of a share (Clopper and Pearson, Biometrika, 1934). No cases: 0 to 1."""
    if not cases:
        return 0.0, 1.0
    found = binomtest(events, cases).proportion_ci(confidence, method="exact")
    return float(found.low), float(found.high)


def share_at_most(events: int, cases: int, confidence: float = CONFIDENCE) -> float:
    """One-sided exact upper bound of a share (Clopper and Pearson 1934): 0 of 299 gives 1 % at 95 %."""
    if not cases:
        return 1.0
    return float(binomtest(events, cases, alternative="less").proportion_ci(confidence, method="exact").high)


def cases_needed(share: float, confidence: float = CONFIDENCE) -> int:
    """Cases without any event that put the exact upper bound at ``share`` or below.

    log(1 - confidence) / log(1 - share), rounded up: the Clopper-Pearson bound for no events, solved for the cases.
    """
    return ceil(log(1 - confidence) / log(1 - share))


def items_needed(
    margin: float, discordance: float, *, confidence: float = CONFIDENCE, power: float = 0.8, design_effect: float = 1.0
) -> int:
    """Paired items with which a candidate that equals the champion is found non-inferior with this power.

    n = (z(1 - alpha/2) + z(power))^2 * discordance / margin^2 * design effect: the difference of two 0/1 values has
    variance ``discordance`` (the share of items on which two systems differ) when the systems are equal (Liu and
    others, Statistics in Medicine 21, 2002).
    """
    deviates = float(norm.ppf(0.5 + confidence / 2) + norm.ppf(power))
    exact = deviates**2 * discordance / margin**2 * design_effect
    return ceil(exact - 1e-9)


def design_effect(cluster_size: float, correlation: float) -> float:
    """How many times more items clusters of this mean size cost than single ones (Kish, Survey Sampling, 1965)."""
    return 1 + (cluster_size - 1) * correlation


def non_inferiority(difference: Estimate, margin: float) -> Outcome:
    """What the interval of candidate - champion (more is better) says of "not worse by ``margin`` or more".

    pass: it lies above -margin. fail: it lies below -margin, the candidate is worse by more. Else it holds -margin, and
    the items cannot tell (Piaggio and others, JAMA 308, 2012, figure of the CONSORT extension).
    """
    if difference.low > -margin:
        return "pass"
    return "fail" if difference.high < -margin else "inconclusive"


def within(estimate: Estimate, margin: float) -> Outcome:
    """What an interval says of "no further than ``margin`` from 0": pass inside, fail outside, else inconclusive."""
    if -margin < estimate.low and estimate.high < margin:
        return "pass"
    return "fail" if estimate.low > margin or estimate.high < -margin else "inconclusive"


def carried_by(candidate: Values, champion: Values, clusters: Clusters) -> int:
    """The fewest clusters without which the sum of differences would no longer have its sign; 0 where it is 0.

    A gain that one or two conversations carry is an effect on few items, whatever its p. Leaving out the largest first
    is the fewest possible, since the sum falls by just what is left out. (The idea is that of the fragility index:
    Walsh and others, Journal of Clinical Epidemiology 67, 2014.)
    """
    differences = _array(candidate) - _array(champion)
    kept = ~np.isnan(differences)
    sums = _by_cluster(differences[kept, None], [name for name, keep in zip(clusters, kept, strict=True) if keep])[:, 0]
    total = float(sums.sum())
    if abs(total) < 1e-9:
        return 0
    ordered = np.sort(sums * np.sign(total))[::-1]
    left = abs(total) - np.cumsum(ordered)
    return int(np.argmax(left < 1e-9)) + 1


def _mean(found: Floats, clusters: Clusters, how: Bootstrap, *, test: bool) -> Estimate | None:
    kept = ~np.isnan(found)
    if not kept.any():
        return None
    chosen = found[kept]
    names = [name for name, keep in zip(clusters, kept, strict=True) if keep]
    rows = _by_cluster(np.column_stack([chosen, np.ones_like(chosen)]), names)
    drawn = resampled_sums(rows, how.draws, how.seed)
    return _estimate(float(chosen.mean()), drawn[:, 0] / drawn[:, 1], len(chosen), len(rows), how, test=test)


def _estimate(value: float, made: Floats, n: int, clusters: int, how: Bootstrap, *, test: bool) -> Estimate:
    tail = (1 - how.confidence) / 2
    low, high = (float(bound) for bound in np.quantile(made, [tail, 1 - tail]))
    beyond = int(min((made <= 1e-12).sum(), (made >= -1e-12).sum()))
    p = min(1.0, 2 * (beyond + 1) / (len(made) + 1)) if test else None
    return Estimate(value, min(low, value), max(high, value), n, clusters, p)


def _array(values: Values) -> Floats:
    return np.array([np.nan if value is None else value for value in values], dtype=np.float64)


def _by_cluster(columns: Floats, clusters: Clusters) -> Floats:
    """Sums of the columns over each cluster, in order of first appearance."""
    places: dict[Hashable, int] = {}
    where = np.array([places.setdefault(name, len(places)) for name in clusters], dtype=np.int64)
    sums = np.zeros((len(places), columns.shape[1]))
    np.add.at(sums, where, columns)
    return sums.round(12)  # equal sums in another order of adding are one kind of row


def _counts(truth: Sequence[str], predicted: Sequence[str], labels: Sequence[str]) -> Floats:
    """For each item and label: true positive, in the truth, in the prediction; three columns a label."""
    place = {label: number for number, label in enumerate(labels)}
    made = np.zeros((len(truth), len(labels), 3))
    for row, (right, said) in enumerate(zip(truth, predicted, strict=True)):
        made[row, place[right], 1] = 1
        if said in place:
            made[row, place[said], 2] = 1
            made[row, place[said], 0] = said == right
    return made.reshape(len(truth), -1)


def _f1(sums: Floats) -> Floats:
    """Macro-F1 of each row of summed :func:`_counts`; 2 TP + FP + FN is (in the truth) + (in the prediction)."""
    hits, actual, said = (sums[:, part::3] for part in range(3))
    present = actual > 0
    scores = np.divide(2 * hits, actual + said, out=np.zeros_like(hits), where=present)
    made: Floats = scores.sum(axis=1) / present.sum(axis=1)
    return made
