"""Reading and posting: the SQL of conversations and messages. Turns and ownership have files of their own.

Every statement that appends events allocates their numbers by ``UPDATE conversations SET last_seq = last_seq + n``:
the row lock makes numbers dense and orders commits.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import RowMapping, text

from app.db.notify import CHANNEL
from app.db.session import Executor

_POST = text("""
WITH c AS (
  UPDATE conversations SET last_seq = last_seq + CASE WHEN handler = 'assistant' THEN 2 ELSE 1 END, updated_at = :now,
         version = version + CASE WHEN handler = 'staff' THEN 1 ELSE 0 END
  WHERE id = :conversation AND session_id = :session AND handler <> 'closed'
  RETURNING id, site_id, epoch, handler, last_seq,
            last_seq - CASE WHEN handler = 'assistant' THEN 1 ELSE 0 END AS position),
m AS (
  INSERT INTO messages (id, conversation_id, position, author, author_name, status, text_encrypted, text_redacted,
                        kind, tier, routes, prompt_version, policy_hash, created_at, completed_at)
  SELECT :message, c.id, c.position, 'patient', '', 'complete', :text_encrypted, '', '', 'none', '[]', '', '',
         :now, :now
  FROM c),
created AS (
  INSERT INTO events (conversation_id, seq, type, payload_encrypted, created_at)
  SELECT c.id, c.position, 'message.created', :payload, :now FROM c),
typing AS (
  INSERT INTO events (conversation_id, seq, type, payload_encrypted, created_at)
  SELECT c.id, c.last_seq, 'typing', :typing, :now FROM c WHERE c.handler = 'assistant'),
t AS (
  INSERT INTO turns (id, conversation_id, message_id, position, epoch, answers, state, attempt, runner, created_at)
  SELECT :turn, c.id, :message, c.position, c.epoch, c.handler = 'assistant', 'queued', 0, '', :now FROM c),
reached AS (
  UPDATE escalations SET due_at = :now, follow_up_at = NULL FROM c
  WHERE escalations.conversation_id = c.id AND escalations.status = 'waiting' AND escalations.follow_up_at > :now)
SELECT c.position, c.handler, pg_notify(:channel, 'conversation:' || c.id) FROM c
""")

_SAY = text("""
WITH c AS (
  UPDATE conversations SET last_seq = last_seq + 1, updated_at = :now
  WHERE id = :conversation AND site_id = :site AND handler = 'staff' AND staff_id = :staff
  RETURNING id, site_id, last_seq),
m AS (
  INSERT INTO messages (id, conversation_id, position, author, author_name, staff_id, status, text_encrypted,
                        text_redacted, kind, tier, routes, prompt_version, policy_hash, created_at, completed_at)
  SELECT :message, c.id, c.last_seq, 'staff', :author_name, :staff, 'complete', :text_encrypted, :text_redacted,
         '', 'none', '[]', '', '', :now, :now FROM c),
e AS (
  INSERT INTO events (conversation_id, seq, type, payload_encrypted, created_at)
  SELECT c.id, c.last_seq, 'message.created', :payload, :now FROM c)
SELECT c.last_seq AS position, pg_notify(:channel, 'conversation:' || c.id), pg_notify(:channel, 'staff:' || c.site_id)
FROM c
""")

_CONVERSATION = text("""
SELECT c.*, u.display_name AS staff_name,
  CASE WHEN c.handler = 'waiting' THEN (
    SELECT count(*) FROM escalations other, escalations mine
    WHERE mine.conversation_id = c.id AND mine.status = 'waiting'
      AND other.site_id = c.site_id AND other.status = 'waiting'
      AND (other.priority, other.due_at, other.id) <= (mine.priority, mine.due_at, mine.id)) END AS queue_position
FROM conversations c LEFT JOIN users u ON u.id = c.staff_id
WHERE c.id = :conversation AND c.site_id = :site AND (CAST(:session AS text) IS NULL OR c.session_id = :session)
""")

_MESSAGE_COLUMNS = """
SELECT m.*, c.last_seq, c.language, f.rating,
  (SELECT coalesce(jsonb_agg(jsonb_build_object('article_id', k.article_id, 'title', k.title, 'quote', k.quote,
          'reviewed', k.reviewed) ORDER BY k.id), '[]') FROM citations k WHERE k.message_id = m.id) AS citations,
  (SELECT coalesce(jsonb_agg(jsonb_build_object('stage', h.stage, 'rule', h.rule, 'detail', h.detail)
          ORDER BY h.id), '[]') FROM guardrail_hits h WHERE h.message_id = m.id) AS hits
FROM messages m JOIN conversations c ON c.id = m.conversation_id LEFT JOIN feedback f ON f.message_id = m.id
"""

_PAGE = text(
    _MESSAGE_COLUMNS
    + "WHERE m.conversation_id = :conversation AND m.position > :after ORDER BY m.position LIMIT :limit"
)
_MESSAGE = text(_MESSAGE_COLUMNS + "WHERE m.id = :message AND m.conversation_id = :conversation")


class ConversationRepository:
    """Statements on conversations and messages. Each takes the session whose transaction it belongs to."""

    async def create(self, session: Executor, values: dict[str, Any]) -> None:
        """Insert a conversation held by the assistant."""
        await session.execute(
            text(
                "INSERT INTO conversations (id, site_id, session_id, language, handler, epoch, version, last_seq, "
                "created_at, updated_at) VALUES (:id, :site, :session, :language, 'assistant', 0, 0, 0, :now, :now)"
            ),
            values,
        )

    async def find(self, session: Executor, site: str, conversation: str, owner: str | None) -> RowMapping | None:
        """The conversation with its staff name and queue position; with ``owner`` only if that session owns it."""
        values = {"conversation": conversation, "site": site, "session": owner}
        return (await session.execute(_CONVERSATION, values)).mappings().first()

    async def post(self, session: Executor, values: dict[str, Any]) -> RowMapping | None:
        """Store a patient message, its events and its turn, in one statement; None if the conversation is not open.

        A follow-up that waits for its time is due at once: the patient is there. While staff hold the conversation its
        version grows, so that they do not end a call over a message that they have not seen.
        """
        return (await session.execute(_POST, values | {"channel": CHANNEL})).mappings().first()

    async def say(self, session: Executor, values: dict[str, Any]) -> RowMapping | None:
        """Store a message of the member of staff who owns the conversation; None if she does not own it."""
        return (await session.execute(_SAY, values | {"channel": CHANNEL})).mappings().first()

    async def page(self, session: Executor, conversation: str, after: int, limit: int) -> Sequence[RowMapping]:
        """Messages after a position, with citations, hits and feedback, and the conversation's ``last_seq``."""
        values = {"conversation": conversation, "after": after, "limit": limit}
        return (await session.execute(_PAGE, values)).mappings().all()

    async def message(self, session: Executor, conversation: str, message: str) -> RowMapping | None:
        """One message of a conversation."""
        return (await session.execute(_MESSAGE, {"conversation": conversation, "message": message})).mappings().first()

    async def turn_of(self, session: Executor, message: str) -> RowMapping | None:
        """The turn of a patient message: id, state, and whether the assistant answers."""
        query = text("SELECT id, state, answers FROM turns WHERE message_id = :message")
        return (await session.execute(query, {"message": message})).mappings().first()

    async def rate(self, session: Executor, owner: str, message: str, values: dict[str, Any]) -> bool:
        """Store a thumb on a finished message of the assistant that the session owns; False if there is none."""
        query = text("""
            WITH c AS (
              UPDATE conversations SET updated_at = :now FROM messages m
              WHERE m.id = :message AND m.author = 'assistant' AND m.status = 'complete'
                AND conversations.id = m.conversation_id AND conversations.session_id = :session
              RETURNING m.id)
            INSERT INTO feedback (message_id, rating, reason_redacted, created_at)
            SELECT c.id, :rating, :reason, :now FROM c
            ON CONFLICT (message_id) DO UPDATE SET rating = excluded.rating, reason_redacted = excluded.reason_redacted,
              created_at = excluded.created_at
            RETURNING message_id""")
        found = await session.execute(query, values | {"session": owner, "message": message})
        return found.first() is not None

    async def conversation_of(self, session: Executor, owner: str, message: str) -> str | None:
        """The id of the conversation that holds a message, if the session owns it."""
        query = text(
            "SELECT c.id FROM messages m JOIN conversations c ON c.id = m.conversation_id "
            "WHERE m.id = :message AND c.session_id = :session"
        )
        found = (await session.execute(query, {"message": message, "session": owner})).scalar()
        return str(found) if found is not None else None

    async def erase(self, session: Executor, owner: str, conversation: str) -> bool:
        """Delete a conversation and all that hangs on it, and the keys of its requests.

        False where it is under a legal hold, or an emergency still waits for a person, or may: a turn is open.
        """
        values = {"conversation": conversation, "session": owner}
        # Locked first: the check below then sees a message or a call that was being stored meanwhile.
        await session.execute(text("SELECT 1 FROM conversations WHERE id = :conversation FOR UPDATE"), values)
        query = text("""
            DELETE FROM conversations c WHERE c.id = :conversation AND c.session_id = :session AND c.held_since IS NULL
              AND NOT EXISTS (SELECT 1 FROM turns t WHERE t.conversation_id = c.id AND t.state <> 'done')
              AND NOT EXISTS (SELECT 1 FROM escalations e
                              WHERE e.conversation_id = c.id AND e.priority = 0 AND e.status <> 'resolved')
            RETURNING c.id""")
        if (await session.execute(query, values)).first() is None:
            return False
        keys = text(
            "DELETE FROM idempotency_keys WHERE owner = 'conversation:' || CAST(:conversation AS text) "
            "OR (owner = 'session:' || CAST(:session AS text) AND result_id = :conversation)"
        )
        await session.execute(keys, values)
        return True

    async def held(self, session: Executor, conversation: str) -> bool:
        """Whether a conversation is under a legal hold."""
        query = text("SELECT held_since IS NOT NULL FROM conversations WHERE id = :conversation")
        return bool(await session.scalar(query, {"conversation": conversation}))

    async def remember(
        self, session: Executor, owner: str, key: str, request_sha256: str, result: str, at: datetime
    ) -> RowMapping | None:
        """Claim an idempotency key; None if it is new, else the earlier request's hash and result."""
        values = {"owner": owner, "key": key, "hash": request_sha256, "result": result, "now": at}
        fresh = await session.execute(
            text(
                "INSERT INTO idempotency_keys (owner, key, request_sha256, result_id, created_at) "
                "VALUES (:owner, :key, :hash, :result, :now) ON CONFLICT DO NOTHING RETURNING key"
            ),
            values,
        )
        if fresh.first() is not None:
            return None
        query = text("SELECT request_sha256, result_id FROM idempotency_keys WHERE owner = :owner AND key = :key")
        return (await session.execute(query, values)).mappings().one()
