"""The demo model's training loop: a time budget, two phases, checkpoints, exact resume.

Weights compute in bfloat16; the optimiser works on float32 copies of them. Batches are a function of (seed, phase,
chunk), and checkpoints lie between chunks, so a resumed run sees the same batches as one that never stopped.
"""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
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

CHECKPOINT, BEST = "checkpoint.pt", "best.pt"
Phase = str
MakeBatches = Callable[[Phase, int], Iterable[Batch]]
"""(phase, chunk number) -> the batches of that chunk."""


@dataclass(slots=True)
class Progressed:
    """How far a run is: what a checkpoint stores besides tensors. Checks and checkpoints are not in ``seconds``.

    Running means (nats): ``loss``, the loss of answers' first tokens (``first``), and each guide's. ``check``: what the
    last look at held-back readings found, if there was one; ``best``: what the look found that had the highest mean
    share of right first tokens.
    """

    seconds: float = 0.0
    step: int = 0
    chunk: int = 0
    tokens: int = 0
    loss: float = math.nan
    first: float = math.nan
    guides: dict[str, float] = field(default_factory=dict)
    check: dict[str, float] = field(default_factory=dict)
    best: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Schedule:
    """Time budget in seconds, share of it for the first phase (``reading``), and the learning rate with its ends.

    ``guided`` is the weight of the guides' loss (0: no head is guided); it falls with the learning rate.
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
        return self.learning_rate * min(1.0, (progress.step + 1) / max(1, self.warmup_steps)) * self._decay(progress)

    def guide(self, progress: Progressed) -> float:
        """The weight of the guides' loss now."""
        return self.guided * self._decay(progress)

    def _decay(self, progress: Progressed) -> float:
        share = progress.seconds / self.seconds
        return 1.0 if share < self.decay_from else max(0.02, (1 - share) / (1 - self.decay_from))

    def phase(self, progress: Progressed) -> Phase:
        """``reading`` (loss on every token) first, then ``answering`` (loss on answers only)."""
        return "reading" if progress.seconds < self.reading * self.seconds else "answering"


class Loop:
    """Trains ``model`` in place, on its device, and keeps ``checkpoint.pt`` and ``metrics.jsonl`` in ``folder``.

    ``checks``, by name, are batches that it looks at, without learning, before each checkpoint; the weights that did
    best on them lie in ``best.pt``.
    """

    def __init__(
        self,
        model: LlamaForCausalLM,
        schedule: Schedule,
        folder: Path,
        *,
        compiled: bool = False,
        checks: Mapping[str, Sequence[Batch]] | None = None,
    ) -> None:
        self._model = model
        self._device = next(model.parameters()).device
        self._checks = checks or {}
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
        state = torch.load(self.checkpoint, weights_only=True, map_location=self._device)
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
                began = time.perf_counter()
                for batch in batches(phase, self.progress.chunk):
                    self._step(batch)
                    now = time.perf_counter()
                    self.progress.seconds += now - began
                    began = now
                    note = f"loss {self.progress.loss:.3f}, {self.progress.tokens / 1e6:.2f}M tokens"
                    bar.update(task, completed=self.progress.seconds, description=phase, note=note)
                self.progress.chunk += 1
                if self.progress.seconds - saved_at > self._schedule.checkpoint_seconds:
                    self._check()
                    self.save()
                    saved_at = self.progress.seconds
                self._log(phase)
        self._check()
        self._log(self._schedule.phase(self.progress))
        self.save()
        return self.progress

    def save(self) -> None:
        """Write the checkpoint, whole or not at all."""
        state = {
            "masters": [master.detach() for master in self._masters],
            "optimizer": self._optimizer.state_dict(),
            "progress": asdict(self.progress),
        }
        self._write(state, CHECKPOINT)

    @torch.no_grad()
    def take_best(self) -> bool:
        """Put the weights that did best on the checks into the model. Returns False when there were no checks."""
        kept = self._folder / BEST
        if not self._checks or not kept.is_file():
            return False
        torch._foreach_copy_([*self._weights], torch.load(kept, weights_only=True, map_location=self._device))
        return True

    def _write(self, state: object, name: str) -> None:
        part = self._folder / f"{name}.part"
        torch.save(state, part)
        os.replace(part, self._folder / name)

    def _finished(self, max_steps: int | None) -> bool:
        out_of_steps = max_steps is not None and self.progress.step >= max_steps
        return out_of_steps or self.progress.seconds >= self._schedule.seconds

    def _step(self, batch: Batch) -> None:
        seen = self._loss(batch.to(self._device))
        torch.autograd.backward(seen.whole)
        for weight, master in zip(self._weights, self._masters, strict=True):
            master.grad = None if weight.grad is None else weight.grad.float()
            weight.grad = None
        torch.nn.utils.clip_grad_norm_(self._masters, 1.0)
        for group in self._optimizer.param_groups:
            group["lr"] = self._schedule.rate(self.progress)
        self._optimizer.step()
        self._publish()
        now = self.progress
        # One transfer for all figures: each one makes the processor wait for the accelerator.
        value, first, *guides = torch.stack([seen.whole.detach(), seen.first, *seen.guides.values()]).tolist()
        if not math.isfinite(value):
            raise ConfigurationError(
                "The loss is not a number any more; lower `learning_rate` and run the command again: it goes on from "
                "the last checkpoint."
            )
        now.loss = running_mean(now.loss, value)
        if seen.guides:
            now.first = running_mean(now.first, first)
        for name, found in zip(seen.guides, guides, strict=True):
            now.guides[name] = running_mean(now.guides.get(name, math.nan), found)
        now.step += 1
        now.tokens += batch.tokens.numel()

    def _loss(self, batch: Batch) -> _Seen:
        if not self._schedule.guided or batch.aims is None:
            losses = answer_losses(self._model, batch, self._read)
            return _Seen(losses.mean(), losses.first(), {})
        with watching(self._model, batch.aims) as watch:
            losses = answer_losses(self._model, batch, self._read)
        whole = losses.mean() + self._schedule.guide(self.progress) * watch.loss()
        return _Seen(whole, losses.first(), {name: value.detach() for name, value in watch.losses.items()})

    @torch.no_grad()
    def _check(self) -> None:
        """Loss of the answers' first tokens on what is held back, and how many of them are right."""
        if not self._checks:
            return
        for name, batches in self._checks.items():
            found = [answer_losses(self._model, batch.to(self._device)) for batch in batches]
            count = sum(int(one.firsts.sum()) for one in found)
            self.progress.check[f"{name} loss"] = sum(float(one.losses[one.firsts].sum()) for one in found) / count
            self.progress.check[f"{name} right"] = sum(int(one.right[one.firsts].sum()) for one in found) / count
        if not self.progress.best or self._score(self.progress.check) > self._score(self.progress.best):
            self.progress.best = dict(self.progress.check)
            self._write([weight.detach() for weight in self._weights], BEST)

    def _score(self, found: Mapping[str, float]) -> float:
        return sum(found[f"{name} right"] for name in self._checks) / len(self._checks)

    @torch.no_grad()
    def _publish(self) -> None:
        torch._foreach_copy_([*self._weights], self._masters)

    def _log(self, phase: Phase) -> None:
        row = {"phase": phase, "learning_rate": self._schedule.rate(self.progress), **asdict(self.progress)}
        with (self._folder / "metrics.jsonl").open("a", encoding="utf-8") as out:
            out.write(json.dumps(row) + "\n")


def running_mean(old: float, new: float) -> float:
    """A running mean that begins with its first value."""
    return new if math.isnan(old) else 0.98 * old + 0.02 * new


@dataclass(frozen=True, slots=True)
class _Seen:
    """What a step gave: the loss with the guides', that of the answers' first tokens, and each guide's."""

    whole: torch.Tensor
    first: torch.Tensor
    guides: dict[str, torch.Tensor]


@dataclass(frozen=True, slots=True)
class AnswerLosses:
    """Of every labelled token the cross-entropy (nats), its weight, whether it is the first of its answer, and whether
    it is the likeliest.
    """

    losses: torch.Tensor
    weights: torch.Tensor
    firsts: torch.Tensor
    right: torch.Tensor

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
    right = logits.detach().argmax(-1) == wanted[kept]
    return AnswerLosses(losses, weights, (batch.labels[:, :-1] == IGNORED)[kept], right)
