"""What each token means: vectors whose sum over a text tells what it is about, learnt from the service's encoder.

The encoder (MiniLM, see :mod:`app.encoder`) reads sentences and questions of the training material; one vector for each
token is then fitted so that the sums are as near to each other as the encoder finds the texts, and so that a written
question is nearest to the sentence that answers it. This takes minutes, and gives the demo model at its first step what
it would otherwise have to find out about words by reading millions of them. Unlike the encoder it knows no word order.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random

import torch
import torch.nn.functional as functional
from tokenizers import Tokenizer

from training.demo_model.readings import Readings

EPOCHS, BATCH, PAIRS = 20, 256, 40
LEARNING_RATE = 3e-3


@dataclass(frozen=True, slots=True)
class Meanings:
    """``vectors`` ``[vocabulary, size]``, and ``common`` ``[size]``, their mean in running text, which says nothing."""

    vectors: torch.Tensor
    common: torch.Tensor


def learn_meanings(
    maker: Readings, tokenizer: Tokenizer, cache: Path, *, size: int, seed: int, readings: int = 6_000
) -> Meanings:
    """Fit the vectors. ``cache`` is where the encoder keeps its graph. The same arguments give the same vectors.

    Raises ConfigurationError if the encoder's package is missing or altered.
    """
    from app.encoder.encoder import Encoder

    rng = Random(f"{seed}-meanings")
    texts, pairs = _material(maker, f"{seed}-meanings", readings)
    rng.shuffle(texts)
    wanted = torch.from_numpy(Encoder.load(cache).embed(texts))
    ids = [encoded.ids for encoded in tokenizer.encode_batch_fast([f" {text}" for text in texts])]
    torch.manual_seed(seed)
    vectors = torch.nn.Embedding(tokenizer.get_vocab_size(), size)
    torch.nn.init.normal_(vectors.weight, std=0.1)
    out = torch.nn.Linear(size, wanted.shape[1], bias=False)
    sharpness = torch.nn.Parameter(torch.tensor(2.7))
    learner = torch.optim.Adam([*vectors.parameters(), *out.parameters(), sharpness], lr=LEARNING_RATE)
    for epoch in range(EPOCHS):
        learner.param_groups[0]["lr"] = LEARNING_RATE * (1 - epoch / (EPOCHS + 1))
        order = rng.sample(range(len(ids)), len(ids))
        for step, start in enumerate(range(0, len(order), BATCH)):
            chosen = order[start : start + BATCH]
            sums, aims = _sums(vectors, [ids[index] for index in chosen]), wanted[chosen]
            near = functional.normalize(sums, dim=-1)
            loss = 1 - (functional.normalize(out(sums), dim=-1) * aims).sum(-1).mean()
            loss = loss + 5 * (near @ near.T - aims @ aims.T).square().mean()
            if pairs and step % 2 == 0:
                sample = rng.sample(pairs, min(PAIRS, len(pairs)))
                left, right = (
                    functional.normalize(_sums(vectors, _ids(tokenizer, side)), dim=-1)
                    for side in zip(*sample, strict=True)
                )
                scores = left @ right.T * sharpness.exp()
                loss = loss + 0.15 * functional.cross_entropy(scores, torch.arange(len(sample)))
            learner.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            learner.step()
    with torch.no_grad():
        common = torch.stack([vectors.weight[one].mean(0) for one in ids[:6_000]]).mean(0)
    return Meanings(vectors.weight.detach(), common)


def _material(maker: Readings, seed: str, readings: int) -> tuple[list[str], list[tuple[str, str]]]:
    """Different sentences and questions of the training readings, and (question, first sentence of its answer)."""
    texts: dict[str, None] = {}
    pairs = []
    for reading in maker.stream(seed, readings, passages=(1, 2, 3, 4)):
        texts |= dict.fromkeys(line for passage in reading.lines for line in passage)
        for asked in reading.asked:
            texts[asked.question] = None
            if asked.lines is not None:
                pairs.append((asked.question, reading.lines[asked.lines[0]][asked.lines[1]]))
    return list(texts), pairs


def _ids(tokenizer: Tokenizer, texts: Sequence[str]) -> list[list[int]]:
    return [encoded.ids for encoded in tokenizer.encode_batch_fast([f" {text}" for text in texts])]


def _sums(vectors: torch.nn.Embedding, ids: list[list[int]]) -> torch.Tensor:
    starts = torch.tensor([0, *(len(one) for one in ids[:-1])]).cumsum(0)
    flat = torch.tensor([index for one in ids for index in one])
    return functional.embedding_bag(flat, vectors.weight, starts, mode="sum")
