"""A model, a tokenizer, dialogues and data small enough for unit tests."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import torch
from transformers import LlamaConfig, LlamaForCausalLM

from training.demo_model.sources import FILES
from training.demo_model.tokenizer import save_tokenizer, train_tokenizer
from training.finetune.data import Dialogue

TEXT = "Call the pharmacy at 515-555-0120. The garage is free for 30 minutes. Visiting hours are 8 a.m. to 8 p.m."


def make_base(folder: Path) -> Path:
    """Write a two-layer Llama with its tokenizer and chat template."""
    torch.manual_seed(0)
    tokenizer = train_tokenizer([TEXT, "Question: how much\n[1] [2]"] * 3, vocabulary=320)
    config = LlamaConfig(
        vocab_size=tokenizer.get_vocab_size(),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        max_position_embeddings=1024,
        tie_word_embeddings=True,
        bos_token_id=1,
        eos_token_id=2,
        pad_token_id=0,
    )
    model: Any = LlamaForCausalLM(config)  # type: ignore[no-untyped-call]
    model.save_pretrained(str(folder))
    save_tokenizer(tokenizer, folder)
    return folder


def make_dialogue(number: int = 1, article: str = "parking", **fields: str) -> Dialogue:
    """A dialogue over one passage of two sentences."""
    values = {
        "id": f"d-{number}",
        "article_id": article,
        "passages": [f"The garage is free for {number} minutes. Call 515-555-0120."],
        "question": "is parking free",
        "answer": f"The garage is free for {number} minutes. [1]",
    }
    return Dialogue.model_validate({**values, **fields})


def make_data(folder: Path) -> Path:
    """Write made-up files of every kind that the demo model's recipe reads."""
    folder.mkdir(parents=True, exist_ok=True)
    long_text = " ".join(f"Sentence number {n} tells about subject {n} in plain words." for n in range(12))
    rows: dict[str, dict[str, Any]] = {
        "answers": {"question": "What about subject 3?", "answer": long_text},
        "pages": {"text": long_text},
        "extracts": {"question": "Which number?", "context": long_text, "answer": "number 4 tells"},
        "dialogues": {"turns": [{"role": "user", "content": f"This is turn number {n} of it."} for n in range(4)]},
    }
    for name, (kind, _) in FILES.items():
        with gzip.open(folder / f"{name}.jsonl.gz", "wt", encoding="utf-8") as out:
            for number in range(3):
                out.write(json.dumps({"source": name, "id": str(number), **rows[kind]}) + "\n")
    return folder
