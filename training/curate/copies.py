"""Whether one record is an edited copy of another: the exact comparison behind the quick search."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from rapidfuzz.distance import OSA, Indel

from training.curate.records import Record, Speaker
from training.curate.statements import Difference, Names, Statement, difference, state
from training.curate.words import words

SPEAKERS: tuple[Speaker, ...] = ("patient", "staff")
LEEWAY = 2
"""Words without a counterpart, counted on both sides, that even a part of four words may have."""
ORDERED = 0.6
"""The share of words that must stand in the same order: two texts of the same sentences may be two calls."""
HOPELESS = 0.55
"""Below this share of equal words nobody looks for misspelt ones."""


class Part:
    """All that one side says in a record: its words, and what they state (read when it is first asked for)."""

    def __init__(self, text: str, names: Names, *, faq: bool) -> None:
        self.words = tuple(words(text))
        self.counted = Counter(self.words)
        self.faq = faq
        self._text, self._names = text, names

    @cached_property
    def states(self) -> Statement:
        """What the part states."""
        return state(self._text, self._names, self.words, dates=self.faq)


def parts(record: Record, names: Names) -> tuple[Part, ...]:
    """The patient's part and the staff's.

    A FAQ entry is read more strictly: its dates are statements, as it is about no patient, and so is every negation.
    """
    texts = ("\n".join(turn.text for turn in record.turns if turn.speaker == speaker) for speaker in SPEAKERS)
    return tuple(Part(text, names, faq=record.kind == "faq") for text in texts)


@dataclass(frozen=True, slots=True)
class Likeness:
    """``share``: of all words that have a counterpart in the other record, from 0 to 1. ``even``: whether the parts
    are alike each by itself, and in order. ``states``: in what two records that are alike state different things.
    """

    share: float
    even: bool
    states: Difference


def compare(first: Sequence[Part], second: Sequence[Part], near: float, names: Names) -> Likeness:
    """Compare two records part by part.

    A word's counterpart is the same word or one slip of the keyboard away (two from eight letters). A part is alike
    when at most a share 1 - ``near`` of its words and :data:`LEEWAY` more have no counterpart: the same answer to
    another question is no copy.
    """
    pairs = list(zip(first, second, strict=True))
    sizes = [len(one.words) + len(other.words) for one, other in pairs]
    equal = [(one.counted & other.counted).total() for one, other in pairs]
    if 2 * sum(equal) < HOPELESS * sum(sizes):
        return Likeness(2 * sum(equal) / sum(sizes), False, "")
    matched = [number + misspelt(one.counted, other.counted) for number, (one, other) in zip(equal, pairs, strict=True)]
    share = 2 * sum(matched) / sum(sizes) if sum(sizes) else 1.0
    even = all(size - 2 * found <= (1 - near) * size + LEEWAY for size, found in zip(sizes, matched, strict=True))
    if share >= near and even:
        ordered = (
            size * Indel.normalized_similarity(one.words, other.words)
            for size, (one, other) in zip(sizes, pairs, strict=True)
        )
        even = sum(ordered) >= ORDERED * sum(sizes)
    return Likeness(share, even, _stated(first, second, names) if share >= near and even else "")


def _stated(first: Sequence[Part], second: Sequence[Part], names: Names) -> Difference:
    for one, other in zip(first, second, strict=True):
        edited = (one.counted - other.counted).total() + (other.counted - one.counted).total()
        strict = one.faq or other.faq
        if found := difference(one.states, other.states, one.words, other.words, names, 0 if strict else edited):
            return found
    return ""


def misspelt(first: Counter[str], second: Counter[str]) -> int:
    """How many words that only one text has are misspelt forms of a word that only the other has, each of its own.

    A slip leaves the first or the last letter as it is.
    """
    rest: dict[str, list[str]] = defaultdict(list)
    for word in sorted((second - first).elements()):
        rest[word[0]].append(word)
        rest["." + word[-1]].append(word)
    found = 0
    for word in sorted((first - second).elements()):
        slips = 0 if len(word) < 4 or not word.isalpha() else 1 if len(word) < 8 else 2
        if slips and (near := _nearest(word, slips, [*rest[word[0]], *rest["." + word[-1]]])):
            rest[near[0]].remove(near)
            rest["." + near[-1]].remove(near)
            found += 1
    return found


def _nearest(word: str, slips: int, others: Sequence[str]) -> str:
    return min(
        (
            (distance, other)
            for other in others
            if abs(len(other) - len(word)) <= slips
            and (distance := OSA.distance(word, other, score_cutoff=slips)) <= slips
        ),
        default=(0, ""),
    )[1]
