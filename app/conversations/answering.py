"""One turn: from a claimed patient message to the stored reply, sentence by sentence.

The order of :meth:`Answering.answer` is the order of what happens. Nothing here decides what may be said (the
pipeline does); this decides only whether it may still be said, and keeps it.
"""

from __future__ import annotations

import asyncio
import dataclasses
import json
import time
from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from sqlalchemy import RowMapping

from app.chat.protocols import Turn
from app.contracts.replies import Choice, Clarification, Reply, ReplyKind, Sentence, Tier
from app.contracts.site import Site
from app.conversations.events import EventLog
from app.conversations.protocols import AdapterChoice, DueTime, Now, Responder, TextRedactor, TurnObserver
from app.conversations.pseudonyms import PseudonymStore
from app.conversations.schemas import MessageView
from app.conversations.texts import text
from app.conversations.turns import MOST_ATTEMPTS
from app.conversations.turns_repository import EARLIER_MESSAGES, TurnsRepository
from app.conversations.views import Views
from app.db.cipher import TextCipher
from app.db.models import new_id
from app.db.session import Database
from app.errors import StoreUnavailable
from app.logging import logger
from app.redaction.vault import MemoryVault

_NOT_TRIAGED = frozenset({"failed:triage", "turn_attempts", "turn_failed"})
"""Reasons of a handoff after which nobody knows whether the message was an emergency."""


class FenceClosed(Exception):
    """Somebody else speaks now: the reply must not be stored."""


@dataclass
class Run:
    """What is known of a turn while it is answered."""

    claim: RowMapping
    question: str
    question_redacted: str
    earlier: Sequence[str]
    earlier_redacted: Sequence[str]
    vault: MemoryVault
    adapter: str | None
    started: float
    position: int | None = None
    model_allowed: bool = False
    said: bool = False
    shown: str = ""
    pending: list[str] = field(default_factory=list)
    writing: asyncio.Task[None] | None = None
    first_sentence_ms: float | None = None

    @property
    def turn_id(self) -> str:
        """The turn's id, which is the reply's too."""
        return str(self.claim["id"])


class Answering:
    """Answers claimed turns (``TurnRunner``'s work). ``hard_limit_s`` is the net below the pipeline's own limit."""

    def __init__(
        self,
        database: Database,
        cipher: TextCipher,
        site: Site,
        responder: Responder,
        redactor: TextRedactor,
        log: EventLog,
        *,
        adapter: AdapterChoice,
        due: DueTime,
        now: Now,
        observer: TurnObserver,
        hard_limit_s: float = 60.0,
    ) -> None:
        self._database = database
        self._cipher = cipher
        self._site = site
        self._responder = responder
        self._redactor = redactor
        self._events = log
        self._adapter = adapter
        self._due = due
        self._now = now
        self._observer = observer
        self._hard_limit_s = hard_limit_s
        self._turns = TurnsRepository()
        self._views = Views(site, cipher)
        self._pseudonyms = PseudonymStore(cipher)
        self._log = logger(__name__)

    async def answer(self, claim: RowMapping) -> None:
        """Answer a turn to its end. Raises only if the outcome could not be stored; then it is to be run again."""
        run = await self._load(claim)
        try:
            if run.position is not None:  # an earlier run showed sentences and died
                await self._append(run, [("message.retracted", {"message_id": run.turn_id, "reason": "restarted"})])
            reply = await self._reply(run)
            await self._settle(run, reply)
        except FenceClosed:
            await self._close(run, "superseded")

    async def look_ahead(self, conversation: str) -> list[str]:
        """Queued turns that triage calls an emergency (``TurnRunner``'s ahead). Nothing is stored or shown here."""
        found = []
        async with self._database.statement() as session:
            queued = await self._turns.queued(session, conversation)
            asked = await self._turns.asked(session, conversation, 2**62, EARLIER_MESSAGES + 1) if queued else []
        words = {row["position"]: self._cipher.decrypt(row["text_encrypted"]) for row in asked}
        for turn in queued:
            earlier = tuple(text for position, text in words.items() if position < turn["position"])
            # Without consent the pipeline does nothing but triage.
            question = Turn(
                conversation_id=conversation, text=words.get(turn["position"], ""), vault=MemoryVault(),
                earlier=earlier, consented=False, model_allowed=False,
            )  # fmt: skip
            async for event in self._responder.respond(question):
                if isinstance(event, Reply) and event.kind is ReplyKind.EMERGENCY:
                    found.append(str(turn["id"]))
        return found

    async def _load(self, claim: RowMapping) -> Run:
        """What the pipeline needs to know; after the last attempt without what cannot be decrypted."""
        redacted = claim["asked_redacted"]
        spent = claim["attempt"] > MOST_ATTEMPTS
        try:
            words = [self._cipher.decrypt(text) for text in claim["asked_encrypted"]]
            vault = self._pseudonyms.vault(str(claim["conversation_id"]), claim["tokens"], claim["token_values"])
        except Exception:
            if not spent:
                raise
            self._log.error("message not read", conversation_id=claim["conversation_id"], exc_info=True)
            withheld = redacted[-1] or text("withheld", "en")
            return Run(claim, "", withheld, (), (), MemoryVault(), None, time.perf_counter(), claim["begun"])
        may_answer = bool(claim["may_answer"] and claim["consented"] and not spent)
        adapter, known = await self._served(may_answer, claim["conversation_id"])
        return Run(
            claim=claim,
            question=words[-1],
            question_redacted=redacted[-1],
            earlier=tuple(words[:-1]),
            earlier_redacted=tuple(redacted[:-1]),
            vault=vault,
            adapter=adapter,
            started=time.perf_counter(),
            position=claim["begun"],
            model_allowed=may_answer and known,
        )

    async def _served(self, may_answer: bool, conversation: str) -> tuple[str | None, bool]:
        """The adapter of a turn and whether it is known: without it the model is not asked, all else is answered."""
        if not may_answer:
            return None, True
        try:
            return await self._adapter(), True
        except Exception:
            self._log.error("adapter not known", conversation_id=conversation, exc_info=True)
            return None, False

    async def _reply(self, run: Run) -> Reply:
        """Ask the pipeline, showing sentences as they come; a safe reply if it fails in whatever way."""
        if run.claim["attempt"] > MOST_ATTEMPTS:
            return self._safe(run, "attempts")
        try:
            async with asyncio.timeout(self._hard_limit_s):
                return await self._stream(run)
        except (FenceClosed, StoreUnavailable):
            raise
        except Exception:
            self._log.error("pipeline failed", conversation_id=run.claim["conversation_id"], exc_info=True)
        return self._safe(run, "failed")

    async def _stream(self, run: Run) -> Reply:
        claim = run.claim
        may_answer = bool(claim["may_answer"] and claim["consented"])
        turn = Turn(
            conversation_id=claim["conversation_id"],
            text=run.question,
            vault=run.vault,
            earlier=run.earlier,
            earlier_redacted=run.earlier_redacted,
            adapter=run.adapter,
            language=claim["language"],
            consented=bool(claim["consented"]),
            model_allowed=run.model_allowed,
            crisis=claim["crisis"],
            offered=_offered(claim),
            about=() if claim["said"] == ReplyKind.CLARIFY else _cited(claim),
        )
        reply: Reply | None = None
        try:
            async with aclosing(self._responder.respond(turn)) as events:
                async for event in events:
                    if isinstance(event, Reply):
                        reply = event
                    elif may_answer:
                        self._show(run, event)
        finally:
            if run.writing is not None:
                await run.writing
        if reply is None:
            raise RuntimeError("the pipeline ended without a reply")
        return reply

    def _show(self, run: Run, sentence: Sentence) -> None:
        """Queue a sentence for the log. While one write is under way, further sentences wait and go as one."""
        if run.writing is not None and run.writing.done():
            run.writing.result()
        joint = " " if run.said and not sentence.text[:1].isspace() else ""
        run.said = True
        run.pending.append(joint + sentence.text)
        if run.writing is None or run.writing.done():
            run.writing = asyncio.create_task(self._write_pending(run))

    async def _write_pending(self, run: Run) -> None:
        while run.pending:
            words = "".join(run.pending)
            run.pending.clear()
            delta = ("message.delta", {"message_id": run.turn_id, "text": words})
            if run.position is None:
                await self._begin(run, delta)
            else:
                await self._append(run, [delta])
            run.shown += words

    async def _begin(self, run: Run, delta: tuple[str, dict[str, Any]]) -> None:
        """The fenced insert of the streaming message, with its first sentence."""
        created = (
            "message.created",
            {"message": self._message(run, "assistant", status="streaming").model_dump(mode="json")},
        )
        values = self._fence(run) | self._sealed([created, delta])
        values |= {"author_name": self._site.assistant_name, "message": run.claim["message_id"], "adapter": run.adapter}
        values |= {"text_encrypted": self._cipher.encrypt("")}
        async with self._database.statement() as session:
            run.position = await self._turns.begin(session, values)
        if run.position is None:
            raise FenceClosed
        run.first_sentence_ms = (time.perf_counter() - run.started) * 1000

    async def _append(self, run: Run, events: list[tuple[str, dict[str, Any]]]) -> None:
        async with self._database.statement() as session:
            if not await self._turns.append(session, self._fence(run) | self._sealed(events)):
                raise FenceClosed

    async def _settle(self, run: Run, reply: Reply) -> None:
        """Keep the outcome: an emergency always speaks, the assistant only while it may, else nobody.

        A message that triage did not finish with may be an emergency: a person is called for it in any case. While a
        crisis call waits for a person, the patient is told so and given the numbers again.
        """
        redacted = reply.question_redacted or await self._redact(run)
        reply = dataclasses.replace(reply, question_redacted=redacted)
        emergency = reply.kind is ReplyKind.EMERGENCY
        if run.claim["may_answer"] and (run.claim["consented"] or emergency):
            if await self._finish(run, reply, author="assistant", fence="assistant"):
                return
        elif run.claim["may_answer"] and await self._finish(run, reply, author="system", fence="assistant"):
            return  # the pipeline asked for consent
        run.question_redacted = redacted
        if emergency or reply.handoff in _NOT_TRIAGED:
            return await self._beside(run, reply)
        if run.claim["crisis"] and await self._finish(run, reply, author="system", fence="waiting"):
            return
        await self._close(run, "superseded" if run.claim["answers"] else "silent")

    async def _beside(self, run: Run, reply: Reply) -> None:
        """What must be said whoever holds the conversation, also nobody: the patient may have ended it meanwhile."""
        written = await self._finish(run, reply, author="system", fence="none")
        if not written or run.position is not None:
            await self._close(run, "superseded")

    async def _finish(
        self, run: Run, reply: Reply, *, author: str, fence: Literal["assistant", "waiting", "none"]
    ) -> bool:
        """One statement that stores everything; False if the fence is closed.

        ``fence``: the assistant must still hold the conversation, it must wait for a person, or nothing is asked of it.
        """
        begun = run.position is not None
        fenced = fence == "assistant"
        message = run.turn_id if fenced or not begun else new_id()
        fresh = not begun or message != run.turn_id
        at = self._now()
        events = self._final_events(run, reply, author, message, fresh, at)
        emergency = reply.kind is ReplyKind.EMERGENCY
        hand_off = emergency or reply.handoff is not None
        urgent = reply.tier >= Tier.SAME_DAY
        priority = 0 if emergency or reply.handoff in _NOT_TRIAGED else 1 if urgent else 2  # it may be an emergency
        total_ms = (time.perf_counter() - run.started) * 1000
        tokens, values = self._pseudonyms.unsaved(str(run.claim["conversation_id"]), run.vault)
        statement = self._fence(run) | self._sealed(events) | {
            "reply": message, "message": run.claim["message_id"], "fence": fence, "ends": fenced or not begun,
            "author": author, "author_name": self._author_name(author),
            "text_encrypted": self._cipher.encrypt(reply.text),
            "text_redacted": reply.text_redacted, "kind": reply.kind.value, "tier": reply.tier.label,
            "crisis": reply.crisis,
            "routes": json.dumps(list(reply.routes)), "adapter": reply.adapter, "prompt_version": reply.prompt_version,
            "policy_hash": reply.policy_hash, "citations": _json(reply.citations), "hits": _json(reply.hits),
            "stage_ms": json.dumps(reply.stage_ms), "total_ms": total_ms, "question_redacted": reply.question_redacted,
            "tokens": tokens, "values": values, "hand_off": hand_off, "escalation": new_id(), "priority": priority,
            "reason": reply.handoff or "emergency", "category": reply.category,
            "due_at": self._due(priority, at),
        }  # fmt: skip
        async with self._database.statement() as session:
            stored = await self._turns.finish(session, statement)
        if stored:
            self._observer.finished(reply, total_ms, run.first_sentence_ms)
        return stored

    def _final_events(
        self, run: Run, reply: Reply, author: str, message: str, fresh: bool, at: datetime
    ) -> list[tuple[str, dict[str, Any]]]:
        """created (unless it was), retracted (if shown text is replaced), completed, crisis, status."""
        emergency = reply.kind is ReplyKind.EMERGENCY
        view = self._message(run, author, message=message, reply=reply, at=at)
        events: list[tuple[str, dict[str, Any]]] = []
        if fresh:
            streaming = view.model_copy(
                update={"text": "", "status": "streaming", "citations": [], "choices": [], "routes": []}
            )
            events.append(("message.created", {"message": streaming.model_dump(mode="json")}))
        elif reply.replaces:
            events.append(("message.retracted", {"message_id": message, "reason": "replaced"}))
        view.position = -len(events) if fresh else (run.position or 0)
        events.append(("message.completed", {"message": view.model_dump(mode="json")}))
        if emergency:
            routes = [route.model_dump() for route in view.routes]
            crisis = {"message_id": message, "tier": reply.tier.label, "category": reply.category, "text": reply.text}
            events.append(("safety.crisis", crisis | {"language": view.language, "routes": routes}))
        if emergency or reply.handoff is not None:
            events.append(("conversation.status", {}))
        return events

    async def _close(self, run: Run, outcome: str) -> None:
        """End the turn without a reply."""
        redacted = run.question_redacted or await self._redact(run)
        tokens, values = self._pseudonyms.unsaved(str(run.claim["conversation_id"]), run.vault)
        payload = self._events.seal({"message_id": run.turn_id, "reason": "superseded"})
        statement = {
            "turn": run.turn_id, "attempt": run.claim["attempt"], "shown": self._cipher.encrypt(run.shown),
            "now": self._now(), "payload": payload, "question_redacted": redacted, "tokens": tokens, "values": values,
        }  # fmt: skip
        async with self._database.statement() as session:
            await self._turns.close(session, statement)
        self._observer.ended(outcome)

    async def _redact(self, run: Run) -> str:
        """The question without identifiers, for staff; a note in its place if that fails."""
        if run.question_redacted:
            return run.question_redacted
        try:
            return await self._redactor.redact(run.question, run.vault)
        except Exception:
            self._log.error("message withheld from staff", conversation_id=run.claim["conversation_id"], exc_info=True)
            return text("withheld", "en")

    def _safe(self, run: Run, reason: str) -> Reply:
        """What is said when the pipeline gave nothing usable."""
        phone = self._site.emergency_phone
        return Reply(
            text=text("failed", run.claim["language"], emergency=phone),
            text_redacted=text("failed", "en", emergency=phone),
            kind=ReplyKind.HANDOFF,
            routes=("human", "nurse_line"),
            handoff=f"turn_{reason}",
            replaces=run.position is not None,
        )

    def _fence(self, run: Run) -> dict[str, Any]:
        return {
            "turn": run.turn_id, "attempt": run.claim["attempt"], "conversation": run.claim["conversation_id"],
            "epoch": run.claim["epoch"], "fence": "assistant", "now": self._now(),
        }  # fmt: skip

    def _sealed(self, events: list[tuple[str, dict[str, Any]]]) -> dict[str, Any]:
        return {
            "count": len(events),
            "types": [type_ for type_, _data in events],
            "payloads": [self._events.seal(data) for _type, data in events],
        }

    def _author_name(self, author: str) -> str:
        return self._site.assistant_name if author == "assistant" else self._site.short_name

    def _message(
        self,
        run: Run,
        author: str,
        *,
        message: str = "",
        reply: Reply | None = None,
        at: datetime | None = None,
        status: str = "complete",
    ) -> MessageView:
        return MessageView(
            id=message or run.turn_id,
            position=0,
            author=author,
            author_name=self._author_name(author),
            status=status,
            in_reply_to=run.claim["message_id"],
            created_at=at or self._now(),
            **(self._views.reply(reply, run.claim["language"]) if reply else {"text": ""}),
        )


def _offered(claim: RowMapping) -> Clarification | None:
    """The clarifying question that the last reply of the conversation asked, if it did."""
    cited = _cited(claim)
    return Clarification(claim["said_to"], cited) if claim["said"] == ReplyKind.CLARIFY and cited else None


def _cited(claim: RowMapping) -> tuple[Choice, ...]:
    """The articles that the last reply of the conversation cited or offered."""
    return tuple(Choice(k["article_id"], k["title"]) for k in claim["cited"] or ())


def _json(items: Sequence[Any]) -> str:
    return json.dumps([dataclasses.asdict(item) for item in items], default=str)
