"""BLEU against the reference.

K. Papineni, S. Roukos, T. Ward, W.-J. Zhu, "BLEU: a Method for Automatic Evaluation of Machine Translation", ACL 2002,
as sacrebleu computes it for one sentence: its 13a tokens, exponential smoothing, effective order.
"""

from __future__ import annotations

from typing import Literal

from sacrebleu.metrics.bleu import BLEU

from training.evaluation.answers import Answered
from training.evaluation.items import Item
from training.evaluation.table import Unit


class Bleu:
    """BLEU of the reply, 0 to 1; None without a reference. Reported, never gating."""

    name = "bleu"
    better: Literal["higher", "lower"] = "higher"
    safety = False
    unit: Unit = "share"

    def __init__(self) -> None:
        self._bleu = BLEU(effective_order=True)

    def score(self, item: Item, answered: Answered) -> float | None:
        """See Scorer.score."""
        return self.of(answered.text, item.reference) if item.reference else None

    def of(self, text: str, reference: str) -> float:
        """BLEU of one text, 0 to 1."""
        return float(self._bleu.sentence_score(text, [reference]).score) / 100
