"""The SQL of turns: claim, stream, finish. Every write of a reply is fenced in the very statement that makes it.

The fence: the conversation still has the epoch of the turn, the assistant still holds it, and the turn is still this
run's (``attempt``). An emergency text is written without the first two, also where the patient has ended the
conversation meanwhile: its call for a person hangs on it. What is said to further messages of a crisis call is written
only while the conversation waits for a person.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import RowMapping, text

from app.db.notify import CHANNEL
from app.db.session import Executor

_TAKE = """
WITH t AS (
  UPDATE turns SET state = 'running', runner = :runner, attempt = attempt + 1,
         lease_until = clock_timestamp() + make_interval(secs => :lease_s)
  WHERE {which}
  RETURNING *)
SELECT t.id, t.conversation_id, t.message_id, t.position, t.epoch, t.answers, t.attempt, t.created_at,
       c.language, c.site_id, c.session_id,
       (t.answers AND c.handler = 'assistant' AND c.epoch = t.epoch) AS may_answer,
       EXISTS (SELECT 1 FROM consents k WHERE k.session_id = c.session_id AND k.notice_version = :notice) AS consented,
       coalesce((SELECT e.category FROM escalations e WHERE e.conversation_id = t.conversation_id AND e.crisis
                 AND e.status IN ('waiting', 'claimed')), '') AS crisis,
       (SELECT r.position FROM messages r WHERE r.id = t.id AND r.status = 'streaming') AS begun,
       a.asked_encrypted, a.asked_redacted, p.tokens, p.token_values, o.said, o.cited, o.said_to
FROM t JOIN conversations c ON c.id = t.conversation_id
CROSS JOIN LATERAL (
  SELECT array_agg(m.text_encrypted ORDER BY m.position) AS asked_encrypted,
         array_agg(m.text_redacted ORDER BY m.position) AS asked_redacted
  FROM (SELECT position, text_encrypted, text_redacted FROM messages
        WHERE conversation_id = t.conversation_id AND author = 'patient' AND position <= t.position
        ORDER BY position DESC LIMIT :asked) m) a
CROSS JOIN LATERAL (
  SELECT array_agg(token) AS tokens, array_agg(value_encrypted) AS token_values
  FROM pseudonyms WHERE conversation_id = t.conversation_id) p
LEFT JOIN LATERAL (
  SELECT last.kind AS said,
         (SELECT jsonb_agg(jsonb_build_object('article_id', k.article_id, 'title', k.title) ORDER BY k.id)
          FROM citations k WHERE k.message_id = last.id) AS cited,
         coalesce((SELECT q.text_redacted FROM messages q WHERE q.id = last.in_reply_to), '') AS said_to
  FROM (SELECT m.id, m.kind, m.in_reply_to FROM messages m
        WHERE m.conversation_id = t.conversation_id AND m.author <> 'patient' AND m.status = 'complete'
        ORDER BY m.position DESC LIMIT 1) last) o ON true
"""
_CLAIM = text(
    _TAKE.format(
        which="""
        id = (SELECT id FROM turns WHERE conversation_id = :conversation AND state <> 'done'
              ORDER BY position LIMIT 1 FOR UPDATE)
        AND (state = 'queued' OR lease_until < clock_timestamp())"""
    )
)
_CLAIM_ONE = text(_TAKE.format(which="id = :turn AND state = 'queued'"))

_FENCE = """
  AND EXISTS (SELECT 1 FROM turns WHERE id = :turn AND state = 'running' AND attempt = :attempt)
  AND (CASE CAST(:fence AS text) WHEN 'assistant' THEN epoch = :epoch AND handler = 'assistant'
       WHEN 'waiting' THEN handler = 'waiting' ELSE true END)
"""

_APPEND = f"""
WITH c AS (
  UPDATE conversations SET last_seq = last_seq + :count WHERE id = :conversation {_FENCE}
  RETURNING id, last_seq),
e AS (
  INSERT INTO events (conversation_id, seq, type, payload_encrypted, created_at)
  SELECT c.id, c.last_seq - :count + k.i, k.type, k.payload, :now
  FROM c, unnest(CAST(:types AS text[]), CAST(:payloads AS bytea[])) WITH ORDINALITY AS k(type, payload, i))
"""

_MESSAGE_COLUMNS = (
    "(id, conversation_id, position, author, author_name, in_reply_to, status, text_encrypted, text_redacted, kind, "
    "tier, category, routes, adapter_version, prompt_version, policy_hash, created_at, completed_at)"
)

_BEGIN = text(
    _APPEND
    + f"""
, m AS (
  INSERT INTO messages {_MESSAGE_COLUMNS}
  SELECT :turn, c.id, c.last_seq - :count + 1, 'assistant', :author_name, :message, 'streaming', :text_encrypted,
         '', '', 'none', '', '[]', :adapter, '', '', :now, NULL FROM c)
SELECT c.last_seq - :count + 1 AS position, pg_notify(:channel, 'conversation:' || c.id) FROM c
"""
)
_APPEND_ONLY = text(_APPEND + "SELECT c.last_seq, pg_notify(:channel, 'conversation:' || c.id) FROM c")

_WORSE = "excluded.priority < escalations.priority OR (excluded.crisis AND NOT escalations.crisis)"
"""What a new call says takes the place of what the open one says."""

_FINISH = text(f"""
WITH c AS (
  UPDATE conversations SET last_seq = last_seq + :count, updated_at = :now,
    handler = CASE WHEN :hand_off AND handler = 'assistant' THEN 'waiting' ELSE handler END,
    epoch = epoch + CASE WHEN :hand_off AND handler = 'assistant' THEN 1 ELSE 0 END,
    version = version + CASE WHEN :hand_off THEN 1 ELSE 0 END
  WHERE id = :conversation {_FENCE}
  RETURNING id, site_id, last_seq),
m AS (
  INSERT INTO messages {_MESSAGE_COLUMNS}
  SELECT :reply, c.id, c.last_seq - :count + 1, :author, :author_name, :message, 'complete', :text_encrypted,
         :text_redacted, :kind, :tier, left(:category, 64), CAST(:routes AS jsonb), :adapter, :prompt_version,
         :policy_hash, :now, :now
  FROM c
  ON CONFLICT (id) DO UPDATE SET status = 'complete', text_encrypted = excluded.text_encrypted,
    text_redacted = excluded.text_redacted, kind = excluded.kind, tier = excluded.tier, category = excluded.category,
    routes = excluded.routes, adapter_version = excluded.adapter_version,
    prompt_version = excluded.prompt_version, policy_hash = excluded.policy_hash, completed_at = excluded.completed_at),
e AS (
  INSERT INTO events (conversation_id, seq, type, payload_encrypted, created_at)
  SELECT c.id, c.last_seq - :count + k.i, k.type, k.payload, :now
  FROM c, unnest(CAST(:types AS text[]), CAST(:payloads AS bytea[])) WITH ORDINALITY AS k(type, payload, i)),
cited AS (
  INSERT INTO citations (message_id, article_id, passage_id, title, quote, reviewed)
  SELECT :reply, k.article_id, k.passage_id, k.title, k.quote, k.reviewed FROM c,
    jsonb_to_recordset(CAST(:citations AS jsonb))
      AS k(article_id text, passage_id text, title text, quote text, reviewed date)),
hit AS (
  INSERT INTO guardrail_hits (message_id, stage, rule, detail)
  SELECT :reply, left(k.stage, 32), left(k.rule, 128), k.detail FROM c,
    jsonb_to_recordset(CAST(:hits AS jsonb)) AS k(stage text, rule text, detail text)),
timing AS (
  INSERT INTO turn_metrics (message_id, stage_ms, total_ms)
  SELECT :reply, CAST(:stage_ms AS jsonb), :total_ms FROM c),
asked AS (
  UPDATE messages SET text_redacted = :question_redacted FROM c
  WHERE messages.id = :message AND CAST(:question_redacted AS text) <> ''),
names AS (
  INSERT INTO pseudonyms (conversation_id, token, value_encrypted, created_at)
  SELECT c.id, k.token, k.value, :now
  FROM c, unnest(CAST(:tokens AS text[]), CAST(:values AS bytea[])) AS k(token, value) ON CONFLICT DO NOTHING),
called AS (
  INSERT INTO escalations
    (id, site_id, conversation_id, status, priority, reason, tier, category, crisis, disposition, due_at, created_at)
  SELECT :escalation, c.site_id, c.id, 'waiting', :priority, left(:reason, 64), :tier, left(:category, 64), :crisis,
         '', :due_at, :now
  FROM c WHERE :hand_off
  ON CONFLICT (conversation_id) WHERE status in ('waiting', 'claimed') DO UPDATE SET
    priority = least(escalations.priority, excluded.priority), due_at = least(escalations.due_at, excluded.due_at),
    reason = CASE WHEN {_WORSE} THEN excluded.reason ELSE escalations.reason END,
    tier = CASE WHEN {_WORSE} THEN excluded.tier ELSE escalations.tier END,
    category = CASE WHEN {_WORSE} THEN excluded.category ELSE escalations.category END,
    crisis = escalations.crisis OR excluded.crisis, follow_up_at = NULL),
over AS (UPDATE turns SET state = 'done', lease_until = NULL FROM c WHERE turns.id = :turn AND :ends)
SELECT c.last_seq, pg_notify(:channel, 'conversation:' || c.id),
       CASE WHEN :hand_off OR :fence <> 'assistant' THEN pg_notify(:channel, 'staff:' || c.site_id) END
FROM c
""")

_CLOSE = text("""
WITH t AS (
  UPDATE turns SET state = 'done', lease_until = NULL
  WHERE id = :turn AND state = 'running' AND attempt = :attempt RETURNING id, conversation_id, message_id),
m AS (
  UPDATE messages SET status = 'superseded', text_encrypted = :shown, completed_at = :now FROM t
  WHERE messages.id = t.id AND messages.status = 'streaming' RETURNING messages.id),
c AS (
  UPDATE conversations SET last_seq = last_seq + CASE WHEN EXISTS (SELECT 1 FROM m) THEN 1 ELSE 0 END
  FROM t WHERE conversations.id = t.conversation_id RETURNING conversations.id, site_id, last_seq, handler),
e AS (
  INSERT INTO events (conversation_id, seq, type, payload_encrypted, created_at)
  SELECT c.id, c.last_seq, 'message.retracted', :payload, :now FROM c, m),
asked AS (UPDATE messages SET text_redacted = :question_redacted FROM t WHERE messages.id = t.message_id),
names AS (
  INSERT INTO pseudonyms (conversation_id, token, value_encrypted, created_at)
  SELECT c.id, k.token, k.value, :now
  FROM c, unnest(CAST(:tokens AS text[]), CAST(:values AS bytea[])) AS k(token, value) ON CONFLICT DO NOTHING)
SELECT pg_notify(:channel, 'conversation:' || c.id), pg_notify(:channel, 'staff:' || c.site_id) FROM c
""")

_ASKED = text("""
SELECT id, position, text_encrypted, text_redacted FROM messages
WHERE conversation_id = :conversation AND author = 'patient' AND position <= :position
ORDER BY position DESC LIMIT :limit
""")


EARLIER_MESSAGES = 12
"""How many earlier patient messages a turn sees (triage adds up red flags over them)."""


class TurnsRepository:
    """Statements on turns and on the replies that they write."""

    async def claim(
        self, session: Executor, conversation: str, runner: str, lease_s: float, notice: str
    ) -> RowMapping | None:
        """Take the oldest open turn of a conversation, if nobody runs it; None otherwise.

        The row holds all that answering needs, in one round trip: the patient's last messages and the pseudonyms, and
        whether the patient has consented to the version ``notice`` of the notice.
        """
        values = {"conversation": conversation, **_taken(runner, lease_s, notice)}
        return (await session.execute(_CLAIM, values)).mappings().first()

    async def claim_one(
        self, session: Executor, turn: str, runner: str, lease_s: float, notice: str
    ) -> RowMapping | None:
        """Take a queued turn out of its order (an emergency); None if it is no longer queued."""
        values = {"turn": turn, **_taken(runner, lease_s, notice)}
        return (await session.execute(_CLAIM_ONE, values)).mappings().first()

    async def queued(self, session: Executor, conversation: str) -> Sequence[RowMapping]:
        """The last turns of a conversation that wait for one before them: id and position, newest first."""
        query = text(
            "SELECT id, position FROM turns WHERE conversation_id = :conversation AND state = 'queued' "
            "ORDER BY position DESC LIMIT 3"
        )
        return (await session.execute(query, {"conversation": conversation})).mappings().all()

    async def asked(self, session: Executor, conversation: str, position: int, limit: int) -> Sequence[RowMapping]:
        """The patient's last messages up to ``position``, oldest first."""
        values = {"conversation": conversation, "position": position, "limit": limit}
        return list(reversed((await session.execute(_ASKED, values)).mappings().all()))

    async def begin(self, session: Executor, values: dict[str, Any]) -> int | None:
        """Insert the streaming message with its first events; its position, or None if the fence is closed."""
        found = (await session.execute(_BEGIN, values | {"channel": CHANNEL})).first()
        return None if found is None else int(found.position)

    async def append(self, session: Executor, values: dict[str, Any]) -> bool:
        """Append events of the reply; False if the fence is closed."""
        return (await session.execute(_APPEND_ONLY, values | {"channel": CHANNEL})).first() is not None

    async def finish(self, session: Executor, values: dict[str, Any]) -> bool:
        """Store the finished reply, its events, what it cites, and call a person if need be; False if fenced off."""
        return (await session.execute(_FINISH, values | {"channel": CHANNEL})).first() is not None

    async def close(self, session: Executor, values: dict[str, Any]) -> None:
        """End a turn without a reply; a message that was streaming is superseded and retracted."""
        await session.execute(_CLOSE, values | {"channel": CHANNEL})

    async def renew(self, session: Executor, turns: list[str], runner: str, lease_s: float) -> None:
        """Extend the leases of running turns."""
        query = text(
            "UPDATE turns SET lease_until = clock_timestamp() + make_interval(secs => :lease_s) "
            "WHERE id = ANY(:turns) AND runner = :runner AND state = 'running'"
        )
        await session.execute(query, {"turns": turns, "runner": runner, "lease_s": lease_s})

    async def give_up(self, session: Executor, turns: list[str], runner: str) -> None:
        """Put turns back into the queue, for the next process."""
        query = text(
            "UPDATE turns SET state = 'queued', lease_until = NULL "
            "WHERE id = ANY(:turns) AND runner = :runner AND state = 'running'"
        )
        await session.execute(query, {"turns": turns, "runner": runner})

    async def orphans(self, session: Executor, older_than_s: float) -> list[str]:
        """Conversations with a turn that nobody runs: queued for a while, or its lease has run out."""
        query = text("""
            SELECT DISTINCT conversation_id FROM turns
            WHERE (state = 'queued' AND created_at < clock_timestamp() - make_interval(secs => :age))
               OR (state = 'running' AND lease_until < clock_timestamp()) LIMIT 500""")
        return [str(row.conversation_id) for row in (await session.execute(query, {"age": older_than_s})).all()]

    async def unfinished(self, session: Executor, conversation: str) -> bool:
        """Whether a turn of the conversation is open still, so that its message may be an emergency."""
        query = text("SELECT EXISTS (SELECT 1 FROM turns WHERE conversation_id = :conversation AND state <> 'done')")
        return bool((await session.execute(query, {"conversation": conversation})).scalar())

    async def state(self, session: Executor, turn: str) -> str | None:
        """queued, running or done; None if there is no such turn."""
        found = (await session.execute(text("SELECT state FROM turns WHERE id = :turn"), {"turn": turn})).scalar()
        return None if found is None else str(found)


def _taken(runner: str, lease_s: float, notice: str) -> dict[str, Any]:
    return {"runner": runner, "lease_s": lease_s, "asked": EARLIER_MESSAGES + 1, "notice": notice}
