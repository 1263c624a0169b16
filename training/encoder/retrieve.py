"""Tune the encoder for search: LoRA over the pinned weights, so that a question lies near the passage that answers it.

    bedside-train encoder retrieve --out DIR

Each batch holds questions of near pages of one author, so that the passages of the others are wrong ones that look
right (InfoNCE, van den Oord et al. 2018, with the batch's passages and one more wrong passage as the choices). Pages of
different authors with like titles may answer the same question and are not taken as wrong for each other. Two
likenesses learn together: of whole texts, the cosine of their vectors; and of their tokens (late interaction, Khattab
and Zaharia 2020): for each token of the question the nearest token of the passage, weighed by how much the token says.

What is written are the factors of the change, the map from states to token vectors and weights, float16, and a card;
:mod:`app.encoder.delta` reads them.
"""

from __future__ import annotations

import json
from collections import Counter
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
from training.encoder.retrieve_data import (
    Pair,
    Sizes,
    article_pairs,
    clear_questions,
    page_pairs,
    public_pairs,
    written_pages,
)
from training.hospitals.articles import hospitals

LONGEST = 96
"""Tokens of a passage in training; longer ones are cut."""
TUNED_LAYERS = (2, 3, 4, 5)
"""The first two keep reading as they did: a third less work in each step."""
TOGETHER = 24
"""Texts that are padded to the length of their longest."""
OF_ONE = 2
"""So many questions of one page stand in a batch: they are no wrong choices for each other."""
ALIKE = 0.6
"""Pages of two authors whose titles are at least as near as this may answer the same question: seen so in a sample."""


@dataclass(frozen=True, slots=True)
class Settings:
    """Of one run. ``scale`` and ``token_scale`` multiply likenesses before the softmax.

    ``near`` is the share of a batch from near pages of one site. ``applied`` is the share of the change that is served:
    between the weights as published and the tuned ones less is forgotten (Wortsman et al. 2022).
    """

    epochs: int = 2
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
    pages = written_pages()
    clear = clear_questions(pages, encoder.embed)
    public = public_pairs(data, rng, sizes) if data else []
    epochs = []
    for _ in range(settings.epochs):
        drawn = page_pairs(pages, rng, sizes, clear)
        drawn = rng.sample(drawn, min(sizes.pages, len(drawn)))
        epochs.append([*drawn, *article_pairs(hospitals(), encoder.embed, rng), *public])
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
        place = dict(zip(subjects, encoder.embed(subjects), strict=True))
        places = np.stack([place[pair.group] for pair in pairs])
        batches = list(neighbourhoods(pairs, places, settings, rng))
        losses = []
        for chosen in track(batches, description=f"epoch {number}"):
            total = loss(network, [pairs[n] for n in chosen], places[chosen], settings)
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
    """Places of pairs in full batches: a seed drawn by lot, those of the nearest pages of its site, and others by lot,
    of one page at most ``OF_ONE`` while there are others.

    ``places`` are unit vectors of the pairs' groups, float32 (pairs, 384). Each pair comes once at most: what fills no
    batch is left out.
    """
    left = list(range(len(pairs)))
    rng.shuffle(left)
    while len(left) >= settings.batch:
        seed = left[0]
        own = [n for n in left if pairs[n].site == pairs[seed].site]
        own.sort(key=lambda n: -float(places[n] @ places[seed]))
        taken: dict[int, None] = {}
        counts: Counter[str] = Counter()
        for wanted, source in ((int(settings.near * settings.batch), own), (settings.batch, left)):
            for n in source:
                if len(taken) < wanted and n not in taken and counts[pairs[n].group] < OF_ONE:
                    taken[n] = None
                    counts[pairs[n].group] += 1
        for n in left:
            if len(taken) < settings.batch:
                taken.setdefault(n)
        yield list(taken)
        left = [n for n in left if n not in taken]


def loss(network: Tuned, pairs: Sequence[Pair], places: NDArray[np.float32], settings: Settings) -> torch.Tensor:
    """Both InfoNCE losses: by the vectors of whole texts and by their tokens. ``places`` as for the batches. The one
    more wrong passage of a pair is a choice for its own question alone.
    """
    wrong_for = [n for n, pair in enumerate(pairs) if pair.against]
    asked = network([pair.question for pair in pairs])
    passages = network([*(pair.passage for pair in pairs), *(pairs[n].against for n in wrong_for)])
    near = places @ places.T >= ALIKE
    numbers = range(len(pairs))
    hidden = torch.tensor(
        [
            [
                *(n != m and may_answer(pairs[n], pairs[m], near=bool(near[n, m])) for m in numbers),
                *(n != m for m in wrong_for),
            ]
            for n in numbers
        ]
    )
    whole = settings.scale * asked.vectors @ passages.vectors.T
    return contrast(whole, hidden) + contrast(settings.token_scale * by_tokens(asked, passages), hidden)


def may_answer(asked: Pair, other: Pair, *, near: bool) -> bool:
    """Whether the ``other`` pair's passage may answer the question too; ``near``: their titles are alike."""
    return asked.group == other.group or (near and asked.site != other.site)


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
