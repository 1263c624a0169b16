"""Which statements of the truth speak of the same thing as a sentence of the staff, whatever their words.

The encoder that search uses gives both a vector: a statement with the article's name before it, a sentence with the
question before it. Words in common need not be: "three bucks an hour once the half hour is up" lies beside "After the
first 30 minutes, parking costs $2 an hour". Only statements with a figure are held.
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
        self._statements = told(truth)
        self._vectors = vectors
        self._encoder = SearchEncoder.load(encoder)

    def beside(self, question: str, sentence: str, limit: int = 6) -> list[Meant]:
        """The likeliest statements, best first. A call of the encoder: some milliseconds."""
        likeness = self._vectors @ self._encoder.embed([f"{question} {sentence}"])[0]
        best = np.argsort(-likeness, kind="stable")[:limit]
        return [Meant(self._statements[number], float(likeness[number])) for number in best]


def told(truth: Truth) -> list[Statement]:
    """The statements that hold a figure, in order."""
    return [statement for statement in truth.statements if statement.figures]


def vectors_of(truth: Truth, encoder: Path) -> Vectors:
    """Unit vectors (statements, 384) of :func:`told`; those of one text are made once in a process."""
    return _embedded(tuple(f"{one.source.replace('-', ' ')}: {one.text}" for one in told(truth)), encoder)


@lru_cache(maxsize=2)
def _embedded(texts: Sequence[str], encoder: Path) -> Vectors:
    return SearchEncoder.load(encoder).embed(texts)
