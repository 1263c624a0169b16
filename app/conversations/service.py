"""Conversations as a patient uses them, and the parts of them that staff use."""

from __future__ import annotations

import asyncio
import unicodedata
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

from sqlalchemy import RowMapping
from sqlalchemy.ext.asyncio import AsyncSession

from app.contracts.site import Site
from app.conversations.events import EventLog
from app.conversations.ownership import Ownership
from app.conversations.protocols import DueTime, Now, TextRedactor
from app.conversations.pseudonyms import PseudonymStore
from app.conversations.repository import ConversationRepository
from app.conversations.schemas import (
    ConversationView,
    LoggedEvent,
    MessagePage,
    MessageView,
    Posted,
    StaffConversationView,
    StaffMessageView,
)
from app.conversations.texts import text
from app.conversations.turns import TurnRunner
from app.conversations.turns_repository import TurnsRepository
from app.conversations.views import Views
from app.db.cipher import TextCipher
from app.db.models import new_id
from app.db.notify import Listener
from app.db.session import Database
from app.errors import (
    ConflictError,
    ConversationClosed,
    Forbidden,
    IdempotencyMismatch,
    InvalidContent,
    LegalHold,
    MessageEmpty,
    MessageTooLong,
    NotFound,
)

NORMAL_PRIORITY = 2
"""Priority of a call for a person that the patient makes."""


class ConversationService:
    """All that is done to conversations of one site, except answering (``Answering``)."""

    def __init__(
        self,
        database: Database,
        cipher: TextCipher,
        site: Site,
        runner: TurnRunner,
        redactor: TextRedactor,
        log: EventLog,
        listener: Listener,
        *,
        due: DueTime,
        now: Now,
        max_characters: int = 4_000,
    ) -> None:
        self.max_characters = max_characters
        self._database = database
        self._cipher = cipher
        self._site = site
        self._runner = runner
        self._redactor = redactor
        self._events = log
        self._listener = listener
        self._due = due
        self._now = now
        self._repository = ConversationRepository()
        self._turns = TurnsRepository()
        self._views = Views(site, cipher)
        self._pseudonyms = PseudonymStore(cipher)
        self.ownership = Ownership(site.id, log.seal({}))

    async def create(self, owner: str, language: str, key: str | None = None) -> ConversationView:
        """Open a conversation for a patient session; the same key gives the same conversation."""
        conversation, at = new_id(), self._now()
        async with self._database.session() as session:
            if key is not None:
                earlier = await self._repository.remember(
                    session, f"session:{owner}", key, self._cipher.fingerprint("create"), conversation, at
                )
                if earlier is not None:
                    _same(earlier, self._cipher.fingerprint("create"))
                    return await self._view(session, str(earlier["result_id"]), owner)
            values = {"id": conversation, "site": self._site.id, "session": owner, "language": language, "now": at}
            await self._repository.create(session, values)
            return await self._view(session, conversation, owner)

    async def get(self, owner: str, conversation: str) -> ConversationView:
        """The conversation's state. Raises NotFound, also for somebody else's."""
        async with self._database.session() as session:
            return await self._view(session, conversation, owner)

    async def post_message(self, owner: str, conversation: str, words: str, key: str | None = None) -> Posted:
        """Store a patient's message and have it answered, apart from the caller's connection.

        The same key with the same text gives the stored message again. Raises MessageEmpty, MessageTooLong,
        InvalidContent, NotFound, ConversationClosed, IdempotencyMismatch, StoreUnavailable (then nothing is stored).
        """
        words = self._checked(words)
        view, values = self._new_message(owner, conversation, words)
        message, turn, at = view.id, values["turn"], view.created_at
        if key is None:
            async with self._database.statement() as single:
                stored = await self._repository.post(single, values)
        else:
            scope, digest = f"conversation:{conversation}", self._cipher.fingerprint(f"{conversation}\n{words}")
            async with self._database.session() as session:
                earlier = await self._repository.remember(session, scope, key, digest, message, at)
                if earlier is not None:
                    return await self._repeat(session, owner, conversation, earlier, digest)
                stored = await self._repository.post(session, values)
                if stored is None:
                    await self._found(session, conversation, owner)
                    raise self._ended()
        if stored is None:
            await self.get(owner, conversation)
            raise self._ended()
        self._runner.wake(conversation, turn)
        view.position = stored["position"]
        return Posted(message=view, reply_id=turn if stored["handler"] == "assistant" else None)

    async def wait_reply(self, conversation: str, reply_id: str, timeout_s: float) -> MessageView | None:
        """The finished reply with this id; None if it does not come in time or never will (somebody else speaks)."""
        loop = asyncio.get_running_loop()
        end = loop.time() + timeout_s
        with (
            self._runner.expecting(reply_id) as ended,
            self._listener.subscribe(f"conversation:{conversation}") as wake,
        ):
            while True:
                if self._runner.pending(reply_id):
                    await _within(ended, end - loop.time())
                async with self._database.statement() as session:
                    # The state first: a turn that is done has stored its message before.
                    ended_for_good = await self._turns.state(session, reply_id) in ("done", None)
                    late = loop.time() >= end
                    reply = await self._repository.message(session, conversation, reply_id) if ended_for_good else None
                if reply is not None and reply["status"] == "complete":
                    return self._views.message(reply, reply["language"])
                if ended_for_good or late:
                    return None
                await wake.wait(max(0.0, min(end - loop.time(), 2.0)))  # another process answers

    async def messages(self, owner: str, conversation: str, after: int = 0, limit: int = 50) -> MessagePage:
        """A page of messages, oldest first, with what has been streamed of unfinished ones."""
        async with self._database.session() as session:
            row = await self._found(session, conversation, owner)
            rows = await self._repository.page(session, conversation, after, limit + 1)
            last_seq = rows[0]["last_seq"] if rows else row["last_seq"]
            items = []
            for found in rows[:limit]:
                shown = ""
                if found["status"] == "streaming":
                    shown = await self._events.shown(session, conversation, found["id"], found["position"], last_seq)
                items.append(self._views.message(found, row["language"], shown))
        return MessagePage(items=items, next=items[-1].position if len(rows) > limit else None, last_seq=last_seq)

    async def events(self, owner: str, conversation: str, after: int) -> AsyncGenerator[LoggedEvent, None]:
        """Events after a number, and new ones as they come. The caller has checked whose conversation it is."""

        async def status() -> dict[str, Any] | None:
            try:
                return (await self.get(owner, conversation)).model_dump(mode="json")
            except NotFound:
                return None

        async with aclosing(self._events.follow(conversation, after, status)) as events:
            async for event in events:
                yield event

    async def hand_off(self, owner: str, conversation: str, reason: str = "") -> ConversationView:
        """The patient asks for a person; asking again changes nothing. Raises NotFound, ConversationClosed.

        A ``reason`` is kept as a message of the patient's, in the same transaction: staff see it, triage too, also when
        a person was asked for before. Raises what ``post_message`` raises if it cannot be one; then nobody is asked.
        """
        words = self._checked(reason) if reason.strip() else ""
        at, turn = self._now(), ""
        async with self._database.session() as session:
            view = await self._view(session, conversation, owner)
            if view.handler == "closed":
                raise self._ended()
            due = self._due(NORMAL_PRIORITY, at)
            await self.ownership.hand_off(session, conversation, "patient_asked", NORMAL_PRIORITY, due, at)
            view = await self._view(session, conversation, owner)
            if words:
                _message, values = self._new_message(owner, conversation, words)
                await self._repository.post(session, values)
                turn = values["turn"]
        if turn:
            self._runner.wake(conversation, turn)
        return view

    async def close(self, owner: str, conversation: str) -> ConversationView:
        """The patient ends the conversation; doing it again changes nothing."""
        async with self._database.session() as session:
            await self._found(session, conversation, owner)
            await self.ownership.close(session, conversation, self._now())
            return await self._view(session, conversation, owner)

    async def wait_turns(self, owner: str, conversation: str, timeout_s: float) -> None:
        """Wait until each message of the conversation is dealt with, or the time is over. Raises NotFound."""
        await self.get(owner, conversation)
        end = asyncio.get_running_loop().time() + timeout_s
        with self._listener.subscribe(f"conversation:{conversation}") as wake:
            while (left := end - asyncio.get_running_loop().time()) > 0:
                async with self._database.statement() as session:
                    if not await self._turns.unfinished(session, conversation):
                        return
                await wake.wait(min(left, 1.0))

    async def erase(self, session: AsyncSession, owner: str, conversation: str) -> None:
        """Delete the conversation with all its text.

        Raises NotFound, LegalHold, ConflictError while an emergency is open, or may be: a message is not dealt with.
        """
        await self._found(session, conversation, owner)
        if await self._repository.erase(session, owner, conversation):
            return
        await self._found(session, conversation, owner)  # it may have gone while this waited for whoever deleted it
        if await self._repository.held(session, conversation):
            raise LegalHold("the hospital has to keep this conversation for now; ask the hospital until when")
        if await self._turns.unfinished(session, conversation):
            raise ConflictError("the last message is still being looked at; erase it again in a moment")
        raise ConflictError("a person still has to look at this because of an emergency; it can be erased after that")

    async def rate(self, owner: str, message: str, rating: str, reason: str) -> None:
        """Store a thumb on a reply of the assistant; the last one counts. Raises NotFound."""
        async with self._database.session() as session:
            conversation = await self._repository.conversation_of(session, owner, message)
            if conversation is None:
                raise NotFound("there is no such message")
            redacted = await self._redacted(session, conversation, reason) if reason else ""
            values = {"rating": rating, "reason": redacted, "now": self._now()}
            if not await self._repository.rate(session, owner, message, values):
                raise NotFound("there is no such reply of the assistant")

    async def transcript(self, owner: str, conversation: str) -> str:
        """The whole conversation as plain text, for the patient."""
        page = await self.messages(owner, conversation, limit=10_000)
        lines = [f"{self._site.name}", f"Downloaded {self._now():%Y-%m-%d %H:%M} UTC", ""]
        for message in page.items:
            if message.status == "complete":
                name = "You" if message.author == "patient" else message.author_name
                lines += [f"[{message.created_at:%Y-%m-%d %H:%M} UTC] {name}:", message.text, ""]
        return "\n".join(lines)

    async def staff_view(self, session: AsyncSession, conversation: str) -> StaffConversationView:
        """The whole conversation, redacted. Raises NotFound."""
        row = await self._found(session, conversation, None)
        rows = await self._repository.page(session, conversation, 0, 10_000)
        return self._views.staff_conversation(row, rows)

    async def staff_say(
        self, session: AsyncSession, conversation: str, staff: str, name: str, words: str, key: str | None = None
    ) -> StaffMessageView:
        """Store a message of the member of staff who owns the conversation.

        Raises NotFound, Forbidden where she does not own it, ConversationClosed, IdempotencyMismatch, InputError.
        """
        words, message, at = self._checked(words), new_id(), self._now()
        row = await self._found(session, conversation, None)
        if key is not None:
            digest = self._cipher.fingerprint(f"{staff}\n{conversation}\n{words}")
            earlier = await self._repository.remember(
                session, f"conversation:{conversation}", f"staff:{key}", digest, message, at
            )
            if earlier is not None:
                _same(earlier, digest)
                return await self._staff_message(session, conversation, str(earlier["result_id"]))
        language = row["language"]
        view = MessageView(
            id=message, position=0, author="staff", author_name=text("who_staff", language, staff=name), text=words,
            status="complete", created_at=at,
        )  # fmt: skip
        stored = await self._repository.say(
            session,
            {
                "conversation": conversation, "site": self._site.id, "staff": staff, "message": message, "now": at,
                "author_name": view.author_name, "text_encrypted": self._cipher.encrypt(words),
                "text_redacted": await self._redacted(session, conversation, words),
                "payload": self._events.seal({"message": view.model_dump(mode="json")}),
            },
        )  # fmt: skip
        if stored is None:
            if row["handler"] == "closed":
                raise ConversationClosed("the conversation has ended")
            raise Forbidden("take the conversation over before you write")
        return await self._staff_message(session, conversation, message)

    async def reveal(self, session: AsyncSession, conversation: str) -> list[MessageView]:
        """All messages as they were written, for a member of staff with a reason (the caller audits it)."""
        row = await self._found(session, conversation, None)
        rows = await self._repository.page(session, conversation, 0, 10_000)
        return [self._views.message(found, row["language"]) for found in rows]

    def _new_message(self, owner: str, conversation: str, words: str) -> tuple[MessageView, dict[str, Any]]:
        """A message of the patient's and what ``ConversationRepository.post`` needs to store it."""
        view = MessageView(
            id=new_id(), position=0, author="patient", author_name="", text=words, status="complete",
            created_at=self._now(),
        )  # fmt: skip
        return view, {
            "conversation": conversation, "session": owner, "message": view.id, "turn": new_id(),
            "now": view.created_at, "text_encrypted": self._cipher.encrypt(words),
            "payload": self._events.seal({"message": view.model_dump(mode="json")}),
            "typing": self._events.seal({"who": "assistant", "on": True}),
        }  # fmt: skip

    def _ended(self) -> ConversationClosed:
        phone = self._site.emergency_phone
        return ConversationClosed(f"this conversation has ended; start a new one. In an emergency call {phone}.")

    def _checked(self, words: str) -> str:
        """The text, if it can be a message."""
        if len(words) > self.max_characters:
            raise MessageTooLong(
                f"a message may have {self.max_characters} characters; shorten it. "
                f"In an emergency call {self._site.emergency_phone}."
            )
        if any(unicodedata.category(c) in ("Cc", "Cs") and c not in "\n\r\t" for c in words):
            raise InvalidContent("a message must be text, without control characters")
        if not any(unicodedata.category(c)[0] not in "ZC" for c in words):
            raise MessageEmpty("a message must have words")
        return words

    async def _redacted(self, session: AsyncSession, conversation: str, words: str) -> str:
        vault = await self._pseudonyms.load(session, conversation)
        redacted = await self._redactor.redact(words, vault)
        await self._pseudonyms.save(session, conversation, vault)
        return redacted

    async def _repeat(
        self, session: AsyncSession, owner: str, conversation: str, earlier: RowMapping, digest: str
    ) -> Posted:
        """The answer to a request that was made before."""
        row = await self._found(session, conversation, owner)
        _same(earlier, digest)
        message = str(earlier["result_id"])
        found = await self._repository.message(session, conversation, message)
        turn = await self._repository.turn_of(session, message)
        if found is None or turn is None:
            raise NotFound("there is no such message")
        view = self._views.message(found, row["language"])
        return Posted(message=view, reply_id=str(turn["id"]) if turn["answers"] else None, repeated=True)

    async def _staff_message(self, session: AsyncSession, conversation: str, message: str) -> StaffMessageView:
        row = await self._repository.message(session, conversation, message)
        if row is None:
            raise NotFound("there is no such message")
        return self._views.staff_message(row)

    async def _found(self, session: AsyncSession, conversation: str, owner: str | None) -> RowMapping:
        row = await self._repository.find(session, self._site.id, conversation, owner)
        if row is None:
            raise NotFound("there is no such conversation")
        return row

    async def _view(self, session: AsyncSession, conversation: str, owner: str | None) -> ConversationView:
        return self._views.conversation(await self._found(session, conversation, owner), self._now())


def _same(earlier: RowMapping, digest: str) -> None:
    if earlier["request_sha256"] != digest:
        raise IdempotencyMismatch("this Idempotency-Key was used with another body; use a new key")


async def _within(event: asyncio.Event, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        pass
