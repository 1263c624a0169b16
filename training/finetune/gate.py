"""The offline gate, first version: may this adapter be offered to a hospital's staff for promotion?

It verifies the folder, answers the held-out dialogues with base and candidate, holds the figures against the rules
of ``thresholds.yaml`` and writes ``gate_report.json`` beside the weights. Everything that decides is computed here
from the answers; nothing is taken from the training run.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from app.contracts.adapters import AdapterManifest, GateReport, GateRule
from app.errors import ConfigurationError
from training.finetune.data import Dialogue
from training.finetune.score import METRICS, Score, mean, score, values

Verdict = Literal["pass", "fail", "inconclusive"]
THRESHOLDS = Path(__file__).with_name("thresholds.yaml")


class Rule(BaseModel):
    """One rule: exactly one of ``min``, ``max``, ``over_base``, ``reported`` (a figure without a bound)."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    metric: str
    min: float | None = None
    max: float | None = None
    over_base: float | None = None
    reported: bool = False
    min_items: int = Field(default=1, ge=1)

    @model_validator(mode="after")
    def _one_bound(self) -> Rule:
        if sum(bound is not None for bound in (self.min, self.max, self.over_base)) + self.reported != 1:
            raise ValueError("give exactly one of min, max, over_base, reported")
        if self.metric not in METRICS:
            raise ValueError(f"unknown metric {self.metric}; known: {', '.join(METRICS)}")
        return self


class Thresholds(BaseModel):
    """The gate's policy: its rules, and the share of answers that must differ from the base model's."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    rules: list[Rule] = Field(min_length=1)
    differs_from_base: float = Field(default=0.05, ge=0, le=1)


@dataclass(frozen=True, slots=True)
class Answers:
    """Answers of base and candidate to the same dialogues, in the same order."""

    dialogues: Sequence[Dialogue]
    base: Sequence[str]
    candidate: Sequence[str]


def load_thresholds(path: Path = THRESHOLDS) -> tuple[Thresholds, str]:
    """Read the policy and its hash. Raises ConfigurationError that names the file and the rule."""
    try:
        data = path.read_bytes()
        fields: Any = yaml.safe_load(data)
        return Thresholds.model_validate(fields), hashlib.sha256(data).hexdigest()
    except (OSError, yaml.YAMLError) as error:
        raise ConfigurationError(f"{path} cannot be read: {error}") from None
    except ValidationError as error:
        fault = error.errors()[0]
        raise ConfigurationError(f"{path}: {'.'.join(map(str, fault['loc']))}: {fault['msg']}") from None


def judge(
    answers: Answers,
    thresholds: Thresholds,
    manifest: AdapterManifest,
    *,
    policy_hash: str,
    evaluation_sha256: str,
    base_sha256: str,
    now: datetime | None = None,
) -> GateReport:
    """Compute every rule and the verdict. A failed rule fails the gate; else one with too few items leaves it open."""
    base = [score(item, text) for item, text in zip(answers.dialogues, answers.base, strict=True)]
    candidate = [score(item, text) for item, text in zip(answers.dialogues, answers.candidate, strict=True)]
    groups = [item.article_id for item in answers.dialogues]
    rules = [_base_rule(manifest, base_sha256), _differs_rule(answers, thresholds.differs_from_base)]
    open_rules = 0
    for rule in thresholds.rules:
        made, enough = _apply(rule, base, candidate, groups)
        rules.append(made)
        open_rules += not enough
    return GateReport(
        verdict=verdict(rules, open_rules),
        adapter_sha256=manifest.content_sha256,
        evaluation_sha256=evaluation_sha256,
        policy_hash=policy_hash,
        prompt_version=manifest.prompt_version,
        created_at=now or datetime.now(UTC).replace(microsecond=0),
        rules=rules,
    )


def verdict(rules: Sequence[GateRule], open_rules: int) -> Verdict:
    """``open_rules``: how many rules had too few items. These count as not passed, but do not by themselves fail."""
    failed = sum(not rule.passed for rule in rules) - open_rules
    if failed > 0:
        return "fail"
    return "inconclusive" if open_rules else "pass"


def paired_lower_bound(
    candidate: Sequence[float | None], base: Sequence[float | None], groups: Sequence[str], *, draws: int = 2_000
) -> float:
    """Lower end of the two-sided 95 % interval of the mean paired difference, by bootstrap over groups."""
    sums: dict[str, list[float]] = {}
    for left, right, group in zip(candidate, base, groups, strict=True):
        if left is not None and right is not None:
            total = sums.setdefault(group, [0.0, 0.0])
            total[0] += left - right
            total[1] += 1
    if not sums:
        return float("nan")
    rng, items = Random(0), list(sums.values())
    means = []
    for _ in range(draws):
        drawn = rng.choices(items, k=len(items))
        means.append(sum(item[0] for item in drawn) / sum(item[1] for item in drawn))
    return sorted(means)[int(0.025 * draws)]


def _apply(rule: Rule, base: list[Score], candidate: list[Score], groups: list[str]) -> tuple[GateRule, bool]:
    value, count = mean(candidate, rule.metric)
    reference, _ = mean(base, rule.metric)
    enough = count >= rule.min_items or rule.reported
    if rule.reported:
        passed, bound, detail = True, "reported only", f"base {reference:.3f}, {count} items"
        value = value if count else 0.0
    elif rule.over_base is not None:
        lower = paired_lower_bound(values(candidate, rule.metric), values(base, rule.metric), groups)
        passed, bound = lower > rule.over_base, f"lower bound of difference > {rule.over_base:g}"
        detail = f"candidate {value:.3f}, base {reference:.3f}, {count} items"
        value = lower
    else:
        passed = value >= rule.min if rule.min is not None else value <= (rule.max or 0.0)
        bound = f">= {rule.min:g}" if rule.min is not None else f"<= {rule.max:g}"
        detail = f"base {reference:.3f}, {count} items"
    if not enough:
        detail += f"; too few, {rule.min_items} are needed"
    return GateRule(
        name=rule.name, value=round(value, 4), bound=bound, passed=bool(passed and enough), detail=detail
    ), enough


def _base_rule(manifest: AdapterManifest, base_sha256: str) -> GateRule:
    same = manifest.base_sha256 == base_sha256
    detail = "" if same else "trained over other base weights"
    return GateRule(name="same base model", value=float(same), bound="= 1", passed=same, detail=detail)


def _differs_rule(answers: Answers, needed: float) -> GateRule:
    pairs = list(zip(answers.base, answers.candidate, strict=True))
    share = sum(left != right for left, right in pairs) / len(pairs)
    return GateRule(
        name="answers differ from base", value=round(share, 4), bound=f">= {needed:g}", passed=share >= needed
    )
