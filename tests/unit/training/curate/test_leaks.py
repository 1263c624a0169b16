"""What the stricter look's rules suspect and leave, and that no text keeps them busy."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import pytest

from app.contracts.site import load_site
from app.redaction.lexicon import Lexicon
from app.redaction.redactor import build_detector
from tests.cost import seconds
from training.curate.leak_rules import RULES
from training.curate.leaks import StrictLook
from training.curate.public import Public

SHAPES = ("number", "code", "address")


def suspected(text: str, kinds: Sequence[str] = SHAPES) -> list[str]:
    """What rules by shape alone find, the longest where they overlap."""
    found: list[tuple[int, int]] = []
    spans = {
        match.span("v")
        for rule in RULES
        if rule.kind in kinds and not rule.cue
        for match in rule.pattern.finditer(text, timeout=10)
    }
    for start, end in sorted(spans, key=lambda span: (span[0], -span[1])):
        if not found or start >= found[-1][1]:
            found.append((start, end))
    return [text[start:end] for start, end in found]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("414:555:0123", "414:555:0123"),
        ("SSN 123:45:6789", "123:45:6789"),
        ("my chart is 44:71:23", "44:71:23"),
        ("My chart number is 44, 71 and 23.", "44, 71 and 23"),
        ("415 and 667 and 89 21 is my phone", "415 and 667 and 89 21"),
        ("44 / 71 / 23 is my record number", "44 / 71 / 23"),
        (
            "My SSN starts with 123, the middle is 45 and it ends with 67 89.",
            "123, the middle is 45 and it ends with 67 89",
        ),
        ("My social begins with one two three, then four five, and ends with six seven eight nine.",
         "one two three, then four five, and ends with six seven eight nine"),
        ("janedoe at hotmail", "janedoe at hotmail"),
        ("it's jane dot doe at gmail", "jane dot doe at gmail"),
        ("123 / 45 / 6789", "123 / 45 / 6789"),
        ("414 and then 555 and then 0123", "414 and then 555 and then 0123"),
        ("It's 414, then 555, then 0123.", "414, then 555, then 0123"),
        ("414;555;0123", "414;555;0123"),
        ("one two three then four five and then six seven eight nine",
         "one two three then four five and then six seven eight nine"),
        ("My MRN is forty-four, seventy-one, twenty-three.", "forty-four, seventy-one, twenty-three"),
        ("(a@b)", "(a@b)"),
        ("write to jane@doe.example now", "jane@doe.example"),
        ("I am M\u2066aria, hi", "M\u2066aria,"),
        ("one\x0112\u206945\x01two", "12\u206945"),
    ],
)  # fmt: skip
def test_one_number_in_parts_is_suspected_whole(text: str, value: str) -> None:
    assert suspected(text) == [value]


@pytest.mark.parametrize(
    "text",
    [
        "It starts at 9:30:00 and ends at 11:45:00.",
        "The log says 12:30:00 to 14:45:10.",
        "It took 2:03:59 to finish.",
        "The ratio is 1:2:4, the titer 1:1280.",
        "They won 3:2, 4:1 and 2:2.",
        "Check your account at 8:30 and 12:15.",
        "The next visit is on 3/14 or 4/2.",
        "My card is good until 12/26.",
        "Take 100 then 250 then 1000 mg.",
        "Take 100 and then 250 and then 1000.",
        "My sugars were 120 and 135 and 142.",
        "My readings were 110, then 124, then 131.",
        "Blood pressure was 120/80, then 130/85.",
        "We have 100 beds, 250 nurses and 1200 volunteers.",
        "Rooms 12 and 15 and 18 are free.",
        "My account starts with a 20 dollar fee, then 35, and ends with 50.",
        "The dose starts with 25 mg, then 50 mg and ends with 100 mg.",
        "My case is two or three weeks old.",
        "The bill is $120, then $45, then $1200.",
        "I work at Yahoo.",
        "Look at Outlook, please.",
        "My email is at gmail.",
        "Please email me at gmail.",
        "Your phone is ready.",
        "My card is five to seven days late.",
        "Pain was two, then three, then four.",
    ],
)
def test_times_ratios_dates_scores_and_doses_are_not(text: str) -> None:
    assert suspected(text) == []


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("The zip code is five one three three one.", "five one three three one"),
        ("my pin is 7 7 4 1", "7 7 4 1"),
        ("just the last part, 0142", "0142"),
        ("it was 192 dot 168 dot 44 dot 17 I think", "192 dot 168 dot 44 dot 17"),
        ("it is her ninety third birthday", "ninety third"),
        ("we had her 95th birthday here", "95th"),
        ("he is a centenarian", "centenarian"),
        ("she was born in 1929 you know", "1929"),
        ("she's from 1929 you know", "1929"),
    ],
)
def test_ages_over_ninety_and_numbers_that_are_read_out_are_suspected(text: str, value: str) -> None:
    assert suspected(text, (*SHAPES, "age")) == [value]


@pytest.mark.parametrize(
    "text",
    [
        "her 9th birthday", "the 95th percentile", "visiting from 1900 to 2100", "born in 1961",
        "open since 1912 hours",
        "in the hundredth year of our hospital", "take 1 dot", "pin the note to the door", "plate of eggs",
    ],
)  # fmt: skip
def test_other_ages_years_and_numbers_are_not(text: str) -> None:
    assert suspected(text, (*SHAPES, "age")) == []


def test_a_whole_phone_number_takes_nothing_with_it() -> None:
    assert suspected("Our phone is 515-555-0111, 8 to 5.") == ["515-555-0111"]
    assert suspected("My card phone: 515-555-0111 and 515-555-0199.") == ["515-555-0111", "515-555-0199"]


@pytest.mark.parametrize(
    "bait",
    [
        "a@", "a", " @", "@", "1", "1 ", "1, ", "1-", "a-1", "A-", "A-1-", "\n", " ", ".", "a_", "x.", "a'", "de ",
        "Ab ", "one ", "uh, ", "i'm uh ", "car ", "lives at 1 ", "1 at a dot ", "i'm the only ", "123:",
        "my chart is 4:", "ssn starts with 1, ", "ssn starts with one then ", "jane dot ", "a at ", "works at and of ",
        "123 and then ", "1/ ", "12 Ab ", "id is of my ", "<PERSON_1> ", "log in as ", "a\u2066", "\u2066 ",
    ],
)  # fmt: skip
@pytest.mark.parametrize("end", ["", "a", "%", " mg"])
def test_no_text_keeps_a_rule_busy(bait: str, end: str) -> None:
    # Twice the length of this took a rule that is worse than linear seconds.
    assert seconds(partial(read, bait * (12_000 // len(bait)) + end), most=2) < 2


@pytest.mark.parametrize("bait", ["a@", "a"])
def test_a_long_word_is_read_at_once(bait: str) -> None:
    assert seconds(partial(read, bait * (98_000 // len(bait))), most=4) < 4


def read(text: str) -> None:
    """By every rule, to its end."""
    for rule in RULES:
        for _ in rule.pattern.finditer(text, timeout=10):
            pass


def test_what_was_put_in_is_known_in_whatever_order_it_comes() -> None:
    site = load_site(Path("demo"))
    look = StrictLook(build_detector(), Lexicon.load(), Public.read(site, Path("demo/articles"), ()))
    text, put = "We see you on 3/2 and again on 3/2/2021.", ["3/2", "3/2/2021"]
    assert [span.type for span in look.suspects(text)] == ["date", "date"]
    assert look.suspects(text, put) == look.suspects(text, put[::-1]) == []
