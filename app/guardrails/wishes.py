"""The learned wish: a small classifier that finds wishes for a person which no rule of scope finds.

It reads one message by the encoder that the learned raise reads turns with; ``base`` of ``wishes.yaml`` names that
encoder's change. It can only hand over: what a rule has decided stays, and nothing becomes less urgent by it.
"""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

from app.contracts.site import Route
from app.guardrails.learned import NONE, Classifier, Embedder, views

POLICY_FILE, WEIGHTS_FILE = "wishes.yaml", "wishes.safetensors"
HUMAN = "human"
CLASSES = [NONE, HUMAN]
"""What the layers tell apart."""


class WishPolicy(BaseModel):
    """``wishes.yaml``: from which chance on a message is a wish for a person. ``routes`` and ``text`` are as of a rule;
    ``base`` is the SHA-256 of the encoder's change for turns over which the layers were trained.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    threshold: float = Field(gt=0, lt=1)
    base: str = Field(pattern=r"^[0-9a-f]{64}$")
    routes: list[Route] = Field(min_length=1)
    text: str


class LearnedWish:
    """Judges a message. Thread-safe."""

    def __init__(self, policy: WishPolicy, classifier: Classifier, encoder: Embedder) -> None:
        """``classifier`` knows ``CLASSES`` (the bundle's loader checks this)."""
        self.policy = policy
        self._classifier, self._encoder = classifier, encoder

    def chance(self, text: str) -> float:
        """The chance (0 to 1) that a person is wished for, that of the likeliest window of a long text."""
        return float(self._classifier.chances(self._encoder.embed(views([text])))[:, 1].max())

    def wished(self, text: str) -> bool:
        """Whether the message is handed over."""
        return bool(text.strip()) and self.chance(text) >= self.policy.threshold
