"""Doubles for redaction: a vault that breaks, and Presidio recognizers that misbehave."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from app.errors import StoreUnavailable
from app.redaction.presidio import EntityRecognizer


class ScriptedRecognizer(EntityRecognizer):
    """Answers with whatever ``answer`` gives for a text, also if that is nonsense or an exception."""

    def __init__(self, answer: Callable[[str], Any]) -> None:
        self._answer = answer
        super().__init__(supported_entities=["PERSON"], name="scripted")

    def load(self) -> None:
        """Nothing to load."""

    def analyze(self, text: str, entities: list[str], nlp_artifacts: Any = None) -> Any:
        """The scripted answer."""
        return self._answer(text)


class BrokenVault:
    """A Vault whose store is gone."""

    def token(self, entity_type: str, value: str) -> str:
        raise StoreUnavailable("the database cannot be reached")

    def value(self, token: str) -> str | None:
        raise StoreUnavailable("the database cannot be reached")

    def tokens(self) -> dict[str, str]:
        return {}


class LeakyVault(BrokenVault):
    """A Vault that gives the value back instead of a token."""

    def token(self, entity_type: str, value: str) -> str:
        return value
