"""The small network over the encoder's states that tells identifiers: its weights, and what it is given.

The states of each piece (768) are made narrower, put beside the features of its word and of the piece and the mean of
the vectors of its letter groups, and read by two convolutions over five pieces each. The last layer gives each class a
chance. What is written here is trained by ``bedside-train encoder names``.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from safetensors import SafetensorError
from safetensors.numpy import load

from app.encoder.pieces import PieceNetwork
from app.errors import ConfigurationError
from app.redaction.entities import TYPES
from app.redaction.recognizers import features

FOLDER = Path(__file__).with_name("weights")
WEIGHTS_FILE, CARD_FILE = "names.safetensors", "names.json"
NOTHING = "O"
REACH = 5
"""Pieces that a convolution reads."""
Array = NDArray[np.float32]


class Card(BaseModel):
    """``names.json``: which weights these are, and from which chance on a word is an identifier.

    ``thresholds`` by class; a word beside an identifier of its class needs only ``beside`` of that. ``base``: SHA-256
    of the encoder's change (:class:`app.encoder.delta.WordDelta`) under which the states are read.
    """

    model_config = ConfigDict(extra="ignore", frozen=True)

    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    base: str = Field(pattern=r"^[0-9a-f]{64}$")
    features: int
    classes: list[str] = Field(min_length=2)
    thresholds: dict[str, float]
    beside: float = Field(gt=0, le=1)


@dataclass(frozen=True, slots=True)
class Inputs:
    """Of one text: states (pieces, 768), shapes (pieces, features), letter groups of each word, each piece's word."""

    states: Array
    shapes: Array
    letters: Sequence[Sequence[int]]
    owners: Sequence[int]


class Head:
    """Pure and thread-safe. ``classes`` begin with ``O``, no identifier."""

    def __init__(self, content: bytes, card: Card) -> None:
        """Read the weights. Raises ConfigurationError where they are damaged, or others than the card's."""
        if hashlib.sha256(content).hexdigest() != card.sha256:
            raise ConfigurationError(
                f"{WEIGHTS_FILE} is not the file that {CARD_FILE} names; install the package again"
            )
        if card.features != features.VERSION:
            raise ConfigurationError(f"{WEIGHTS_FILE} was trained on other features; train it again")
        if (
            card.classes[0] != NOTHING
            or set(card.classes[1:]) != set(card.thresholds)
            or not set(card.thresholds) <= TYPES
        ):
            raise ConfigurationError(f"{CARD_FILE}: classes and thresholds do not fit each other")
        try:
            tensors = {name: value.astype(np.float32) for name, value in load(content).items()}
            layers = {layer: (tensors[f"{layer}.kernel"], tensors[f"{layer}.bias"]) for layer in _LAYERS}
            self._letters = tensors["letters"]
        except (SafetensorError, KeyError) as error:
            raise ConfigurationError(f"{WEIGHTS_FILE} is damaged: {error}") from None
        if layers["outer"][1].shape != (len(card.classes),) or self._letters.shape[0] != features.BUCKETS:
            raise ConfigurationError(f"{WEIGHTS_FILE}: its layers and the card's classes do not fit each other")
        if not all(np.isfinite(value).all() for value in tensors.values()):
            raise ConfigurationError(f"{WEIGHTS_FILE} holds values that are not numbers")
        self.card, self.classes = card, card.classes
        self._network = PieceNetwork(layers, REACH)

    @classmethod
    def load(cls, folder: Path = FOLDER) -> Head:
        """The weights of a folder. Raises ConfigurationError where they are missing or damaged."""
        try:
            card = Card.model_validate_json((folder / CARD_FILE).read_bytes())
            return cls((folder / WEIGHTS_FILE).read_bytes(), card)
        except OSError as error:
            raise ConfigurationError(f"{error.filename} cannot be read; install the package again") from None
        except ValidationError as error:
            raise ConfigurationError(f"{CARD_FILE} is damaged: {error.errors()[0]['msg']}") from None

    def chances(self, inputs: Inputs) -> Array:
        """Chances (pieces, classes); rows add up to 1. ValueError where they are not numbers."""
        result = self._network.chances(inputs.states, inputs.shapes, self._spelling(inputs))
        if not np.isfinite(result).all():
            raise ValueError("the network gave chances that are not numbers")
        return result

    def _spelling(self, inputs: Inputs) -> Array:
        """The mean vector of the letter groups of each piece's word; zero for pieces that are no part of a word."""
        words = np.zeros((len(inputs.letters) + 1, self._letters.shape[1]), dtype=np.float32)
        if sizes := [len(buckets) for buckets in inputs.letters]:
            starts = np.concatenate([[0], np.cumsum(sizes[:-1], dtype=np.int64)])
            vectors = self._letters[np.concatenate(inputs.letters)]
            words[:-1] = np.add.reduceat(vectors, starts) / np.array(sizes, dtype=np.float32)[:, None]
        return words[inputs.owners]


_LAYERS = ("states", "shapes", "first", "second", "outer")


def card_text(card: Card, more: dict[str, object]) -> str:
    """The card as the file holds it, with figures and settings beside."""
    return json.dumps(card.model_dump() | more, indent=1) + "\n"
