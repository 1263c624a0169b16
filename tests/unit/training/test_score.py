from __future__ import annotations

import pytest

from app.contracts.prompt import NOT_IN_ARTICLES
from tests.unit.training.tiny import make_dialogue
from training.finetune.score import mean, score, token_f1
from training.finetune.sentences import numbers, split_sentences, without_citation


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("Open 8 a.m. to 5 p.m. Monday. Call us.", ["Open 8 a.m. to 5 p.m. Monday.", "Call us."]),
        ("It closes at 5 p.m. The door is locked.", ["It closes at 5 p.m.", "The door is locked."]),
        ("Pay in these ways: - Pay online. - Pay by phone.", ["Pay in these ways:", "Pay online.", "Pay by phone."]),
        ("Ask Dr. Lee. Then go.", ["Ask Dr. Lee.", "Then go."]),
        ("A fever of 100.4 F. Rest at home.", ["A fever of 100.4 F.", "Rest at home."]),
        ('Choose "Refill." Then pay.', ['Choose "Refill."', "Then pay."]),
        ("One sentence only", ["One sentence only"]),
        ("", []),
    ],
)
def test_sentences(text: str, parts: list[str]) -> None:
    assert split_sentences(text) == parts


def test_numbers_and_citation() -> None:
    assert numbers("Call 515-555-0120 at 7:30 a.m. and pay $3,000.") == ["515-555-0120", "7:30", "$3,000"]
    assert without_citation("Yes. [12]") == "Yes."


def test_the_wanted_answer_is_right_in_every_figure() -> None:
    dialogue = make_dialogue(30)
    found = score(dialogue, dialogue.answer)
    assert found.supported
    assert found.numbers_right
    assert found.right_sentence
    assert found.exact
    assert found.cited
    assert not found.number_changed
    assert found.token_f1 == 1.0


def test_a_changed_digit_is_a_changed_number_and_not_supported() -> None:
    found = score(make_dialogue(30), "The garage is free for 80 minutes. [1]")
    assert found.number_changed
    assert found.supported is False
    assert found.numbers_right is False


def test_two_sentences_spliced_misplace_a_number() -> None:
    spliced = score(make_dialogue(30), "The garage is free for 515-555-0120. [1]")
    assert spliced.number_misplaced
    assert not spliced.number_changed
    assert not score(make_dialogue(30), "Call 515-555-0120. [1]").number_misplaced


def test_a_part_of_a_number_does_not_pass_for_the_number() -> None:
    assert score(make_dialogue(30), "Call 515-555-012. [1]").number_changed


def test_another_sentence_is_supported_but_not_the_right_one() -> None:
    found = score(make_dialogue(30), "Call 515-555-0120. [1]")
    assert found.supported
    assert found.right_sentence is False


@pytest.mark.parametrize("answer", ["The garage is free for 30 minutes.", "The garage is free for 30 minutes. [2]"])
def test_a_missing_or_wrong_citation_counts(answer: str) -> None:
    assert score(make_dialogue(30), answer).cited is False


def test_abstention() -> None:
    answerable = make_dialogue(30)
    none = make_dialogue(30, answer=NOT_IN_ARTICLES, kind="none")
    assert score(none, NOT_IN_ARTICLES).abstained_rightly
    assert score(none, NOT_IN_ARTICLES).abstained_wrongly is None
    assert score(none, NOT_IN_ARTICLES).supported is None
    assert score(answerable, NOT_IN_ARTICLES).abstained_wrongly
    assert score(answerable, NOT_IN_ARTICLES).supported is False
    assert score(none, answerable.answer).abstained_rightly is False


def test_means_leave_out_what_does_not_apply() -> None:
    none = make_dialogue(1, answer=NOT_IN_ARTICLES, kind="none")
    scores = [score(make_dialogue(30), "Call 515-555-0120. [1]"), score(none, NOT_IN_ARTICLES)]
    assert mean(scores, "supported") == (1.0, 1)
    assert mean(scores, "abstained_rightly") == (1.0, 1)
    assert mean(scores, "number_changed") == (0.0, 2)


def test_token_f1() -> None:
    assert token_f1("the garage is free", "garage free") == pytest.approx(2 / 3)
    assert token_f1("", "garage") == 0.0
