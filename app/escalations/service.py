"""The queue of calls for a person: list, claim, claim next, release, resolve, and follow what changes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal, Protocol, get_args

from sqlalchemy import RowMapping
from sqlalchemy.ext.asyncio import AsyncSession

from app.db.cipher import TextCipher
from app.db.notify import Listener
from app.db.session import Database
from app.errors import ConversationClosed, NotFound, OutcomeRequired
from app.escalations.repository import EscalationRepository
from app.escalations.schemas import CrisisOutcome, EscalationView, NoteView

PREVIEW = 140
"""Characters of a patient's message that the queue shows."""

FOLLOW_UP = timedelta(minutes=30)
"""After which a patient who was not reached is tried again, unless staff say another time."""

ROUTINE_WITHIN = timedelta(minutes=30)
"""After which a claimed routine call that nobody answers is put back; emergencies and urgent calls are sooner."""

_SHOWN = ("status", "priority", "due_at", "preview")
"""Followers of the queue are told of changes of these."""

OUTCOMES: tuple[str, ...] = get_args(CrisisOutcome)
_STATUSES = {"waiting": ("waiting",), "claimed": ("claimed",), "all": ("waiting", "claimed", "resolved")}


class Speaking(Protocol):
    """Who may speak in a conversation (conversations.ownership.Ownership)."""

    async def take_over(
        self, session: AsyncSession, conversation: str, staff: str, version: int | None, at: datetime
    ) -> str:
        """Give the conversation to staff, silence the assistant, claim the escalation; its id."""
        ...

    async def give_back(
        self,
        session: AsyncSession,
        conversation: str,
        staff: str,
        version: int | None,
        disposition: str,
        at: datetime,
        *,
        with_outcome: bool = False,
    ) -> str | None:
        """Resolve the escalation (a crisis call only with its outcome) and let the assistant speak again; its id."""
        ...

    async def set_aside(
        self,
        session: AsyncSession,
        conversation: str,
        staff: str,
        version: int | None,
        follow_up_at: datetime | None,
        at: datetime,
    ) -> str | None:
        """Let the escalation wait again, due at ``follow_up_at`` or now, with the assistant silent; its id."""
        ...


@dataclass(frozen=True, slots=True)
class Ending:
    """How a member of staff ends her part of a call. ``follow_up`` counts for a crisis call that reached nobody."""

    disposition: str
    note: str = ""
    follow_up: timedelta | None = None


class EscalationService:
    """Escalations of one site. Methods take the session whose transaction (and audit entry) they belong to."""

    def __init__(
        self,
        database: Database,
        cipher: TextCipher,
        site: str,
        speaking: Speaking,
        listener: Listener,
        *,
        now: Callable[[], datetime],
    ) -> None:
        self._database = database
        self._cipher = cipher
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
        """The open escalation of a conversation, else its last one, with its notes."""
        row = await self._repository.newest_of(session, conversation)
        if row is None:
            return None
        notes = [
            NoteView(
                staff_name=note["staff_name"], disposition=note["disposition"], follow_up_at=note["follow_up_at"],
                text=self._cipher.decrypt(note["note_encrypted"]), created_at=note["created_at"],
            )
            for note in await self._repository.notes(session, row["id"])
        ]  # fmt: skip
        return self._view(row).model_copy(update={"notes": notes})

    async def claim_next(self, session: AsyncSession, staff: str) -> EscalationView | None:
        """Take the most urgent waiting conversation over; None if nobody waits. No two callers get the same one."""
        at = self._now()
        for attempt in range(20):
            row = await self._repository.lock_next(session, at, wait=attempt % 4 == 3)
            if row is not None:
                if row["handler"] == "closed":
                    if not await self._repository.claim_closed(session, row["id"], staff, at):
                        continue
                    return await self._found(session, row["id"])
                claimed = await self._speaking.take_over(session, row["conversation_id"], staff, None, at)
                return await self._found(session, claimed)
            if not await self._repository.anybody(session, at):
                return None
            await asyncio.sleep(0.005 * attempt)  # all that wait are being changed at this moment
        return None

    async def take_over(
        self, session: AsyncSession, conversation: str, staff: str, version: int | None
    ) -> EscalationView:
        """Take one conversation over, also one that has ended while a call of it waits.

        Raises NotFound, AlreadyClaimed, VersionConflict, ConversationClosed (ended, and no call waits).
        """
        at = self._now()
        try:
            escalation = await self._speaking.take_over(session, conversation, staff, version, at)
        except ConversationClosed:
            row = await self._repository.newest_of(session, conversation)
            if row is None or not await self._repository.claim_closed(session, row["id"], staff, at):
                raise
            escalation = row["id"]
        return await self._found(session, escalation)

    async def release(self, session: AsyncSession, conversation: str, staff: str, version: int | None = None) -> None:
        """Return the conversation to the assistant. Raises NotFound, Forbidden, VersionConflict, OutcomeRequired."""
        await self._speaking.give_back(session, conversation, staff, version, "released", self._now())

    async def resolve(
        self, session: AsyncSession, conversation: str, staff: str, ending: Ending, version: int | None = None
    ) -> EscalationView | None:
        """Close the escalation with what came of it; the assistant speaks again unless the conversation has ended.

        A crisis call needs one of :data:`OUTCOMES` and a note; if the patient was not reached it stays open, waits for
        its follow-up, and the assistant stays silent. Returns the escalation as it is then. Raises NotFound,
        Forbidden, VersionConflict, OutcomeRequired, ConversationClosed (ended, and no call of hers is open).
        """
        at = self._now()
        row = await self._repository.newest_of(session, conversation)
        crisis = row is not None and row["crisis"] and row["status"] != "resolved"
        if crisis and (ending.disposition not in OUTCOMES or not ending.note.strip()):
            raise OutcomeRequired(f"close a crisis call with a note and one of these outcomes: {', '.join(OUTCOMES)}")
        values = {
            "conversation": conversation, "staff": staff, "disposition": ending.disposition, "now": at,
            "with_outcome": crisis, "version": version,
        }  # fmt: skip
        follow_up_at = None
        if crisis and ending.disposition == "not_reached":
            follow_up_at = at + (ending.follow_up or FOLLOW_UP)
            escalation = await self._repository.set_aside_closed(session, values | {"follow_up_at": follow_up_at})
            if escalation is None:
                escalation = await self._speaking.set_aside(session, conversation, staff, version, follow_up_at, at)
        else:
            escalation = await self._repository.resolve_closed(session, values)
            if escalation is None:
                escalation = await self._speaking.give_back(
                    session, conversation, staff, version, ending.disposition, at, with_outcome=crisis
                )
        if escalation is None:
            return None
        if ending.note.strip():
            note = {
                "escalation": escalation, "staff": staff, "disposition": ending.disposition, "now": at,
                "note": self._cipher.encrypt(ending.note), "follow_up_at": follow_up_at,
            }  # fmt: skip
            await self._repository.add_note(session, note)
        return await self._found(session, escalation)

    async def unanswered(self, session: AsyncSession, within: timedelta) -> list[str]:
        """Conversations whose call is claimed and whose patient has waited for staff for ``within``.

        For a routine call :data:`ROUTINE_WITHIN` if that is longer; for one of a deactivated account no time at all.
        """
        rows = await self._repository.unanswered(session, [self._now() - limit for limit in _limits(within)])
        return [row["conversation_id"] for row in rows]

    async def put_back(self, session: AsyncSession, conversation: str, within: timedelta) -> dict[str, Any] | None:
        """Let the claimed call of a conversation wait for staff again, due now, if it is unanswered still.

        Returns who had claimed it (a username) and why it was put back, for the audit log; None if nothing was changed.
        """
        at = self._now()
        if not await self._repository.lock(session, conversation):
            return None
        # Read after the lock: an answer that came meanwhile counts.
        limits = _limits(within)
        found = await self._repository.unanswered(session, [at - limit for limit in limits], conversation)
        if not found:
            return None
        row = found[0]
        values = {
            "conversation": conversation, "staff": row["staff_id"], "now": at, "follow_up_at": None, "version": None,
        }  # fmt: skip
        if await self._repository.set_aside_closed(session, values) is None:
            await self._speaking.set_aside(session, conversation, row["staff_id"], None, None, at)
        if not row["active"]:
            return {"staff": row["username"], "deactivated": True}
        return {"staff": row["username"], "minutes": round(limits[row["priority"]].total_seconds() / 60, 1)}

    async def follow(self) -> AsyncGenerator[tuple[str, dict[str, Any]], None]:
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
        if before is None or any(before[name] != row[name] for name in _SHOWN):
            events.append((f"escalation.{'created' if row['status'] == 'waiting' else row['status']}", view))
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


def _limits(within: timedelta) -> tuple[timedelta, ...]:
    """By priority, how long a claimed call may be unanswered."""
    return within, within, max(within, ROUTINE_WITHIN)
