"""A text as the search encoder reads it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

TOKEN_WIDTH = 64
"""Numbers of a token's vector."""
_STEPS = 127


@dataclass(frozen=True, slots=True)
class Text:
    """``vector`` (384) is of the whole text, ``tokens`` (n, 64) are of its tokens without the model's own marks.

    All have length 1. ``weights`` (n), at least 0, are what each token says. float32.
    """

    vector: NDArray[np.float32]
    tokens: NDArray[np.float32]
    weights: NDArray[np.float32]

    def likeness(self, passage: NDArray[np.float32]) -> float:
        """Late interaction (Khattab and Zaharia 2020), -1 to 1: how near the tokens of a passage come to these.

        The weighted mean, over these tokens, of the nearest token of ``passage`` (m, 64). 0 if either has none.
        """
        total = float(self.weights.sum())
        if not total or not len(passage):
            return 0.0
        return float((self.tokens @ passage.T).max(axis=1) @ self.weights) / total


def pack(tokens: NDArray[np.float32]) -> bytes:
    """Token vectors in 8-bit steps, one byte a number, for the database."""
    return np.rint(tokens * _STEPS).astype(np.int8).tobytes()


def unpack(data: bytes) -> NDArray[np.float32]:
    """Token vectors (n, 64), float32, from what :func:`pack` made. Raises ValueError for other sizes."""
    return np.frombuffer(data, dtype=np.int8).reshape(-1, TOKEN_WIDTH).astype(np.float32) / np.float32(_STEPS)
