"""Train the reranker: a cross-encoder over question and passage that tells how well one answers the other.

    bedside-train encoder rerank --out DIR --data PUBLIC

The first blocks of the pinned encoder read both texts in one pass (Nogueira and Cho 2019), with low-rank factors on all
their linear maps, and one linear layer over the first state and the mean of all gives a logit. Two losses learn
together: among the passages of a question, the right one (softmax); and of every pair whether it is answered
(logistic), so that the logit also tells where nothing answers.

What is written are the factors and the layer, float16, and a card; :mod:`app.encoder.delta` reads them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from random import Random

import numpy as np
import torch
import torch.nn.functional as functional
from rich.progress import track

from app.encoder.delta import RERANK_CARD, RERANK_FILE
from app.encoder.encoder import Encoder
from app.encoder.graph import WIDTH
from app.encoder.reranker import pair_ids
from app.knowledge.query import Lexicon
from training.encoder.lora import Ids, padded, pinned, write_change
from training.encoder.rerank_data import Group, epochs

TOGETHER = 32
"""Pairs that are padded to the length of their longest."""


@dataclass(frozen=True, slots=True)
class Settings:
    """Of one run. The first ``layers`` blocks are run. ``wrong`` passages stand beside the right one. ``public`` is the
    most public questions in all epochs; ``answered`` the weight of the loss that tells whether a pair is answered.
    """

    epochs: int = 2
    batch: int = 16
    layers: int = 4
    rank: int = 32
    wrong: int = 3
    public: int = 1_000
    learning_rate: float = 8e-4
    weight_decay: float = 0.01
    answered: float = 0.5
    seed: int = 7


class CrossReader(torch.nn.Module):
    """The pinned weights with factors, and the layer that gives a logit for each pair."""

    def __init__(self, settings: Settings) -> None:
        """Raises ConfigurationError where the weights are missing or others."""
        super().__init__()
        self.model, self.tokenizer = pinned(settings.rank, keep=settings.layers)
        self.tokenizer.no_truncation()
        self.judge = torch.nn.Linear(2 * WIDTH, 1)
        torch.nn.init.zeros_(self.judge.weight)
        torch.nn.init.zeros_(self.judge.bias)

    def forward(self, pairs: Sequence[tuple[str, str]]) -> torch.Tensor:
        """Logits (pairs), in the order given; pairs of like length are read together."""
        found = [np.array(ids) for question, text in pairs for ids in pair_ids(self.tokenizer, question, [text])]
        order = sorted(range(len(found)), key=lambda number: len(found[number]))
        parts = [self._read([found[n] for n in order[at : at + TOGETHER]]) for at in range(0, len(order), TOGETHER)]
        return torch.cat(parts)[torch.tensor(order).argsort()]

    def _read(self, texts: Sequence[Ids]) -> torch.Tensor:
        ids, mask = padded(texts)
        shown = mask[..., None].float()
        states = self.model(input_ids=ids, attention_mask=mask).last_hidden_state
        mean = (states * shown).sum(1) / shown.sum(1)
        logits: torch.Tensor = self.judge(torch.cat([states[:, 0], mean], dim=-1))[:, 0]
        return logits


def loss(network: CrossReader, groups: Sequence[Group], settings: Settings) -> torch.Tensor:
    """Softmax over the passages of each answered question, and ``answered`` times the logistic loss of every pair."""
    read = [(one, text) for one in groups for text in (*((one.right,) if one.right else ()), *one.wrong)]
    wanted = torch.tensor([float(text == one.right) for one, text in read])
    logits = network([(one.question, text) for one, text in read])
    total = settings.answered * functional.binary_cross_entropy_with_logits(
        logits, wanted, weight=1 + wanted * (settings.wrong - 2)
    )
    at, ranked = 0, []
    for one in groups:
        size = bool(one.right) + len(one.wrong)
        if one.right:
            ranked.append(-functional.log_softmax(logits[at : at + size], dim=0)[0])
        at += size
    return total + torch.stack(ranked).mean() if ranked else total


def train(out: Path, cache: Path, settings: Settings, data: Path | None = None) -> Path:
    """Make the groups, tune, and write factors, layer and card into ``out``; returns the path of the factors.

    ``data`` is the folder of the public part, or None to do without. Raises ConfigurationError.
    """
    torch.manual_seed(settings.seed)
    rng = Random(settings.seed)
    embed, lexicon = Encoder.load(cache).embed, Lexicon.load()
    network = CrossReader(settings)
    seen = epochs(embed, lexicon, rng, count=settings.epochs, wrong=settings.wrong, folder=data, public=settings.public)
    parameters = [one for one in network.parameters() if one.requires_grad]
    optimizer = torch.optim.AdamW(parameters, settings.learning_rate, weight_decay=settings.weight_decay)
    steps = sum(-(-len(groups) // settings.batch) for groups in seen)
    rates = torch.optim.lr_scheduler.OneCycleLR(optimizer, settings.learning_rate, total_steps=steps, pct_start=0.1)
    figures: dict[str, object] = {
        "layers": settings.layers, "settings": asdict(settings), "questions": [len(groups) for groups in seen],
        "public": data is not None,
    }  # fmt: skip
    network.train()
    path = out / RERANK_FILE
    for number, groups in enumerate(seen, 1):
        losses: list[float] = []
        for at in track(range(0, len(groups), settings.batch), description=f"epoch {number}"):
            total = loss(network, groups[at : at + settings.batch], settings)
            optimizer.zero_grad()
            torch.autograd.backward(total)
            torch.nn.utils.clip_grad_norm_(parameters, 1.0)
            optimizer.step()
            rates.step()
            losses.append(float(total.item()))
        told = {**figures, "epochs_done": number, "last_loss": round(sum(losses) / len(losses), 4)}
        path = write(network, out, told)
    return path


def write(network: CrossReader, out: Path, figures: dict[str, object]) -> Path:
    """Write factors, layer and card; returns the path of the factors."""
    layer = torch.cat([network.judge.weight.detach()[0], network.judge.bias.detach()]).half()
    return write_change(network.model, out / RERANK_FILE, out / RERANK_CARD, figures, more={"judge": layer})
