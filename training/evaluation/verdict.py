"""May this adapter be offered to a hospital's staff for promotion? Every rule of the gate's policy, then the verdict.

The rules are in ``thresholds.yaml`` (rules.py reads it), what each does is in checks.py, the statistics are in
statistics.py. Nothing here reads answers or models: a verdict can be computed again from table, facts and policy.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from app.contracts.adapters import GateConditions, GateReport, GateRule
from training.evaluation.checks import check
from training.evaluation.comparison import Context, compare
from training.evaluation.facts import Facts
from training.evaluation.results import GateName, RuleResult
from training.evaluation.rules import NotWorseRule, Policy
from training.evaluation.statistics import Outcome, holm
from training.evaluation.table import ScoreTable

__all__ = ["Decision", "Facts", "GateName", "RuleResult", "decide", "judge", "to_report"]


@dataclass(frozen=True, slots=True)
class Decision:
    """The verdict and why: the first sentence says it, the others name each rule that blocks."""

    verdict: Outcome
    reasons: list[str]


def judge(table: ScoreTable, facts: Facts, policy: Policy) -> list[RuleResult]:
    """The result of every rule, in the policy's order."""
    # 1. Which comparisons test for a difference? Their p-values are adjusted together.
    context = Context(table, facts, policy)
    tested = {rule.name: compare(rule, context) for rule in policy.rules if isinstance(rule, NotWorseRule)}
    ps = {name: compared.p for name, compared in tested.items() if compared is not None}
    adjusted = dict(zip(ps, holm(list(ps.values())), strict=True))
    # 2. Each rule by itself.
    context = Context(table, facts, policy, adjusted)
    return [result for rule in policy.rules for result in check(rule, context)]


def decide(results: Sequence[RuleResult]) -> Decision:
    """A failed rule fails the adapter; else an inconclusive one leaves it undecided, which blocks too.

    Raises ValueError where no rule decides: that would pass everything.
    """
    deciding = [result for result in results if result.gate != "reported"]
    if not deciding:
        raise ValueError("no rule decides anything; the policy needs rules with a gate other than reported")
    failed = [result for result in deciding if result.outcome == "fail"]
    undecided = [result for result in deciding if result.outcome == "inconclusive"]
    told = [f"{result.name} ({result.gate}): {result.detail}. Wanted: {result.bound}." for result in failed]
    told += [f"{result.name} ({result.gate}), undecided: {result.detail}." for result in undecided]
    if failed:
        open_too = f", {len(undecided)} more undecided" if undecided else ""
        return Decision("fail", [f"The gate fails: {len(failed)} of {len(deciding)} rules failed{open_too}.", *told])
    if undecided:
        first = f"The gate is inconclusive, which blocks: {len(undecided)} of {len(deciding)} rules are undecided."
        return Decision("inconclusive", [first, *told])
    first = f"The gate passes: all {len(deciding)} rules hold."
    inherited = [result for result in deciding if result.inherited]
    if not inherited:
        return Decision("pass", [first])
    second = f"{len(inherited)} of them only as the champion misses the bound too: the service's failing."
    return Decision("pass", [f"{first} {second}", *(f"{one.name} ({one.gate}): {one.detail}." for one in inherited)])


def to_report(results: Sequence[RuleResult], conditions: GateConditions, created_at: datetime) -> GateReport:
    """The report that the service reads. A rule's value is the candidate's figure, or the difference where it has none.

    A rule without either (nothing was measured) has value 0 and says so in its detail.
    """
    return GateReport(
        **conditions.model_dump(),
        verdict=decide(results).verdict,
        created_at=created_at,
        rules=[_as_rule(result) for result in results],
    )


def _as_rule(result: RuleResult) -> GateRule:
    value = result.candidate
    if value is None:
        value = 0.0 if result.difference is None else result.difference.value
    undecided = "undecided: " if result.outcome == "inconclusive" else ""
    return GateRule(
        name=result.name,
        value=round(value, 4),
        bound=result.bound,
        passed=result.outcome == "pass",
        detail=undecided + result.detail,
    )
