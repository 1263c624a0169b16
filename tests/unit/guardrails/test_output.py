from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from app.contracts.passages import Passage
from app.contracts.site import load_site
from app.guardrails.figures import figures
from app.guardrails.output import OutputChecks

SITE = load_site(Path(__file__).parents[3] / "demo")
CHECKS = OutputChecks(SITE)
TEXT = (
    "Do not eat solid food after midnight before your surgery. You may drink clear liquids until two hours before you arrive. "  # noqa: E501
    "Take your blood pressure medicine with a sip of water unless your surgeon told you not to. The surgery center is open Monday to Friday, 5:30 a.m. to 6 p.m. "  # noqa: E501
    "Call 515-555-0155 with questions, or send a message. See https://www.cedarvalley.example/surgery. Acetaminophen 500 mg may be used for pain. "  # noqa: E501
    "If you have a fever after surgery, call your care team."
)
PASSAGES = [
    Passage(
        "other#0",
        "other",
        1,
        "Parking",
        "",
        "Parking is free in the Oak garage for four hours.",
        date(2026, 1, 1),
        date(2027, 1, 1),
    ),
    Passage("surgery#0", "surgery", 1, "Before surgery", "", TEXT, date(2026, 1, 1), date(2027, 1, 1)),
]


def rules(sentence: str) -> set[str]:
    return {hit.rule for hit in CHECKS.check(sentence, PASSAGES, "can I eat before surgery?").hits}


@pytest.mark.parametrize(
    "sentence",
    [
        "Do not eat solid food after midnight before your surgery.",
        "You may drink clear liquids until 2 hours before you arrive.",
        "The surgery center is open Monday to Friday, 5:30 am to 6:00 p.m.",
        "Call (515) 555-0155 with questions.",
        "See https://www.cedarvalley.example/surgery.",
        "If you have a fever after surgery, call your care team.",
        "Parking is free in the Oak garage for 4 hours.",
    ],
)
def test_supported_sentences_pass(sentence: str) -> None:
    verdict = CHECKS.check(sentence, PASSAGES, "")
    assert verdict.passed, verdict.hits
    assert verdict.passage == (0 if "Parking" in sentence else 1)


@pytest.mark.parametrize(
    ("sentence", "rule"),
    [
        ("You may eat solid food after midnight before your surgery.", "output.negation"),
        ("You may drink clear liquids until four hours before you arrive.", "output.figure"),
        ("Acetaminophen 650 mg may be used for pain.", "output.figure"),
        ("Acetaminophen 500 g may be used for pain.", "output.figure"),
        ("The surgery center is open Monday to Saturday, 5:30 a.m. to 6 p.m.", "output.figure"),
        ("The surgery center is open Monday to Friday, 5:30 p.m. to 6 p.m.", "output.figure"),
        ("Call 515-555-0156 with questions.", "output.figure"),
        ("Ibuprofen 500 mg may be used for pain.", "output.word_not_in_passage"),
        ("Do not eat solid food before midnight after your surgery.", "output.relation_moved"),
        ("You should stop taking your blood pressure medicine before your surgery.", "output.advice"),
        ("The moon is made of cheese.", "output.unsupported"),
        ("Call your care team at https://evil.example/x.", "output.link"),
        ("Question: can I eat before surgery?", "output.control"),
        ("Call your care team [2", "output.control"),
        ("**Call** your care team.", "output.markup"),
        ("Call <b>your</b> care team.", "output.markup"),
        ("Call call call your care team.", "output.repetition"),
        ("The approved articles do not answer this question.", "output.not_in_articles"),
        ("...", "output.empty"),
    ],
)
def test_unsafe_sentences_fail_with_the_reason(sentence: str, rule: str) -> None:
    assert rule in rules(sentence)
    assert not CHECKS.check(sentence, PASSAGES, "").passed


def test_words_of_the_question_support_nothing() -> None:
    assert not CHECKS.check("Ibuprofen may be used for pain.", PASSAGES, "may ibuprofen be used for pain?").passed


def test_no_passages_means_no_support() -> None:
    assert not CHECKS.check("Call your care team.", [], "").passed


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("two tablets", "2 tablets"),
        ("9 a.m.", "9:00 AM"),
        ("(515) 555-0100", "515.555.0100"),
        ("1-800-222-1222", "800-222-1222"),
        ("noon", "12 p.m."),
        ("twenty-four hours", "24 hours"),
        ("8 to 10 days", "8-10 days"),
        ("March 3rd", "Mar. 3"),
        ("9 to 5 p.m.", "9 - 5 pm"),
        ("1,000 mg", "1000 mg"),
    ],
)
def test_equal_figures(one: str, other: str) -> None:
    assert figures(one) == figures(other) != set()


@pytest.mark.parametrize(
    ("one", "other"),
    [("5 mg", "5 mcg"), ("9 a.m.", "9 p.m."), ("2 hours", "2 days"), ("1.5", "15"), ("March 3", "March 13")],
)
def test_different_figures(one: str, other: str) -> None:
    assert figures(one) != figures(other)


@pytest.mark.parametrize(
    "sentence",
    [
        "One visitors at a time may be at the bedside.",  # a number changed
        "Visitors at a time may be at the bedside.",  # the beginning cut off
        "Ask if you have no badge, the desk makes one for you.",  # a word of another sentence before it
        "You may shower with mild soap after the second day.",  # the condition cut off
        "Call the Nurse Line at 515-555-0105 for refills.",  # one office's number after another's name
    ],
)
def test_copies_that_are_not_whole_fail(sentence: str) -> None:
    text = (
        "Two visitors at a time may be at the bedside. If you have no badge, the desk makes one for you. "
        "You may shower with mild soap after the second day unless your surgeon says no. Ask for the charge nurse. "
        "Call the Nurse Line at 515-555-0111 at night. Call your care team at 515-555-0105 for refills."
    )
    passage = Passage("p#0", "p", 1, "Visiting", "", text, date(2026, 1, 1), date(2027, 1, 1))
    assert not CHECKS.check(sentence, [passage], "").passed


@pytest.mark.parametrize(
    "sentence",
    [
        "Please ring the bell at 6 p.m., and wait for the nurse.",
        "<PERSON_1>, two visitors at a time may be at the bedside.",
        "2 visitors at a time may be at the bedside.",
        "Ring the bell at 6:00 pm.",
        "Ring the bell at 6 p.m., and wait for the nurse.",
    ],
)
def test_whole_sentences_pass_in_any_writing_of_numbers(sentence: str) -> None:
    text = "Two visitors at a time may be at the bedside. Ring the bell at 6 p.m., and wait for the nurse."
    passage = Passage("p#0", "p", 1, "Visiting", "", text, date(2026, 1, 1), date(2027, 1, 1))
    verdict = CHECKS.check(sentence, [passage], "")
    assert verdict.passed, verdict.hits


MEDICINE = Passage(
    "m#0", "m", 1, "Using acetaminophen safely", "Who should ask?",
    "Ask the pharmacist or care team before taking acetaminophen if you have liver disease. Ask before taking "
    "acetaminophen with warfarin or if you are pregnant. Take 5 mL of the syrup, and never use a kitchen spoon. "
    "Too much acetaminophen can badly harm the liver, even when a person feels fine at first. "
    "The person at the desk can help.",
    date(2026, 1, 1), date(2027, 1, 1),
)  # fmt: skip


@pytest.mark.parametrize(
    "sentence",
    [
        "You may take warfarin with acetaminophen.",
        "Take acetaminophen and warfarin both.",
        "A person feels fine with too much acetaminophen.",
        "If you are pregnant you have liver disease.",
        "A person feels.",
        "The person can help.",
        "Take 5 mL of the syrup.",  # what was left out forbids something
        "Yes, ask before taking acetaminophen with warfarin or if you are pregnant.",  # nobody said yes
    ],
)
def test_the_words_of_a_passage_in_another_order_say_something_else_and_fail(sentence: str) -> None:
    verdict = CHECKS.check(sentence, [MEDICINE], "")
    assert "output.not_whole" in {hit.rule for hit in verdict.hits}
    assert not verdict.passed


@pytest.mark.parametrize(
    ("sentence", "rule"),
    [
        ("The person at the desk can help 停止服药.", "output.character"),
        ("The person at the desk can help стоп.", "output.character"),
        ("The person at the desk can help Ｓｔｏｐ.", "output.character"),
        ("The person at the desk can help ½.", "output.character"),
        ("The person at the desk can help \U0001f48a.", "output.character"),
        ("The person at the desk can help\u200b.", "output.character"),
        ("Take .5 mL of the syrup, and never use a kitchen spoon.", "output.figure_glued"),
        ("Take -5 mL of the syrup, and never use a kitchen spoon.", "output.figure_glued"),
        ("The person at the desk can help <PHONE_1>.", "output.pseudonym"),
        ("The person at the desk can help at <URL_1>.", "output.pseudonym"),
        ("The person <PERSON_1> at the desk can help.", "output.pseudonym"),
        ("Please <PERSON_1>.", "output.pseudonym"),
    ],
)
def test_what_the_words_do_not_show_fails_too(sentence: str, rule: str) -> None:
    verdict = CHECKS.check(sentence, [MEDICINE], "")
    assert rule in {hit.rule for hit in verdict.hits}
    assert not verdict.passed


def test_a_character_of_the_passage_may_be_said() -> None:
    text = "Keep the room at 70°F & take ½ cup of juice."
    passage = Passage("p#0", "p", 1, "Juice", "", text, date(2026, 1, 1), date(2027, 1, 1))
    assert CHECKS.check(text, [passage], "").passed
