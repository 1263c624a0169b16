"""Pairs: a calm message, and nearly the same words that must still raise an alarm. By class of what calms."""

from __future__ import annotations

import pytest

from app.contracts.replies import Tier
from app.guardrails.triage import Triage

DATED = [
    ("he had a seizure years ago", "he is having a seizure like years ago right now"),
    (
        "I had a heart attack when I was forty, which form do I fill",
        "I had a heart attack at my desk, which form do I fill",
    ),
    ("my son drank bleach when he was two, he is 17 now", "my son drank bleach when he was in the garage"),
    ("mi hija convulsionó cuando tenía tres años", "mi hija convulsionó, tiene tres años"),
    ("ten years ago today my dad had a stroke", "my dad had a stroke today"),
    ("today is five years since my heart attack", "today five minutes into mowing I had a heart attack"),
    ("she had one seizure as a preemie and never again", "she had one seizure as a preemie and again tonight"),
    ("I passed out two summers ago, does the gym need to know", "I passed out two times, does the gym need to know"),
    ("grandpa coughed up blood in the war", "grandpa coughed up blood in the car"),
    ("my late uncle had a stroke in the seventies", "my uncle had a stroke in the kitchen"),
    ("se desmayó de chiquito, hace 11 años", "se desmayó hace 11 minutos"),
    (
        "he fell off a roof in 2009, broke his pelvis, all healed",
        "he fell off a roof in 2009 and today he fell off it again",
    ),
    ("had a seizure with a fever at 14 months, he is 9", "had a seizure with a fever, he is 14 months"),
]
AFTERTHOUGHT = [
    (
        "he fainted // no i mean in 2009 // which box do i tick",
        "he fainted // no i mean in the shower // which box do i tick",
    ),
    (
        "my mom had a heart attack // years ago // is the echo in june",
        "my mom has a heart attack // years ago // is the echo in june",
    ),
    (
        "i passed out // that was 12 years ago // do you need dates",
        "i passed out // that was 12 years ago // and now again",
    ),
    (
        "dad had a seizure // in 2016 // should i get records",
        "dad is having a seizure // in 2016 // ok",
    ),
    ("me desmayé // hace 20 años // importa para la anestesia", "me desmayé // hace 20 años // y hoy me desmayé"),
]
CLEARED = [
    (
        "she fainted on tuesday // the er checked her and sent us home // when is her visit",
        "she fainted // the er is far // when is her visit",
    ),
    (
        "my son drank bleach // poison control said it was nothing // list of plants?",
        "my son drank bleach // he says it is harmless // ok",
    ),
    (
        "I passed out in my first trimester, doctor checked me, all good, I'm 30 weeks",
        "I passed out in my car, mom checked me, all good, I'm 30 weeks",
    ),
    (
        "my leg swelled and hurt after the flight // they did the ultrasound, no clot",
        "my leg swelled and hurts after the flight // no ultrasound yet, clot?",
    ),
    (
        "mi hijo se tragó una moneda // la pediatra dijo que todo perfecto // ¿cuándo la vacuna?",
        "mi hijo se tragó una pila // él dice que todo perfecto // ¿cuándo la vacuna?",
    ),
    (
        "he had chest pain // the er ran an ekg, normal, sent him home // bill?",
        "he had chest pain // the er ran an ekg, normal, sent him home // it is back and worse",
    ),
    (
        "he had chest pain in april, cardiologist cleared him",
        "he has chest pain, his cardiologist cleared him in april",
    ),
]
DENIED = [
    ("the letter says I denied chest pain, dyspnea and syncope", "I denied chest pain, then I fainted"),
    (
        "the nurse asked if I passed out and I said no",
        "the nurse asked if I passed out and I said no but I did pass out",
    ),
    (
        "me preguntó si quiero hacerme daño y dije que no",
        "me preguntó si quiero hacerme daño y dije que no pero sí quiero hacerme daño",
    ),
    ("nobody had a stroke, the code is wrong", "nobody saw it, she had a stroke"),
    ("I have no breathing problems since the birth", "not breathing since the birth"),
]
SCENES = [
    ("for my EMT class we practiced choking", "someone is choking in my EMT class"),
    ("I'm writing a screenplay, a guy gets shot in the leg", "I'm writing from the street, a guy got shot in the leg"),
    ("in the novel she vomits blood", "in the night she vomits blood"),
    ("we had a mock drill where a man had a heart attack", "we had a drill and now a man has a heart attack"),
    ("is the carbon monoxide class on saturday", "the carbon monoxide alarm is going off"),
    ("carbon monoxide poster for the newsletter", "carbon monoxide, what number is it"),
    ("estoy escribiendo un cuento, al señor le da un infarto", "estoy escribiendo y a mi papá le da un infarto"),
    ("what's the dka warning in the leaflet", "is he in dka, breath is fruity"),
    ("drowning talk in our newsletter", "he is drowning in our pool"),
]
THINGS = [
    ("the folding chair collapsed", "he collapsed on the folding chair"),
    ("someone collapsed // the stroller by the elevator", "someone collapsed // by the elevator"),
    ("the engine seized on the highway", "my husband seized on the highway"),
    ("the website kicked me out again", "my husband kicked me out and kicked me"),
    ("the dog got stung and his lip is huge", "I got stung and my lip is huge"),
    ("our cat had a seizure", "our son had a seizure, the cat is fine"),
    ("the captions are garbled", "his words are garbled"),
]
IDIOMS = [
    ("I knocked it out of the park in PT", "it knocked him out cold in the park"),
    ("where do I get a yellow fever shot", "his eyes are yellow, he has a fever and belly pain"),
    ("is plantar fasciitis why my heel hurts", "the er said necrotizing fasciitis"),
    ("shoulder sore from throwing a ball", "sudden pain in my left ball"),
    ("¿cuándo me cobra la clínica?", "me mordió una víbora"),
    ("I paid twice, can I get a refund", "I took my insulin twice"),
    ("he rolled his eyes at the clerk", "his eyes rolled back and he is shaking"),
    ("a fit of giggles in the mri", "he is having a fit on the floor"),
]
ALL = [*DATED, *AFTERTHOUGHT, *CLEARED, *DENIED, *SCENES, *THINGS, *IDIOMS]


def _alarms(triage: Triage, message: str) -> bool:
    return triage.assess(message.split(" // ")).tier >= Tier.URGENT


@pytest.mark.parametrize(("calm", "emergency"), ALL)
def test_what_calms_one_message_hides_nothing_in_the_other(triage: Triage, calm: str, emergency: str) -> None:
    assert (_alarms(triage, calm), _alarms(triage, emergency)) == (False, True)


@pytest.mark.parametrize(
    "message",
    [
        "my husband had chest pain // he says he's fine // which form do i need",
        "she fainted // she says it was nothing // is the clinic open",
        "he fainted last year, er checked him. now he is not breathing",
        "I had a stroke in 2015, all healed. Half my face is numb",
        "my son hit his head, the doctor checked him, now he is vomiting and wont wake up",
        "our dog collapsed and my son is not breathing",
        "the chair broke and he collapsed",
        "the tent collapsed on my son and he is not breathing",
        "I'm in a play and my chest is crushing me for real right now",
        "the ER said it was nothing but my chest pain is worse",
        "kicked in the chest by a horse and cant breathe",
        "dog bite won't stop bleeding",
    ],
)
def test_a_sign_of_now_outweighs_what_calms(triage: Triage, message: str) -> None:
    assert _alarms(triage, message)


def test_an_earlier_emergency_stays_where_later_talk_is_only_general(triage: Triage) -> None:
    assert _alarms(triage, "stroke // what is a handout")
    assert _alarms(triage, "he fainted // what are the signs of a stroke")


@pytest.mark.parametrize("text", ["this cut does not stop bleeding", "the bleeding does not stop"])
def test_does_not_is_a_statement(triage: Triage, text: str) -> None:
    assert triage.assess([text]).tier is Tier.EMERGENCY
