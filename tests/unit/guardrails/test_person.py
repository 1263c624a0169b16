"""Wishes for a person, in many wordings, and calm messages that only look like them.

The held-out half has other sentence forms, was written before any rule was changed, and its misses were not looked at.
But one author wrote halves and rules, and some of its words stand in the rules: its figures are a floor that must not
fall and no estimate for all patients. Before the rules 7 of its 60 wishes were passed on; when the rules met it first
45, and 3 of 60 calm messages; now 47 and 2. Rounds of new wishes that were chosen to be hard stood at 27 to 59 % when
the rules met them first (``person_dev.txt`` says it round by round), which is nearer the truth for odd wordings.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from app.guardrails.scope import Scope

DATA = Path(__file__).parents[2] / "data" / "guardrails"


def _texts(name: str, kind: str) -> list[str]:
    lines = (DATA / f"person_{name}.txt").read_text(encoding="utf-8").splitlines()
    rows = [line.split(" | ", 1) for line in lines if line.strip() and not line.startswith("#")]
    assert {row[0] for row in rows} == {"wish", "calm"}
    return [text for said, text in rows if said == kind]


def _passed_on(scope: Scope, texts: list[str]) -> list[str]:
    return [text for text in texts if scope.assess(text).kind == "human"]


def test_the_halves_share_no_message() -> None:
    dev, held_out = ({t.lower() for kind in ("wish", "calm") for t in _texts(n, kind)} for n in ("dev", "held_out"))
    assert not dev & held_out
    assert len(held_out) == 120


@pytest.mark.parametrize(("name", "recall", "false"), [("dev", 0.95, 0.005), ("held_out", 0.73, 0.05)])
def test_wishes_are_passed_on_and_calm_messages_are_not(scope: Scope, name: str, recall: float, false: float) -> None:
    wishes, calm = _texts(name, "wish"), _texts(name, "calm")
    heard, mistaken = _passed_on(scope, wishes), _passed_on(scope, calm)
    assert len(heard) >= recall * len(wishes), sorted(set(wishes) - set(heard))
    assert len(mistaken) <= false * len(calm), mistaken


@pytest.mark.parametrize(
    "text",
    [
        "where do I park? and can a human call me",
        "What time does the lab open? Also I want to talk to a real person.",
        "¿cuál es el horario? y quiero hablar con alguien",
        "thanks, that helped, but please have a nurse call me",
        "hi, let me talk to somebody",
    ],
)
def test_a_wish_beside_something_else_is_passed_on(scope: Scope, text: str) -> None:
    assert scope.assess(text).kind == "human"


@pytest.mark.parametrize("text", ["are you a real person?", "Am I talking to a robot", "¿eres humano?"])
def test_what_the_chat_is_stays_a_question_about_the_chat(scope: Scope, text: str) -> None:
    assert scope.assess(text).kind == "identity"


@pytest.mark.parametrize("text", ["please call me back", "have someone call me back", "I'd like a call back"])
def test_a_word_that_means_something_else_to_triage_hides_no_wish(scope: Scope, text: str) -> None:
    """ "back" is masked for the red flags here; the wish for a call is heard all the same."""
    assert scope.assess(text).kind == "human"
