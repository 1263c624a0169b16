"""The append-only log of a conversation: numbers are dense, payloads are encrypted, readers are woken by id.

Two things are settled when an event is read rather than when it is written: a message's ``position`` may be stored
relative to the event's own number (zero or less), because numbers are allocated inside the inserting statement; and
``conversation.status`` shows the state at the moment of reading.
"""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Any

import anyio
from sqlalchemy import text

from app.conversations.schemas import LoggedEvent
from app.db.cipher import TextCipher
from app.db.notify import Listener
from app.db.session import Database, Executor

_READ = text(
    "SELECT seq, type, payload_encrypted FROM events WHERE conversation_id = :conversation AND seq > :after "
    "ORDER BY seq LIMIT :limit"
)
BATCH = 200
"""Events of one read."""

_STREAMED = text(
    "SELECT type, payload_encrypted FROM events WHERE conversation_id = :conversation AND seq > :after "
    "AND seq <= :until AND type IN ('message.delta', 'message.retracted') ORDER BY seq"
)


class EventLog:
    """Reads events and follows the log of a conversation."""

    def __init__(self, database: Database, cipher: TextCipher, listener: Listener, poll_s: float = 10.0) -> None:
        self._database = database
        self._cipher = cipher
        self._listener = listener
        self._poll_s = poll_s

    def seal(self, data: dict[str, Any]) -> bytes:
        """A payload as it is stored."""
        return self._cipher.encrypt(json.dumps(data, ensure_ascii=False, separators=(",", ":")))

    async def read(self, conversation: str, after: int, limit: int = BATCH) -> list[LoggedEvent]:
        """Events after a number, in order, at most ``limit``."""
        async with self._database.statement() as session:
            rows = (await session.execute(_READ, {"conversation": conversation, "after": after, "limit": limit})).all()
        return [self._open(row.seq, row.type, row.payload_encrypted) for row in rows]

    async def shown(self, session: Executor, conversation: str, message: str, after: int, until: int) -> str:
        """What was streamed of a message up to event ``until`` and not retracted by then."""
        values = {"conversation": conversation, "after": after, "until": until}
        parts: list[str] = []
        for row in (await session.execute(_STREAMED, values)).all():
            data = json.loads(self._cipher.decrypt(row.payload_encrypted))
            if data["message_id"] == message:
                parts = [*parts, data["text"]] if row.type == "message.delta" else []
        return "".join(parts)

    async def follow(
        self, conversation: str, after: int, status: Callable[[], Awaitable[dict[str, Any] | None]]
    ) -> AsyncGenerator[LoggedEvent, None]:
        """All events after a number, then each new one, without loss or doubling, until the conversation is gone.

        ``status`` gives the conversation as it is now (for conversation.status), or None once it was erased.
        """
        with self._listener.subscribe(f"conversation:{conversation}") as wake:
            while True:
                with anyio.CancelScope(
                    shield=True
                ):  # a reader who leaves in mid-query would cost the pool a connection
                    events = await self.read(conversation, after, BATCH)
                for event in events:
                    after = event.seq
                    if event.type == "conversation.status":
                        now = await status()
                        if now is None:
                            return
                        event = LoggedEvent(seq=event.seq, type=event.type, data={"conversation": now})
                    yield event
                if len(events) == BATCH:
                    continue
                if not await wake.wait(self._poll_s) and await status() is None:
                    return

    def _open(self, seq: int, type_: str, payload: bytes) -> LoggedEvent:
        data = json.loads(self._cipher.decrypt(payload))
        message = data.get("message")
        if message is not None and message["position"] <= 0:
            message["position"] += seq
        return LoggedEvent(seq=seq, type=type_, data=data)
