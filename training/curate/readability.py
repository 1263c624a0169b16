"""How hard a text is to read: the U.S. school grade by Flesch and Kincaid.

Formula: J. P. Kincaid, R. P. Fishburne, R. L. Rogers, B. S. Chissom, "Derivation of New Readability Formulas for Navy
Enlisted Personnel", Research Branch Report 8-75, 1975: grade = 0.39 words/sentences + 11.8 syllables/words - 15.59.
It was made for English prose, so nothing is said about other languages or about very short texts.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Literal

ReadingLevel = Literal["grade 1 or less", "grade 2 to 3", "grade 4 to 6", "grade 7 or more", ""]
"""Bands for what people say and write to a hospital: far simpler than print, for which grade 6 is often advised."""

LEAST_WORDS = 30
"""Below this a grade says more of chance than of the text."""

_WORD = re.compile(r"[A-Za-z]+(?:['’-][A-Za-z]+)*")
_TOKEN = re.compile(r"<[A-Z_]+\d*>")
_STOPS_INSIDE = re.compile(r"\b(?:[ap]\.m|Dr|Mr|Mrs|Ms|St|No|vs|e\.g|i\.e)\.", re.IGNORECASE)
_END = re.compile(r"[.!?]+(?=[\s\"')]|$)|\n+")
_VOWELS = re.compile(r"[aeiouy]+")


@lru_cache(maxsize=50_000)
def syllables(word: str) -> int:
    """Syllables of an English word by its letters; at least one. Exact dictionaries differ in about one word of ten."""
    word = word.lower().replace("'", "").replace("’", "")
    found = sum(len(_VOWELS.findall(part)) for part in word.split("-"))
    silent = (word.endswith("e") and not re.search(r"[^aeiouy]le$", word)) or re.search(r"[^aeioutdy]ed$", word)
    return max(1, found - (1 if silent else 0))


def grade(text: str) -> float | None:
    """The grade of an English text; None below :data:`LEAST_WORDS` words. Pseudonyms and digits are left out."""
    plain = _STOPS_INSIDE.sub(lambda found: found.group(0).replace(".", ""), _TOKEN.sub(" ", text))
    sentences = [words for part in _END.split(plain) if (words := _WORD.findall(part))]
    words = [word for sentence in sentences for word in sentence]
    if len(words) < LEAST_WORDS:
        return None
    return 0.39 * len(words) / len(sentences) + 11.8 * sum(map(syllables, words)) / len(words) - 15.59


def level(text: str) -> ReadingLevel:
    """The band of a text's grade; empty where there is no grade."""
    found = grade(text)
    if found is None:
        return ""
    if found < 4:
        return "grade 1 or less" if found < 2 else "grade 2 to 3"
    return "grade 4 to 6" if found < 7 else "grade 7 or more"
