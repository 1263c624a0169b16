"""Answers that say the opposite of the truth, or of each other, are found; other words for the same are not."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import pytest

from app.contracts.site import load_site
from training.curate.contradictions import Answers, Contradictions, Said, clauses
from training.curate.stance import agree, opposed, stance
from training.curate.truth import Truth

ARTICLES = Path("demo/articles")


@cache
def truth() -> Truth:
    return Truth.load(load_site(Path("demo")), ARTICLES)


@cache
def checker() -> Contradictions:
    return Contradictions(truth())


@pytest.mark.parametrize(
    ("sentence", "question"),
    [
        ("Controlled medicines can be mailed if the patient signs.", "Can you mail my Adderall?"),
        ("Latex balloons are fine in regular rooms.", "May I bring latex balloons?"),
        ("She must fast overnight for the one-hour glucose test.", "Do I fast for the one-hour glucose test?"),
        ("Financial assistance is only for citizens.", "Do I have to be a citizen to apply for assistance?"),
        ("We charge $15 for each FMLA or disability form.", "What does an FMLA form cost?"),
        ("The first missed visit is charged too.", "I missed a visit for the first time, do I pay?"),
        ("Patients with a placard pay the normal garage rate.", "Is parking free with a disability placard?"),
        ("You may drive one hour after sedation.", "When can I drive after sedation?"),
    ],
)
def test_what_goes_against_the_articles_is_found(sentence: str, question: str) -> None:
    found = checker().check(sentence, question)
    assert found is not None
    assert found.source in {path.stem for path in ARTICLES.glob("*.md")}
    assert found.sentence == sentence


@pytest.mark.parametrize(
    ("sentence", "question"),
    [
        ("Controlled medicines can't be mailed.", "Can you mail my Adderall?"),
        ("There's no fee for an FMLA form.", "What does an FMLA form cost?"),
        ("No need to fast for the one-hour glucose test.", "Do I fast for the one-hour glucose test?"),
        ("I can't open that, but you can upload the card in CedarChart.", "Can I send you my card?"),
        ("Please don't chew gum during the fasting hours, because it can change the result.", "May I chew gum?"),
        ("Many new computers have no disc drive, so ask the other doctor what works best.", "I have no CD drive."),
        ("No problem, most series don't need to start over after a late dose.", "We missed a shot, what now?"),
        ("Stay away from red, purple or orange, the color can look like blood.", "What may I not drink?"),
        ("Drive safe.", "Thanks, bye."),
        ("Can I help you with anything else?", "No, thanks."),
        ("Let me put a note in for your care team.", "Okay."),
        ("Your appointment with Dr. Lee cannot be moved.", "Can I move it?"),
    ],
)
def test_other_words_for_the_same_and_small_talk_are_not(sentence: str, question: str) -> None:
    assert checker().check(sentence, question) is None


def test_the_truth_contradicts_itself_hardly_ever() -> None:
    sentences = [statement.text for statement in truth().statements[::7]]
    found = [sentence for sentence in sentences if checker().check(sentence)]
    assert len(found) <= 0.005 * len(sentences), found


def test_a_sentence_of_the_truth_is_supported() -> None:
    assert checker().supported("You do not need to fast for the one-hour glucose test.")
    assert not checker().supported("You need to fast for the one-hour glucose test.")


@pytest.mark.parametrize(
    ("text", "sides"),
    [
        ("You do not need a referral", {"duty": -1}),
        ("You must bring a photo ID", {"duty": 1}),
        ("Parking is free", {"money": -1}),
        ("We charge a small fee", {"money": 1}),
        ("Do not put ointment on it", {"permission": -1}),
        ("You may keep your glasses on", {"permission": 1}),
        ("It does not make contrast unsafe", {"permission": 1}),
        ("no such thing as a silly question", {}),
        ("The chapel is on level 1", {}),
        ("They decide when you cannot speak", {}),
    ],
)
def test_a_clause_takes_a_side(text: str, sides: dict[str, int]) -> None:
    assert stance(text) == sides


def test_opposite_sides_and_denied_words() -> None:
    assert opposed("You may eat before the test", "Do not eat before the test") == "permission"
    assert opposed("Keep taking it", "Stop taking it")
    assert opposed("A doula counts as a visitor", "A doula is no visitor")
    assert opposed("You may eat", "You can eat") == ""
    assert agree("You may eat", "It is fine to eat")
    assert not agree("You may eat", "You cannot eat")


def test_a_sentence_has_clauses() -> None:
    assert clauses("Lost items are kept for 60 days, but food is thrown away each evening.") == [
        "Lost items are kept for 60 days",
        "food is thrown away each evening.",
    ]


def pairs(*answers: tuple[str, str, bool]) -> list[tuple[int, int, str]]:
    """The pairs found among (question, answer, supported), by their numbers."""
    said = [Said(number, 1, *answer) for number, answer in enumerate(answers)]
    book = Answers(truth().weight, lambda place: said[place])
    return [
        (one.record, other.record, reason)
        for place, one in enumerate(said)
        for other, reason in book.opposite(one, place)
    ]


def test_two_answers_to_one_question_with_opposite_sides_are_a_pair() -> None:
    found = pairs(
        ("May dogs visit on the ward?", "Dogs may visit the ward on weekdays.", False),
        ("When is lunch served?", "You may have lunch at noon.", False),
        ("Hi! May dogs visit the ward?", "No, dogs are not allowed on the ward.", False),
    )
    assert found == [(2, 0, "permission")]


def test_two_answers_in_the_same_words_with_other_figures_are_a_pair() -> None:
    found = pairs(
        ("How long is the garden tour?", "The garden tour with the gardener takes 20 minutes.", False),
        ("How long is the garden tour?", "The garden tour with the gardener takes 45 minutes.", False),
        ("How long is the garden tour?", "The garden tour with the gardener takes 45 minutes.", False),
    )
    assert found == [(1, 0, "figures")]


def test_what_the_truth_does_not_say_is_told_from_what_it_says() -> None:
    asked = "Who has to watch me sign the garden permit?"
    found = pairs(
        (asked, "Two adult witnesses must watch you sign.", True),
        (asked, "The mayor's secretary needs to come with a stamp.", False),
    )
    assert [reason for _, _, reason in found] == ["unsupported"]


def test_answers_that_agree_or_speak_of_something_else_are_no_pair() -> None:
    assert not pairs(
        ("May dogs visit on the ward?", "Dogs may visit the ward on weekdays.", False),
        ("May dogs visit on the ward?", "Yes, dogs can visit the ward.", False),
    )
    assert not pairs(
        ("How much is a video visit?", "You may pay your video visit online.", True),
        ("Can I drive in a video visit?", "Do not drive in a video visit.", True),
    )
