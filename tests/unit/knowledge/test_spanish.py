"""Questions in Spanish, or in both languages, become English words; questions in English stay."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.knowledge.query import FOLDER, MAX_CHARACTERS, Lexicon, tokens
from app.knowledge.spanish import Language, Spanish, fold

ROOT = Path(__file__).parents[3]
ROWS = [
    (f"spanish.txt:{number}", row.strip())
    for number, row in enumerate((FOLDER / "spanish.txt").read_text(encoding="utf-8").splitlines(), 1)
    if row.strip() and not row.startswith("#")
]
LEXICON = Lexicon.load()
SPANISH = Spanish.load(ROWS)
SMALL = Spanish.load(
    [
        ("", "cita > appointment"),
        ("", "de > -"),
        ("", "vacuna > vaccine"),
        ("", "vacuna de la gripe > flu vaccine"),
        ("", "cancelar, sacar, pagar, empezar ~ change"),
        ("", "q = que"),
        ("", "necesito > need to"),
        ("", "que > what"),
        ("", "cruz > cross"),
        ("", "! necesito, mi"),
        ("", "? cruz"),
    ]
)


def language(question: str, spanish: Spanish = SPANISH) -> Language:
    return spanish.language(fold(question), tokens(fold(question)))


def text(question: str) -> str:
    return LEXICON.read(question).text


def test_the_list_is_broad() -> None:
    phrases = [part for _, row in ROWS if row[0] not in "!?" for part in row.split(",")]
    assert len(phrases) >= 1800
    assert len(SPANISH.words) >= 1800


@pytest.mark.parametrize(
    ("question", "english"),
    [
        ("¿Cómo cancelo mi cita?", "how cancel my appointment"),
        ("Buenas tardes, quisiera saber dónde queda la farmacia", "where is pharmacy"),
        ("¿Cuánto cuesta una resonancia magnética?", "how much does cost mri"),
        ("me duele la panza", "stomach pain"),
        ("¿Aceptan mi aseguranza?", "accept insurance"),
        ("no tengo en qué ir, no tengo troca", "no car need ride transportation"),
        ("NECESITO VER A UN DOCTOR", "need to see doctor"),
        ("Necesito Una Cita Para Mi Hijo", "need to appointment for my son"),
    ],
)
def test_a_spanish_question_is_searched_in_english(question: str, english: str) -> None:
    assert language(question) is Language.SPANISH
    assert text(question) == english


@pytest.mark.parametrize(
    ("question", "english"),
    [
        ("how do I cancel mi cita", "how do i cancel my appointment"),
        ("where do I go para mi ultrasonido", "where do i go for my ultrasound"),
        ("mi daughter tiene fever", "my daughter have fever"),
    ],
)
def test_a_question_in_both_languages_keeps_its_english(question: str, english: str) -> None:
    assert language(question) is Language.BOTH
    assert text(question) == english


@pytest.mark.parametrize(
    "question",
    [
        "where is the El Paso clinic",
        "appointment with Dr. de la Cruz",
        "i need to see doctor maria de los santos tomorrow",
        "Is Casa de Salud open today",
        "where is casa para ninos clinic",
        "my husband Juan Carlos Reyes is in room 4",
        "is Mi Pueblo restaurant near",
        "is Mi Farmacia Nuestra open today",
        "i live on calle del sol, is there a bus",
        "La Clinica del Pueblo phone number",
        "can Consuelo Para Guzman pick up my records",
        "my dad had an mi last year",
        "do you have forms in español",
        "puerto rico travel vaccines",
        "can i eat a quesadilla con queso before surgery",
        "prepare mri",
        "dispute bill",
        "hernia",
        "",
    ],
)
def test_a_question_in_english_stays_with_its_spanish_names(question: str) -> None:
    assert language(question) is Language.ENGLISH


def test_the_questions_of_the_demonstration_hospital_stay_english() -> None:
    asked = [
        row.removeprefix("  - ").strip('"')
        for path in (ROOT / "demo/articles").glob("*.md")
        for row in path.read_text(encoding="utf-8").split("---")[1].splitlines()
        if row.startswith("  - ")
    ]
    assert len(asked) > 500
    assert [question for question in asked if language(question) is not Language.ENGLISH] == []


def test_nearly_all_of_the_spanish_set_is_recognized() -> None:
    path = ROOT / "tests/data/knowledge/dev_spanish.jsonl"
    rows = [json.loads(row) for row in path.read_text(encoding="utf-8").splitlines()]
    missed = [row["text"] for row in rows if row["right"] and language(row["text"]) is Language.ENGLISH]
    assert missed == []


def test_accents_may_be_left_out() -> None:
    for question in ("¿Cuándo me dan el alta?", "señales de alarma después del parto", "¿Dónde está el baño?"):
        assert text(fold(question)) == text(question)
    assert fold("Árbol ñandú CAFÉ") == "Arbol nandu CAFE"


def test_the_longest_phrase_is_taken_first_and_unknown_words_stay() -> None:
    words = tokens("necesito xyzzy vacuna de la gripe plugh vacuna")
    found = SMALL.english("", words, lambda word: word)
    assert found == ["need", "to", "xyzzy", "flu", "vaccine", "plugh", "vaccine"]


def test_careless_forms_and_misspellings_are_mended() -> None:
    assert text("nesesito una sita") == "need to appointment"
    assert text("me kiero bacunar") == "want to vaccine"
    assert text("q hago si se me olvido la pastiya") == "what if missed dose"
    assert SMALL.english("", ["q"], lambda word: word) == ["what"]
    assert SMALL.english("", ["cancelaar"], lambda word: "cancelar" if word == "cancelaar" else word) == ["change"]


@pytest.mark.parametrize(
    "form",
    [
        "cancelar",
        "cancelo",
        "cancelamos",
        "cancelaron",
        "cancelando",
        "cancelarla",
        "saqué",
        "pague",
        "empecé",
        "pagarlo",
    ],
)
def test_regular_forms_of_verbs_are_known(form: str) -> None:
    assert SMALL.form(fold(form)) == ("change",)


def test_plurals_and_small_forms_are_known() -> None:
    assert SMALL.form("citas") == SMALL.form("citita") == ("appointment",)
    assert SMALL.form("de") == ()
    assert SMALL.form("cancel") is None


def test_greetings_alone_are_kept() -> None:
    assert text("Hola") == "hola"


def test_a_name_beside_a_word_that_names_also_have_shows_nothing() -> None:
    assert language("cruz", SMALL) is Language.ENGLISH
    assert language("cita cruz", SMALL) is Language.SPANISH


@pytest.mark.parametrize("line", ["cita appointment", "cita > ", "cita > a > b", "lugar de ~ place", "cit ~ place"])
def test_a_broken_line_is_named(line: str) -> None:
    with pytest.raises(ValueError, match=r"spanish\.txt:7"):
        Spanish.load([("spanish.txt:7", line.strip())])


def test_a_word_that_stands_there_twice_is_named() -> None:
    with pytest.raises(ValueError, match=r"spanish\.txt:2.*cita"):
        Spanish.load([("spanish.txt:1", "cita > appointment"), ("spanish.txt:2", "citá > date")])


@given(st.text(alphabet=st.sampled_from("abcdeñáéí qu¿?'-/HÁ\u0301"), max_size=80))
def test_any_text_is_read(question: str) -> None:
    words = LEXICON.read(question).words
    assert all(word == word.lower() for word in words)
    assert bool(words) == bool(tokens(fold(question)))


@pytest.mark.parametrize("piece", ["cancelarmelo ", "que como ", "se me olvidó ", "á", "z\u0301", "mi cita "])
def test_only_the_beginning_of_a_very_long_message_is_read(piece: str) -> None:
    long = piece * (1_000_000 // len(piece))
    assert LEXICON.read(long) == LEXICON.read(long[:MAX_CHARACTERS])
    assert len(LEXICON.read(long).words) <= MAX_CHARACTERS
