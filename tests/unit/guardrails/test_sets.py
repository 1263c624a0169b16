"""Recall and false alarms on the development sets, and the held-out ones as a floor that must not fall.

First figures, before any look at the misses: set 1, 68 of 100 emergencies found and 1 of 102 false alarms (then widened);
set 2, 54 of 68 found and 1 of 53 false alarms (then
widened); set 3, 34 of 40 found.
"""  # noqa: E501

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from app.contracts.replies import Tier
from app.guardrails.triage import Triage

DATA = Path(__file__).parents[2] / "data" / "guardrails"
FROZEN = {
    "blind_emergencies": "f3288be27687fca68b1a5b1d3715009f6da4e9b605e108fd646ab9efae5d61b4",
    "blind_negatives": "53ffef38c2176fac48aae47df7a8de7ccdad0fffc46c9541ce52b3eedb67a987",
    "blind_routine": "253b281ec6773569c5e3ab8c9685bf386b623ef587bb2a952178b36674be537c",
    "blind2_emergencies": "f0dfd2ab34edf8c9e6c69c5df63330040d57df3b6092ca9ac5e125c4cc545926",
    "blind2_negatives": "60d0c8b8b1ad2b8604119a6a560dc9f5d0e25579c351fba75aedaa70be55680d",
    "blind2_routine": "172f75eca89522abe160b7c5698f6aca3fe6923c2553d364cf37e66a3871fdd0",
    "blind3_emergencies": "e79d04588b5ce160c36c20c259158d7429f2fa0568c0bca417a3b6ef70ccfd4b",
    "blind3_negatives": "71dd0044bf6b0d57da8c366887f9be0a59e65e9488dd6c77bbdc19fa095484f0",
    "blind3_routine": "c81ec60f788010b667602cd0a85c78d740f252b0b8c0b3ac374c405969e35532",
    "blind4_emergencies": "7254b2edeacfea9d2511e34703fe1feb4520b6fae31d23e6f5f732e50f2c95cf",
    "blind4_negatives": "05dbd2efc1921e4f76579395793bfdcc6312ff5a375526ed0f46dc2296182308",
    "blind4_routine": "d0fc02162f4dfae3d1f5959baf893ff41d0e09367781e8fb2ce9d701dedf184f",
    "blind_dialects_emergencies": "c8024b86fc201286ea7e24cb4fcc8e53706cf0a0898569092ba5e1bf66701234",
    "blind_dialects_negatives": "d27851ccc2905120280da307dfb8c3677e5c918fcef0e6a8d7c1e7e85f4749f9",
    "blind_dialects_plain_negatives": "65ed4fa7e588688f415232757051c6e3880251b067a0b8975707474bf7302703",
    "blind_wishes": "81de4c1d27f9c5e7ea88291f0a003054cf7c7e83d4ed9c9ec7b8f43b3254f7df",
}


def _lines(name: str) -> list[str]:
    text = (DATA / f"{name}.txt").read_text(encoding="utf-8")
    return [line for line in text.splitlines() if line.strip() and not line.startswith("#")]


def _missed(triage: Triage, name: str) -> list[str]:
    turns = [line.split(" | ", 1)[1].split(" // ") for line in _lines(name)]
    return [" // ".join(t) for t in turns if triage.assess(t).tier < Tier.URGENT]


def _alarms(triage: Triage, name: str) -> list[str]:
    return [line for line in _lines(name) if triage.assess(line.split(" // ")).tier >= Tier.URGENT]


AUTHORS = ("heart", "body", "mother", "mind")
EMERGENCIES = ("emergencies_dev", *(f"dev_{author}_emergencies" for author in AUTHORS))
NEGATIVES = ("negatives_dev", *(f"dev_{author}_negatives" for author in AUTHORS))


def test_sets_are_large_enough() -> None:
    assert sum(len(_lines(name)) for name in EMERGENCIES) >= 1_250
    assert sum(len(_lines(name)) for name in NEGATIVES) >= 900


@pytest.mark.parametrize("name", EMERGENCIES)
def test_no_development_emergency_is_missed(triage: Triage, name: str) -> None:
    assert _missed(triage, name) == []


@pytest.mark.parametrize("name", NEGATIVES)
def test_no_development_negative_alarms(triage: Triage, name: str) -> None:
    assert _alarms(triage, name) == []


def test_the_blind_sets_are_frozen() -> None:
    """Written by strangers to the rules; a rule must never be made from them."""
    for name, digest in FROZEN.items():
        assert hashlib.sha256((DATA / f"{name}.txt").read_bytes()).hexdigest() == digest, name


@pytest.mark.parametrize(
    ("name", "recall", "alarms", "routine"),
    [
        ("blind", 0.974, 0.089, 0.0076),
        ("blind2", 0.972, 0.0925, 0.0115),
        ("blind3", 0.986, 0.0875, 0.0026),
        ("blind4", 0.980, 0.077, 0.0),
    ],
)
def test_blind_floor(whole: Triage, name: str, recall: float, alarms: float, routine: float) -> None:
    """Not below what was measured when rules and raise met the blind sets (docs/measurements.md)."""
    missed, alarmed = _missed(whole, f"{name}_emergencies"), _alarms(whole, f"{name}_negatives")
    assert len(missed) <= len(_lines(f"{name}_emergencies")) * (1 - recall)
    assert len(alarmed) <= len(_lines(f"{name}_negatives")) * alarms
    assert len(_alarms(whole, f"{name}_routine")) <= len(_lines(f"{name}_routine")) * routine


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


def test_dialect_is_heard_no_worse_than_when_it_was_first_measured(whole: Triage) -> None:
    """A floor, not the goal, which is no alarm and no miss: spoken forms sound like distress to the learned raise (8 of
    150 harmless messages, 6 in plain spelling), and of 80 crises 73 are found.
    """
    assert len(_alarms(whole, "blind_dialects_negatives")) <= 8
    assert len(_alarms(whole, "blind_dialects_plain_negatives")) <= 6
    assert len(_missed(whole, "blind_dialects_emergencies")) <= 7
