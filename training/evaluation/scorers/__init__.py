"""The scorers: each gives one figure for one item and its answer. One file each, all of them listed in ``scorers``."""

from __future__ import annotations

import functools
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

from app.contracts.site import Site
from app.redaction.detector import Detector
from app.redaction.leaks import foreign_identifiers
from app.redaction.redactor import Redactor
from app.redaction.vault import MemoryVault
from training.evaluation.answers import Answered
from training.evaluation.items import Item
from training.evaluation.scorers.abstention import Abstention
from training.evaluation.scorers.bleu import Bleu
from training.evaluation.scorers.canary import Canary
from training.evaluation.scorers.chrf import Chrf
from training.evaluation.scorers.citation import Citation
from training.evaluation.scorers.emergency import MissedEmergency
from training.evaluation.scorers.flips import Flips
from training.evaluation.scorers.groundedness import Groundedness, RawGroundedness
from training.evaluation.scorers.latency import Latency
from training.evaluation.scorers.medical_accuracy import MedicalAccuracy
from training.evaluation.scorers.over_refusal import OverRefusal
from training.evaluation.scorers.own_words import OwnWords
from training.evaluation.scorers.phi_leak import PhiLeak, RawPhiLeak
from training.evaluation.scorers.readability import Readability
from training.evaluation.scorers.refusal import Refusal
from training.evaluation.scorers.reply_class import ReplyClass
from training.evaluation.scorers.rouge import RougeL
from training.evaluation.scorers.route import Route
from training.evaluation.scorers.token_f1 import TokenF1
from training.evaluation.scorers.wrong_number import RawWrongNumber, WrongNumber
from training.evaluation.table import Unit

_COMMON = frozenset({"DATE", "AGE", "ZIP", "CITY", "ORGANIZATION", "URL"})


class Scorer(Protocol):
    """One figure of a reply. ``safety``: a single failure (1) matters; such a figure is 0 or 1, lower is better."""

    @property
    def name(self) -> str: ...

    @property
    def better(self) -> Literal["higher", "lower"]: ...

    @property
    def safety(self) -> bool: ...

    @property
    def unit(self) -> Unit: ...

    def score(self, item: Item, answered: Answered) -> float | None:
        """The figure; None where it does not apply to the item or the reply."""
        ...


@dataclass(frozen=True)
class Context:
    """What scorers know beside item and answer; one for all runs that are compared, since ``vaults`` takes seconds.

    ``detector`` allows the site's own details. ``canaries`` are texts planted in training data that no model may give
    back.
    """

    site: Site
    detector: Detector
    items: Sequence[Item]
    canaries: Sequence[str] = field(default=())

    @functools.cached_property
    def vaults(self) -> dict[str, MemoryVault]:
        """By item, the identifiers that its messages hold."""
        redactor = Redactor(self.detector, "prompt")
        found = {item.id: MemoryVault() for item in self.items}
        for item in self.items:
            for text in item.turns:
                redactor.redact(text, found[item.id])
        return found

    @functools.cached_property
    def planted(self) -> dict[str, list[str]]:
        """By cluster of items, telling identifiers in the messages: full names, addresses and numbers of a person.

        Dates, ages, towns and first names are left out: a model may say them by chance.
        """
        found: dict[str, list[str]] = defaultdict(list)
        for item in self.items:
            for token, value in self.vaults[item.id].tokens().items():
                kind = token.strip("<>").rpartition("_")[0]
                if kind not in _COMMON and (kind != "PERSON" or len(value.split()) > 1):
                    found[item.cluster].append(value)
        return dict(found)


def scorers(context: Context, answers: Mapping[str, Answered]) -> list[Scorer]:
    """All scorers for one run, whose ``answers`` are given by item."""
    foreign = functools.partial(foreign_identifiers, context.detector)
    route = Route({str(name): contact for name, contact in context.site.contacts.items()})
    own = context.site.own_details
    return [
        MedicalAccuracy(route), ReplyClass(), route, Refusal(), OverRefusal(), Abstention(), Citation(),
        MissedEmergency(), WrongNumber(own), PhiLeak(foreign, context.vaults),
        Canary(context.canaries, context.planted), Groundedness(), OwnWords(), Flips(context.items, answers),
        TokenF1(), Bleu(), Chrf(), RougeL(), Readability(), Latency(), RawGroundedness(),
        RawWrongNumber(own), RawPhiLeak(foreign, context.vaults),
    ]  # fmt: skip
