"""Candidate beside champion: on one figure, and a group of items beside the others."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from training.evaluation.facts import Facts
from training.evaluation.rules import BoundRule, GapRule, NotWorseRule, Policy
from training.evaluation.statistics import (
    Estimate,
    carried_by,
    gap,
    macro_f1,
    macro_f1_difference,
    mcnemar,
    paired_difference,
    paired_gap,
)
from training.evaluation.table import Metric, ScoreTable


@dataclass(frozen=True)
class Context:
    """What rules look at. ``adjusted``: p after Holm of each not_worse rule that has one, by its name."""

    table: ScoreTable
    facts: Facts
    policy: Policy
    adjusted: Mapping[str, float] = field(default_factory=dict)
    clusters: list[int] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "clusters", self.table.independent())


@dataclass(frozen=True, slots=True)
class Compared:
    """Candidate and champion on one figure. ``p``: of the test for a difference."""

    candidate: float
    champion: float
    difference: Estimate
    p: float
    better: bool
    detail: str


def compare(rule: BoundRule | NotWorseRule, context: Context) -> Compared | None:
    """Candidate against champion on what the rule measures; None where the table does not have it."""
    table = context.table
    if rule.metric:
        metric = table.metrics.get(rule.metric)
        return None if metric is None else compare_metric(metric, context)
    if rule.labels not in table.labels:
        return None
    places, truth, ours, theirs = table.labelled(rule.labels)
    if not places:
        return None
    if rule.statistic == "accuracy":
        values: list[list[float | None]] = [[None] * len(table.items) for _ in range(2)]
        for side, said in zip(values, (ours, theirs), strict=True):
            for place, right, label in zip(places, truth, said, strict=True):
                side[place] = float(label == right)
        return compare_metric(
            Metric(name=rule.measured, better="higher", candidate=values[0], champion=values[1]), context
        )
    clusters = [context.clusters[place] for place in places]
    difference = macro_f1_difference(truth, ours, theirs, clusters, context.policy.bootstrap)
    if difference is None or difference.p is None:
        return None
    scores = macro_f1(truth, ours), macro_f1(truth, theirs)
    return Compared(*scores, difference, difference.p, scores[0] >= scores[1], "")


def compare_metric(metric: Metric, context: Context) -> Compared | None:
    """Candidate against champion on the items that both have; None without any."""
    clusters = context.clusters
    difference = paired_difference(metric.candidate, metric.champion, clusters, context.policy.bootstrap)
    if difference is None:
        return None
    test = mcnemar(metric.candidate, metric.champion, clusters)
    sides = zip(metric.candidate, metric.champion, strict=True)
    both = [(left, right) for left, right in sides if left is not None and right is not None]
    candidate, champion = (sum(side) / len(both) for side in zip(*both, strict=True))
    better, worse = (test.better, test.worse) if metric.better == "higher" else (test.worse, test.better)
    carried = carried_by(metric.candidate, metric.champion, clusters)
    detail = f"better in {better} and worse in {worse} conversations, "
    if carried:
        detail += f"without {carried} of them the difference is gone, "
    return Compared(candidate, champion, difference, test.p, better >= worse, detail)


def group_gaps(metric: Metric, rule: GapRule, context: Context) -> Iterator[tuple[str, Estimate | None]]:
    """Each group's name and its gap to the other groups of the attribute; None where there is nothing to compare."""
    values: list[float | None] = list(metric.candidate)
    if rule.of == "gain":
        sides = zip(metric.candidate, metric.champion, strict=True)
        values = [None if left is None or right is None else left - right for left, right in sides]
    how = context.policy.bootstrap
    for attribute in rule.attributes:
        column = context.table.groups[attribute]
        for group in sorted(set(column) - {""}):
            inside = [None if member == "" else member == group for member in column]
            if rule.over == "pairs":
                found = paired_gap(values, inside, context.table.pairs, context.clusters, how)
            else:
                found = gap(values, inside, context.clusters, how)
            yield f"{attribute} {group}", found
