"""Why triage decided as it did: every rule whose words occur, what came of it, and where the words stand.

Where they stand is said in characters of the turns as typed; the patient's words themselves are never repeated.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from app.guardrails.patterns import GENERAL, HISTORY, NEGATED, Span
from app.guardrails.tokens import Place
from app.guardrails.triage import Judgement, Outcome, Triage

_FLAGS = ((NEGATED, "denied"), (HISTORY, "history"), (GENERAL, "general"))
_ORDER = list(Outcome)


@dataclass(frozen=True, slots=True)
class Spot:
    """Characters ``start`` to ``end`` (exclusive) of the turn with this number (from 0), and their context."""

    turn: int
    start: int
    end: int
    flags: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Explanation:
    """One trigger that occurs. ``back``: how many turns at the end were left out of what was read.

    ``because`` are the missing guards of an unguarded trigger or the exceptions of an excepted one.
    """

    rule: str
    tier: str
    outcome: str
    trigger: str
    back: int
    spans: tuple[Spot, ...]
    because: tuple[str, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """The stable form of ``bedside triage --explain``."""
        return asdict(self)


def explain(triage: Triage, judgement: Judgement) -> list[Explanation]:
    """All triggers that occur in what a judgement came from: those that count first, then in file order."""
    found = []
    for window in judgement.windows:
        places = triage.places(window)
        for match in triage.matches(window):
            spots = sorted({spot for span in match.spans for spot in _spots(span, places)}, key=_reading_order)
            found.append(
                Explanation(
                    match.rule.id, match.rule.tier, str(match.outcome), match.trigger, window.back, tuple(spots),
                    match.because,
                )
            )  # fmt: skip
    return sorted(found, key=lambda one: (one.back, _ORDER.index(Outcome(one.outcome))))


def _spots(span: Span, places: list[Place]) -> list[Spot]:
    """A span in characters: one spot for each turn that it lies in."""
    flags = tuple(name for flag, name in _FLAGS if span.flags & flag)
    by_turn: dict[int, list[Place]] = {}
    for place in places[span.start : span.end]:
        by_turn.setdefault(place.turn, []).append(place)
    return [Spot(turn, min(p.start for p in here), max(p.end for p in here), flags) for turn, here in by_turn.items()]


def _reading_order(spot: Spot) -> tuple[int, int, int, tuple[str, ...]]:
    return spot.turn, spot.start, spot.end, spot.flags
