"""How far the raters of a panel agree beyond chance: Fleiss' kappa and Krippendorff's alpha, with intervals.

Ratings are a table of items by raters; ``None`` is a rating that was not given. Sources of the formulas: J. L. Fleiss,
Measuring nominal scale agreement among many raters, Psychological Bulletin 76 (1971) 378-382; for items with differing
numbers of ratings K. L. Gwet, Handbook of Inter-Rater Reliability (2014), chapter 2; K. Krippendorff, Computing
Krippendorff's Alpha-Reliability (2011). The tests recompute the examples that these publications print.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

Ratings = Sequence[Sequence[float | None]]
Measure = Literal["fleiss kappa", "alpha nominal", "alpha ordinal"]
DRAWS = 2_000
_Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Agreement:
    """Agreement of raters on the items that at least two of them rated.

    ``value`` is 1 for perfect agreement and 0 for what chance gives; None where it is not defined: no item with two
    ratings, or every rating the same, so that chance alone explains all. ``low`` and ``high`` are the ends of a 95 %
    percentile interval by bootstrap over clusters of items (draws in which the measure is not defined are left out).
    ``observed`` is the share of agreeing pairs of ratings, 0 where there is no pair.
    """

    measure: Measure
    value: float | None
    low: float | None
    high: float | None
    observed: float
    items: int


def fleiss_kappa(ratings: Ratings) -> float | None:
    """Fleiss' kappa; see :class:`Agreement` for None."""
    return _point(_counts(ratings), "fleiss kappa")


def krippendorff_alpha(ratings: Ratings, *, ordinal: bool = False) -> float | None:
    """Krippendorff's alpha, nominal unless ``ordinal``; see :class:`Agreement` for None."""
    return _point(_counts(ratings), "alpha ordinal" if ordinal else "alpha nominal")


def agreement(
    ratings: Ratings,
    measure: Measure,
    *,
    clusters: Sequence[Hashable] | None = None,
    draws: int = DRAWS,
    seed: int = 0,
) -> Agreement:
    """The measure with its interval. Items of the same cluster are drawn together; without clusters each by itself.

    The same table and seed give the same interval.
    """
    counts = _counts(ratings)
    value = _point(counts, measure)
    low = high = None
    if value is not None:
        named = list(range(len(ratings))) if clusters is None else list(clusters)
        kept = [name for name, row in zip(named, ratings, strict=True) if _rated(row)]
        places = {name: place for place, name in enumerate(dict.fromkeys(kept))}
        rng = np.random.default_rng(seed)
        weights = rng.multinomial(len(places), np.full(len(places), 1 / len(places)), size=draws)
        drawn = _values(counts, weights[:, [places[name] for name in kept]].astype(np.float64), measure)
        low, high = (float(end) for end in np.quantile(drawn[~np.isnan(drawn)], (0.025, 0.975)))
    return Agreement(measure, value, low, high, _observed(counts), len(counts))


def _counts(ratings: Ratings) -> _Floats:
    """How often each category, in ascending order, was given to each item that has two ratings or more."""
    if len({len(row) for row in ratings}) > 1:
        raise ValueError("every item needs one place a rater; use None for a rating that was not given")
    rated = [[value for value in row if value is not None] for row in ratings if _rated(row)]
    categories = sorted({value for row in rated for value in row})
    return np.array([[row.count(value) for value in categories] for row in rated], dtype=np.float64)


def _rated(row: Sequence[float | None]) -> bool:
    return sum(value is not None for value in row) > 1


def _point(counts: _Floats, measure: Measure) -> float | None:
    if not len(counts):
        return None
    value = float(_values(counts, np.ones((1, len(counts))), measure)[0])
    return None if np.isnan(value) else value


def _values(counts: _Floats, weights: _Floats, measure: Measure) -> _Floats:
    """The measure for each row of weights, which say how often an item is in a draw; nan where it is not defined."""
    if measure == "fleiss kappa":
        return _fleiss(counts, weights)
    return _alpha(counts, weights, ordinal=measure == "alpha ordinal")


def _fleiss(counts: _Floats, weights: _Floats) -> _Floats:
    given = counts.sum(axis=1)
    agreeing = (counts * (counts - 1)).sum(axis=1) / (given * (given - 1))
    items = weights.sum(axis=1)
    observed = weights @ agreeing / items
    chance = (((weights @ (counts / given[:, None])) / items[:, None]) ** 2).sum(axis=1)
    return _ratio(observed - chance, 1 - chance)


def _alpha(counts: _Floats, weights: _Floats, *, ordinal: bool) -> _Floats:
    """1 - observed / expected disagreement, over the coincidence matrices of the draws."""
    size = counts.shape[1]
    given = counts.sum(axis=1)
    pairs = counts[:, :, None] * counts[:, None, :] - counts[:, :, None] * np.eye(size)
    matrices = (weights @ (pairs / (given - 1)[:, None, None]).reshape(len(counts), -1)).reshape(-1, size, size)
    totals = matrices.sum(axis=2)
    distance = _ranks_between(totals) if ordinal else np.broadcast_to(1 - np.eye(size), matrices.shape)
    number = totals.sum(axis=1)
    observed = (matrices * distance).sum(axis=(1, 2))
    expected = (totals[:, :, None] * totals[:, None, :] * distance).sum(axis=(1, 2))
    return _ratio(expected - observed * (number - 1), expected)


def _ranks_between(totals: _Floats) -> _Floats:
    """Squared ordinal distances: the ratings from the middle of one category to the middle of the other."""
    middle = np.cumsum(totals, axis=1) - totals / 2
    return np.asarray((middle[:, :, None] - middle[:, None, :]) ** 2)


def _ratio(over: _Floats, under: _Floats) -> _Floats:
    defined = under > 1e-12
    return np.where(defined, over / np.where(defined, under, 1), np.nan)


def _observed(counts: _Floats) -> float:
    if not len(counts):
        return 0.0
    given = counts.sum(axis=1)
    return float(((counts * (counts - 1)).sum(axis=1) / (given * (given - 1))).mean())
