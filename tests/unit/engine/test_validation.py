"""Adapters as trained are accepted; each way of tampering is refused with its own sentence."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from app.engine.validation import SUPPORTED_RANKS, validate_adapter
from app.errors import AdapterInvalid
from tests.adapter_files import adapter_config, adapter_tensors, demo_config, write_adapter

FIRST = "base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight"
ALL = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")


def refused(folder: Path, words: str, max_rank: int = 64) -> None:
    with pytest.raises(AdapterInvalid, match=words):
        validate_adapter(folder, demo_config(), max_rank)


def test_states_the_facts_of_a_valid_adapter(tmp_path: Path) -> None:
    tensors = adapter_tensors(rank=16, modules=ALL)
    write_adapter(tmp_path, config=adapter_config(r=16, lora_alpha=32, target_modules=list(ALL)), tensors=tensors)
    facts = validate_adapter(tmp_path, demo_config(), 64)
    assert (facts.rank, facts.alpha, facts.use_rslora, facts.scaling) == (16, 32.0, True, 8.0)
    assert facts.target_modules == tuple(sorted(ALL))
    assert facts.layers == 8
    assert facts.parameters == sum(tensor.size for tensor in tensors.values())
    assert facts.weight_bytes == (tmp_path / "adapter_model.safetensors").stat().st_size


def test_plain_lora_scales_by_rank(tmp_path: Path) -> None:
    write_adapter(tmp_path, config=adapter_config(use_rslora=False))
    assert validate_adapter(tmp_path, demo_config(), 64).scaling == 2.0


@pytest.mark.parametrize("dtype", [np.float16, np.float32])
def test_accepts_the_usual_number_types(tmp_path: Path, dtype: Any) -> None:
    write_adapter(tmp_path, tensors={name: value.astype(dtype) for name, value in adapter_tensors().items()})
    validate_adapter(tmp_path, demo_config(), 64)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"peft_type": "LOHA"}, "peft_type"),
        ({"use_dora": True}, "DoRA"),
        ({"lora_bias": True}, "lora_bias"),
        ({"bias": "all"}, "bias must be"),
        ({"modules_to_save": ["lm_head"]}, "modules_to_save"),
        ({"rank_pattern": {"q_proj": 4}}, "rank_pattern"),
        ({"kasa_config": {"beta": 1.0}}, "KaSA"),
        ({"layer_replication": [[0, 4]]}, "layer replication"),
        ({"init_lora_weights": "pissa"}, "init_lora_weights 'pissa'"),
        ({"init_lora_weights": "pissa_niter_16"}, "changes the base weights"),
        ({"init_lora_weights": "olora"}, "changes the base weights"),
        ({"init_lora_weights": 3}, "init_lora_weights 3"),
        ({"r": 7}, "rank r must be one of"),
        ({"r": True}, "rank r must be one of"),
        ({"r": "8"}, "rank r must be one of"),
        ({"lora_alpha": 0}, "lora_alpha"),
        ({"lora_alpha": None}, "lora_alpha"),
        ({"target_modules": "all-linear"}, "must be a list"),
        ({"target_modules": []}, "must be a list"),
        ({"target_modules": ["q_proj", "router"]}, "no target module router"),
        ({"target_modules": ["q_proj", "v_proj", "down_proj", "k_proj"]}, "no weights for the target module k_proj"),
        ({"target_modules": ["q_proj"]}, "does not belong to a target module"),
    ],
)
def test_refuses_what_the_engine_cannot_load(tmp_path: Path, change: dict[str, Any], words: str) -> None:
    refused(write_adapter(tmp_path, config=adapter_config(**change)), words)


@pytest.mark.parametrize("init", [True, False, "gaussian", "EVA"])
def test_accepts_harmless_initialisations(tmp_path: Path, init: bool | str) -> None:
    write_adapter(tmp_path, config=adapter_config(init_lora_weights=init))
    validate_adapter(tmp_path, demo_config(), 64)


def test_refuses_a_rank_over_the_engines_largest(tmp_path: Path) -> None:
    write_adapter(tmp_path, config=adapter_config(r=32), tensors=adapter_tensors(rank=32))
    refused(tmp_path, "over the engine's largest, 16", 16)
    assert validate_adapter(tmp_path, demo_config(), 32).rank == 32
    assert 32 in SUPPORTED_RANKS


def test_refuses_a_rank_that_the_weights_do_not_have(tmp_path: Path) -> None:
    refused(write_adapter(tmp_path, tensors=adapter_tensors(rank=16)), r"has the shape \(16, ")


def test_refuses_weights_of_another_base(tmp_path: Path) -> None:
    write_adapter(tmp_path)
    with pytest.raises(AdapterInvalid, match="has the shape"):
        validate_adapter(tmp_path, demo_config() | {"hidden_size": 512}, 64)
    with pytest.raises(AdapterInvalid, match="does not belong"):
        validate_adapter(tmp_path, demo_config() | {"num_hidden_layers": 4}, 64)
    with pytest.raises(AdapterInvalid, match="Llama-like"):
        validate_adapter(tmp_path, {"n_embd": 384}, 64)


def test_refuses_half_a_pair_and_foreign_names(tmp_path: Path) -> None:
    tensors = adapter_tensors()
    kept = tensors.pop(FIRST)
    refused(write_adapter(tmp_path, tensors=tensors), "Layer 0, q_proj: one of lora_A and lora_B is missing")
    refused(write_adapter(tmp_path, tensors=tensors | {FIRST.replace("weight", "other"): kept}), "does not belong")


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("dtype", [np.float16, np.float32])
def test_refuses_numbers_that_are_not_finite(tmp_path: Path, value: float, dtype: Any) -> None:
    tensors = {name: array.astype(dtype) for name, array in adapter_tensors().items()}
    tensors[FIRST][3, 5] = value
    refused(write_adapter(tmp_path, tensors=tensors), "infinity or a NaN")


def test_refuses_other_number_types(tmp_path: Path) -> None:
    tensors: dict[str, Any] = dict(adapter_tensors())
    tensors[FIRST] = tensors[FIRST].astype(np.int8)
    refused(write_adapter(tmp_path, tensors=tensors), "has the type I8")


@pytest.mark.parametrize("size", [0, 4, 8, 200, -1])
def test_refuses_a_truncated_file(tmp_path: Path, size: int) -> None:
    weights = write_adapter(tmp_path) / "adapter_model.safetensors"
    data = weights.read_bytes()
    weights.write_bytes(data[:size])
    refused(tmp_path, "truncated")


def test_refuses_hidden_bytes_at_the_end(tmp_path: Path) -> None:
    weights = write_adapter(tmp_path) / "adapter_model.safetensors"
    weights.write_bytes(weights.read_bytes() + b"more")
    refused(tmp_path, "does not announce")


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        ({"dtype": "F32", "shape": [8, 384], "data_offsets": [0, 10**12]}, "does not fit its shape"),
        ({"dtype": "F32", "shape": [8, 384], "data_offsets": [4, 12292]}, "does not fit its shape"),
        ({"dtype": "F32", "shape": [-8, 384], "data_offsets": [0, 12288]}, "damaged"),
        ({"dtype": "F32", "shape": [8, 384]}, "damaged"),
        ("text", "damaged"),
    ],
)
def test_refuses_a_lying_header(tmp_path: Path, entry: object, words: str) -> None:
    write_adapter(tmp_path)
    header = json.dumps({FIRST: entry}).encode()
    (tmp_path / "adapter_model.safetensors").write_bytes(struct.pack("<Q", len(header)) + header + bytes(12_288))
    refused(tmp_path, words)


def test_refuses_a_header_that_claims_to_be_huge(tmp_path: Path) -> None:
    write_adapter(tmp_path)
    (tmp_path / "adapter_model.safetensors").write_bytes(struct.pack("<Q", 2**63) + b"{}")
    refused(tmp_path, "no readable header")


def test_refuses_missing_files_links_and_broken_configuration(tmp_path: Path) -> None:
    refused(tmp_path, "must hold adapter_config.json")
    write_adapter(tmp_path)
    weights = tmp_path / "adapter_model.safetensors"
    weights.rename(tmp_path / "elsewhere")
    weights.symlink_to(tmp_path / "elsewhere")
    refused(tmp_path, "plain file")
    weights.unlink()
    (tmp_path / "elsewhere").rename(weights)
    for text in ("[]", "{", "nonsense", "[" * 100_000):
        (tmp_path / "adapter_config.json").write_text(text, encoding="utf-8")
        refused(tmp_path, "adapter_config.json")
    (tmp_path / "adapter_config.json").write_bytes(b"\xff\xfe{}")
    refused(tmp_path, "UTF-8")
