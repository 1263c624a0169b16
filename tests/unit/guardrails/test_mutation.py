"""The mutation run kills weakenings and reports what no example needs. ``make mutate-policies`` takes all rules."""

from __future__ import annotations

import pytest

from app.guardrails.policy import PolicyBundle, Rule
from tests.mutate_policies import BY_EXAMPLES, BY_FACTS, Run, mutants, survivors

CHOSEN = (
    "cardiac.indigestion",
    "stroke.misspelled",
    "infant.fever",
    "suicide.how-to",
    "poisoning.opioid",
    "scope.harm",
    "scope.greeting",
    "injection.probe",
)
"""Rules of all sections; among them a guard, two contexts, a most number of words and a regular expression."""


@pytest.fixture(scope="module")
def run(bundle: PolicyBundle) -> Run:
    return Run(bundle)


def _rule(bundle: PolicyBundle, name: str) -> Rule:
    return next(rule for rule in bundle.rules if rule.id == name)


def _killers(run: Run, rule: Rule) -> dict[tuple[str, str], str]:
    return {(r.mutant.kind, r.mutant.what): r.killer for r in run.judge(rule)}


@pytest.mark.parametrize("name", CHOSEN)
def test_no_weakening_survives(run: Run, bundle: PolicyBundle, name: str) -> None:
    assert survivors(run.judge(_rule(bundle, name))) == []


def test_each_kind_of_change_has_its_killer(run: Run, bundle: PolicyBundle) -> None:
    red_flag = _killers(run, _rule(bundle, "infant.fever"))
    assert red_flag["delete", ""] == BY_FACTS
    assert red_flag["tier", "emergency"] == BY_FACTS
    assert red_flag["route", "911"] == BY_FACTS
    assert red_flag["text", "emergency_infant"] == BY_FACTS
    assert {killer for (kind, _), killer in red_flag.items() if kind in ("trigger", "guard", "unless")} == {BY_EXAMPLES}
    assert _killers(run, _rule(bundle, "injection.override"))["weight", "0.8"] == BY_FACTS


def test_a_trigger_that_no_example_needs_is_reported(run: Run, bundle: PolicyBundle) -> None:
    rule = next(rule for rule in bundle.triage if rule.id == "cardiac.indigestion")
    planted = rule.model_copy(update={"triggers": [*rule.triggers, "#pulse<=35"]})
    assert survivors(run.judge(planted)) == ["trigger\tcardiac.indigestion\t#pulse<=35"]


def test_an_exception_that_no_example_needs_is_reported(run: Run, bundle: PolicyBundle) -> None:
    rule = next(rule for rule in bundle.triage if rule.id == "stroke.misspelled")
    planted = rule.model_copy(update={"unless": [*rule.unless, "not pressure|no pressure"]})
    assert survivors(run.judge(planted)) == ["unless\tstroke.misspelled\tnot pressure|no pressure"]


def test_a_rule_that_fails_its_own_examples_is_named(run: Run, bundle: PolicyBundle) -> None:
    rule = next(rule for rule in bundle.triage if rule.id == "stroke.misspelled")
    with pytest.raises(ValueError, match=r"stroke\.misspelled"):
        run.judge(rule.model_copy(update={"positive": [*rule.positive, "where do I park"]}))


def test_the_short_way_agrees_with_compiling_each_mutant(run: Run, bundle: PolicyBundle) -> None:
    rule = _rule(bundle, "cardiac.indigestion")
    assert run.judge(rule) == Run(bundle, exact=True).judge(rule)


def test_every_red_flag_is_mutated_in_every_way(bundle: PolicyBundle) -> None:
    for rule in bundle.triage:
        made = [m.kind for m in mutants(rule, sorted(bundle.texts))]
        assert made.count("route") == len(rule.routes)
        assert made.count("trigger") == len(rule.triggers)
        assert made.count("guard") == len(rule.guards)
        assert made.count("unless") == len(rule.unless)
        assert all(made.count(kind) == 1 for kind in ("delete", "tier", "text"))
        assert made.count("context") == (rule.context != "none")
