"""Token batches for the demo model: exercises sorted by length, plain text in windows."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random

import torch
from tokenizers import Tokenizer

from training.demo_model.exercises import ExerciseMaker
from training.demo_model.tokenizer import PAD, SPECIAL, conversation

IGNORED = -100
Batch = tuple[torch.Tensor, torch.Tensor]
"""Token ids and labels, both ``[rows, length]``; label :data:`IGNORED` carries no loss."""


def exercise_batches(
    maker: ExerciseMaker,
    tokenizer: Tokenizer,
    seed: str,
    *,
    count: int,
    batch_tokens: int,
    longest: int,
    passages: tuple[int, ...],
) -> Iterator[Batch]:
    """One chunk of ``count`` exercises, sorted by length, in batches of about ``batch_tokens``.

    Loss falls on the answer and its end mark only. Rows are padded on the right:
    under causal attention no row sees its padding, so no mask is needed.
    """
    drawn = list(maker.stream(seed, count, passages=passages))
    heads = tokenizer.encode_batch_fast([conversation(item.prompt) for item in drawn])
    wholes = tokenizer.encode_batch_fast([conversation(item.prompt, item.answer) for item in drawn])
    rows = [(len(head.ids), whole.ids) for head, whole in zip(heads, wholes, strict=True) if len(whole.ids) <= longest]
    rows.sort(key=lambda row: len(row[1]))
    groups: list[list[tuple[int, list[int]]]] = []
    for row in rows:
        if groups and (len(groups[-1]) + 1) * len(row[1]) <= batch_tokens:
            groups[-1].append(row)
        else:
            groups.append([row])
    Random(seed).shuffle(groups)
    pad = tokenizer.token_to_id(PAD) or 0
    for group in groups:
        width = max(len(ids) for _, ids in group)
        tokens = torch.full((len(group), width), pad)
        labels = torch.full((len(group), width), IGNORED)
        for index, (start, ids) in enumerate(group):
            tokens[index, : len(ids)] = torch.tensor(ids)
            labels[index, start : len(ids)] = torch.tensor(ids[start:])
        yield tokens, labels


def reading_batches(
    maker: ExerciseMaker,
    plain: list[str],
    tokenizer: Tokenizer,
    seed: str,
    *,
    count: int,
    batch_tokens: int,
    longest: int,
    passages: tuple[int, ...],
) -> Iterator[Batch]:
    """One chunk for the first phase: a third plain text, two thirds exercises, loss on every token."""
    rng = Random(seed)
    half = max(2, count // 4)
    texts = [conversation(item.prompt, item.answer) for item in maker.stream(seed, half, passages=passages)]
    texts += [rng.choice(plain)[:1_200] + SPECIAL[2] for _ in range(half // 2)] if plain else []
    rng.shuffle(texts)
    ids = [token for encoded in tokenizer.encode_batch_fast(texts) for token in encoded.ids]
    width = min(512, longest)
    rows = max(1, batch_tokens // width)
    windows = torch.tensor(ids[: len(ids) // width * width]).view(-1, width)
    for start in range(0, len(windows), rows):
        tokens = windows[start : start + rows]
        yield tokens, tokens.clone()
