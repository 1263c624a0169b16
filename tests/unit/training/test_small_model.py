"""The small real model's reader: readings of hospitals, attention by branches, the loop that trains its adapter."""

from __future__ import annotations

import json
from pathlib import Path
from random import Random

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import LlamaConfig, LlamaForCausalLM

from app.contracts.prompt import NOT_IN_ARTICLES
from app.errors import ConfigurationError
from tests.unit.training.tiny import make_data
from training.demo_model.batches import Batch, collate, encode
from training.demo_model.exercises import ExerciseMaker, Reading
from training.demo_model.loop import answer_losses
from training.demo_model.sources import read
from training.demo_model.tokenizer import save_tokenizer, train_tokenizer
from training.encoder.hospitals import HospitalArticle, Section, hospitals
from training.finetune.adapter import measured_card, read_manifest
from training.small_model.attention import ATTENTION, Layout, laid_out
from training.small_model.readings import HospitalReadings, MixedReadings
from training.small_model.recipe import CHECKPOINT, SmallModelSettings, train

OURS = HospitalReadings(list(hospitals().values()))


def tiny(tokens: int, attention: str) -> LlamaForCausalLM:
    """A Llama of two layers with grouped heads, the same weights each time."""
    torch.manual_seed(3)
    config = LlamaConfig(
        vocab_size=tokens, hidden_size=48, intermediate_size=64, num_hidden_layers=2, num_attention_heads=6,
        num_key_value_heads=2, max_position_embeddings=2048, attn_implementation=attention,
    )  # fmt: skip
    return LlamaForCausalLM(config)  # type: ignore[no-untyped-call,no-any-return]


def test_attention_by_branches_is_that_of_the_whole_row_under_its_mask() -> None:
    reading = OURS.draw(Random(5), passages=3, questions=9)
    tokenizer = train_tokenizer([*reading.passages, *(asked.question for asked in reading.asked)], vocabulary=400)
    row = encode(tokenizer, reading)
    assert len(row.branches) > 3
    whole = collate([row], 0, early=3.0)
    plain = tiny(tokenizer.get_vocab_size(), "sdpa")
    expected = answer_losses(plain, whole)
    size = len(row)
    narrow = Batch(whole.tokens[:, :size], whole.labels[:, :size], whole.positions[:, :size])
    apart = tiny(tokenizer.get_vocab_size(), ATTENTION)
    with laid_out(Layout(len(row.head), [len(branch.ids) for branch in row.branches])):
        found = answer_losses(apart, narrow)
        torch.autograd.backward(found.losses.sum())
    torch.autograd.backward(expected.losses.sum())
    torch.testing.assert_close(found.losses, expected.losses, atol=1e-4, rtol=1e-4)
    ours, theirs = (
        apart.model.layers[0].self_attn.k_proj.weight.grad,
        plain.model.layers[0].self_attn.k_proj.weight.grad,
    )
    torch.testing.assert_close(ours, theirs, atol=1e-4, rtol=1e-3)


@given(st.integers(0, 10_000), st.integers(1, 4))
def test_an_answer_is_made_of_sentences_of_the_passage_that_it_cites(seed: int, passages: int) -> None:
    reading = OURS.draw(Random(seed), passages=passages, questions=8)
    assert len(reading.lines) == passages
    assert 0 < len(reading.asked) <= 8
    for asked in reading.asked:
        if asked.lines is None:
            assert asked.answer == NOT_IN_ARTICLES
            continue
        text, _, number = asked.answer.rpartition(" ")
        lines = list(reading.lines[asked.lines[0]])
        assert number == f"[{asked.lines[0] + 1}]"
        while text:
            first = next(line for line in lines if text.startswith(line))
            lines = lines[lines.index(first) + 1 :]
            text = text.removeprefix(first).lstrip()


def test_what_is_not_shown_is_asked_and_answered_with_the_fixed_sentence() -> None:
    parking = Section("Parking", "Cost", "It is $2 an hour. Staff pay less.", ["how much"], [(0,)])
    where = Section("Parking", "Where", "It is on Oak Street.", ["which street"], [(0,)])
    readings = HospitalReadings([[HospitalArticle("Parking", [parking, where], ["is there valet"])]])
    drawn = [readings.draw(Random(seed), passages=1, questions=6) for seed in range(200)]
    alone = [reading for reading in drawn if len(reading.lines[0]) == 2]  # the cost alone: two sentences
    questions = {asked.question: asked.answer for reading in alone for asked in reading.asked}
    assert questions["which street"] == questions["is there valet"] == NOT_IN_ARTICLES
    assert questions["how much"].endswith("an hour. [1]")
    both = [reading for reading in drawn if len(reading.lines[0]) == 3]
    assert both, "sections are never joined"
    answered = {asked.question for reading in both for asked in reading.asked if asked.lines is not None}
    assert {"how much", "which street"} <= answered


def shares(readings: list[Reading]) -> float:
    asked = [one for reading in readings for one in reading.asked]
    return sum(one.lines is None for one in asked) / len(asked)


def test_a_fifth_has_no_answer_and_a_seed_gives_the_same_readings(tmp_path: Path) -> None:
    exercises = ExerciseMaker(read(make_data(tmp_path / "texts")))
    mixed = MixedReadings(OURS, exercises, 0.7)
    readings = list(mixed.stream("a", 150, (1, 2, 4)))
    assert readings == list(mixed.stream("a", 150, (1, 2, 4)))
    assert 0.13 < shares(readings) < 0.25
    assert {len(reading.lines) for reading in readings} == {1, 2, 4}


def settings(minutes: float) -> SmallModelSettings:
    return SmallModelSettings(minutes=minutes, rank=8, warmup_steps=1, threads=1, passages=(1,), learning_rate=5e-3)


def test_a_stopped_run_goes_on_and_leaves_an_adapter_that_can_be_served(tmp_path: Path) -> None:
    data = make_data(tmp_path / "texts")
    tokenizer = train_tokenizer([text for document in read(data).documents for text in document], vocabulary=300)
    base = tmp_path / "base"
    tiny(tokenizer.get_vocab_size(), "sdpa").save_pretrained(str(base))
    save_tokenizer(tokenizer, base)
    out = tmp_path / "run"
    first = train(base, data, out, settings(0.02), show=False)
    second = train(base, data, out, settings(0.05), show=False)
    assert second.metrics["steps"] > first.metrics["steps"] > 0
    assert second.metrics["questions"] > first.metrics["questions"]
    assert second.metrics["train_loss"] < first.metrics["train_loss"]
    assert (out / CHECKPOINT).is_file()
    manifest = read_manifest(out / "reader")
    assert (manifest.version, manifest.rank) == (second.version, 8)
    card = (out / "reader" / "README.md").read_text()
    assert "Not gated yet" in card
    assert "CC BY 4.0" in card
    assert (
        json.loads((out / "reader" / "adapter_config.json").read_text())["base_model_name_or_path"] == manifest.base_id
    )


def test_the_gate_writes_its_figures_into_the_card_and_again() -> None:
    card = "# Adapter\n\n| a | b |\n\n## Measured\n\nNot gated yet.\n\n## Limits\n\nMany.\n"
    once = measured_card(card, ["Gate: **pass**"])
    assert once == card.replace("Not gated yet.", "Gate: **pass**")
    assert measured_card(once, ["Gate: **fail**"]) == card.replace("Not gated yet.", "Gate: **fail**")


def test_without_the_base_model_the_command_to_fetch_it_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="small-model fetch"):
        train(tmp_path / "none", make_data(tmp_path / "texts"), tmp_path / "run", settings(0.01), show=False)
