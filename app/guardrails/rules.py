"""The rules of a policy bundle as data: what each may say and must say."""

from __future__ import annotations

import re
from datetime import date
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from app.contracts.replies import Tier
from app.contracts.site import Route
from app.guardrails.patterns import parse

ScopeKind = Literal["in_scope", "human", "identity", "privacy", "redirect", "decline", "greeting", "thanks"]


def _known_tier(value: str) -> str:
    Tier.of(value)
    return value


def _known_trigger(value: str) -> str:
    parse(value)
    return value


def _known_regex(value: str) -> str:
    try:
        re.compile(value)
    except re.error as error:
        raise ValueError(f"not a regular expression: {error}") from error
    return value


TriggerText = Annotated[str, AfterValidator(_known_trigger)]
RegexText = Annotated[str, AfterValidator(_known_regex)]


class Source(BaseModel):
    """A public clinical page that a rule follows."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    url: str = Field(pattern=r"^https://")
    retrieved: date


class TriageRule(BaseModel):
    """One red flag.

    ``triggers``: any; ``guards``: all must hold too; ``unless``: any of them in the last turn clears it.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: str = Field(pattern=r"^[a-z_]+\.[a-z0-9-]+$")
    category: str
    triggers: list[TriggerText] = Field(min_length=1)
    guards: list[TriggerText] = Field(default_factory=list)
    unless: list[TriggerText] = Field(default_factory=list)
    context: Literal["full", "negation", "none"] = "full"
    tier: Annotated[str, AfterValidator(_known_tier)]
    routes: list[Route] = Field(min_length=1)
    text: str
    source: Source
    reviewer: str
    clinically_reviewed: bool
    expires: date
    positive: list[str] = Field(min_length=20)
    negative: list[str] = Field(min_length=20)


class ScopeRule(BaseModel):
    """One class of messages that the articles do not answer, tried in file order."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: str
    kind: ScopeKind
    class_: str = Field(alias="class")
    triggers: list[TriggerText] = Field(min_length=1)
    unless: list[TriggerText] = Field(default_factory=list)
    max_words: int | None = None
    routes: list[Route] = Field(default_factory=list)
    text: str
    positive: list[str] = Field(min_length=5)
    negative: list[str] = Field(min_length=5)


class InjectionRule(BaseModel):
    """One mark of an attack; weights of different rules add up as independent doubts, 1 - prod(1 - weight)."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: str
    weight: float = Field(gt=0, le=1)
    triggers: list[TriggerText] = Field(default_factory=list)
    regex: list[RegexText] = Field(default_factory=list)
    positive: list[str] = Field(min_length=3)
    negative: list[str] = Field(min_length=3)

    @model_validator(mode="after")
    def _some(self) -> InjectionRule:
        if not self.triggers and not self.regex:
            raise ValueError("needs triggers or regex")
        return self


Rule = TriageRule | ScopeRule | InjectionRule


class BundleHeader(BaseModel):
    """``bundle.yaml``."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    version: str
    injection_threshold: float = Field(gt=0, le=1)
    support_threshold: float = Field(gt=0, le=1)
    fillers: list[str]
    category_order: list[str]


def triggers_of(rule: Rule) -> list[tuple[str, int, str]]:
    """All triggers of a rule as (field, number in its list, trigger)."""
    return [
        (field, number, trigger)
        for field in ("triggers", "guards", "unless")
        for number, trigger in enumerate(getattr(rule, field, []))
    ]
