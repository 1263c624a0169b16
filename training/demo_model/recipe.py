"""Rebuild the demo base model: read the data, train the tokenizer, train the model, write the folder.

    bedside-train demo-model --data DIR --out DIR --minutes 90

A stopped run goes on with the same command. ``--start-from DIR`` begins with the weights of an earlier model (its
tokenizer is kept, but cuts between digits) and then only the answering phase is run.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterable
from hashlib import sha256
from pathlib import Path
from random import Random
from typing import Any, cast

import torch
from pydantic import BaseModel, ConfigDict, Field
from tokenizers import Tokenizer
from transformers import GenerationConfig, LlamaConfig, LlamaForCausalLM

from app.errors import ConfigurationError
from training.config_file import checked, read_fields
from training.demo_model.ahead import ahead
from training.demo_model.batches import Batch, exercise_batches, reading_batches
from training.demo_model.circuit import install, meaning_size
from training.demo_model.exercises import ExerciseMaker, user_message
from training.demo_model.loop import CHECKPOINT, Loop, Progressed, Schedule
from training.demo_model.meanings import Meanings, learn_meanings
from training.demo_model.readings import HospitalReadings, MixedReadings, Readings
from training.demo_model.sources import FILES, Texts, read
from training.demo_model.tokenizer import (
    conversation,
    load_tokenizer,
    save_tokenizer,
    split_digits,
    train_tokenizer,
)
from training.hospitals.articles import HospitalArticle, hospitals

CHECKED = {"one passage": (1,), "four passages": (4,)}


class DemoModelSettings(BaseModel):
    """Size, data mix and budget of a run. The defaults are for two cores, ``gpu.yaml`` is for a GPU.

    ``chunk`` readings are drawn, sorted and batched together; a checkpoint lies between two chunks. ``hospitals`` is
    the share of readings from hospitals' articles; those of the hospitals named in ``held_back`` are not learnt but
    looked at on the way, and the state that did best on them is what is written. ``circuit`` begins with the heads of
    :mod:`training.demo_model.circuit` in place, and with meanings of tokens learnt from ``meanings_from`` readings.
    ``written`` is the share of written pages among the exercises' sources. ``early`` is how often the first tokens of
    an answer count, and ``denials`` how often those of "not in the articles" count beside others: a model that knows
    its questions by heart takes new ones for unanswerable. ``blurred`` is the share of a question's tokens that are
    replaced by others. ``device`` is torch's name of where the model learns; ``workers`` processes draw the readings.
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
    denials: float = Field(default=1.0, gt=0)
    worded: float = Field(default=0.3, ge=0, le=1)
    written: float = Field(default=0.4, ge=0, le=1)
    decay_from: float = Field(default=0.6, ge=0, lt=1)
    guided: float = Field(default=2.0, ge=0)
    circuit: bool = True
    meanings_from: int = Field(default=6_000, ge=1)
    chunk: int = Field(default=512, ge=8)
    seed: int = 7
    hospitals: float = Field(default=0.35, ge=0, le=1)
    held_back: tuple[str, ...] = ("tests2",)
    blurred: float = Field(default=0.0, ge=0, lt=1)
    checkpoint_seconds: float = Field(default=120.0, gt=0)
    device: str = "cpu"
    workers: int = Field(default=0, ge=0)
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
    # 1. What can be wrong ends the run here: the device, a missing or broken file.
    _require_device(settings.device)
    texts = read(data, settings.files)
    torch.set_num_threads(settings.threads)
    torch.manual_seed(settings.seed)
    learnt, held_back = _hospitals(settings)
    exercises = ExerciseMaker(texts, worded=settings.worded, written=settings.written)
    maker = MixedReadings(HospitalReadings(learnt), exercises, settings.hospitals)
    work = out / "run"
    # 2. Tokenizer: kept from a stopped run, taken from the earlier model, or trained.
    tokenizer = _tokenizer(work, texts, maker, settings, start_from)
    # 3. The model, its circuit and meanings; a stopped run finds them kept.
    model = _model(settings, tokenizer, start_from)
    schedule = Schedule(
        seconds=settings.minutes * 60,
        reading=0.0 if start_from else settings.reading,
        learning_rate=settings.learning_rate,
        decay_from=settings.decay_from,
        checkpoint_seconds=settings.checkpoint_seconds,
        guided=settings.guided,
    )
    if settings.circuit and start_from is None and not (work / CHECKPOINT).is_file():
        size = meaning_size(settings.hidden)
        words = meanings(maker, tokenizer, work, size=size, seed=settings.seed, readings=settings.meanings_from)
        install(model, tokenizer, words.vectors, words.common, settings.seed)

    def batches(phase: str, chunk: int) -> Iterable[Batch]:
        seed = f"{settings.seed}-{phase}-{chunk}"
        limits: dict[str, Any] = {
            "count": settings.chunk,
            "batch_tokens": settings.batch_tokens,
            "longest": settings.longest,
        }
        if phase == "reading":
            return reading_batches(maker, texts.plain, tokenizer, seed, passages=settings.passages, **limits)
        weights: dict[str, Any] = {"early": settings.early, "denials": settings.denials, "blurred": settings.blurred}
        return exercise_batches(maker, tokenizer, seed, passages=settings.passages, **weights, **limits)

    # 4. Train.
    with ahead(batches, settings.workers) as made:
        checks = _checks(held_back, tokenizer, settings)
        loop = Loop(cast(Any, model).to(settings.device), schedule, work, compiled=settings.compiled, checks=checks)
        loop.resume()
        progress = loop.run(made, max_steps=settings.max_steps, show=show)
        loop.take_best()
    # 5. Write what vLLM and transformers load, and what the card is written from.
    export(model, tokenizer, out)
    record = {"settings": settings.model_dump(mode="json"), "tokens": progress.tokens, "steps": progress.step,
              "seconds": round(progress.seconds), "loss": progress.loss, "first": progress.first,
              "check": progress.best, "credits": texts.credits,
              "parameters": sum(weight.numel() for weight in model.parameters()),
              "continued": start_from is not None}  # fmt: skip
    (out / "training.json").write_text(json.dumps(record, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    return progress


def _require_device(name: str) -> None:
    try:
        torch.empty(0, device=name)
    except (RuntimeError, AssertionError) as error:
        raise ConfigurationError(
            f"device: {name} cannot be used ({str(error).splitlines()[0]}); write cpu, or cuda on a machine with a GPU"
        ) from None


def _hospitals(settings: DemoModelSettings) -> tuple[list[list[HospitalArticle]], dict[str, list[HospitalArticle]]]:
    """The hospitals that are learnt, and those held back, by name."""
    found = hospitals()
    if unknown := sorted(set(settings.held_back) - set(found)):
        raise ConfigurationError(f"held_back: there is no hospital {unknown[0]!r}; there are {', '.join(found)}")
    held_back = {name: found.pop(name) for name in dict.fromkeys(settings.held_back)}
    if not found:
        raise ConfigurationError("held_back: leave at least one hospital to learn from")
    return list(found.values()), held_back


def _checks(
    held_back: dict[str, list[HospitalArticle]], tokenizer: Tokenizer, settings: DemoModelSettings
) -> dict[str, list[Batch]]:
    """Batches of the hospitals held back, by how many passages their readings have."""
    if not held_back:
        return {}
    drawn = MixedReadings(HospitalReadings(list(held_back.values())), ExerciseMaker(Texts(), [], []), 1.0)
    limits: dict[str, Any] = {"count": 100, "batch_tokens": settings.batch_tokens, "longest": 1024}
    return {
        name: list(exercise_batches(drawn, tokenizer, "held back", passages=passages, **limits))
        for name, passages in CHECKED.items()
    }


def meanings(
    maker: Readings,
    tokenizer: Tokenizer,
    work: Path,
    *,
    learn: Callable[..., Meanings] = learn_meanings,
    **options: int,
) -> Meanings:
    """The meanings of tokens, kept in ``work`` for a run that is begun again or elsewhere.

    Other ``options`` or another tokenizer ``learn`` them anew; other pages and texts do not: meanings change little.
    """
    kept = work / "meanings.pt"
    made = sha256(json.dumps([options, tokenizer.to_str()], sort_keys=True).encode()).hexdigest()
    if kept.is_file() and (stored := torch.load(kept, weights_only=True)).pop("made", None) == made:
        return Meanings(**stored)
    found = learn(maker, tokenizer, work, **options)
    part = kept.with_suffix(".part")
    torch.save({"vectors": found.vectors, "common": found.common, "made": made}, part)
    shutil.move(part, kept)
    return found


def export(model: LlamaForCausalLM, tokenizer: Tokenizer, out: Path) -> None:
    """Write weights (bfloat16), config, tokenizer and chat template."""
    out.mkdir(parents=True, exist_ok=True)
    make: Any = GenerationConfig
    model.generation_config = make(do_sample=False, eos_token_id=2, pad_token_id=0)
    model.save_pretrained(str(out))
    save_tokenizer(tokenizer, out)


def _tokenizer(
    work: Path, texts: Texts, maker: Readings, settings: DemoModelSettings, start_from: Path | None
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
            for item in maker.stream(f"{settings.seed}-tokenizer", 4_000, (1,))
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
