"""The SQL of the queue. The lock order is conversation, then escalation, as in all of the service."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import RowMapping, text
from sqlalchemy.ext.asyncio import AsyncSession

from app.db.notify import CHANNEL

_VIEW = """
SELECT e.*, u.display_name AS staff_name, asked.id AS last_message_id, coalesce(asked.text_redacted, '') AS preview
FROM escalations e LEFT JOIN users u ON u.id = e.staff_id
LEFT JOIN LATERAL (
  SELECT m.id, m.text_redacted FROM messages m WHERE m.conversation_id = e.conversation_id AND m.author = 'patient'
  ORDER BY m.position DESC LIMIT 1) asked ON true
WHERE e.site_id = :site
"""

_NEXT = """
SELECT e.id, e.conversation_id, c.handler FROM escalations e JOIN conversations c ON c.id = e.conversation_id
WHERE e.site_id = :site AND e.status = 'waiting' AND c.handler IN ('waiting', 'closed')
ORDER BY e.priority, e.due_at, e.id LIMIT 1 FOR UPDATE OF c
"""

_CLAIM_CLOSED = text("""
WITH e AS (
  UPDATE escalations SET status = 'claimed', staff_id = :staff, claimed_at = :now
  WHERE id = :escalation AND status = 'waiting' RETURNING id, site_id)
SELECT e.id, pg_notify(:channel, 'staff:' || e.site_id) FROM e
""")

_RESOLVE_CLOSED = text("""
WITH e AS (
  UPDATE escalations SET status = 'resolved', disposition = left(:disposition, 64), resolved_at = :now
  FROM conversations c
  WHERE c.id = escalations.conversation_id AND c.id = :conversation AND c.handler = 'closed'
    AND escalations.site_id = :site AND escalations.staff_id = :staff AND escalations.status = 'claimed'
  RETURNING escalations.id, escalations.site_id)
SELECT e.id, pg_notify(:channel, 'staff:' || e.site_id) FROM e
""")


class EscalationRepository:
    """Statements on escalations of one site."""

    def __init__(self, site: str) -> None:
        self._site = site

    async def listed(self, session: AsyncSession, statuses: Sequence[str], limit: int) -> Sequence[RowMapping]:
        """Escalations by status, in the order in which they should be taken."""
        query = text(_VIEW + "AND e.status = ANY(:statuses) ORDER BY e.priority, e.due_at, e.id LIMIT :limit")
        values = {"site": self._site, "statuses": list(statuses), "limit": limit}
        return (await session.execute(query, values)).mappings().all()

    async def find(self, session: AsyncSession, escalation: str) -> RowMapping | None:
        """One escalation."""
        query = text(_VIEW + "AND e.id = :escalation")
        return (await session.execute(query, {"site": self._site, "escalation": escalation})).mappings().first()

    async def newest_of(self, session: AsyncSession, conversation: str) -> RowMapping | None:
        """The open escalation of a conversation, else its last one."""
        query = text(
            _VIEW + "AND e.conversation_id = :conversation ORDER BY (e.status = 'resolved'), e.created_at DESC LIMIT 1"
        )
        values = {"site": self._site, "conversation": conversation}
        return (await session.execute(query, values)).mappings().first()

    async def lock_next(self, session: AsyncSession, *, wait: bool) -> RowMapping | None:
        """The first waiting escalation whose conversation nobody else is changing, with the conversation locked.

        With ``wait`` the first one all the same, once its lock is free; it may have been taken meanwhile (None).
        """
        query = text(_NEXT + ("" if wait else " SKIP LOCKED"))
        return (await session.execute(query, {"site": self._site})).mappings().first()

    async def claim_closed(self, session: AsyncSession, escalation: str, staff: str, at: datetime) -> bool:
        """Claim an escalation whose conversation the patient has ended (an emergency)."""
        values = {"escalation": escalation, "staff": staff, "now": at, "channel": CHANNEL}
        return (await session.execute(_CLAIM_CLOSED, values)).first() is not None

    async def resolve_closed(self, session: AsyncSession, values: dict[str, Any]) -> str | None:
        """Resolve one's claimed escalation of an ended conversation; its id."""
        found = (await session.execute(_RESOLVE_CLOSED, values | {"site": self._site, "channel": CHANNEL})).first()
        return None if found is None else str(found.id)

    async def changed(self, session: AsyncSession, since: datetime, limit: int) -> Sequence[RowMapping]:
        """Open escalations and those resolved since, for followers of the queue."""
        query = text(
            _VIEW + "AND (e.status <> 'resolved' OR e.resolved_at >= :since) ORDER BY e.created_at LIMIT :limit"
        )
        return (await session.execute(query, {"site": self._site, "since": since, "limit": limit})).mappings().all()
