"""All tables. Patient text is stored twice: encrypted as typed, and redacted (what staff see first, what is indexed).

Ids are random UUIDs as text where a patient or staff member sees them. Times are UTC with zone.
"""

from __future__ import annotations

import uuid
from datetime import UTC, date, datetime
from typing import Any

from pgvector.sqlalchemy import VECTOR
from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Computed,
    Date,
    DateTime,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    String,
    Text,
    UniqueConstraint,
    false,
)
from sqlalchemy.dialects.postgresql import JSONB, TSVECTOR
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column


def new_id() -> str:
    """A random id, 32 hex digits."""
    return uuid.uuid4().hex


def now() -> datetime:
    """The time now, UTC."""
    return datetime.now(UTC)


class Base(DeclarativeBase):
    """Base of all tables."""

    type_annotation_map = {datetime: DateTime(timezone=True), dict[str, Any]: JSONB, list[str]: JSONB}  # noqa: RUF012


class SiteRow(Base):
    """A hospital whose articles are loaded. ``id`` is site.yaml's id."""

    __tablename__ = "sites"
    id: Mapped[str] = mapped_column(String(64), primary_key=True)
    name: Mapped[str] = mapped_column(Text)
    created_at: Mapped[datetime] = mapped_column(default=now)


class PatientSession(Base):
    """An anonymous patient's session: a 128-bit bearer token, of which only the SHA-256 is kept."""

    __tablename__ = "patient_sessions"
    id: Mapped[str] = mapped_column(String(32), primary_key=True, default=new_id)
    site_id: Mapped[str] = mapped_column(ForeignKey("sites.id"))
    token_sha256: Mapped[str] = mapped_column(String(64), unique=True)
    language: Mapped[str] = mapped_column(String(8), default="en")
    created_at: Mapped[datetime] = mapped_column(default=now)
    expires_at: Mapped[datetime]


class Consent(Base):
    """That a session accepted a version of the notice."""

    __tablename__ = "consents"
    id: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=True)
    session_id: Mapped[str] = mapped_column(ForeignKey("patient_sessions.id", ondelete="CASCADE"), index=True)
    notice_version: Mapped[str] = mapped_column(String(32))
    accepted_at: Mapped[datetime] = mapped_column(default=now)


class Conversation(Base):
    """One conversation and who may speak in it.

    ``handler``: assistant | waiting | staff | closed. ``epoch`` grows whenever the speaker changes: an assistant
    message is inserted only while the epoch is the one its turn began with. ``version`` grows with each change of state
    and is the compare-and-swap and If-Match value. ``updated_at``: the last thing that happened, from which the time of
    retention counts; ``held_since``: under a legal hold, neither retention nor the patient erases it.
    """

    __tablename__ = "conversations"
    __table_args__ = (
        CheckConstraint("handler in ('assistant','waiting','staff','closed')", name="handler_known"),
        Index("conversations_by_last_change", "site_id", "updated_at"),
    )
    id: Mapped[str] = mapped_column(String(32), primary_key=True, default=new_id)
    site_id: Mapped[str] = mapped_column(ForeignKey("sites.id"))
    session_id: Mapped[str] = mapped_column(ForeignKey("patient_sessions.id", ondelete="CASCADE"), index=True)
    language: Mapped[str] = mapped_column(String(8), default="en")
    handler: Mapped[str] = mapped_column(String(16), default="assistant")
    staff_id: Mapped[str | None] = mapped_column(ForeignKey("users.id"))
    epoch: Mapped[int] = mapped_column(default=0)
    version: Mapped[int] = mapped_column(default=0)
    last_seq: Mapped[int] = mapped_column(BigInteger, default=0)
    created_at: Mapped[datetime] = mapped_column(default=now)
    updated_at: Mapped[datetime] = mapped_column(default=now)
    closed_at: Mapped[datetime | None]
    held_since: Mapped[datetime | None]


class Message(Base):
    """One message. ``author``: patient | assistant | staff | system.

    ``status``: streaming | complete | retracted | superseded.
    """

    __tablename__ = "messages"
    __table_args__ = (
        CheckConstraint("author in ('patient','assistant','staff','system')", name="author_known"),
        Index("messages_of_conversation", "conversation_id", "position"),
        Index("messages_without_answer", "created_at", postgresql_where="kind = 'no_answer'"),
    )
    id: Mapped[str] = mapped_column(String(32), primary_key=True, default=new_id)
    conversation_id: Mapped[str] = mapped_column(ForeignKey("conversations.id", ondelete="CASCADE"))
    position: Mapped[int] = mapped_column(BigInteger)
    author: Mapped[str] = mapped_column(String(16))
    author_name: Mapped[str] = mapped_column(Text, default="")
    staff_id: Mapped[str | None] = mapped_column(ForeignKey("users.id"))
    in_reply_to: Mapped[str | None] = mapped_column(String(32))
    status: Mapped[str] = mapped_column(String(16), default="complete")
    text_encrypted: Mapped[bytes] = mapped_column(LargeBinary)
    text_redacted: Mapped[str] = mapped_column(Text)
    kind: Mapped[str] = mapped_column(String(16), default="")
    tier: Mapped[str] = mapped_column(String(16), default="none")
    category: Mapped[str] = mapped_column(String(64), default="", server_default="")
    routes: Mapped[list[str]] = mapped_column(default=list)
    adapter_version: Mapped[str | None] = mapped_column(String(64))
    prompt_version: Mapped[str] = mapped_column(String(16), default="")
    policy_hash: Mapped[str] = mapped_column(String(64), default="")
    created_at: Mapped[datetime] = mapped_column(default=now)
    completed_at: Mapped[datetime | None]


class TurnRow(Base):
    """A patient message that is being or still has to be looked at: the durable queue, one at a time per conversation.

    ``id`` is the id that the reply will have. ``epoch`` is the conversation's when the message came: the fence of
    the reply. ``answers`` is false where the assistant did not hold the conversation: such a turn only looks for
    emergencies. ``state``: queued | running | done; ``attempt`` counts the runs, so that a runner that lost its
    lease can no longer write.
    """

    __tablename__ = "turns"
    __table_args__ = (
        CheckConstraint("state in ('queued','running','done')", name="turn_state_known"),
        Index("open_turns", "conversation_id", "position", postgresql_where="state <> 'done'"),
    )
    id: Mapped[str] = mapped_column(String(32), primary_key=True, default=new_id)
    conversation_id: Mapped[str] = mapped_column(ForeignKey("conversations.id", ondelete="CASCADE"), index=True)
    message_id: Mapped[str] = mapped_column(ForeignKey("messages.id", ondelete="CASCADE"), unique=True)
    position: Mapped[int] = mapped_column(BigInteger)
    epoch: Mapped[int]
    answers: Mapped[bool] = mapped_column(Boolean)
    state: Mapped[str] = mapped_column(String(16), default="queued")
    attempt: Mapped[int] = mapped_column(default=0)
    runner: Mapped[str] = mapped_column(String(64), default="")
    lease_until: Mapped[datetime | None]
    created_at: Mapped[datetime] = mapped_column(default=now)


class Event(Base):
    """Append-only log of a conversation; ``seq`` is dense and is the SSE id. The payload is encrypted."""

    __tablename__ = "events"
    conversation_id: Mapped[str] = mapped_column(ForeignKey("conversations.id", ondelete="CASCADE"), primary_key=True)
    seq: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    type: Mapped[str] = mapped_column(String(32))
    payload_encrypted: Mapped[bytes] = mapped_column(LargeBinary)
    created_at: Mapped[datetime] = mapped_column(default=now)


class CitationRow(Base):
    """A citation under an assistant message."""

    __tablename__ = "citations"
    id: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=True)
    message_id: Mapped[str] = mapped_column(ForeignKey("messages.id", ondelete="CASCADE"), index=True)
    article_id: Mapped[str] = mapped_column(String(128))
    passage_id: Mapped[str] = mapped_column(String(160))
    title: Mapped[str] = mapped_column(Text)
    quote: Mapped[str] = mapped_column(Text)
    reviewed: Mapped[date] = mapped_column(Date)


class Feedback(Base):
    """A patient's thumb on an assistant message; one per message, the last one counts."""

    __tablename__ = "feedback"
    message_id: Mapped[str] = mapped_column(ForeignKey("messages.id", ondelete="CASCADE"), primary_key=True)
    rating: Mapped[str] = mapped_column(String(8))
    reason_redacted: Mapped[str] = mapped_column(Text, default="")
    created_at: Mapped[datetime] = mapped_column(default=now)


class GuardrailHitRow(Base):
    """A check that had something to say about a message."""

    __tablename__ = "guardrail_hits"
    id: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=True)
    message_id: Mapped[str] = mapped_column(ForeignKey("messages.id", ondelete="CASCADE"), index=True)
    stage: Mapped[str] = mapped_column(String(32))
    rule: Mapped[str] = mapped_column(String(128))
    detail: Mapped[str] = mapped_column(Text, default="")


class UnansweredQuestion(Base):
    """A patient message that no article answered: its vector, and what a content owner decided about such questions.

    ``kind`` names what made the vector; vectors of one kind compare. ``status``: open | planned | out_of_scope, or NULL
    while nobody has decided. Made when the page is first read, of the redacted text; erased with the message.
    """

    __tablename__ = "unanswered_questions"
    __table_args__ = (
        CheckConstraint("status in ('open','planned','out_of_scope')", name="unanswered_status_known"),
        Index("marked_questions", "message_id", postgresql_where="status IS NOT NULL"),
    )
    message_id: Mapped[str] = mapped_column(ForeignKey("messages.id", ondelete="CASCADE"), primary_key=True)
    kind: Mapped[str] = mapped_column(String(64))
    embedding: Mapped[Any] = mapped_column(VECTOR(384))
    status: Mapped[str | None] = mapped_column(String(16))
    marked_by: Mapped[str | None] = mapped_column(Text)
    marked_at: Mapped[datetime | None]


class Pseudonym(Base):
    """A token issued in a conversation and what it stands for, encrypted; empty once the patient's session is over."""

    __tablename__ = "pseudonyms"
    conversation_id: Mapped[str] = mapped_column(ForeignKey("conversations.id", ondelete="CASCADE"), primary_key=True)
    token: Mapped[str] = mapped_column(String(64), primary_key=True)
    value_encrypted: Mapped[bytes] = mapped_column(LargeBinary)
    created_at: Mapped[datetime] = mapped_column(default=now)


class Escalation(Base):
    """A call for a person. ``status``: waiting | claimed | resolved; ``priority``: 0 emergency, 1 urgent, 2 normal.

    A ``crisis`` call is closed only with an outcome and a note. After "not reached" it waits again, and nobody needs
    to take it before ``follow_up_at`` (which is then its ``due_at`` too) unless the patient writes.
    """

    __tablename__ = "escalations"
    __table_args__ = (
        CheckConstraint("status in ('waiting','claimed','resolved')", name="status_known"),
        Index("escalations_queue", "site_id", "status", "priority", "due_at"),
        Index(
            "one_open_escalation", "conversation_id", unique=True, postgresql_where="status in ('waiting','claimed')"
        ),
    )
    id: Mapped[str] = mapped_column(String(32), primary_key=True, default=new_id)
    site_id: Mapped[str] = mapped_column(ForeignKey("sites.id"))
    conversation_id: Mapped[str] = mapped_column(ForeignKey("conversations.id", ondelete="CASCADE"), index=True)
    status: Mapped[str] = mapped_column(String(16), default="waiting")
    priority: Mapped[int] = mapped_column(default=2)
    reason: Mapped[str] = mapped_column(String(64))
    tier: Mapped[str] = mapped_column(String(16), default="none")
    category: Mapped[str] = mapped_column(String(64), default="")
    crisis: Mapped[bool] = mapped_column(Boolean, default=False, server_default=false())
    staff_id: Mapped[str | None] = mapped_column(ForeignKey("users.id"))
    disposition: Mapped[str] = mapped_column(String(64), default="")
    due_at: Mapped[datetime]
    created_at: Mapped[datetime] = mapped_column(default=now)
    claimed_at: Mapped[datetime | None]
    follow_up_at: Mapped[datetime | None]
    resolved_at: Mapped[datetime | None]


class EscalationNote(Base):
    """What a member of staff wrote when she ended her part of a call: how it ended, and a note, which is encrypted."""

    __tablename__ = "escalation_notes"
    id: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=True)
    escalation_id: Mapped[str] = mapped_column(ForeignKey("escalations.id", ondelete="CASCADE"), index=True)
    staff_id: Mapped[str] = mapped_column(ForeignKey("users.id"))
    disposition: Mapped[str] = mapped_column(String(64))
    note_encrypted: Mapped[bytes] = mapped_column(LargeBinary)
    follow_up_at: Mapped[datetime | None]
    created_at: Mapped[datetime] = mapped_column(default=now)


class User(Base):
    """A member of staff. ``roles`` holds staff and/or admin."""

    __tablename__ = "users"
    id: Mapped[str] = mapped_column(String(32), primary_key=True, default=new_id)
    username: Mapped[str] = mapped_column(String(64), unique=True)
    display_name: Mapped[str] = mapped_column(Text)
    password_hash: Mapped[str] = mapped_column(Text)
    roles: Mapped[list[str]] = mapped_column(default=list)
    active: Mapped[bool] = mapped_column(Boolean, default=True)
    failed_sign_ins: Mapped[int] = mapped_column(Integer, default=0)
    locked_until: Mapped[datetime | None]
    created_at: Mapped[datetime] = mapped_column(default=now)


class UserSession(Base):
    """A staff session; only the token's SHA-256 is kept."""

    __tablename__ = "user_sessions"
    id: Mapped[str] = mapped_column(String(32), primary_key=True, default=new_id)
    user_id: Mapped[str] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), index=True)
    token_sha256: Mapped[str] = mapped_column(String(64), unique=True)
    created_at: Mapped[datetime] = mapped_column(default=now)
    seen_at: Mapped[datetime] = mapped_column(default=now)
    expires_at: Mapped[datetime]


class Article(Base):
    """An approved article of a site; its text lies in article_versions."""

    __tablename__ = "articles"
    site_id: Mapped[str] = mapped_column(ForeignKey("sites.id"), primary_key=True)
    id: Mapped[str] = mapped_column(String(128), primary_key=True)
    version: Mapped[int] = mapped_column(default=1)
    content_sha256: Mapped[str] = mapped_column(String(64))
    withdrawn: Mapped[bool] = mapped_column(Boolean, default=False)


class ArticleVersion(Base):
    """One immutable version of an article; ``source`` is its file, None where it was stored before files were kept."""

    __tablename__ = "article_versions"
    site_id: Mapped[str] = mapped_column(String(64), primary_key=True)
    article_id: Mapped[str] = mapped_column(String(128), primary_key=True)
    version: Mapped[int] = mapped_column(primary_key=True)
    title: Mapped[str] = mapped_column(Text)
    topic: Mapped[str] = mapped_column(String(64))
    audience: Mapped[str] = mapped_column(String(64))
    owner: Mapped[str] = mapped_column(Text)
    reviewed: Mapped[date] = mapped_column(Date)
    review_by: Mapped[date] = mapped_column(Date)
    sources: Mapped[list[str]] = mapped_column(default=list)
    markdown: Mapped[str] = mapped_column(Text)
    source: Mapped[bytes | None] = mapped_column(LargeBinary)
    created_at: Mapped[datetime] = mapped_column(default=now)


class PassageRow(Base):
    """A retrievable passage of the current version of an article."""

    __tablename__ = "passages"
    __table_args__ = (
        UniqueConstraint("site_id", "article_id", "position"),
        Index("passages_words", "words", postgresql_using="gin"),
    )
    id: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=True)
    site_id: Mapped[str] = mapped_column(String(64), index=True)
    article_id: Mapped[str] = mapped_column(String(128))
    article_version: Mapped[int]
    position: Mapped[int]
    title: Mapped[str] = mapped_column(Text)
    heading: Mapped[str] = mapped_column(Text, default="")
    text: Mapped[str] = mapped_column(Text)
    reviewed: Mapped[date] = mapped_column(Date)
    review_by: Mapped[date] = mapped_column(Date)
    encoder_id: Mapped[str] = mapped_column(String(64))
    words: Mapped[Any] = mapped_column(
        TSVECTOR,
        Computed(
            "setweight(to_tsvector('english', title), 'A') || setweight(to_tsvector('english', heading), 'B') "
            "|| to_tsvector('english', text)",
            persisted=True,
        ),
    )


class SearchEntry(Base):
    """What a question is compared with: a passage, its title and heading, or a way in which patients ask.

    ``kind`` is passage, heading or asked; ``position`` is the passage's, 0 for the whole article; ``text`` is kept for
    asked only, ``tokens`` (:func:`app.encoder.text.pack`) for passages and asked. A table of its own: a row with one
    vector fits a page's slot, so that scanning reads no side table; the tokens lie in one.
    """

    __tablename__ = "search_entries"
    __table_args__ = (Index("search_entries_article", "site_id", "article_id"),)
    id: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=True)
    site_id: Mapped[str] = mapped_column(String(64))
    article_id: Mapped[str] = mapped_column(String(128))
    position: Mapped[int]
    kind: Mapped[str] = mapped_column(String(8))
    review_by: Mapped[date] = mapped_column(Date)
    text: Mapped[str] = mapped_column(Text, default="")
    embedding: Mapped[Any] = mapped_column(VECTOR(384))
    tokens: Mapped[bytes | None] = mapped_column(LargeBinary)
    words: Mapped[Any] = mapped_column(TSVECTOR, Computed("to_tsvector('english', text)", persisted=True))


class AdapterRow(Base):
    """A registered adapter version; its files are immutable. ``version`` is the served name ``support@<12 hex>``."""

    __tablename__ = "adapters"
    version: Mapped[str] = mapped_column(String(64), primary_key=True)
    name: Mapped[str] = mapped_column(String(48))
    content_sha256: Mapped[str] = mapped_column(String(64), unique=True)
    path: Mapped[str] = mapped_column(Text)
    manifest: Mapped[dict[str, Any]]
    status: Mapped[str] = mapped_column(String(16), default="candidate")
    created_at: Mapped[datetime] = mapped_column(default=now)


class GateReportRow(Base):
    """The gate's report on an adapter, and the clinicians' sign-offs for it, as they came."""

    __tablename__ = "gate_reports"
    adapter_version: Mapped[str] = mapped_column(ForeignKey("adapters.version"), primary_key=True)
    verdict: Mapped[str] = mapped_column(String(16))
    report: Mapped[dict[str, Any]]
    signoffs: Mapped[dict[str, Any]] = mapped_column(default=dict, server_default="{}")
    created_at: Mapped[datetime] = mapped_column(default=now)


class Rollout(Base):
    """Pointer ``channel -> adapter version``; NULL is the base model. ``epoch`` is the compare-and-set value."""

    __tablename__ = "rollouts"
    channel: Mapped[str] = mapped_column(String(32), primary_key=True)
    adapter_version: Mapped[str | None] = mapped_column(ForeignKey("adapters.version"))
    previous_version: Mapped[str | None] = mapped_column(ForeignKey("adapters.version"))
    epoch: Mapped[int] = mapped_column(default=0)
    changed_by: Mapped[str] = mapped_column(Text, default="")
    changed_at: Mapped[datetime] = mapped_column(default=now)


class EngineReplica(Base):
    """What a replica of the engine was last seen to have loaded."""

    __tablename__ = "engine_replicas"
    address: Mapped[str] = mapped_column(Text, primary_key=True)
    state: Mapped[str] = mapped_column(String(16))
    adapters: Mapped[list[str]] = mapped_column(default=list)
    seen_at: Mapped[datetime] = mapped_column(default=now)


class IdempotencyKey(Base):
    """The answer to a POST that carried an Idempotency-Key, for repeats."""

    __tablename__ = "idempotency_keys"
    owner: Mapped[str] = mapped_column(String(64), primary_key=True)
    key: Mapped[str] = mapped_column(String(128), primary_key=True)
    request_sha256: Mapped[str] = mapped_column(String(64))
    result_id: Mapped[str] = mapped_column(String(64))
    created_at: Mapped[datetime] = mapped_column(default=now)


class AuditEntry(Base):
    """Hash-chained audit log: ``hash = sha256(prev_hash + canonical JSON of the entry)``."""

    __tablename__ = "audit_log"
    id: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=True)
    at: Mapped[datetime] = mapped_column(default=now)
    actor: Mapped[str] = mapped_column(Text)
    action: Mapped[str] = mapped_column(String(64))
    subject: Mapped[str] = mapped_column(Text)
    details: Mapped[dict[str, Any]] = mapped_column(default=dict)
    prev_hash: Mapped[str] = mapped_column(String(64))
    hash: Mapped[str] = mapped_column(String(64), unique=True)


class TurnMetric(Base):
    """Stage timings of one assistant message, milliseconds."""

    __tablename__ = "turn_metrics"
    message_id: Mapped[str] = mapped_column(ForeignKey("messages.id", ondelete="CASCADE"), primary_key=True)
    stage_ms: Mapped[dict[str, Any]]
    total_ms: Mapped[float] = mapped_column(Float)
