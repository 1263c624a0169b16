"""Guided heads: teach single attention heads where to look while the demo model learns to choose.

Choosing a sentence and copying it takes a chain of heads (:mod:`training.demo_model.circuit`). Next-token loss alone
finds the chain only after tens of millions of tokens, for no part of it lowers the loss without the others. A guide
adds the missing slope: for one head of one layer, the loss is minus the logarithm of the attention that falls on the
span where it belongs; or, for a head that has to see the whole span alike, the divergence from that. The weights
stay those of a plain Llama: nothing of the guides is left in the model.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from transformers import AttentionInterface, LlamaForCausalLM
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.models.llama.modeling_llama import LlamaAttention

ATTENTION = "guided"
SAMPLED = 512
"""Tokens of a batch, at most, that each guide looks at."""


@dataclass(frozen=True, slots=True)
class Guide:
    """Which head of which layer (shares of the depth, so that any size of model can be guided).

    ``spread``: the head has to look at all of its span alike, not only somewhere in it. ``weight``: how much its loss
    counts beside the others'.
    """

    depth: float
    head: int = 0
    spread: bool = False
    weight: float = 1.0

    def layer(self, layers: int) -> int:
        """The layer's index."""
        return min(layers - 1, round(self.depth * layers))


GUIDES = {
    "previous": Guide(0.0),
    "line": Guide(0.125),
    "passage": Guide(0.125, head=-1),
    "gather": Guide(0.25, spread=True),
    "answer": Guide(0.5, weight=4.0),
    "open": Guide(0.75, weight=4.0),
    "copy": Guide(0.75),
}
"""``previous``: every token looks at the one before. ``line``: a word looks at the first token of its sentence (of the
question, of the answer). ``passage``: a word looks at its passage's number. ``gather``: a word looks at all of its
sentence so far. ``answer``: the prompt's last tokens look at the sentence that answers, or at the prompt's first token
if none does. ``open``: the very last looks at the first token of that sentence. ``copy``: a token of an answer looks at
the place where the next one stands.
"""


class Watch:
    """Collects the guides' losses while a model reads one batch."""

    def __init__(self, model: LlamaForCausalLM, aims: dict[str, torch.Tensor]) -> None:
        layers = model.config.num_hidden_layers
        self._aims = [
            (GUIDES[name].layer(layers), name, _sampled(aim)) for name, aim in aims.items() if aim[..., 1].any()
        ]
        self.losses: dict[str, torch.Tensor] = {}

    def loss(self) -> torch.Tensor:
        """The weighted sum over the guides, by their number."""
        weighted = [GUIDES[name].weight * value for name, value in self.losses.items()]
        return torch.stack(weighted).mean()

    def see(self, layer: int, query: torch.Tensor, key: torch.Tensor, mask: torch.Tensor, scaling: float) -> None:
        """Note the loss of the guides of this layer, if it has any. Shapes ``[rows, heads, length, size]``."""
        for at, name, aims in self._aims:
            if at == layer:
                self.losses[name] = _loss(GUIDES[name], aims, query, key, mask, scaling)


@dataclass(frozen=True, slots=True)
class _Aims:
    """Row, place and span (``[tokens, 2]``) of the tokens that a guide looks at."""

    row: torch.Tensor
    at: torch.Tensor
    spans: torch.Tensor


def _sampled(aim: torch.Tensor) -> _Aims:
    guided = (aim[..., 1] > 0).nonzero()
    row, at = guided[:: -(-len(guided) // SAMPLED)].unbind(1)
    return _Aims(row, at, aim[row, at])


def _loss(
    guide: Guide, aims: _Aims, query: torch.Tensor, key: torch.Tensor, mask: torch.Tensor, scaling: float
) -> torch.Tensor:
    heads = query.shape[1]
    head = guide.head % heads
    scores = query[:, head] @ key[:, head // (heads // key.shape[1])].transpose(1, 2)
    scores = scores[aims.row, aims.at].float() * scaling
    scores = scores.masked_fill(~mask[aims.row, 0, aims.at], -torch.inf)
    places = torch.arange(scores.shape[-1], device=scores.device)
    inside = (places >= aims.spans[:, :1]) & (places < aims.spans[:, 1:])
    if guide.spread:
        size = inside.sum(-1)
        mean = scores.masked_fill(~inside, 0.0).sum(-1) / size
        return (scores.logsumexp(-1) - mean - size.log()).mean()
    there = scores.masked_fill(~inside, -torch.inf).logsumexp(-1) - scores.logsumexp(-1)
    return -there.mean()


_watch: list[Watch] = []


@contextmanager
def watching(model: LlamaForCausalLM, aims: dict[str, torch.Tensor]) -> Iterator[Watch]:
    """Within the block the model's guided heads are watched; the model must use the :data:`ATTENTION` interface."""
    watch = Watch(model, aims)
    _watch.append(watch)
    try:
        yield watch
    finally:
        _watch.pop()


def _attention(
    module: LlamaAttention,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    **options: Any,
) -> tuple[torch.Tensor, None]:
    if _watch and attention_mask is not None:
        _watch[-1].see(module.layer_idx, query, key, attention_mask, options["scaling"])
    out, _ = sdpa_attention_forward(module, query, key, value, attention_mask, **options)
    return out, None


AttentionInterface.register(ATTENTION, _attention)
