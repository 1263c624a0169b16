"""The learned recognizer: names, places, organizations, dates and bare numbers that no cue announces.

The shared encoder reads the text once, a small network gives each piece a chance for each class, and a word counts as
an identifier where one minus the chance of none is over the threshold of its likeliest class. Whole words are taken,
neighbours of one class become one span. Its scores are under those of the rules, so that a rule that finds the same
keeps its type. Whatever fails leaves ``analyze`` as an exception: the detector then fails, and no text passes unread.
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import regex

from app.redaction.lexicon import Lexicon
from app.redaction.presidio import EntityRecognizer, RecognizerResult
from app.redaction.recognizers import features
from app.redaction.recognizers.features import Word
from app.redaction.recognizers.head import Array, Head, Inputs
from app.redaction.recognizers.measures import UNIT, value_before
from app.redaction.recognizers.organizations import GENERIC
from app.redaction.recognizers.protector import VETOED, Protector

WINDOW = 1_000
"""Characters that are given to the encoder at once; it may read fewer."""
OVERLAP = 160
"""Characters that two windows share. Each half counts as that window reads it of whose edge it is farther away."""
SCORE = 0.55

EVERYDAY = 0.9
"""The least chance at which an everyday word counts: on held-out messages 0.5 and 0.9 found the same
names, and 0.9 took 2 words wrongly instead of 7."""

_PREGNANCIES = regex.compile(r"[Gg]\d{1,2}(?:[Pp]\d{1,5})?|[Pp]\d{1,5}")
"""Counts of pregnancies and births, such as G2P1001."""
_DOSE = regex.compile(r"\s{1,2}\d[\d.,/\-]{0,8}\s?(?:mg|mcg|µg|ug|ml|iu|units?|unidades|meq|gm?|%)(?!\p{L})", regex.I)
_GLUE = regex.compile(r"[ ,.\-#/&'()\n\t]{0,3}")


class States(Protocol):
    """What the recognizer needs of the encoder."""

    def hidden(self, text: str) -> tuple[list[tuple[int, int]], Array]:
        """Character offsets of each piece of the text, and its last hidden states (pieces, 768); a long text is cut."""
        ...

    def knows(self, word: str) -> bool:
        """Whether a lower-case word is one piece of the encoder's vocabulary."""
        ...


@dataclass(frozen=True, slots=True)
class _Found:
    """A word that is an identifier of ``type``; its place among the words of the text."""

    index: int
    type: str
    chance: float


class LearnedRecognizer(EntityRecognizer):
    """Finds the classes of its head. Safe under concurrent use. ``timeout_s`` bounds a text; over it, TimeoutError."""

    def __init__(self, head: Head, encoder: States, lexicon: Lexicon, timeout_s: float = math.inf) -> None:
        self._timeout_s = timeout_s
        self._head, self._encoder, self._lexicon = head, encoder, lexicon
        self._protector, self._reader = Protector(lexicon), features.Reader(lexicon)
        self._plain = lexicon.ordinary | {word for word in lexicon.everyday if not lexicon.is_name(word)}
        super().__init__(supported_entities=sorted(head.classes[1:]), name="learned")

    def load(self) -> None:
        """Nothing to load."""

    def analyze(self, text: str, entities: list[str], nlp_artifacts: Any = None) -> list[RecognizerResult]:
        """Spans of whole words. Linear in the length of the text."""
        words = features.split(text)
        if not words:
            return []
        found = self._settled(text, words, self.chances(text, words))
        spans: list[RecognizerResult] = []
        last = -2
        for one in found:
            word = words[one.index]
            beside = one.index == last + 1 and spans and spans[-1].entity_type == one.type
            if beside and _GLUE.fullmatch(text, spans[-1].end, word.start):
                spans[-1] = RecognizerResult(
                    one.type, spans[-1].start, word.end, max(spans[-1].score, SCORE * one.chance)
                )
            else:
                spans.append(RecognizerResult(one.type, word.start, word.end, SCORE * one.chance))
            last = one.index
        return [span for span in spans if span.entity_type not in VETOED or self._own(span.entity_type, text, span)]

    def _own(self, kind: str, text: str, span: RecognizerResult) -> bool:
        """Whether a name has a word of its own: "Memory Care" has none, "Willow Care" has. For a person a capital, or a
        word that is not of every day, is enough; one word before a dose is a medicine.
        """
        words = [word.text for word in features.split(text[span.start : span.end])]
        if kind == "PERSON":
            dosed = len(words) == 1 and _DOSE.match(text, span.end)
            return not dosed and any(word not in self._plain for word in words)
        return any(word.lower() not in GENERIC and word.lower() not in self._lexicon.ordinary for word in words)

    def chances(self, text: str, words: Sequence[Word]) -> Array:
        """Chances (words, classes): of each word the chance of none is that of its most alarming piece.

        Raises ValueError where the encoder's answer does not fit the text, TimeoutError.
        """
        deadline = time.monotonic() + self._timeout_s
        page = self._reader.read(text, words)
        result = np.zeros((len(words), len(self._head.classes)), dtype=np.float32)
        result[:, 0] = 1
        done, start = 0, 0
        while done < len(words):
            if time.monotonic() > deadline:
                raise TimeoutError
            window = text[start : start + WINDOW]
            offsets, states = self._encoder.hidden(window)
            moved = [(a + start, b + start) if a < b else (0, 0) for a, b in offsets]
            end = max((stop for _, stop in moved), default=0)
            if end <= words[done].start:
                raise ValueError("the encoder did not read the text to its end")
            whole = start + len(window.rstrip()) <= end and start + WINDOW >= len(text)
            upto = len(text) if whole else max(words[done].start + 1, end - OVERLAP // 2)
            chosen, chances = self._window(text, moved, states, page)
            last = done
            while last < len(words) and words[last].start < upto:
                last += 1
            for index, row in zip(chosen, chances, strict=True):
                if done <= index < last:
                    result[index] = row
            done = last
            start = max(start + 1, words[done].start - OVERLAP // 2) if done < len(words) else start
        return result

    def _window(
        self, text: str, offsets: list[tuple[int, int]], states: Array, page: features.Page
    ) -> tuple[list[int], Array]:
        """Words of a window by index, and their chances; offsets are those of the whole text."""
        if len(offsets) != len(states):
            raise ValueError("the encoder gave another number of states than of pieces")
        owners = features.owners(page.words, offsets)
        used = sorted({owner for owner in owners if owner >= 0})
        place = {owner: at for at, owner in enumerate(used)}
        local = [place.get(owner, -1) for owner in owners]
        shapes = np.zeros((len(owners), features.WIDTH), dtype=np.float32)
        inside = [at for at, owner in enumerate(owners) if owner >= 0]
        shapes[inside] = page.shapes[[owners[at] for at in inside]]
        pieces = features.pieces(text, offsets, owners)
        letters = [page.letters[owner] for owner in used]
        chances = self._head.chances(Inputs(states, np.concatenate([shapes, pieces], axis=1), letters, local))
        rows = np.zeros((len(used), chances.shape[1]), dtype=np.float32)
        rows[:, 0] = 1
        for at in inside:
            row, new = rows[local[at]], chances[at]
            row[0] = min(row[0], new[0])
            row[1:] += new[1:]
        return used, rows

    def _settled(self, text: str, words: Sequence[Word], chances: Array) -> list[_Found]:
        """Words over their threshold, neighbours of such over the lower one, without what the protector vetoes."""
        classes, card = self._head.classes, self._head.card
        likeliest = chances[:, 1:].argmax(axis=1) + 1
        alarms = 1 - chances[:, 0]
        levels = np.array([0.0, *(card.thresholds[name] for name in classes[1:])])[likeliest]
        levels[[self._everyday(word) for word in words]] = EVERYDAY
        taken = alarms >= levels
        beside = alarms >= levels * card.beside
        for order in (range(1, len(words)), range(len(words) - 2, -1, -1)):
            for index in order:
                other = index - 1 if order.step > 0 else index + 1
                close = beside[index] and taken[other] and _GLUE.fullmatch(text, *_between(words, index, other))
                taken[index] = taken[index] or bool(close)
        if not taken.any():
            return []
        protected = self._protector.protected(text, words, np.flatnonzero(taken).tolist())
        found = []
        for index in np.flatnonzero(taken):
            name = classes[int(likeliest[index])]
            word = words[index]
            if self._measured(text, word, name) or (index in protected and name in VETOED):
                continue
            found.append(_Found(int(index), name, float(alarms[index])))
        return found

    def _everyday(self, word: Word) -> bool:
        """Whether a word on no list of names is known as none, or in small letters known whole to the encoder."""
        common = word.lower in self._lexicon.ordinary or (word.text.islower() and self._encoder.knows(word.text))
        return common and not self._lexicon.is_name(word.lower)

    @staticmethod
    def _measured(text: str, word: Word, name: str) -> bool:
        """Whether a number is a dose, a value or a time: that is medicine, and no identifier of the classes here."""
        if _PREGNANCIES.fullmatch(word.text):
            return True
        if not word.text[0].isdigit() or name == "ADDRESS":
            return False
        written = len(word.text) < 7 or not word.text.isdigit()
        return written and (bool(UNIT.match(text, word.end)) or value_before(text, word.start))


def _between(words: Sequence[Word], one: int, other: int) -> tuple[int, int]:
    first, second = min(one, other), max(one, other)
    return words[first].end, words[second].start
