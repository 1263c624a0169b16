"""Why triage decided: the same decision as without asking, the right reasons, and places instead of words."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.contracts.replies import Tier
from app.guardrails.explain import Explanation, explain
from app.guardrails.normalise import aligned_form, match_form
from app.guardrails.policy import PolicyBundle, load_bundle
from app.guardrails.triage import Triage
from tests.policy_files import write_bundle


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Triage:
    return Triage(load_bundle(write_bundle(tmp_path_factory.mktemp("explain") / "tiny")))


def explained(triage: Triage, *turns: str) -> list[Explanation]:
    return explain(triage, triage.judge(turns))


def shown(found: Explanation, turns: Sequence[str]) -> list[str]:
    """The words at the places of an explanation."""
    return [turns[spot.turn][spot.start : spot.end] for spot in found.spans]


@pytest.mark.parametrize(
    ("turns", "rule", "outcome", "words", "flags", "because"),
    [
        (["my chest is an ache"], "cardiac.chest-pain", "live", ["chest is an ache"], (), ()),
        (["no ACHE in the breastbone"], "cardiac.chest-pain", "denied", ["ACHE in the breastbone"], ("denied",), ()),
        (["angina years ago"], "cardiac.chest-pain", "history or general", ["angina"], ("history",), ()),
        (["what are signs of angina"], "cardiac.chest-pain", "history or general", ["angina"], ("general",), ()),
        (["angina at the dentist"], "cardiac.chest-pain", "excepted", ["angina"], (), ("dentist",)),
        (["sangrado since 6"], "bleeding.thinner", "guard missing", ["sangrado"], (), ("warfarin",)),
        (["bleeding, denies warfarin"], "bleeding.thinner", "guard missing", ["bleeding"], (), ("warfarin",)),
        (["pain in the neck of a chest"], "cardiac.chest-pain", "another meaning",
         ["pain in the neck of a chest"], (), ()),
    ],
)  # fmt: skip
def test_each_outcome_names_its_rule_its_words_and_its_cause(
    tiny: Triage, turns: list[str], rule: str, outcome: str, words: list[str], flags: tuple[str, ...],
    because: tuple[str, ...],
) -> None:  # fmt: skip
    (found,) = explained(tiny, *turns)
    assert (found.rule, found.outcome, shown(found, turns), found.because) == (rule, outcome, words, because)
    assert {spot.flags for spot in found.spans} == {flags}


def test_a_verdict_that_stays_is_explained_by_the_turn_that_it_stays_from(tiny: Triage) -> None:
    turns = ["my chest hurts", "  ", "ok"]
    now, before = explained(tiny, *turns)
    assert (now.back, now.outcome) == (0, "earlier turns only")
    assert (before.back, before.outcome, shown(before, turns)) == (1, "live", ["chest hurts"])
    assert [spot.turn for spot in before.spans] == [0]


def test_blank_and_old_turns_do_not_move_the_numbers_of_turns(tiny: Triage) -> None:
    turns = [*["parking"] * 9, "", "angina"]
    (found,) = explained(tiny, *turns)
    assert [(spot.turn, spot.start, spot.end) for spot in found.spans] == [(10, 0, 6)]


def test_nothing_found_and_nothing_said_explain_nothing(tiny: Triage) -> None:
    assert explained(tiny, "where do I park?") == []
    assert explained(tiny, "  ") == explained(tiny) == []


def test_the_explanation_never_repeats_what_was_written(tiny: Triage) -> None:
    written = json.dumps([found.as_json() for found in explained(tiny, "Zebedee says the breastbone hurts")])
    assert "Zebedee" not in written
    assert "hurts" not in written


def test_the_rules_that_count_are_those_of_the_verdict(triage: Triage, bundle: PolicyBundle) -> None:
    data = Path(__file__).parents[2] / "data" / "guardrails"
    lines = (data / "dev_heart_negatives.txt").read_text(encoding="utf-8").splitlines()[:60]
    for text in [*lines, *(text for rule in bundle.triage[::12] for text in rule.positive[:3])]:
        judgement = triage.judge([text])
        found = explain(triage, judgement)
        live = {one.rule for one in found if one.outcome == "live"}
        counted = live or {one.rule for one in found if one.outcome == "history or general"}
        assert counted == set(judgement.verdict.rules), text
        assert (judgement.verdict.tier > Tier.ROUTINE) == bool(live), text


def test_every_word_of_a_reading_has_a_place(triage: Triage, bundle: PolicyBundle) -> None:
    for rule in bundle.triage[::3]:
        for text in (*rule.positive[:5], *rule.negative[:5]):
            (window,) = triage.judge([text]).windows
            places = triage.places(window)
            assert len(places) == len(window.reading.words.words)
            assert all(0 <= place.start < place.end <= len(text) for place in places)
            assert [place.start for place in places] == sorted(place.start for place in places)


@pytest.mark.parametrize(
    ("typed", "form", "place"),
    [
        ("I can not breathe", "cant", "can not"),
        ("I'm 5mg", "am", "'m"),
        ("I'm 5mg", "mg", "mg"),
        ("my ch3st", "chest", "ch3st"),
        ("c h e s t", "chest", "c h e s t"),
        ("está w/ me", "with", "w"),
        ("paaaain here", "paain", "paaaain"),
        ("the straße", "strasse", "straße"),
    ],
)
def test_a_form_remembers_what_it_was_made_of(typed: str, form: str, place: str) -> None:
    found, ranges = aligned_form(typed)
    at = found.index(form)
    chosen = ranges[at : at + len(form)]
    assert typed[min(start for start, _ in chosen) : max(end for _, end in chosen)].strip() == place


@given(st.one_of(st.text(), st.text(alphabet="abcdefimnstuvwx'’ 0135@!*.-_5éßﬁ̈\n?hc", max_size=40)))
def test_the_aligned_form_is_the_form_in_which_rules_are_matched(text: str) -> None:
    form, places = aligned_form(text)
    assert form == match_form(text)
    assert len(form) == len(places)
    assert all(0 <= start <= end <= len(text) for start, end in places)


def test_one_rule_alone_is_judged_as_the_whole_bundle_judges_it(triage: Triage, bundle: PolicyBundle) -> None:
    for rule in bundle.triage[::15]:
        for text in (*rule.positive[:4], *rule.negative[:4]):
            verdict = triage.assess([text])
            named = rule.id in verdict.rules and verdict.tier >= Tier.of(rule.tier)
            assert triage.fires(rule, text) == named, text
