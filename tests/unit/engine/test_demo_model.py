"""The demo base model's files: the chat template writes the format of its training, and all agree on its end mark."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path
from typing import Any

import jinja2
import pytest
from tokenizers import Tokenizer

from app.contracts.passages import Passage
from app.contracts.prompt import render

FOLDER = Path(__file__).parents[3] / "demo" / "model"


def load(name: str) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads((FOLDER / name).read_text(encoding="utf-8"))
    return loaded


def write(messages: list[dict[str, str]], *, prompt: bool) -> str:
    environment = jinja2.Environment(trim_blocks=True, lstrip_blocks=True)
    template = environment.from_string((FOLDER / "chat_template.jinja").read_text(encoding="utf-8"))
    return template.render(messages=messages, add_generation_prompt=prompt)


def test_our_prompt_becomes_the_format_of_training() -> None:
    passage = Passage("p#1", "p", 1, "Parking", "", "The garage is free.", date(2026, 1, 1), date(2027, 1, 1))
    messages = [
        {"role": message.role, "content": message.content}
        for message in render("Is parking free?", [passage], site="Cedar Valley Health")
    ]
    assert [message["role"] for message in messages] == ["system", "user"]
    assert write(messages, prompt=True) == (
        "<|im_start|>user\n[1] The garage is free.\n\nQuestion: Is parking free?<|im_end|>\n<|im_start|>assistant\n"
    )


def test_an_answer_begins_with_a_blank_so_that_its_first_token_is_the_passages() -> None:
    messages = [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]
    assert write(messages, prompt=False) == ("<|im_start|>user\na<|im_end|>\n<|im_start|>assistant\n b<|im_end|>\n")


def test_files_agree_on_special_tokens() -> None:
    tokenizer = Tokenizer.from_file(str(FOLDER / "tokenizer.json"))
    end, pad = tokenizer.token_to_id("<|im_end|>"), tokenizer.token_to_id("<pad>")
    assert (load("config.json")["eos_token_id"], load("config.json")["pad_token_id"]) == (end, pad)
    assert (load("generation_config.json")["eos_token_id"], load("generation_config.json")["pad_token_id"]) == (
        end,
        pad,
    )
    assert load("tokenizer_config.json")["eos_token"] == "<|im_end|>"
    assert load("tokenizer_config.json")["pad_token"] == "<pad>"
    assert load("config.json")["vocab_size"] == tokenizer.get_vocab_size()
    text = "Call 515-555-0100 — “now” ½ ñ 日."
    assert tokenizer.decode(tokenizer.encode(text).ids) == text


def test_is_small_and_says_what_it_is() -> None:
    assert sum(path.stat().st_size for path in FOLDER.iterdir()) <= 40_000_000
    card = (FOLDER / "README.md").read_text(encoding="utf-8")
    for words in ("demonstration only", "Not for patients", "trained", "CC BY-SA 4.0", "MedQuAD"):
        assert words.lower() in card.lower()


@pytest.mark.parametrize("name", ["config.json", "tokenizer_config.json", "generation_config.json"])
def test_no_path_of_a_build_machine_is_left_in(name: str) -> None:
    assert "/" not in json.dumps({key: value for key, value in load(name).items() if key != "model_type"})
