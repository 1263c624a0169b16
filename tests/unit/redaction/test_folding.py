"""Folding: what recognizers read, and where it stands in the input."""

from __future__ import annotations

import unicodedata
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from app.redaction.folding import fold

SHOWN = st.sampled_from(
    ["a", "Z", "9", " ", "\n", "'", "é", "\u0301", "\u0300", "ﷺ", "ﬁ", "１", "ñ", "Ж", "\U0001f600"]
)
HIDDEN = st.sampled_from(["\u200b", "\xad", "\x01", "\x1c", "\x7f"])


def by_character(text: str) -> tuple[str, list[tuple[int, int]]]:
    """The same, one letter with its marks after the other; of texts with few marks on a letter."""
    folded, places = "", []
    starts = [at for at, character in enumerate(text) if at == 0 or not unicodedata.combining(character)]
    for start, end in pairwise([*starts, len(text)]):
        made = unicodedata.normalize("NFKC", text[start:end])
        folded += made
        places += [(start, end)] * len(made)
    return folded, places


@given(st.lists(SHOWN, max_size=20).map("".join))
def test_each_letter_is_folded_with_its_marks_and_is_found_again(text: str) -> None:
    folded = fold(text)
    expected, places = by_character(text)
    assert folded.text == expected
    assert [folded.original(at, at + 1) for at in range(len(expected))] == places


@given(st.lists(SHOWN | HIDDEN, max_size=20).map("".join))
def test_what_shows_nothing_hides_nothing(text: str) -> None:
    folded = fold(text)
    assert not set(folded.text) & set("\u200b\xad\x01\x1c\x7f")
    for at in range(len(folded.text)):
        start, end = folded.original(at, at + 1)
        assert folded.text[at] in unicodedata.normalize("NFKC", text[start:end])


def test_a_number_in_other_digits_and_with_hidden_marks_is_read() -> None:
    folded = fold("call 5\u200b15\x01\u2013０１４２ today")
    assert folded.text == "call 515-0142 today"
    assert folded.original(5, 13) == (5, 15)


def test_marks_without_end_take_no_time() -> None:
    assert len(fold("a" + "\u0301" * 50_000).text) <= 31
