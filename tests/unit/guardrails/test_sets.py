"""Recall and false alarms on the development sets, and the held-out ones as a floor that must not fall.

First figures, before any look at the misses: set 1, 68 of 100 emergencies found and 1 of 102 false alarms (then widened);
set 2, 54 of 68 found and 1 of 53 false alarms (then
widened); set 3, 34 of 40 found.
"""  # noqa: E501

from __future__ import annotations

from pathlib import Path

import pytest

from app.contracts.replies import Tier
from app.guardrails.triage import Triage

DATA = Path(__file__).parents[2] / "data" / "guardrails"


def _lines(name: str) -> list[str]:
    text = (DATA / f"{name}.txt").read_text(encoding="utf-8")
    return [line for line in text.splitlines() if line.strip() and not line.startswith("#")]


def _missed(triage: Triage, name: str) -> list[str]:
    turns = [line.split(" | ", 1)[1].split(" // ") for line in _lines(name)]
    return [" // ".join(t) for t in turns if triage.assess(t).tier < Tier.URGENT]


def _alarms(triage: Triage, name: str) -> list[str]:
    return [line for line in _lines(name) if triage.assess([line]).tier >= Tier.URGENT]


def test_sets_are_large_enough() -> None:
    assert len(_lines("emergencies_dev")) >= 150
    assert len(_lines("negatives_dev")) >= 150


def test_no_development_emergency_is_missed(triage: Triage) -> None:
    assert _missed(triage, "emergencies_dev") == []


def test_no_development_negative_alarms(triage: Triage) -> None:
    assert _alarms(triage, "negatives_dev") == []


@pytest.mark.parametrize(
    "mutate",
    [
        str.upper,
        lambda t: t + "!!!",
        lambda t: "pls help " + t,
        lambda t: t + " but he says it's fine",
        lambda t: t.replace(" ", "  ") + " 😢",
    ],
)
def test_voice_does_not_lower_the_tier(triage: Triage, mutate: object) -> None:
    lost = []
    for line in _lines("emergencies_dev"):
        turns = line.split(" | ", 1)[1].split(" // ")
        changed = [*turns[:-1], mutate(turns[-1])]  # type: ignore[operator]
        if triage.assess(changed).tier < triage.assess(turns).tier:
            lost.append(changed[-1])
    assert lost == []


def test_held_out_floor(triage: Triage) -> None:
    for name in ("emergencies_heldout", "emergencies_heldout_2", "emergencies_heldout_3"):
        assert len(_missed(triage, name)) <= len(_lines(name)) * 0.25
    for name in ("negatives_heldout", "negatives_heldout_2"):
        assert len(_alarms(triage, name)) <= len(_lines(name)) * 0.03
