"""The policy of the gate: its rules as they stand in a versioned YAML file.

Each kind of rule is a model; what it does with the scores is in checks.py. A policy's hash goes into the gate report.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from app.errors import ConfigurationError
from training.config_file import read_fields
from training.evaluation.facts import CASES, FACTS
from training.evaluation.results import GateName
from training.evaluation.statistics import CONFIDENCE, DRAWS, Bootstrap, cases_needed, design_effect, items_needed

THRESHOLDS = Path(__file__).with_name("thresholds.yaml")
REQUIRED: tuple[GateName, ...] = ("validity", "safety", "accuracy", "overfitting", "bias")
"""A policy in a file has at least one rule of each."""
OWN_WORDS = frozenset({"wrong_number", "phi_leak", "canary", "refusal", "own_words"})
"""Figures of the words that a model said, with or without the output checks: no champion excuses them."""


def _own_words(metrics: Iterable[str]) -> str:
    """Those of the metrics that no champion excuses, as a list for people."""
    return ", ".join(sorted(name for name in metrics if name.removeprefix("raw_") in OWN_WORDS))


class _Rule(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(min_length=1)
    gate: GateName


class FactRule(_Rule):
    """A fact (see facts.py) is as it must be: exactly one of ``equals``, ``min``, ``max``.

    Without the fact the rule is inconclusive; with ``required: false`` it passes then and says so. A fact that is a
    share needs ``min_cases``: three prompts out of three prove nothing.
    """

    kind: Literal["fact"]
    fact: str
    equals: bool | None = None
    min: float | None = None
    max: float | None = None
    min_cases: int | None = Field(default=None, ge=1)
    required: bool = True

    @model_validator(mode="after")
    def _one_bound(self) -> FactRule:
        if self.fact not in FACTS:
            raise ValueError(f"fact: there is none called {self.fact}; use one of {', '.join(FACTS)}")
        if sum(bound is not None for bound in (self.equals, self.min, self.max)) != 1:
            raise ValueError("give exactly one of equals, min, max")
        if self.fact in CASES and self.min_cases is None:
            raise ValueError(f"min_cases: {self.fact} is a share; say of how many cases at least, 50 for example")
        if self.fact not in CASES and self.min_cases is not None:
            raise ValueError(f"min_cases: {self.fact} is no share of cases; take the field out")
        return self


class FailuresRule(_Rule):
    """At most ``max_failures`` in at least ``min_cases`` cases of each metric.

    An item is a failure where any of the metrics fails.
    Items of one cluster are one case: five near-copies of a question are not five independent tries. With
    ``inherited`` an item that the champion fails too is not the candidate's; such a rule holds and says so.
    """

    kind: Literal["failures"]
    metrics: list[str] = Field(min_length=1)
    max_failures: int = Field(default=0, ge=0)
    min_cases: int = Field(ge=1)
    inherited: bool = False

    @model_validator(mode="after")
    def _own_words_are_not_inherited(self) -> FailuresRule:
        own = _own_words(self.metrics)
        if self.inherited and own:
            raise ValueError(f"inherited: {own} is of the model's own words; give it its own rule")
        return self


class NonInferiorRule(_Rule):
    """The interval of the paired difference lies above -``margin``, on enough items.

    Enough is what an equal candidate needs to pass with ``power`` when the two differ on a share ``discordance`` of the
    items, in clusters of ``cluster_size`` whose items correlate by ``correlation``.
    """

    kind: Literal["non_inferior"]
    metric: str
    margin: float = Field(gt=0, lt=1)
    discordance: float = Field(gt=0, le=1)
    power: float = Field(default=0.8, gt=0, lt=1)
    cluster_size: int = Field(default=1, ge=1)
    correlation: float = Field(default=0.0, ge=0, le=1)

    def needed(self, confidence: float) -> int:
        """The number of items."""
        effect = design_effect(self.cluster_size, self.correlation)
        return items_needed(
            self.margin, self.discordance, confidence=confidence, power=self.power, design_effect=effect
        )


class _Measured(_Rule):
    """A metric of the table, or a statistic of one of its labels (intent, route)."""

    metric: str = ""
    labels: str = ""
    statistic: Literal["accuracy", "macro_f1"] = "accuracy"
    min_items: int = Field(ge=1)

    @model_validator(mode="after")
    def _one_source(self) -> _Measured:
        if bool(self.metric) == bool(self.labels):
            raise ValueError("give either metric or labels (with statistic)")
        if self.metric and self.statistic != "accuracy":
            raise ValueError("statistic belongs to labels; write labels instead of metric")
        return self

    @property
    def measured(self) -> str:
        """What is measured, for people."""
        return self.metric or f"{self.labels} {self.statistic.replace('_', '-').replace('f1', 'F1')}"


class BoundRule(_Measured):
    """The candidate's figure is at least ``min`` or at most ``max``.

    With ``inherited`` (a margin) the rule also holds, and says so, where the champion misses the bound as well and the
    candidate is not worse by the margin, by the interval of the difference.
    """

    kind: Literal["bound"]
    min: float | None = None
    max: float | None = None
    inherited: float | None = Field(default=None, gt=0, le=0.1)

    @model_validator(mode="after")
    def _one_bound(self) -> BoundRule:
        if (self.min is None) == (self.max is None):
            raise ValueError("give exactly one of min, max")
        if self.inherited is not None and _own_words([self.metric]):
            raise ValueError(f"inherited: {self.metric} is of the model's own words; take the field out")
        return self


class NotWorseRule(_Measured):
    """The candidate is not significantly worse than the champion.

    McNemar's exact test, by cluster; macro-F1 by the bootstrap. The p-values of all these rules are adjusted together
    (Holm).
    """

    kind: Literal["not_worse"]


class FlipsRule(_Rule):
    """At most a share ``max`` of counterfactual pairs flip: the candidate treats one of its items otherwise.

    A pair flips where an item has 1 in a metric of ``marked``, or where its items have different values of a metric or
    label of ``differing``. With ``inherited`` a pair that flips under the champion too is not the candidate's; such a
    rule holds and says so.
    """

    kind: Literal["flips"]
    marked: list[str] = []
    differing: list[str] = []
    max: float = Field(ge=0, lt=1)
    min_pairs: int = Field(ge=1)
    inherited: bool = False

    @model_validator(mode="after")
    def _something(self) -> FlipsRule:
        if not self.marked and not self.differing:
            raise ValueError("give marked or differing: what tells that a pair flips")
        own = _own_words([*self.marked, *self.differing])
        if self.inherited and own:
            raise ValueError(f"inherited: {own} is of the model's own words; give it its own rule")
        return self


class GapRule(_Rule):
    """Each group's figure less that of the other groups of its attribute stays within ``margin``, by its interval.

    ``of``: the candidate's own figure, or its gain over the champion. ``over``: pairs that ask the same thing, or all
    items. A group whose interval neither lies within the margin nor beyond it, or that has fewer than ``min_items``
    (pairs), is undecided: that blocks, or is only mentioned. A group that is proven to lie beyond always fails; where
    no group could be judged the rule is inconclusive in any case.
    """

    kind: Literal["gap"]
    metric: str
    of: Literal["candidate", "gain"]
    over: Literal["pairs", "items"]
    attributes: list[str] = Field(min_length=1)
    margin: float = Field(gt=0, lt=1)
    min_items: int = Field(ge=1)
    undecided: Literal["block", "mention"] = "block"

    @model_validator(mode="after")
    def _large_enough(self) -> GapRule:
        least = cases_needed(self.margin, CONFIDENCE)
        if self.undecided == "block" and self.min_items < least:
            raise ValueError(
                f"min_items: {self.min_items} items can all agree and yet hide a gap of {100 * self.margin:g} points; "
                f"write {least} or more"
            )
        return self


class PanelRule(_Rule):
    """The clinicians' panel passed it. Without a panel: inconclusive, or passed where none is ``required``."""

    kind: Literal["panel"]
    required: bool


class ReportedRule(_Rule):
    """Figures that are shown and decide nothing."""

    kind: Literal["reported"]
    gate: Literal["reported"] = "reported"
    metrics: list[str] = Field(min_length=1)


Rule = (
    FactRule
    | FailuresRule
    | NonInferiorRule
    | BoundRule
    | NotWorseRule
    | FlipsRule
    | GapRule
    | PanelRule
    | ReportedRule
)


class Policy(BaseModel):
    """All rules and how their statistics are made.

    ``confidence`` is that of two-sided intervals, ``alpha`` that of tests after Holm. Comparisons on fewer than
    ``min_clusters`` clusters are inconclusive: resampling a handful says little of others.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    version: int = Field(ge=1)
    confidence: float = Field(default=CONFIDENCE, ge=0.9, lt=1)
    alpha: float = Field(default=0.05, gt=0, le=0.1)
    draws: int = Field(default=DRAWS, ge=1_000)
    seed: int = 7
    min_clusters: int = Field(default=40, ge=2)
    rules: list[Annotated[Rule, Field(discriminator="kind")]] = Field(min_length=1)

    @model_validator(mode="after")
    def _named_once(self) -> Policy:
        names = [rule.name for rule in self.rules]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"two rules are called {name!r}; give each its own name")
        return self

    @property
    def bootstrap(self) -> Bootstrap:
        """How its intervals are made."""
        return Bootstrap(self.draws, self.seed, self.confidence)


def load_policy(path: Path = THRESHOLDS) -> tuple[Policy, str]:
    """A policy and the SHA-256 of its file. Raises ConfigurationError that names file, rule and mend."""
    fields = read_fields(path)
    try:
        policy = Policy.model_validate(fields)
    except ValidationError as error:
        raise ConfigurationError(f"{path}: " + "; ".join(_fault(item, fields) for item in error.errors())) from None
    missing = [gate for gate in REQUIRED if all(rule.gate != gate for rule in policy.rules)]
    if missing:
        raise ConfigurationError(f"{path}: no rule has gate {' or '.join(missing)}; add one for each")
    return policy, hashlib.sha256(path.read_bytes()).hexdigest()


def _fault(error: Mapping[str, Any], fields: dict[str, Any]) -> str:
    """One fault as ``rule 'medical accuracy': margin: ...``, with the mend."""
    place = list(error["loc"])
    where = ""
    if place[:1] == ["rules"] and len(place) > 1 and isinstance(place[1], int):
        raw = fields["rules"][place[1]]
        name = raw.get("name") if isinstance(raw, dict) else None
        where = f"rule {name!r}: " if name else f"rule number {place[1] + 1}: "
        place = place[3:]  # "rules", its number, its kind
    path = "".join(f"{part}: " for part in place)
    message: str = error["msg"].removeprefix("Value error, ")
    match error["type"]:
        case "missing":
            message = "is missing; add it"
        case "extra_forbidden":
            message = "is no field here; correct its spelling or take it out"
        case "union_tag_not_found" | "union_tag_invalid":
            kinds = [get_args(rule.model_fields["kind"].annotation)[0] for rule in get_args(Rule)]
            message = f"kind: write one of {', '.join(kinds)}"
    return where + path + message
