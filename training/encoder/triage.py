"""Train the learned raise of triage: two layers over the encoder's embedding, from written messages.

    bedside-train encoder triage --out DIR

The layers tell the categories of the policy bundle and ``none`` apart; the chance of an emergency is one minus that of
``none``. What is written is a small safetensors file (float16) and a card with its data, settings and figures;
:mod:`app.guardrails.learned` reads it. The threshold is chosen with :mod:`training.encoder.triage_measure` and stands
in the policy bundle, not in the weights.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from random import Random

import numpy as np
import torch
import torch.nn.functional as functional
from rich.progress import track
from safetensors.torch import save_file

from app.encoder.encoder import Encoder
from app.guardrails.learned import NONE, WEIGHTS_FILE, Vectors, views
from training.encoder.triage_data import Message
from training.wording import as_patient

SCALE = 16.0
"""Unit vectors are multiplied by this in training; it is folded into the first layer."""
EMBEDDED = 512
"""Texts that are embedded between two steps of the progress bar."""


@dataclass(frozen=True, slots=True)
class Settings:
    """Of one run. ``mixed`` and ``careless`` are shares of the second copies of messages (see :func:`varied`)."""

    epochs: int = 15
    batch: int = 512
    hidden: int = 512
    learning_rate: float = 2e-3
    weight_decay: float = 0.05
    dropout: float = 0.3
    noise: float = 0.15
    smoothing: float = 0.02
    mixed: float = 0.5
    careless: float = 0.5
    seed: int = 7


def train(found: Sequence[Message], categories: Sequence[str], settings: Settings, out: Path, cache: Path) -> Path:
    """Embed and train; writes the weights and ``learned.json`` into ``out`` and returns the weights' path."""
    classes = [NONE, *(name for name in categories if any(one.category == name for one in found))]
    copies = [*found, *varied(found, settings)]
    vectors = embedded([views(one.turns)[-1] for one in copies], Encoder.load(cache))
    inner, outer, loss = fit(vectors, copies, classes, settings)
    counts = {name: sum(one.category == name for one in found) for name in classes}
    card = {"settings": asdict(settings), "messages": counts, "last_loss": round(loss, 4)}
    out.mkdir(parents=True, exist_ok=True)
    (out / "learned.json").write_text(json.dumps(card, indent=1) + "\n", encoding="utf-8")
    return write(inner, outer, classes, out / WEIGHTS_FILE)


def write(inner: torch.nn.Linear, outer: torch.nn.Linear, classes: Sequence[str], path: Path) -> Path:
    """Write the layers as :class:`app.guardrails.learned.Classifier` reads them; returns ``path``."""
    tensors = {
        "inner.kernel": (inner.weight.detach() * SCALE).T.half().contiguous(),
        "inner.bias": inner.bias.detach().half(),
        "outer.kernel": outer.weight.detach().T.half().contiguous(),
        "outer.bias": outer.bias.detach().half(),
        "classes": torch.frombuffer(bytearray(json.dumps(classes).encode()), dtype=torch.uint8),
    }
    save_file(tensors, str(path))
    path.chmod(0o644)
    return path


def embedded(texts: Sequence[str], encoder: Encoder) -> Vectors:
    """Unit vectors of all texts, with a progress bar."""
    starts = range(0, len(texts), EMBEDDED)
    parts = [encoder.embed(texts[at : at + EMBEDDED]) for at in track(starts, description="embedding")]
    return np.concatenate(parts)


def fit(
    vectors: Vectors, messages: Sequence[Message], classes: Sequence[str], settings: Settings
) -> tuple[torch.nn.Linear, torch.nn.Linear, float]:
    """The two trained layers (ReLU between them) over vectors times :data:`SCALE`, and the last loss."""
    torch.manual_seed(settings.seed)
    inputs = torch.from_numpy(vectors) * SCALE
    wanted = torch.tensor([classes.index(one.category) for one in messages])
    weights = torch.tensor([one.weight for one in messages])
    inner = torch.nn.Linear(inputs.shape[1], settings.hidden)
    outer = torch.nn.Linear(settings.hidden, len(classes))
    network = torch.nn.Sequential(inner, torch.nn.ReLU(), torch.nn.Dropout(settings.dropout), outer)
    optimizer = torch.optim.AdamW(network.parameters(), settings.learning_rate, weight_decay=settings.weight_decay)
    steps = max(2, settings.epochs * len(messages) // settings.batch)
    rates = torch.optim.lr_scheduler.OneCycleLR(optimizer, settings.learning_rate, total_steps=steps)
    loss = torch.tensor(0.0)
    for _ in track(range(steps), description="training"):
        chosen = torch.multinomial(weights, settings.batch, replacement=True)
        noisy = inputs[chosen] + torch.randn(settings.batch, inputs.shape[1]) * settings.noise
        loss = functional.cross_entropy(network(noisy), wanted[chosen], label_smoothing=settings.smoothing)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        rates.step()
    return inner, outer, float(loss.item())


def varied(found: Sequence[Message], settings: Settings) -> list[Message]:
    """A second copy of each message of full weight as it may also have been written.

    It is written carelessly, or has a harmless message before it, after it, or a turn ago.
    """
    rng = Random(settings.seed)
    harmless = [one.turns[0] for one in found if one.category == NONE and len(one.turns) == 1]
    copies = []
    for message in found:
        if message.weight < 1:
            continue
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
        copies.append(Message(tuple(turns), message.category))
    return copies
