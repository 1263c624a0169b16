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
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Annotated, Any

import torch
from peft import get_peft_model, get_peft_model_state_dict, set_peft_model_state_dict
from pydantic import BaseModel, ConfigDict, Field
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from tokenizers import Tokenizer
from transformers import LlamaForCausalLM

from app.contracts.adapters import AdapterManifest, content_hash
from app.contracts.prompt import PROMPT_VERSION, template_hash
from app.errors import ConfigurationError
from training.demo_model.batches import Row, alone, encode
from training.demo_model.exercises import DESK_FACTS, PAGES, ExerciseMaker
from training.demo_model.loop import CHECKPOINT, Progressed, Schedule, answer_losses, running_mean
from training.demo_model.readings import HospitalReadings, MixedReadings
from training.demo_model.sources import FILES, Texts, read
from training.demo_model.tokenizer import load_tokenizer
from training.files import file_hash
from training.finetune.adapter import base_hash, card_text, save_adapter
from training.finetune.config import LoraSettings
from training.finetune.data import files_hash
from training.finetune.trainer import library_versions, lora_config
from training.hospitals.articles import FOLDER as HOSPITALS
from training.hospitals.articles import hospitals
from training.small_model.attention import ATTENTION, Layout, laid_out
from training.small_model.package import BASE_ID, WEIGHTS_SHA256

NAME = "reader"
MINUTES = 60.0
CHUNK = 300
"""Readings that are drawn with one seed."""


class SmallModelSettings(BaseModel):
    """Data mix, adapter and budget of a run.

    ``readings`` make one step. ``hospitals`` is the share of readings drawn from hospitals' articles, ``worded`` the
    share of the exercises' questions made of words of their answers, ``early`` how much the first tokens of an answer
    count. Readings of more than ``longest`` tokens are left out.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    minutes: float = Field(default=MINUTES, gt=0)
    lora: LoraSettings = LoraSettings(rank=16, alpha=8, dropout=0.0)
    learning_rate: float = Field(default=1.5e-3, gt=0)
    warmup_steps: int = Field(default=30, ge=1)
    decay_from: float = Field(default=0.5, ge=0, lt=1)
    readings: int = Field(default=2, ge=1)
    passages: tuple[Annotated[int, Field(ge=1, le=4)], ...] = (1, 1, 2, 3, 4, 4)
    hospitals: float = Field(default=0.65, ge=0, le=1)
    worded: float = Field(default=0.15, ge=0, le=1)
    early: float = Field(default=3.0, gt=0)
    longest: int = Field(default=1_600, ge=64)
    seed: int = 7
    threads: int = Field(default=2, ge=1)
    checkpoint_seconds: float = Field(default=120.0, ge=0)


@dataclass(slots=True)
class ReadingProgress(Progressed):
    """How far a run is; ``asked`` counts questions."""

    asked: int = 0


@dataclass(frozen=True, slots=True)
class _Part:
    """Of one row: the weighted sum of its losses, their weight, and the mean loss of the answers' first tokens."""

    loss: float
    weight: float
    first: float


class ReadingLoop:
    """Trains the adapter of ``model`` and keeps ``checkpoint.pt`` and ``metrics.jsonl`` in ``folder``.

    ``identity`` names what a run hangs on (settings, base, data): a checkpoint of another one is refused.
    """

    def __init__(self, model: Any, settings: SmallModelSettings, folder: Path, identity: str) -> None:
        self._model, self._settings, self._folder, self._identity = model, settings, folder, identity
        self._schedule = Schedule(
            seconds=settings.minutes * 60, learning_rate=settings.learning_rate,
            warmup_steps=settings.warmup_steps, decay_from=settings.decay_from,
        )  # fmt: skip
        self._weights = [weight for weight in model.parameters() if weight.requires_grad]
        self._optimizer = torch.optim.AdamW(
            self._weights, lr=settings.learning_rate, betas=(0.9, 0.99), weight_decay=0.0
        )
        self.progress = ReadingProgress()

    @property
    def checkpoint(self) -> Path:
        """Where the state of a stopped run lies."""
        return self._folder / CHECKPOINT

    def resume(self) -> bool:
        """Go on from the folder's checkpoint. Returns False when there is none. Raises ConfigurationError."""
        if not self.checkpoint.is_file():
            return False
        mend = f"name another --out, or delete {self.checkpoint} to begin anew"
        try:
            state = torch.load(self.checkpoint, weights_only=True)
        except Exception as error:
            raise ConfigurationError(f"{self.checkpoint} cannot be read ({type(error).__name__}); {mend}") from None
        if state.get("identity") != self._identity:
            raise ConfigurationError(f"{self.checkpoint} is of a run with other settings, base or data; {mend}")
        set_peft_model_state_dict(self._model, state["adapter"])
        self._optimizer.load_state_dict(state["optimizer"])
        self.progress = ReadingProgress(**state["progress"])
        return True

    def save(self) -> None:
        """Write the checkpoint, whole or not at all."""
        state = {
            "identity": self._identity,
            "adapter": get_peft_model_state_dict(self._model),
            "optimizer": self._optimizer.state_dict(),
            "progress": asdict(self.progress),
        }
        part = self.checkpoint.with_suffix(".part")
        torch.save(state, part)
        os.replace(part, self.checkpoint)

    def run(self, rows: Iterator[Row], *, show: bool = True) -> None:
        """Train until the minutes are used up. ``rows`` goes on where the checkpoint ended.

        A run that is interrupted saves what it has learnt. Raises ConfigurationError when it does not learn.
        """
        now, saved_at = self.progress, self.progress.seconds
        columns = (BarColumn(), TextColumn("{task.fields[note]}"), TimeRemainingColumn())
        with Progress(*columns, disable=not show) as bar:
            task = bar.add_task("reading", total=self._schedule.seconds, completed=int(now.seconds), note="")
            try:
                while now.seconds < self._schedule.seconds:
                    self._step(list(islice(rows, self._settings.readings)))
                    bar.update(task, completed=now.seconds, note=f"loss {now.loss:.3f}, first token {now.first:.3f}")
                    if now.seconds - saved_at > self._settings.checkpoint_seconds:
                        self._log()
                        self.save()
                        saved_at = now.seconds
            except KeyboardInterrupt:
                self.save()
                raise
        self.save()

    def _step(self, rows: list[Row]) -> None:
        began, now = time.perf_counter(), self.progress
        found = [self._losses(row) for row in rows]  # one after another: each gives its part of the gradient at once
        weight = sum(part.weight for part in found)
        for value in self._weights:
            if value.grad is not None:
                value.grad /= weight
        length = torch.nn.utils.clip_grad_norm_(self._weights, 1.0)
        loss = sum(part.loss for part in found) / weight
        if not (math.isfinite(loss) and math.isfinite(float(length.item()))):
            raise ConfigurationError(
                "The loss is not a number any more. Delete the checkpoint, and begin anew with a lower --learning-rate."
            )
        for group in self._optimizer.param_groups:
            group["lr"] = self._schedule.rate(now)
        self._optimizer.step()
        self._optimizer.zero_grad()
        now.loss = running_mean(now.loss, loss)
        now.first = running_mean(now.first, sum(part.first for part in found) / len(found))
        now.tokens += sum(map(len, rows))
        now.asked += sum(len(row.branches) for row in rows)
        now.step += 1
        now.seconds += time.perf_counter() - began

    def _losses(self, row: Row) -> _Part:
        """Read one row and add the gradient of its weighted losses."""
        with laid_out(Layout(len(row.head), [len(branch.ids) for branch in row.branches])):
            found = answer_losses(self._model.base_model.model, alone(row, early=self._settings.early))
            loss = (found.losses * found.weights).sum()
            torch.autograd.backward(loss)
        return _Part(float(loss.item()), float(found.weights.sum().item()), float(found.first().item()))

    def _log(self) -> None:
        with (self._folder / "metrics.jsonl").open("a", encoding="utf-8") as out:
            out.write(json.dumps(asdict(self.progress)) + "\n")


def adapted(base: Path, settings: SmallModelSettings) -> Any:
    """The base model, float32 and frozen, with a fresh adapter."""
    model = LlamaForCausalLM.from_pretrained(str(base), dtype=torch.float32, attn_implementation=ATTENTION)
    return get_peft_model(model, lora_config(settings.lora))


def rows(mixed: MixedReadings, tokenizer: Tokenizer, settings: SmallModelSettings, skip: int = 0) -> Iterator[Row]:
    """Readings as tokens, without end; ``skip`` of them are passed over (a resumed run has seen them).

    Raises ConfigurationError when none is short enough.
    """
    chunk = 0
    while True:
        drawn = mixed.stream(f"{settings.seed}-{chunk}", CHUNK, settings.passages)
        found = [row for row in (encode(tokenizer, reading) for reading in drawn) if _fits(row, settings.longest)]
        if not found:
            raise ConfigurationError(f"No reading fits into {settings.longest} tokens; raise `longest`.")
        passed = min(skip, len(found))
        skip -= passed
        yield from found[passed:]
        chunk += 1


def _fits(row: Row, longest: int) -> bool:
    return bool(row.branches) and len(row) <= longest


def train(
    base: Path,
    data: Path,
    out: Path,
    settings: SmallModelSettings,
    *,
    weights_sha256: str = WEIGHTS_SHA256,
    show: bool = True,
) -> AdapterManifest:
    """Train and write the adapter's folder ``out/reader``; its manifest.

    Raises ConfigurationError: the base is not the one that ``small-model fetch`` writes, data is missing or broken, or
    the checkpoint is of another run.
    """
    if not (base / "tokenizer.json").is_file() or base_hash(str(base)) != weights_sha256:
        raise ConfigurationError(f"{base} is not the model that `bedside-train small-model fetch` writes: run it first")
    texts = read(data)
    used = [data / f"{name}.jsonl.gz" for name in FILES]
    learnt = [*sorted(HOSPITALS.glob("*.txt")), *sorted(PAGES.glob("*.yaml")), DESK_FACTS, *used]
    data_sha256, trained_on = files_hash(learnt), [file_hash(path) for path in learnt]
    torch.set_num_threads(settings.threads)
    torch.manual_seed(settings.seed)
    mixed = MixedReadings(
        HospitalReadings(list(hospitals().values())), ExerciseMaker(texts, worded=settings.worded), settings.hospitals
    )
    tokenizer = load_tokenizer(base)
    out.mkdir(parents=True, exist_ok=True)
    lasting = settings.model_dump_json(exclude={"minutes", "threads", "checkpoint_seconds"})
    loop = ReadingLoop(model := adapted(base, settings), settings, out, f"{lasting} {weights_sha256} {data_sha256}")
    loop.resume()
    loop.run(rows(mixed, tokenizer, settings, loop.progress.step * settings.readings), show=show)
    return save_adapter(
        model,
        out / NAME,
        BASE_ID,
        manifest=lambda folder: _manifest(folder, loop.progress, weights_sha256, data_sha256, trained_on),
        card=lambda manifest: _card(manifest, loop.progress, settings, texts),
    )


def _manifest(
    folder: Path, progress: ReadingProgress, weights_sha256: str, data_sha256: str, trained_on: list[str]
) -> AdapterManifest:
    fields = json.loads((folder / "adapter_config.json").read_text(encoding="utf-8"))
    return AdapterManifest(
        name=NAME,
        content_sha256=content_hash(folder),
        base_id=BASE_ID,
        base_sha256=weights_sha256,
        rank=fields["r"],
        alpha=fields["lora_alpha"],
        target_modules=fields["target_modules"],
        prompt_version=PROMPT_VERSION,
        template_sha256=template_hash(),
        dataset_sha256=data_sha256,
        trained_on=trained_on,
        created_at=datetime.now(UTC).replace(microsecond=0),
        libraries=library_versions(),
        metrics={
            "questions": float(progress.asked),
            "tokens": float(progress.tokens),
            "steps": float(progress.step),
            "seconds": round(progress.seconds, 1),
            "train_loss": round(progress.loss, 4),
            "first_token_loss": round(progress.first, 4),
        },
    )


def _card(manifest: AdapterManifest, progress: ReadingProgress, settings: SmallModelSettings, texts: Texts) -> str:
    about = [
        "A LoRA adapter over SmolLM2-135M-Instruct (Apache-2.0) that makes it a reader: of one to four passages it",
        "gives the sentences that answer, word for word, and the passage's number, or the fixed sentence when none",
        "answers. It has seen no article of the demonstration hospital. A demonstration, not for patients.",
    ]
    lora = settings.lora
    rows = [
        ("version", f"`{manifest.version}`"),
        ("base model", f"{manifest.base_id}, weights `{manifest.base_sha256[:12]}`"),
        ("method", f"rsLoRA, rank {lora.rank}, alpha {lora.alpha:g}, all linear layers"),
        ("data", f"{progress.asked} questions on readings drawn from invented hospitals and {len(texts.documents)} "
         f"public documents, hash `{manifest.dataset_sha256[:12]}`"),
        ("credits", "; ".join(texts.credits)),
        ("learning rate", f"{settings.learning_rate:g}, falling to the end"),
        ("stopped after", f"{progress.step} steps, {progress.tokens} tokens, {progress.seconds / 60:.0f} minutes"),
        ("loss", f"{progress.loss:.3f}, of the first tokens {progress.first:.3f} (running means)"),
        ("seed", str(settings.seed)),
        ("libraries", ", ".join(f"{name} {version}" for name, version in sorted(manifest.libraries.items()))),
    ]  # fmt: skip
    return card_text(manifest, about, rows, [])
