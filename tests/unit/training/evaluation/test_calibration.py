"""The gate's promises on simulated adapters, with fewer of them than the command draws."""

from __future__ import annotations

import numpy as np
import pytest
import typer
from typer.testing import CliRunner

from tests.unit.training.evaluation.tables import policy
from training.cli import gate_calibrate
from training.evaluation.calibration import Calibration, calibrate, simulate, told
from training.evaluation.checks import check
from training.evaluation.comparison import Context
from training.evaluation.facts import Facts
from training.evaluation.rules import NonInferiorRule, Policy

POLICY = policy()
(RULE,) = [rule for rule in POLICY.rules if isinstance(rule, NonInferiorRule)]
ADAPTERS = 250


@pytest.fixture(scope="module")
def made() -> Calibration:
    (found,) = calibrate(POLICY, adapters=ADAPTERS)
    return found


def test_the_simulated_adapters_are_as_bad_as_they_should_be() -> None:
    table = simulate(RULE, 200_000, 0.05, np.random.default_rng(1))
    metric = table.metrics[RULE.metric]
    difference = np.array(metric.candidate, dtype=float) - np.array(metric.champion, dtype=float)
    assert difference.mean() == pytest.approx(-0.05, abs=0.004)
    assert (difference != 0).mean() == pytest.approx(RULE.discordance, abs=0.004)
    first, second = difference[0::2], difference[1::2]
    assert np.corrcoef(first, second)[0, 1] == pytest.approx(RULE.correlation, abs=0.03)
    assert len(set(table.clusters)) == 100_000


def test_inferior_adapters_hardly_pass_and_equal_ones_mostly_do(made: Calibration) -> None:
    """The exact intervals of the true shares reach the goals: with 250 adapters a share itself is off by chance."""
    assert made.items == RULE.needed(POLICY.confidence)
    assert made.inferior.low <= 0.025
    assert made.inferior.high < 0.07
    assert made.equal.value >= 0.80


def test_with_too_few_items_none_passes() -> None:
    (few,) = calibrate(POLICY, adapters=20, items=RULE.needed(POLICY.confidence) - 1)
    assert (few.inferior.passed, few.equal.passed) == (0, 0)
    assert not few.kept


def test_a_wider_margin_lets_the_same_adapters_pass() -> None:
    """It is the margin that holds them: with twice the margin, most that are worse by the narrower one pass."""
    loose = RULE.model_copy(update={"margin": 2 * RULE.margin})
    asked = POLICY.model_copy(update={"rules": [loose]})
    rng = np.random.default_rng(3)
    tables = [simulate(RULE, 494, RULE.margin, rng) for _ in range(40)]
    passed = sum(check(loose, Context(table, Facts(), asked))[0].outcome == "pass" for table in tables)
    assert passed > 20


def test_the_same_seed_gives_the_same_shares(made: Calibration) -> None:
    (again,) = calibrate(POLICY, adapters=20)
    (once_more,) = calibrate(POLICY, adapters=20)
    assert again == once_more


def test_the_figures_are_told_with_their_intervals(made: Calibration) -> None:
    lines = told(made)
    assert f"{made.items} items" in lines[0]
    assert f"{made.inferior.passed} of {ADAPTERS} pass" in lines[1]
    assert "goal at least 80%" in lines[2]


def test_the_command_prints_them_and_fails_if_a_promise_is_broken() -> None:
    program = typer.Typer()
    program.command()(gate_calibrate)
    run = CliRunner().invoke(program, ["--adapters", "10", "--items", "100"])
    assert run.exit_code == 2
    assert "0 of 10 pass" in run.output
    assert "does not keep its promises" in run.output


def test_a_policy_without_the_rule_has_nothing_to_calibrate() -> None:
    empty = Policy.model_validate(
        {"version": 1, "rules": [{"name": "a", "gate": "panel", "kind": "panel", "required": True}]}
    )
    assert calibrate(empty, adapters=5) == []
