"""Every rule's own examples. The pinned list of ids makes deleting a rule fail."""

from __future__ import annotations

from pathlib import Path

import pytest

from app.contracts.replies import Tier
from app.guardrails.injection import Injection
from app.guardrails.policy import PolicyBundle, default_bundle_folder, load_bundle
from app.guardrails.scope import Scope
from app.guardrails.triage import Triage

BUNDLE = load_bundle(default_bundle_folder())
IDS = Path(__file__).parents[2] / "data" / "guardrails" / "rule_ids.txt"


def _cases(kind: str, group: str) -> list[tuple[str, str]]:
    return [(rule.id, text) for rule in getattr(BUNDLE, group) for text in getattr(rule, kind)]


def test_no_rule_was_deleted(bundle: PolicyBundle) -> None:
    ids = {rule.id for rule in [*bundle.triage, *bundle.scope, *bundle.injection]}
    assert ids == set(IDS.read_text(encoding="utf-8").split())
    assert len(bundle.triage) >= 70


@pytest.mark.parametrize(("rule", "text"), _cases("positive", "triage"))
def test_triage_fires(triage: Triage, rule: str, text: str) -> None:
    verdict = triage.assess([text])
    assert rule in verdict.rules
    assert verdict.tier >= next(Tier.of(r.tier) for r in BUNDLE.triage if r.id == rule)


@pytest.mark.parametrize(("rule", "text"), _cases("negative", "triage"))
def test_triage_stays_quiet(triage: Triage, rule: str, text: str) -> None:
    verdict = triage.assess([text])
    assert rule not in verdict.rules or verdict.tier <= Tier.ROUTINE


@pytest.mark.parametrize(("rule", "text"), _cases("positive", "scope"))
def test_scope_decides(scope: Scope, rule: str, text: str) -> None:
    assert scope.assess(text).rules[:1] == (rule,)


@pytest.mark.parametrize(("rule", "text"), _cases("negative", "scope"))
def test_scope_stays_quiet(scope: Scope, rule: str, text: str) -> None:
    assert rule not in scope.assess(text).rules


@pytest.mark.parametrize(("rule", "text"), _cases("positive", "injection"))
def test_injection_fires(injection: Injection, rule: str, text: str) -> None:
    assert rule in injection.assess(text).rules


@pytest.mark.parametrize(("rule", "text"), _cases("negative", "injection"))
def test_injection_stays_quiet(injection: Injection, rule: str, text: str) -> None:
    assert rule not in injection.assess(text).rules
