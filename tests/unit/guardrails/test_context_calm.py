"""What calms a red flag, and what must not: conditions only named, settings, the past, stories of earlier turns."""

from __future__ import annotations

from pathlib import Path

import pytest

from app.contracts.replies import Tier
from app.guardrails.policy import default_bundle_folder, load_bundle
from app.guardrails.triage import Triage

DATA = Path(__file__).parents[2] / "data" / "guardrails"


@pytest.fixture(scope="module")
def triage() -> Triage:
    return Triage(load_bundle(default_bundle_folder()))


def _lines(name: str) -> list[str]:
    return [s for s in (DATA / name).read_text().splitlines() if s and not s.startswith("#")]


@pytest.mark.parametrize(
    ("message", "alarm"),
    [
        ("I don't have chest pain or trouble breathing", False),
        ("do migraines increase stroke risk", False),
        ("is this a stroke", True),
        ("my dad had a stroke last week and is in room 412, can kids visit", False),
        ("my dad had a stroke", True),
        ("visiting my aunt and she is having a heart attack", True),
        ("i have a question about insurance // my husband had a stroke", True),
        ("heart attack no insurance", True),
        ("choking at school", True),
        ("babysitting course covers choking, do you offer one", False),
        ("she stopped breathing at birth, that was 30 years ago, healthy now", False),
        ("he says his chest hurts, it was fine a year ago", True),
        ("my cousin had a stroke when she was 30, should my daughter be tested", False),
        ("when he was 3 he had a seizure and now he is having one again", True),
        ("we watched a movie and my chest started hurting and my arm is numb", True),
        ("was playing a video game and my face went numb", True),
        ("in my novel the guy takes pills // i took 40 pills", True),
        ("i am writing a short story // it takes place in an er // the guy has a heart attack and collapses", False),
        ("que es un infarto", False),
        ("creo que es un infarto", True),
        ("nunca he pensado en el suicidio", False),
        ("covid shot and lips swelling", True),
        ("my chest is killing me", True),
        ("the traffic on the bridge is killing me", False),
        ("what is a widowmaker, my coworker says his dad beat one and i thought it was a truck", False),
        ("is there any way that the women of our church learn what a stroke does to speech", False),
        ("someone choking at table four", True),
        ("customer heart attack aisle five", True),
        ("anaphylaxis after the shrimp", True),
        ("seizure in the waiting room by the window please", True),
        ("back in '86 i passed out at my own wedding, hot church and no breakfast", False),
        ("i deny: chest pain, palpitations, fainting and leg swelling", False),
        ("i overdosed on pie at thanksgiving and gained 6 lb", False),
        ("i overdosed on my pills", True),
        (
            "gave my baby 5 ml of the syrup, the paper says 0.5. it has morphine in it. sleepy but thats normal?",
            True,
        ),
        ("my toddler is choking on a goldfish", True),
        ("out at the cabin with the whole family and my husband stroke", True),
        ("we were raking leaves by the fence and grandpa seizure", True),
        ("he was playing a video game on the couch // and now he is having a seizure", True),
        ("during the season finale my husband grabbed his chest and cant breathe", True),
        ("burned the toast and burned my hand, it is blistered and white", True),
    ],
)
def test_calm(triage: Triage, message: str, alarm: bool) -> None:
    assert (triage.assess(message.split(" // ")).tier >= Tier.URGENT) is alarm


@pytest.mark.parametrize(("author", "size"), [("calm", 300), ("town", 200), ("parlour", 200), ("campus", 200)])
def test_few_false_alarms_on_calm_negatives(triage: Triage, author: str, size: int) -> None:
    lines = _lines(f"dev_{author}_negatives.txt")
    alarms = [s for s in lines if triage.assess(s.split(" // ")).tier >= Tier.URGENT]
    assert len(lines) >= size
    assert len(alarms) / len(lines) < 0.05, alarms


def test_calming_words_hide_no_emergency(triage: Triage) -> None:
    assert [s for s in _lines("calm_emergencies.txt") if triage.assess(s.split(" // ")).tier < Tier.URGENT] == []
