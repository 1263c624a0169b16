from __future__ import annotations

import re
from random import Random

from training.wording import SYNONYMS, as_patient, casual, with_synonyms, with_typos

QUESTION = "Can I take my medication 30 minutes before the appointment on 7/14?"


def test_numbers_are_never_touched() -> None:
    for seed in range(300):
        assert re.findall(r"\d+", as_patient(QUESTION, Random(seed))) == ["30", "7", "14"]


def test_the_same_seed_gives_the_same_wording_and_others_vary() -> None:
    assert as_patient(QUESTION, Random(5)) == as_patient(QUESTION, Random(5))
    assert len({as_patient(QUESTION, Random(seed)) for seed in range(50)}) > 20


def test_synonyms_replace_whole_words_only() -> None:
    text = with_synonyms("medication medicationlike", Random(0), rate=1.0)
    first, rest = text.rsplit(" ", 1)
    assert first in SYNONYMS["medication"]
    assert rest == "medicationlike"


def test_typos_keep_short_and_protected_words() -> None:
    for seed in range(50):
        found = with_typos("the pill Tylenol and pharmacy", Random(seed), 1.0, {"tylenol"}).split()
        assert found[0] == "the"
        assert found[2] == "Tylenol"
        assert abs(len(found[4]) - len("pharmacy")) <= 1


def test_casual_keeps_the_words() -> None:
    for seed in range(100):
        assert "parking" in casual("Where is parking?", Random(seed)).lower()


def test_casual_leaves_something_of_bare_question_marks() -> None:
    assert all(casual("??", Random(seed)).strip() for seed in range(50))
