"""The evaluation set shares no question, and no run of thirteen words, with what anything here learns from."""

from __future__ import annotations

from pathlib import Path

import pytest

from training.curate.words import words
from training.evaluation.commands import ITEMS
from training.evaluation.items import Item, load_items
from training.finetune.data import load_dialogues
from training.finetune.dialogues import build

RUN = 13
TRAINED = (
    "training/encoder/messages",
    "training/encoder/names",
    "training/encoder/wishes",
    "training/hospitals",
    "training/demo_model/pages",
)
"""Folders of texts that heads, search, reranker and the demo model learn from."""


@pytest.fixture(scope="module")
def items() -> tuple[Item, ...]:
    return load_items(ITEMS, Path("demo/articles")).items


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> list[list[str]]:
    """Every line that something is trained on, in words; of dialogues the questions."""
    built = tmp_path_factory.mktemp("dialogues")
    build(Path("demo/articles"), Path("demo/dialogues/questions.yaml"), built)
    questions = [dialogue.question for dialogue in load_dialogues(built / "train.jsonl")]
    lines = [
        line
        for folder in TRAINED
        for path in sorted(Path(folder).rglob("*"))
        if path.suffix in (".txt", ".yaml", ".jsonl")
        for line in path.read_text(encoding="utf-8").splitlines()
    ]
    assert len(questions) > 4_500
    assert len(lines) > 10_000
    return [words(text) for text in (*questions, *lines)]


def runs(text: list[str]) -> set[tuple[str, ...]]:
    return {tuple(text[at : at + RUN]) for at in range(len(text) - RUN + 1)}


def test_no_question_is_one_that_is_trained_on(items: tuple[Item, ...], trained: list[list[str]]) -> None:
    known = {tuple(text) for text in trained if len(text) > 2}
    assert [item.id for item in items if tuple(words(item.turns[-1])) in known] == []


def test_no_run_of_words_is_one_that_is_trained_on(items: tuple[Item, ...], trained: list[list[str]]) -> None:
    known = {run for text in trained for run in runs(text)}
    assert len(known) > 10_000
    assert [item.id for item in items for turn in item.turns if runs(words(turn)) & known] == []


def test_the_set_is_large_enough_for_the_policys_rules(items: tuple[Item, ...]) -> None:
    kinds = [item.kind for item in items]
    assert kinds.count("emergency") >= 299
    assert kinds.count("answer") >= 700
    assert len({item.pair for item in items if item.pair}) >= 149
    assert len({item.author for item in items}) >= 4
