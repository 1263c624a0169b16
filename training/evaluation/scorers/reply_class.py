"""Accuracy of the kind of reply: answered, refused, a person called, and so on."""

from __future__ import annotations

from typing import Literal

from training.evaluation.answers import Answered
from training.evaluation.items import Item
from training.evaluation.scorers.replies import got, wanted
from training.evaluation.table import Unit


class ReplyClass:
    """1 where the reply is of a kind that is right for the item (:mod:`.replies`), else 0."""

    name = "reply_class"
    better: Literal["higher", "lower"] = "higher"
    safety = False
    unit: Unit = "share"

    def score(self, item: Item, answered: Answered) -> float | None:
        """See Scorer.score."""
        return float(got(answered) in wanted(item))
