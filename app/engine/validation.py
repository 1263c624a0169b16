"""Whether a folder is a LoRA adapter that vLLM can load over the base model: decided from its files, without torch.

The rules are those of vLLM 0.32 (SUPPORTED_RANKS, its PEFT reader, its list of target modules). They are checked
before anything reaches the engine, so that a wrong file is refused with a sentence instead of an engine's traceback.
"""

from __future__ import annotations

import json
import math
import re
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from app.contracts.adapters import WEIGHT_FILES
from app.errors import AdapterInvalid

SUPPORTED_RANKS = (1, 8, 16, 32, 64, 128, 256, 320, 512)
ACCEPTED_INITS = ("gaussian", "eva", "orthogonal", "mica", "lora_ga")
"""Initialisations that leave the base weights as they are; ``true`` and ``false`` are accepted too."""

_MAX_HEADER_BYTES = 10_000_000
_MAX_CONFIG_BYTES = 1_000_000
_REFUSED_FEATURES = {
    "use_dora": "DoRA",
    "lora_bias": "a bias on the LoRA layers (lora_bias)",
    "modules_to_save": "whole saved modules (modules_to_save)",
    "alora_invocation_tokens": "activated LoRA",
    "layer_replication": "layer replication",
    "use_bdlora": "block-diagonal LoRA",
    "use_qalora": "QALoRA",
    "kasa_config": "KaSA",
    "monteclora_config": "MonteCLoRA",
    "arrow_config": "Arrow routing",
    "fan_in_fan_out": "transposed weights (fan_in_fan_out)",
    "rank_pattern": "a rank of its own for some layers (rank_pattern)",
    "alpha_pattern": "an alpha of its own for some layers (alpha_pattern)",
    "target_parameters": "adapted parameters outside linear layers (target_parameters)",
    "trainable_token_indices": "trained tokens (trainable_token_indices)",
}
_TENSOR = re.compile(
    r"base_model\.model\.model\.layers\.(?P<layer>\d+)\.(?:self_attn|mlp)\.(?P<module>\w+)\.lora_(?P<side>[AB])\.weight"
)
# Bytes of one number, the numpy view of it, and the bits that are all set in an infinity or a NaN.
_DTYPES: dict[str, tuple[int, str, int]] = {
    "F32": (4, "<u4", 0x7F80_0000),
    "F16": (2, "<u2", 0x7C00),
    "BF16": (2, "<u2", 0x7F80),
}


@dataclass(frozen=True, slots=True)
class AdapterFacts:
    """What a valid adapter is: ``scaling`` is what vLLM multiplies the update with, ``parameters`` a count."""

    rank: int
    alpha: float
    use_rslora: bool
    scaling: float
    target_modules: tuple[str, ...]
    layers: int
    parameters: int
    weight_bytes: int


@dataclass(frozen=True, slots=True)
class _Tensor:
    dtype: str
    shape: tuple[int, ...]
    begin: int
    end: int


def validate_adapter(folder: Path, base_config: Mapping[str, Any], max_rank: int = 64) -> AdapterFacts:
    """Check ``folder`` against the base model's ``config.json`` (as a mapping) and the engine's largest rank.

    Raises AdapterInvalid with one sentence that names the broken rule.
    """
    for name in WEIGHT_FILES:
        path = folder / name
        if path.is_symlink() or not path.is_file():
            raise AdapterInvalid(f"The adapter's folder must hold {name} as a plain file.")
    config = _read_config(folder / WEIGHT_FILES[0])
    rank, alpha = _check_config(config, max_rank)
    shapes = _module_shapes(base_config)
    modules = _target_modules(config, shapes)
    weights = folder / WEIGHT_FILES[1]
    tensors, data_at = _read_header(weights)
    layers = _check_tensors(tensors, modules, shapes, rank, _layer_count(base_config))
    _check_finite(weights, tensors, data_at)
    use_rslora = bool(config.get("use_rslora"))
    return AdapterFacts(
        rank=rank,
        alpha=alpha,
        use_rslora=use_rslora,
        scaling=alpha / math.sqrt(rank) if use_rslora else alpha / rank,
        target_modules=modules,
        layers=layers,
        parameters=sum(math.prod(tensor.shape) for tensor in tensors.values()),
        weight_bytes=weights.stat().st_size,
    )


def _read_config(path: Path) -> dict[str, Any]:
    if path.stat().st_size > _MAX_CONFIG_BYTES:
        raise AdapterInvalid("adapter_config.json is larger than 1 MB.")
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise AdapterInvalid("adapter_config.json is not valid UTF-8 JSON.") from error
    if not isinstance(config, dict):
        raise AdapterInvalid("adapter_config.json must hold an object.")
    return config


def _check_config(config: Mapping[str, Any], max_rank: int) -> tuple[int, float]:
    if config.get("peft_type") != "LORA":
        raise AdapterInvalid(f"peft_type must be LORA, not {config.get('peft_type')!r}.")
    for field, words in _REFUSED_FEATURES.items():
        if config.get(field):
            raise AdapterInvalid(f"The adapter uses {words}, which the engine does not support here.")
    if config.get("bias", "none") != "none":
        raise AdapterInvalid("bias must be 'none'.")
    init = config.get("init_lora_weights", True)
    if not isinstance(init, bool) and not (isinstance(init, str) and init.lower() in ACCEPTED_INITS):
        raise AdapterInvalid(f"init_lora_weights {init!r} changes the base weights; convert it to a plain LoRA first.")
    rank, alpha = config.get("r"), config.get("lora_alpha")
    if isinstance(rank, bool) or not isinstance(rank, int) or rank not in SUPPORTED_RANKS:
        raise AdapterInvalid(f"The rank r must be one of {', '.join(map(str, SUPPORTED_RANKS))}, not {rank!r}.")
    if rank > max_rank:
        raise AdapterInvalid(f"The rank {rank} is over the engine's largest, {max_rank}.")
    if isinstance(alpha, bool) or not isinstance(alpha, int | float) or not math.isfinite(alpha) or alpha <= 0:
        raise AdapterInvalid(f"lora_alpha must be a number over 0, not {alpha!r}.")
    return rank, float(alpha)


def _text_config(base: Mapping[str, Any]) -> Mapping[str, Any]:
    inner = base.get("text_config")
    return inner if isinstance(inner, Mapping) else base


def _layer_count(base: Mapping[str, Any]) -> int:
    return int(_text_config(base)["num_hidden_layers"])


def _module_shapes(base: Mapping[str, Any]) -> dict[str, tuple[int, int]]:
    """Inputs and outputs of each linear layer of a Llama-like model (Llama, Mistral, Qwen, Gemma)."""
    text = _text_config(base)
    try:
        hidden, inner = int(text["hidden_size"]), int(text["intermediate_size"])
        heads = int(text["num_attention_heads"])
        shared = int(text.get("num_key_value_heads") or heads)
        width = int(text.get("head_dim") or hidden // heads)
    except (KeyError, TypeError, ValueError) as error:
        raise AdapterInvalid("The base model's config.json does not describe a Llama-like model.") from error
    return {
        "q_proj": (hidden, heads * width),
        "k_proj": (hidden, shared * width),
        "v_proj": (hidden, shared * width),
        "o_proj": (heads * width, hidden),
        "gate_proj": (hidden, inner),
        "up_proj": (hidden, inner),
        "down_proj": (inner, hidden),
    }


def _target_modules(config: Mapping[str, Any], shapes: Mapping[str, tuple[int, int]]) -> tuple[str, ...]:
    modules = config.get("target_modules")
    if not isinstance(modules, list) or not modules or not all(isinstance(name, str) for name in modules):
        raise AdapterInvalid("target_modules must be a list of layer names.")
    unknown = sorted(set(modules) - set(shapes))
    if unknown:
        raise AdapterInvalid(f"The base model has no target module {', '.join(unknown)}.")
    return tuple(sorted(set(modules)))


def _read_header(path: Path) -> tuple[dict[str, _Tensor], int]:
    """Tensors of a safetensors file and the offset of their data. The file must hold exactly what it announces."""
    size = path.stat().st_size
    with path.open("rb") as file:
        first = file.read(8)
        length = struct.unpack("<Q", first)[0] if len(first) == 8 else 0
        if not 2 <= length <= min(_MAX_HEADER_BYTES, size - 8):
            raise AdapterInvalid("adapter_model.safetensors has no readable header; it is truncated or another format.")
        raw = file.read(length)
    try:
        header = json.loads(raw)
        tensors = {name: _tensor(entry) for name, entry in header.items() if name != "__metadata__"}
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise AdapterInvalid("The header of adapter_model.safetensors is damaged.") from error
    if not tensors:
        raise AdapterInvalid("adapter_model.safetensors holds no tensors.")
    position = 0
    for name, tensor in sorted(tensors.items(), key=lambda item: item[1].begin):
        if tensor.dtype not in _DTYPES:
            raise AdapterInvalid(f"The tensor {name} has the type {tensor.dtype}; F32, F16 or BF16 is needed.")
        if tensor.begin != position or tensor.end - tensor.begin != math.prod(tensor.shape) * _DTYPES[tensor.dtype][0]:
            raise AdapterInvalid(f"The size of the tensor {name} does not fit its shape.")
        position = tensor.end
    if 8 + length + position != size:
        raise AdapterInvalid("adapter_model.safetensors is truncated or holds bytes that it does not announce.")
    return tensors, 8 + length


def _tensor(entry: Mapping[str, Any]) -> _Tensor:
    shape = tuple(entry["shape"])
    begin, end = entry["data_offsets"]
    if not all(type(number) is int and number >= 0 for number in (*shape, begin, end)):
        raise ValueError("shapes and offsets are whole numbers")
    return _Tensor(str(entry["dtype"]), shape, begin, end)


def _check_tensors(
    tensors: Mapping[str, _Tensor],
    modules: tuple[str, ...],
    shapes: Mapping[str, tuple[int, int]],
    rank: int,
    layer_count: int,
) -> int:
    """Check names and shapes; return the number of adapted layers."""
    sides: dict[tuple[int, str], set[str]] = {}
    for name, tensor in tensors.items():
        match = _TENSOR.fullmatch(name)
        if match is None or match["module"] not in modules or int(match["layer"]) >= layer_count:
            raise AdapterInvalid(f"The tensor {name[:120]} does not belong to a target module of the base model.")
        inputs, outputs = shapes[match["module"]]
        wanted = (rank, inputs) if match["side"] == "A" else (outputs, rank)
        if tensor.shape != wanted:
            raise AdapterInvalid(f"The tensor {name} has the shape {tensor.shape}, but {wanted} is needed.")
        sides.setdefault((int(match["layer"]), match["module"]), set()).add(match["side"])
    for (layer, module), found in sides.items():
        if found != {"A", "B"}:
            raise AdapterInvalid(f"Layer {layer}, {module}: one of lora_A and lora_B is missing.")
    absent = sorted(set(modules) - {module for _, module in sides})
    if absent:
        raise AdapterInvalid(f"There are no weights for the target module {', '.join(absent)}.")
    return len({layer for layer, _ in sides})


def _check_finite(path: Path, tensors: Mapping[str, _Tensor], data_at: int) -> None:
    data = np.memmap(path, dtype=np.uint8, mode="r", offset=data_at)
    for name, tensor in tensors.items():
        _, view, bits = _DTYPES[tensor.dtype]
        # A copy: a view of a wider type needs aligned data, which a safetensors file does not promise.
        numbers = np.frombuffer(data[tensor.begin : tensor.end].tobytes(), dtype=view)
        if bool(((numbers & bits) == bits).any()):
            raise AdapterInvalid(f"The tensor {name} holds an infinity or a NaN.")
