"""Rebuild the demo base model: read the data, train the tokenizer, train the model, write the folder.

    bedside-train demo-model --data DIR --out DIR --minutes 90

A stopped run goes on with the same command. ``--start-from DIR`` begins with the weights of an earlier model (its
tokenizer is kept, but cuts between digits) and then only the answering phase is run.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any, cast

import torch
from pydantic import BaseModel, ConfigDict, Field
from tokenizers import Tokenizer
from transformers import LlamaConfig, LlamaForCausalLM

from training.config_file import checked, read_fields
from training.demo_model.batches import Batch, exercise_batches, reading_batches
from training.demo_model.circuit import install, meaning_size
from training.demo_model.exercises import ExerciseMaker, user_message
from training.demo_model.loop import CHECKPOINT, Loop, Progressed, Schedule
from training.demo_model.meanings import learn_meanings
from training.demo_model.sources import FILES, Texts, read
from training.demo_model.tokenizer import (
    conversation,
    load_tokenizer,
    save_tokenizer,
    split_digits,
    train_tokenizer,
)


class DemoModelSettings(BaseModel):
    """Size, data mix and budget of a run. The defaults are the shipped model's; tests use tiny ones.

    ``chunk`` exercises are drawn, sorted and batched together; a checkpoint lies between two chunks. ``circuit`` begins
    with the heads of :mod:`training.demo_model.circuit` in place, and with meanings of tokens learnt from
    ``meanings_from`` readings.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    minutes: float = Field(default=90.0, gt=0)
    vocabulary: int = Field(default=8192, ge=300)
    hidden: int = 384
    layers: int = 8
    heads: int = 4
    head_size: int = 128
    intermediate: int = 1024
    rope_theta: float = 1e8
    batch_tokens: int = Field(default=6_144, ge=64)
    longest: int = Field(default=900, ge=64, le=1024)
    passages: tuple[int, ...] = (1, 1, 1, 1, 2)
    learning_rate: float = 2e-3
    reading: float = Field(default=0.45, ge=0, le=1)
    early: float = Field(default=4.0, gt=0)
    worded: float = Field(default=0.3, ge=0, le=1)
    decay_from: float = Field(default=0.6, ge=0, lt=1)
    guided: float = Field(default=2.0, ge=0)
    circuit: bool = True
    meanings_from: int = Field(default=6_000, ge=1)
    chunk: int = Field(default=512, ge=8)
    seed: int = 7
    threads: int = Field(default=2, ge=1)
    files: tuple[str, ...] = tuple(FILES)
    compiled: bool = False
    max_steps: int | None = None


def load_settings(config: Path | None, *, minutes: float | None = None) -> DemoModelSettings:
    """Settings from a YAML file, if one is given, and the time budget on top of it.

    Raises ConfigurationError that names the file and the field.
    """
    fields = {} if config is None else read_fields(config)
    budget = {} if minutes is None else {"minutes": minutes}
    return checked(fields | budget, DemoModelSettings, str(config or "settings"))


def build(
    data: Path, out: Path, settings: DemoModelSettings, *, start_from: Path | None = None, show: bool = True
) -> Progressed:
    """Build the model into ``out`` and return how far training came. Raises ConfigurationError on broken data."""
    # 1. Read the text; a missing or broken file ends the run here.
    texts = read(data, settings.files)
    torch.set_num_threads(settings.threads)
    torch.manual_seed(settings.seed)
    maker = ExerciseMaker(texts, worded=settings.worded)
    work = out / "run"
    # 2. Tokenizer: kept from a stopped run, taken from the earlier model, or trained.
    tokenizer = _tokenizer(work, texts, maker, settings, start_from)
    # 3. Model and loop; a stopped run goes on.
    model = _model(settings, tokenizer, start_from)
    schedule = Schedule(
        seconds=settings.minutes * 60,
        reading=0.0 if start_from else settings.reading,
        learning_rate=settings.learning_rate,
        decay_from=settings.decay_from,
        guided=settings.guided,
    )
    if settings.circuit and start_from is None and not (work / CHECKPOINT).is_file():
        size = meaning_size(settings.hidden)
        learnt = learn_meanings(maker, tokenizer, work, size=size, seed=settings.seed, readings=settings.meanings_from)
        install(model, tokenizer, learnt.vectors, learnt.common, settings.seed)
    loop = Loop(model, schedule, work, compiled=settings.compiled)
    loop.resume()

    def batches(phase: str, chunk: int) -> Iterator[Batch]:
        seed = f"{settings.seed}-{phase}-{chunk}"
        limits = {"count": settings.chunk, "batch_tokens": settings.batch_tokens, "longest": settings.longest}
        if phase == "reading":
            return reading_batches(maker, texts.plain, tokenizer, seed, passages=settings.passages, **limits)
        return exercise_batches(maker, tokenizer, seed, passages=settings.passages, early=settings.early, **limits)

    # 4. Train.
    progress = loop.run(batches, max_steps=settings.max_steps, show=show)
    # 5. Write what vLLM and transformers load, and what the card is written from.
    export(model, tokenizer, out)
    record = {"settings": settings.model_dump(mode="json"), "tokens": progress.tokens, "steps": progress.step,
              "seconds": round(progress.seconds), "loss": progress.loss, "credits": texts.credits,
              "parameters": sum(weight.numel() for weight in model.parameters()),
              "continued": start_from is not None}  # fmt: skip
    (out / "training.json").write_text(json.dumps(record, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    return progress


def export(model: LlamaForCausalLM, tokenizer: Tokenizer, out: Path) -> None:
    """Write weights (bfloat16), config, tokenizer and chat template."""
    out.mkdir(parents=True, exist_ok=True)
    model.save_pretrained(str(out))
    save_tokenizer(tokenizer, out)


def _tokenizer(
    work: Path, texts: Texts, maker: ExerciseMaker, settings: DemoModelSettings, start_from: Path | None
) -> Tokenizer:
    kept = work / "tokenizer.json"
    if kept.is_file():
        return load_tokenizer(work)
    work.mkdir(parents=True, exist_ok=True)
    if start_from is not None:
        tokenizer = split_digits(load_tokenizer(start_from))
    else:
        rng = Random(settings.seed)
        sample = [
            conversation(user_message(item.passages, asked.question), asked.answer)
            for item in maker.stream(f"{settings.seed}-tokenizer", 4_000)
            for asked in item.asked[:2]
        ]
        sample += rng.sample(texts.plain, min(len(texts.plain), 8_000))
        tokenizer = train_tokenizer(sample, vocabulary=settings.vocabulary)
    part = kept.with_suffix(".part")
    tokenizer.save(str(part))
    shutil.move(part, kept)
    return tokenizer


def _model(settings: DemoModelSettings, tokenizer: Tokenizer, start_from: Path | None) -> LlamaForCausalLM:
    if start_from is None:
        return fresh_model(settings, tokenizer)
    model: LlamaForCausalLM = LlamaForCausalLM.from_pretrained(str(start_from), dtype=torch.bfloat16)
    model.config.pad_token_id = 0
    return model


def fresh_model(settings: DemoModelSettings, tokenizer: Tokenizer) -> LlamaForCausalLM:
    """An untrained model of the size that the settings ask for, its weights in bfloat16."""
    config = LlamaConfig(
        vocab_size=tokenizer.get_vocab_size(),
        hidden_size=settings.hidden,
        intermediate_size=settings.intermediate,
        head_dim=settings.head_size,
        rope_parameters={"rope_type": "default", "rope_theta": settings.rope_theta},
        num_hidden_layers=settings.layers,
        num_attention_heads=settings.heads,
        num_key_value_heads=max(1, settings.heads // 2),
        max_position_embeddings=1024,
        tie_word_embeddings=True,
        bos_token_id=1,
        eos_token_id=2,
        pad_token_id=0,
    )
    fresh: Any = LlamaForCausalLM(config)  # type: ignore[no-untyped-call]
    for weight in fresh.parameters():
        # Not `fresh.to`: that would round the rotary frequencies too, and vLLM computes them in float32.
        weight.data = weight.data.to(torch.bfloat16)
    return cast(LlamaForCausalLM, fresh)
