from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.errors import InputError, InvalidContent, MessageEmpty, MessageTooLong
from app.guardrails.normalise import match_form, normalise


@pytest.mark.parametrize(
    ("raw", "clean"),
    [
        ("che\u200bst p\u202eain", "chest pain"),
        ("сhеst раin", "chest pain"),
        ("ｃｈｅｓｔ", "chest"),
        ("¿Dónde está la niña?", "¿Dónde está la niña?"),
        ("a \t b\r\nc", "a b\nc"),
        ("Где больница?", "Где больница?"),
        ("ring\x07 bell", "ring bell"),
        ("5 μg", "5 μg"),
    ],
)
def test_normalise(raw: str, clean: str) -> None:
    assert normalise(raw) == clean


@pytest.mark.parametrize(
    ("raw", "error"),
    [
        ("", MessageEmpty),
        (" \u200b\n", MessageEmpty),
        ("x" * 4001, MessageTooLong),
        ("x" * 20_000, MessageTooLong),
        ("a\x00b", InvalidContent),
        ("\x01\x02\x03\x04 a", InvalidContent),
        ("\ud800", InvalidContent),
    ],
)
def test_bad_input_is_refused_in_a_plain_sentence(raw: str, error: type[InputError]) -> None:
    with pytest.raises(error, match=r"[A-Z].*\.$"):
        normalise(raw)


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=300))
def test_normalise_is_total_and_idempotent(raw: str) -> None:
    try:
        clean = normalise(raw)
    except InputError:
        return
    assert normalise(clean) == clean


@pytest.mark.parametrize(
    ("text", "form"),
    [
        ("I can't breathe", "i cant breathe"),
        ("CAN NOT breathe", "cant breathe"),
        ("k!ll mys3lf", "kill myself"),
        ("c h e s t", "chest"),
        ("helpppp", "helpp"),
        ("she's blue", "she blue"),
        ("I'm", "i am"),
        ("está", "esta"),
        ("102f", "102 f"),
        ("isn’t", "is not"),
        ("che\u200bst p\u00ada\u2060in", "chest pain"),
        ("с\u200bhеst раin", "chest pain"),
        ("ｃｈｅｓｔ", "chest"),
        ("My thr0at 15 clo51ng af73r a bee 57ing", "my throat is closing after a bee sting"),
        ("took 15 pills, A1C 9, temp 102f", "took 15 pills, aic 9, temp 102 f"),
    ],
)
def test_match_form(text: str, form: str) -> None:
    assert match_form(text) == form
