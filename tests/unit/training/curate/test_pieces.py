"""Numbers told in pieces over turns are gone wherever they stand; ordinary calls stay as they are."""

from __future__ import annotations

import pytest
import regex
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.cost import seconds
from training.curate.pieces import told_in_pieces

S, P = "staff", "patient"
UNITS = "zero one two three four five six seven eight nine".split()
TEENS = "ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen nineteen".split()
TENS = "twenty thirty forty fifty sixty seventy eighty ninety".split()
NUMBER = regex.compile(rf"\d|\b(?:{'|'.join([*UNITS, *TEENS, *TENS])}|oh|double)\b", regex.IGNORECASE)
ASKED = ("Can I have your social?", "What's your member ID number?", "And your Social Security number, please.")
HEARD = ("Mhm.", "Okay.", "Go ahead.", "Got it, next?", "")


def without(*turns: tuple[str, str]) -> list[str]:
    """The turns with # for what is taken out."""
    left = []
    for (_, text), ranges in zip(turns, told_in_pieces(turns), strict=True):
        assert ranges == sorted(ranges)
        for start, end in reversed(ranges):
            text = f"{text[:start]}#{text[end:]}"
        left.append(text)
    return left


TOLD = (
    (
        ((S, "Can I have your social?"), (P, "One two three."), (S, "Mhm."), (P, "Four five."), (S, "Okay."),
         (P, "Six seven eight nine. And the parking?"), (S, "So that's 123-45-6789. Parking is 5 dollars.")),
        ["Can I have your social?", "#.", "Mhm.", "#.", "Okay.", "#. And the parking?",
         "So that's #. Parking is 5 dollars."],
    ),
    (
        ((S, "Your record number?"), (P, "44"), (S, "44"), (P, "71"), (S, "uh-huh"), (P, "23"),
         (S, "forty-four, 71, 23")),
        ["Your record number?", "#", "#", "#", "uh-huh", "#", "#"],
    ),
    (
        ((P, "414"), (S, "yes"), (P, "then 555"), (S, "okay"), (P, "then zero one two three")),
        ["#", "yes", "then #", "okay", "then #"],
    ),
    (
        ((S, "What is your chart number?"), (P, "forty-four"), (S, "Go on."), (P, "seventy-one"), (S, "and the rest?"),
         (P, "it's double three")),
        ["What is your chart number?", "#", "Go on.", "#", "and the rest?", "it's #"],
    ),
    (
        ((P, "123, then 45"), (S, "mhm"), (P, "then 67"), (S, "mhm"), (P, "89"), (S, "Ending in 6789, right?")),
        ["#", "mhm", "then #", "mhm", "#", "Ending in #, right?"],
    ),
    (
        ((S, "Your social?"), (P, "123"), (S, "One two four?"), (P, "No, 123. Then 45."), (S, "mhm"), (P, "6789")),
        ["Your social?", "#", "One two four?", "No, #. Then #.", "mhm", "#"],
    ),
    (
        ((S, "The last four of your social?"), (P, "sixty-seven"), (S, "mhm"), (P, "eighty-nine")),
        ["The last four of your social?", "#", "mhm", "#"],
    ),
    (
        ((S, "And a phone number?"), (P, "four one four"), (S, "mhm"), (P, "<PHONE_1>")),
        ["And a phone number?", "#", "mhm", "<PHONE_1>"],
    ),
    (
        ((S, "¿Su número de seguro social?"), (P, "uno dos tres"), (S, "sí"), (P, "cuarenta y cinco"), (S, "sí"),
         (P, "seis siete ocho nueve")),
        ["¿Su número de seguro social?", "#", "sí", "#", "sí", "#"],
    ),
    (
        ((S, "What is your chart number?"), (P, "125/31.25"), (S, "mhm"), (P, "then 250")),
        ["What is your chart number?", "#", "mhm", "then #"],
    ),
    (
        ((P, "125/31"), (S, "mhm"), (P, "then 2548."), (S, "mhm"), (P, "then 7719.")),
        ["125/31", "mhm", "then #.", "mhm", "then #."],
    ),
)  # fmt: skip


@pytest.mark.parametrize(("turns", "left"), TOLD)
def test_pieces_are_taken_out_and_where_they_are_read_back(turns: tuple[tuple[str, str], ...], left: list[str]) -> None:
    assert without(*turns) == left


ORDINARY = (
    ((S, "How much metformin do you take?"), (P, "Five hundred."), (S, "Okay."), (P, "Then a thousand at night.")),
    ((S, "What's the dose?"), (P, "125"), (S, "mhm"), (P, "then 250"), (S, "okay"), (P, "then 500")),
    ((P, "Twenty milligrams."), (S, "Mhm."), (P, "Then forty milligrams."), (S, "Mhm."),
     (P, "Then one hundred twenty mg.")),
    ((S, "What were your sugars?"), (P, "120."), (S, "Okay."), (P, "135."), (S, "Mhm."), (P, "And 142.")),
    ((P, "My blood pressure was odd."), (S, "Tell me."), (P, "142 over 90."), (S, "Mhm."), (P, "151 over 95.")),
    ((P, "When do you open?"), (S, "Eight to five."), (P, "And Saturdays?"), (S, "Nine to one.")),
    ((P, "What hours?"), (S, "Nine thirty."), (P, "Okay."), (S, "Then ten fifteen."), (P, "Okay."),
     (S, "Then eleven forty-five.")),
    ((S, "I have an opening."), (P, "Okay."), (S, "9:30."), (P, "Mhm."), (S, "10:15."), (P, "Mhm."), (S, "11:45.")),
    ((P, "What does it cost?"), (S, "Two fifty."), (P, "Okay."), (S, "Then one twenty."), (P, "Uh-huh."),
     (S, "And 180.")),
    ((S, "It's $120."), (P, "Okay."), (S, "$250 and $1200.")),
    ((P, "What's your number?"), (S, "515-555-0111."), (P, "Thanks."), (S, "Anything else?")),
    ((P, "The pharmacy?"), (S, "515-555-0111."), (P, "Okay."), (S, "Or 515-555-0199.")),
    ((P, "Your fax?"), (S, "It's 515-555-0111."), (P, "515-555-0111?"), (S, "Yes.")),
    ((S, "How old is she?"), (P, "Forty-two."), (S, "And he?"), (P, "Thirty-nine."), (S, "Okay."),
     (P, "And the kids twelve.")),
    ((S, "How many?"), (P, "Two."), (S, "Okay."), (P, "One."), (S, "Okay."), (P, "Three.")),
    ((P, "Two."), (S, "Mhm."), (P, "One."), (S, "Mhm."), (P, "Two."), (S, "Mhm."), (P, "Four."), (S, "Ok."),
     (P, "Five six.")),
    ((S, "When was the surgery?"), (P, "2019."), (S, "Mhm."), (P, "And 2021.")),
    ((P, "2019."), (S, "Mhm."), (P, "Then 2021."), (S, "Mhm."), (P, "Then 2023.")),
    ((P, "Which room?"), (S, "Room two fourteen."), (P, "Okay."), (S, "Then room three oh eight.")),
    ((P, "Which floor?"), (S, "Two."), (P, "And the room?"), (S, "214."), (P, "Okay."), (S, "The bus is 1620.")),
    ((S, "Pain, zero to ten?"), (P, "Seven."), (S, "Okay."), (P, "Ten at night.")),
    ((S, "What does he weigh?"), (P, "180."), (S, "Mhm."), (P, "It was 195."), (S, "Mhm."), (P, "And 210 before.")),
    ((P, "When is visiting?"), (S, "Ten to eight."), (P, "Every day?"), (S, "Ten to eight, seven days.")),
    ((S, "Your date of birth?"), (P, "<DATE_1>"), (S, "How many tablets?"), (P, "Twelve."), (S, "Okay."),
     (P, "Then 14.")),
    ((S, "What's your phone number?"), (P, "<PHONE_1>."), (S, "Which floor are you on?"), (P, "Twelve."),
     (S, "Thanks.")),
    ((P, "Do I press one?"), (S, "Press two."), (P, "Then?"), (S, "Then 45.")),
    ((P, "What was my A1c?"), (S, "7.2."), (P, "Okay."), (S, "Before it was 8.15."), (P, "Hm."), (S, "And 9.25.")),
    ((P, "One of them is red."), (S, "Okay."), (P, "Two of them are blue."), (S, "Okay."), (P, "Twenty-one in all.")),
    ((P, "Oh, that's fine."), (S, "Okay."), (P, "Oh, and once a day?"), (S, "Once a day.")),
    ((S, "What's the ZIP?"), (P, "526"), (S, "And date of birth?"), (P, "<DATE_1>, 1957")),
    ((P, "Is it 24/7?"), (S, "Yes."), (P, "And 365 days?"), (S, "Yes.")),
    ((P, "Is there a liquid?"), (S, "It is 125/31.25."), (P, "Okay."), (S, "And 250/62.5.")),
    ((P, "Which ones?"), (S, "125/31.25."), (P, "Okay."), (S, "Then 250 / 62.5."), (P, "Okay."), (S, "And 875/125.")),
    ((P, "The platelets?"), (S, "150,000."), (P, "Okay."), (S, "And 140,000 before.")),
)  # fmt: skip


@pytest.mark.parametrize("turns", ORDINARY)
def test_ordinary_calls_stay(turns: tuple[tuple[str, str], ...]) -> None:
    assert without(*turns) == [text for _, text in turns]


@st.composite
def said(draw: st.DrawFn, digits: str) -> str:
    """Digits as digits, one by one, or in words."""
    form = draw(st.sampled_from(("whole", " ", "-", "words", "words", "words")))
    if form != "words":
        return digits if form == "whole" else form.join(digits)
    words: list[str] = []
    at = 0
    while at < len(digits):
        two = digits[at : at + 2]
        pair = len(two) == 2 and draw(st.booleans())
        if pair and two[0] == two[1]:
            words.append(f"double {UNITS[int(two[0])]}")
        elif pair and two[0] == "1":
            words.append(TEENS[int(two[1])])
        elif pair and two[0] != "0" and two[1] != "0":
            words.append(f"{TENS[int(two[0]) - 2]}{draw(st.sampled_from('- '))}{UNITS[int(two[1])]}")
        else:
            pair = False
            words.append(draw(st.sampled_from(("oh", "zero"))) if two[0] == "0" and words else UNITS[int(two[0])])
        at += 2 if pair else 1
    return draw(st.sampled_from((" ", ", "))).join(words)


@settings(max_examples=300, deadline=None)
@given(data=st.data(), number=st.text("0123456789", min_size=9, max_size=9))
def test_no_piece_of_a_number_is_left(data: st.DataObject, number: str) -> None:
    cuts = sorted(data.draw(st.sets(st.integers(1, 8), min_size=1, max_size=3)))
    turns = [(S, data.draw(st.sampled_from(ASKED)))]
    for start, end in zip([0, *cuts], [*cuts, 9], strict=True):
        piece = data.draw(said(number[start:end]))
        before = data.draw(st.sampled_from(("", "then ", "and ", "it's ", "uh, ", "next ")))
        turns.append((P, f"{before}{piece}{data.draw(st.sampled_from(('.', '', '?')))}"))
        turns.append((S, data.draw(st.sampled_from(HEARD)) or f"{piece}?"))
    assert not [text for text in without(*turns)[1:] if NUMBER.search(text)]


@settings(max_examples=200, deadline=None)
@given(number=st.text("123456789", min_size=9, max_size=9), cut=st.integers(2, 7))
def test_nor_where_nobody_asked_for_it(number: str, cut: int) -> None:
    left = without((P, number[:cut]), (S, "Mhm."), (P, f"then {number[cut:]}."))
    assert left == ["#", "Mhm.", "then #."] or all(
        regex.fullmatch(r"(?:19|20)\d\d", part) for part in (number[:cut], number[cut:])
    )


@pytest.mark.parametrize(
    "bait", ["a@", "a", "1", "1 ", "one ", "1 then ", "uh, ", "one. ", "double ", "\n", "1-", "1, "]
)
def test_no_text_takes_long(bait: str) -> None:
    text = bait * (50_000 // len(bait))
    turns = [(S, "Your social?"), (P, text), *((P, text[n : n + 50]) for n in range(0, len(text), 50))]
    assert seconds(lambda: told_in_pieces(turns), most=5) < 5


def test_nothing_is_asked_of_no_turns() -> None:
    assert told_in_pieces([]) == []
    assert told_in_pieces([(S, ""), (P, "")]) == [[], []]
