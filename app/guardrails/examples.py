"""A bundle judged by its own examples: every positive must do what its rule says."""

from __future__ import annotations

import time
from collections.abc import Iterator

from app.guardrails.injection import Injection
from app.guardrails.policy import PolicyBundle
from app.guardrails.scope import Scope
from app.guardrails.triage import Triage

_SHOWN = 3


def failing(
    bundle: PolicyBundle, triage: Triage, scope: Scope, injection: Injection, *, pause_s: float = 0.0
) -> Iterator[str]:
    """A sentence for each rule that misses positives: those of a red flag reach its tier by it, those of another fire.

    Takes several seconds: run it in a thread where chats are answered. ``pause_s`` is slept after each rule, so that
    they get the processor.
    """
    for rule in bundle.triage:
        missed = [n for n, text in enumerate(rule.positive, start=1) if not triage.fires(rule, text)]
        yield from _said(rule.id, missed, f"do not reach the tier {rule.tier}")
        time.sleep(pause_s)
    for section, judge in ((bundle.scope, scope), (bundle.injection, injection)):
        for other in section:
            missed = [n for n, text in enumerate(other.positive, start=1) if other.id not in judge.assess(text).rules]
            yield from _said(other.id, missed, "are not matched by it")
            time.sleep(pause_s)


def _said(rule: str, missed: list[int], what: str) -> Iterator[str]:
    if missed:
        numbers = ", ".join(map(str, missed[:_SHOWN])) + (" and others" if len(missed) > _SHOWN else "")
        yield f"rule {rule}: positive examples {numbers} {what}"
