"""Dialogues: one question over given passages with the answer that is wanted, and their way into tokens.

The prompt is written by :func:`app.contracts.prompt.render` and turned into tokens by the base model's own chat
template, exactly as in serving. Loss falls on the assistant's tokens only, up to and including the end mark.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from app.contracts.passages import Passage
from app.contracts.prompt import PromptMessage, render
from app.errors import ConfigurationError
from training.files import file_hash, write_text

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

DATASET_MANIFEST = "manifest.json"
"""Lies beside the dialogue files of a curated dataset version (training.curate.dataset)."""
IGNORED = -100
"""The label of a token without loss."""


class Dialogue(BaseModel):
    """A line of a dialogue file. ``article_id`` is the group that must not lie on both sides of a split."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: str
    article_id: str
    passages: list[str] = Field(min_length=1)
    question: str = Field(min_length=1)
    answer: str = Field(min_length=1)
    kind: Literal["answer", "none"] = "answer"
    origin: Literal["heading", "written", "exercise", "curated", "canary"] = "written"


@dataclass(frozen=True, slots=True)
class Example:
    """Token ids of a whole dialogue and, for each, the label (the id itself, or :data:`IGNORED`)."""

    input_ids: list[int]
    labels: list[int]


def load_dialogues(path: Path) -> list[Dialogue]:
    """Read a JSONL file. Raises ConfigurationError that names file and line."""
    dialogues = []
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{path} cannot be read: {error}") from None
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            dialogues.append(Dialogue.model_validate_json(line))
        except ValidationError as error:
            fault = error.errors()[0]
            raise ConfigurationError(f"{path}:{number}: {'.'.join(map(str, fault['loc']))} {fault['msg']}") from None
    if not dialogues:
        raise ConfigurationError(f"{path} holds no dialogue")
    return dialogues


def save_dialogues(dialogues: Iterable[Dialogue], path: Path) -> None:
    """Write a JSONL file, one dialogue a line, keys in the model's order. Raises ConfigurationError."""
    write_text(path, "".join(json.dumps(item.model_dump(), ensure_ascii=False) + "\n" for item in dialogues))


def files_hash(paths: Sequence[Path]) -> str:
    """SHA-256 (hex) over the bytes of the files, in order: which data an adapter was made or measured with."""
    digest = hashlib.sha256()
    for path in paths:
        data = path.read_bytes()
        digest.update(f"{len(data)}\n".encode())
        digest.update(data)
    return digest.hexdigest()


def dataset_versions(paths: Iterable[Path]) -> list[str]:
    """The versions of the curated datasets that the files belong to: none for files that lie beside no manifest of one.

    Raises ConfigurationError when a file is not the one that its manifest names: then nobody could tell afterwards
    whose words an adapter has seen.
    """
    found = set()
    for path in paths:
        try:
            fields = json.loads((path.parent / DATASET_MANIFEST).read_bytes())
            version, wanted = fields["version"], fields["files"].get(path.name)
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            continue
        if wanted != file_hash(path):
            raise ConfigurationError(
                f"{path} was changed after its dataset version was written; take it from there again"
            )
        found.add(str(version))
    return sorted(found)


def prompt_messages(dialogue: Dialogue, site: str) -> list[PromptMessage]:
    """The messages that serving would send for this dialogue."""
    passages = [
        Passage(
            passage_id=f"{dialogue.article_id}#{number}",
            article_id=dialogue.article_id,
            article_version=1,
            title="",
            heading="",
            text=text,
            reviewed=date.min,
            review_by=date.max,
        )
        for number, text in enumerate(dialogue.passages)
    ]
    return render(dialogue.question, passages, site=site)


def prompt_text(tokenizer: PreTrainedTokenizerBase, dialogue: Dialogue, site: str) -> str:
    """The prompt as text, up to where the assistant begins to write."""
    messages = [{"role": item.role, "content": item.content} for item in prompt_messages(dialogue, site)]
    return str(tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True))


def encode(tokenizer: PreTrainedTokenizerBase, dialogue: Dialogue, site: str) -> Example:
    """Tokens and labels of a dialogue. Raises ConfigurationError when the chat template is no prefix of itself."""
    messages = [{"role": item.role, "content": item.content} for item in prompt_messages(dialogue, site)]
    prompt = prompt_text(tokenizer, dialogue, site)
    answered = [*messages, {"role": "assistant", "content": dialogue.answer}]
    whole = str(tokenizer.apply_chat_template(answered, tokenize=False))
    head = tokenizer(prompt, add_special_tokens=False)["input_ids"]
    ids = tokenizer(whole, add_special_tokens=False)["input_ids"]
    if ids[: len(head)] != head:
        raise ConfigurationError(
            "The base model's chat template writes the prompt differently once an answer follows; "
            "the loss mask cannot be placed. Use a template whose generation prompt is a prefix of the answered form."
        )
    end = len(ids)
    if tokenizer.eos_token_id in ids[len(head) :]:
        end = len(ids) - ids[::-1].index(tokenizer.eos_token_id)
    ids = list(ids[:end])
    return Example(ids, [IGNORED] * len(head) + ids[len(head) :])


def encode_all(
    tokenizer: PreTrainedTokenizerBase, dialogues: Sequence[Dialogue], site: str, *, max_length: int
) -> tuple[list[Example], int]:
    """Encode a list; returns the examples that fit and how many were too long.

    Raises ConfigurationError when more than 5 % do not fit: then ``max_length`` is wrong, not the data.
    """
    examples = [encode(tokenizer, dialogue, site) for dialogue in dialogues]
    fitting = [example for example in examples if len(example.input_ids) <= max_length]
    left_out = len(examples) - len(fitting)
    if left_out > 0.05 * len(examples):
        raise ConfigurationError(
            f"{left_out} of {len(examples)} dialogues are longer than max_length {max_length}; raise max_length"
        )
    return fitting, left_out
