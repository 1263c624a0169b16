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
  AND (e.follow_up_at IS NULL OR e.follow_up_at <= :now)
ORDER BY e.priority, e.due_at, e.id LIMIT 1
"""

_CLAIM_CLOSED = text("""
WITH e AS (
  UPDATE escalations SET status = 'claimed', staff_id = :staff, claimed_at = :now, follow_up_at = NULL
  WHERE id = :escalation AND status = 'waiting' RETURNING id, site_id, conversation_id
), touched AS (
  UPDATE conversations SET updated_at = :now FROM e WHERE conversations.id = e.conversation_id)
SELECT e.id, pg_notify(:channel, 'staff:' || e.site_id) FROM e
""")

_RESOLVE_CLOSED = text("""
WITH e AS (
  UPDATE escalations SET status = 'resolved', disposition = left(:disposition, 64), resolved_at = :now
  FROM conversations c
  WHERE c.id = escalations.conversation_id AND c.id = :conversation AND c.handler = 'closed'
    AND escalations.site_id = :site AND escalations.staff_id = :staff AND escalations.status = 'claimed'
    AND (CAST(:version AS int) IS NULL OR c.version = :version)
    AND (:with_outcome OR NOT escalations.crisis)
  RETURNING escalations.id, escalations.site_id, escalations.conversation_id
), touched AS (
  UPDATE conversations SET updated_at = :now FROM e WHERE conversations.id = e.conversation_id)
SELECT e.id, pg_notify(:channel, 'staff:' || e.site_id) FROM e
""")

_SET_ASIDE_CLOSED = text("""
WITH e AS (
  UPDATE escalations SET status = 'waiting', staff_id = NULL, claimed_at = NULL,
         follow_up_at = CAST(:follow_up_at AS timestamptz),
         due_at = coalesce(CAST(:follow_up_at AS timestamptz), least(due_at, :now))
  FROM conversations c
  WHERE c.id = escalations.conversation_id AND c.id = :conversation AND c.handler = 'closed'
    AND escalations.site_id = :site AND escalations.staff_id = :staff AND escalations.status = 'claimed'
    AND (CAST(:version AS int) IS NULL OR c.version = :version)
  RETURNING escalations.id, escalations.site_id, escalations.conversation_id
), touched AS (
  UPDATE conversations SET updated_at = :now FROM e WHERE conversations.id = e.conversation_id)
SELECT e.id, pg_notify(:channel, 'staff:' || e.site_id) FROM e
""")

_UNANSWERED = text("""
SELECT e.id, e.conversation_id, e.staff_id, e.priority, u.username, u.active
FROM escalations e JOIN users u ON u.id = e.staff_id
CROSS JOIN LATERAL (
  SELECT max(m.position) AS position FROM messages m
  WHERE m.conversation_id = e.conversation_id AND m.author = 'staff' AND m.created_at >= e.claimed_at) said
WHERE e.site_id = :site AND e.status = 'claimed'
  AND (CAST(:conversation AS text) IS NULL OR e.conversation_id = :conversation)
  AND (NOT u.active
    OR (CAST(:before AS timestamptz[]))[e.priority + 1]
      >= CASE WHEN said.position IS NULL THEN e.claimed_at ELSE (
        SELECT min(m.created_at) FROM messages m
        WHERE m.conversation_id = e.conversation_id AND m.author = 'patient' AND m.position > said.position) END)
ORDER BY e.priority, e.claimed_at LIMIT 100
""")

_LOCK = text("SELECT id FROM conversations WHERE id = :conversation FOR UPDATE SKIP LOCKED")

_NOTES = text("""
SELECT n.disposition, n.note_encrypted, n.follow_up_at, n.created_at, u.display_name AS staff_name
FROM escalation_notes n JOIN users u ON u.id = n.staff_id WHERE n.escalation_id = :escalation ORDER BY n.id
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

    async def lock_next(self, session: AsyncSession, at: datetime, *, wait: bool) -> RowMapping | None:
        """The first waiting escalation whose conversation nobody else is changing, with the conversation locked.

        With ``wait`` the first one all the same, once its lock is free; it may have been taken meanwhile (None).
        """
        query = text(_NEXT + "FOR UPDATE OF c" + ("" if wait else " SKIP LOCKED"))
        return (await session.execute(query, {"site": self._site, "now": at})).mappings().first()

    async def anybody(self, session: AsyncSession, at: datetime) -> bool:
        """Whether somebody waits who may be taken now."""
        return (await session.execute(text(_NEXT), {"site": self._site, "now": at})).first() is not None

    async def claim_closed(self, session: AsyncSession, escalation: str, staff: str, at: datetime) -> bool:
        """Claim an escalation whose conversation the patient has ended (an emergency)."""
        values = {"escalation": escalation, "staff": staff, "now": at, "channel": CHANNEL}
        return (await session.execute(_CLAIM_CLOSED, values)).first() is not None

    async def resolve_closed(self, session: AsyncSession, values: dict[str, Any]) -> str | None:
        """Resolve one's claimed escalation of an ended conversation; its id."""
        found = (await session.execute(_RESOLVE_CLOSED, values | {"site": self._site, "channel": CHANNEL})).first()
        return None if found is None else str(found.id)

    async def set_aside_closed(self, session: AsyncSession, values: dict[str, Any]) -> str | None:
        """Let one's claimed escalation of an ended conversation wait for its follow-up; its id."""
        found = (await session.execute(_SET_ASIDE_CLOSED, values | {"site": self._site, "channel": CHANNEL})).first()
        return None if found is None else str(found.id)

    async def unanswered(
        self, session: AsyncSession, before: Sequence[datetime], conversation: str | None = None
    ) -> Sequence[RowMapping]:
        """Claimed escalations (of one conversation) whose patient was left alone since ``before``, by priority.

        That is: since the claim if staff have written nothing after it, else since the patient's first message after
        the last of staff's. Those of a deactivated account are left alone in any case.
        """
        values = {"site": self._site, "before": list(before), "conversation": conversation}
        return (await session.execute(_UNANSWERED, values)).mappings().all()

    async def lock(self, session: AsyncSession, conversation: str) -> bool:
        """Lock a conversation until the transaction ends; False if somebody else is changing it now."""
        return (await session.execute(_LOCK, {"conversation": conversation})).first() is not None

    async def add_note(self, session: AsyncSession, values: dict[str, Any]) -> None:
        """Keep how a member of staff ended her part of an escalation."""
        query = text(
            "INSERT INTO escalation_notes (escalation_id, staff_id, disposition, note_encrypted, follow_up_at, "
            "created_at) VALUES (:escalation, :staff, left(:disposition, 64), :note, :follow_up_at, :now)"
        )
        await session.execute(query, values)

    async def notes(self, session: AsyncSession, escalation: str) -> Sequence[RowMapping]:
        """The notes on an escalation, oldest first, with the writers' names."""
        return (await session.execute(_NOTES, {"escalation": escalation})).mappings().all()

    async def changed(self, session: AsyncSession, since: datetime, limit: int) -> Sequence[RowMapping]:
        """Open escalations and those resolved since, for followers of the queue."""
        query = text(
            _VIEW + "AND (e.status <> 'resolved' OR e.resolved_at >= :since) ORDER BY e.created_at LIMIT :limit"
        )
        return (await session.execute(query, {"site": self._site, "since": since, "limit": limit})).mappings().all()
