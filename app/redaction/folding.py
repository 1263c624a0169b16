"""One NFKC pass with a map back, so that full-width digits, ligatures and invisible characters hide nothing."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from itertools import pairwise

import regex

_INVISIBLE = regex.compile(r"[[\p{Cf}\p{Default_Ignorable_Code_Point}\p{Cc}]--[\t-\r\x85\x91-\x97]]", regex.V1)
"""What shows nothing: it can stand inside a name or a number. Line ends show, and so do the quotes and dashes of
Windows-1252 that were read as Latin-1, where they are control characters.
"""
_MOST_MARKS = 30
"""Marks on one letter, as in UAX #15, Stream-Safe Text Format: putting n of them in order takes n * n steps."""
_PLAIN = str.maketrans(
    {"\u2018": "'", "\u2019": "'", "\u02bc": "'", "\u201c": '"', "\u201d": '"', "\u00a0": " "}
    | {"\x91": "'", "\x92": "'", "\x93": '"', "\x94": '"', "\x95": " "}
    | dict.fromkeys("\u2010\u2011\u2012\u2013\u2014\u2212\x96\x97", "-")
)


@dataclass(frozen=True, slots=True)
class Folded:
    """``text`` is what recognizers read; ``places[i]`` is where the input has what its character ``i`` was made of.

    ``places`` is None where the text is the input.
    """

    text: str
    places: tuple[tuple[int, int], ...] | None

    def original(self, start: int, end: int) -> tuple[int, int]:
        """The span of the input that a span of the folded text covers."""
        if self.places is None or start >= end:
            return start, end
        return self.places[start][0], self.places[end - 1][1]


def fold(text: str) -> Folded:
    """NFKC cluster by cluster, plain quotes, hyphens and spaces, without invisible characters and without more than 30
    marks on a letter. Linear in length.
    """
    invisible = frozenset(_INVISIBLE.findall(text))
    if text.isascii() and not invisible:
        return Folded(text, None)
    pieces: list[str] = []
    places: list[tuple[int, int]] = []
    borders = [i for i, c in enumerate(text) if i == 0 or not unicodedata.combining(c)]
    for start, end in pairwise([*borders, len(text)]):
        cluster = text[start : min(end, start + 1 + _MOST_MARKS)]
        if cluster[0] in invisible:
            continue
        piece = unicodedata.normalize("NFKC", cluster).translate(_PLAIN)
        pieces.append(piece)
        places.extend([(start, end)] * len(piece))
    return Folded("".join(pieces), tuple(places))
