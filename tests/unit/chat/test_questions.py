"""Several questions in one message are cut apart; nothing else is."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.chat.questions import MOST, bare, split
from tests.cost import seconds

QUESTIONS = [
    "where do I park", "can my kids come in", "how much is the garage", "what time do you close", "is there wifi",
    "do you take Medicaid", "dónde me estaciono", "pueden entrar mis hijos", "cuánto cuesta una copia",
]  # fmt: skip


@pytest.mark.parametrize(
    ("message", "parts"),
    [
        ("Where do I park and can my kids come in?", ["Where do I park", "and can my kids come in?"]),
        ("Where do I park? Can my wife come?", ["Where do I park?", "Can my wife come?"]),
        ("where do i park, can my kids come in?", ["where do i park,", "can my kids come in?"]),
        ("Where is the lab?\nIs it open Sunday?", ["Where is the lab?", "Is it open Sunday?"]),
        ("¿Dónde me estaciono y pueden entrar mis hijos?", ["¿Dónde me estaciono", "y pueden entrar mis hijos?"]),
        ("¿Cuánto cuesta el estacionamiento? ¿Y hay wifi?", ["¿Cuánto cuesta el estacionamiento?", "¿Y hay wifi?"]),
        ("I have an MRI. Where do I park? Can I eat?", ["I have an MRI. Where do I park?", "Can I eat?"]),
        (
            "Where do I park? Can my kids come? Is there wifi? How much is it?",
            ["Where do I park?", "Can my kids come?", "Is there wifi? How much is it?"],
        ),
    ],
)
def test_plain_questions_are_cut_apart(message: str, parts: list[str]) -> None:
    assert list(split(message)) == parts


@pytest.mark.parametrize(
    "message",
    [
        "mac and cheese",
        "do you have mac and cheese in the cafeteria?",
        "I have a fever and a cough and my head hurts",
        "fever, cough, sore throat, can I still come in?",
        "tengo fiebre y tos y me duele la cabeza",
        "my kid is sick, what do I do and when should I call?",
        "When I come for my MRI, can I eat before?",
        "I have surgery tomorrow, can I eat breakfast?",
        "When and where do I go",
        "I want to know what to eat and what to avoid before a colonoscopy",
        "Where do I eat and what to bring",
        "Can I eat and can I drink before surgery",
        "Can I bring my son, who is 4?",
        "¿Puedo ir con mi mamá, que no habla inglés?",
        "How do I get my records and send them to another doctor?",
        "what are the hours and the address",
        "Where is the lab? thanks",
        "Really? Where do I park?",
        "android and what is wifi",
        "",
    ],
)
def test_a_message_without_a_second_plain_question_stays_whole(message: str) -> None:
    assert split(message) == (message,)


@given(st.text(max_size=200))
def test_no_word_is_lost_in_any_text(message: str) -> None:
    parts = split(message)
    assert " ".join(parts).split() == message.split()
    assert 1 <= len(parts) <= MOST


@given(
    st.lists(st.sampled_from(QUESTIONS), min_size=2, max_size=5),
    st.sampled_from([" and ", " y ", "? ", ", and ", "?\n", " also "]),
)
def test_joined_questions_are_cut_and_keep_their_words(questions: list[str], joint: str) -> None:
    message = joint.join(questions)
    parts = split(message)
    assert len(parts) == min(len(questions), MOST)
    assert " ".join(parts).split() == message.split()
    assert bare(parts[0]).startswith(questions[0])
    assert bare(parts[1]).startswith(questions[1])


@given(st.lists(st.sampled_from(["fever", "a cough", "sore throat", "me duele la cabeza", "chest pain"]), min_size=1))
def test_lists_of_symptoms_stay_whole(symptoms: list[str]) -> None:
    for joint in (" and ", ", ", " y ", ". "):
        message = "I have " + joint.join(symptoms)
        assert split(message) == (message,)


@pytest.mark.parametrize("message", ["? " * 2_000, "and where is it? " * 235, "where is it and " * 250])
def test_a_hostile_message_is_read_in_little_time(message: str) -> None:
    assert seconds(lambda: split(message), most=0.2) < 0.2
