"""How hard the reply is to read."""

from __future__ import annotations

from typing import Literal

from training.curate.readability import grade
from training.evaluation.answers import Answered
from training.evaluation.items import Item
from training.evaluation.scorers.replies import got
from training.evaluation.table import Unit


class Readability:
    """U.S. school grade (Flesch and Kincaid) of an answer; None for other replies, Spanish and fewer than 30 words."""

    name = "readability"
    better: Literal["higher", "lower"] = "lower"
    safety = False
    unit: Unit = "grades"

    def score(self, item: Item, answered: Answered) -> float | None:
        """See Scorer.score."""
        return grade(answered.text) if item.language == "en" and got(answered) == "answer" else None
