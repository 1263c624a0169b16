"""Citation: the answer rests on an article that answers the question."""

from __future__ import annotations

from typing import Literal

from training.evaluation.answers import Answered
from training.evaluation.items import Item
from training.evaluation.table import Unit


class Citation:
    """1 where a right article is cited; 0 where another one or none is. None unless an article answers the item."""

    name = "citation"
    better: Literal["higher", "lower"] = "higher"
    safety = False
    unit: Unit = "share"

    def score(self, item: Item, answered: Answered) -> float | None:
        """See Scorer.score."""
        return float(not set(item.articles).isdisjoint(answered.cited)) if item.kind == "answer" else None
