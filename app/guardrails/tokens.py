"""Words of a message for the rules: split, spelling mended towards the words that rules know, breaks remembered."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from rapidfuzz.distance import DamerauLevenshtein

from app.guardrails.normalise import DENIALS, aligned_form, match_form

COMMA, SENTENCE, TURN = 1, 2, 3
"""Strength of the break before a word; 0 is none."""

_PIECE = re.compile(r"\d+(?:[.,]\d+)*(?:/\d+(?:\.\d+)?)?|[a-z]+\d*|[.!?;\n]+|[,:()\-]")
_LONGEST_RUN, _LONGEST, _SINGLE = 80, 16, frozenset({"a", "i", "y"})
"""Words that were glued together: most letters of the whole, most of a word in it, and words of one letter."""
_LEET = str.maketrans("013457", "oieast")


@dataclass(frozen=True, slots=True)
class Words:
    """The words of one or more turns. ``at`` gives each word's distance scale: fillers do not count, breaks do."""

    words: tuple[str, ...]
    breaks: tuple[int, ...]
    turns: tuple[int, ...]
    at: tuple[int, ...]
    questions: frozenset[int] = field(default_factory=frozenset)

    def is_sentence(self, start: int, end: int) -> bool:
        """Whether words ``start`` to ``end`` (exclusive) are a sentence, or several, and no more."""
        after = self.breaks[end] if end < len(self.words) else TURN
        return after >= SENTENCE and (start == 0 or self.breaks[start] >= SENTENCE)


class Speller:
    """Mends a word towards a vocabulary: swapped letters from 4, one edit from 5, two from 8; also glued words.

    ``protected`` are real words that must stay as they are although a rule's word is near ("chess", "heard").
    """

    def __init__(self, vocabulary: Iterable[str], protected: Iterable[str]) -> None:
        self._known = {w for w in vocabulary if w.isalpha()}
        self._protected = set(protected)
        self._near: dict[str, list[str]] = {}
        for word in sorted(self._known | set(DENIALS)):
            if len(word) >= 4:
                for variant in _deletions(word):
                    self._near.setdefault(variant, []).append(word)
        self._memo: dict[str, tuple[str, ...]] = {}

    def mend(self, word: str, prefixes: Sequence[str] = ()) -> tuple[str, ...]:
        """The word as rules know it: itself, a near one, or two when it was glued together.

        A digit for a letter at its end is undone if that makes a word of the rules ("di3", but not "type1").
        """
        if word[0].isalpha() and not word.isalpha() and (plain := word.translate(_LEET)) in self._known:
            return (plain,)
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
        if 4 <= len(word) <= _LONGEST_RUN:
            budget = (0 if len(word) < 5 else 1) if len(word) < 8 else 2
            best = (budget + 1, 0, 0, "")  # edits that count, slip, edits, word
            for variant in _deletions(word):
                for near in self._near.get(variant, ()):
                    if (near[0] != word[0] and near[1:2] != word[0]) or (len(near) < 5 and len(word) != 4):
                        continue
                    edits = DamerauLevenshtein.distance(word, near, score_cutoff=2)
                    slip = _slip(word, near)
                    distance = edits if slip else min(edits, budget)
                    if distance <= budget and not _inflected(word, near):
                        best = min(best, (distance, slip, edits, near))
            if best[3]:
                return tuple(DENIALS.get(best[3], best[3]).split())
        for cut in range(3, len(word) - 2):
            if word[:cut] in self._known and word[cut:] in self._known:
                return (word[:cut], word[cut:])
        return self._parted(word) if len(word) <= _LONGEST_RUN else (word,)

    def _parted(self, word: str) -> tuple[str, ...]:
        """Words that were glued together ("mychesthurts", or spaced letters put together again) in the fewest parts.

        Three words and more of which two are long, or one word of the rules between single letters that are words.
        """
        ways: list[tuple[str, ...] | None] = [(), *[None] * len(word)]
        for end in range(1, len(word) + 1):
            for start in range(max(0, end - _LONGEST), end):
                before, best, part = ways[start], ways[end], word[start:end]
                if before is None or (best is not None and len(before) + 1 >= len(best)):
                    continue
                if part in _SINGLE or (len(part) > 1 and (part in self._known or part in self._protected)):
                    ways[end] = (*before, part)
        parts = ways[-1] or (word,)
        long = [part for part in parts if len(part) >= 4]
        single = len(long) == 1 and len(parts) > 1 and all(part in _SINGLE for part in parts if part not in long)
        enough = single or (len(long) > 1 and len(parts) > 2)
        return parts if enough and any(part in self._known for part in long) else (word,)


def _deletions(word: str) -> set[str]:
    return {word} | {word[:i] + word[i + 1 :] for i in range(len(word))}


def _slip(word: str, near: str) -> int:
    """What went wrong, likelier slips first: 0 the order of letters, 1 one left out or added, 2 a wrong one."""
    return 0 if sorted(word) == sorted(near) else 1 + (len(word) == len(near))


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


@dataclass(frozen=True, slots=True)
class Place:
    """Characters ``start`` to ``end`` (exclusive) of the turn with this number."""

    turn: int
    start: int
    end: int


def places(turns: Sequence[str], speller: Speller | None) -> list[Place]:
    """Where each word that :func:`read` makes of the same turns was typed."""
    found: list[Place] = []
    for number, turn in enumerate(turns):
        form, ranges = aligned_form(turn)
        for piece in _PIECE.finditer(form):
            if piece[0][0].isalnum():
                typed = ranges[piece.start() : piece.end()]
                place = Place(number, min(start for start, _ in typed), max(end for _, end in typed))
                found += [place] * (len(speller.mend(piece[0])) if speller else 1)
    return found
