"""The small protocols through which a turn reaches the world. The composition root hands in what implements them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from app.contracts.passages import Passage
from app.contracts.replies import Choice, Clarification
from app.redaction.vault import Vault


class Retriever(Protocol):
    """Finds approved, in-date passages."""

    async def search(self, question: str, *, limit: int = 4) -> list[Passage]:
        """The best passages for a redacted question, best first. Raises RetrievalFailed."""
        ...


class Clock(Protocol):
    """Monotonic time for stage timings, in seconds."""

    def __call__(self) -> float: ...


@dataclass(frozen=True, slots=True)
class Turn:
    """One patient message to answer.

    ``text`` is raw, as typed. ``earlier`` are the patient's earlier messages of this conversation, raw, oldest first
    (triage adds up red flags over turns). ``earlier_redacted`` are the same with pseudonyms, for follow-up questions.
    ``adapter`` is the served version resolved once for this turn, None for the base model. ``crisis`` is the category
    of a crisis call that is open in the conversation, '' if there is none: then only numbers are given. ``offered`` is
    the clarifying question that the reply before asked, if it did: this message may be its answer. ``about`` are the
    articles that the reply before cited: between near articles those are meant.
    """

    conversation_id: str
    text: str
    vault: Vault
    earlier: Sequence[str] = ()
    earlier_redacted: Sequence[str] = ()
    adapter: str | None = None
    language: str = "en"
    consented: bool = True
    model_allowed: bool = True
    crisis: str = ""
    offered: Clarification | None = None
    about: Sequence[Choice] = ()
