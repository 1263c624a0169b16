"""SQL of questions that no article answered: reads conversations, keeps a vector and the owner's mark per question.

Vector and mark hang on the patient's message: they go when it is erased.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from pgvector.sqlalchemy import VECTOR
from sqlalchemy import RowMapping, text
from sqlalchemy.ext.asyncio import AsyncSession

from app.knowledge.clusters import DIMENSION, Vectors

_ASKED = text("""
SELECT m.id, m.text_redacted AS words, m.created_at AS asked_at, c.id AS conversation_id, c.session_id, c.language,
       u.kind, u.embedding, u.status, u.marked_by, u.marked_at, r.created_at >= :since AS counts,
       EXISTS (SELECT 1 FROM guardrail_hits h
               WHERE h.message_id = r.id AND h.stage = 'engine' AND h.rule = 'not_in_articles') AS denied,
       EXISTS (SELECT 1 FROM escalations e
               WHERE e.conversation_id = c.id AND e.reason IN ('patient_asked', 'no_answer')
                 AND e.created_at >= r.created_at
                 AND NOT EXISTS (SELECT 1 FROM messages a
                                 WHERE a.conversation_id = c.id AND a.kind IN ('answer', 'fallback')
                                   AND a.position > r.position AND a.created_at < e.created_at)) AS handed_over
FROM messages r
JOIN messages m ON m.id = r.in_reply_to
JOIN conversations c ON c.id = m.conversation_id
LEFT JOIN unanswered_questions u ON u.message_id = m.id
WHERE r.kind = 'no_answer' AND r.status = 'complete' AND c.site_id = :site AND m.text_redacted <> ''
  AND (r.created_at >= :since OR u.status IS NOT NULL)
ORDER BY r.created_at DESC, m.id LIMIT :most
""").columns(embedding=VECTOR(DIMENSION))

_KEEP = text("""
INSERT INTO unanswered_questions (message_id, kind, embedding)
SELECT m.id, k.kind, CAST(k.embedding AS vector(384))
FROM unnest(CAST(:ids AS text[]), CAST(:kinds AS text[]), CAST(:embeddings AS text[])) AS k(id, kind, embedding)
JOIN messages m ON m.id = k.id
ORDER BY m.id FOR KEY SHARE OF m
ON CONFLICT (message_id) DO UPDATE SET kind = excluded.kind, embedding = excluded.embedding
""")

_MARK = text("""
UPDATE unanswered_questions u SET status = :status, marked_by = :by, marked_at = :at
FROM unanswered_questions leader
JOIN messages lm ON lm.id = leader.message_id JOIN conversations lc ON lc.id = lm.conversation_id,
     messages m JOIN conversations c ON c.id = m.conversation_id
WHERE leader.message_id = :question AND lc.site_id = :site AND m.id = u.message_id AND c.site_id = :site
  AND u.kind = leader.kind
  AND (u.message_id = leader.message_id OR 1 - (u.embedding <=> leader.embedding) >= :threshold)
RETURNING u.message_id
""")

_KIND = text("SELECT kind FROM unanswered_questions WHERE message_id = :question")


async def asked(session: AsyncSession, site_id: str, since: datetime, most: int) -> Sequence[RowMapping]:
    """The newest ``most`` questions that ended without an answer since then, and older ones that carry a mark.

    ``counts`` is false for the latter. ``words`` is the redacted text; ``denied``: passages were found and the model
    said that they do not answer; ``handed_over``: the patient asked for a person before anything else was answered.
    """
    return (await session.execute(_ASKED, {"site": site_id, "since": since, "most": most})).mappings().all()


async def keep(session: AsyncSession, ids: Sequence[str], kinds: Sequence[str], vectors: Vectors) -> None:
    """Keep vectors, float32 (len(ids), 384), of questions still there; ``kinds`` say what they compare with.

    Nine digits give back the very same vectors: groups do not change between the first look and the next.
    """
    values = ["[" + ",".join(f"{x:.9g}" for x in vector) + "]" for vector in vectors.tolist()]
    await session.execute(_KEEP, {"ids": list(ids), "kinds": list(kinds), "embeddings": values})


async def kind_of(session: AsyncSession, question: str) -> str | None:
    """What the vector of a question compares with; None if it is not kept."""
    found = await session.scalar(_KIND, {"question": question})
    return None if found is None else str(found)


async def mark(
    session: AsyncSession, site_id: str, question: str, status: str, by: str, at: datetime, threshold: float
) -> int:
    """Mark a question and all that are alike; how many that were (0 if the site has no such question)."""
    values = {"site": site_id, "question": question, "status": status, "by": by, "at": at, "threshold": threshold}
    return len((await session.execute(_MARK, values)).all())
