"""Keeps medicine from being taken for people and places: drugs, tests, eponyms, products, code shapes.

It vetoes names, organizations and towns only, never a number or a date, and never right after a cue such as "my name
is": a patient may be called Parkinson.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from itertools import pairwise

import regex

from app.redaction.lexicon import Lexicon
from app.redaction.recognizers.features import Word
from app.redaction.recognizers.names import STRONG_CUE, TITLES

VETOED = frozenset({"PERSON", "ORGANIZATION", "CITY"})

_CODE = regex.compile(
    r"[A-Z]\d{1,2}(?:\.\d{1,4})?|[CTLS]\d{1,2}(?:[-/][CTLS]?\d{1,2})?|[A-Z]{2,5}\d{1,2}[A-Z]?|[A-Z]\d{3,5}[A-Z*]|\d+[A-Za-z]{1,3}|"
    r"(?=\P{L}*\d)[\d.,/:%x+\-]+",
)
_LEAST_SLIP = 7
"""Letters of a drug that is known with a slip: shorter ones are too near to names."""
_JOIN = regex.compile(r"(?:'s?)?[ \-]")


class Protector:
    """Says which words of a text are medicine. Safe under concurrent use."""

    def __init__(self, lexicon: Lexicon) -> None:
        self._lexicon = lexicon
        plain = lexicon.ambiguous_given | lexicon.given | lexicon.surnames | lexicon.ambiguous_surnames
        self._certain = (lexicon.drugs | lexicon.labs) - plain
        self._near_drugs = {
            slip for drug in lexicon.drugs - plain if len(drug) >= _LEAST_SLIP for slip in _without_one(drug)
        }
        self._rare_eponyms = lexicon.eponym_words - plain
        self._phrases = {tuple(brand.split()) for brand in lexicon.brands} | {
            tuple(entry.split()) for entry in lexicon.eponyms if " " in entry
        }
        self._longest = max((len(phrase) for phrase in self._phrases), default=1)

    def protected(self, text: str, words: Sequence[Word], asked: Collection[int]) -> set[int]:
        """Which of the words ``asked`` about, by index, are medicine and no name; after a strong cue none is."""
        found = {index for index in asked if self._alone(text, words, index)}
        if not asked:
            return found
        starts = {start for index in asked for start in range(max(0, index - self._longest + 1), index + 1)}
        for start in starts:
            for size in range(min(self._longest, len(words) - start), 0, -1):
                if self._phrase(text, words[start : start + size]):
                    found.update(range(start, start + size))
                    break
        cued = [match.start("v") for match in STRONG_CUE.finditer(text)]
        return {
            index for index in found.intersection(asked) if not any(at <= words[index].start < at + 40 for at in cued)
        }

    def _alone(self, text: str, words: Sequence[Word], index: int) -> bool:
        word, lexicon = words[index], self._lexicon
        lower = word.lower
        titled = (
            index > 0
            and words[index - 1].lower in TITLES
            and text[words[index - 1].end : word.start] in (" ", ". ", ".")
        )
        if titled and f"{words[index - 1].lower} {lower}" not in lexicon.brands:
            return False
        if lower in self._certain or _CODE.fullmatch(word.text) or self._slip(lower):
            return True
        stems = lower.removesuffix("s")
        if lower in self._rare_eponyms or (stems in self._rare_eponyms and len(stems) > 4):
            return True
        return self._eponym(text, words, index)

    def _slip(self, word: str) -> bool:
        """Whether a word is a drug with one letter wrong, missing or too many, and no known name."""
        if len(word) < _LEAST_SLIP - 1 or not word.isalpha() or self._lexicon.is_name(word):
            return False
        return not self._near_drugs.isdisjoint((word, *_without_one(word)))

    def _eponym(self, text: str, words: Sequence[Word], index: int) -> bool:
        """A name on a list of eponyms ("Graves", "Bell") is medicine where a word such as "disease" follows it."""
        lexicon = self._lexicon
        at = index
        while at + 1 < len(words) and _JOIN.fullmatch(text, words[at].end, words[at + 1].start):
            following = words[at + 1].lower
            if following in lexicon.after_eponym:
                parts = words[index].lower.split("-")
                return at > index or any(part in lexicon.eponym_words for part in parts) or following in _CLINICAL
            if following not in lexicon.eponym_words or at - index > 2:
                break
            at += 1
        parts = words[index].lower.split("-")
        return len(parts) > 1 and all(part in lexicon.eponym_words for part in parts)

    def _phrase(self, text: str, words: Sequence[Word]) -> bool:
        if any(text[a.end : b.start] not in (" ", ". ", "'s ") for a, b in pairwise(words)):
            return False
        lowers = tuple(word.lower for word in words)
        bare = tuple(lower.removesuffix("s") for lower in lowers)
        if len(words) == 1 and self._lexicon.is_name(lowers[0]):
            return False
        return lowers in self._phrases or (len(words) > 1 and bare in self._phrases)


def _without_one(word: str) -> list[str]:
    """The word, and the word without each of its letters. Two words one slip apart have one of these in common."""
    return [word, *(word[:at] + word[at + 1 :] for at in range(len(word)))]


_CLINICAL = frozenset(
    "syndrome disease palsy lymphoma sarcoma tumor tumour anemia fracture maneuver catheter criteria esophagus "
    "thyroiditis hernia cyst disorder phenomenon contracture stenosis score scale sign test".split()
)
