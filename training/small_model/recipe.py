"""Train the reading adapter of the small real model: one LoRA adapter over all linear layers.

    bedside-train small-model train --data DIR --out DIR

Each step reads some readings one after another, for no row is padded and no branch is compared with another one
(:mod:`training.small_model.attention`). A stopped run goes on from the checkpoint in ``out`` with the same command.
"""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, get_peft_model, get_peft_model_state_dict, set_peft_model_state_dict
from pydantic import BaseModel, ConfigDict, Field
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from tokenizers import Tokenizer
from transformers import LlamaForCausalLM

from app.contracts.adapters import AdapterManifest, content_hash
from app.contracts.prompt import PROMPT_VERSION, template_hash
from app.errors import ConfigurationError
from training.demo_model.batches import Batch, Row, collate, encode
from training.demo_model.exercises import PAGES, ExerciseMaker
from training.demo_model.loop import answer_losses
from training.demo_model.sources import Texts, read
from training.demo_model.tokenizer import load_tokenizer
from training.encoder.hospitals import FOLDER as HOSPITALS
from training.encoder.hospitals import hospitals
from training.finetune.adapter import base_hash, card_text, save_adapter
from training.finetune.data import files_hash
from training.finetune.trainer import library_versions
from training.small_model.attention import ATTENTION, Layout, laid_out
from training.small_model.package import BASE_ID
from training.small_model.readings import HospitalReadings, MixedReadings

NAME = "reader"
CHECKPOINT = "checkpoint.pt"


class SmallModelSettings(BaseModel):
    """Data mix, adapter and budget of a run.

    ``hospitals`` is the share of readings drawn from hospitals' articles, ``worded`` the share of the exercises'
    questions made of words of their answers, ``early`` how much the first tokens of an answer count.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    minutes: float = Field(default=80.0, gt=0)
    rank: int = Field(default=16, ge=1)
    alpha: int = Field(default=8, ge=1)
    learning_rate: float = Field(default=1.5e-3, gt=0)
    warmup_steps: int = Field(default=30, ge=1)
    decay_from: float = Field(default=0.5, ge=0, lt=1)
    readings: int = Field(default=2, ge=1)
    passages: tuple[int, ...] = (1, 1, 2, 3, 4, 4)
    hospitals: float = Field(default=0.65, ge=0, le=1)
    worded: float = Field(default=0.15, ge=0, le=1)
    early: float = Field(default=3.0, gt=0)
    longest: int = Field(default=1_600, ge=64)
    seed: int = 7
    threads: int = Field(default=2, ge=1)

    def rate(self, share: float, step: int) -> float:
        """Learning rate when ``share`` of the time is used: warm-up, flat, then falling to 2 % on a straight line."""
        decay = 1.0 if share < self.decay_from else max(0.02, (1 - share) / (1 - self.decay_from))
        return self.learning_rate * min(1.0, (step + 1) / self.warmup_steps) * decay


@dataclass(frozen=True, slots=True)
class _Part:
    """Of one row: the weighted sum of its losses, their weight, and the mean loss of the answers' first tokens."""

    loss: float
    weight: float
    first: float


class ReadingLoop:
    """Trains the adapter of ``model`` and keeps ``checkpoint.pt`` and ``metrics.jsonl`` in ``folder``."""

    def __init__(self, model: Any, settings: SmallModelSettings, folder: Path) -> None:
        self._model, self._settings, self._folder = model, settings, folder
        self._weights = [weight for weight in model.parameters() if weight.requires_grad]
        self._optimizer = torch.optim.AdamW(
            self._weights, lr=settings.learning_rate, betas=(0.9, 0.99), weight_decay=0.0
        )
        self.seconds, self.step, self.tokens, self.asked = 0.0, 0, 0, 0
        self.loss, self.first = math.nan, math.nan

    def resume(self) -> bool:
        """Go on from the folder's checkpoint. Returns False when there is none."""
        path = self._folder / CHECKPOINT
        if not path.is_file():
            return False
        state = torch.load(path, weights_only=True)
        set_peft_model_state_dict(self._model, state["adapter"])
        self._optimizer.load_state_dict(state["optimizer"])
        for name, value in state["progress"].items():
            setattr(self, name, value)
        return True

    def save(self) -> None:
        """Write the checkpoint, whole or not at all."""
        names = ("seconds", "step", "tokens", "asked", "loss", "first")
        state = {
            "adapter": get_peft_model_state_dict(self._model),
            "optimizer": self._optimizer.state_dict(),
            "progress": {name: getattr(self, name) for name in names},
        }
        part = self._folder / f"{CHECKPOINT}.part"
        torch.save(state, part)
        os.replace(part, self._folder / CHECKPOINT)

    def run(self, rows: Iterator[Row], *, show: bool = True) -> None:
        """Train until the minutes are used up. ``rows`` goes on where the checkpoint ended."""
        total = self._settings.minutes * 60
        columns = (BarColumn(), TextColumn("{task.fields[note]}"), TimeRemainingColumn())
        with Progress(*columns, disable=not show) as bar:
            task = bar.add_task("reading", total=total, completed=int(self.seconds), note="")
            while self.seconds < total:
                self._step(list(islice(rows, self._settings.readings)))
                bar.update(task, completed=self.seconds, note=f"loss {self.loss:.3f}, first token {self.first:.3f}")
                if self.step % 10 == 0:
                    self._log()
                if self.step % 50 == 0:
                    self.save()
        self.save()

    def _step(self, rows: list[Row]) -> None:
        began = time.perf_counter()
        found = [self._losses(row) for row in rows]  # one after another: each gives its part of the gradient at once
        for weight in self._weights:
            if weight.grad is not None:
                weight.grad /= sum(part.weight for part in found)
        torch.nn.utils.clip_grad_norm_(self._weights, 1.0)
        for group in self._optimizer.param_groups:
            group["lr"] = self._settings.rate(self.seconds / (self._settings.minutes * 60), self.step)
        self._optimizer.step()
        self._optimizer.zero_grad()
        loss = sum(part.loss for part in found) / sum(part.weight for part in found)
        if not math.isfinite(loss):
            raise ConfigurationError("The loss is not a number any more; lower `learning_rate` and begin anew.")
        self.loss = _mean(self.loss, loss)
        self.first = _mean(self.first, sum(part.first for part in found) / len(found))
        self.tokens += sum(map(len, rows))
        self.asked += sum(len(row.branches) for row in rows)
        self.step += 1
        self.seconds += time.perf_counter() - began

    def _losses(self, row: Row) -> _Part:
        """Read one row and add the gradient of its weighted losses."""
        batch, length = collate([row], 0, early=self._settings.early), len(row)
        tokens, labels, positions = (part[:, :length] for part in (batch.tokens, batch.labels, batch.positions))
        weights = None if batch.weights is None else batch.weights[:, :length]
        with laid_out(Layout(len(row.head), [len(branch.ids) for branch in row.branches])):
            found = answer_losses(self._model.base_model.model, Batch(tokens, labels, positions, None, weights))
            loss = (found.losses * found.weights).sum()
            torch.autograd.backward(loss)
        return _Part(float(loss.item()), float(found.weights.sum().item()), float(found.first().item()))

    def _log(self) -> None:
        row = {name: getattr(self, name) for name in ("step", "seconds", "tokens", "asked", "loss", "first")}
        with (self._folder / "metrics.jsonl").open("a", encoding="utf-8") as out:
            out.write(json.dumps(row) + "\n")


def _mean(old: float, new: float) -> float:
    return new if math.isnan(old) else 0.95 * old + 0.05 * new


def adapted(base: Path, settings: SmallModelSettings) -> Any:
    """The base model, float32 and frozen, with a fresh adapter."""
    model = LlamaForCausalLM.from_pretrained(str(base), dtype=torch.float32, attn_implementation=ATTENTION)
    return get_peft_model(
        model,
        LoraConfig(
            r=settings.rank, lora_alpha=settings.alpha, lora_dropout=0.0, use_rslora=True, bias="none",
            target_modules="all-linear", task_type="CAUSAL_LM",
        ),
    )  # fmt: skip


def rows(mixed: MixedReadings, tokenizer: Tokenizer, settings: SmallModelSettings, skip: int) -> Iterator[Row]:
    """Readings as tokens, without end; ``skip`` of them are passed over (a resumed run has seen them)."""
    chunk = 0
    while True:
        for reading in mixed.stream(f"{settings.seed}-{chunk}", 300, settings.passages):
            row = encode(tokenizer, reading)
            if not row.branches or len(row) > settings.longest:
                continue
            if skip:
                skip -= 1
                continue
            yield row
        chunk += 1


def train(base: Path, data: Path, out: Path, settings: SmallModelSettings, *, show: bool = True) -> AdapterManifest:
    """Train and write the adapter's folder ``out/reader``; its manifest. Raises ConfigurationError on broken data."""
    if not (base / "config.json").is_file():
        raise ConfigurationError(f"{base} is not a model folder: run `bedside-train small-model fetch` first")
    texts = read(data)
    torch.set_num_threads(settings.threads)
    torch.manual_seed(settings.seed)
    mixed = MixedReadings(
        HospitalReadings(list(hospitals().values())), ExerciseMaker(texts, worded=settings.worded), settings.hospitals
    )
    tokenizer = load_tokenizer(base)
    model = adapted(base, settings)
    loop = ReadingLoop(model, settings, out)
    out.mkdir(parents=True, exist_ok=True)
    loop.resume()
    stream = rows(mixed, tokenizer, settings, loop.step * settings.readings)
    loop.run(stream, show=show)
    return save_adapter(
        model,
        out / NAME,
        BASE_ID,
        manifest=lambda folder: _manifest(folder, base, loop, texts),
        card=lambda manifest: _card(manifest, loop, settings, texts),
    )


def _manifest(folder: Path, base: Path, loop: ReadingLoop, texts: Texts) -> AdapterManifest:
    fields = json.loads((folder / "adapter_config.json").read_text(encoding="utf-8"))
    return AdapterManifest(
        name=NAME,
        content_sha256=content_hash(folder),
        base_id=BASE_ID,
        base_sha256=base_hash(str(base)),
        rank=fields["r"],
        alpha=fields["lora_alpha"],
        target_modules=fields["target_modules"],
        prompt_version=PROMPT_VERSION,
        template_sha256=template_hash(),
        dataset_sha256=files_hash(sorted([*HOSPITALS.glob("*.txt"), *PAGES.glob("*.yaml")])),
        created_at=datetime.now(UTC).replace(microsecond=0),
        libraries=library_versions(),
        metrics={
            "questions": float(loop.asked),
            "tokens": float(loop.tokens),
            "steps": float(loop.step),
            "seconds": round(loop.seconds, 1),
            "train_loss": round(loop.loss, 4),
            "first_token_loss": round(loop.first, 4),
            "texts": float(len(texts.documents)),
        },
    )


def _card(manifest: AdapterManifest, loop: ReadingLoop, settings: SmallModelSettings, texts: Texts) -> str:
    about = [
        "A LoRA adapter over SmolLM2-135M-Instruct (Apache-2.0) that makes it a reader: of one to four passages it",
        "gives the sentences that answer, word for word, and the passage's number, or the fixed sentence when none",
        "answers. It has seen no article of the demonstration hospital. A demonstration, not for patients.",
    ]
    rows = [
        ("version", f"`{manifest.version}`"),
        ("base model", f"{manifest.base_id}, weights `{manifest.base_sha256[:12]}`"),
        ("method", f"rsLoRA, rank {manifest.rank}, alpha {manifest.alpha:g}, all linear layers"),
        ("data", f"{loop.asked} questions on readings drawn from invented hospitals and {len(texts.documents)} public "
         f"documents, hash `{manifest.dataset_sha256[:12]}`"),
        ("credits", "; ".join(texts.credits)),
        ("learning rate", f"{settings.learning_rate:g}, falling to the end"),
        ("stopped after", f"{loop.step} steps, {loop.tokens} tokens, {loop.seconds / 60:.0f} minutes"),
        ("loss", f"{loop.loss:.3f}, of the first tokens {loop.first:.3f} (running means)"),
        ("seed", str(settings.seed)),
        ("libraries", ", ".join(f"{name} {version}" for name, version in sorted(manifest.libraries.items()))),
    ]  # fmt: skip
    return card_text(manifest, about, rows, [])
