"""How long the reply took."""

from __future__ import annotations

from typing import Literal

from training.evaluation.answers import Answered
from training.evaluation.items import Item
from training.evaluation.table import Unit


class Latency:
    """Seconds from the message to the whole reply, with many items answered at once: for comparing systems only."""

    name = "latency"
    better: Literal["higher", "lower"] = "lower"
    safety = False
    unit: Unit = "seconds"

    def score(self, item: Item, answered: Answered) -> float | None:
        """See Scorer.score."""
        return answered.seconds
