"""Copies of calls with the people in them mirrored: the same question and answer, and nothing medical changed."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from training.curate import counterfactual
from training.curate.counterfactual import LANGUAGE_UNKNOWN, NO_COUNTERPART, NOTHING_TO_SWAP, TOPIC, Mirror
from training.curate.records import Record, Turn, record_id

BANDS = ("0-17", "18-39", "40-64", "65-79", "80+")
MIRROR = Mirror(BANDS)
LISTS = yaml.safe_load(Path(counterfactual.__file__).with_name("counterfactual.yaml").read_text(encoding="utf-8"))


def call(*said: str, sex: str = "female", age_band: str = "", topic: str = "billing", language: str = "en") -> Record:
    """A call that the patient opens."""
    turns = tuple(
        Turn(speaker="staff" if place % 2 else "patient", text=text) for place, text in enumerate(said)
    )  # fmt: skip
    return Record(
        id=record_id("calls.jsonl", 1, turns),
        kind="transcript",
        source="calls.jsonl",
        place=1,
        patient="p1",
        conversation="c1",
        topic=topic,
        language=language,
        groups={"sex": sex, "age_band": age_band, "insurance": "private"},
        turns=turns,
    )


def mirrored(text: str) -> str:
    copy = MIRROR.copy(call(text), "sex").copy
    assert copy is not None
    return copy.turns[0].text


@pytest.mark.parametrize(
    ("text", "other"),
    [
        ("My husband says he lost his bill.", "My wife says she lost her bill."),
        ("Her son drove her here, the card is hers.", "His daughter drove him here, the card is his."),
        ("The card is his. I gave it to him.", "The card is hers. I gave it to her."),
        ("Please call her back, I gave her the form.", "Please call him back, I gave him the form."),
        ("I called her yesterday about her chart.", "I called him yesterday about his chart."),
        ("Mrs. Lee and MR. Lee, and my mother-in-law", "Mr. Lee and MS. Lee, and my father-in-law"),
        ("She's here herself. He'll wait.", "He's here himself. She'll wait."),
        ("This is <PERSON_1>, I'm <PERSON_2>'s wife.", "This is <PERSON_1>, I'm <PERSON_2>'s husband."),
        ("This is Mary, Mei-Ling's girlfriend.", "This is John, Mei-Ling's boyfriend."),
        ("Her next visit is for her right knee.", "His next visit is for his right knee."),
        ("I don't want to miss his visit, Carol.", "I don't want to miss her visit, Kenneth."),
        ("I will mark the bill for his son.", "I will mark the bill for her daughter."),
    ],
)
def test_everyone_in_a_call_is_mirrored(text: str, other: str) -> None:
    assert mirrored(text) == other


def test_a_copy_says_where_it_comes_from_and_whom_it_is_about() -> None:
    record = call("My mother has a bill.", "She can pay it at the desk.")
    copy = MIRROR.copy(record, "sex").copy
    assert copy is not None
    assert copy.origin == record.id
    assert copy.id == record_id(record.source, record.place, copy.turns) != record.id
    assert copy.groups == {**record.groups, "sex": "male"}
    same = {"id", "turns", "groups", "origin"}
    assert copy.model_dump(exclude=same) == record.model_dump(exclude=same)
    assert copy.turns[1].text == "He can pay it at the desk."


@pytest.mark.parametrize(
    "text",
    [
        "My wife is pregnant, is Tylenol safe for her?",
        "He has a question about his prostate.",
        "When is her mammogram?",
        "She takes warfarin, may she drink wine?",
        "My husband has chest pain.",
        "I want my pronouns changed to she and her.",
        "My daughter was born in the birth center.",
        "Does my son need the HPV shot?",
        "She is on methotrexate.",
        "His hemoglobin was low.",
    ],
)
def test_no_copy_where_sex_matters_to_the_answer(text: str) -> None:
    found = MIRROR.copy(call(text), "sex")
    assert found.copy is None
    assert found.reason.startswith("sex may matter: ")


def test_a_date_of_birth_is_no_birth() -> None:
    assert mirrored("Her date of birth? My mother's birthday is in May.").startswith("His date of birth? My father's")


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        (call("Mi esposa tiene una pregunta.", language="es"), LANGUAGE_UNKNOWN),
        (call("Where do I park?"), NOTHING_TO_SWAP),
        (call("Yes ma'am, thank you."), NOTHING_TO_SWAP),
        (call("My wife asks.", sex=""), NO_COUNTERPART),
        (call("My wife asks.", sex="nonbinary"), NO_COUNTERPART),
    ],
)
def test_no_copy_without_counterpart(record: Record, reason: str) -> None:
    found = MIRROR.copy(record, "sex")
    assert (found.copy, found.reason) == (None, reason)


def test_an_age_is_changed_where_it_does_not_matter() -> None:
    record = call("I'm 72 and lost my password.", "Call 515-555-0140 by 5 p.m.", age_band="65-79", topic="portal")
    copy = MIRROR.copy(record, "age_band").copy
    assert copy is not None
    assert [turn.text for turn in copy.turns] == ["I'm 37 and lost my password.", "Call 515-555-0140 by 5 p.m."]
    assert copy.groups == {**record.groups, "age_band": "18-39"}
    back = MIRROR.copy(copy, "age_band").copy
    assert back is not None
    assert back.turns == record.turns


@pytest.mark.parametrize(
    ("text", "band", "topic", "reason"),
    [
        ("I'm 72, is that dose right?", "65-79", "medicines", TOPIC),
        ("I'm 72 and on Medicare.", "65-79", "billing", "age may matter: medicare"),
        ("I'm a 72-year-old retired teacher.", "65-79", "billing", "age may matter: retire"),
        ("I'm 72.", "", "billing", NO_COUNTERPART),
        ("I'm 72, she's 41.", "65-79", "billing", NO_COUNTERPART),
        ("I'm 72.", "18-39", "billing", NO_COUNTERPART),
        ("I'm 20 minutes late.", "18-39", "appointments", NOTHING_TO_SWAP),
        ("Where is the desk?", "65-79", "billing", NOTHING_TO_SWAP),
    ],
)
def test_an_age_stays_where_it_matters(text: str, band: str, topic: str, reason: str) -> None:
    found = MIRROR.copy(call(text, age_band=band, topic=topic), "age_band")
    assert (found.copy, found.reason) == (None, reason)


_SWAPPED = {word.lower() for pair in [*LISTS["sex_pairs"], *LISTS["names"], *LISTS["one_way"]] for word in pair}
_SWAPPED |= {"his", "her", "hers", "him"}
_OTHERS = ["500 mg", "515-555-0120", "acetaminophen", "8 a.m.", "<PERSON_1>", "sheet", "hero", "person", "themselves"]
_WORDS = st.sampled_from([*sorted(_SWAPPED), *_OTHERS])


@given(st.lists(_WORDS, min_size=1, max_size=25))
def test_a_copy_changes_listed_words_and_nothing_else(words: list[str]) -> None:
    text = " ".join(words)
    copy = MIRROR.copy(call(text), "sex").copy
    if copy is None:
        return
    for before, after in zip(text.split(), copy.turns[0].text.split(), strict=True):
        assert before == after or (before.lower() in _SWAPPED and after.lower() in _SWAPPED)
    assert re.findall(r"\d+", text) == re.findall(r"\d+", copy.turns[0].text)


def test_each_word_has_one_counterpart_and_none_of_them_forbids_the_copy() -> None:
    pairs = [word.lower() for pair in [*LISTS["sex_pairs"], *LISTS["names"]] for word in pair]
    assert len(pairs) == len(set(pairs))
    matters = re.compile(r"\b(?:" + "|".join(LISTS["sex_matters"]) + ")", re.IGNORECASE)
    assert [word for word in _SWAPPED if matters.search(word)] == []
