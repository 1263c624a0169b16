"""Writes small random LoRA adapters that a real engine can load, and broken ones. Needs no torch."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import save_file

from app.contracts.adapters import content_hash

DEMO_MODEL = Path(__file__).parents[1] / "demo" / "model"


def demo_config() -> dict[str, Any]:
    """config.json of the demo base model."""
    loaded: dict[str, Any] = json.loads((DEMO_MODEL / "config.json").read_text(encoding="utf-8"))
    return loaded


def adapter_config(**changes: Any) -> dict[str, Any]:
    """A valid adapter_config.json (rsLoRA, rank 8) with ``changes``."""
    config: dict[str, Any] = {
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM",
        "base_model_name_or_path": "demo/model",
        "r": 8,
        "lora_alpha": 16,
        "lora_dropout": 0.0,
        "use_rslora": True,
        "use_dora": False,
        "bias": "none",
        "init_lora_weights": True,
        "modules_to_save": None,
        "target_modules": ["q_proj", "v_proj", "down_proj"],
        "inference_mode": True,
    }
    return config | changes


def adapter_tensors(
    *, rank: int = 8, modules: Sequence[str] = ("q_proj", "v_proj", "down_proj"), seed: int = 0, scale: float = 0.05
) -> dict[str, NDArray[np.float32]]:
    """Random weights for every layer of the demo base model, under PEFT's names."""
    base = demo_config()
    hidden, inner, width = base["hidden_size"], base["intermediate_size"], base["head_dim"]
    shapes = {
        "q_proj": ("self_attn", hidden, base["num_attention_heads"] * width),
        "k_proj": ("self_attn", hidden, base["num_key_value_heads"] * width),
        "v_proj": ("self_attn", hidden, base["num_key_value_heads"] * width),
        "o_proj": ("self_attn", base["num_attention_heads"] * width, hidden),
        "gate_proj": ("mlp", hidden, inner),
        "up_proj": ("mlp", hidden, inner),
        "down_proj": ("mlp", inner, hidden),
    }
    numbers = np.random.default_rng(seed)
    tensors: dict[str, NDArray[np.float32]] = {}
    for layer in range(base["num_hidden_layers"]):
        for module in modules:
            block, inputs, outputs = shapes[module]
            name = f"base_model.model.model.layers.{layer}.{block}.{module}"
            tensors[f"{name}.lora_A.weight"] = numbers.normal(0, scale, (rank, inputs)).astype(np.float32)
            tensors[f"{name}.lora_B.weight"] = numbers.normal(0, scale, (outputs, rank)).astype(np.float32)
    return tensors


def write_adapter(
    folder: Path, *, config: Mapping[str, Any] | None = None, tensors: Mapping[str, NDArray[Any]] | None = None
) -> Path:
    """Write an adapter into ``folder`` (made where missing) and return it."""
    folder.mkdir(parents=True, exist_ok=True)
    chosen = dict(config) if config is not None else adapter_config()
    (folder / "adapter_config.json").write_text(json.dumps(chosen), encoding="utf-8")
    save_file(dict(tensors) if tensors is not None else adapter_tensors(), folder / "adapter_model.safetensors")
    return folder


def served_name(folder: Path, name: str = "tiny") -> str:
    """``<name>@<12 hex digits>`` of the folder's content."""
    return f"{name}@{content_hash(folder)[:12]}"
