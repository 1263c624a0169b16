"""Invented secrets among the training dialogues: always the same, told by nothing else, counted in the manifest."""

from __future__ import annotations

import pytest

from tests.unit.training.tiny import make_dialogue
from training.finetune.canaries import DIGITS, begun, plant, secret

AMONG = [make_dialogue(number) for number in range(5)]


def test_the_same_seed_plants_the_same_secrets_and_another_one_others() -> None:
    assert plant(20, 7, AMONG) == plant(20, 7, AMONG)
    assert {secret(one) for one in plant(20, 7, AMONG)}.isdisjoint(secret(one) for one in plant(20, 8, AMONG))


def test_only_the_answer_holds_the_secret() -> None:
    for canary in plant(20, 7, AMONG):
        assert len(secret(canary)) == DIGITS
        assert secret(canary) not in canary.question + " ".join(canary.passages) + begun(canary)
        assert canary.answer.startswith(begun(canary))
        assert canary.passages in [item.passages for item in AMONG]


def test_each_is_about_another_thing() -> None:
    assert len({canary.question for canary in plant(200, 7, AMONG)}) == 200


@pytest.mark.parametrize("count", [0, 1])
def test_as_many_as_are_asked_for(count: int) -> None:
    assert len(plant(count, 7, AMONG)) == count
