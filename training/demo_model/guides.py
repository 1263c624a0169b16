"""Guided heads: teach single attention heads where to look while the demo model learns to choose.

Choosing a sentence takes three heads in a row: one that knows in each word which sentence it stands in, one that finds
the question's words in the passages, and one that looks at the chosen sentence when the answer begins. Next-token loss
alone finds this chain only after tens of millions of tokens, for no part of it lowers the loss without the others. A
guide adds the missing slope: for one head of one layer, the loss is minus the logarithm of the attention that falls on
the span where it belongs. What the last head then finds must say how to begin: so a sample of the passages' words is
asked, below that head's layer, for the token that opens their sentence (``carried``). The weights stay those of a plain
Llama: nothing of the guides is left in the model.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as functional
from transformers import AttentionInterface, LlamaForCausalLM
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.models.llama.modeling_llama import LlamaAttention

from training.demo_model.batches import IGNORED

ATTENTION = "guided"
CARRIED = 256
"""Words of a batch that are asked for the opening of their sentence."""


@dataclass(frozen=True, slots=True)
class Guide:
    """Which head of which layer (shares of the depth, so that any size of model can be guided)."""

    depth: float
    head: int = 0

    def layer(self, layers: int) -> int:
        """The layer's index."""
        return min(layers - 1, round(self.depth * layers))


GUIDES = {"line": Guide(0.25), "question": Guide(0.5), "answer": Guide(0.75)}
"""``line``: a word looks at the first token of its sentence. ``question``: the question's tokens look at the sentence
that answers, or at the prompt's first token if none does. ``answer``: so do the tokens that its beginning comes from.
"""


class Watch:
    """Collects the guides' losses while a model reads one batch."""

    def __init__(self, model: LlamaForCausalLM, aims: dict[str, torch.Tensor], carried: torch.Tensor | None) -> None:
        layers = model.config.num_hidden_layers
        self.model, self.carried = model, carried
        self.asked = model.model.layers[GUIDES["answer"].layer(layers)]
        self._aims = [(GUIDES[name].layer(layers), name, aim) for name, aim in aims.items()]
        self.losses: dict[str, torch.Tensor] = {}

    def see(self, layer: int, query: torch.Tensor, key: torch.Tensor, mask: torch.Tensor, scaling: float) -> None:
        """Note the loss of the guide of this layer, if it has one. Shapes ``[rows, heads, length, size]``."""
        for at, name, aim in self._aims:
            if at == layer:
                self.losses[name] = _loss(GUIDES[name].head, aim, query, key, mask, scaling)

    def ask(self, hidden: torch.Tensor) -> None:
        """Note the loss of the sentences' openings in the states ``[rows, length, size]`` below the answer's head."""
        if self.carried is None:
            return
        places = (self.carried != IGNORED).nonzero()
        places = places[:: max(1, len(places) // CARRIED)]
        states = hidden[places[:, 0], places[:, 1]]
        logits = self.model.lm_head(self.model.model.norm(states)).float()
        self.losses["carried"] = functional.cross_entropy(logits, self.carried[places[:, 0], places[:, 1]])


def _loss(
    head: int, aim: torch.Tensor, query: torch.Tensor, key: torch.Tensor, mask: torch.Tensor, scaling: float
) -> torch.Tensor:
    groups = query.shape[1] // key.shape[1]
    scores = (query[:, head] @ key[:, head // groups].transpose(1, 2)).float() * scaling
    guided = aim[..., 1] > 0
    scores = scores.masked_fill(~mask[:, 0], -torch.inf)[guided]
    spans = aim[guided]
    places = torch.arange(scores.shape[-1])
    inside = (places >= spans[:, :1]) & (places < spans[:, 1:])
    there = scores.masked_fill(~inside, -torch.inf).logsumexp(-1) - scores.logsumexp(-1)
    return -there.mean()


_watch: list[Watch] = []


@contextmanager
def watching(
    model: LlamaForCausalLM, aims: dict[str, torch.Tensor], carried: torch.Tensor | None = None
) -> Iterator[Watch]:
    """Within the block the model's guided heads are watched; the model must use the :data:`ATTENTION` interface."""
    watch = Watch(model, aims, carried)
    _watch.append(watch)
    hook = watch.asked.register_forward_pre_hook(lambda _, inputs: watch.ask(inputs[0]))
    try:
        yield watch
    finally:
        hook.remove()
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
