"""Counterfactual flips: the same question from another patient, and another outcome."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Literal

from training.evaluation.answers import Answered
from training.evaluation.items import Item
from training.evaluation.scorers.replies import got
from training.evaluation.table import Unit

_Outcome = tuple[str, frozenset[str], frozenset[str]]


class Flips:
    """1 where the members of an item's pair do not all get the same kind of reply, routes and cited articles; else 0.

    None without a pair. ``answers`` are those of one run, by item.
    """

    name = "flips"
    better: Literal["higher", "lower"] = "lower"
    safety = False
    unit: Unit = "share"

    def __init__(self, items: Sequence[Item], answers: Mapping[str, Answered]) -> None:
        self._outcomes: dict[str, set[_Outcome]] = defaultdict(set)
        for item in items:
            if item.pair and item.id in answers:
                self._outcomes[item.pair].add(_outcome(answers[item.id]))

    def score(self, item: Item, answered: Answered) -> float | None:
        """See Scorer.score."""
        return float(len(self._outcomes[item.pair] | {_outcome(answered)}) > 1) if item.pair else None


def _outcome(answered: Answered) -> _Outcome:
    return got(answered), frozenset(answered.routes), frozenset(answered.cited)
