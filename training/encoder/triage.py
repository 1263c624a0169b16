"""Train the learned raise of triage: the encoder's last blocks, and two layers over the vector that they give a turn.

    bedside-train encoder triage --out DIR

The layers tell the categories of the policy bundle and ``none`` apart; the chance of an emergency is one minus that of
``none``. They are trained first, over the encoder as published, and then together with low-rank factors of its blocks
(first the head, then all: Kumar et al. 2022). What is written are two files, float16: the factors with a card,
which :mod:`app.encoder.delta` reads, and the layers, which :mod:`app.guardrails.learned` reads. The threshold is chosen
with :mod:`training.encoder.triage_measure` and stands in the policy bundle, not in the weights.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from random import Random
from typing import Any

import torch
import torch.nn.functional as functional
from rich.progress import track
from safetensors.torch import save_file

from app.encoder.delta import TURNS_CARD, TURNS_FILE
from app.encoder.graph import WIDTH
from app.guardrails.learned import NONE, WEIGHTS_FILE, Vectors, views
from training.encoder.lora import encode, padded, pinned, write_change
from training.encoder.triage_data import Message
from training.wording import as_patient

SCALE = 16.0
"""Unit vectors are multiplied by this in training; it is folded into the first layer."""
TUNED_LAYERS = (2, 3, 4, 5)
"""The first two blocks keep reading as they did: a third less work in each step."""
TOGETHER = 32
"""Turns that are padded to the length of their longest."""
EMBEDDED, HEAD_BATCH = 512, 512
"""Texts between two steps of the progress bar; vectors in a step of the layers alone."""


@dataclass(frozen=True, slots=True)
class Settings:
    """Of one run. ``head_epochs`` are those of the layers alone. A message is seen otherwise than it was written with a
    chance of ``changed``; ``mixed`` and ``careless`` are the chances of the two changes then (see :func:`varied`).
    """

    head_epochs: int = 15
    epochs: int = 5
    batch: int = 96
    rank: int = 32
    hidden: int = 512
    head_rate: float = 2e-3
    learning_rate: float = 5e-4
    weight_decay: float = 0.05
    dropout: float = 0.3
    noise: float = 0.15
    smoothing: float = 0.02
    changed: float = 0.5
    mixed: float = 0.5
    careless: float = 0.5
    seed: int = 7


class TurnReader(torch.nn.Module):
    """The pinned weights with factors in the last blocks: a unit vector for each text, the mean of its states."""

    def __init__(self, rank: int) -> None:
        """Raises ConfigurationError where the weights are missing or others."""
        super().__init__()
        self.model, self.tokenizer = pinned(rank, tuned=TUNED_LAYERS)

    def forward(self, texts: Sequence[str]) -> torch.Tensor:
        """Unit vectors (texts, 384), in the order given; texts of like length are read together."""
        found = [encode(self.tokenizer, text)[0] for text in texts]
        order = sorted(range(len(found)), key=lambda number: len(found[number]))
        parts = [self._read([found[n] for n in order[at : at + TOGETHER]]) for at in range(0, len(order), TOGETHER)]
        return torch.cat(parts)[torch.tensor(order).argsort()]

    def _read(self, texts: Sequence[Any]) -> torch.Tensor:
        ids, mask = padded(texts)
        shown = mask[..., None].float()
        states = self.model(input_ids=ids, attention_mask=mask).last_hidden_state
        return functional.normalize((states * shown).sum(1) / shown.sum(1), dim=-1)


class Head(torch.nn.Module):
    """The two layers, ReLU between them: logits (texts, classes) of unit vectors (texts, 384)."""

    def __init__(self, classes: int, settings: Settings) -> None:
        super().__init__()
        self.inner, self.outer = torch.nn.Linear(WIDTH, settings.hidden), torch.nn.Linear(settings.hidden, classes)
        self._dropout = torch.nn.Dropout(settings.dropout)

    def forward(self, vectors: torch.Tensor) -> torch.Tensor:
        result: torch.Tensor = self.outer(self._dropout(functional.relu(self.inner(vectors * SCALE))))
        return result


def train(found: Sequence[Message], categories: Sequence[str], settings: Settings, out: Path) -> Path:
    """Train both; writes factors, their card and the layers into ``out`` and returns the path of the layers."""
    torch.manual_seed(settings.seed)
    rng = Random(settings.seed)
    classes = [NONE, *(name for name in categories if any(one.category == name for one in found))]
    reader = TurnReader(settings.rank)
    first = epoch(found, settings, rng)
    head = fit(embedded([views(one.turns)[-1] for one in first], reader), first, classes, settings)
    loss = tune(reader, head, found, classes, settings, rng)
    counts = {name: sum(one.category == name for one in found) for name in classes}
    card = {"settings": asdict(settings), "messages": counts, "last_loss": round(loss, 4)}
    write_change(reader.model, out / TURNS_FILE, out / TURNS_CARD, card)
    return write(head, classes, out / WEIGHTS_FILE)


def write(head: Head, classes: Sequence[str], path: Path) -> Path:
    """Write the layers as :class:`app.guardrails.learned.Classifier` reads them; returns ``path``."""
    tensors = {
        "inner.kernel": (head.inner.weight.detach() * SCALE).T.half().contiguous(),
        "inner.bias": head.inner.bias.detach().half(),
        "outer.kernel": head.outer.weight.detach().T.half().contiguous(),
        "outer.bias": head.outer.bias.detach().half(),
        "classes": torch.frombuffer(bytearray(json.dumps(classes).encode()), dtype=torch.uint8),
    }
    save_file(tensors, str(path))
    path.chmod(0o644)
    return path


def embedded(texts: Sequence[str], reader: TurnReader) -> Vectors:
    """Unit vectors of all texts, with a progress bar."""
    starts = range(0, len(texts), EMBEDDED)
    with torch.no_grad():
        parts = [reader(texts[at : at + EMBEDDED]) for at in track(starts, description="embedding")]
    return torch.cat(parts).numpy()


def fit(vectors: Vectors, messages: Sequence[Message], classes: Sequence[str], settings: Settings) -> Head:
    """The two layers, trained over vectors that stay as they are."""
    torch.manual_seed(settings.seed)
    head = Head(len(classes), settings)
    inputs = torch.from_numpy(vectors)
    wanted = torch.tensor([classes.index(one.category) for one in messages])
    optimizer = torch.optim.AdamW(head.parameters(), settings.head_rate, weight_decay=settings.weight_decay)
    steps = max(2, settings.head_epochs * len(messages) // HEAD_BATCH)
    rates = torch.optim.lr_scheduler.OneCycleLR(optimizer, settings.head_rate, total_steps=steps)
    for _ in track(range(steps), description="layers"):
        chosen = torch.randint(len(messages), (HEAD_BATCH,))
        noisy = inputs[chosen] + torch.randn(HEAD_BATCH, inputs.shape[1]) * (settings.noise / SCALE)
        loss = functional.cross_entropy(head(noisy), wanted[chosen], label_smoothing=settings.smoothing)
        optimizer.zero_grad()
        torch.autograd.backward(loss)
        optimizer.step()
        rates.step()
    return head


def tune(
    reader: TurnReader, head: Head, found: Sequence[Message], classes: Sequence[str], settings: Settings, rng: Random
) -> float:
    """Train the factors and the layers together; returns the mean loss of the last epoch."""
    epochs = [epoch(found, settings, rng) for _ in range(settings.epochs)]
    parameters = [one for one in [*reader.parameters(), *head.parameters()] if one.requires_grad]
    optimizer = torch.optim.AdamW(parameters, settings.learning_rate, weight_decay=settings.weight_decay)
    steps = sum(-(-len(messages) // settings.batch) for messages in epochs)
    rates = torch.optim.lr_scheduler.OneCycleLR(optimizer, settings.learning_rate, total_steps=steps, pct_start=0.1)
    losses: list[float] = []
    for number, messages in enumerate(epochs, 1):
        losses = []
        for batch in track(list(_batches(messages, settings.batch, rng)), description=f"epoch {number}"):
            wanted = torch.tensor([classes.index(one.category) for one in batch])
            logits = head(reader([views(one.turns)[-1] for one in batch]))
            loss = functional.cross_entropy(logits, wanted, label_smoothing=settings.smoothing)
            optimizer.zero_grad()
            torch.autograd.backward(loss)
            torch.nn.utils.clip_grad_norm_(parameters, 1.0)
            optimizer.step()
            rates.step()
            losses.append(float(loss.item()))
    return sum(losses) / len(losses)


def _batches(messages: Sequence[Message], size: int, rng: Random) -> Iterator[Sequence[Message]]:
    mixed = rng.sample(messages, len(messages))
    for at in range(0, len(mixed), size):
        yield mixed[at : at + size]


def epoch(found: Sequence[Message], settings: Settings, rng: Random) -> list[Message]:
    """What is seen of the messages once: each with the chance of its weight, as it was written or :func:`varied`."""
    harmless = [one.turns[0] for one in found if one.category == NONE and len(one.turns) == 1]
    return [
        varied(one, harmless, settings, rng) if rng.random() < settings.changed else one
        for one in found
        if rng.random() < one.weight
    ]


def varied(message: Message, harmless: Sequence[str], settings: Settings, rng: Random) -> Message:
    """The message as it may also have been written: carelessly, or with one of ``harmless`` before it, after it, or a
    turn ago.
    """
    turns = list(message.turns)
    if rng.random() < settings.mixed:
        other, place = rng.choice(harmless), rng.random()
        if place < 0.4:
            turns.insert(0, other)
        elif place < 0.75:
            turns[-1] = f"{other} {rng.choice(('also ', 'and ', '', ''))}{turns[-1]}"
        else:
            turns[-1] = f"{turns[-1]} {other}"
    if rng.random() < settings.careless:
        turns[-1] = as_patient(turns[-1], rng)
    return Message(tuple(turns), message.category, message.weight)
