"""The queue of calls for a person: list, claim, claim next, release, resolve, and follow what changes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from datetime import datetime, timedelta
from typing import Any, Literal, Protocol

from sqlalchemy import RowMapping
from sqlalchemy.ext.asyncio import AsyncSession

from app.db.notify import Listener
from app.db.session import Database
from app.errors import NotFound
from app.escalations.repository import EscalationRepository
from app.escalations.schemas import EscalationView

PREVIEW = 140
"""Characters of a patient's message that the queue shows."""

_STATUSES = {"waiting": ("waiting",), "claimed": ("claimed",), "all": ("waiting", "claimed", "resolved")}


class Speaking(Protocol):
    """Who may speak in a conversation (conversations.ownership.Ownership)."""

    async def take_over(
        self, session: AsyncSession, conversation: str, staff: str, version: int | None, at: datetime
    ) -> str:
        """Give the conversation to staff, silence the assistant, claim the escalation; its id."""
        ...

    async def give_back(
        self, session: AsyncSession, conversation: str, staff: str, version: int | None, disposition: str, at: datetime
    ) -> str | None:
        """Resolve the escalation and let the assistant speak again; the escalation's id."""
        ...


class EscalationService:
    """Escalations of one site. Methods take the session whose transaction (and audit entry) they belong to."""

    def __init__(
        self, database: Database, site: str, speaking: Speaking, listener: Listener, *, now: Callable[[], datetime]
    ) -> None:
        self._database = database
        self._site = site
        self._speaking = speaking
        self._listener = listener
        self._now = now
        self._repository = EscalationRepository(site)

    async def listed(
        self, session: AsyncSession, status: Literal["waiting", "claimed", "all"] = "waiting", limit: int = 200
    ) -> list[EscalationView]:
        """The queue, most urgent first."""
        return [self._view(row) for row in await self._repository.listed(session, _STATUSES[status], limit)]

    async def of_conversation(self, session: AsyncSession, conversation: str) -> EscalationView | None:
        """The open escalation of a conversation, else its last one."""
        row = await self._repository.newest_of(session, conversation)
        return None if row is None else self._view(row)

    async def claim_next(self, session: AsyncSession, staff: str) -> EscalationView | None:
        """Take the most urgent waiting conversation over; None if nobody waits. No two callers get the same one."""
        at = self._now()
        for attempt in range(20):
            row = await self._repository.lock_next(session, wait=attempt % 4 == 3)
            if row is not None:
                if row["handler"] == "closed":
                    if not await self._repository.claim_closed(session, row["id"], staff, at):
                        continue
                    return await self._found(session, row["id"])
                claimed = await self._speaking.take_over(session, row["conversation_id"], staff, None, at)
                return await self._found(session, claimed)
            if not await self._repository.listed(session, ("waiting",), 1):
                return None
            await asyncio.sleep(0.005 * attempt)  # all that wait are being changed at this moment
        return None

    async def take_over(
        self, session: AsyncSession, conversation: str, staff: str, version: int | None
    ) -> EscalationView:
        """Take one conversation over. Raises NotFound, AlreadyClaimed, VersionConflict, ConversationClosed."""
        escalation = await self._speaking.take_over(session, conversation, staff, version, self._now())
        return await self._found(session, escalation)

    async def release(self, session: AsyncSession, conversation: str, staff: str, version: int | None = None) -> None:
        """Return the conversation to the assistant. Raises NotFound, Forbidden, VersionConflict."""
        await self._speaking.give_back(session, conversation, staff, version, "released", self._now())

    async def resolve(
        self, session: AsyncSession, conversation: str, staff: str, disposition: str, version: int | None = None
    ) -> None:
        """Close the escalation with its outcome; the assistant speaks again unless the conversation has ended.

        Raises NotFound, Forbidden, VersionConflict, ConversationClosed (ended, and no call of hers is open).
        """
        at = self._now()
        values = {"conversation": conversation, "staff": staff, "disposition": disposition, "now": at}
        if await self._repository.resolve_closed(session, values) is None:
            await self._speaking.give_back(session, conversation, staff, version, disposition, at)

    async def follow(self) -> AsyncIterator[tuple[str, dict[str, Any]]]:
        """What changes in the queue from now on, as (event type, data): by comparing, so that nothing is missed."""
        known: dict[str, RowMapping] | None = None
        with self._listener.subscribe(f"staff:{self._site}") as wake:
            while True:
                started = self._now() - timedelta(minutes=5)
                async with self._database.session() as session:
                    rows = {row["id"]: row for row in await self._repository.changed(session, started, 1_000)}
                if known is not None:
                    for key, row in rows.items():
                        for event in self._differences(known.get(key), row):
                            yield event
                known = rows
                await wake.wait(10.0)

    def _differences(self, before: RowMapping | None, row: RowMapping) -> list[tuple[str, dict[str, Any]]]:
        events: list[tuple[str, dict[str, Any]]] = []
        view = {"escalation": self._view(row).model_dump(mode="json")}
        if before is None and row["status"] == "waiting":
            events.append(("escalation.created", view))
        elif before is None or before["status"] != row["status"]:
            events.append((f"escalation.{row['status']}", view))
        elif before["priority"] != row["priority"] or before["preview"] != row["preview"]:
            events.append(("escalation.created" if row["status"] == "waiting" else "escalation.claimed", view))
        if row["last_message_id"] is not None and (
            before is None or before["last_message_id"] != row["last_message_id"]
        ):
            ids = {"conversation_id": row["conversation_id"], "message_id": row["last_message_id"]}
            events.append(("message.created", ids))
        return events

    async def _found(self, session: AsyncSession, escalation: str) -> EscalationView:
        row = await self._repository.find(session, escalation)
        if row is None:
            raise NotFound("there is no such escalation")
        return self._view(row)

    def _view(self, row: RowMapping) -> EscalationView:
        preview = " ".join(row["preview"].split())
        values = {name: row[name] for name in EscalationView.model_fields if name in row and name != "preview"}
        return EscalationView(
            **values,
            overdue=row["status"] == "waiting" and row["due_at"] < self._now(),
            preview=preview if len(preview) <= PREVIEW else preview[: PREVIEW - 1] + "…",
        )
