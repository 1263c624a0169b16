"""What one turn gives: verdicts on the way, vetted text, and the finished reply."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import IntEnum, StrEnum

from app.contracts.passages import Citation

CRISIS_CATEGORIES = frozenset({"suicide", "abuse", "violence"})
"""Categories of triage after which the assistant stays silent until staff have said what came of the call."""


def is_crisis(category: str, routes: Sequence[str]) -> bool:
    """Whether an emergency is a crisis: by its category, or because it sends to the crisis line (988)."""
    return category in CRISIS_CATEGORIES or "988" in routes


class Tier(IntEnum):
    """Urgency, ordered: a learned part may raise it and never lower it."""

    NONE = 0
    ROUTINE = 1
    SAME_DAY = 2
    URGENT = 3
    EMERGENCY = 4

    @property
    def label(self) -> str:
        """The name in policies, JSON and metrics: ``same_day``."""
        return self.name.lower()

    @classmethod
    def of(cls, label: str) -> Tier:
        """The tier with this label; ValueError if there is none."""
        try:
            return cls[label.upper()]
        except KeyError as error:
            raise ValueError(f"{label!r} is not a tier; one of {', '.join(t.label for t in cls)}") from error


class ReplyKind(StrEnum):
    """How a reply came about; a stable contract of ``bedside ask`` and of the API."""

    ANSWER = "answer"  # the model's own words, every sentence vetted
    FALLBACK = "fallback"  # an approved passage, verbatim
    REDIRECT = "redirect"  # refused kindly, with a route
    DECLINE = "decline"  # not something this chat does
    HANDOFF = "handoff"  # a person takes over
    DISCLOSE = "disclose"  # a truthful answer about what this chat is
    EMERGENCY = "emergency"  # reviewed crisis text
    NO_ANSWER = "no_answer"  # nothing approved answers it
    CLARIFY = "clarify"  # asks which of two or three near articles is meant; they are the reply's citations


@dataclass(frozen=True, slots=True)
class GuardrailHit:
    """One check that had something to say. ``rule`` is an id from the policy bundle or a check's name."""

    stage: str
    rule: str
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Choice:
    """An article that a clarifying question offers. The patient chooses it by its title."""

    article_id: str
    title: str


@dataclass(frozen=True, slots=True)
class Clarification:
    """A clarifying question that waits for its answer: what the patient had asked, redacted, and what was offered."""

    question: str
    choices: tuple[Choice, ...]


@dataclass(frozen=True, slots=True)
class Sentence:
    """A vetted sentence, with the patient's own words restored, that may go on the wire now."""

    text: str


@dataclass(frozen=True, slots=True)
class Reply:
    """The finished reply of one turn.

    ``text`` is what the patient reads; ``text_redacted`` the same with pseudonyms. The ``citations`` of a clarifying
    question are the articles that it offers, in order and without a quote. ``replaces`` is true when
    sentences that already went out are to be retracted and replaced by ``text``. ``handoff`` is the reason for
    which a person is called, or None; after a ``crisis`` call the assistant is silent until staff close it with an
    outcome. ``stage_ms`` are milliseconds by stage.
    """

    text: str
    text_redacted: str
    kind: ReplyKind
    tier: Tier = Tier.NONE
    category: str = ""
    routes: tuple[str, ...] = ()
    citations: tuple[Citation, ...] = ()
    hits: tuple[GuardrailHit, ...] = ()
    handoff: str | None = None
    crisis: bool = False
    replaces: bool = False
    adapter: str | None = None
    prompt_version: str = ""
    policy_hash: str = ""
    question_redacted: str = ""
    stage_ms: dict[str, float] = field(default_factory=dict)

    @property
    def clarification(self) -> Clarification | None:
        """What the next turn needs to understand the answer to a clarifying question; None for any other reply."""
        if self.kind is not ReplyKind.CLARIFY:
            return None
        return Clarification(self.question_redacted, tuple(Choice(c.article_id, c.title) for c in self.citations))


ReplyEvent = Sentence | Reply
"""What ``chat.pipeline.respond`` yields: any number of sentences, then exactly one Reply."""
