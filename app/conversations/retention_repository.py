"""SQL of retention: what is past its time, and legal holds."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import RowMapping, text

from app.db.session import Executor

_FREE = """
  c.held_since IS NULL
  AND NOT EXISTS (SELECT 1 FROM turns t WHERE t.conversation_id = c.id AND t.state <> 'done')
  AND NOT EXISTS (SELECT 1 FROM escalations e WHERE e.conversation_id = c.id AND e.status <> 'resolved')
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
_FORGET = text("""
UPDATE pseudonyms p SET value_encrypted = '' FROM conversations c, patient_sessions s
WHERE p.conversation_id = c.id AND c.session_id = s.id AND c.site_id = :site AND s.expires_at < :now
  AND c.held_since IS NULL AND p.value_encrypted <> ''
  AND NOT EXISTS (SELECT 1 FROM turns t WHERE t.conversation_id = c.id AND t.state <> 'done')
""")
_SESSIONS = text("""
DELETE FROM patient_sessions s WHERE s.site_id = :site AND s.expires_at < :before
  AND NOT EXISTS (SELECT 1 FROM conversations c WHERE c.session_id = s.id)
""")
_STAFF_SESSIONS = text("DELETE FROM user_sessions WHERE expires_at < :now")
_COUNTS = text(f"""
SELECT count(*) FILTER (WHERE c.updated_at < :before AND {_FREE}) AS due,
       count(*) FILTER (WHERE c.held_since IS NOT NULL) AS held,
       count(*) FILTER (WHERE c.updated_at < :before AND c.held_since IS NULL AND NOT ({_FREE})) AS waiting,
       count(*) AS stored, min(c.updated_at) FILTER (WHERE {_FREE}) AS oldest
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


class RetentionRepository:
    """Statements over the conversations of a site."""

    def __init__(self, site: str) -> None:
        self._site = site

    async def delete(self, session: Executor, before: datetime, limit: int) -> Sequence[str]:
        """Delete up to ``limit`` conversations that have not changed since ``before`` and nothing keeps; their ids.

        What somebody is changing at this moment is left for the next time.
        """
        rows = await session.execute(_DELETE, {"site": self._site, "before": before, "limit": limit})
        return [row.id for row in rows]

    async def forget(self, session: Executor, now: datetime, before: datetime) -> None:
        """Delete what pseudonyms stand for once the patient's session is over, and sessions that nothing hangs on."""
        values = {"site": self._site, "now": now, "before": before}
        for statement in (_FORGET, _SESSIONS, _STAFF_SESSIONS):
            await session.execute(statement, values)

    async def counts(self, session: Executor, before: datetime) -> RowMapping:
        """``stored``, ``due``, ``held``, ``waiting`` and ``oldest``; see Kept."""
        return (await session.execute(_COUNTS, {"site": self._site, "before": before})).mappings().one()

    async def hold(self, session: Executor, conversation: str, now: datetime) -> datetime | None:
        """Since when it is held; None if there is no such conversation."""
        since: datetime | None = await session.scalar(_HOLD, self._of(conversation) | {"now": now})
        return since

    async def release(self, session: Executor, conversation: str) -> bool:
        """False if it was not held, or there is no such conversation."""
        return await session.scalar(_RELEASE, self._of(conversation)) is not None

    async def exists(self, session: Executor, conversation: str) -> bool:
        """Whether the site has this conversation."""
        return await session.scalar(_EXISTS, self._of(conversation)) is not None

    def _of(self, conversation: str) -> dict[str, Any]:
        return {"conversation": conversation, "site": self._site}
