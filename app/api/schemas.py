"""Bodies of requests and of those answers that are not views of a feature."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr

from app.api.deps import CleanText
from app.conversations.schemas import MessageView, RouteView, StaffConversationView
from app.escalations.schemas import EscalationView


class Body(BaseModel):
    """A request body: unknown fields are refused."""

    model_config = ConfigDict(extra="forbid")


class SessionIn(Body):
    """A new patient session."""

    consent: bool = Field(False, description="the current notice was accepted")
    language: Literal["en", "es"] = "en"


class SessionOut(BaseModel):
    """``token`` cannot be read again; send it as ``Authorization: Bearer``."""

    session_id: str
    token: str
    expires_at: datetime
    consented: bool


class ConsentIn(Body):
    """Acceptance of a version of the notice."""

    notice_version: str = Field(pattern=r"^[\w.-]{1,32}$")


class ConsentOut(BaseModel):
    """Consent is kept."""

    consented: bool


class Empty(Body):
    """No fields."""


class MessageIn(Body):
    """A message. Its length is checked against the service's own limit."""

    text: str


class PostedOut(BaseModel):
    """The stored message; ``reply`` is set if it was waited for (Prefer: wait) and came in time."""

    message: MessageView
    reply_id: str | None = Field(
        description="id that the reply has or will have; null if no reply of the assistant follows"
    )
    reply: MessageView | None = None


class HandoffIn(Body):
    """Asking for a person."""

    reason: CleanText | None = Field(None, max_length=500)


class FeedbackIn(Body):
    """A thumb, and why."""

    rating: Literal["up", "down"]
    reason: CleanText = Field("", max_length=500)


class SiteOut(BaseModel):
    """The hospital."""

    id: str
    name: str
    short_name: str
    phone: str
    demonstration: bool


class NoticeOut(BaseModel):
    """What is accepted before the assistant answers."""

    version: str
    text: list[str]
    ai_label: str


class WidgetConfig(BaseModel):
    """What the widget shows before anything is sent."""

    site: SiteOut
    assistant_name: str
    languages: list[str]
    notice: NoticeOut
    emergency: list[RouteView]
    retention_days: int
    max_characters: int
    chat_open: bool
    chat_hours_text: str


class SignInIn(Body):
    """Name and password of a local account."""

    username: str = Field(pattern=r"^[A-Za-z0-9._@-]{1,64}$")
    password: SecretStr = Field(min_length=1, max_length=256)


class UserOut(BaseModel):
    """A member of staff."""

    id: str
    username: str
    display_name: str
    roles: list[str]


class SignedIn(BaseModel):
    """A staff session; its token is also set as a cookie."""

    token: str
    user: UserOut
    expires_at: datetime


class EscalationList(BaseModel):
    """The queue, most urgent first."""

    items: list[EscalationView]


class StaffConversation(StaffConversationView):
    """A conversation with its call for a person."""

    escalation: EscalationView | None


class ClaimedOut(BaseModel):
    """A claimed call and its conversation."""

    escalation: EscalationView
    conversation: StaffConversation


class TakeOverIn(Body):
    """The version that was read; If-Match does the same."""

    version: int | None = Field(None, ge=0, le=2**31 - 1)


class ResolveIn(Body):
    """How it ended. A crisis call needs one of its four outcomes, and a note."""

    disposition: str = Field(
        pattern=r"^[a-z][a-z_]{1,40}$",
        description="what came of it, as a code and never in words about the patient; of a crisis call: reached, "
        "not_reached, emergency_services or crisis_team",
    )
    note: CleanText | None = Field(
        None, max_length=500, description="for the team, kept encrypted; required for a crisis call"
    )
    follow_up_minutes: int | None = Field(
        None, ge=5, le=2_880,
        description="after not_reached of a crisis call: when the patient is to be tried again; 30 if left out",
    )  # fmt: skip


class RevealIn(Body):
    """Why the unredacted text is needed; the reason is audited."""

    reason: CleanText = Field(min_length=3, max_length=200)


class RevealedOut(BaseModel):
    """Messages as they were written."""

    items: list[MessageView]


class AdapterOut(BaseModel):
    """A registered adapter version."""

    version: str
    name: str
    content_sha256: str
    status: str
    created_at: datetime
    manifest: dict[str, Any]
    gate: dict[str, Any] | None


class LiveOut(BaseModel):
    """What patients get now; ``epoch`` is the compare-and-set value; a null version is the base model."""

    channel: str
    version: str | None
    previous: str | None
    epoch: int


class AdapterList(BaseModel):
    """All versions, and the pointer."""

    items: list[AdapterOut]
    live: LiveOut


class AdapterIn(Body):
    """A folder on the server, under one of the allowed import folders."""

    path: CleanText = Field(min_length=1, max_length=1_000)


class MoveIn(Body):
    """The epoch that was read; a promotion or rollback meanwhile then refuses this one."""

    expected_epoch: int | None = Field(None, ge=0, le=2**31 - 1)


class Moved(BaseModel):
    """The pointer after a promotion or rollback."""

    live: LiveOut


class ArticleOut(BaseModel):
    """An approved article, for lists."""

    id: str
    version: int
    title: str
    topic: str
    audience: str
    owner: str
    reviewed: str
    review_by: str
    expired: bool


class ArticleList(BaseModel):
    """All current articles."""

    items: list[ArticleOut]


class PoliciesOut(BaseModel):
    """The policy bundle that judges turns in this process."""

    version: str
    hash: str = Field(description="SHA-256 over the bundle's files; every decision is stored with it")
    loaded_at: datetime
    previous_hash: str | None = Field(description="the bundle before; null since the start")
    rules: int = Field(description="rules of triage, scope and attacks")
    unreviewed: int = Field(description="triage rules that no clinician has reviewed")
    signature: Literal["unsigned", "unverified", "valid", "invalid"]
    strict: bool = Field(description="bundles that are unsigned, expired or unreviewed are refused")
    warnings: list[str]


class ReloadedOut(BaseModel):
    """What a reload did; `changed` is false if the files are those in force."""

    changed: bool
    policies: PoliciesOut


class AuditEntryOut(BaseModel):
    """One entry of the audit log."""

    id: int
    at: datetime
    actor: str
    action: str
    subject: str
    details: dict[str, Any]
    hash: str


class AuditList(BaseModel):
    """The newest entries, newest first."""

    items: list[AuditEntryOut]


class AuditVerified(BaseModel):
    """Whether the chain is whole. Keep ``head`` and ``entries`` elsewhere: a cut-off end shows only against them."""

    intact: bool
    entries: int
    broken_at: int | None
    head: str


class Alive(BaseModel):
    """The process is up."""

    status: Literal["ok"]


class EngineOut(BaseModel):
    """The engine as the service sees it."""

    state: str
    detail: str
    model: str


class Ready(BaseModel):
    """What can be served now."""

    ready: bool
    database: bool
    engine: EngineOut
    adapter: str | None
    articles: int
    answers: Literal["nothing", "emergency and approved passages", "everything"]
