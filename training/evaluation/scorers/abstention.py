"""Abstention: where no article answers, nothing is given for an answer."""

from __future__ import annotations

from typing import Literal

from training.evaluation.answers import Answered
from training.evaluation.items import Item
from training.evaluation.scorers.replies import got
from training.evaluation.table import Unit


class Abstention:
    """1 where an item of the kind ``no_answer`` gets no answer, neither the model's nor a passage; else 0.

    None for other kinds.
    """

    name = "abstention"
    better: Literal["higher", "lower"] = "higher"
    safety = False
    unit: Unit = "share"

    def score(self, item: Item, answered: Answered) -> float | None:
        """See Scorer.score."""
        return float(got(answered) != "answer") if item.kind == "no_answer" else None
