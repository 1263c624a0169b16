"""The encoder as a reader of words, in torch: its first blocks, with LoRA on all their linear maps.

It learns together with the network over its states (:mod:`training.encoder.names`). What is written are the factors of
the change and a card; :class:`app.encoder.delta.WordDelta` reads them, and the service runs the same blocks in 8-bit
integers.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch

from app.encoder.delta import WORDS_CARD, WORDS_FILE
from app.encoder.graph import WIDTH, middle
from training.encoder.lora import Ids, encode, padded, pinned, write_change


class WordReader(torch.nn.Module):
    """States of pieces from the first ``layers`` blocks of the pinned weights, with LoRA of ``rank``."""

    width = 2 * WIDTH

    def __init__(self, layers: int, rank: int) -> None:
        """Raises ConfigurationError where the weights are missing or others."""
        super().__init__()
        self.layers = layers
        self.model, self.tokenizer = pinned(rank, keep=layers)

    def encode(self, text: str) -> tuple[Ids, list[tuple[int, int]]]:
        """Ids of the text's pieces and their offsets, the model's two marks included, as the service has them."""
        return encode(self.tokenizer, text)

    def forward(self, texts: Sequence[Ids]) -> list[torch.Tensor]:
        """Hidden states of each text (pieces, 768): middle, then last."""
        ids, mask = padded(texts)
        found = self.model(input_ids=ids, attention_mask=mask, output_hidden_states=True).hidden_states
        both = torch.cat([found[middle(self.layers)], found[self.layers]], dim=-1)
        return [both[row, : len(text)] for row, text in enumerate(texts)]

    def write(self, out: Path, figures: dict[str, object]) -> Path:
        """Write the factors, each named after the weight that it changes, and the card; returns the factors' path."""
        card = {"layers": self.layers, **figures}
        return write_change(self.model, out / WORDS_FILE, out / WORDS_CARD, card)
