"""Every rule's own examples, 20 or more of each kind for a red flag, and the frozen facts of every rule.

``make mutate-policies`` weakens each rule in every way and sees that one of these tests fails.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from app.contracts.replies import Tier
from app.guardrails.injection import Injection
from app.guardrails.policy import (
    InjectionRule,
    PolicyBundle,
    ScopeRule,
    TriageRule,
    default_bundle_folder,
    load_bundle,
)
from app.guardrails.scope import Scope
from app.guardrails.triage import Triage, TriageVerdict
from tests.mutate_policies import facts, frozen_facts

BUNDLE = load_bundle(default_bundle_folder())


def _rules(rules: Sequence[TriageRule | ScopeRule | InjectionRule]) -> list[Any]:
    return [pytest.param(rule, id=rule.id) for rule in rules]


def test_the_facts_of_every_rule_are_frozen(bundle: PolicyBundle) -> None:
    """Deleting a rule, lowering its tier or weight, dropping a route or swapping its text must be meant.

    Then ``python -m tests.mutate_policies --freeze`` writes the file anew; its diff is to be read in review.
    """
    assert [facts(rule) for rule in bundle.rules] == frozen_facts()
    assert len(bundle.triage) >= 250


@pytest.mark.parametrize("rule", _rules(BUNDLE.triage))
def test_a_red_flag_fires_on_its_examples_and_only_there(triage: Triage, rule: TriageRule) -> None:
    missed = [text for text in rule.positive if not _fires(triage.assess([text]), rule)]
    alarmed = [text for text in rule.negative if _alarms(triage.assess([text]), rule)]
    assert (missed, alarmed) == ([], [])


def _fires(verdict: TriageVerdict, rule: TriageRule) -> bool:
    return rule.id in verdict.rules and verdict.tier >= Tier.of(rule.tier)


def _alarms(verdict: TriageVerdict, rule: TriageRule) -> bool:
    return rule.id in verdict.rules and verdict.tier > Tier.ROUTINE


@pytest.mark.parametrize("rule", _rules(BUNDLE.scope))
def test_a_scope_rule_decides_its_examples_and_no_others(scope: Scope, rule: ScopeRule) -> None:
    assert [text for text in rule.positive if scope.assess(text).rules[:1] != (rule.id,)] == []
    assert [text for text in rule.negative if rule.id in scope.assess(text).rules] == []


@pytest.mark.parametrize("rule", _rules(BUNDLE.injection))
def test_a_mark_of_an_attack_fires_on_its_examples_and_only_there(injection: Injection, rule: InjectionRule) -> None:
    assert [text for text in rule.positive if rule.id not in injection.assess(text).rules] == []
    assert [text for text in rule.negative if rule.id in injection.assess(text).rules] == []
