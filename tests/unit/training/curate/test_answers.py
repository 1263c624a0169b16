"""What is measured of the staff's answers."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from app.contracts.site import load_site
from training.curate.answers import MEASURES, Rater
from training.curate.readability import grade, level, syllables
from training.curate.records import Record, Turn

PARKING = """---
id: parking
title: Parking
topic: facilities
audience: patients
owner: Guest services
reviewed: 2026-01-01
review_by: 2027-01-01
sources: ["Policy 1"]
---

## Where do I park?

Park in the Birch garage, next to the cancer center. The first two hours in the Birch garage are free.
"""


@pytest.fixture(scope="module")
def rater(tmp_path_factory: pytest.TempPathFactory) -> Rater:
    articles = tmp_path_factory.mktemp("articles")
    (articles / "parking.md").write_text(PARKING, encoding="utf-8")
    return Rater(load_site(Path("demo")), articles)


def rated(rater: Rater, *said: str, language: str = "en", resolved: bool | None = True) -> dict[str, float]:
    """The measures of a call that the staff opens."""
    turns = tuple(Turn(speaker="patient" if place % 2 else "staff", text=text) for place, text in enumerate(said))
    record = Record(id="1", kind="transcript", source="a", place=1, language=language, resolved=resolved, turns=turns)
    return dict(zip((measure.name for measure in MEASURES), rater.rate(record), strict=True))


OPENING = "Thank you for calling Cedar Valley, how can I help you?"
QUESTION = "Where do I park for the cancer center?"


def test_a_full_answer_has_all_shares(rater: Rater) -> None:
    answer = "Of course. Park in the Birch garage, next to the cancer center. The first two hours are free."
    found = rated(rater, OPENING, QUESTION, answer + " If it is full, please call Patient relations.")
    assert [found[name] for name in ("quality", "resolved", "grounded", "next_step", "courteous")] == [1.0] * 5
    assert found["words"] > 15


def test_a_poor_answer_has_none(rater: Rater) -> None:
    found = rated(rater, OPENING, QUESTION, "Like I said, I don't know.", resolved=False)
    assert [found[name] for name in ("quality", "resolved", "grounded", "next_step", "courteous")] == [0.0] * 5


@pytest.mark.parametrize(
    "answer", ["You can reach them at 515-555-0120.", "I'll transfer you.", "It's in CedarChart.", "Call 911 now."]
)
def test_a_route_or_a_next_step(rater: Rater, answer: str) -> None:
    assert rated(rater, OPENING, QUESTION, answer)["next_step"] == 1.0


def test_another_number_is_not_grounded(rater: Rater) -> None:
    wrong = "Park in the Birch garage, next to the cancer center. The first 9 hours in the Birch garage are free."
    assert rated(rater, OPENING, QUESTION, wrong)["grounded"] == 0.0


def test_words_that_open_every_call_say_nothing_of_this_one(rater: Rater) -> None:
    found = rated(rater, "Thank you for calling Patient support.", QUESTION, "Somewhere outside.")
    assert found["courteous"] == 0.0
    assert found["next_step"] == 0.0


def test_spanish_is_measured_by_what_is_known_of_it(rater: Rater) -> None:
    found = rated(rater, "Buenos días.", "¿Dónde?", "Con gusto, llame a Facturación.", language="es")
    assert found["next_step"] == found["courteous"] == found["quality"] == 1.0
    assert all(math.isnan(found[name]) for name in ("grounded", "words", "reading_grade"))


def test_what_the_source_does_not_tell_is_not_guessed(rater: Rater) -> None:
    found = rated(rater, OPENING, QUESTION, "Please ask Guest services.", resolved=None)
    assert math.isnan(found["resolved"])
    assert found["quality"] == pytest.approx(2 / 3)


@pytest.mark.parametrize(
    ("word", "count"),
    [("the", 1), ("appointment", 3), ("table", 2), ("walked", 1), ("needed", 2), ("you're", 1), ("follow-up", 3)],
)
def test_syllables(word: str, count: int) -> None:
    assert syllables(word) == count


def test_the_grade_follows_its_formula() -> None:
    """33 words of one syllable in 3 sentences."""
    text = "The cat sat on the mat and it did not move. " * 3
    assert grade(text) == pytest.approx(0.39 * 11 + 11.8 * 1 - 15.59)
    assert level(text) == "grade 1 or less"


def test_hard_words_and_long_sentences_raise_the_grade() -> None:
    easy = (
        "You can call us. We can help you pay the bill. Come to the desk on Oak Street. Bring your card and a pen. " * 2
    )
    hard = (
        "Individuals anticipating considerable financial difficulty may request comprehensive assistance, "
        "provided that supporting documentation accompanies the application. "
    ) * 3
    assert (grade(easy) or 0) < 4 < 12 < (grade(hard) or 0)
    assert level(hard) == "grade 7 or more"


def test_a_few_words_and_pseudonyms_have_no_grade() -> None:
    assert grade("Yes, please.") is None
    assert grade("<PERSON_1> <PERSON_2> 515 555 0100. " * 20) is None
    assert level("Yes.") == ""
