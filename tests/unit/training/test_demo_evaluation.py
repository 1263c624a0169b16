from __future__ import annotations

from pathlib import Path

import pytest

from app.contracts.prompt import NOT_IN_ARTICLES
from app.errors import ConfigurationError
from tests.unit.training.tiny import make_data
from training.demo_model.evaluation import (
    Item,
    first_passage,
    items,
    judge,
    random_passage,
    supported,
    table,
)
from training.demo_model.measure import measure

PASSAGES = ("The pool is open on Monday from 8 a.m. to 5 p.m.", "Parking costs $4 a day. The garage has 20 places.")


def item(right: int | None = 2, fact: str = "$4 a day") -> Item:
    return Item("hospital direct" if right else "none", PASSAGES, "what is parking", right, fact if right else "")


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ("Parking costs $4 a day. [2]", (1, 1, 1, 0, 0)),
        ("Parking costs $5 a day. [2]", (1, 0, 0, 0, 1)),
        ("Parking costs $4 a day. [1]", (0, 0, 1, 0, 1)),
        ("Parking costs $4 a day.", (0, 0, 1, 0, 1)),
        ("The garage has 20 places. [2]", (1, 1, 0, 0, 0)),
        (NOT_IN_ARTICLES, (0, None, 0, 1, None)),
        ("Parking costs $4 a day. [9]", (0, 0, 1, 0, 1)),
    ],
)
def test_an_answer_is_judged(answer: str, expected: tuple[float | None, ...]) -> None:
    found = judge([item()], [answer])["hospital direct"]
    assert (found.cited, found.supported, found.fact, found.abstained, found.changed_numbers) == expected


def test_shares_that_do_not_apply_are_left_out() -> None:
    found = judge([item(right=None)], [NOT_IN_ARTICLES])["none"]
    assert (found.items, found.cited, found.fact, found.abstained) == (1, None, None, 1.0)


def test_eight_words_in_a_row_must_stand_in_the_passage() -> None:
    passage = "one two three four five six seven eight nine ten"
    assert supported("two three four five six seven eight nine", passage)
    assert supported("nine ten", passage)
    assert not supported("one two three four five six seven nine", passage)
    assert not supported("ten nine", passage)
    assert not supported("", passage)


def test_baselines_read_nothing() -> None:
    assert first_passage([item()]) == ["The pool is open on Monday from 8 a.m. to 5 p.m. [1]"]
    assert random_passage([item()] * 30) == random_passage([item()] * 30)
    assert {text[-2] for text in random_passage([item()] * 30)} == {"1", "2"}


def test_the_items_are_whole(tmp_path: Path) -> None:
    found = items(None)
    assert found == items(None)
    groups = {group: sum(one.group == group for one in found) for group in {one.group for one in found}}
    assert groups == {"hospital direct": 90, "hospital lay": 90, "hospital short": 45, "hospital story": 45, "none": 90}
    for one in found:
        assert len(set(one.passages)) == 4
        if one.right is not None:
            assert one.fact in one.passages[one.right - 1]
    places = [one.right for one in found]
    assert all(places.count(number) > 40 for number in (1, 2, 3, 4))
    assert items(make_data(tmp_path / "data"))[: len(found)] == found


def test_the_table_names_everybody() -> None:
    one = judge([item(), item(right=None)], ["Parking costs $4 a day. [2]", NOT_IN_ARTICLES])
    written = table({"model": one, "first passage": one})
    assert written.count("| model |") == written.count("| first passage |") == 3
    assert "| hospital | model | 1 | 1.000 | 1.000 | 1.000 | 0.000 | 0.000 |" in written


def test_a_folder_that_is_no_model_is_refused_at_once(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="not a model folder"):
        measure(tmp_path, None, [])
