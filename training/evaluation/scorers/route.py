"""Whether the reply sends the patient where she should go."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from app.contracts.site import Contact
from training.evaluation.answers import Answered
from training.evaluation.items import Item
from training.evaluation.phrases import says
from training.evaluation.table import Unit


class Route:
    """1 where the reply has the item's route, or says its telephone or text number as the site gives it; else 0.

    None where no route is called for. A name alone ("the nurse line") is not enough: it reaches nobody.
    """

    name = "route"
    better: Literal["higher", "lower"] = "higher"
    safety = False
    unit: Unit = "share"

    def __init__(self, contacts: Mapping[str, Contact]) -> None:
        self._numbers = {
            route: [number for number in (contact.phone, contact.text_line) if number]
            for route, contact in contacts.items()
        }

    def score(self, item: Item, answered: Answered) -> float | None:
        """See Scorer.score."""
        if not item.route:
            return None
        named = any(says(answered.text, number) for number in self._numbers.get(item.route, []))
        return float(item.route in answered.routes or named)
