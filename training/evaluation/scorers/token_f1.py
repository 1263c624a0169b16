"""Word overlap with the reference."""

from __future__ import annotations

from typing import Literal

from training.evaluation.answers import Answered
from training.evaluation.items import Item
from training.finetune.score import token_f1


class TokenF1:
    """Harmonic mean of word precision and recall of the reply against the reference, 0 to 1; None without one."""

    name = "token_f1"
    better: Literal["higher", "lower"] = "higher"
    safety = False

    def score(self, item: Item, answered: Answered) -> float | None:
        """See Scorer.score."""
        return token_f1(answered.text, item.reference) if item.reference else None
