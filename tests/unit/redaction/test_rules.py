"""The parts that rules are built of, and how long the rules take on hostile text."""

from __future__ import annotations

from functools import partial

import pytest
import regex

from app.errors import ConfigurationError
from app.redaction.detector import own_recognizers
from app.redaction.lexicon import Lexicon
from app.redaction.presidio import EntityRecognizer
from app.redaction.recognizers.rules import RuleRecognizer, compile_rule
from app.redaction.recognizers.shapes import is_code, is_range
from app.redaction.recognizers.towns import any_of, listed_towns
from tests.cost import grows, seconds

BAIT = (
    *("a", "1", "1-", "A ", "Ab ", "a@", "a.", "one ", "12 Elm ", "x at ", "mrn is ", "five ", "calle ", "1/2 ", "a_"),
    *("my mom ", "in Waco ", "Ab Cd, ", "\n- ", "12/31 ", "St ", "spelled a ", "AB 12 ", "user a ", "(1) ", "Dr. "),
    *("# ", "xxxx", "twenty one ", "Hospital ", "de la ", "Ab-Cd ", "1st and ", "may 1 ", "12345 ", "12-34-", "a1b2"),
    *("mom is ", "work at ", "thanks, a ", "P.O. Box 1 ", "http://a", "a.com ", "mail is a ", "K22 7719 ", "ab1 "),
    *("Ab of ", "99 ", "12 34 ", "CR 1 ", "@a", "Jan "),
)


@pytest.fixture(scope="module")
def recognizers() -> list[EntityRecognizer]:
    return own_recognizers(Lexicon.load(), 60)


@pytest.mark.parametrize("piece", BAIT)
def test_no_recognizer_takes_50_ms_for_1000_characters(piece: str, recognizers: list[EntityRecognizer]) -> None:
    text = (piece * 1_000)[:1_000]
    for recognizer in recognizers:
        look = partial(recognizer.analyze, text, recognizer.supported_entities, None)
        assert seconds(look, most=0.05) < 0.05, recognizer.name


@pytest.mark.parametrize("piece", ["Ab-Cd ", "ab1 ", "CR 1 ", "Ab Cd 1/2/33 ", "99 f ", "dob 1/2/33 Ab Cd "])
def test_looking_at_the_words_around_a_match_stays_linear(piece: str, recognizers: list[EntityRecognizer]) -> None:
    def look(length: int) -> None:
        for recognizer in recognizers:
            recognizer.analyze((piece * length)[:length], recognizer.supported_entities, None)

    assert grows(lambda length: seconds(lambda: look(length)), 4_000, 16_000, most=10) < 10


def test_a_rule_runs_only_on_a_text_that_holds_what_it_needs() -> None:
    rule = compile_rule("USERNAME", r"(?P<v>\bab\d\b)", needs="sign in")
    recognizer = RuleRecognizer("one", [rule], 1)
    assert recognizer.analyze("ab1 hurts", ["USERNAME"]) == []
    assert len(recognizer.analyze("cannot log in as ab1", ["USERNAME"])) == 1


@pytest.mark.parametrize(
    "value", ["E11.65", "J0585", "G20210A", "rs1799853", "NCT04280705", "MK-3475", "99214-25", "2024-2025", "500MG"]
)
def test_codes_of_medicine_are_codes(value: str) -> None:
    assert is_code(value)


@pytest.mark.parametrize("value", ["A448120", "H0091827", "88-4410-R", "PA9918273", "7719208"])
def test_numbers_of_people_are_no_codes(value: str) -> None:
    assert not is_code(value)


def test_a_range_goes_up_and_has_no_leading_zero() -> None:
    assert is_range("5000-8000")
    assert is_range("80-130")
    assert not is_range("8000-5000")
    assert not is_range("44-0918")
    assert not is_range("100-200000")
    assert not is_range("12-B")


def test_a_list_of_towns_as_a_pattern_takes_the_longest_name_and_nothing_else() -> None:
    pattern = regex.compile(rf"(?:{any_of(['wichita', 'wichita falls', 'waco', 'st. louis'])})(?!\w)")
    assert pattern.match("wichita falls, tx")[0] == "wichita falls"
    assert pattern.match("wichita-falls")[0] == "wichita-falls"
    assert pattern.match("wichita is far")[0] == "wichita"
    assert pattern.match("st. louis")
    assert not pattern.match("wic")
    assert not pattern.match("stx louis")


def test_the_two_lists_of_towns_have_no_town_in_common() -> None:
    assert not set(listed_towns("towns.txt")) & set(listed_towns("towns_cued.txt"))
    with pytest.raises(ConfigurationError, match="no_such_list"):
        listed_towns("no_such_list.txt")
