"""Tune the encoder for search: LoRA over the pinned weights, so that a question lies near the passage that answers it.

    bedside-train encoder retrieve --out DIR

Each batch holds questions of near pages, so that the passages of the others are wrong ones that look right (InfoNCE,
van den Oord et al. 2018, with the batch's passages and one wrong passage of the same page as the choices). Two
likenesses learn together: of whole texts, the cosine of their vectors; and of their tokens (late interaction, Khattab
and Zaharia 2020): for each token of the question the nearest token of the passage, weighed by how much the token says.

What is written are the factors of the change, the map from states to token vectors and weights, float16, and a card;
:mod:`app.encoder.delta` reads them.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import torch
import torch.nn.functional as functional
from numpy.typing import NDArray
from rich.progress import track
from safetensors.torch import save_file

from app.encoder.delta import CARD_FILE, DELTA_FILE
from app.encoder.encoder import Encoder
from app.encoder.graph import WIDTH
from app.encoder.text import TOKEN_WIDTH
from app.encoder.weights import WEIGHTS_SHA256
from training.encoder.lora import Ids, encode, factors, padded, pinned
from training.encoder.retrieve_data import Pair, Sizes, clear_questions, page_pairs, public_pairs, written_pages

LONGEST = 96
"""Tokens of a passage in training; longer ones are cut."""
TUNED_LAYERS = (2, 3, 4, 5)
"""The first two keep reading as they did: a third less work in each step."""
TOGETHER = 24
"""Texts that are padded to the length of their longest."""


@dataclass(frozen=True, slots=True)
class Settings:
    """Of one run. ``scale`` and ``token_scale`` multiply likenesses before the softmax.

    ``near`` is the share of a batch from near pages. ``applied`` is the share of the change that is served: between
    the weights as published and the tuned ones less is forgotten (Wortsman et al. 2022).
    """

    epochs: int = 3
    batch: int = 64
    rank: int = 16
    alpha: float = 32.0
    learning_rate: float = 2e-4
    weight_decay: float = 0.01
    dropout: float = 0.05
    scale: float = 20.0
    token_scale: float = 30.0
    near: float = 0.5
    applied: float = 0.5
    seed: int = 7


@dataclass(frozen=True, slots=True)
class Read:
    """Texts as the network reads them: unit vectors (texts, 384), unit token vectors (texts, tokens, TOKEN_WIDTH), the
    weights of the tokens (texts, tokens; 0 for padding and marks), and which tokens are real."""

    vectors: torch.Tensor
    tokens: torch.Tensor
    weights: torch.Tensor
    real: torch.Tensor


class Tuned(torch.nn.Module):
    """The encoder in torch with LoRA on all its linear maps, and the map to token vectors and weights."""

    def __init__(self, settings: Settings) -> None:
        super().__init__()
        strength = settings.alpha / settings.rank
        self.model, self.tokenizer = pinned(
            settings.rank, strength=strength, dropout=settings.dropout, tuned=TUNED_LAYERS
        )
        self.tokenizer.enable_truncation(LONGEST)
        self.narrow = torch.nn.Linear(WIDTH, TOKEN_WIDTH, bias=False)
        self.weigh = torch.nn.Linear(WIDTH, 1)
        torch.nn.init.zeros_(self.weigh.weight)

    def forward(self, texts: Sequence[str]) -> Read:
        """The texts, in the order given; those of like length are read together."""
        found = [encode(self.tokenizer, text)[0] for text in texts]
        order = sorted(range(len(texts)), key=lambda n: len(found[n]))
        longest = len(found[order[-1]]) - 2
        parts = [
            self._read([found[n] for n in order[at : at + TOGETHER]], longest) for at in range(0, len(order), TOGETHER)
        ]
        back = torch.tensor(order).argsort()
        vectors, tokens, weights, real = (torch.cat(column)[back] for column in zip(*parts, strict=True))
        return Read(vectors, tokens, weights, real)

    def _read(self, ids: list[Ids], longest: int) -> tuple[torch.Tensor, ...]:
        """The parts of a :class:`Read`, padded to ``longest`` tokens without the two marks."""
        batch, mask = padded(ids)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            states = self.model(input_ids=batch, attention_mask=mask).last_hidden_state
        states = states.float()
        shown = mask[..., None].float()
        vectors = functional.normalize((states * shown).sum(1) / shown.sum(1), dim=-1)
        inner, real = states[:, 1:-1], mask[:, 2:].bool()  # the last real token is the model's mark
        tokens = functional.normalize(self.narrow(inner), dim=-1)
        weights = functional.softplus(self.weigh(inner)[..., 0]) * real
        more = longest - inner.shape[1]
        return (
            vectors, functional.pad(tokens, (0, 0, 0, more)), functional.pad(weights, (0, more)),
            functional.pad(real, (0, more)),
        )  # fmt: skip


def by_tokens(asked: Read, passages: Read) -> torch.Tensor:
    """Likeness (questions, passages) of tokens: the weighted mean of each question token's nearest passage token."""
    near = torch.einsum("qtd,psd->qpts", asked.tokens, passages.tokens)
    near = near.masked_fill(~passages.real[None, :, None, :], -1.0).amax(dim=3)
    weights = asked.weights / asked.weights.sum(dim=1, keepdim=True).clamp(min=1e-6)
    return torch.einsum("qpt,qt->qp", near, weights)


def train(out: Path, cache: Path, settings: Settings, sizes: Sizes, data: Path | None = None) -> Path:
    """Make the pairs, tune, and write the factors and ``search.json`` into ``out``; returns the factors' path.

    ``data`` is the folder of the public part, or None to do without. Raises ConfigurationError.
    """
    torch.manual_seed(settings.seed)
    rng = Random(settings.seed)
    encoder = Encoder.load(cache)
    network = Tuned(settings)
    clear = clear_questions(written_pages(), encoder.embed)
    public = public_pairs(data, rng, sizes) if data else []
    epochs = [[*page_pairs(written_pages(), rng, sizes, clear), *public] for _ in range(settings.epochs)]
    steps = sum(len(pairs) // settings.batch for pairs in epochs)
    optimizer = torch.optim.AdamW(
        [one for one in network.parameters() if one.requires_grad],
        settings.learning_rate,
        weight_decay=settings.weight_decay,
    )
    rates = torch.optim.lr_scheduler.OneCycleLR(optimizer, settings.learning_rate, total_steps=steps, pct_start=0.1)
    losses: list[float] = []
    network.train()
    for number, pairs in enumerate(epochs, 1):
        subjects = list(dict.fromkeys(pair.group for pair in pairs))
        places = encoder.embed(subjects)[[subjects.index(pair.group) for pair in pairs]]
        batches = list(neighbourhoods(pairs, places, settings, rng))
        losses = []
        for chosen in track(batches, description=f"epoch {number}"):
            total = loss(network, [pairs[n] for n in chosen], settings)
            optimizer.zero_grad()
            total.backward()  # type: ignore[no-untyped-call]
            torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
            optimizer.step()
            rates.step()
            losses.append(float(total.item()))
    figures = {
        "base": WEIGHTS_SHA256, "settings": asdict(settings), "sizes": asdict(sizes), "pairs": len(epochs[-1]),
        "public": data is not None, "last_loss": round(sum(losses) / len(losses), 4),
    }  # fmt: skip
    return write(network, out, settings, figures)


def neighbourhoods(
    pairs: Sequence[Pair], places: NDArray[np.float32], settings: Settings, rng: Random
) -> Iterator[list[int]]:
    """Places of pairs in full batches: a seed drawn by lot, those of the nearest pages, and others by lot.

    ``places`` are unit vectors of the pairs' groups, float32 (pairs, 384). Each pair comes once at most: what fills no
    batch is left out.
    """
    left = list(range(len(pairs)))
    rng.shuffle(left)
    while len(left) >= settings.batch:
        seed = left[0]
        order = sorted(left, key=lambda n: -float(places[n] @ places[seed]))[: int(settings.near * settings.batch)]
        taken = set(order)
        rest = [n for n in left if n not in taken][: settings.batch - len(order)]
        yield [*order, *rest]
        taken.update(rest)
        left = [n for n in left if n not in taken]


def loss(network: Tuned, pairs: Sequence[Pair], settings: Settings) -> torch.Tensor:
    """Both InfoNCE losses: by the vectors of whole texts and by their tokens."""
    wrong_for = [n for n, pair in enumerate(pairs) if pair.against]
    asked = network([pair.question for pair in pairs])
    passages = network([*(pair.passage for pair in pairs), *(pairs[n].against for n in wrong_for)])
    groups = [pair.group for pair in pairs]
    columns = [*range(len(pairs)), *wrong_for]
    hidden = torch.tensor([[a == groups[m] and n != m for m in columns] for n, a in enumerate(groups)])
    whole = settings.scale * asked.vectors @ passages.vectors.T
    return contrast(whole, hidden) + contrast(settings.token_scale * by_tokens(asked, passages), hidden)


def contrast(scores: torch.Tensor, hidden: torch.Tensor) -> torch.Tensor:
    """InfoNCE: each question (row) to its passage on the diagonal, and half as much each passage to its question."""
    scores = scores.masked_fill(hidden, -1e4)
    right = torch.arange(len(scores))
    there, back = (functional.cross_entropy(one, right) for one in (scores, scores[:, : len(scores)].T))
    total: torch.Tensor = there + 0.5 * back
    return total


def write(network: Tuned, out: Path, settings: Settings, figures: dict[str, Any]) -> Path:
    """Write the factors, each named after the weight that it changes, and the card."""
    tensors = factors(network.model)
    tensors["tokens.weight"] = network.narrow.weight.detach().half().contiguous()
    tensors["tokens.scale"] = torch.cat([network.weigh.weight.detach()[0], network.weigh.bias.detach()]).half()
    out.mkdir(parents=True, exist_ok=True)
    path = out / DELTA_FILE
    save_file(tensors, str(path))
    path.chmod(0o644)
    card = {**figures, "strength": settings.applied * settings.alpha / settings.rank}
    (out / CARD_FILE).write_text(json.dumps(card, indent=1) + "\n", encoding="utf-8")
    return path
