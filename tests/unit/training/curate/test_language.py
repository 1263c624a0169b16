"""English, Spanish, both or neither, by function words."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.curate.language import detect, detect_turns


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("When do you open on Saturday, and do I need an appointment?", "en"),
        ("pls call me about my refill", "en"),
        ("¿A qué hora abren los sábados y necesito una cita?", "es"),
        ("Necesito que me receten lisinopril porque ya no tengo.", "es"),
        ("quiero cambiar mi cita para el lunes por favor", "es"),
        ("Hi, um, I need to cancel my cita porque no tengo quien me lleve, is that okay?", "mixed"),
        ("<PERSON_1> <PHONE_1>", ""),
        ("515-555-0100", ""),
        ("", ""),
    ],
)
def test_a_text_has_its_language(text: str, language: str) -> None:
    assert detect(text) == language


@pytest.mark.parametrize(
    "text",
    [
        "F/U VISIT - 48yo F, 22 y/o M in the room, no fever, sleeping 5 h a night.",
        "This is Maria de la Cruz, I was at the clinic in Los Angeles and El Paso.",
        "I'd like a table at Casa del Sol, please, and no, I am not in a hurry.",
    ],
)
def test_names_and_abbreviations_make_no_english_text_mixed(text: str) -> None:
    assert detect(text) == "en"


def test_a_call_is_mixed_if_both_are_spoken_in_it() -> None:
    assert detect_turns(["How can I help you today?", "¿Dónde está la farmacia? Es para mi hija."]) == "mixed"
    assert detect_turns(["How can I help you today?", "Where is the pharmacy?"]) == "en"
    assert detect_turns(["¿En qué le puedo ayudar?", "¿Dónde está la farmacia?"]) == "es"
    assert detect_turns(["<PERSON_1>.", "12345"]) == ""


def test_accents_may_be_left_out() -> None:
    assert detect("¿Dónde está?") == detect("donde esta la señora") == "es"


@given(st.text(max_size=200))
def test_any_text_is_taken(text: str) -> None:
    assert detect(text) in ("en", "es", "mixed", "")
