"""Write the difference between two models of one shape as a LoRA adapter (truncated singular value decomposition).

    bedside-train difference demo/model build/longer-trained --out build/difference --rank 64

Long training of all weights is then carried over into an adapter on the earlier base, and fine-tuning on dialogues
begins there (``start_from`` in its config) instead of at zero. Only the linear layers are carried: embeddings and
norms stay the base model's.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from peft import get_peft_model
from transformers import AutoModelForCausalLM

from app.errors import ConfigurationError
from training.finetune.config import LoraSettings
from training.finetune.trainer import lora_config


def write_difference(base: str, trained: str, out: Path, settings: LoraSettings) -> float:
    """Write the adapter folder ``out``; returns the share (0 to 1) of the difference's energy that it carries.

    Raises ConfigurationError when the two models have different shapes.
    """
    earlier = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
    later = dict(AutoModelForCausalLM.from_pretrained(trained, dtype=torch.float32).named_parameters())
    adapter: Any = get_peft_model(earlier, lora_config(settings))
    shares = []
    for name, module in adapter.base_model.model.named_modules():
        if not hasattr(module, "lora_A"):
            continue
        weight = module.base_layer.weight.detach()
        target = later.get(f"{name}.weight")
        if target is None or target.shape != weight.shape:
            raise ConfigurationError(f"{trained} has no layer {name} of the shape that {base} has")
        share = _set_low_rank(module, target.detach() - weight, settings.rank)
        shares.append(share)
    adapter.save_pretrained(str(out))
    return sum(shares) / len(shares)


def _set_low_rank(module: Any, difference: torch.Tensor, rank: int) -> float:
    left, values, right = torch.linalg.svd(difference, full_matrices=False)
    kept = min(rank, len(values))
    root = (values[:kept] / module.scaling["default"]).sqrt()
    with torch.no_grad():
        down = module.lora_A["default"].weight.zero_()
        up = module.lora_B["default"].weight.zero_()
        down[:kept] = root[:, None] * right[:kept]
        up[:, :kept] = left[:, :kept] * root
    total = float((values**2).sum())
    return float((values[:kept] ** 2).sum()) / total if total else 1.0
