"""Which drug a misspelled word means, or that it cannot be told.

The rule that no wrong drug is put in: of all names on the list, exactly one may lie within two edits (insertions,
deletions, replacements, swaps of neighbours: Damerau and Levenshtein). Whoever meant a name of the list and made at
most two slips meant that one; :meth:`DrugSpeller._settled` has the exceptions. A third slip is taken only in long names
with no other within five edits. Everything that may be a drug and is not decided by this is left as it is and asked
about.

How much must stand around a word before it is taken for a drug at all grows with the edits and falls with its length:
see :func:`_needed`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from rapidfuzz import process
from rapidfuzz.distance import DamerauLevenshtein

from training.curate.cues import Cue
from training.curate.druglist import SHORTEST, DrugList, folded

NEAR = 2
"""Edits that a misspelling may be away from its name."""
FAR, FAR_LETTERS, FAR_MARGIN = 3, 9, 2
"""A third edit: in names of so many letters, with the next drug so much further away."""
SAME_END = 5
"""A word with two edits, one of them in the first letter, that ends like its name by so many letters may well be
another drug of the same class that is not on the list ("lincomycin", "vancomycin")."""
LONG_ENOUGH = 6
"""Letters of a word from which a seldom name two edits away is passed over: two of five letters make any name."""
REMEMBERED = 50_000
"""Judged words kept in memory."""
_NONE_NEAR = 9


@dataclass(frozen=True, slots=True)
class Candidate:
    """A name that may be meant, ``edits`` away."""

    name: str
    edits: int


@dataclass(frozen=True, slots=True)
class Judgement:
    """``fix``: the first candidate is meant. ``ambiguous``: several drugs are near. ``uncertain``: one is, but the word
    may be no drug, or one that is not on the list. ``none``: nothing to do.
    """

    verdict: Literal["none", "fix", "ambiguous", "uncertain"]
    candidates: tuple[Candidate, ...] = ()


NOTHING = Judgement("none")


@dataclass(frozen=True, slots=True)
class _Found:
    """The nearest name of each drug, nearest first, and the edits to the nearest everyday word. ``other``: a substance
    that is no target is nearer than all of them.
    """

    candidates: tuple[Candidate, ...]
    ordinary: int
    other: bool = False


class DrugSpeller:
    """Judges words. Deterministic. For one thread: each process builds its own."""

    def __init__(self, drugs: DrugList) -> None:
        self._drugs = drugs
        self._targets = drugs.targets()
        self._names = _by_length(drugs.drug_of)
        self._words = _by_length(drugs.common)
        self._others = _by_length(drugs.others)
        self._memory: dict[tuple[str, bool], _Found | None] = {}
        self._known: dict[str, bool] = {}

    def judge(self, word: str, cue: Cue, *, spanish: bool = False) -> Judgement:
        """``word`` is of letters (a digit may stand for one); ``spanish``: its sentence is."""
        lower = folded(word)
        if lower in self._drugs.spanish and not spanish:
            return self._anglicised(lower, cue)
        least = SHORTEST + 1 if spanish else SHORTEST - 1
        if len(lower) < least or self._drugs.valid(lower):
            return NOTHING
        if lower in self._drugs.decided:
            return Judgement("fix", (Candidate(self._drugs.decided[lower], 1),))
        found = self._looked_up(lower, spanish)
        if found is None:
            return NOTHING
        nearest = found.candidates[0]
        everyday = nearest.name in self._drugs.everyday
        needed, asked = _needed(len(lower), nearest.edits, found.ordinary, spanish=spanish, everyday=everyday)
        if cue < asked:
            return NOTHING
        if len(found.candidates) > 1 and not self._settled(lower, found.candidates):
            return Judgement("ambiguous", found.candidates)
        fit = nearest.name in self._targets and not found.other and not _other_of_class(lower, nearest)
        return Judgement("fix" if fit and cue >= needed else "uncertain", found.candidates)

    def knows(self, word: str) -> bool:
        """Whether no sentence could make anything of the word but itself."""
        if word not in self._known:
            if len(self._known) >= REMEMBERED:
                self._known.clear()
            self._known[word] = self._is_known(folded(word))
        return self._known[word]

    def cut_off(self, word: str) -> bool:
        """Whether a word looks like the beginning of a longer one: the last word of a text may be cut off."""
        lower = folded(word)
        return any(
            known.startswith(lower) for length, words in self._words.items() if length > len(lower) for known in words
        )

    def is_drug(self, word: str) -> bool:
        """Whether a word is a drug's name."""
        return self._drugs.valid(folded(word))

    def written(self, name: str) -> str:
        """A name as it is written, with accents."""
        return self._drugs.written.get(name, name)

    def in_phrase(self, word: str, before: str, after: str) -> str | None:
        """The word of a two-word name that is meant: its other word stands before or after."""
        lower, left, right = folded(word), folded(before), folded(after)
        whole = {one for one, two in self._drugs.phrases if two == right} | {
            two for one, two in self._drugs.phrases if one == left
        }
        if len(lower) < SHORTEST - 1 or lower in whole or self._drugs.ordinary(lower) or self._drugs.valid(lower):
            return None
        near = [name for name in whole if DamerauLevenshtein.distance(lower, name, score_cutoff=NEAR) <= NEAR]
        return near[0] if len(near) == 1 else None

    def _is_known(self, lower: str) -> bool:
        if self._drugs.valid(lower) and lower not in self._drugs.spanish:
            return True
        if len(lower) < SHORTEST - 1:
            return True
        plain = self.judge(lower, Cue.DOSE) is NOTHING and self.judge(lower, Cue.DOSE, spanish=True) is NOTHING
        return plain and (self._drugs.ordinary(lower) or not self._in_any_phrase(lower))

    def _in_any_phrase(self, word: str) -> bool:
        return any(
            DamerauLevenshtein.distance(word, name, score_cutoff=NEAR) <= NEAR
            for phrase in self._drugs.phrases
            for name in phrase
        )

    def _anglicised(self, word: str, cue: Cue) -> Judgement:
        """A Spanish form in an English sentence is a slip for the English name if it is nearly that."""
        name = self._drugs.drug_of[word]
        edits = DamerauLevenshtein.distance(word, name, score_cutoff=NEAR)
        return Judgement("fix", (Candidate(name, edits),)) if edits <= NEAR and cue > Cue.NONE else NOTHING

    def _settled(self, word: str, candidates: Sequence[Candidate]) -> bool:
        """Whether the nearest name is meant although others are two edits away.

        So it is where the others are names of the same drug, or, for a word of some length, seldom ones, the nearest
        being met every day, and whoever meant one of them would have replaced its first letter by the nearest name's or
        put that before it.
        """
        nearest, others = candidates[0], candidates[1:]
        return nearest.edits == 1 and all(
            other.edits == NEAR and (self._same(nearest, other) or self._unlikely(word, nearest, other))
            for other in others
        )

    def _same(self, one: Candidate, other: Candidate) -> bool:
        """Whether two names stand for one substance, the nearer being the one met every day."""
        family = self._drugs.family.get(one.name, "")
        same = family == self._drugs.family.get(other.name) and not family.startswith("(")
        return same and one.name in self._drugs.everyday

    def _unlikely(self, word: str, nearest: Candidate, other: Candidate) -> bool:
        everyday = self._drugs.everyday
        rare = nearest.name in everyday and other.name not in everyday
        return rare and len(word) >= LONG_ENOUGH and word[0] not in other.name[:2]

    def _looked_up(self, word: str, spanish: bool) -> _Found | None:
        key = (word, spanish)
        if key not in self._memory:
            if len(self._memory) >= REMEMBERED:
                self._memory.clear()
            self._memory[key] = self._search(word, spanish)
        return self._memory[key]

    def _search(self, word: str, spanish: bool) -> _Found | None:
        if self._drugs.ordinary(word):
            near = self._by_drug(word, 1, spanish)
            return _Found(near, 0) if near else None
        near = self._by_drug(word, NEAR, spanish)
        if near:
            other = near[0].edits > 1 and bool(_within(word, self._others, 1))
            return _Found(near, self._nearest_word(word, NEAR), other)
        if len(word) < FAR_LETTERS - 1:
            return None
        near = self._by_drug(word, FAR + FAR_MARGIN, spanish)
        if not near or near[0].edits > FAR or len(near[0].name) < FAR_LETTERS:
            return None
        if self._nearest_word(word, FAR) <= FAR:
            return None
        alone = len(near) == 1 or near[1].edits >= FAR + FAR_MARGIN
        return _Found(near[:1] if alone else tuple(c for c in near if c.edits < FAR + FAR_MARGIN), _NONE_NEAR)

    def _by_drug(self, word: str, reach: int, spanish: bool) -> tuple[Candidate, ...]:
        best: dict[str, tuple[int, bool, str]] = {}
        for name, edits in _within(word, self._names, reach):
            drug = self._drugs.drug_of[name]
            # Of a drug's Spanish and English form the nearest is meant, or the one in the sentence's language.
            foreign = not spanish and name in self._drugs.spanish
            if foreign and edits == NEAR:
                continue
            form = (edits, foreign, name)
            if drug not in best or form < best[drug]:
                best[drug] = form
        ordered = sorted(
            (edits, self._drugs.drug_of[name] if foreign else name) for edits, foreign, name in best.values()
        )
        return tuple(Candidate(name, edits) for edits, name in ordered)

    def _nearest_word(self, word: str, reach: int) -> int:
        # A third of the letters changed makes any word out of any other.
        near = _within(word, self._words, min(reach, max(1, len(word) // 3)))
        return min((edits for _, edits in near), default=_NONE_NEAR)


def _needed(letters: int, edits: int, ordinary: int, *, spanish: bool, everyday: bool) -> tuple[Cue, Cue]:
    """The least cue with which a misspelling is corrected, and the least with which it is asked about.

    ``ordinary``: edits to the nearest everyday word; 0 means that it is one: it is then never corrected.
    ``everyday``: the name is.
    """
    if ordinary == 0:
        return Cue.NEVER, Cue.DOSE if everyday else Cue.NEVER
    if edits == 1:
        needed = Cue.NONE if letters >= 9 else Cue.SENTENCE if letters >= 7 or everyday else Cue.BESIDE
    elif edits == NEAR:
        needed = Cue.SENTENCE if letters >= 9 or (letters >= 7 and everyday and ordinary > NEAR) else Cue.BESIDE
    else:
        needed = Cue.BESIDE if spanish else Cue.SENTENCE
    asked = needed if spanish or edits > NEAR else Cue(max(Cue.NONE, needed - 1))
    if ordinary < edits:
        return Cue.DOSE, Cue.BESIDE
    if ordinary == edits == 1 or (spanish and ordinary - edits < 2):
        return Cue(min(needed + 1, Cue.DOSE)), needed
    if ordinary == edits:
        return Cue(max(needed, Cue.BESIDE)), needed
    return needed, asked


def _other_of_class(word: str, nearest: Candidate) -> bool:
    name = nearest.name
    return nearest.edits == NEAR and word[0] != name[0] and word[-SAME_END:] == name[-SAME_END:]


def _by_length(words: Iterable[str]) -> dict[int, list[str]]:
    found: dict[int, list[str]] = {}
    for word in sorted(words):
        found.setdefault(len(word), []).append(word)
    return found


def _within(word: str, by_length: dict[int, list[str]], reach: int) -> list[tuple[str, int]]:
    """All words within ``reach`` edits: their lengths cannot differ by more."""
    near: list[tuple[str, int]] = []
    for length in range(len(word) - reach, len(word) + reach + 1):
        choices = by_length.get(length, [])
        found = process.extract(
            word, choices, scorer=DamerauLevenshtein.distance, score_cutoff=reach, limit=None, processor=None
        )
        near += [(name, int(edits)) for name, edits, _ in found]
    return near
