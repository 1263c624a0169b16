"""Changes of the pinned weights, as low-rank factors in small files: one makes the encoder a search encoder, one a
reader of words, one a reader of patients' turns for triage, and one a reranker of question and passage.

A file holds, as float16, for each changed weight its factors A (rank, in) and B (out, rank); the card beside it tells
what they were trained on, and ``strength``, by which the factors' product is multiplied. ``search/`` also has the map
from a token's last state to its vector (``tokens.weight``) and to what it weighs (``tokens.scale``, whose last number
is the bias), ``rerank/`` the layer over first state and mean of states (``judge``, whose last number is the bias). The
cards of ``words/`` and ``rerank/`` tell how many ``layers`` are run; all cards but that of ``search/`` have the hash of
the file. They are written by ``bedside-train encoder``: ``retrieve``, ``names``, ``triage`` and ``rerank``.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load

from app.encoder.text import TOKEN_WIDTH
from app.errors import ConfigurationError

FOLDER = Path(__file__).parent / "search"
DELTA_FILE = "search.safetensors"
CARD_FILE = "search.json"
WORDS_FOLDER = Path(__file__).parent / "words"
WORDS_FILE = "words.safetensors"
WORDS_CARD = "words.json"
TURNS_FOLDER = Path(__file__).parent / "turns"
TURNS_FILE = "turns.safetensors"
TURNS_CARD = "turns.json"
RERANK_FOLDER = Path(__file__).parent / "rerank"
RERANK_FILE = "rerank.safetensors"
RERANK_CARD = "rerank.json"
MOST_LAYERS = 6
_TOKEN_MAP, _TOKEN_SCALE, _JUDGE = "tokens.weight", "tokens.scale", "judge"

Weights = dict[str, NDArray[np.float32]]


@dataclass(frozen=True, slots=True)
class Change:
    """``factors`` by the name of the weight: A and B; ``sha256`` is over the file and its card."""

    factors: dict[str, tuple[NDArray[np.float32], NDArray[np.float32]]]
    strength: float
    sha256: str

    def applied(self, weights: Weights) -> Weights:
        """The weights with the change added. Raises ConfigurationError if a weight is missing or of another shape."""
        changed = dict(weights)
        for name, (down, up) in self.factors.items():
            if name not in weights or weights[name].shape != (up.shape[0], down.shape[1]):
                raise ConfigurationError(f"The factors of {name} do not fit the encoder's pinned weights")
            changed[name] = weights[name] + np.float32(self.strength) * (up @ down)
        return changed


@dataclass(frozen=True, slots=True)
class Delta(Change):
    """The change for search. ``token_map`` is (64, width), ``token_scale`` (width + 1)."""

    token_map: NDArray[np.float32]
    token_scale: NDArray[np.float32]

    @classmethod
    def load(cls, folder: Path = FOLDER) -> Delta:
        """Read factors and card. Raises ConfigurationError if a file is missing, damaged or incomplete."""
        card, tensors, digest = _read(folder, CARD_FILE, DELTA_FILE)
        path = folder / DELTA_FILE
        if _TOKEN_MAP not in tensors or _TOKEN_SCALE not in tensors:
            raise ConfigurationError(f"{path} has no map to tokens (tokens.weight and tokens.scale)")
        token_map, token_scale = tensors.pop(_TOKEN_MAP), tensors.pop(_TOKEN_SCALE)
        if token_map.shape != (TOKEN_WIDTH, token_scale.size - 1):
            raise ConfigurationError(f"{path} has a map to tokens of another shape")
        return cls(_factors(path, tensors), _strength(folder / CARD_FILE, card), digest, token_map, token_scale)


@dataclass(frozen=True, slots=True)
class WordDelta(Change):
    """The change for reading words. Only the first ``layers`` blocks are run."""

    layers: int

    @classmethod
    def load(cls, folder: Path = WORDS_FOLDER) -> WordDelta:
        """Read factors and card. Raises ConfigurationError if a file is missing, damaged or incomplete."""
        card, tensors, digest = _read(folder, WORDS_CARD, WORDS_FILE, pinned=True)
        factors = _factors(folder / WORDS_FILE, tensors)
        path = folder / WORDS_CARD
        return cls(factors, _strength(path, card), digest, _layers(path, card))


@dataclass(frozen=True, slots=True)
class TurnDelta(Change):
    """The change for reading patients' turns in triage. The layers of a policy bundle are trained over one such change;
    ``sha256`` of it is the ``base`` that they name.
    """

    @classmethod
    def load(cls, folder: Path = TURNS_FOLDER) -> TurnDelta:
        """Read factors and card. Raises ConfigurationError if a file is missing, damaged or incomplete."""
        card, tensors, digest = _read(folder, TURNS_CARD, TURNS_FILE, pinned=True)
        return cls(_factors(folder / TURNS_FILE, tensors), _strength(folder / TURNS_CARD, card), digest)


@dataclass(frozen=True, slots=True)
class RerankDelta(Change):
    """The change for reading question and passage together. ``judge`` is (2 * width + 1): first state, mean, bias.
    Only the first ``layers`` blocks are run.
    """

    layers: int
    judge: NDArray[np.float32]

    @classmethod
    def load(cls, folder: Path = RERANK_FOLDER) -> RerankDelta:
        """Read factors and card. Raises ConfigurationError if a file is missing, damaged or incomplete."""
        card, tensors, digest = _read(folder, RERANK_CARD, RERANK_FILE, pinned=True)
        judge = tensors.pop(_JUDGE, np.zeros(0, dtype=np.float32))
        if judge.ndim != 1 or judge.size < 3 or judge.size % 2 == 0:
            raise ConfigurationError(f"{folder / RERANK_FILE} has no layer that judges a pair ({_JUDGE})")
        factors = _factors(folder / RERANK_FILE, tensors)
        path = folder / RERANK_CARD
        return cls(factors, _strength(path, card), digest, _layers(path, card), judge)


def _read(folder: Path, card: str, file: str, *, pinned: bool = False) -> tuple[dict[str, Any], Weights, str]:
    """What the card says, the tensors, and a hash over both files; ``pinned``: the card names the file's own hash."""
    try:
        told, data = (folder / card).read_bytes(), (folder / file).read_bytes()
        content = json.loads(told)
        tensors = {name: value.astype(np.float32) for name, value in load(data).items()}
    except (OSError, SafetensorError, ValueError) as error:
        raise ConfigurationError(f"The encoder's files in {folder} cannot be read: {error}") from error
    if not isinstance(content, dict):
        raise ConfigurationError(f"{folder / card} must hold an object")
    if pinned and content.get("file_sha256") != hashlib.sha256(data).hexdigest():
        raise ConfigurationError(f"{folder / file} is not the file that its card names; install it again")
    return content, tensors, hashlib.sha256(told + data).hexdigest()


def _factors(path: Path, tensors: Weights) -> dict[str, tuple[NDArray[np.float32], NDArray[np.float32]]]:
    names = {name.rsplit(".", 1)[0] for name in tensors}
    if not names or any(f"{name}.{part}" not in tensors for name in names for part in "AB"):
        raise ConfigurationError(f"{path} must hold factors A and B of each weight")
    return {name: (tensors[f"{name}.A"], tensors[f"{name}.B"]) for name in names}


def _layers(path: Path, card: dict[str, Any]) -> int:
    layers = card.get("layers")
    if type(layers) is not int or not 1 < layers <= MOST_LAYERS:
        raise ConfigurationError(f"{path}: layers must be a number from 2 to {MOST_LAYERS}")
    return layers


def _strength(path: Path, card: dict[str, Any]) -> float:
    strength = card.get("strength")
    if not isinstance(strength, int | float) or not np.isfinite(strength):
        raise ConfigurationError(f"{path}: strength must be a number")
    return float(strength)
