"""The pinned encoder in torch with low-rank factors to train, and the files in which these are kept."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from peft import LoraConfig, get_peft_model
from safetensors.torch import save_file
from tokenizers import Tokenizer
from transformers import AutoModel

from app.encoder.encoder import open_tokenizer
from app.encoder.weights import WEIGHTS_SHA256, model_folder, verify

Ids = NDArray[np.int64]
TARGETS = ("query", "key", "value", "dense")
STRENGTH = 2.0
"""By which the product of the factors is multiplied, unless a card says otherwise."""


def pinned(
    rank: int,
    *,
    strength: float = STRENGTH,
    dropout: float = 0.0,
    keep: int | None = None,
    tuned: Sequence[int] | None = None,
) -> tuple[Any, Tokenizer]:
    """The network with factors of ``rank`` on its linear maps, and its tokenizer, which pads nothing.

    Of its blocks the first ``keep`` are there, and those of ``tuned`` get factors; all unless given. Raises
    ConfigurationError where the weights are missing or others.
    """
    folder = model_folder()
    verify(folder)
    tokenizer = open_tokenizer(folder)
    tokenizer.no_padding()
    # No dropout in attention: with it torch has no fast kernel on a CPU.
    model = AutoModel.from_pretrained(folder, attention_probs_dropout_prob=0.0, hidden_dropout_prob=0.0)
    model.encoder.layer, model.pooler = model.encoder.layer[:keep], None
    lora = LoraConfig(
        r=rank,
        lora_alpha=int(strength * rank),
        lora_dropout=dropout,
        target_modules=list(TARGETS),
        layers_to_transform=None if tuned is None else list(tuned),
    )
    return get_peft_model(model, lora), tokenizer


def encode(tokenizer: Tokenizer, text: str) -> tuple[Ids, list[tuple[int, int]]]:
    """Ids of the text's pieces and their offsets, the model's two marks included, as the service has them."""
    encoding = tokenizer.encode(text)
    return np.array(encoding.ids), list(encoding.offsets)


def padded(texts: Sequence[Ids]) -> tuple[torch.Tensor, torch.Tensor]:
    """Ids and mask (texts, pieces of the longest)."""
    size = max(map(len, texts))
    ids = torch.zeros(len(texts), size, dtype=torch.long)
    mask = torch.zeros_like(ids)
    for row, text in enumerate(texts):
        ids[row, : len(text)] = torch.from_numpy(text)
        mask[row, : len(text)] = 1
    return ids, mask


def factors(model: torch.nn.Module) -> dict[str, torch.Tensor]:
    """The factors as float16, each named after the weight that it changes."""
    found: dict[str, torch.Tensor] = {}
    for name, value in model.state_dict().items():
        weight, changed, factor = name.removeprefix("base_model.model.").partition(".lora_")
        if changed:
            found[f"{weight}.weight.{factor[0]}"] = value.detach().half().contiguous()
    return found


def write_change(
    model: torch.nn.Module,
    file: Path,
    card: Path,
    figures: Mapping[str, object],
    more: Mapping[str, torch.Tensor] | None = None,
) -> Path:
    """Write the factors, ``more`` tensors and the card, which names the pinned weights and the file's hash; returns
    ``file``.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    save_file({**factors(model), **(more or {})}, str(file))
    file.chmod(0o644)
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    told = {"base": WEIGHTS_SHA256, "file_sha256": digest, "strength": STRENGTH, **figures}
    card.write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")
    return file
