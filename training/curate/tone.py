"""Staff turns that nobody should learn from: rude or dismissive ones. And calls that are no matter of a hospital."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml

from app.guardrails.sentences import split
from training.curate.records import Record
from training.curate.truth import Truth, stems

_LISTS: dict[str, Any] = yaml.safe_load(Path(__file__).with_suffix(".yaml").read_text(encoding="utf-8"))
_RUDE = re.compile(rf"\b(?:{'|'.join(_LISTS['rude'])})\b", re.IGNORECASE)
_MATTERS = tuple(_LISTS["matters"].split())
_NAME = re.compile(r"[a-z]{4,}")
SAYS, ASKS = 0.6, 0.5
"""From here on a statement of the hospital is what somebody says, or a known question what somebody asks."""
RARE = 11.0
"""Words of so much weight in common are about the same thing, whatever else is said."""
MOST_TURNS = 8
"""A longer call was about something."""


def rude(sentence: str) -> bool:
    """Whether a sentence of the staff is rude or dismissive. By phrases: it misses irony and tone of voice."""
    return bool(_RUDE.search(sentence.replace("’", "'")))


def off_topic(record: Record, truth: Truth, asked: Truth, names: frozenset[str]) -> bool:
    """Whether a call in English is no matter of the hospital: nobody names one, the patient asks nothing that its
    articles answer, and the staff says nothing that stands in them. ``names``: of departments and drugs, in lower case.
    """
    patient = [turn.text.lower() for turn in record.turns if turn.speaker == "patient"]
    if record.kind != "transcript" or record.language != "en" or len(patient) < 2 or len(record.turns) > MOST_TURNS:
        return False
    if any(word in names for text in patient for word in _NAME.findall(text)):
        return False
    named: set[str] = set()
    for turn in record.turns:
        for sentence in split(turn.text):
            words = stems(sentence)
            if turn.speaker == "patient":
                named |= words
                if _near(words, asked, ASKS, 2):
                    return False
            if _near(words, truth, SAYS, 3):
                return False
    return bool(named) and not any(_matters(term) for term in named)


def _matters(term: str) -> bool:
    return any(term.startswith(known) for known in _MATTERS)


def _near(words: frozenset[str], truth: Truth, alike: float, shared: int) -> bool:
    """Whether a sentence is one of ``truth``, or shares rare words with one."""
    for beside in truth.beside(words, limit=3) if len(words) >= shared else ():
        common = words & beside.statement.stems
        if len(common) >= shared and (beside.alike >= alike or truth.weight(common) >= RARE):
            return True
    return False
