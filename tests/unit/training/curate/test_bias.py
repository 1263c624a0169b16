"""Gaps between groups of patients: found where they are, no alarm where there are none."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.curate.answers import Measure
from training.curate.bias import (
    LANGUAGE,
    Answers,
    Effort,
    Gap,
    Labels,
    comparable_groups,
    gap_again,
    holm,
    measure_gaps,
)

SHARE = Measure("resolved", "resolved", "share", True, True)
MEAN = Measure("words", "words", "mean", False, False)
LIGHT = Effort(permutations=999, resamples=100)


def simulated(
    rng: np.random.Generator, patients: int = 120, bias: float = 0.0, calls: int = 2, topics_differ: bool = True
) -> Answers:
    """Patients of three insurances and two sexes with calls of their own, good days and bad ones, and harder topics.

    ``bias`` raises the chance of a resolved question for the first insurance; those patients also call about other
    things than the rest.
    """
    insurance, sex = rng.integers(0, 3, patients), rng.integers(0, 2, patients)
    owners = np.repeat(np.arange(patients), rng.integers(1, calls + 1, patients))
    topics = rng.integers(0, 6, len(owners))
    if topics_differ:
        topics = np.where((insurance[owners] == 0) & (rng.random(len(owners)) < 0.5), 0, topics)
    ease = 0.35 + 0.06 * topics + 0.15 * rng.standard_normal(patients)[owners]
    resolved = rng.random(len(owners)) < ease + bias * (insurance[owners] == 0)
    words = 30 + 5 * topics + 8 * rng.standard_normal(len(owners))
    return Answers(
        measures=(SHARE, MEAN),
        values=np.column_stack([resolved, words]).astype(np.float64),
        dimensions={
            "insurance": Labels(("private", "public", "none"), insurance[owners]),
            "sex": Labels(("female", "male"), sex[owners]),
        },
        topics=topics,
        languages=np.zeros(len(owners), dtype=np.int64),
        patients=owners,
        weights=np.ones(len(owners)),
    )


def gaps_of(answers: Answers, seed: int = 7, effort: Effort = LIGHT) -> dict[tuple[str, str, str], Gap]:
    groups = comparable_groups(answers, effort.smallest_group)
    found = measure_gaps(answers, groups, effort, np.random.default_rng(seed))
    return {(gap.dimension, gap.group, gap.measure): gap for gap in found}


def test_a_planted_bias_is_found_with_its_size() -> None:
    answers = simulated(np.random.default_rng(1), patients=400, bias=0.25)
    found = gaps_of(answers)
    private = found["insurance", "private", "resolved"]
    assert private.alarm
    assert private.low < 0.25 < private.high
    assert private.effect > 0.3
    assert {key[0] for key, gap in found.items() if gap.alarm} == {"insurance"}
    assert not found["insurance", "private", "words"].alarm


@pytest.fixture(scope="module")
def without_bias() -> list[dict[tuple[str, str, str], Gap]]:
    """The gaps of 200 data sets in which no group is answered differently."""
    return [gaps_of(simulated(np.random.default_rng(seed)), seed) for seed in range(200)]


def test_unbiased_data_raise_an_alarm_in_no_more_than_the_stated_share(
    without_bias: list[dict[tuple[str, str, str], Gap]],
) -> None:
    """Alarms are stated to come in at most 5 % of such data sets; of 200, 16 are the 97.5th percentile of that."""
    assert {len(found) for found in without_bias} == {8}
    assert sum(any(gap.alarm for gap in found.values()) for found in without_bias) <= 16


def test_intervals_hold_the_truth(without_bias: list[dict[tuple[str, str, str], Gap]]) -> None:
    gaps = [gap for found in without_bias for gap in found.values()]
    assert 0.91 <= np.mean([gap.low <= 0 <= gap.high for gap in gaps]) <= 0.98


def test_many_calls_of_one_patient_count_as_one_voice() -> None:
    """Each call comes eight times over: no more is known than from one, so the alarms must not multiply."""
    alarms = 0
    for seed in range(40):
        answers = simulated(np.random.default_rng(seed), patients=80, calls=1)
        often = answers.rows(np.repeat(np.arange(len(answers.weights)), 8))
        alarms += any(gap.alarm for gap in gaps_of(often, seed, LIGHT).values())
    assert alarms <= 5


def answers_of(rows: list[tuple[str, int, float]]) -> Answers:
    """Rows of (group, topic, value), a patient each."""
    names = sorted({group for group, _, _ in rows})
    return Answers(
        measures=(MEAN,),
        values=np.array([[value] for _, _, value in rows]),
        dimensions={"group": Labels(tuple(names), np.array([names.index(group) for group, _, _ in rows]))},
        topics=np.array([topic for _, topic, _ in rows]),
        languages=np.zeros(len(rows), dtype=np.int64),
        patients=np.arange(len(rows)),
        weights=np.ones(len(rows)),
    )


def test_a_group_that_asks_harder_questions_is_not_worse_served() -> None:
    easy, hard = 10.0, 2.0
    rows = [("a", 0, easy)] * 30 + [("a", 1, hard)] * 10 + [("b", 0, easy)] * 10 + [("b", 1, hard)] * 30
    jitter = np.tile([-0.5, 0.5], 40)
    answers = answers_of([(group, topic, value + by) for (group, topic, value), by in zip(rows, jitter, strict=True)])
    gap = gaps_of(answers)["group", "a", "words"]
    assert gap.group_mean - gap.rest_mean == pytest.approx(4.0)
    assert gap.gap == pytest.approx(0.0, abs=1e-9)
    assert not gap.alarm


def test_weights_count() -> None:
    answers = answers_of([("a", 0, 1.0), ("a", 0, 3.0), ("b", 0, 0.0)] * 20)
    plain = gaps_of(answers)["group", "b", "words"]
    assert plain.gap == pytest.approx(-2.0)
    weighted = replace(answers, weights=np.array([3.0, 1.0, 1.0] * 20))
    assert gap_again(weighted, plain) == pytest.approx(-1.5)


def test_small_and_unknown_groups_are_compared_with_nobody() -> None:
    answers = simulated(np.random.default_rng(2))
    codes = np.full(len(answers.patients), -1)
    codes[:60], codes[60:65] = 0, 1
    answers = replace(answers, dimensions={"ward": Labels(("north", "south"), codes)})
    assert comparable_groups(answers, 20) == {}
    assert gaps_of(answers) == {}


def test_of_two_groups_only_the_smaller_is_listed() -> None:
    answers = simulated(np.random.default_rng(3), patients=200)
    sizes = {name: len(set(answers.patients[answers.dimensions["sex"].of(name)])) for name in ("female", "male")}
    assert comparable_groups(answers, 20)["sex"] == [min(sizes, key=lambda name: sizes[name])]


def test_languages_are_compared_only_by_what_means_the_same_in_both() -> None:
    answers = simulated(np.random.default_rng(4), patients=200)
    languages = (answers.patients % 3 == 0).astype(np.int64)
    answers = replace(answers, languages=languages, dimensions={LANGUAGE: Labels(("en", "es"), languages)})
    assert {measure for _, _, measure in gaps_of(answers)} == {"resolved"}


def test_what_is_not_measured_is_left_out_of_the_comparison() -> None:
    answers = simulated(np.random.default_rng(5), patients=300, bias=0.3)
    values = answers.values.copy()
    values[::3, 0] = np.nan
    gap = gaps_of(replace(answers, values=values))["insurance", "private", "resolved"]
    known = ~np.isnan(values[:, 0]) & answers.dimensions["insurance"].of("private")
    assert gap.records == known.sum()
    assert gap.group_mean == pytest.approx(values[known, 0].mean())
    assert gap.alarm


def test_the_same_seed_gives_the_same_figures() -> None:
    answers = simulated(np.random.default_rng(6))
    assert gaps_of(answers, 3) == gaps_of(answers, 3)


def test_no_test_is_made_of_what_weights_were_fitted_to() -> None:
    answers = simulated(np.random.default_rng(8), bias=0.4)
    found = measure_gaps(answers, comparable_groups(answers, 20), LIGHT, np.random.default_rng(7), test=False)
    assert found
    assert all(gap.p is None and gap.p_holm is None and not gap.alarm for gap in found)


def test_holm_by_hand() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])


@given(st.lists(st.floats(0, 1), max_size=30))
def test_holm_keeps_the_order_and_never_lowers(values: list[float]) -> None:
    adjusted = holm(values)
    assert all(value <= new <= 1 for value, new in zip(values, adjusted, strict=True))
    ranked = sorted(range(len(values)), key=lambda place: values[place])
    assert [adjusted[place] for place in ranked] == sorted(adjusted)
