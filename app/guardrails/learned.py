"""The learned raise: a small classifier on the encoder's embedding that can make a turn more urgent, never less.

The embedding is that of the encoder as it was tuned for turns (:class:`app.encoder.encoder.TurnEncoder`); ``base`` of
``learned.yaml`` names that change. Two layers give each category of the policy bundle a chance; where that of ``none``
leaves more than the threshold of ``learned.yaml``, the turn gets the tier, the routes and the text that stand there for
the likeliest category. It is asked only where no rule has raised the turn.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Protocol

import numpy as np
from numpy.typing import NDArray
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator
from safetensors import SafetensorError
from safetensors.numpy import load

from app.contracts.replies import Tier
from app.contracts.site import Route
from app.errors import ConfigurationError

POLICY_FILE, WEIGHTS_FILE = "learned.yaml", "learned.safetensors"
NONE = "none"
TURNS = 4
WINDOW = 700
"""Characters that are read at once, about 170 tokens; longer turns are read in windows that overlap by half."""
Vectors = NDArray[np.float32]


class Embedder(Protocol):
    """What the classifier needs of the encoder."""

    def embed(self, texts: Sequence[str]) -> Vectors:
        """Unit vectors (len(texts), 384)."""
        ...


class TurnReader(Embedder, Protocol):
    """The encoder as it was tuned for turns."""

    @property
    def identity(self) -> str:
        """SHA-256 of its change; the ``base`` of the layers that may read its vectors."""
        ...


def _known_tier(value: str) -> str:
    Tier.of(value)
    return value


class Raised(BaseModel):
    """What a turn of a category gets. ``means`` says in plain words what it may be, for the people who read why.

    ``unsure_text`` is said where the chance is high enough to act, and not to be sure.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    tier: Annotated[str, AfterValidator(_known_tier)] = "emergency"
    routes: list[Route] = Field(min_length=1)
    text: str
    unsure_text: str = "learned_unsure"
    means: str = Field(min_length=3)


class LearnedPolicy(BaseModel):
    """``learned.yaml``: when the classifier raises a turn, and what the turn gets then.

    ``base`` is the SHA-256 of the encoder's change for turns over which the layers were trained.

    From ``threshold`` on a turn gets the category's tier and text; from ``unsure`` on the tier urgent, the category's
    routes with the nurse line, and the text for such turns.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    threshold: float = Field(gt=0, lt=1)
    unsure: float = Field(gt=0, lt=1)
    base: str = Field(pattern=r"^[0-9a-f]{64}$")
    reviewer: str
    clinically_reviewed: bool
    categories: dict[str, Raised] = Field(min_length=1)

    @model_validator(mode="after")
    def _ordered(self) -> LearnedPolicy:
        if self.unsure > self.threshold:
            raise ValueError("unsure must not be above threshold")
        return self


def views(turns: Sequence[str]) -> list[str]:
    """What of a patient's turns is read: the last turn with those before it, in windows where it is long."""
    turns = [turn.strip() for turn in turns if turn.strip()][-TURNS:]
    last = turns[-1]
    windows = [last[at : at + WINDOW] for at in range(0, max(1, len(last) - WINDOW // 2), WINDOW // 2)]
    before = " | ".join(turns[:-1])
    room = WINDOW - len(last)
    if before and room > 40:
        return [f"{before[-room:]} | {last}"]
    return windows


@dataclass(frozen=True, slots=True)
class Chance:
    """``emergency``: chance (0 to 1) that the turn is one; ``category``: the likeliest."""

    emergency: float
    category: str


@dataclass(frozen=True, slots=True)
class Decision:
    """What a turn gets, and the reason in words that are not the patient's."""

    tier: Tier
    routes: tuple[str, ...]
    category: str
    text: str
    reason: str


class Classifier:
    """Two layers over unit vectors. Pure and thread-safe."""

    def __init__(self, content: bytes) -> None:
        """Read the weights file. Raises ConfigurationError where it is damaged."""
        try:
            tensors = load(content)
            self.classes = [str(name) for name in json.loads(tensors.pop("classes").tobytes())]
            self._layers = [tensors[f"{layer}.{part}"].astype(np.float32) for layer in ("inner", "outer")
                            for part in ("kernel", "bias")]  # fmt: skip
        except (SafetensorError, KeyError, ValueError) as error:
            raise ConfigurationError(f"{WEIGHTS_FILE} is damaged, train it again: {error}") from None
        kernel, bias, outer, last = self._layers
        fitting = kernel.shape[1:] == bias.shape == outer.shape[:1] and outer.shape[1:] == last.shape
        if not fitting or last.shape != (len(self.classes),) or self.classes[0] != NONE:
            raise ConfigurationError(f"{WEIGHTS_FILE}: its layers and classes do not fit each other; train it again")
        if not all(np.isfinite(layer).all() for layer in self._layers):
            raise ConfigurationError(f"{WEIGHTS_FILE} holds values that are not numbers; train it again")

    def chances(self, vectors: Vectors) -> Vectors:
        """Chances (n, classes) of unit vectors (n, 384); rows add up to 1."""
        kernel, bias, outer, last = self._layers
        logits = np.maximum(vectors @ kernel + bias, 0) @ outer + last
        powers = np.exp(logits - logits.max(axis=1, keepdims=True))
        result: Vectors = powers / powers.sum(axis=1, keepdims=True)
        return result


class LearnedRaise:
    """Judges the last of a patient's turns by a classifier and the bundle's policy for it. Thread-safe."""

    def __init__(self, policy: LearnedPolicy, classifier: Classifier, encoder: Embedder) -> None:
        """``policy`` has an entry for every category of the classifier (the bundle's loader checks this)."""
        self.policy = policy
        self._classifier, self._encoder = classifier, encoder

    def chance(self, turns: Sequence[str]) -> Chance:
        """The chance of an emergency, that of the likeliest window. ``turns`` hold text, oldest first."""
        chances = self._classifier.chances(self._encoder.embed(views(turns)))
        row = chances[int(chances[:, 0].argmin())]
        return Chance(1.0 - float(row[0]), self._classifier.classes[int(row[1:].argmax()) + 1])

    def raised(self, turns: Sequence[str]) -> Decision | None:
        """What the turn gets, or None where it stays as it is."""
        found = self.chance(turns)
        if found.emergency < self.policy.unsure:
            return None
        entry = self.policy.categories[found.category]
        reason = f"no rule raised it; reads like {entry.means} (chance {found.emergency:.2f})"
        if found.emergency < self.policy.threshold:
            routes = tuple(dict.fromkeys([*entry.routes, "nurse_line"]))
            return Decision(Tier.URGENT, routes, found.category, entry.unsure_text, reason)
        return Decision(Tier.of(entry.tier), tuple(entry.routes), found.category, entry.text, reason)
