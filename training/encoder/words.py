"""The encoder as a reader of words, in torch: its first blocks, with LoRA on all their linear maps.

It learns together with the network over its states (:mod:`training.encoder.names`). What is written are the factors of
the change and a card; :class:`app.encoder.delta.WordDelta` reads them, and the service runs the same blocks in 8-bit
integers.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from peft import LoraConfig, get_peft_model
from safetensors.torch import save_file
from tokenizers import Tokenizer
from transformers import AutoModel

from app.encoder.delta import WORDS_CARD, WORDS_FILE
from app.encoder.encoder import open_tokenizer
from app.encoder.graph import WIDTH, middle
from app.encoder.weights import WEIGHTS_SHA256, model_folder, verify

Ids = NDArray[np.int64]
TARGETS = ("query", "key", "value", "dense")
STRENGTH = 2.0
"""By which the product of the factors is multiplied."""


class WordReader(torch.nn.Module):
    """States of pieces from the first ``layers`` blocks of the pinned weights, with LoRA of ``rank``."""

    width = 2 * WIDTH

    def __init__(self, layers: int, rank: int) -> None:
        """Raises ConfigurationError where the weights are missing or others."""
        super().__init__()
        folder = model_folder()
        verify(folder)
        self.layers = layers
        self.tokenizer: Tokenizer = open_tokenizer(folder)
        self.tokenizer.no_padding()
        # No dropout in attention: with it torch has no fast kernel on a CPU.
        model = AutoModel.from_pretrained(folder, attention_probs_dropout_prob=0.0, hidden_dropout_prob=0.0)
        model.encoder.layer, model.pooler = model.encoder.layer[:layers], None
        lora = LoraConfig(r=rank, lora_alpha=int(STRENGTH * rank), target_modules=list(TARGETS))
        self.model: Any = get_peft_model(model, lora)

    def encode(self, text: str) -> tuple[Ids, list[tuple[int, int]]]:
        """Ids of the text's pieces and their offsets, the model's two marks included, as the service has them."""
        encoding = self.tokenizer.encode(text)
        return np.array(encoding.ids), list(encoding.offsets)

    def forward(self, texts: Sequence[Ids]) -> list[torch.Tensor]:
        """Hidden states of each text (pieces, 768): middle, then last."""
        size = max(map(len, texts))
        ids = torch.zeros(len(texts), size, dtype=torch.long)
        mask = torch.zeros_like(ids)
        for row, text in enumerate(texts):
            ids[row, : len(text)] = torch.from_numpy(text)
            mask[row, : len(text)] = 1
        found = self.model(input_ids=ids, attention_mask=mask, output_hidden_states=True).hidden_states
        both = torch.cat([found[middle(self.layers)], found[self.layers]], dim=-1)
        return [both[row, : len(text)] for row, text in enumerate(texts)]

    def write(self, out: Path, figures: dict[str, object]) -> Path:
        """Write the factors, each named after the weight that it changes, and the card; returns the factors' path."""
        tensors: dict[str, torch.Tensor] = {}
        for name, value in self.model.state_dict().items():
            weight, found, factor = name.removeprefix("base_model.model.").partition(".lora_")
            if found:
                tensors[f"{weight}.weight.{factor[0]}"] = value.detach().half().contiguous()
        out.mkdir(parents=True, exist_ok=True)
        path = out / WORDS_FILE
        save_file(tensors, str(path))
        path.chmod(0o644)
        file = hashlib.sha256(path.read_bytes()).hexdigest()
        card = {"base": WEIGHTS_SHA256, "file_sha256": file, "layers": self.layers, "strength": STRENGTH, **figures}
        (out / WORDS_CARD).write_text(json.dumps(card, indent=1) + "\n", encoding="utf-8")
        return path
