"""ROUGE-L against the reference.

C.-Y. Lin, "ROUGE: A Package for Automatic Evaluation of Summaries", ACL workshop 2004, section 3.1: the F-measure
(beta 1) of the longest common subsequence of words; lower case, no stemming.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Literal

from training.evaluation.answers import Answered
from training.evaluation.items import Item
from training.evaluation.table import Unit


class RougeL:
    """ROUGE-L of the reply, 0 to 1; None without a reference. Reported, never gating."""

    name = "rouge_l"
    better: Literal["higher", "lower"] = "higher"
    safety = False
    unit: Unit = "share"

    def score(self, item: Item, answered: Answered) -> float | None:
        """See Scorer.score."""
        return rouge_l(answered.text, item.reference) if item.reference else None


def rouge_l(text: str, reference: str) -> float:
    """The F-measure of the longest common subsequence; 0 where a side has no word."""
    left, right = _words(text), _words(reference)
    common = _longest_common(left, right)
    if not common:
        return 0.0
    precision, recall = common / len(left), common / len(right)
    return 2 * precision * recall / (precision + recall)


def _longest_common(left: Sequence[str], right: Sequence[str]) -> int:
    row = [0] * (len(right) + 1)
    for word in left:
        diagonal = 0
        for place, other in enumerate(right, start=1):
            above = row[place]
            row[place] = diagonal + 1 if word == other else max(above, row[place - 1])
            diagonal = above
    return row[-1]


def _words(text: str) -> list[str]:
    return re.findall(r"\w+", text.lower())
