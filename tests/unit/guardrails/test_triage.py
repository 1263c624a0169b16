from __future__ import annotations

import pytest

from app.contracts.replies import Tier
from app.guardrails.tokens import Speller
from app.guardrails.triage import Triage
from tests.cost import seconds


def tier(triage: Triage, *turns: str) -> Tier:
    return triage.assess(turns).tier


@pytest.mark.parametrize(
    "text",
    [
        "I don't know why but my chest feels crushed by pressure",
        "no relief from the chest pain",
        "can't stop the heavy bleeding",
        "she is not breathing",
        "he won't wake up",
        "no fever, but my chest is crushing",
        "I have no idea why my face is drooping",
    ],
)
def test_pseudo_negation_clears_nothing(triage: Triage, text: str) -> None:
    assert tier(triage, text) == Tier.EMERGENCY


@pytest.mark.parametrize(
    "text",
    [
        "no chest pain",
        "she denies chest pain, shortness of breath, or fainting",
        "I don't have chest pain or trouble breathing",
        "without any bleeding or chest pain",
        "no tengo dolor de pecho ni falta de aire",
    ],
)
def test_denied_signs_do_not_alarm(triage: Triage, text: str) -> None:
    assert tier(triage, text) == Tier.NONE


@pytest.mark.parametrize(
    "text",
    [
        "what are the signs of a stroke?",
        "my dad had a heart attack in 1998",
        "my uncle had a stroke years ago",
        "how do I know if it's a heart attack",
    ],
)
def test_history_and_education_are_routine(triage: Triage, text: str) -> None:
    verdict = triage.assess([text])
    assert verdict.tier == Tier.ROUTINE
    assert verdict.text_id == "safety_net"


def test_history_does_not_hide_the_present(triage: Triage) -> None:
    assert tier(triage, "I had a heart attack years ago and now my chest is tight again") == Tier.EMERGENCY
    assert tier(triage, "what are the signs of a stroke? my husband's face is drooping") == Tier.EMERGENCY


@pytest.mark.parametrize("who", ["my husband", "my neighbor", "grandma", "the man next to me", "she"])
def test_third_persons_keep_the_tier(triage: Triage, who: str) -> None:
    assert tier(triage, f"{who} has crushing chest pain") == Tier.EMERGENCY


def test_flags_add_up_over_turns(triage: Triage) -> None:
    assert tier(triage, "my jaw aches since lunch", "ok", "now I'm sweating and feel sick") == Tier.EMERGENCY
    assert tier(triage, "I take warfarin", "I hit my head on the door") == Tier.EMERGENCY
    assert tier(triage, "my jaw aches since lunch") < Tier.URGENT


@pytest.mark.parametrize(
    "last",
    ["he says he's fine", "it's probably nothing", "we can't afford the ambulance", "he doesn't want to go", "ok"],
)
def test_minimising_keeps_the_tier(triage: Triage, last: str) -> None:
    assert tier(triage, "my husband has crushing chest pain", last) == Tier.EMERGENCY


def test_a_new_subject_releases(triage: Triage) -> None:
    assert (
        tier(triage, "my husband has crushing chest pain", "thanks, paramedics are here. where do I park?") == Tier.NONE
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("my 5 week old has a temp of 100.6", Tier.EMERGENCY),
        ("my 3 month old has a temp of 38.3 C", Tier.EMERGENCY),
        ("my 5 year old has a temp of 100.6", Tier.NONE),
        ("bp 185/122", Tier.URGENT),
        ("bp 125/82", Tier.NONE),
        ("blood sugar is 45", Tier.EMERGENCY),
        ("blood sugar is 110", Tier.NONE),
        ("my sugar is 2.6 mmol", Tier.EMERGENCY),
        ("I'm 37 weeks and bp is 150/95", Tier.EMERGENCY),
        ("oxygen is 84", Tier.EMERGENCY),
        ("oxygen is 96", Tier.NONE),
    ],
)
def test_numbers(triage: Triage, text: str, expected: Tier) -> None:
    assert tier(triage, text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "chset pain",
        "cheast pain",
        "chest paaaain",
        "ch3st p@in",
        "c h e s t pain",
        "chestpain",
        "CHEST PAIN!!!",
        "chest pian",
    ],
)
def test_spelling_does_not_matter(triage: Triage, text: str) -> None:
    assert tier(triage, text) == Tier.EMERGENCY


def test_routes_are_ordered_and_the_verdict_is_bound_to_the_policy(triage: Triage) -> None:
    verdict = triage.assess(["I took all my pills to end my life"])
    assert verdict.routes[:2] == ("911", "988")
    assert verdict.category == "suicide"
    assert len(verdict.policy_hash) == 64
    assert triage.assess(["I took all my pills to end my life"]) == verdict


def test_more_detail_never_lowers_a_suicide_tier(triage: Triage) -> None:
    base = tier(triage, "I want to kill myself")
    for detail in (
        "with pills",
        "with my dad's gun tonight",
        "and I wrote a letter",
        "by jumping off the bridge after work",
    ):
        assert tier(triage, f"I want to kill myself {detail}") >= base


@pytest.mark.parametrize("turns", [[], [""], ["   "], ["?" * 500], ["\n\n"], ["a" * 4000], ["чест 胸が痛い"]])
def test_odd_input_is_quiet(triage: Triage, turns: list[str]) -> None:
    assert tier(triage, *turns) == Tier.NONE


def test_latency_and_linear_growth(triage: Triage) -> None:
    text = (
        "Hello, my mother is 74 and takes warfarin and metoprolol, she has felt dizzy and tired since Monday and her ankles look a little bigger, "  # noqa: E501
        "no fever or cough, and we would like to know if we can move her appointment with the heart doctor to this week or speak with someone today please."  # noqa: E501
    )

    def p95() -> float:
        samples = sorted(seconds(lambda: triage.assess([text[:300]]), tries=1) for _ in range(60))
        return samples[int(len(samples) * 0.95)]

    # A neighbour on the machine can slow one round, but not make a slow triage fast.
    assert any(p95() <= 0.015 for _ in range(3))
    assert seconds(lambda: triage.assess([("chest pain arm " * 300)[:4000]]), most=2) < 2


@pytest.mark.parametrize(
    "text",
    [
        "I have crushing chest pain. I had a workout on Monday.",
        "One side of her face is drooping. She had a filling at the dentist in May.",
        "My wife's words are slurred. Do you have an interpreter? I speak little English.",
        "He won't stop bleeding. We have no money.",
        "I have a history of depression and I want to die tonight",
        "I'm a cancer survivor and I want to kill myself",
        "I want to kill myself, I failed my class",
        "I want to die. they closed the prevention program",
    ],
)
def test_other_talk_does_not_hide_an_emergency(triage: Triage, text: str) -> None:
    assert tier(triage, text) == Tier.EMERGENCY


def test_an_exception_in_the_same_sentence_still_counts(triage: Triage) -> None:
    assert tier(triage, "my face is numb after the dentist") == Tier.NONE
    assert tier(triage, "I am bleeding money, it won't stop") == Tier.NONE
    assert tier(triage, "do you validate parking? I'm about to have a heart attack over the price") < Tier.URGENT


@pytest.mark.parametrize(
    "text",
    [
        "my throat is clo\u200bsing after a bee sting",
        "my thr\u043eat is cl\u043esing after a bee sting",
        "mi throat es closing after a bee sting",
        "i want to di3 tonight",
        "m3 duele el pech0 y n0 puedo respirar",
    ],
)
def test_disguised_and_mixed_words_are_read(triage: Triage, text: str) -> None:
    assert tier(triage, text) == Tier.EMERGENCY


def test_a_digit_after_a_word_is_a_letter_only_where_that_makes_a_word_of_the_rules() -> None:
    speller = Speller(["die", "so"], [])
    assert [speller.mend(word) for word in ("di3", "type1", "50", "die")] == [("die",), ("type1",), ("50",), ("die",)]


def test_two_letters_in_the_wrong_order_are_put_right_before_others_are_shuffled() -> None:
    speller = Speller(["cafe", "face", "wakes", "weeks"], [])
    assert [speller.mend(word) for word in ("afce", "wekes")] == [("face",), ("weeks",)]


def test_a_denial_with_a_typing_error_still_denies(triage: Triage) -> None:
    speller = Speller(["have"], [])
    mended = [speller.mend(word) for word in ("havnt", "acnnot", "dosent")]
    assert mended == [("have", "not"), ("cant",), ("does", "not")]
    assert tier(triage, "i acnnot breathe") == Tier.EMERGENCY


def test_words_without_spaces_are_parted(triage: Triage) -> None:
    speller = Speller(["chest", "hurts", "feels", "crushed", "the", "less"], ["my", "never", "under"])
    glued = ("mychesthurts", "chestfeelscrushed", "nevertheless", "hurtsyi", "undertheweather")
    assert [speller.mend(word) for word in glued] == [
        ("my", "chest", "hurts"),
        ("chest", "feels", "crushed"),
        ("never", "the", "less"),
        ("hurts", "y", "i"),
        ("undertheweather",),
    ]
    assert tier(triage, "My c h e s t f e e l s c r u s h e d and my arm is numb") == Tier.EMERGENCY
