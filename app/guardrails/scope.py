"""Stage 3 of a turn: what kind of message is it, and may the articles answer it?

Refuses kindly what a clinician, a pharmacist or an office must decide, and nothing else: logistics, preparation and
education stay in scope.
"""

from __future__ import annotations

from dataclasses import dataclass

from app.guardrails.policy import PolicyBundle, ScopeKind, ScopeRule
from app.guardrails.reading import Reader, Reading
from app.guardrails.wishes import LearnedWish

LEARNED = "scope.learned_human"
"""Stands for a rule's id where the learned wish decided."""


@dataclass(frozen=True, slots=True)
class ScopeVerdict:
    """``class_`` is the class of the deciding rule (``in_scope`` if none); ``text_id`` its catalogue text."""

    kind: ScopeKind
    class_: str
    routes: tuple[str, ...]
    text_id: str
    rules: tuple[str, ...]


class Scope:
    """Sorts one message. Pure and thread-safe."""

    def __init__(self, bundle: PolicyBundle, wishes: LearnedWish | None = None) -> None:
        self._rules, self._wishes = bundle.scope, wishes
        self._reader = Reader(bundle, [t for rule in bundle.scope for t in (*rule.triggers, *rule.unless)])

    def assess(self, text: str) -> ScopeVerdict:
        """The first rule of the bundle that matches decides; where none does, the learned wish for a person, if there
        is one; else the message is in scope.

        A wish for a person is read without masks: "call me back" is a phrase in which "back" is no part of the body.
        """
        reading, unmasked = self._reader.read_both([text])
        matched = [rule for rule in self._rules if self._matches(rule, unmasked if rule.kind == "human" else reading)]
        if not matched and self._wishes and self._wishes.wished(text):
            policy = self._wishes.policy
            return ScopeVerdict("human", "human", tuple(policy.routes), policy.text, (LEARNED,))
        if not matched:
            return ScopeVerdict("in_scope", "in_scope", (), "", ())
        first = matched[0]
        return ScopeVerdict(
            first.kind, first.class_, tuple(first.routes), first.text, tuple(rule.id for rule in matched)
        )

    def _matches(self, rule: ScopeRule, reading: Reading) -> bool:
        if rule.max_words is not None and len(reading.words.words) > rule.max_words:
            return False
        holds = (reading.holds(self._reader.trigger(source)) for source in rule.triggers)
        return any(holds) and not any(reading.holds(self._reader.trigger(source)) for source in rule.unless)
