"""Which statements of the truth speak of the same thing as a sentence of the staff, whatever their words.

The encoder that search uses gives both a vector: a statement with the article's name before it, a sentence with the
question before it. Words in common need not be: "three bucks an hour once the half hour is up" lies beside "After the
first 30 minutes, parking costs $2 an hour".
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from app.encoder.encoder import SearchEncoder
from training.curate.truth import Statement, Truth

Vectors = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Meant:
    """A statement and the cosine of its vector and the sentence's."""

    statement: Statement
    likeness: float


class Meanings:
    """Looks statements up. For one thread: each process builds its own from the same ``vectors``."""

    def __init__(self, truth: Truth, vectors: Vectors, encoder: Path) -> None:
        """``vectors`` are those of :func:`vectors_of` for this truth; ``encoder`` the folder of the encoder's files."""
        self._statements = truth.statements
        self._vectors = vectors
        self._figured = np.flatnonzero([bool(statement.figures) for statement in truth.statements])
        self._encoder = SearchEncoder.load(encoder)
        self._last: tuple[tuple[str, str], Vectors] = (("", ""), np.zeros(0, dtype=np.float32))

    def beside(self, question: str, sentence: str, limit: int = 6, *, with_figure: bool = False) -> list[Meant]:
        """The likeliest statements, or those with a figure, best first. A call of the encoder: some milliseconds."""
        if self._last[0] != (question, sentence):
            self._last = (question, sentence), self._vectors @ self._encoder.embed([f"{question} {sentence}"])[0]
        likeness = self._last[1]
        among = self._figured if with_figure else np.arange(len(likeness))
        best = among[np.argsort(-likeness[among], kind="stable")[:limit]]
        return [Meant(self._statements[number], float(likeness[number])) for number in best]

    def nearest(self, text: str) -> float:
        """How near the whole text comes to any statement, as a cosine; it is cut at 256 tokens."""
        return float((self._vectors @ self._encoder.embed([text])[0]).max(initial=-1.0))


def vectors_of(truth: Truth, encoder: Path) -> Vectors:
    """Unit vectors (statements, 384) of the truth's statements; those of one text are made once in a process."""
    return _embedded(tuple(f"{one.source.replace('-', ' ')}: {one.text}" for one in truth.statements), encoder)


@lru_cache(maxsize=2)
def _embedded(texts: Sequence[str], encoder: Path) -> Vectors:
    return SearchEncoder.load(encoder).embed(texts)
