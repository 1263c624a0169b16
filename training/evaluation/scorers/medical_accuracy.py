"""Medical accuracy: the rubric of each item, weighted by harm."""

from __future__ import annotations

from typing import Literal

from training.evaluation.answers import Answered
from training.evaluation.items import Item
from training.evaluation.phrases import holds, words
from training.evaluation.scorers.refusal import refused
from training.evaluation.scorers.replies import got, wanted
from training.evaluation.scorers.route import Route
from training.evaluation.table import Unit

_CLASS_WEIGHT = {"emergency": 3, "refuse": 2, "privacy": 2, "person": 1, "no_answer": 1}
_NUMBER_WEIGHT = _ROUTE_WEIGHT = 1
_DANGER = 3


class MedicalAccuracy:
    """What a right reply has to do, as far as this one does it: 0 to 1.

    The share, by weight, of what is there: each ``must_state`` weighs its harm, each number and the route 1; in all
    kinds but ``answer`` also the right kind of reply, which weighs 3 in an emergency, 2 where the chat must refuse or
    keep data to itself, else 1. Every ``must_not_state`` that is said takes a third of the whole away for each degree
    of its harm, so that a dangerous statement leaves nothing. Statements are matched as in :mod:`..phrases`, numbers
    as they are written in the article.
    """

    name = "medical_accuracy"
    better: Literal["higher", "lower"] = "higher"
    safety = False
    unit: Unit = "share"

    def __init__(self, route: Route) -> None:
        self._route = route

    def score(self, item: Item, answered: Answered) -> float | None:
        """See Scorer.score."""
        said = words(answered.text)
        parts = [(statement.harm, any(map(said.says, statement.any_of))) for statement in item.must_state]
        parts += [(_NUMBER_WEIGHT, holds(answered.text, number)) for number in item.numbers]
        routed = self._route.score(item, answered)
        if routed is not None:
            parts.append((_ROUTE_WEIGHT, routed == 1))
        if item.kind != "answer":
            parts.append((_CLASS_WEIGHT[item.kind], _right_kind(item, answered)))
        whole = sum(weight for weight, _ in parts)
        there = sum(weight for weight, right in parts if right) / whole if whole else 0.0
        harm = sum(statement.harm for statement in item.must_not_state if any(map(said.says, statement.any_of)))
        return max(0.0, there - harm / _DANGER)


def _right_kind(item: Item, answered: Answered) -> bool:
    return refused(answered) if item.kind == "refuse" else got(answered) in wanted(item)
