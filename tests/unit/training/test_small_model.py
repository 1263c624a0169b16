"""The small real model's reader: readings of hospitals, attention by branches, the loop that trains its adapter."""

from __future__ import annotations

import json
from itertools import islice
from pathlib import Path
from random import Random
from typing import Any

import pytest
import torch
import yaml
from hypothesis import example, given
from hypothesis import strategies as st
from transformers import LlamaConfig, LlamaForCausalLM

from app.contracts.adapters import AdapterManifest, read_manifest
from app.contracts.prompt import NOT_IN_ARTICLES
from app.engine.validation import validate_adapter
from app.errors import AdapterInvalid, ConfigurationError
from tests.unit.training.tiny import make_data
from training.demo_model.batches import Row, alone, collate, encode
from training.demo_model.exercises import DESK_FACTS, PAGES, ExerciseMaker, Reading
from training.demo_model.loop import answer_losses
from training.demo_model.readings import HospitalReadings, MixedReadings
from training.demo_model.sources import read
from training.demo_model.tokenizer import load_tokenizer, save_tokenizer, train_tokenizer
from training.files import file_hash
from training.finetune.adapter import base_hash, measured_card, require_base
from training.finetune.ancestry import learnt_files
from training.finetune.config import FinetuneConfig
from training.hospitals.articles import FOLDER as HOSPITALS
from training.hospitals.articles import HospitalArticle, Section, hospitals
from training.small_model.attention import ATTENTION, Layout, laid_out
from training.small_model.package import BASE_ID
from training.small_model.recipe import CHECKPOINT, NAME, ReadingLoop, SmallModelSettings, rows, train

OURS = HospitalReadings(list(hospitals().values()))


def tiny(tokens: int, attention: str) -> LlamaForCausalLM:
    """A Llama of two layers with grouped heads, the same weights each time."""
    torch.manual_seed(3)
    config = LlamaConfig(
        vocab_size=tokens, hidden_size=48, intermediate_size=64, num_hidden_layers=2, num_attention_heads=6,
        num_key_value_heads=2, max_position_embeddings=2048, attn_implementation=attention,
    )  # fmt: skip
    untyped: Any = LlamaForCausalLM
    made: LlamaForCausalLM = untyped(config)
    return made


def test_attention_by_branches_is_that_of_the_whole_row_under_its_mask() -> None:
    reading = OURS.draw(Random(5), passages=3, questions=9)
    tokenizer = train_tokenizer([*reading.passages, *(asked.question for asked in reading.asked)], vocabulary=400)
    row = encode(tokenizer, reading)
    assert len(row.branches) > 3
    whole, narrow = collate([row], 0, early=3.0), alone(row, early=3.0)
    for name in ("tokens", "labels", "positions", "weights"):
        torch.testing.assert_close(getattr(narrow, name), getattr(whole, name)[:, : len(row)])
    plain = tiny(tokenizer.get_vocab_size(), "sdpa")
    expected = answer_losses(plain, whole)
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
@example(2586, 1)  # its figures are drawn anew, and all of its questions name one
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
    for reading in drawn:
        lines, asked = [line for passage in reading.lines for line in passage], [one.question for one in reading.asked]
        assert (len(lines), len(asked)) == (len(set(lines)), len(set(asked)))
    both = [reading for reading in drawn if len(reading.lines[0]) == 3]
    assert both, "sections are never joined"
    answered = {asked.question for reading in both for asked in reading.asked if asked.lines is not None}
    assert {"how much", "which street"} <= answered


def shares(readings: list[Reading]) -> float:
    asked = [one for reading in readings for one in reading.asked]
    return sum(one.lines is None for one in asked) / len(asked)


def test_a_fifth_has_no_answer_and_a_seed_gives_the_same_readings(data: Path) -> None:
    exercises = ExerciseMaker(read(data))
    mixed = MixedReadings(OURS, exercises, 0.7)
    readings = list(mixed.stream("a", 150, (1, 2, 4)))
    assert readings == list(mixed.stream("a", 150, (1, 2, 4)))
    assert 0.13 < shares(readings) < 0.25
    assert {len(reading.lines) for reading in readings} == {1, 2, 4}


@given(st.integers(0, 10_000))
def test_no_sentence_stands_in_two_passages(seed: int) -> None:
    reading = OURS.draw(Random(seed), passages=4, questions=30)
    lines = [line for passage in reading.lines for line in passage]
    assert len(lines) == len(set(lines))


def settings(minutes: float, **changed: object) -> SmallModelSettings:
    fields = {"lora": {"rank": 8, "alpha": 8, "dropout": 0.0}, "warmup_steps": 1, "threads": 1, "passages": (1,)}
    return SmallModelSettings.model_validate({"minutes": minutes, "learning_rate": 5e-3, **fields, **changed})


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_data(tmp_path_factory.mktemp("data") / "texts")


@pytest.fixture(scope="module")
def base(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a tiny base model."""
    folder = tmp_path_factory.mktemp("models") / "base"
    tokenizer = train_tokenizer([text for document in read(data).documents for text in document], vocabulary=300)
    tiny(tokenizer.get_vocab_size(), "sdpa").save_pretrained(str(folder))
    save_tokenizer(tokenizer, folder)
    return folder


def trained(base: Path, data: Path, out: Path, minutes: float, **changed: object) -> AdapterManifest:
    return train(base, data, out, settings(minutes, **changed), weights_sha256=base_hash(str(base)), show=False)


def test_a_stopped_run_goes_on_where_it_was(base: Path, data: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    first = trained(base, data, out, 0.02)
    again = trained(base, data, out, 0.02)  # its minutes are used up: the weights are those of the checkpoint
    assert again.metrics == first.metrics
    assert again.content_sha256 == first.content_sha256
    second = trained(base, data, out, 0.05)
    assert second.metrics["steps"] > first.metrics["steps"] > 0
    assert second.metrics["questions"] > first.metrics["questions"]
    assert second.content_sha256 != first.content_sha256


def test_a_resumed_run_reads_on_where_it_stopped(base: Path, data: Path) -> None:
    mixed, tokenizer = MixedReadings(OURS, ExerciseMaker(read(data)), 0.7), load_tokenizer(base)
    whole = list(islice(rows(mixed, tokenizer, settings(1)), 340))
    assert list(islice(rows(mixed, tokenizer, settings(1), skip=320), 20)) == whole[320:]
    with pytest.raises(ConfigurationError, match="raise `longest`"):
        next(rows(mixed, tokenizer, settings(1, longest=64)))


def test_what_it_leaves_can_be_served(base: Path, data: Path, tmp_path: Path) -> None:
    made = trained(base, data, tmp_path, 0.01)
    manifest = read_manifest(tmp_path / "reader")
    assert (manifest.version, manifest.rank) == (made.version, 8)
    assert file_hash(data / "medquad.jsonl.gz") in manifest.trained_on
    validate_adapter(tmp_path / "reader", json.loads((base / "config.json").read_text()), 64)
    assert (tmp_path / "reader" / "adapter_model.safetensors").stat().st_mode & 0o044 == 0o044
    card = (tmp_path / "reader" / "README.md").read_text()
    assert "Not gated yet" in card
    assert "CC BY 4.0" in card
    assert require_base(tmp_path / "reader", str(base)) == manifest
    with pytest.raises(AdapterInvalid, match=r"other base weights than those of demo/model.*smollm2-135m-instruct"):
        require_base(tmp_path / "reader", "demo/model")


def test_a_checkpoint_of_another_run_is_refused(base: Path, data: Path, tmp_path: Path) -> None:
    trained(base, data, tmp_path, 0.01)
    with pytest.raises(ConfigurationError, match=r"other settings, base or data; name another --out, or delete"):
        trained(base, data, tmp_path, 0.01, seed=8)
    (tmp_path / CHECKPOINT).write_bytes(b"half")
    with pytest.raises(ConfigurationError, match=r"cannot be read .*; name another --out, or delete"):
        trained(base, data, tmp_path, 0.01)


def test_an_interrupted_run_keeps_what_it_has_learnt(
    base: Path, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps = ReadingLoop._step

    def interrupted(self: ReadingLoop, rows: list[Row]) -> None:
        steps(self, rows)
        if self.progress.step == 3:
            raise KeyboardInterrupt

    monkeypatch.setattr(ReadingLoop, "_step", interrupted)
    with pytest.raises(KeyboardInterrupt):
        trained(base, data, tmp_path, 5)
    assert torch.load(tmp_path / CHECKPOINT, weights_only=True)["progress"]["step"] == 3


def test_a_loss_that_is_no_number_stops_the_run_before_it_is_kept(base: Path, data: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"not a number any more.*--learning-rate"):
        trained(base, data, tmp_path, 5, learning_rate=1e30)
    assert not (tmp_path / CHECKPOINT).exists()


def test_only_the_fetched_model_is_trained_on(base: Path, data: Path, tmp_path: Path) -> None:
    for folder in (tmp_path / "none", base):
        with pytest.raises(ConfigurationError, match="small-model fetch"):
            train(folder, data, tmp_path / "run", settings(0.01), show=False)


def test_the_gate_writes_its_figures_into_the_card_and_again() -> None:
    card = "# Adapter\n\n| a | b |\n\n## Measured\n\nNot gated yet.\n\n## Limits\n\nMany.\n"
    once = measured_card(card, ["Gate: **pass**"])
    assert once == card.replace("Not gated yet.", "Gate: **pass**")
    assert measured_card("# Adapter\n", ["Gate: **fail**"]).count("Gate: **fail**") == 1
    assert measured_card(once, ["Gate: **fail**"]) == card.replace("Not gated yet.", "Gate: **fail**")


def test_the_hospitals_config_goes_on_from_what_the_recipe_makes() -> None:
    fields = yaml.safe_load(Path("demo/small_model/support.yaml").read_text(encoding="utf-8"))
    config, recipe = FinetuneConfig.model_validate(fields), SmallModelSettings()
    assert config.base_id == BASE_ID
    assert config.start_from is not None
    assert config.start_from.name == NAME
    assert (config.lora.rank, config.lora.alpha) == (recipe.lora.rank, recipe.lora.alpha)
    # All that the recipe reads but the texts that one supplies is named, so that the gate looks at it.
    own = {*HOSPITALS.glob("*.txt"), *PAGES.glob("*.yaml"), DESK_FACTS}
    assert {path.resolve() for path in own} <= {path.resolve() for path in learnt_files(config)}
