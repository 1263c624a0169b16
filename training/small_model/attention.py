"""Attention for rows that are readings: the passages once, then branches that see the passages and themselves.

What :func:`training.demo_model.batches.collate` says with a mask of the whole row is computed here part by part, which
costs less than half of it: no branch is compared with another one.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as functional
from torch.nn.utils.rnn import pad_sequence
from transformers import AttentionInterface
from transformers.models.llama.modeling_llama import LlamaAttention

ATTENTION = "branches"


@dataclass(frozen=True, slots=True)
class Layout:
    """A row's parts: the length of the passages (prefix), then the length of each branch, in tokens."""

    prefix: int
    branches: Sequence[int]


_layout: list[Layout] = []


@contextmanager
def laid_out(layout: Layout) -> Iterator[None]:
    """Within the block a model with the :data:`ATTENTION` interface reads one row of this layout."""
    _layout.append(layout)
    try:
        yield
    finally:
        _layout.pop()


def _attention(
    module: LlamaAttention,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    *,
    scaling: float,
    **_: Any,
) -> tuple[torch.Tensor, None]:
    """Shapes ``[1, heads, length, size]`` in, ``[1, length, heads, size]`` out; RuntimeError without a layout."""
    if not _layout:
        raise RuntimeError("a model with attention by branches reads only within laid_out()")
    layout = _layout[-1]
    groups = query.shape[1] // key.shape[1]
    key, value = key.repeat_interleave(groups, dim=1), value.repeat_interleave(groups, dim=1)
    prefix, sizes = layout.prefix, list(layout.branches)
    passages = functional.scaled_dot_product_attention(
        query[:, :, :prefix], key[:, :, :prefix], value[:, :, :prefix], is_causal=True, scale=scaling
    )
    if not sizes:
        return passages.transpose(1, 2), None
    asked = _apart(query[0, :, prefix:], sizes)
    keys = torch.cat([key[:, :, :prefix].expand(len(sizes), -1, -1, -1), _apart(key[0, :, prefix:], sizes)], dim=2)
    values = torch.cat(
        [value[:, :, :prefix].expand(len(sizes), -1, -1, -1), _apart(value[0, :, prefix:], sizes)], dim=2
    )
    longest = max(sizes)
    seen = torch.ones(longest, prefix + longest, dtype=torch.bool).tril(prefix)
    answered = functional.scaled_dot_product_attention(asked, keys, values, attn_mask=seen, scale=scaling)
    together = torch.cat([branch[:, :size] for branch, size in zip(answered, sizes, strict=True)], dim=1)
    return torch.cat([passages[0], together], dim=1).transpose(0, 1)[None], None


def _apart(states: torch.Tensor, sizes: Sequence[int]) -> torch.Tensor:
    """``[heads, length, size]`` of all branches to ``[branches, heads, longest, size]``, padded behind."""
    parts: list[torch.Tensor] = list(torch.split_with_sizes(states.transpose(0, 1), list(sizes)))
    return pad_sequence(parts, batch_first=True).transpose(1, 2)


AttentionInterface.register(ATTENTION, _attention)
