"""Who may speak: each change is one compare-and-swap statement that also silences the assistant.

``epoch`` grows with every change of the speaker, so that a reply whose turn began earlier can no longer be stored;
``version`` is the value that a caller read and must not have changed. The lock order is conversation, then escalation.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import RowMapping, text
from sqlalchemy.ext.asyncio import AsyncSession

from app.db.models import new_id
from app.db.notify import CHANNEL
from app.errors import AlreadyClaimed, ConversationClosed, Forbidden, NotFound, OutcomeRequired, VersionConflict

_NOTIFY = "pg_notify(:channel, 'conversation:' || c.id), pg_notify(:channel, 'staff:' || c.site_id)"
_STATUS_EVENT = """
ev AS (
  INSERT INTO events (conversation_id, seq, type, payload_encrypted, created_at)
  SELECT c.id, c.last_seq, 'conversation.status', :payload, :now FROM c)
"""

_IN_CRISIS = """EXISTS (SELECT 1 FROM escalations o WHERE o.conversation_id = conversations.id AND o.crisis
                    AND o.status IN ('waiting', 'claimed'))"""

_TAKE_OVER = text(f"""
WITH c AS (
  UPDATE conversations SET handler = 'staff', staff_id = :staff, epoch = epoch + 1, version = version + 1,
         last_seq = last_seq + 1, updated_at = :now
  WHERE id = :conversation AND site_id = :site AND handler IN ('assistant', 'waiting')
    AND (CAST(:version AS int) IS NULL OR version = :version)
  RETURNING id, site_id, last_seq, version),
e AS (
  UPDATE escalations SET status = 'claimed', staff_id = :staff, claimed_at = :now, follow_up_at = NULL FROM c
  WHERE escalations.conversation_id = c.id AND escalations.status = 'waiting' RETURNING escalations.id),
fresh AS (
  INSERT INTO escalations
    (id, site_id, conversation_id, status, priority, reason, tier, category, staff_id, disposition, due_at, created_at,
     claimed_at)
  SELECT :escalation, c.site_id, c.id, 'claimed', 2, 'taken_over', 'none', '', :staff, '', :now, :now, :now FROM c
  WHERE NOT EXISTS (SELECT 1 FROM escalations o WHERE o.conversation_id = c.id AND o.status IN ('waiting', 'claimed'))
  RETURNING id),
{_STATUS_EVENT}
SELECT coalesce((SELECT id FROM e), (SELECT id FROM fresh)) AS escalation_id, c.version, {_NOTIFY} FROM c
""")

_RETURN = text(f"""
WITH c AS (
  UPDATE conversations SET handler = 'assistant', staff_id = NULL, epoch = epoch + 1, version = version + 1,
         last_seq = last_seq + 1, updated_at = :now
  WHERE id = :conversation AND site_id = :site AND handler = 'staff' AND staff_id = :staff
    AND (CAST(:version AS int) IS NULL OR version = :version)
    AND (:with_outcome OR NOT {_IN_CRISIS})
  RETURNING id, site_id, last_seq, version),
e AS (
  UPDATE escalations SET status = 'resolved', disposition = left(:disposition, 64), resolved_at = :now FROM c
  WHERE escalations.conversation_id = c.id AND escalations.status IN ('waiting', 'claimed') RETURNING escalations.id),
{_STATUS_EVENT}
SELECT (SELECT id FROM e) AS escalation_id, c.version, {_NOTIFY} FROM c
""")

_SET_ASIDE = text(f"""
WITH c AS (
  UPDATE conversations SET handler = 'waiting', staff_id = NULL, epoch = epoch + 1, version = version + 1,
         last_seq = last_seq + 1, updated_at = :now
  WHERE id = :conversation AND site_id = :site AND handler = 'staff' AND staff_id = :staff
    AND (CAST(:version AS int) IS NULL OR version = :version)
  RETURNING id, site_id, last_seq, version),
e AS (
  UPDATE escalations SET status = 'waiting', staff_id = NULL, claimed_at = NULL,
         follow_up_at = CAST(:follow_up_at AS timestamptz),
         due_at = coalesce(CAST(:follow_up_at AS timestamptz), least(due_at, :now))
  FROM c WHERE escalations.conversation_id = c.id AND escalations.status = 'claimed' RETURNING escalations.id),
{_STATUS_EVENT}
SELECT (SELECT id FROM e) AS escalation_id, c.version, {_NOTIFY} FROM c
""")

_HAND_OFF = text(f"""
WITH c AS (
  UPDATE conversations SET handler = 'waiting', epoch = epoch + 1, version = version + 1, last_seq = last_seq + 1,
         updated_at = :now
  WHERE id = :conversation AND handler = 'assistant'
  RETURNING id, site_id, last_seq, version),
e AS (
  INSERT INTO escalations
    (id, site_id, conversation_id, status, priority, reason, tier, category, disposition, due_at, created_at)
  SELECT :escalation, c.site_id, c.id, 'waiting', :priority, left(:reason, 64), 'none', '', '', :due_at, :now FROM c
  ON CONFLICT (conversation_id) WHERE status in ('waiting', 'claimed') DO NOTHING),
{_STATUS_EVENT}
SELECT c.version, {_NOTIFY} FROM c
""")

_CLOSE = text(f"""
WITH c AS (
  UPDATE conversations SET handler = 'closed', closed_at = :now, epoch = epoch + 1, version = version + 1,
         last_seq = last_seq + 1, updated_at = :now
  WHERE id = :conversation AND handler <> 'closed'
  RETURNING id, site_id, last_seq, version),
e AS (
  UPDATE escalations SET status = 'resolved', disposition = 'ended_by_patient', resolved_at = :now FROM c
  WHERE escalations.conversation_id = c.id AND escalations.priority > 0
    AND escalations.status IN ('waiting', 'claimed')),
{_STATUS_EVENT}
SELECT c.version, {_NOTIFY} FROM c
""")


class Ownership:
    """Changes of the speaker, inside the caller's transaction. ``site`` is the only site that it acts on."""

    def __init__(self, site: str, empty_payload: bytes) -> None:
        self._site = site
        self._payload = empty_payload

    async def take_over(
        self, session: AsyncSession, conversation: str, staff: str, version: int | None, at: datetime
    ) -> str:
        """Give the conversation to a member of staff and silence the assistant; returns the escalation's id.

        Raises NotFound, AlreadyClaimed, ConversationClosed, VersionConflict.
        """
        values = {"staff": staff, "version": version, "escalation": new_id()}
        row = await self._run(session, _TAKE_OVER, conversation, at, values)
        if row is None:
            await self._explain(session, conversation, staff, version)
        assert row is not None
        return str(row["escalation_id"])

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
        """End the part of the member of staff who owns it: the escalation is resolved, the assistant speaks again.

        A crisis call only ``with_outcome``. Returns the escalation's id. Raises NotFound, Forbidden (somebody else
        owns it), VersionConflict, OutcomeRequired.
        """
        values = {"staff": staff, "version": version, "disposition": disposition, "with_outcome": with_outcome}
        row = await self._run(session, _RETURN, conversation, at, values)
        if row is None:
            await self._explain(session, conversation, staff, version, leaving=True)
        assert row is not None
        return None if row["escalation_id"] is None else str(row["escalation_id"])

    async def set_aside(
        self,
        session: AsyncSession,
        conversation: str,
        staff: str,
        version: int | None,
        follow_up_at: datetime | None,
        at: datetime,
    ) -> str | None:
        """End the part of the member of staff who owns it, but not the call: it waits again, due at ``follow_up_at``.

        Without such a time it is due now. The assistant stays silent. Returns the escalation's id. Raises what
        ``give_back`` raises.
        """
        values = {"staff": staff, "version": version, "follow_up_at": follow_up_at}
        row = await self._run(session, _SET_ASIDE, conversation, at, values)
        if row is None:
            await self._explain(session, conversation, staff, version, leaving=True)
        assert row is not None
        return None if row["escalation_id"] is None else str(row["escalation_id"])

    async def hand_off(
        self, session: AsyncSession, conversation: str, reason: str, priority: int, due_at: datetime, at: datetime
    ) -> bool:
        """Let the conversation wait for a person; False if the assistant does not hold it (then nothing changes)."""
        values = {"reason": reason, "priority": priority, "due_at": due_at, "escalation": new_id()}
        return await self._run(session, _HAND_OFF, conversation, at, values) is not None

    async def close(self, session: AsyncSession, conversation: str, at: datetime) -> bool:
        """End the conversation; an emergency stays in the queue. False if it was closed before."""
        return await self._run(session, _CLOSE, conversation, at, {}) is not None

    async def _run(
        self, session: AsyncSession, statement: Any, conversation: str, at: datetime, values: dict[str, Any]
    ) -> RowMapping | None:
        common = {
            "conversation": conversation,
            "site": self._site,
            "now": at,
            "payload": self._payload,
            "channel": CHANNEL,
        }
        names = set(statement.compile().params)
        found = await session.execute(statement, {k: v for k, v in (common | values).items() if k in names})
        return found.mappings().first()

    async def _explain(
        self, session: AsyncSession, conversation: str, staff: str, version: int | None, *, leaving: bool = False
    ) -> None:
        """Raise the error that says why a compare-and-swap found nothing to change."""
        query = text("SELECT handler, staff_id, version FROM conversations WHERE id = :id AND site_id = :site")
        row = (await session.execute(query, {"id": conversation, "site": self._site})).first()
        if row is None:
            raise NotFound("there is no such conversation")
        changed = version is not None and row.version != version
        if row.handler == "closed" and not (leaving and changed):
            raise ConversationClosed("the conversation has ended")
        if row.handler == "staff" and row.staff_id != staff:
            raise AlreadyClaimed("another member of staff owns this conversation")
        if changed:
            raise VersionConflict("the conversation has changed; read it again")
        if row.handler == "staff" and leaving:
            raise OutcomeRequired("this is a crisis call: close it with what came of it and a note")
        if row.handler == "staff":
            raise AlreadyClaimed("you own this conversation already")
        raise Forbidden("take the conversation over first")
