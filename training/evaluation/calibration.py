"""``bedside-train gate-calibrate``: does the gate keep its promises? Measured on simulated adapters.

For every non-inferiority rule of a policy, adapters are drawn whose truth is known: worse than the champion by the
whole margin, or equal to it. Each is judged by the very function that judges a real one, on the number of items that
the rule asks for, so that rounding, clusters and resampling are all in the figure.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import ceil, sqrt
from pathlib import Path

import numpy as np
import typer

from training.evaluation.checks import check
from training.evaluation.comparison import Context
from training.evaluation.facts import Facts
from training.evaluation.rules import THRESHOLDS, NonInferiorRule, Policy, load_policy
from training.evaluation.statistics import share_interval
from training.evaluation.table import Metric, ScoreTable

ADAPTERS = 2_000
INFERIOR_AT_MOST = 0.025
EQUAL_AT_LEAST = 0.80
_BOTH_WRONG = 0.2


@dataclass(frozen=True, slots=True)
class Share:
    """How many of ``adapters`` passed; ``low`` to ``high`` is the exact 95 % interval of the true share."""

    passed: int
    adapters: int
    low: float
    high: float

    @property
    def value(self) -> float:
        return self.passed / self.adapters


@dataclass(frozen=True, slots=True)
class Calibration:
    """What one rule lets through, at ``items`` items."""

    rule: NonInferiorRule
    items: int
    inferior: Share
    equal: Share

    @property
    def kept(self) -> bool:
        """Whether both promises hold: at most 2.5 % of the inferior pass, at least 80 % of the equal."""
        return self.inferior.value <= INFERIOR_AT_MOST and self.equal.value >= EQUAL_AT_LEAST


def simulate(rule: NonInferiorRule, items: int, worse_by: float, rng: np.random.Generator) -> ScoreTable:
    """Scores of an adapter whose true difference is -``worse_by``.

    Both are right or wrong on an item; they differ on a share ``rule.discordance``. An item takes the draw of its
    cluster with probability sqrt(correlation) and else its own, which correlates the differences by that much.
    """
    count = ceil(items / rule.cluster_size)
    shape = (count, rule.cluster_size)
    shared = rng.random(shape) < sqrt(rule.correlation)
    drawn = np.where(shared, rng.random((count, 1)), rng.random(shape)).ravel()[:items]
    worse, better = (rule.discordance + worse_by) / 2, (rule.discordance - worse_by) / 2
    candidate = (drawn >= worse) & (drawn < 1 - _BOTH_WRONG * (1 - rule.discordance))
    champion = (drawn < 1 - _BOTH_WRONG * (1 - rule.discordance)) & ~((drawn >= worse) & (drawn < worse + better))
    metric = Metric(
        name=rule.metric,
        better="higher",
        candidate=candidate.astype(float).tolist(),
        champion=champion.astype(float).tolist(),
    )
    names = [str(number) for number in range(items)]
    clusters = [str(number // rule.cluster_size) for number in range(items)]
    blank = [""] * items
    return ScoreTable(metrics={rule.metric: metric}, items=names, clusters=clusters, pairs=blank, kinds=blank)


def calibrate(
    policy: Policy,
    *,
    adapters: int = ADAPTERS,
    items: int | None = None,
    seed: int = 7,
    judged: Callable[[], None] = lambda: None,
) -> list[Calibration]:
    """The shares that pass, for each non-inferiority rule. ``items``: other than the number the rule asks for.

    ``judged`` is called after each simulated adapter.
    """
    made = []
    for rule in policy.rules:
        if isinstance(rule, NonInferiorRule):
            number = items or rule.needed(policy.confidence)
            inferior = _share(rule, policy, number, rule.margin, adapters, np.random.default_rng([seed, 0]), judged)
            equal = _share(rule, policy, number, 0.0, adapters, np.random.default_rng([seed, 1]), judged)
            made.append(Calibration(rule, number, inferior, equal))
    return made


def _share(
    rule: NonInferiorRule,
    policy: Policy,
    items: int,
    worse_by: float,
    adapters: int,
    rng: np.random.Generator,
    judged: Callable[[], None],
) -> Share:
    passed = 0
    for _ in range(adapters):
        (result,) = check(rule, Context(simulate(rule, items, worse_by, rng), Facts(), policy))
        passed += result.outcome == "pass"
        judged()
    return Share(passed, adapters, *share_interval(passed, adapters))


def told(made: Calibration) -> list[str]:
    """Its figures as lines."""
    rule = made.rule
    lines = [
        f"{rule.name}: {made.items} items in clusters of {rule.cluster_size} (correlation {rule.correlation:g}), "
        f"{rule.discordance:.0%} discordant, margin {100 * rule.margin:g} points"
    ]
    for who, share, goal in (
        ("inferior by the margin", made.inferior, f"at most {INFERIOR_AT_MOST:.1%}"),
        ("equal to the champion", made.equal, f"at least {EQUAL_AT_LEAST:.0%}"),
    ):
        lines.append(
            f"  {who}: {share.passed} of {share.adapters} pass, {share.value:.2%} "
            f"(95 % interval {share.low:.2%} to {share.high:.2%}); goal {goal}"
        )
    return lines


def run(thresholds: Path | None, *, adapters: int = ADAPTERS, items: int | None = None, seed: int = 7) -> bool:
    """Calibrate, print the figures, and say whether every rule keeps its promises."""
    policy, digest = load_policy(thresholds or THRESHOLDS)
    rules = sum(isinstance(rule, NonInferiorRule) for rule in policy.rules)
    typer.echo(f"policy {digest[:12]}, version {policy.version}")
    with typer.progressbar(length=2 * adapters * rules, label="adapters judged") as bar:
        found = calibrate(policy, adapters=adapters, items=items, seed=seed, judged=lambda: bar.update(1))
    for made in found:
        typer.echo("\n".join(told(made)))
    kept = bool(found) and all(made.kept for made in found)
    if not kept:
        typer.echo("the gate does not keep its promises: ask for more items, or a higher confidence" if found else
                   "the policy has no rule of kind non_inferior")  # fmt: skip
    return kept
