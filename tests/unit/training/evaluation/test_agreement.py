"""Agreement of raters: the examples that the publications print, and what must hold for any table."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from training.evaluation.agreement import Agreement, Ratings, agreement, fleiss_kappa, krippendorff_alpha

# Fleiss (1971), table 1: how many of 6 psychiatrists gave each of 30 patients one of 5 diagnoses. Printed: .430
FLEISS = """
00060 03003 01401 00006 03030 20400 00402 20310 20040 00006 10050 11040 03300 10050 02031
00501 30012 51000 02040 10203 00006 01050 02013 20040 10041 05010 40002 02040 10500 00006
"""

# Krippendorff (2011), section C: 4 observers, 12 units, "." not given. Printed: nominal .743, ordinal .815
KRIPPENDORFF = ("123321412...", "1233224125.3", ".3332342251.", "12332441251.")


def fleiss_table() -> Ratings:
    return [[place for place, times in enumerate(row) for _ in range(int(times))] for row in FLEISS.split()]


def krippendorff_table() -> Ratings:
    columns = [[None if value == "." else float(value) for value in row] for row in KRIPPENDORFF]
    return [list(unit) for unit in zip(*columns, strict=True)]


def test_the_diagnoses_of_fleiss() -> None:
    assert fleiss_kappa(fleiss_table()) == pytest.approx(0.430, abs=5e-4)


def test_the_units_of_krippendorff() -> None:
    table = krippendorff_table()
    assert krippendorff_alpha(table) == pytest.approx(0.743, abs=5e-4)
    assert krippendorff_alpha(table, ordinal=True) == pytest.approx(0.815, abs=5e-4)


@pytest.mark.parametrize(
    ("first", "second", "printed"),
    [
        # Krippendorff (2011), section A (binary) and section B (nominal), both without gaps.
        ("0100000010", "1110010000", 0.095),
        ("aabbdcccedda", "babbbccceddd", 0.692),
    ],
)
def test_two_observers_of_krippendorff(first: str, second: str, printed: float) -> None:
    table = [[float(ord(left)), float(ord(right))] for left, right in zip(first, second, strict=True)]
    assert krippendorff_alpha(table) == pytest.approx(printed, abs=5e-4)


def test_kappa_by_hand_with_a_gap() -> None:
    # Three raters, three items, one gap. Agreeing pairs: 1, 1/3, 1; categories: (1 + 2/3 + 0) / 3 = 5/9 and 4/9.
    observed, chance = (1 + 1 / 3 + 1) / 3, (5 / 9) ** 2 + (4 / 9) ** 2
    table: Ratings = [[1, 1, 1], [1, 1, 2], [2, None, 2]]
    assert fleiss_kappa(table) == pytest.approx((observed - chance) / (1 - chance))
    assert agreement(table, "fleiss kappa", draws=50).observed == pytest.approx(observed)


tables = st.integers(2, 5).flatmap(
    lambda raters: st.lists(
        st.lists(st.one_of(st.none(), st.integers(1, 5)), min_size=raters, max_size=raters), min_size=1, max_size=12
    )
)


def values(table: Ratings) -> list[float | None]:
    return [fleiss_kappa(table), krippendorff_alpha(table), krippendorff_alpha(table, ordinal=True)]


@settings(max_examples=100, deadline=None)
@given(tables, st.integers(0, 2**32))
def test_the_order_of_items_and_raters_does_not_matter(table: list[list[float | None]], seed: int) -> None:
    rng = np.random.default_rng(seed)
    rows = rng.permutation(len(table))
    columns = rng.permutation(len(table[0]))
    other = [[table[row][column] for column in columns] for row in rows]
    assert values(other) == pytest.approx(values(table))


@settings(max_examples=100, deadline=None)
@given(tables)
def test_never_above_one_and_one_only_where_all_agree(table: list[list[float | None]]) -> None:
    rated = [[value for value in row if value is not None] for row in table]
    perfect = all(len(set(row)) == 1 for row in rated if len(row) > 1)
    for value in values(table):
        if value is not None:
            assert value <= 1 + 1e-9
            assert (value == pytest.approx(1)) == perfect


@settings(max_examples=50, deadline=None)
@given(tables)
def test_new_names_of_categories_change_nothing_but_their_order_does(table: list[list[float | None]]) -> None:
    stretched = [[None if value is None else 10 * value**3 for value in row] for row in table]
    assert values(stretched) == pytest.approx(values(table))
    swapped = [[None if value is None else -value % 6 for value in row] for row in table]
    assert values(swapped)[:2] == pytest.approx(values(table)[:2])


def ends(found: Agreement) -> tuple[float, float]:
    assert found.low is not None
    assert found.high is not None
    return found.low, found.high


def width(found: Agreement) -> float:
    low, high = ends(found)
    return high - low


def test_ordinal_forgives_neighbours() -> None:
    near: Ratings = [[1, 2], [2, 1], [4, 5], [5, 4]]
    far: Ratings = [[1, 5], [5, 1], [2, 4], [4, 2]]
    nominal, ordinal = krippendorff_alpha(near), krippendorff_alpha(near, ordinal=True)
    assert nominal is not None
    assert ordinal is not None
    assert ordinal > 0.4 > nominal
    assert (krippendorff_alpha(far, ordinal=True) or 0) < 0


@pytest.mark.parametrize("table", [[], [[None, None]], [[1, None], [None, 2]]])
def test_without_pairs_there_is_no_agreement(table: Ratings) -> None:
    assert values(table) == [None, None, None]
    assert agreement(table, "alpha ordinal") == Agreement("alpha ordinal", None, None, None, 0.0, 0)


def test_without_variation_it_is_not_defined_but_observed() -> None:
    found = agreement([[3, 3, 3], [3, 3, None]], "alpha nominal")
    assert found.value is None
    assert found.observed == 1


def test_the_interval_holds_the_value_narrows_with_items_and_repeats() -> None:
    rng = np.random.default_rng(3)

    def table(items: int) -> Ratings:
        truth = rng.integers(1, 6, items)
        return [[float(np.clip(value + rng.integers(-1, 2), 1, 5)) for _ in range(3)] for value in truth]

    few, many = table(20), table(200)
    small, large = agreement(few, "alpha ordinal"), agreement(many, "alpha ordinal")
    for found in (small, large):
        assert ends(found)[0] < (found.value or 0) < ends(found)[1]
    assert width(large) < width(small) / 2
    assert agreement(few, "alpha ordinal") == small


def test_items_of_a_cluster_are_drawn_together() -> None:
    few: Ratings = [[1, 1, 2], [2, 2, 2], [1, 1, 1], [3, 2, 3], [1, 3, 1], [2, 2, 2], [3, 3, 3], [1, 2, 3]]
    alone = agreement(few, "fleiss kappa")
    twice = agreement([*few, *few], "fleiss kappa", clusters=[*range(8), *range(8)])
    assert (twice.value, width(twice)) == (pytest.approx(alone.value), pytest.approx(width(alone)))
    assert width(agreement([*few, *few], "fleiss kappa")) < 0.85 * width(alone)


def test_intervals_cover_the_agreement_of_the_population() -> None:
    """Of 60 samples of 40 items, about 95 % of the intervals hold what 20,000 items give."""
    rng = np.random.default_rng(5)

    def table(items: int) -> Ratings:
        truth = rng.integers(0, 3, items)
        return [[int(v) if rng.random() < 0.75 else int(rng.integers(0, 3)) for _ in range(3)] for v in truth]

    whole = fleiss_kappa(table(20_000))
    assert whole is not None
    found = [agreement(table(40), "fleiss kappa", draws=400) for _ in range(60)]
    covered = sum((one.low or 0) <= whole <= (one.high or 0) for one in found)
    assert 50 <= covered <= 60


def test_rows_of_different_length_are_refused() -> None:
    with pytest.raises(ValueError, match="one place a rater"):
        agreement([[1, 2], [1]], "alpha nominal")
