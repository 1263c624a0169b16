"""Question and passage in one pass: how well one answers the other."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray
from tokenizers import Tokenizer

from app.encoder import weights
from app.encoder.delta import RerankDelta
from app.encoder.encoder import cached_graph, open_tokenizer
from app.encoder.sessions import open_session

MOST_TOKENS = 128
"""Of a pair, its three marks included; the passage is cut."""
MOST_ASKED = 48
"""Tokens of the question that are read; of a longer one its beginning and its end."""


def pair_ids(tokenizer: Tokenizer, question: str, passages: Sequence[str]) -> list[list[int]]:
    """Ids of each pair: mark, question, mark, passage, mark. ``tokenizer`` must neither cut nor pad."""
    begin, end = tokenizer.encode("").ids
    asked = tokenizer.encode(question, add_special_tokens=False).ids
    if len(asked) > MOST_ASKED:
        asked = [*asked[: MOST_ASKED // 2], *asked[-(MOST_ASKED // 2) :]]
    head = [begin, *asked, end]
    room = MOST_TOKENS - len(head) - 1
    found = tokenizer.encode_batch(list(passages), add_special_tokens=False)
    return [[*head, *one.ids[:room], end] for one in found]


class Reranker:
    """The pinned weights tuned as a cross-encoder, in 8-bit integers. Safe under concurrent use."""

    def __init__(self, pairs: ort.InferenceSession, tokenizer: Tokenizer) -> None:
        self._pairs, self._tokenizer = pairs, tokenizer

    @classmethod
    def load(cls, cache_dir: Path, change: RerankDelta | None = None, *, rounded: bool = True) -> Reranker:
        """As :meth:`app.encoder.encoder.Encoder.load`; ``change`` is the shipped one unless given. Without ``rounded``
        it multiplies in float32, in about twice the time. Raises ConfigurationError.
        """
        folder = weights.model_folder()
        weights.verify(folder)
        change = change or RerankDelta.load()
        session = open_session(cached_graph(folder, cache_dir, change, rounded=rounded))
        tokenizer = open_tokenizer(folder)
        tokenizer.no_padding()
        tokenizer.no_truncation()
        return cls(session, tokenizer)

    def judge(self, question: str, passages: Sequence[str]) -> NDArray[np.float32]:
        """A logit for each passage, float32: above 0 it more likely answers the question than not."""
        if not passages:
            return np.zeros(0, dtype=np.float32)
        pairs = pair_ids(self._tokenizer, question, passages)
        ids = np.zeros((len(pairs), max(map(len, pairs))), dtype=np.int64)
        mask = np.zeros_like(ids)
        for row, pair in enumerate(pairs):
            ids[row, : len(pair)] = pair
            mask[row, : len(pair)] = 1
        logits: NDArray[np.float32] = self._pairs.run(["logits"], {"ids": ids, "mask": mask})[0]
        return logits
