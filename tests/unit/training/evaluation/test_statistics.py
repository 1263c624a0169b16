"""Statistics against closed forms, published figures and scipy; properties that hold for any values."""

from __future__ import annotations

import math
from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from training.evaluation.statistics import (
    Bootstrap,
    Estimate,
    carried_by,
    cases_needed,
    design_effect,
    gap,
    holm,
    items_needed,
    macro_f1,
    macro_f1_difference,
    mcnemar,
    mean,
    non_inferiority,
    paired_difference,
    paired_gap,
    resampled_sums,
    share_at_most,
    share_interval,
    within,
)

FAST = Bootstrap(draws=1_000)
shares = st.one_of(st.none(), st.floats(0, 1))
columns = st.lists(st.tuples(shares, shares, st.integers(0, 9)), min_size=1, max_size=40)
ps = st.lists(st.floats(0, 1), min_size=1, max_size=12)


def made(value: float, low: float, high: float) -> Estimate:
    return Estimate(value, low, high, 100, 100, None)


def binary(count: int, share: float, seed: int) -> list[float | None]:
    rng = Random(seed)
    return [float(rng.random() < share) for _ in range(count)]


def test_the_numbers_of_items_are_those_of_the_design() -> None:
    assert items_needed(0.02, 0.10) == 1963
    assert items_needed(0.05, 0.10) == 314
    assert items_needed(0.05, 0.10, design_effect=design_effect(2, 0.2)) == math.ceil(313.96 * 1.2)
    assert cases_needed(0.01) == 299
    assert share_at_most(0, 299) <= 0.01 < share_at_most(0, 298)


@given(st.integers(0, 30), st.integers(1, 60))
@settings(max_examples=40)
def test_exact_bounds_are_the_beta_quantiles(events: int, cases: int) -> None:
    events = min(events, cases)
    low, high = share_interval(events, cases)
    assert low == pytest.approx(stats.beta.ppf(0.025, events, cases - events + 1) if events else 0.0, abs=1e-9)
    assert high == pytest.approx(stats.beta.ppf(0.975, events + 1, cases - events) if events < cases else 1.0, abs=1e-9)
    assert share_at_most(events, cases) <= high + 1e-12


def test_without_cases_nothing_is_known() -> None:
    assert share_interval(0, 0) == (0.0, 1.0)
    assert share_at_most(0, 0) == 1.0


def test_the_interval_of_independent_pairs_is_that_of_the_normal_approximation() -> None:
    left, right = binary(800, 0.8, 1), binary(800, 0.7, 2)
    found = paired_difference(left, right, range(800))
    assert found is not None
    d = np.array(left, dtype=float) - np.array(right, dtype=float)
    half = 1.96 * d.std() / math.sqrt(800)
    assert found.value == pytest.approx(d.mean())
    assert found.low == pytest.approx(d.mean() - half, abs=0.1 * half)
    assert found.high == pytest.approx(d.mean() + half, abs=0.1 * half)
    z = stats.norm.sf(abs(d.mean()) / (d.std() / math.sqrt(800))) * 2
    assert found.p == pytest.approx(z, abs=0.002)


def test_the_interval_agrees_with_scipys_bootstrap() -> None:
    rng = np.random.default_rng(5)
    values = rng.exponential(size=120)
    ours = mean([float(value) for value in values], range(120), Bootstrap(draws=20_000))
    theirs = stats.bootstrap((values,), np.mean, n_resamples=20_000, method="percentile", rng=rng).confidence_interval
    assert ours is not None
    assert (ours.low, ours.high) == pytest.approx((theirs.low, theirs.high), abs=0.015)


def test_both_ways_of_drawing_have_the_multinomial_mean_and_variance() -> None:
    few = np.repeat([[1.0, 1.0], [0.0, 1.0]], [30, 70], axis=0)
    many = np.column_stack([np.linspace(0, 1, 100), np.ones(100)])
    for rows in (few, many):
        sums = resampled_sums(rows, 20_000, 1)
        assert sums.shape == (20_000, 2)
        assert (sums[:, 1] == 100).all()
        assert sums[:, 0].mean() == pytest.approx(rows[:, 0].sum(), rel=0.01)
        assert sums[:, 0].var() == pytest.approx(100 * rows[:, 0].var(), rel=0.05)


def test_copies_of_an_item_in_one_cluster_add_no_certainty() -> None:
    left, right = binary(100, 0.8, 1), binary(100, 0.6, 2)
    once = paired_difference(left, right, range(100))
    copied = paired_difference(left * 4, right * 4, list(range(100)) * 4)
    naive = paired_difference(left * 4, right * 4, range(400))
    assert once is not None
    assert copied is not None
    assert naive is not None
    assert (copied.low, copied.high) == pytest.approx((once.low, once.high), abs=1e-9)
    assert (copied.n, copied.clusters) == (400, 100)
    assert naive.high - naive.low < 0.6 * (copied.high - copied.low)


@given(columns)
@settings(max_examples=40)
def test_swapping_the_systems_turns_the_sign_and_the_interval_holds_the_value(
    rows: list[tuple[float | None, float | None, int]],
) -> None:
    left, right, clusters = (list(side) for side in zip(*rows, strict=True))
    found = paired_difference(left, right, clusters, FAST)  # type: ignore[arg-type]
    again = paired_difference(left, right, clusters, FAST)  # type: ignore[arg-type]
    assert found == again
    kept = [row for row in rows if None not in row[:2]]
    if found is None:
        assert not kept
        return
    assert found.n == len(kept)
    assert found.clusters == len({row[2] for row in kept})
    assert found.low <= found.value <= found.high
    assert found.p is not None
    assert 0 < found.p <= 1
    swapped = paired_difference(right, left, clusters, FAST)  # type: ignore[arg-type]
    assert swapped is not None
    assert swapped.value == pytest.approx(-found.value, abs=1e-9)


@given(columns)
@settings(max_examples=30)
def test_a_pair_without_a_value_is_as_if_it_were_not_there(rows: list[tuple[float | None, float | None, int]]) -> None:
    whole = [list(side) for side in zip(*rows, strict=True)]
    kept = [row for row in rows if None not in row[:2]]
    part = [list(side) for side in zip(*kept, strict=True)] if kept else [[], [], []]
    assert paired_difference(*whole, FAST) == paired_difference(*part, FAST)  # type: ignore[arg-type]
    assert mcnemar(*whole) == mcnemar(*part)  # type: ignore[arg-type]


def test_no_difference_at_all_has_p_1() -> None:
    found = paired_difference([1.0] * 20, [1.0] * 20, range(20), FAST)
    assert found == Estimate(0.0, 0.0, 0.0, 20, 20, 1.0)
    assert paired_difference([None], [1.0], [0], FAST) is None


def test_negation_turns_the_interval_round() -> None:
    assert -Estimate(0.1, 0.05, 0.2, 9, 8, 0.04) == Estimate(-0.1, -0.2, -0.05, 9, 8, 0.04)


@given(st.integers(0, 15), st.integers(0, 15), st.integers(0, 5))
@settings(max_examples=40)
def test_mcnemar_without_clusters_is_the_binomial_test(better: int, worse: int, same: int) -> None:
    left: list[float | None] = [1.0] * better + [0.0] * worse + [1.0] * same
    right: list[float | None] = [0.0] * better + [1.0] * worse + [1.0] * same
    found = mcnemar(left, right, range(len(left)))
    assert (found.better, found.worse) == (better, worse)
    tail = sum(math.comb(better + worse, k) for k in range(min(better, worse) + 1)) / 2 ** (better + worse)
    assert found.p == pytest.approx(min(1.0, 2 * tail), abs=1e-9)


def test_mcnemar_counts_a_conversation_once() -> None:
    left: list[float | None] = [1.0, 1.0, 1.0, 0.0]
    right: list[float | None] = [0.0, 0.0, 0.0, 1.0]
    found = mcnemar(left, right, ["a", "a", "a", "b"])
    assert (found.better, found.worse, found.p) == (1, 1, 1.0)


def test_holm_on_a_worked_example() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([]) == []


@given(ps)
@settings(max_examples=40)
def test_holm_is_monotone_and_between_p_and_bonferroni(found: list[float]) -> None:
    adjusted = holm(found)
    for p, q in zip(found, adjusted, strict=True):
        assert p <= q <= min(1.0, p * len(found)) + 1e-12
    order = sorted(range(len(found)), key=lambda place: found[place])
    ranked = [adjusted[place] for place in order]
    assert ranked == sorted(ranked)


@pytest.mark.parametrize(
    ("estimate", "outcome"),
    [
        (made(0.0, -0.01, 0.01), "pass"),
        (made(-0.01, -0.03, 0.01), "inconclusive"),
        (made(-0.03, -0.05, -0.01), "inconclusive"),
        (made(-0.05, -0.07, -0.03), "fail"),
        (made(0.0, -0.02, 0.02), "inconclusive"),
    ],
)
def test_non_inferiority_reads_the_interval(estimate: Estimate, outcome: str) -> None:
    assert non_inferiority(estimate, 0.02) == outcome


def test_within_reads_both_ends() -> None:
    assert within(made(0.0, -0.04, 0.04), 0.05) == "pass"
    assert within(made(0.0, -0.04, 0.06), 0.05) == "inconclusive"
    assert within(made(0.1, 0.06, 0.2), 0.05) == within(made(-0.1, -0.2, -0.06), 0.05) == "fail"


def test_macro_f1_of_a_small_confusion() -> None:
    truth = ["a", "a", "a", "b", "b", "c"]
    said = ["a", "a", "b", "b", "x", "a"]
    a, b, c = 2 * 2 / (3 + 3), 2 * 1 / (2 + 2), 0.0
    assert macro_f1(truth, said) == pytest.approx((a + b + c) / 3)
    assert macro_f1(truth, truth) == 1.0
    with pytest.raises(ValueError, match="at least one"):
        macro_f1([], [])


def test_the_macro_f1_difference_has_an_interval_and_a_p() -> None:
    rng = Random(1)
    truth = [rng.choice("abcd") for _ in range(300)]
    better = [label if rng.random() < 0.9 else "a" for label in truth]
    worse = [label if rng.random() < 0.6 else "a" for label in truth]
    found = macro_f1_difference(truth, better, worse, range(300), FAST)
    assert found is not None
    assert found.value == pytest.approx(macro_f1(truth, better) - macro_f1(truth, worse))
    assert 0 < found.low < found.value < found.high
    assert found.p is not None
    assert found.p < 0.01
    same = macro_f1_difference(truth, better, better, range(300), FAST)
    assert same is not None
    assert (same.value, same.p) == (0.0, 1.0)
    assert macro_f1_difference([], [], [], [], FAST) is None


def test_a_gap_is_the_difference_of_two_means_with_welchs_width() -> None:
    values = binary(300, 0.9, 1) + binary(300, 0.6, 2)
    inside: list[bool | None] = [True] * 300 + [False] * 300
    found = gap([*values, 0.0], [*inside, None], range(601))
    assert found is not None
    left, right = np.array(values[:300], dtype=float), np.array(values[300:], dtype=float)
    half = 1.96 * math.sqrt(left.var() / 300 + right.var() / 300)
    assert found.value == pytest.approx(left.mean() - right.mean())
    assert found.high - found.low == pytest.approx(2 * half, rel=0.1)
    assert (found.n, found.clusters) == (300, 600)
    assert gap(values, [True] * 600, range(600), FAST) is None


def test_a_paired_gap_does_not_care_how_hard_the_questions_are() -> None:
    hard: list[float | None] = [float(place % 3 == 0) for place in range(50) for _ in range(2)]
    pairs = [f"p{place}" for place in range(50) for _ in range(2)]
    inside: list[bool | None] = [True, False] * 50
    found = paired_gap(hard, inside, pairs, pairs, FAST)
    assert found == Estimate(0.0, 0.0, 0.0, 50, 50, 1.0)
    tilted: list[float | None] = [value if member else 0.0 for value, member in zip(hard, inside, strict=True)]
    unequal = paired_gap(tilted, inside, pairs, pairs, FAST)
    assert unequal is not None
    assert unequal.value == pytest.approx(17 / 50)
    assert unequal.low > 0.15
    assert paired_gap(hard, inside, [""] * 100, pairs, FAST) is None


def test_an_effect_that_few_clusters_carry_is_told() -> None:
    left: list[float | None] = [1.0] * 4 + [0.0] * 96
    right: list[float | None] = [0.0] * 4 + [1.0, 1.0] + [0.0] * 94
    assert carried_by(left, right, range(100)) == 2
    assert carried_by(right, left, range(100)) == 2
    assert carried_by(left, left, range(100)) == 0
    assert carried_by([1.0, 1.0, 1.0], [0.0, 0.0, 0.0], ["a", "a", "a"]) == 1


@given(columns)
@settings(max_examples=40)
def test_fewer_clusters_than_told_never_take_an_effect_away(rows: list[tuple[float | None, float | None, int]]) -> None:
    kept = [(left - right, cluster) for left, right, cluster in rows if left is not None and right is not None]
    sums: dict[int, float] = {}
    for difference, cluster in kept:
        sums[cluster] = sums.get(cluster, 0.0) + difference
    total = sum(sums.values())
    whole = [list(side) for side in zip(*rows, strict=True)]
    count = carried_by(*whole)  # type: ignore[arg-type]
    ordered = sorted((value * math.copysign(1, total) for value in sums.values()), reverse=True)
    if count:
        assert abs(total) - sum(ordered[: count - 1]) > 1e-10
        assert abs(total) - sum(ordered[:count]) < 1e-8
    else:
        assert abs(total) < 1e-8
