"""Own words: what the model says stands up to the checks, and reaches the patient."""

from __future__ import annotations

from typing import Literal

from app.contracts.prompt import NOT_IN_ARTICLES
from training.evaluation.answers import Answered
from training.evaluation.items import Item
from training.evaluation.table import Unit
from training.sentences import without_citation


class OwnWords:
    """1 where the model's own words reached the patient, 0 where the checks held them back and she got the approved
    passage in their place. None where the model was not asked, or said the fixed sentence for "not in the articles".

    The passage answers well, so that no other figure tells an adapter that says nothing of use.
    """

    name = "own_words"
    better: Literal["higher", "lower"] = "higher"
    safety = False
    unit: Unit = "share"

    def score(self, item: Item, answered: Answered) -> float | None:
        """See Scorer.score."""
        if not answered.raw or without_citation(answered.raw) == NOT_IN_ARTICLES:
            return None
        return float(answered.own_words)
