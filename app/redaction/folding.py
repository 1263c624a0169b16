"""One NFKC pass with a map back, so that full-width digits, ligatures and invisible characters hide nothing."""

from __future__ import annotations

import unicodedata
from array import array
from collections.abc import Iterator, Sequence
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


_AS_IT_IS = regex.compile(r"[\t-\r -~]+(?![^\x00-\x7F])")
"""Plain characters; what follows the last of them is no mark on it."""


@dataclass(frozen=True, slots=True)
class Folded:
    """``text`` is what recognizers read; ``places`` tells where the input has what each of its characters was made of:
    where that begins, and where it ends.

    ``places`` is None where the text is the input.
    """

    text: str
    places: tuple[Sequence[int], Sequence[int]] | None

    def original(self, start: int, end: int) -> tuple[int, int]:
        """The span of the input that a span of the folded text covers."""
        if self.places is None or start >= end:
            return start, end
        starts, ends = self.places
        return starts[start], ends[end - 1]


def fold(text: str) -> Folded:
    """NFKC cluster by cluster, plain quotes, hyphens and spaces, without invisible characters and without more than 30
    marks on a letter. Linear in length.
    """
    invisible = frozenset(_INVISIBLE.findall(text))
    if text.isascii() and not invisible:
        return Folded(text, None)
    pieces: list[str] = []
    starts, ends = array("Q"), array("Q")
    done = 0
    for start, end in (*(match.span() for match in _AS_IT_IS.finditer(text)), (len(text), len(text))):
        for cluster in _clusters(text, done, start):
            if text[cluster.start] in invisible:
                continue
            marked = text[cluster.start : min(cluster.stop, cluster.start + 1 + _MOST_MARKS)]
            piece = unicodedata.normalize("NFKC", marked).translate(_PLAIN)
            pieces.append(piece)
            starts.extend([cluster.start] * len(piece))
            ends.extend([cluster.stop] * len(piece))
        pieces.append(text[start:end])
        starts.extend(range(start, end))
        ends.extend(range(start + 1, end + 1))
        done = end
    return Folded("".join(pieces), (starts, ends))


def _clusters(text: str, start: int, end: int) -> Iterator[range]:
    """Where the characters of a part of the text stand, each with the marks on it."""
    borders = [at for at in range(start, end) if at == start or not unicodedata.combining(text[at])]
    return (range(one, other) for one, other in pairwise([*borders, end]))
