"""Wrong phones, hours, doses and numbers are found against the demo hospital's truth, and right ones are left alone."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import pytest

from app.contracts.site import load_site
from training.curate.facts import Facts
from training.curate.figures import read_figures
from training.curate.truth import SITE, Truth, entities, site_sentences, stems

HOSPITAL, ARTICLES = load_site(Path("demo")), Path("demo/articles")


@cache
def truth() -> Truth:
    return Truth.load(HOSPITAL, ARTICLES)


@cache
def facts() -> Facts:
    return Facts(truth(), entities(HOSPITAL))


def found(sentence: str, question: str = "", around: str = "") -> list[tuple[str, str, str]]:
    return [(fault.kind, fault.figure.text, fault.right) for fault in facts().check(sentence, question, around)]


@pytest.mark.parametrize(
    ("sentence", "question", "fault"),
    [
        ("You can call Imaging at 515-555-0159.", "", ("wrong_phone", "515-555-0159", "515-555-0150")),
        ("Imaging's number is 515-555-0152.", "", ("wrong_phone", "515-555-0152", "515-555-0150")),
        ("I'd say call Imaging at <PHONE_1> to change the time.", "", ("wrong_phone", "<PHONE_1>", "515-555-0150")),
        (
            "The Laboratory is open Monday to Friday 6:30 a.m. to 7 p.m.",
            "When is the lab open?",
            ("wrong_hours", "7 p.m.", "5 p.m."),
        ),
        (
            "Urgent care is open Monday to Friday, 8 a.m. to 8 p.m.",
            "",
            ("wrong_hours", "Monday to Friday", "every day"),
        ),
        ("Cedar Valley Pharmacy is open on Sunday.", "", ("wrong_hours", "open", "not open")),
        (
            "Adults should not take more than 5,000 milligrams of acetaminophen in 24 hours.",
            "How much Tylenol is too much?",
            ("wrong_dose", "5,000 milligrams", "4,000 milligrams"),
        ),
        (
            "It's not more than 4,000 grams of acetaminophen in 24 hours, all products together.",
            "",
            ("wrong_dose", "4,000 grams", "4,000 milligrams"),
        ),
        (
            "After the first 30 minutes, parking in the Cedar Garage costs $5 an hour.",
            "What does parking cost?",
            ("wrong_number", "$5", "$2"),
        ),
        (
            "no problem visitors age 65 and older get 25 percent off at the cedar cafe",
            "is there a senior discount",
            ("wrong_number", "25 percent", "10 percent"),
        ),
        (
            "The pharmacy is open Monday to Friday from 8 a.m. to 8 p.m., and Saturday from 8 a.m. to 5 p.m.",
            "When is the pharmacy open?",
            ("wrong_hours", "8 a.m.", "9 a.m."),
        ),
        (
            "Financial counseling is in the Main Building, level 1, room 181.",
            "Where is financial counseling?",
            ("wrong_number", "181", "118"),
        ),
        ("Valet parking is ten dollars.", "How much is valet?", ("wrong_number", "ten dollars", "$5")),
        ("Supper starts at half past five.", "When is supper?", ("wrong_hours", "half past five", "4:30 p.m.")),
        (
            "The first hour in the Cedar Garage is free, one hour.",
            "How long is the Cedar Garage free?",
            ("wrong_number", "one hour", "30 minutes"),
        ),
        (
            "You can reach Cedar Valley Pharmacy at five one five, five five five, oh one two nine.",
            "",
            ("wrong_phone", "five one five, five five five, oh one two nine", "515-555-0120"),
        ),
    ],
)
def test_a_wrong_figure_is_found_with_the_right_one(sentence: str, question: str, fault: tuple[str, str, str]) -> None:
    assert fault in found(sentence, question)


@pytest.mark.parametrize(
    "sentence",
    [
        "Your appointment is on Tuesday at 3:45 p.m. with <PERSON_1>.",
        "I'll call you back at <PHONE_1> in ten minutes.",
        "Take your two children along, and bring $20 for lunch.",
        "Cardiac rehab session 11, <PERSON_1>.",
        "Signed <PERSON_2> 03/08/2026",
        "Hi, you've got <PERSON_3> at the Surgery center.",
        "BP 154/73, pulse 88, weight 166 lb.",
        "Metformin 500 mg twice a day, lisinopril 10 mg daily.",
        "Supper starts at half past four.",
        "Insulin in use can stay at room temperature for up to four weeks.",
        "You can reach Cedar Valley Pharmacy at five five five, oh one two oh.",
        "Cardiac rehab programs have about three dozen sessions.",
    ],
)
def test_what_is_about_one_patient_or_said_in_other_words_is_no_fault(sentence: str) -> None:
    assert found(sentence) == []


def test_nothing_that_the_hospital_says_is_a_fault() -> None:
    faults = [statement.text for statement in truth().statements if found(statement.text)]
    assert faults == []
    assert len(truth().statements) > 2000


def test_a_patients_own_phone_is_no_fault() -> None:
    sentence = "Imaging will call you at <PHONE_1>."
    assert facts().check(sentence)
    assert not facts().check(sentence, given=frozenset({"<PHONE_1>"}))


def test_the_corrected_sentence_differs_in_the_figure_alone() -> None:
    (fault,) = facts().check("Please call Imaging at 515-555-0159, or come by.")
    assert fault.corrected == "Please call Imaging at 515-555-0150, or come by."
    assert fault.statement.source == SITE


def test_site_yaml_is_part_of_the_truth() -> None:
    said = list(site_sentences(HOSPITAL))
    assert "Call Imaging at 515-555-0150." in said
    assert any("room 118" in sentence for sentence in said)
    assert entities(HOSPITAL)["pharmacy"] == "515-555-0120"


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("9 a.m. to 5:30 PM", [("time", "09:00", ""), ("time", "17:30", "")]),
        ("Monday to Wednesday", [("days", "day:monday day:tuesday day:wednesday", "")]),
        (
            "every day",
            [("days", " ".join(sorted(f"day:{d}day" for d in "mon tues wednes thurs fri satur sun".split())), "")],
        ),
        ("two tablets of 500 mg", [("number", "2", "tablet"), ("number", "500", "mg")]),
        ("(515) 555-0100", [("phone", "5155550100", "")]),
        ("closed on Sunday", [("state", "closed day:sunday", ""), ("days", "day:sunday", "")]),
        ("does not open on Sunday", [("state", "closed day:sunday", ""), ("days", "day:sunday", "")]),
        ("$1,250 on 3/8/2026 for <MRN_1>", [("number", "1250", "$")]),
        ("half past four", [("time", "?04:30", "")]),
        ("a quarter to nine at night", [("time", "20:45", "")]),
        ("eight in the morning", [("time", "08:00", "")]),
        ("five o'clock, or seven thirty", [("time", "?05:00", ""), ("time", "?07:30", "")]),
        ("open from nine to three.", [("time", "?09:00", ""), ("time", "?03:00", "")]),
        ("wait from two to four weeks", [("number", "2", ""), ("number", "4", "week")]),
        ("an hour and a half, or half an hour", [("number", "90", "minute"), ("number", "30", "minute")]),
        ("one week, or a day before", [("number", "1", "week"), ("number", "1", "day")]),
        ("two dozen, three bucks and half off", [("number", "24", ""), ("number", "3", "$"), ("number", "50", "%")]),
        ("a hundred and three pounds", [("number", "103", "lb")]),
        ("in room one oh eight", [("number", "108", "")]),
        ("five five five, oh one two nine", [("phone", "5550129", "")]),
    ],
)
def test_figures_are_read_in_their_places(text: str, read: list[tuple[str, str, str]]) -> None:
    figures = read_figures(text)
    assert [(figure.kind, figure.value, figure.unit) for figure in figures] == read
    assert all(text[figure.start : figure.end] == figure.text for figure in figures)


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("half past four", "4:30 p.m.", True),
        ("half past four", "4:30 a.m.", True),
        ("half past four at night", "4:30 a.m.", False),
        ("24 hours", "one day", True),
        ("half a year", "6 months", True),
        ("two weeks", "14 days", True),
        ("two weeks", "14 hours", False),
        ("five five five, oh one two oh", "515-555-0120", True),
        ("five five five, oh one two nine", "515-555-0120", False),
    ],
)
def test_figures_say_the_same_in_other_words(one: str, other: str, same: bool) -> None:
    (first,), (second,) = read_figures(one), read_figures(other)
    assert first.says(second) is same
    assert second.says(first) is same


def test_stems_leave_out_figures_and_pseudonyms_and_join_like_words() -> None:
    assert stems("Call <PERSON_1> at 9 a.m. about the 500 mg tablets") == stems("call about the mg tablet")
    assert stems("kids") == stems("children")
    assert "one-hour" in stems("the one-hour test")


def test_a_number_in_letters_is_read_to_its_end() -> None:
    (figure,) = read_figures("You have to be sixteen or older.")
    assert (figure.value, figure.text) == ("16", "sixteen")
