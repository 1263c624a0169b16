"""One NFKC pass with a map back, so that full-width digits, ligatures and invisible characters hide nothing."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from itertools import pairwise

_INVISIBLE = frozenset("\u00ad\u200b\u200c\u200d\u2060\ufeff\u200e\u200f\u202a\u202b\u202c\u202d\u202e")
_PLAIN = str.maketrans(
    {"\u2018": "'", "\u2019": "'", "\u02bc": "'", "\u201c": '"', "\u201d": '"', "\u00a0": " "}
    | dict.fromkeys("\u2010\u2011\u2012\u2013\u2014\u2212", "-")
)


@dataclass(frozen=True, slots=True)
class Folded:
    """``text`` is what recognizers read; ``starts[i]`` is where its character ``i`` begins in the input.

    ``starts`` has one entry more than ``text`` has characters: the length of the input.
    """

    text: str
    starts: tuple[int, ...] | None

    def original(self, start: int, end: int) -> tuple[int, int]:
        """The span of the input that a span of the folded text covers."""
        if self.starts is None or start >= end:
            return start, end
        return self.starts[start], self._end(end)

    def _end(self, end: int) -> int:
        assert self.starts is not None
        # Several folded characters can come from one of the input ("½"): a span then covers all of it.
        last = self.starts[end - 1]
        while end < len(self.starts) and self.starts[end] == last:
            end += 1
        return self.starts[min(end, len(self.starts) - 1)]


def fold(text: str) -> Folded:
    """NFKC cluster by cluster, plain quotes, hyphens and spaces, invisible characters dropped. Linear in length."""
    if text.isascii():
        return Folded(text, None)
    pieces: list[str] = []
    starts: list[int] = []
    borders = [i for i, c in enumerate(text) if i == 0 or not unicodedata.combining(c)]
    for start, end in pairwise([*borders, len(text)]):
        cluster = text[start:end]
        if cluster[0] in _INVISIBLE:
            continue
        piece = unicodedata.normalize("NFKC", cluster).translate(_PLAIN)
        pieces.append(piece)
        starts.extend([start] * len(piece))
    return Folded("".join(pieces), (*starts, len(text)))
