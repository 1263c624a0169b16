"""Begin with the circuit in place: a fresh demo model whose first heads already do what the skill consists of.

Gradient descent finds the chain "know your sentence, sum up its words, compare with the question, copy" only after tens
of millions of tokens. Its links are simple enough to write down. The state of a token is divided into parts: what the
token means, which token it is, some flags, and slots that heads write into. Six heads move the parts:

1. ``previous``: every token notes which token stands before it, and whether a sentence ended there;
2. ``line``: every token notes the token that opens its sentence;
3. ``passage``: every token looks at the number of its passage (what it makes of it is learnt);
4. ``gather``: every token sums up the meanings of its sentence so far;
5. ``answer``: the end of the question looks at the sentence with the likest sum, and names its opening;
6. ``copy``: each token of the answer looks for the place after its like in the sentence of the same opening.

The numbers below give each head scores of about ten between the right place and others; the guides of
:mod:`training.demo_model.guides` do the rest. Everything is an ordinary weight of a Llama and goes on learning; the
other heads and all feed-forward layers begin at random.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as functional
from tokenizers import Tokenizer
from transformers import LlamaForCausalLM
from transformers.models.llama.modeling_llama import LlamaAttention

from training.demo_model.guides import GUIDES

IDENTITY, MEANING = 0.67, 0.8
"""Usual length of the part that says which token it is and of a weighty word's meaning; a meaning's greatest length."""


@dataclass(frozen=True, slots=True)
class Parts:
    """Which dimensions of the state hold what."""

    meaning: slice
    total: slice
    opening: slice
    before: slice
    always: slice
    ends: slice
    ended: slice
    identity: slice

    @classmethod
    def of(cls, hidden: int) -> Parts:
        """A sixth each for meaning and sum, about a tenth for each noted token, some flags, the rest for identity."""
        sizes = [hidden // 6, hidden // 6, hidden // 8, hidden * 5 // 48, 1, 2, 2]
        ends = [sum(sizes[: n + 1]) for n in range(len(sizes))] + [hidden]
        return cls(*(slice(start, end) for start, end in zip([0, *ends], ends, strict=False)))


def meaning_size(hidden: int) -> int:
    """How many dimensions of a state are for the token's meaning."""
    return _size(Parts.of(hidden).meaning)


def install(
    model: LlamaForCausalLM, tokenizer: Tokenizer, meanings: torch.Tensor, common: torch.Tensor, seed: int
) -> None:
    """Write the circuit into a fresh model. ``meanings`` ``[vocabulary, meaning_size(hidden)]``: vectors whose sum over
    a text says what it is about; ``common`` their mean (see :mod:`training.demo_model.meanings`).
    """
    generator = torch.Generator().manual_seed(seed)
    config = model.config
    parts = Parts.of(config.hidden_size)
    embedding = torch.zeros(config.vocab_size, config.hidden_size)
    meanings = meanings - common
    scaled = meanings / meanings.norm(dim=-1).quantile(0.9) * IDENTITY
    scaled *= (MEANING / scaled.norm(dim=-1, keepdim=True)).clamp(max=1.0)
    # All states have one length, so that what is the same in every token stays so after normalisation.
    rest = (2 * IDENTITY**2 - scaled.square().sum(-1, keepdim=True)).sqrt()
    embedding[:, parts.meaning] = scaled
    embedding[:, parts.always] = 0.15
    for mark, tokens in enumerate((_ENDS, _BRACKETS)):
        known = [index for token in tokens if (index := tokenizer.token_to_id(token)) is not None]
        embedding[known, parts.ends.start + mark] = 0.3
    embedding[:, parts.identity] = rest * _identities(tokenizer, config.vocab_size, _size(parts.identity), generator)
    before = _rows(_size(parts.before), _size(parts.identity), generator)
    opening = _rows(_size(parts.opening), _size(parts.identity), generator)
    heads = {name: _Head(model, name) for name in GUIDES}
    with torch.no_grad():
        model.model.embed_tokens.weight.copy_(embedding)
        for head in heads.values():
            head.clear()
        heads["previous"].one_back(parts)
        heads["previous"].move(parts.identity, before, parts.before, None, 0.07)
        heads["previous"].move(parts.ends, None, parts.ended, None, 0.07, at=len(before))
        heads["line"].landmarks(parts, parts.ended.start)
        heads["passage"].landmarks(parts, parts.ended.start + 1)
        heads["line"].move(parts.identity, opening, parts.opening, None, 0.075)
        heads["gather"].match([(parts.opening, None, parts.opening, None, 12.0 / 100)])
        heads["gather"].move(parts.meaning, None, parts.total, None, 0.6)
        heads["answer"].match([(parts.total, None, parts.total, None, 25.0 / 300)])
        heads["answer"].move(parts.opening, None, parts.identity, opening, 0.8)
        heads["copy"].match(
            [
                (parts.identity, before, parts.before, None, 12.0 / 19),
                (parts.opening, None, parts.opening, None, 12.0 / 36),
            ]
        )
        wide = _rows(min(heads["copy"].size, _size(parts.identity)), _size(parts.identity), generator)
        heads["copy"].move(parts.identity, wide, parts.identity, wide, 0.8)


class _Head:
    """The rows and columns of one guided head's matrices."""

    def __init__(self, model: LlamaForCausalLM, name: str) -> None:
        config = model.config
        layer = model.model.layers[GUIDES[name].layer(config.num_hidden_layers)]
        self._attention: LlamaAttention = layer.self_attn
        self.size = int(self._attention.head_dim)
        self._theta = float((config.rope_parameters or {})["rope_theta"] or 10_000.0)
        head = GUIDES[name].head % config.num_attention_heads
        self._rows = slice(head * self.size, (head + 1) * self.size)
        shared = head // (config.num_attention_heads // (config.num_key_value_heads or config.num_attention_heads))
        self._shared = slice(shared * self.size, (shared + 1) * self.size)

    def clear(self) -> None:
        """Leave small random queries and keys: what no one writes is learnt."""
        self._attention.o_proj.weight[:, self._rows] *= 0.1

    def match(self, pairs: list[tuple[slice, torch.Tensor | None, slice, torch.Tensor | None, float]]) -> None:
        """Score places by the inner product of a part of the query's state with a part of the key's, in dimensions
        that rotary positions hardly turn. The last number is the weight before the usual scaling.
        """
        query, key = self._attention.q_proj.weight[self._rows], self._attention.k_proj.weight[self._shared]
        free = self._steady()
        query.zero_()
        key.zero_()
        for asked, through, seen, seen_through, weight in pairs:
            left = _identity(asked) if through is None else through
            right = _identity(seen) if seen_through is None else seen_through
            places, free = free[: len(left)], free[len(left) :]
            scale = math.sqrt(weight * math.sqrt(self.size))
            query[places, asked] = (left * scale).to(query.dtype)
            key[places, seen] = (right * scale).to(key.dtype)

    def move(
        self,
        source: slice,
        read: torch.Tensor | None,
        target: slice,
        write: torch.Tensor | None,
        scale: float,
        at: int = 0,
    ) -> None:
        """Read a part of the states that are looked at, through ``read``, and write it into ``target`` through the
        transpose of ``write``, by the head's own dimensions from ``at`` on.
        """
        value, out = self._attention.v_proj.weight[self._shared], self._attention.o_proj.weight[:, self._rows]
        through = _identity(source) if read is None else read
        back = _identity(target) if write is None else write.T
        if not at:
            value.zero_()
            out.zero_()
        value[at : at + len(through), source] = through
        out[target, at : at + back.shape[1]] = back * scale

    def one_back(self, parts: Parts) -> None:
        """Look at the token before: rotary positions alone, on the dimension that is the same in every token."""
        half = self.size // 2
        query, key = self._attention.q_proj.weight[self._rows], self._attention.k_proj.weight[self._shared]
        query.zero_()
        key.zero_()
        for pair in range(half // 4):
            turn = self._theta ** (-pair / half)
            query[pair, parts.always] = 2.5 * math.cos(turn)
            query[pair + half, parts.always] = -2.5 * math.sin(turn)
            key[pair, parts.always] = 2.5

    def landmarks(self, parts: Parts, flag: int) -> None:
        """Look at the nearest token whose state has the flag (a dimension)."""
        half = self.size // 2
        query, key = self._attention.q_proj.weight[self._rows], self._attention.k_proj.weight[self._shared]
        query.zero_()
        key.zero_()
        query[half - 1, parts.always] = 9.0
        key[half - 1, flag] = 2.0
        for pair in range(half):
            if 0.002 < self._theta ** (-pair / half) < 0.04:
                query[pair, parts.always] = key[pair, parts.always] = 1.8

    def _steady(self) -> list[int]:
        half = self.size // 2
        return [place for pair in reversed(range(half)) for place in (pair, pair + half)]


_ENDS = (".", "?", "!", "]", ":", "Ċ", ".)", '."')
"""Tokens after which a sentence, a question or an answer begins (``Ċ`` is the line break of byte-level tokens)."""


_BRACKETS = ("[", "Ġ[")


def _size(part: slice) -> int:
    return int(part.stop - part.start)


def _identity(part: slice) -> torch.Tensor:
    return torch.eye(_size(part))


def _rows(count: int, width: int, generator: torch.Generator) -> torch.Tensor:
    """``count`` orthonormal rows."""
    square: torch.Tensor = torch.linalg.qr(torch.randn(width, width, generator=generator)).Q
    return square[:count]


def _identities(tokenizer: Tokenizer, vocabulary: int, width: int, generator: torch.Generator) -> torch.Tensor:
    """A random unit vector for each token; a word with and without its blank in front have nearly the same."""
    codes = torch.randn(vocabulary, width, generator=generator)
    for token, index in tokenizer.get_vocab().items():
        plain = tokenizer.token_to_id(token[1:]) if token.startswith("Ġ") and len(token) > 1 else None
        if plain is not None:
            codes[index] = 0.9 * codes[plain] + 0.44 * codes[index]
    return functional.normalize(codes, dim=-1)
