"""Retention: what a conversation leaves behind goes when its time is over, as patients are told it does.

``retention_days`` of ``site.yaml`` counts from the last thing that happened in a conversation. Two kinds stay longer:
those under a legal hold, until it is released, and those in which a person still has to look at an emergency.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from app.audit.service import SYSTEM, AuditLog
from app.db.session import Database
from app.errors import NotFound
from app.logging import logger

BATCH = 100
"""Conversations that are deleted in one transaction, each with its entry of the audit log."""

LOOK_S = 3600.0
"""Seconds between two looks."""

_FREE = """
  c.held_since IS NULL
  AND NOT EXISTS (SELECT 1 FROM turns t WHERE t.conversation_id = c.id AND t.state <> 'done')
  AND NOT EXISTS (SELECT 1 FROM escalations e
                  WHERE e.conversation_id = c.id AND e.priority = 0 AND e.status <> 'resolved')
"""
_DELETE = text(f"""
WITH due AS (
  SELECT c.id, c.session_id FROM conversations c
  WHERE c.site_id = :site AND c.updated_at < :before AND {_FREE}
  ORDER BY c.updated_at LIMIT :limit FOR UPDATE SKIP LOCKED
), keys AS (
  DELETE FROM idempotency_keys k USING due
  WHERE k.owner = 'conversation:' || due.id OR (k.owner = 'session:' || due.session_id AND k.result_id = due.id)
)
DELETE FROM conversations c USING due WHERE c.id = due.id RETURNING c.id
""")
_SESSIONS = text("""
DELETE FROM patient_sessions s WHERE s.site_id = :site AND s.expires_at < :before
  AND NOT EXISTS (SELECT 1 FROM conversations c WHERE c.session_id = s.id)
""")
_PSEUDONYMS = text("""
DELETE FROM pseudonyms p USING conversations c, patient_sessions s
WHERE p.conversation_id = c.id AND c.session_id = s.id AND c.site_id = :site AND s.expires_at < :now
  AND NOT EXISTS (SELECT 1 FROM turns t WHERE t.conversation_id = c.id AND t.state <> 'done')
""")
_STAFF_SESSIONS = text("DELETE FROM user_sessions WHERE expires_at < :now")
_COUNTS = text(f"""
SELECT count(*) FILTER (WHERE c.updated_at < :before AND {_FREE}) AS due,
       count(*) FILTER (WHERE c.held_since IS NOT NULL) AS held,
       count(*) FILTER (WHERE c.updated_at < :before AND c.held_since IS NULL AND NOT ({_FREE})) AS waiting,
       count(*) AS stored, min(c.updated_at) FILTER (WHERE c.held_since IS NULL) AS oldest
FROM conversations c WHERE c.site_id = :site
""")
_HOLD = text("""
UPDATE conversations SET held_since = coalesce(held_since, :now) WHERE id = :conversation AND site_id = :site
RETURNING held_since
""")
_RELEASE = text("""
UPDATE conversations SET held_since = NULL WHERE id = :conversation AND site_id = :site AND held_since IS NOT NULL
RETURNING id
""")
_EXISTS = text("SELECT 1 FROM conversations WHERE id = :conversation AND site_id = :site")


@dataclass(frozen=True, slots=True)
class Kept:
    """What is stored: ``due`` conversations are past their time and go at the next look, ``held`` are under a hold,
    ``waiting`` are past their time and wait for a person. ``oldest``: last change of the oldest that is not held.
    """

    stored: int
    due: int
    held: int
    waiting: int
    oldest: datetime | None


class Retention:
    """Deletes the conversations of a site in which nothing has happened for ``keep``, with all that hangs on them.

    Gone then are messages, events, pseudonyms, feedback, calls, notes and the patient's session, too; what stays is an
    entry of the audit log with the conversation's id. Pseudonyms go sooner, with the session of the patient who alone
    sees what they stand for. Several processes may do this at once.
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
        self._database, self._audit, self._site = database, audit, site
        self._keep, self._now, self._every_s = keep, now, every_s
        self._task: asyncio.Task[None] | None = None
        self._log = logger(__name__)

    async def start(self) -> None:
        """Look now and then until stopped."""
        self._task = asyncio.create_task(self._watch(), name="retention")

    async def stop(self) -> None:
        """Look no longer."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
            self._task = None

    async def look(self, actor: str = SYSTEM) -> int:
        """Delete what is due now; how many conversations that were. Raises StoreUnavailable."""
        total = 0
        while found := await self._delete(actor):
            total += found
        values = self._values()
        async with self._database.session() as session:
            await session.execute(_PSEUDONYMS, values)
            await session.execute(_SESSIONS, values)
            await session.execute(_STAFF_SESSIONS, values)
        return total

    async def kept(self) -> Kept:
        """What is stored, and what of it is due."""
        async with self._database.session() as session:
            row = (await session.execute(_COUNTS, self._values())).mappings().one()
        return Kept(row["stored"], row["due"], row["held"], row["waiting"], row["oldest"])

    async def hold(self, session: AsyncSession, conversation: str, actor: str, reason: str) -> datetime:
        """Keep a conversation until it is released, whatever its age; since when it is held. Raises NotFound.

        ``reason`` is written into the audit log as it is.
        """
        since: datetime | None = await session.scalar(_HOLD, self._values() | {"conversation": conversation})
        if since is None:
            raise NotFound("there is no such conversation")
        await self._audit.append(session, actor, "conversation.held", conversation, {"reason": reason})
        return since

    async def release(self, session: AsyncSession, conversation: str, actor: str) -> bool:
        """Let a conversation go when its time is over; False if it was not held. Raises NotFound."""
        values = self._values() | {"conversation": conversation}
        if await session.scalar(_RELEASE, values) is not None:
            await self._audit.append(session, actor, "conversation.released", conversation)
            return True
        if await session.scalar(_EXISTS, values) is None:
            raise NotFound("there is no such conversation")
        return False

    async def _delete(self, actor: str) -> int:
        async with self._database.session() as session:
            rows = (await session.execute(_DELETE, self._values() | {"limit": BATCH})).all()
            for row in rows:
                await self._audit.append(session, actor, "conversation.expired", row.id)
        if rows:
            self._log.info("conversations past their time deleted", count=len(rows))
        return len(rows)

    def _values(self) -> dict[str, object]:
        now = self._now()
        return {"site": self._site, "now": now, "before": now - self._keep}

    async def _watch(self) -> None:
        while True:
            try:
                await self.look()
            except Exception:
                self._log.warning("retention failed; it is tried again", exc_info=True)
            await asyncio.sleep(self._every_s)
