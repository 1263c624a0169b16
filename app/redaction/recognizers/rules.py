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


_AT = regex.compile(r"@|\bat\b|\barroba\b|#", regex.IGNORECASE)
_IS = regex.compile(r"\d[A-Z]{0,3}[\s,=]{1,3}(?:is|was|es)\s", regex.IGNORECASE)
_CAPITAL = regex.compile(r"\p{Lu}")

_SIGN_IN = regex.compile(
    r"\b(?:log(?:ged|ging)?[\s\-]?(?:in|on|out)|login|sign(?:ed|ing)?[\s\-]?(?:in|on|up)|password|portal|mychart|"
    r"user\s?name|user|usuario|locked\sout|handle|screen\s?name|contraseña|clave|instagram|facebook|tiktok|snapchat|"
    r"twitter)\b",
    regex.IGNORECASE,
)
_MAIL = regex.compile(r"\be-?mails?\b|\bcorreos?\b|\bg-?mail\b", regex.IGNORECASE)
_CAR = regex.compile(
    r"\b(?:cars?|trucks?|van|suv|jeep|vehicle|parked|parking|park|valet|tow(?:ed|ing)?|garage|spot|keys|plates?|"
    r"tags?|ding(?:ed)?|sedan|minivan|motorcycle|pickup|rig|semi|tacoma|silverado|corolla|camry|civic|blocked\sin|"
    r"fire\slane|headlights|lights\sleft\son|honda|toyota|ford|chevy|nissan|subaru|hyundai|kia|dodge|ram|tesla|mazda|"
    r"volvo|buick|carro|troca|camioneta|coche|estacionad[oa]|estacionamiento|placas?)\b",
    regex.IGNORECASE,
)

_TESTS: dict[str, Callable[[str], bool]] = {
    "": lambda text: True,
    "digit": lambda text: any(c.isdigit() for c in text),
    "@": lambda text: "@" in text,
    "at": lambda text: bool(_AT.search(text)),
    "number is": lambda text: bool(_IS.search(text)),
    "capital": lambda text: bool(_CAPITAL.search(text)),
    "underscore": lambda text: "_" in text,
    "sign in": lambda text: bool(_SIGN_IN.search(text)),
    "mail": lambda text: bool(_MAIL.search(text)),
    "car": lambda text: bool(_CAR.search(text)),
}
"""What a text has to hold for a rule to be worth running."""


def _always(match: Match) -> bool:
    return True


@dataclass(frozen=True, slots=True)
class Rule:
    """``pattern`` finds the identifier in its group ``v``; ``accept`` may refuse a match by what stands around it.

    ``needs`` names a cheap test on the whole text (``_TESTS``): the pattern runs only on a text that passes it.
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
        present = {name: test(text) for name, test in _TESTS.items()}
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
