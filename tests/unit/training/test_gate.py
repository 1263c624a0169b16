from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from app.contracts.adapters import AdapterManifest, GateReport, GateRule
from app.errors import ConfigurationError
from tests.unit.training.tiny import make_dialogue
from training.finetune.gate import Answers, Rule, Thresholds, judge, load_thresholds, paired_lower_bound, verdict
from training.finetune.gating import table

MANIFEST = AdapterManifest(
    name="support",
    content_sha256="a" * 64,
    base_id="demo",
    base_sha256="b" * 64,
    rank=16,
    alpha=16,
    target_modules=["q_proj"],
    prompt_version="v1",
    template_sha256="c" * 64,
    dataset_sha256="d" * 64,
    created_at=datetime(2026, 1, 1, tzinfo=UTC),
)
DIALOGUES = [make_dialogue(number, article=f"article-{number % 10}") for number in range(40)]
RIGHT = [item.answer for item in DIALOGUES]
WRONG = ["The garage is free for 777 minutes. [1]"] * 40
RULES = Thresholds(
    rules=[
        Rule(name="supported", metric="supported", min=0.7, min_items=20),
        Rule(name="changed", metric="number_changed", max=0.0, min_items=20),
        Rule(name="over base", metric="right_sentence", over_base=0.0, min_items=20),
    ]
)


def run(candidate: list[str], base: list[str], rules: Thresholds = RULES, base_sha256: str = "b" * 64) -> GateReport:
    answers = Answers(DIALOGUES, base, candidate)
    return judge(answers, rules, MANIFEST, policy_hash="p", evaluation_sha256="e", base_sha256=base_sha256)


def failed(report: GateReport) -> set[str]:
    return {rule.name for rule in report.rules if not rule.passed}


def test_a_better_adapter_passes_and_the_report_is_bound_to_it() -> None:
    report = run(RIGHT, WRONG)
    assert report.verdict == "pass"
    assert report.adapter_sha256 == MANIFEST.content_sha256
    assert (report.policy_hash, report.evaluation_sha256) == ("p", "e")


def test_a_single_changed_number_fails_a_zero_bound() -> None:
    report = run([*RIGHT[:-1], WRONG[0]], WRONG)
    assert report.verdict == "fail"
    assert failed(report) == {"changed"}


def test_an_adapter_that_changes_nothing_fails() -> None:
    assert failed(run(RIGHT, RIGHT)) == {"answers differ from base", "over base"}


def test_other_base_weights_fail() -> None:
    assert failed(run(RIGHT, WRONG, base_sha256="f" * 64)) == {"same base model"}


def test_too_few_items_are_inconclusive_and_a_failure_outweighs_them() -> None:
    many = Thresholds(rules=[Rule(name="few", metric="supported", min=0.7, min_items=41), *RULES.rules])
    assert run(RIGHT, WRONG, many).verdict == "inconclusive"
    assert run(WRONG, RIGHT, many).verdict == "fail"


def test_reported_figures_decide_nothing() -> None:
    shown = Thresholds(rules=[Rule(name="shown", metric="exact", reported=True, min_items=999), *RULES.rules])
    report = run(RIGHT, WRONG, shown)
    assert report.verdict == "pass"
    assert next(rule for rule in report.rules if rule.name == "shown").bound == "reported only"


def test_verdict_counts() -> None:
    good = GateRule(name="a", value=1, bound="", passed=True)
    bad = GateRule(name="b", value=0, bound="", passed=False)
    assert verdict([good], 0) == "pass"
    assert verdict([good, bad], 1) == "inconclusive"
    assert verdict([good, bad, bad], 1) == "fail"


def test_the_paired_bound_is_below_the_mean_and_clusters_widen_it() -> None:
    left: list[float | None] = [1.0, 1.0, 1.0, 1.0, 0.0, 0.0, 0.0, 0.0, 1.0, None]
    right: list[float | None] = [0.0] * 10
    alone = paired_lower_bound(left, right, [str(number) for number in range(10)])
    grouped = paired_lower_bound(left, right, ["a"] * 4 + ["b"] * 4 + ["c"] * 2)
    assert grouped < alone < 5 / 9


def test_the_shipped_thresholds_load_and_their_hash_is_the_files(tmp_path: Path) -> None:
    thresholds, digest = load_thresholds()
    assert {rule.metric for rule in thresholds.rules} >= {"supported", "number_changed", "right_sentence"}
    assert len(digest) == 64
    other = tmp_path / "other.yaml"
    other.write_text("rules: [{name: a, metric: exact, min: 0.5}]\n")
    assert load_thresholds(other)[1] != digest


@pytest.mark.parametrize(
    "text",
    ["rules: []", "rules: [{name: a, metric: exact}]", "rules: [{name: a, metric: charm, min: 1}]", "rules: ["],
)
def test_broken_thresholds_name_the_file(tmp_path: Path, text: str) -> None:
    path = tmp_path / "t.yaml"
    path.write_text(text)
    with pytest.raises(ConfigurationError, match=r"t\.yaml"):
        load_thresholds(path)


def test_the_card_table_has_a_row_per_rule() -> None:
    report = run(RIGHT, WRONG)
    assert sum(line.startswith("| ") for line in table(report)) == len(report.rules) + 1
