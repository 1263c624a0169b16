"""The host of our own rules: a Presidio recognizer whose errors and timeouts are never swallowed.

Presidio's PatternRecognizer logs a regular expression that ran out of time and goes on without its matches, so text
passes unseen. Here every error leaves ``analyze``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import regex

from app.redaction.presidio import EntityRecognizer, PatternRecognizer, RecognizerResult

Match: TypeAlias = regex.Match[str]

_SHAPE = 0.97
"""The score of a shape that nothing else has: over that of a cue, which may name a wider class."""


def _always(match: Match) -> bool:
    return True


@dataclass(frozen=True, slots=True)
class Rule:
    """``pattern`` finds the identifier in its group ``v``; ``accept`` may refuse a match by what stands around it.

    ``needs`` is a cheap test on the whole text: "digit", "@" or "" (no test).
    """

    type: str
    pattern: regex.Pattern[str]
    score: float
    accept: Callable[[Match], bool] = _always
    needs: str = ""


def compile_rule(
    entity_type: str,
    pattern: str,
    score: float = 0.9,
    *,
    accept: Callable[[Match], bool] = _always,
    needs: str = "",
    exact_case: bool = False,
) -> Rule:
    """A rule from a verbose regular expression; case does not matter unless ``exact_case``."""
    flags = regex.VERBOSE | regex.V0 | (0 if exact_case else regex.IGNORECASE)
    return Rule(entity_type, regex.compile(pattern, flags), score, accept, needs)


class RuleRecognizer(EntityRecognizer):
    """Runs rules over a text. ``timeout_s`` bounds each rule; over it, TimeoutError."""

    def __init__(self, name: str, rules: Sequence[Rule], timeout_s: float) -> None:
        self._rules = tuple(rules)
        self._timeout_s = timeout_s
        super().__init__(supported_entities=sorted({rule.type for rule in rules}), name=name)

    def load(self) -> None:
        """Nothing to load."""

    def analyze(self, text: str, entities: list[str], nlp_artifacts: Any = None) -> list[RecognizerResult]:
        """All matches of all rules, overlapping ones included. Linear in the length of the text."""
        present = {"": True, "digit": any(c.isdigit() for c in text), "@": "@" in text}
        found = []
        for rule in self._rules:
            if not present[rule.needs]:
                continue
            for match in rule.pattern.finditer(text, timeout=self._timeout_s):
                if rule.accept(match):
                    start, end = match.span("v")
                    found.append(RecognizerResult(rule.type, start, end, rule.score))
        return found


class StrictPatterns(EntityRecognizer):
    """A recognizer of Presidio's, its patterns and checksums, run without its habit of swallowing timeouts."""

    def __init__(self, entity_type: str, inner: PatternRecognizer, timeout_s: float, *, minimum: float) -> None:
        """Patterns that score under ``minimum`` are left out."""
        self._inner = inner
        self._type = entity_type
        self._timeout_s = timeout_s
        flags = inner.global_regex_flags or 0
        known: list[Any] = inner.patterns  # type: ignore[has-type]
        self._patterns = [(regex.compile(p.regex, flags), p.score) for p in known if p.score >= minimum]
        super().__init__(supported_entities=[entity_type], name=type(inner).__name__)

    def load(self) -> None:
        """Nothing to load."""

    def analyze(self, text: str, entities: list[str], nlp_artifacts: Any = None) -> list[RecognizerResult]:
        """Matches that the inner recognizer's own checks do not refuse."""
        found = []
        for pattern, score in self._patterns:
            for match in pattern.finditer(text, timeout=self._timeout_s):
                value = match.group()
                valid = self._inner.validate_result(value)
                if valid is False or self._inner.invalidate_result(value):
                    continue
                found.append(
                    RecognizerResult(self._type, match.start(), match.end(), 1.0 if valid else max(score, _SHAPE))
                )
        return found
