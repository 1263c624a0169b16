"""Restoring: exact, tolerant, streaming in any split, and never more than this conversation's own tokens."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.redaction.restore import MAX_TOKEN, StreamingRestore, restore
from app.redaction.vault import MemoryVault

ISSUED = {"<PERSON_1>": "Maria Gonzalez", "<PHONE_1>": "515-555-0142", "<PERSON_12>": "A <PERSON_1> & Sons"}
PIECES = st.lists(
    st.sampled_from(
        [*ISSUED, "<person_1>", "< PERSON_1 >", "<PERSON _ 1>", "<PERSON_7>", "<", ">", "<<", "PERSON_1", "_1>", "<PER",
         "SON_", "1", " ", "a < b", "<b>", "<PERSON_1", "<" + "X" * 40, "word", "\n", "<   DATE_1   >", "é"]
    ),
    max_size=12,
)  # fmt: skip


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Hello <PERSON_1>.", "Hello Maria Gonzalez."),
        ("hello < person_1 >, <Phone_1>", "hello Maria Gonzalez, 515-555-0142"),
        ("ask <PERSON_2> on <DATE_4> or <MRN_1>", "ask that person on that date or that detail"),
        ("<PERSON_12>", "A <PERSON_1> & Sons"),
        ("x < y and <b>bold</b> PERSON_1", "x < y and <b>bold</b> PERSON_1"),
    ],
)
def test_restore(text: str, expected: str) -> None:
    assert restore(text, MemoryVault(ISSUED)) == expected


@settings(max_examples=400, deadline=None)
@given(PIECES, st.data())
def test_any_split_gives_the_same_text_and_holds_back_little(pieces: list[str], data: st.DataObject) -> None:
    text = "".join(pieces)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=8)))
    vault = MemoryVault(ISSUED)
    stream = StreamingRestore(vault)
    shown = ""
    for start, end in zip([0, *cuts], [*cuts, len(text)], strict=True):
        shown += stream.feed(text[start:end])
        assert len(stream.held) <= MAX_TOKEN
    assert shown + stream.finish() == restore(text, vault)


def test_every_single_split_of_one_sentence() -> None:
    vault = MemoryVault(ISSUED)
    text = "Dear <PERSON_1>, we call <phone_1> (or < PERSON_9 >)."
    for cut in range(len(text) + 1):
        stream = StreamingRestore(vault)
        assert stream.feed(text[:cut]) + stream.feed(text[cut:]) + stream.finish() == restore(text, vault)


def test_plain_text_is_not_held_back() -> None:
    stream = StreamingRestore(MemoryVault())
    assert stream.feed("No tokens here, 3 < 4 ") == "No tokens here, 3 < 4 "
    assert stream.feed("ok <") == "ok "
    assert stream.feed("b>") == "<b>"
