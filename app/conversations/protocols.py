"""What conversations need from outside; the composition root hands in what implements it."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable
from datetime import datetime
from typing import Protocol

from app.chat.protocols import Turn
from app.contracts.replies import Reply, ReplyEvent
from app.redaction.vault import Vault


class Responder(Protocol):
    """Answers a turn (chat.pipeline.Pipeline)."""

    def respond(self, turn: Turn) -> AsyncGenerator[ReplyEvent, None]:
        """Any number of Sentence, then exactly one Reply."""
        ...


class TextRedactor(Protocol):
    """Replaces identifiers by pseudonyms of the vault."""

    async def redact(self, text: str, vault: Vault) -> str:
        """The text with pseudonyms. Raises RedactionFailed."""
        ...


class TurnObserver(Protocol):
    """Is told what turns did, for metrics. Never gets text."""

    def finished(self, reply: Reply, total_ms: float, first_sentence_ms: float | None) -> None:
        """A reply was stored."""
        ...

    def ended(self, outcome: str) -> None:
        """A turn ended otherwise: superseded, silent, failed."""
        ...


AdapterChoice = Callable[[], Awaitable[str | None]]
"""Resolves the adapter version that a turn beginning now uses; None is the base model."""


class DueTime(Protocol):
    """When a person should have come (escalations.sla.due_times)."""

    def __call__(self, priority: int, at: datetime) -> datetime:
        """For a priority and the moment of the call."""
        ...


Now = Callable[[], datetime]
"""The time now, UTC."""
