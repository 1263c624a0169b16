"""Retention: what a conversation leaves behind goes when its time is over, as patients are told it does.

``retention_days`` of ``site.yaml`` counts from the last thing that happened in a conversation. Two kinds stay longer:
those under a legal hold, until it is released, and those with a call for a person that is open.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy.ext.asyncio import AsyncSession

from app.audit.service import SYSTEM, AuditLog
from app.conversations.retention_repository import RetentionRepository
from app.db.session import Database
from app.errors import InvalidContent, NotFound
from app.logging import logger
from app.rounds import Rounds

BATCH = 100
"""Conversations that are deleted in one transaction, each with its entry of the audit log."""

LOOK_S = 3600.0
"""Seconds between two looks."""

MOST_CHARACTERS = 200
"""Of the reason for a hold."""


@dataclass(frozen=True, slots=True)
class Kept:
    """What is stored: ``due`` conversations are past their time and go at the next look, ``held`` are under a hold,
    ``waiting`` are past their time and wait for a person. ``oldest``: last change of the oldest that nothing keeps.
    """

    stored: int
    due: int
    held: int
    waiting: int
    oldest: datetime | None


class Retention:
    """Deletes the conversations of a site in which nothing has happened for ``keep``, with all that hangs on them.

    Gone then are messages, events, pseudonyms, feedback, calls, notes and the patient's session, too; what stays is an
    entry of the audit log with the conversation's id. What pseudonyms stand for goes sooner, with the session of the
    patient who alone sees it. Several processes may do this at once.
    """

    def __init__(
        self,
        database: Database,
        audit: AuditLog,
        site: str,
        *,
        keep: timedelta,
        now: Callable[[], datetime],
        every_s: float = LOOK_S,
    ) -> None:
        self._database, self._audit, self._repository = database, audit, RetentionRepository(site)
        self._keep, self._now = keep, now
        self.rounds = Rounds("retention", self.look, every_s)
        """Looks each hour, once it is started."""
        self._log = logger(__name__)

    async def look(self, actor: str = SYSTEM) -> int:
        """Delete what is due now; how many conversations that were. Raises StoreUnavailable."""
        total = 0
        while found := await self._delete(actor):
            total += found
        async with self._database.session() as session:
            await self._repository.forget(session, self._now(), self._before())
        return total

    async def kept(self) -> Kept:
        """What is stored, and what of it is due."""
        async with self._database.session() as session:
            row = await self._repository.counts(session, self._before())
        return Kept(row["stored"], row["due"], row["held"], row["waiting"], row["oldest"])

    async def hold(self, session: AsyncSession, conversation: str, actor: str, reason: str) -> datetime:
        """Keep a conversation until it is released, whatever its age; since when it is held.

        ``reason`` is written into the audit log as it is. Raises InvalidContent for one that says nothing or is too
        long, NotFound.
        """
        if not reason.strip() or not reason.isprintable() or len(reason) > MOST_CHARACTERS:
            raise InvalidContent(
                f"give a reason in one line of at most {MOST_CHARACTERS} characters, such as a case number"
            )
        since = await self._repository.hold(session, conversation, self._now())
        if since is None:
            raise NotFound("there is no such conversation")
        await self._audit.append(session, actor, "conversation.held", conversation, {"reason": reason})
        return since

    async def release(self, session: AsyncSession, conversation: str, actor: str) -> bool:
        """Let a conversation go when its time is over; False if it was not held. Raises NotFound."""
        if await self._repository.release(session, conversation):
            await self._audit.append(session, actor, "conversation.released", conversation)
            return True
        if not await self._repository.exists(session, conversation):
            raise NotFound("there is no such conversation")
        return False

    async def _delete(self, actor: str) -> int:
        async with self._database.session() as session:
            found = await self._repository.delete(session, self._before(), BATCH)
            for conversation in found:
                await self._audit.append(session, actor, "conversation.expired", conversation)
        if found:
            self._log.info("conversations past their time deleted", count=len(found))
        return len(found)

    def _before(self) -> datetime:
        return self._now() - self._keep
