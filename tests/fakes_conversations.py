"""Stand-ins for the pipeline and the redactor: they implement the protocols of conversations."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from datetime import date

from app.chat.protocols import Turn
from app.contracts.passages import Citation
from app.contracts.replies import GuardrailHit, Reply, ReplyEvent, ReplyKind, Sentence, Tier
from app.errors import RedactionFailed
from app.redaction.vault import Vault

CITATION = Citation(
    article_id="parking", title="Parking", quote="Parking is free.", reviewed=date(2026, 5, 1), passage_id="parking#0"
)
SENTENCES = ("Parking is free.", "The garage is by the East Entrance.", "It is open all night.")
CRISIS = "Call 911 now."
HOLD = "A person has been told. Call 911 or 988."


@dataclass
class ScriptedResponder:
    """Answers with :data:`SENTENCES`; some words of the patient change what happens.

    ``emergency`` gives crisis text, ``suicide`` and ``abuse`` too and a crisis call, ``person`` a handoff, ``raise`` an
    exception, ``silence`` ends without a reply, ``replace`` withdraws what was shown. ``gate``, if set, is
    awaited before each sentence.
    """

    sentences: tuple[str, ...] = SENTENCES
    gate: Callable[[], object] | None = None
    pause_s: float = 0.0
    turns: list[Turn] = field(default_factory=list)

    @property
    def asked(self) -> list[str]:
        """What was asked with the model allowed, in order (looking ahead left out)."""
        return [turn.text for turn in self.turns if turn.model_allowed]

    async def respond(self, turn: Turn) -> AsyncIterator[ReplyEvent]:
        self.turns.append(turn)
        redacted = re.sub(r"Maria Gonzalez", lambda m: turn.vault.token("PERSON", m[0]), turn.text)
        if "emergency" in turn.text:
            yield Reply(
                CRISIS, CRISIS, ReplyKind.EMERGENCY, Tier.EMERGENCY, "cardiac", ("911", "nurse_line"),
                hits=(GuardrailHit("triage", "chest_pain"),), handoff="emergency",
            )  # fmt: skip
            return
        category = next((word for word in ("suicide", "abuse") if word in turn.text), "")
        if category:
            yield Reply(
                CRISIS, CRISIS, ReplyKind.EMERGENCY, Tier.EMERGENCY, category, ("911", "988"),
                handoff=f"emergency:{category}", crisis=True,
            )  # fmt: skip
            return
        if turn.crisis:
            yield Reply(HOLD, HOLD, ReplyKind.HANDOFF, category=turn.crisis, routes=("911", "988"))
            return
        if not turn.consented:
            yield Reply("Please accept the notice first.", "Please accept the notice first.", ReplyKind.DECLINE)
            return
        if not turn.model_allowed:
            yield Reply("…", "…", ReplyKind.NO_ANSWER, question_redacted=redacted)
            return
        if "raise" in turn.text:
            raise ValueError("scripted")
        if "silence" in turn.text:
            return
        if "person" in turn.text:
            yield Reply(
                "A person comes.", "A person comes.", ReplyKind.HANDOFF, handoff="asked", question_redacted=redacted
            )
            return
        for sentence in self.sentences:
            if self.gate is not None:
                await self.gate()  # type: ignore[misc]
            await asyncio.sleep(self.pause_s)
            yield Sentence(sentence)
        whole = " ".join(self.sentences)
        yield Reply(
            whole if "replace" not in turn.text else "Parking: see the article.", whole, ReplyKind.ANSWER, Tier.ROUTINE,
            citations=(CITATION,), adapter=turn.adapter, prompt_version="v1", policy_hash="p" * 12,
            replaces="replace" in turn.text, question_redacted=redacted, stage_ms={"generate": 1.0},
        )  # fmt: skip


@dataclass
class NameRedactor:
    """Knows one name; ``broken`` makes it fail."""

    broken: bool = False

    async def redact(self, text: str, vault: Vault) -> str:
        if self.broken:
            raise RedactionFailed("scripted")
        return re.sub(r"Maria Gonzalez", lambda m: vault.token("PERSON", m[0]), text)


@dataclass
class Observations:
    """A TurnObserver that remembers."""

    replies: list[Reply] = field(default_factory=list)
    outcomes: list[str] = field(default_factory=list)

    def finished(self, reply: Reply, total_ms: float, first_sentence_ms: float | None) -> None:
        assert total_ms >= 0
        self.replies.append(reply)

    def ended(self, outcome: str) -> None:
        self.outcomes.append(outcome)
