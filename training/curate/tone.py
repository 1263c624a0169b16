"""Staff turns that nobody should learn from: rude or dismissive ones. And calls that are no matter of a hospital."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml

from app.guardrails.sentences import split
from training.curate.meaning import Meanings
from training.curate.records import Record
from training.curate.truth import Truth, stems

_LISTS: dict[str, Any] = yaml.safe_load(Path(__file__).with_suffix(".yaml").read_text(encoding="utf-8"))


def _any_of(name: str) -> re.Pattern[str]:
    return re.compile(rf"(?<!\w)(?:{'|'.join(_LISTS[name])})(?!\w)", re.IGNORECASE)


_RUDE, _DECLINES, _MISTAKES, _SILENCE = map(_any_of, ("rude", "declines", "mistakes", "silence"))
_MATTERS, _EVERYDAY = tuple(_LISTS["matters"].split()), stems(_LISTS["everyday"])
_THIS_IS = re.compile(r"\b(?:this is|it's|you(?:'ve| have) (?:reached|called|dialed|got)) (?:the )?", re.IGNORECASE)
_FOREIGN = re.compile(r"[¿¡ñáéíóú]", re.IGNORECASE)
_LETTER = re.compile(r"[^\W\d_]")
_NAME = re.compile(r"[a-z]{4,}")
SAYS, ASKS = 0.6, 0.5
"""From here on a statement of the hospital is what somebody says, or a known question what somebody asks."""
RARE = 11.0
"""Words of so much weight in common are about the same thing, whatever else is said."""
FAR, DECLINED, MEANT = 0.34, 0.5, 0.5
"""A call no nearer than ``FAR`` to any statement is no matter of the hospital; one whose number was wrong, or that the
staff turns away, no nearer than ``DECLINED``. From ``MEANT`` on words alone do not make it one."""
BROAD = 1_000
"""Statements from which on the articles speak of most that a hospital is called about; of fewer, a call may be far."""
MOST_TURNS = 8
"""A longer call was about something."""
EVIDENCE, MOST_WORDS = 2, 3
"""What is told outright counts as much as two words; more than three words of a kind count no more."""


def rude(sentence: str) -> bool:
    """Whether a sentence of the staff is rude or dismissive. By phrases: it misses irony and tone of voice."""
    return bool(_RUDE.search(sentence.replace("’", "'")))


def off_topic(
    record: Record, truth: Truth, asked: Truth, names: frozenset[str], hospital: str, meanings: Meanings
) -> bool:
    """Whether a call in English is no matter of the hospital. For it speaks that the staff or the caller says that the
    number is wrong, words of everyday life and words that stand nowhere in the articles; against it, words of a
    hospital's matters, words in which patients ask, a name, a question that the articles answer, and what stands in
    them. It takes more for it than against it. Far from all that the articles mean it is no matter of theirs whatever
    the words. A call in which nobody answers the staff is none either. ``names``: of departments and drugs, in lower
    case; ``hospital``: its name.
    """
    if record.kind != "transcript" or record.language == "es" or len(record.turns) > MOST_TURNS:
        return False
    patient = [turn.text for turn in record.turns if turn.speaker == "patient"]
    if not any(map(_LETTER.search, patient)):
        return len(patient) > 1 and any(_said(_SILENCE, turn.text) for turn in record.turns)
    if any(map(_FOREIGN.search, patient)):
        return False  # Two languages in one call: the words of the other are strange, too.
    mistaken = any(_said(_MISTAKES, text) for text in patient)
    first = next(place for place, turn in enumerate(record.turns) if turn.speaker == "patient")
    staff = [turn.text for turn in record.turns[first:] if turn.speaker == "staff"]
    declined = any(_said(_DECLINES, text) or _announces(text, hospital) for text in staff)
    told = [stems(sentence) for text in patient for sentence in split(text)]
    answered = [stems(sentence) for text in staff for sentence in split(text)]
    known_question = any(_near(words, asked, ASKS, 2) for words in told)
    known_matter = any(_near(words, truth, SAYS, 3) for words in told + answered)
    if (known_question or known_matter) and not declined and not mistaken:
        return False  # most calls end here, before the encoder is asked
    near = meanings.nearest(" ".join(turn.text for turn in record.turns[first:]))
    far = FAR if len(truth.statements) >= BROAD else -1.0
    if near < (DECLINED if declined or mistaken else far):
        return True
    if near >= MEANT or (len(patient) < 2 and not mistaken):
        return False
    said = frozenset().union(*told)
    strange = {term for term in said if term in _EVERYDAY or not (truth.knows(term) or asked.knows(term))}
    much = EVIDENCE * (mistaken + declined) + min(MOST_WORDS, len(strange))
    if much < EVIDENCE:
        return False
    little = EVIDENCE * any(word in names for text in patient for word in _NAME.findall(text.lower()))
    little += min(MOST_WORDS, sum(map(_matters, said - strange)))
    little += sum(map(asked.knows, said - strange)) // 2
    return little + EVIDENCE * (known_question + known_matter) < much


def _announces(text: str, hospital: str) -> bool:
    """Whether the staff says, when the caller has spoken already, what number this is."""
    return any(
        text[match.end() :].lower().startswith(hospital.lower()) for match in _THIS_IS.finditer(text.replace("’", "'"))
    )


def _said(pattern: re.Pattern[str], text: str) -> bool:
    return bool(pattern.search(text.replace("’", "'")))


def _matters(term: str) -> bool:
    return any(term.startswith(known) for known in _MATTERS)


def _near(words: frozenset[str], truth: Truth, alike: float, shared: int) -> bool:
    """Whether a sentence is one of ``truth``, or shares rare words with one."""
    for beside in truth.beside(words, limit=3) if len(words) >= shared else ():
        common = words & beside.statement.stems
        if len(common) >= shared and (beside.alike >= alike or truth.weight(common) >= RARE):
            return True
    return False
