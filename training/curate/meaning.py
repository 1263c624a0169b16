"""Which statements of the truth speak of the same thing as a sentence of the staff, whatever their words.

The encoder that search uses gives both a vector: a statement with the article's name before it, a sentence with the
question before it. Words in common need not be: "three bucks an hour once the half hour is up" lies beside "After the
first 30 minutes, parking costs $2 an hour".
"""

from __future__ import annotations

import hashlib
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load_file, save

from app.encoder.encoder import SearchEncoder
from app.files import replace_file
from training.curate.truth import Statement, Truth

Vectors = NDArray[np.float32]
KEPT = "statements.safetensors"


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
        self._encoder = _open(encoder)
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
    """Unit vectors (statements, 384) of the truth's statements. They are kept beside the encoder's files, in
    :data:`KEPT`, until statements or weights are others; a file that cannot be read or written is done without.
    """
    texts = [f"{one.source.replace('-', ' ')}: {one.text}" for one in truth.statements]
    opened = _open(encoder)
    name = hashlib.sha256("\x1f".join([opened.identity, *texts]).encode()).hexdigest()
    path = encoder / KEPT
    with suppress(OSError, SafetensorError):
        kept: Vectors | None = load_file(path).get(name)
        if kept is not None and kept.shape == (len(texts), opened.dimension):
            return kept
    # One by one: rounded, the vector of a text hangs a little on those that it is read with.
    vectors = np.zeros((len(texts), opened.dimension), dtype=np.float32)
    for number, text in enumerate(texts):
        vectors[number] = opened.embed([text])[0]
    with suppress(OSError):
        replace_file(path, save({name: vectors}))
    return vectors


def _open(encoder: Path) -> SearchEncoder:
    return SearchEncoder.load(encoder, rounded=True)
