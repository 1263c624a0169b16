"""chrF against the reference.

M. Popović, "chrF: character n-gram F-score for automatic MT evaluation", WMT 2015; sacrebleu's: 6 characters, beta 2.
"""

from __future__ import annotations

from typing import Literal

from sacrebleu.metrics.chrf import CHRF

from training.evaluation.answers import Answered
from training.evaluation.items import Item
from training.evaluation.table import Unit


class Chrf:
    """chrF of the reply, 0 to 1; None without a reference. Reported, never gating."""

    name = "chrf"
    better: Literal["higher", "lower"] = "higher"
    safety = False
    unit: Unit = "share"

    def __init__(self) -> None:
        self._chrf = CHRF()

    def score(self, item: Item, answered: Answered) -> float | None:
        """See Scorer.score."""
        return self.of(answered.text, item.reference) if item.reference else None

    def of(self, text: str, reference: str) -> float:
        """chrF of one text, 0 to 1."""
        return float(self._chrf.sentence_score(text, [reference]).score) / 100
