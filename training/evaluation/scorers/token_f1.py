"""Word overlap with the reference."""

from __future__ import annotations

import re
from collections import Counter
from typing import Literal

from training.evaluation.answers import Answered
from training.evaluation.items import Item
from training.evaluation.table import Unit


class TokenF1:
    """Harmonic mean of word precision and recall of the reply against the reference, 0 to 1; None without one."""

    name = "token_f1"
    better: Literal["higher", "lower"] = "higher"
    safety = False
    unit: Unit = "share"

    def score(self, item: Item, answered: Answered) -> float | None:
        """See Scorer.score."""
        return token_f1(answered.text, item.reference) if item.reference else None


def token_f1(answer: str, wanted: str) -> float:
    """Harmonic mean of word precision and recall, lower case, punctuation off."""
    left, right = (Counter(re.findall(r"[\w'-]+", text.lower())) for text in (answer, wanted))
    common = sum((left & right).values())
    if not common:
        return 0.0
    precision, recall = common / sum(left.values()), common / sum(right.values())
    return 2 * precision * recall / (precision + recall)
