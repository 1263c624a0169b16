"""Forms in which patients write identifiers, and what looks like one and is medicine."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from app.redaction.detector import Detector
from app.redaction.entities import TYPES
from app.redaction.lexicon import Lexicon
from app.redaction.redactor import build_detector

FOLDER = Path(__file__).parent
MARK = re.compile(r"\[\[([^\[\]]+)\]\]")
DOSES = (
    "{Drug} 10/20 mg twice a day",
    "{drug} 25 then 50",
    "{DRUG} 300",
    "on {Drug} 12.5/10 since may",
    "{drug} 60-40-20",
)
VALUES = ("{LAB} 118", "my {lab} is 96", "{LAB} was 98 and now 104", "{lab} 12543", "{LAB} 101-140", "{lab} of 7.25")
NUMBERED = frozenset("id ed er icu or rx dx icd pt pa dnr dni dl mychart pacemaker pump port ms im lvad tia".split())
"""Abbreviations of the test list after which a number may well be an identifier ("RX 12543")."""


@pytest.fixture(scope="module")
def rules() -> Detector:
    """The rules alone: what they cover may not hang on a learned guess."""
    return build_detector(timeout_s=20)


def lines(name: str) -> list[str]:
    text = (FOLDER / name).read_text(encoding="utf-8")
    return [line.replace("\\n", "\n") for line in text.splitlines() if line and not line.startswith("# ")]


def left_over(line: str, detector: Detector) -> list[str]:
    """Marked pieces of which a letter or digit is in no span."""
    text, marks = "", []
    for number, piece in enumerate(MARK.split(line)):
        if number % 2:
            marks.append(range(len(text), len(text) + len(piece)))
        text += piece
    covered = {at for span in detector.find(text) for at in range(span.start, span.end)}
    return [text[m.start : m.stop] for m in marks if any(text[at].isalnum() and at not in covered for at in m)]


@pytest.mark.parametrize("line", lines("forms_found.txt"))
def test_every_letter_and_digit_of_an_identifier_is_covered(line: str, rules: Detector) -> None:
    assert MARK.search(line)
    assert left_over(line, rules) == []


@pytest.mark.parametrize("text", lines("forms_kept.txt"))
def test_medicine_and_everyday_words_stay(text: str, rules: Detector) -> None:
    assert [(span.type, text[span.start : span.end]) for span in rules.find(text)] == []


def test_no_drug_and_no_dose_is_altered(rules: Detector) -> None:
    drugs = sorted(Lexicon.load().drugs)[::4]
    texts = [form.format(drug=d, Drug=d.capitalize(), DRUG=d.upper()) for d in drugs for form in DOSES]
    assert len(texts) > 2_000
    assert [text for text in texts if rules.find(text)] == []


def test_no_test_and_no_value_is_altered(rules: Detector) -> None:
    labs = [lab for lab in sorted(Lexicon.load().labs)[::2] if lab not in NUMBERED]
    texts = [form.format(lab=lab, LAB=lab.upper()) for lab in labs for form in VALUES]
    assert len(texts) > 1_500
    assert [text for text in texts if rules.find(text)] == []


def test_vital_signs_over_90_are_no_ages(rules: Detector) -> None:
    forms = (
        *("her oxygen is {}", "mom has a temp of {}", "dad's pulse is {}", "sugar {} fasting", "he was {} over 60"),
        *("my wife's sugar is {}", "grandma's sats are {}", "mom {} fever", "{} bpm", "she's {} on room air", "hr {}"),
    )
    texts = [form.format(value) for form in forms for value in range(90, 119)]
    assert [text for text in texts if rules.find(text)] == []


def test_ages_under_90_stay(rules: Detector) -> None:
    forms = (
        "my mom is {}",
        "{} year old man",
        "she's {}",
        "mi abuela tiene {} años",
        "turned {} today",
        "dad, {}, fell",
    )
    texts = [form.format(age) for form in forms for age in range(1, 90)]
    assert [text for text in texts if rules.find(text)] == []
    assert [form for form in forms if not rules.find(form.format(97))] == []


@pytest.mark.parametrize("kind", sorted(TYPES))
def test_a_pseudonym_is_no_identifier(kind: str, rules: Detector) -> None:
    texts = [
        form.format(f"<{kind}_{number}>", f"<{kind}_{number + 1}>")
        for form in ("Tell {} that {} is fine.", "My id is {}, I live in {}", "{}", "dr {} on {}", "call {} at {}")
        for number in (1, 12, 123)
    ]
    assert [(text, rules.find(text)) for text in texts if rules.find(text)] == []
