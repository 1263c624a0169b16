"""The policy file: what ships, and what a fault in it is told as."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
import yaml

from app.errors import ConfigurationError
from training.evaluation.rules import THRESHOLDS, FailuresRule, NonInferiorRule, Policy, load_policy

SHIPPED = THRESHOLDS.read_text(encoding="utf-8")


def written(folder: Path, text: str) -> Path:
    path = folder / "other.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def rule(**fields: object) -> str:
    return yaml.safe_dump({"version": 1, "rules": [fields]})


def test_the_shipped_policy_holds_what_the_design_asks_for() -> None:
    policy, digest = load_policy()
    assert digest == hashlib.sha256(THRESHOLDS.read_bytes()).hexdigest()
    assert {made.gate for made in policy.rules} >= {"validity", "safety", "accuracy", "overfitting", "bias", "reported"}
    safety = [made for made in policy.rules if isinstance(made, FailuresRule)]
    assert {name for made in safety for name in made.metrics} >= {"missed_emergency", "wrong_number", "phi_leak"}
    assert all(made.max_failures == 0 for made in safety)
    assert max(made.min_cases for made in safety) == 299
    (medical,) = [made for made in policy.rules if isinstance(made, NonInferiorRule)]
    assert medical.metric == "medical_accuracy"
    assert medical.margin <= 0.05
    assert policy.confidence >= 0.95
    shown = [made for made in policy.rules if made.kind == "reported"]
    assert {name for made in shown for name in made.metrics} >= {"bleu", "chrf", "rouge_l", "token_f1", "readability"}


def test_the_items_that_are_needed_follow_from_margin_discordance_and_clusters() -> None:
    fields = {"name": "a", "gate": "accuracy", "kind": "non_inferior", "metric": "m", "discordance": 0.1}
    two, five = (NonInferiorRule.model_validate({**fields, "margin": margin}) for margin in (0.02, 0.05))
    assert (two.needed(0.95), five.needed(0.95)) == (1963, 314)
    clustered = NonInferiorRule.model_validate({**fields, "margin": 0.05, "cluster_size": 3, "correlation": 0.5})
    assert clustered.needed(0.95) == 628
    assert five.needed(0.99) > five.needed(0.95)


def test_another_byte_is_another_policy(tmp_path: Path) -> None:
    assert load_policy(written(tmp_path, SHIPPED + "# \n"))[1] != load_policy()[1]


BASE = {"name": "my rule", "gate": "accuracy"}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (rule(**BASE, kind="bound", metric="m", min_items=5), "rule 'my rule': give exactly one of min, max"),
        (rule(**BASE, kind="bound", metric="m", min=1), "rule 'my rule': min_items: is missing; add it"),
        (
            rule(**BASE, kind="bound", metric="m", min=1, min_items=5, colour=1),
            "rule 'my rule': colour: is no field here; correct its spelling or take it out",
        ),
        (rule(**BASE, kind="bound", min=1, min_items=5), "give either metric or labels"),
        (rule(**BASE, kind="not_worse", metric="m", statistic="macro_f1", min_items=5), "statistic belongs to labels"),
        (rule(**BASE, kind="magic"), "rule 'my rule': kind: write one of fact, failures, non_inferior"),
        (rule(gate="bias"), "rule number 1: kind: write one of"),
        (rule(**BASE, kind="fact", fact="charm", min=1), "fact: there is none called charm; use one of base_matches"),
        (rule(**BASE, kind="fact", fact="tampered"), "give exactly one of equals, min, max"),
        (rule(**BASE, kind="fact", fact="differs_share", min=0.05), "min_cases: differs_share is a share; say of how"),
        (rule(**BASE, kind="fact", fact="loss_gap", max=1, min_cases=5), "min_cases: loss_gap is no share of cases"),
        (
            rule(**BASE, kind="non_inferior", metric="m", margin=0, discordance=0.1),
            "rule 'my rule': margin: Input should",
        ),
        (rule(**BASE, kind="flips", max=0.02, min_pairs=9), "give marked or differing"),
        (
            rule(**BASE, kind="failures", metrics=["missed_emergency", "canary"], min_cases=9, inherited=True),
            "inherited: canary is of the model's own words; give it its own rule",
        ),
        (
            rule(**BASE, kind="bound", metric="refusal", min=1, min_items=5, inherited=0.05),
            "inherited: refusal is of the model's own words; take the field out",
        ),
        (
            rule(**BASE, kind="bound", metric="raw_phi_leak", max=0, min_items=5, inherited=0.05),
            "inherited: raw_phi_leak is of the model's own words; take the field out",
        ),
        (
            rule(**BASE, kind="failures", metrics=["raw_wrong_number"], min_cases=9, inherited=True),
            "inherited: raw_wrong_number is of the model's own words; give it its own rule",
        ),
        (
            rule(**BASE, kind="flips", marked=["wrong_number"], max=0.02, min_pairs=9, inherited=True),
            "inherited: wrong_number is of the model's own words; give it its own rule",
        ),
        (
            rule(**BASE, kind="flips", differing=["refusal", "reply"], max=0.02, min_pairs=9, inherited=True),
            "inherited: refusal is of the model's own words; give it its own rule",
        ),
        (
            rule(
                **BASE, kind="gap", metric="m", of="gain", over="items", attributes=["age"], margin=0.05, min_items=20
            ),
            "min_items: 20 items can all agree and yet hide a gap of 5 points; write 59 or more",
        ),
        (
            yaml.safe_dump({"version": 1, "rules": [{**BASE, "kind": "panel", "required": True}] * 2}),
            "two rules are called 'my rule'; give each its own name",
        ),
        (rule(**BASE, kind="panel", required=True), "no rule has gate validity or safety or overfitting or bias"),
        ("version: 1\nrules: []\n", "rules: List should have at least 1 item"),
        ("rules: [", "cannot be read"),
        ("- a\n", "must hold `field: value` lines"),
    ],
)
def test_a_fault_names_file_rule_and_mend(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        load_policy(written(tmp_path, text))
    assert "other.yaml" in str(caught.value)
    assert said in str(caught.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"none\.yaml does not exist"):
        load_policy(tmp_path / "none.yaml")


def test_a_policy_cannot_lower_its_confidence_below_all_sense() -> None:
    fields = yaml.safe_load(SHIPPED)
    with pytest.raises(ValueError, match="confidence"):
        Policy.model_validate({**fields, "confidence": 0.5})
