"""Words of a message for the rules: split, spelling mended towards the words that rules know, breaks remembered."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from rapidfuzz.distance import DamerauLevenshtein

from app.guardrails.normalise import match_form

COMMA, SENTENCE, TURN = 1, 2, 3
"""Strength of the break before a word; 0 is none."""

_PIECE = re.compile(r"\d+(?:[.,]\d+)*(?:/\d+(?:\.\d+)?)?|[a-z]+\d*|[.!?;\n]+|[,:()\-]")
_NUMERIC = re.compile(r"\d")


@dataclass(frozen=True, slots=True)
class Words:
    """The words of one or more turns. ``at`` gives each word's distance scale: fillers do not count, breaks do."""

    words: tuple[str, ...]
    breaks: tuple[int, ...]
    turns: tuple[int, ...]
    at: tuple[int, ...]
    questions: frozenset[int] = field(default_factory=frozenset)


class Speller:
    """Mends a word towards a vocabulary: swapped letters from 4, one edit from 5, two from 8; also glued words.

    ``protected`` are real words that must stay as they are although a rule's word is near ("chess", "heard").
    """

    def __init__(self, vocabulary: Iterable[str], protected: Iterable[str]) -> None:
        self._known = {w for w in vocabulary if w.isalpha()}
        self._protected = set(protected)
        self._near: dict[str, list[str]] = {}
        for word in sorted(self._known):
            if len(word) >= 4:
                for variant in _deletions(word):
                    self._near.setdefault(variant, []).append(word)
        self._memo: dict[str, tuple[str, ...]] = {}

    def mend(self, word: str, prefixes: Sequence[str] = ()) -> tuple[str, ...]:
        """The word as rules know it: itself, a near one, or two when it was glued together."""
        if word in self._known or word in self._protected or len(word) < 4 or not word.isalpha():
            return (word,)
        found = self._memo.get(word)
        if found is None:
            found = self._search(word)
            if len(self._memo) < 20_000:
                self._memo[word] = found
        return found

    def _search(self, word: str) -> tuple[str, ...]:
        single = re.sub(r"(.)\1", r"\1", word)
        if single in self._known:
            return (single,)
        if len(word) >= 4:
            budget = (0 if len(word) < 5 else 1) if len(word) < 8 else 2
            best = (budget + 1, "")
            for variant in _deletions(word):
                for near in self._near.get(variant, ()):
                    if (near[0] != word[0] and near[1:2] != word[0]) or (len(near) < 5 and len(word) != 4):
                        continue
                    distance = DamerauLevenshtein.distance(word, near, score_cutoff=2)
                    if sorted(word) == sorted(near):
                        distance = min(distance, budget)
                    if distance <= budget and not _inflected(word, near):
                        best = min(best, (distance, near))
            if best[1]:
                return (best[1],)
        for cut in range(3, len(word) - 2):
            if word[:cut] in self._known and word[cut:] in self._known:
                return (word[:cut], word[cut:])
        return (word,)


def _deletions(word: str) -> set[str]:
    return {word} | {word[:i] + word[i + 1 :] for i in range(len(word))}


def _inflected(word: str, near: str) -> bool:
    """True for forms such as plural and past, which rules name themselves where they mean them."""
    return word in {near + "s", near + "d"} and len(near) < 5


def read(turns: Sequence[str], speller: Speller | None, fillers: frozenset[str]) -> Words:
    """Split turns into words; the last turn has the highest number in ``turns``."""
    words: list[str] = []
    breaks: list[int] = []
    owner: list[int] = []
    questions: set[int] = set()
    pending = 0
    for number, turn in enumerate(turns):
        pending = TURN if number else SENTENCE
        for piece in _PIECE.findall(match_form(turn)):
            if piece[0] in ".!?;\n":
                if "?" in piece and words:
                    questions.add(len(words) - 1)
                pending = max(pending, SENTENCE)
            elif piece[0] in ",:()-":
                pending = max(pending, COMMA)
            else:
                for word in speller.mend(piece) if speller else (piece,):
                    words.append(word)
                    breaks.append(pending)
                    owner.append(number)
                    pending = 0
    at: list[int] = []
    here = 0
    for word, gap in zip(words, breaks, strict=True):
        here += (0 if word in fillers else 1) + (1 if gap == SENTENCE else 0)
        at.append(here)
    return Words(tuple(words), tuple(breaks), tuple(owner), tuple(at), frozenset(questions))
