"""The language of triggers, over a small lexicon."""

from __future__ import annotations

import pytest

from app.guardrails.patterns import Found, Matcher
from app.guardrails.tokens import read

FILLERS = frozenset({"the", "please"})
CONCEPTS = {"cry": ["=ambulance", "=nine one one"], "leg": ["leg", "shin"]}
TRIGGERS = ["=help me", "@cry", "@cry + @leg", "@leg ~ hurts", "leg|arm > hurts + @cry", "#age_days>=3 + @leg", "@leg"]


def found(*turns: str) -> tuple[Matcher, Found]:
    matcher = Matcher(CONCEPTS, TRIGGERS, FILLERS)
    words = read(turns, None, FILLERS)
    return matcher, matcher.match(words, matcher.phrases(words), [0] * len(words.words), [])


def holds(source: str, *turns: str) -> bool:
    matcher, said = found(*turns)
    return all(said.part(part) for part in matcher.triggers[source].parts)


@pytest.mark.parametrize(
    ("turns", "whole"),
    [
        (["help me"], True),
        (["HELP ME!!!"], True),
        (["He fell. Help me!"], True),
        (["he fell", "help me"], True),
        (["help me", "he fell"], True),
        (["help me book a visit"], False),
        (["can you help me"], False),
        (["can you", "help me"], True),
        (["help", "me"], True),
    ],
)
def test_an_equals_sign_asks_for_a_sentence_of_only_that(turns: list[str], whole: bool) -> None:
    assert holds("=help me", *turns) is whole


def test_a_concept_may_hold_whole_sentences_too() -> None:
    assert holds("@cry", "Ambulance! My leg")
    assert not holds("@cry", "the ambulance bill")


@pytest.mark.parametrize("turns", [["ambulance"], ["my leg hurts"], ["nine one one. the leg hurts"], ["arm"], [""]])
def test_the_quick_look_refuses_only_what_cannot_match(turns: list[str]) -> None:
    matcher, said = found(*turns)
    for source, trigger in matcher.triggers.items():
        if not said.may_match(trigger):
            assert not holds(source, *turns), source
    assert not found("arm")[1].may_match(matcher.triggers["@leg"])
