"""The demo model's training loop: a time budget, two phases, checkpoints, exact resume.

Weights compute in bfloat16; the optimiser works on float32 copies of them. Batches are a function of (seed, phase,
chunk), and checkpoints lie between chunks, so a resumed run sees the same batches as one that never stopped.
"""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as functional
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from transformers import LlamaForCausalLM

from app.errors import ConfigurationError
from training.demo_model.batches import IGNORED, Batch
from training.demo_model.guides import ATTENTION, watching

CHECKPOINT = "checkpoint.pt"
Phase = str
MakeBatches = Callable[[Phase, int], Iterator[Batch]]
"""(phase, chunk number) -> the batches of that chunk."""


@dataclass(slots=True)
class Progressed:
    """How far a run is: what a checkpoint stores besides tensors.

    Running means (nats): ``loss``, the loss of answers' first tokens (``first``), and each guide's.
    """

    seconds: float = 0.0
    step: int = 0
    chunk: int = 0
    tokens: int = 0
    loss: float = math.nan
    first: float = math.nan
    guides: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Schedule:
    """Time budget in seconds, share of it for the first phase (``reading``), and the learning rate with its ends.

    ``guided`` is the weight of the guides' loss (0: no head is guided).
    """

    seconds: float
    reading: float = 0.45
    learning_rate: float = 2e-3
    warmup_steps: int = 100
    decay_from: float = 0.6
    weight_decay: float = 0.1
    checkpoint_seconds: float = 120.0
    guided: float = 0.0

    def rate(self, progress: Progressed) -> float:
        """Learning rate now: linear warm-up, flat, then linear to 2 % of it at the end."""
        share = progress.seconds / self.seconds
        decay = 1.0 if share < self.decay_from else max(0.02, (1 - share) / (1 - self.decay_from))
        return self.learning_rate * min(1.0, (progress.step + 1) / max(1, self.warmup_steps)) * decay

    def phase(self, progress: Progressed) -> Phase:
        """``reading`` (loss on every token) first, then ``answering`` (loss on answers only)."""
        return "reading" if progress.seconds < self.reading * self.seconds else "answering"


class Loop:
    """Trains ``model`` in place and keeps ``checkpoint.pt`` and ``metrics.jsonl`` in ``folder``."""

    def __init__(self, model: LlamaForCausalLM, schedule: Schedule, folder: Path, *, compiled: bool = False) -> None:
        self._model = model
        self._read: Callable[..., Any] = torch.compile(model.model, dynamic=True) if compiled else model.model
        if schedule.guided:
            model.set_attn_implementation(ATTENTION)
        self._schedule = schedule
        self._folder = folder
        self._weights = list(model.parameters())
        self._masters = [weight.detach().float().clone().requires_grad_(True) for weight in self._weights]
        self._optimizer = torch.optim.AdamW(
            self._masters, lr=schedule.learning_rate, betas=(0.9, 0.95), weight_decay=schedule.weight_decay, fused=True
        )
        self.progress = Progressed()

    @property
    def checkpoint(self) -> Path:
        """Where the state of a stopped run lies."""
        return self._folder / CHECKPOINT

    def resume(self) -> bool:
        """Go on from the folder's checkpoint. Returns False when there is none."""
        if not self.checkpoint.is_file():
            return False
        state = torch.load(self.checkpoint, weights_only=True)
        with torch.no_grad():
            for master, saved in zip(self._masters, state["masters"], strict=True):
                master.copy_(saved)
        self._optimizer.load_state_dict(state["optimizer"])
        self.progress = Progressed(**state["progress"])
        self._publish()
        return True

    def run(self, batches: MakeBatches, *, max_steps: int | None = None, show: bool = True) -> Progressed:
        """Train until the time budget (or ``max_steps``) is used up; returns how far it came."""
        self._folder.mkdir(parents=True, exist_ok=True)
        saved_at = self.progress.seconds
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.fields[note]}"),
            TimeRemainingColumn(),
        )
        with Progress(*columns, disable=not show) as bar:
            task = bar.add_task("reading", total=self._schedule.seconds, completed=int(self.progress.seconds), note="")
            while not self._finished(max_steps):
                phase = self._schedule.phase(self.progress)
                for batch in batches(phase, self.progress.chunk):
                    self._step(batch)
                    note = f"loss {self.progress.loss:.3f}, {self.progress.tokens / 1e6:.2f}M tokens"
                    bar.update(task, completed=self.progress.seconds, description=phase, note=note)
                self.progress.chunk += 1
                self._log(phase)
                if self.progress.seconds - saved_at > self._schedule.checkpoint_seconds:
                    self.save()
                    saved_at = self.progress.seconds
        self.save()
        return self.progress

    def save(self) -> None:
        """Write the checkpoint, whole or not at all."""
        state = {
            "masters": [master.detach() for master in self._masters],
            "optimizer": self._optimizer.state_dict(),
            "progress": asdict(self.progress),
        }
        part = self.checkpoint.with_suffix(".part")
        torch.save(state, part)
        os.replace(part, self.checkpoint)

    def _finished(self, max_steps: int | None) -> bool:
        out_of_steps = max_steps is not None and self.progress.step >= max_steps
        return out_of_steps or self.progress.seconds >= self._schedule.seconds

    def _step(self, batch: Batch) -> None:
        began = time.perf_counter()
        loss = self._loss(batch)
        loss.backward()  # type: ignore[no-untyped-call]
        for weight, master in zip(self._weights, self._masters, strict=True):
            master.grad = None if weight.grad is None else weight.grad.float()
            weight.grad = None
        torch.nn.utils.clip_grad_norm_(self._masters, 1.0)
        for group in self._optimizer.param_groups:
            group["lr"] = self._schedule.rate(self.progress)
        self._optimizer.step()
        self._publish()
        now, value = self.progress, float(loss.item())
        if not math.isfinite(value):
            raise ConfigurationError(
                "The loss is not a number any more; lower `learning_rate` and run the command again: it goes on from "
                "the last checkpoint."
            )
        now.loss = running_mean(now.loss, value)
        now.step += 1
        now.tokens += batch.tokens.numel()
        now.seconds += time.perf_counter() - began

    def _loss(self, batch: Batch) -> torch.Tensor:
        if not self._schedule.guided or batch.aims is None:
            losses = answer_losses(self._model, batch, self._read)
            return losses.mean()
        with watching(self._model, batch.aims) as watch:
            losses = answer_losses(self._model, batch, self._read)
        now = self.progress
        now.first = running_mean(now.first, float(losses.first().item()))
        for name, value in watch.losses.items():
            now.guides[name] = running_mean(now.guides.get(name, math.nan), float(value.item()))
        return losses.mean() + self._schedule.guided * watch.loss()

    def _publish(self) -> None:
        with torch.no_grad():
            for weight, master in zip(self._weights, self._masters, strict=True):
                weight.copy_(master)

    def _log(self, phase: Phase) -> None:
        row = {"phase": phase, "learning_rate": self._schedule.rate(self.progress), **asdict(self.progress)}
        with (self._folder / "metrics.jsonl").open("a", encoding="utf-8") as out:
            out.write(json.dumps(row) + "\n")


def running_mean(old: float, new: float) -> float:
    """A running mean that begins with its first value."""
    return new if math.isnan(old) else 0.98 * old + 0.02 * new


@dataclass(frozen=True, slots=True)
class AnswerLosses:
    """Cross-entropy (nats) of every labelled token, its weight, and whether it is the first of its answer."""

    losses: torch.Tensor
    weights: torch.Tensor
    firsts: torch.Tensor

    def mean(self) -> torch.Tensor:
        """The weighted mean."""
        return (self.losses * self.weights).sum() / self.weights.sum()

    def first(self) -> torch.Tensor:
        """The mean over the answers' first tokens."""
        return self.losses[self.firsts].detach().mean()


def answer_losses(model: LlamaForCausalLM, batch: Batch, read: Callable[..., Any] | None = None) -> AnswerLosses:
    """Losses of the labelled tokens; logits are computed at those places only.

    ``read`` is a compiled form of the model's body, where there is one.
    """
    body = model.model if read is None else read
    state = body(input_ids=batch.tokens, position_ids=batch.positions, attention_mask=batch.mask)
    hidden = state.last_hidden_state[:, :-1]
    wanted = batch.labels[:, 1:]
    kept = wanted != IGNORED
    logits = model.lm_head(hidden[kept]).float()
    losses = functional.cross_entropy(logits, wanted[kept], reduction="none")
    weights = torch.ones_like(losses) if batch.weights is None else batch.weights[:, 1:][kept]
    return AnswerLosses(losses, weights, (batch.labels[:, :-1] == IGNORED)[kept])
