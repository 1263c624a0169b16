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
    language: Literal["en", "es"] = Field("en", description="that the assistant and the fixed texts speak")


class SessionOut(BaseModel):
    """``token`` cannot be read again; send it as ``Authorization: Bearer``."""

    session_id: str = Field(description="id of the session; not a secret, and no use as a token")
    token: str = Field(description="secret; send it with every request of this patient")
    expires_at: datetime = Field(description="the token is refused from then on")
    consented: bool = Field(
        description="whether the current notice counts as accepted; without that only emergencies are answered"
    )


class ConsentIn(Body):
    """Acceptance of a version of the notice."""

    notice_version: str = Field(
        pattern=r"^[\w.-]{1,32}$",
        description="`notice.version` of GET /v1/widget/config, as it was shown; another one is refused (412)",
    )


class ConsentOut(BaseModel):
    """Consent is kept."""

    consented: bool = Field(description="true: questions are answered from now on")


class Empty(Body):
    """No fields."""


class MessageIn(Body):
    """A message. Its length is checked against the service's own limit."""

    text: str = Field(description="plain text of at most `max_characters` (GET /v1/widget/config)")


class PostedOut(BaseModel):
    """The stored message; ``reply`` is set if it was waited for (Prefer: wait) and came in time."""

    message: MessageView = Field(description="the message as it is stored")
    reply_id: str | None = Field(
        description="id that the reply has or will have; null if no reply of the assistant follows"
    )
    reply: MessageView | None = Field(
        None, description="the whole reply; null if it was not waited for or did not come in time"
    )


class HandoffIn(Body):
    """Asking for a person."""

    reason: CleanText | None = Field(
        None, max_length=500, description="why, in the patient's words; the care team reads it"
    )


class FeedbackIn(Body):
    """A thumb, and why."""

    rating: Literal["up", "down"] = Field(description="whether the reply helped")
    reason: CleanText = Field("", max_length=500, description="why, in the patient's words")


class SiteOut(BaseModel):
    """The hospital."""

    id: str = Field(description="from its site.yaml")
    name: str = Field(description="full name")
    short_name: str = Field(description="for narrow places")
    phone: str = Field(description="main number, as it is to be shown")
    demonstration: bool = Field(description="true: the hospital is invented; not for patients")


class NoticeOut(BaseModel):
    """What is accepted before the assistant answers."""

    version: str = Field(description="send it to PUT /v1/sessions/consent")
    text: list[str] = Field(description="its paragraphs, in the language that was asked for")
    ai_label: str = Field(description="stands beside the assistant's name all the time")


class WidgetConfig(BaseModel):
    """What the widget shows before anything is sent."""

    site: SiteOut = Field(description="the hospital")
    assistant_name: str = Field(description="what the assistant is called")
    languages: list[str] = Field(description="that the hospital offers, as ISO 639 codes; the first is its own")
    notice: NoticeOut = Field(description="to be accepted first")
    emergency: list[RouteView] = Field(description="lines to show whether or not anything was asked")
    retention_days: int = Field(description="days after which a conversation is deleted")
    max_characters: int = Field(description="longest message that is taken, in characters")
    chat_open: bool = Field(description="people answer at this moment")
    chat_hours_text: str = Field(description="when people answer, in words")


class SignInIn(Body):
    """Name and password of a local account."""

    username: str = Field(pattern=r"^[A-Za-z0-9._@-]{1,64}$", description="name of the account")
    password: SecretStr = Field(min_length=1, max_length=256, description="its password")


class UserOut(BaseModel):
    """A member of staff."""

    id: str
    username: str = Field(description="name to sign in with")
    display_name: str = Field(description="what patients see")
    roles: list[str] = Field(
        description="`staff` (conversations), `admin` (adapters, articles, policies, audit log), or both"
    )


class SignedIn(BaseModel):
    """A staff session; its token is also set as a cookie."""

    token: str = Field(description="secret; send it with every request, or use the cookie")
    user: UserOut = Field(description="who signed in")
    expires_at: datetime = Field(description="end of the session, which a while without requests ends too")


class EscalationList(BaseModel):
    """The queue, most urgent first."""

    items: list[EscalationView] = Field(description="at most 200 calls")


class StaffConversation(StaffConversationView):
    """A conversation with its call for a person."""

    escalation: EscalationView | None = Field(description="the open call, else the last one; null if there was none")


class ClaimedOut(BaseModel):
    """A claimed call and its conversation."""

    escalation: EscalationView = Field(description="the call, now the caller's")
    conversation: StaffConversation = Field(description="the conversation that it is about")


class TakeOverIn(Body):
    """The version that was read; If-Match does the same."""

    version: int | None = Field(
        None,
        ge=0,
        le=2**31 - 1,
        description="`version` of the conversation that was read; refused (412) if it has changed since",
    )


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

    reason: CleanText = Field(
        min_length=3, max_length=200, description="kept in the audit log as it is written: no names of patients"
    )


class RevealedOut(BaseModel):
    """Messages as they were written."""

    items: list[MessageView] = Field(description="all messages, oldest first, not redacted")


class AdapterOut(BaseModel):
    """A registered adapter version."""

    version: str = Field(description="its name in all other requests, such as support@0123456789ab")
    name: str = Field(description="what versions of it have in common")
    content_sha256: str = Field(description="SHA-256 over the adapter's files")
    status: str = Field(description="`gated` if it came with a gate report, else `candidate`")
    created_at: datetime
    manifest: dict[str, Any] = Field(description="what it was trained from and how, as written by the training")
    gate: dict[str, Any] | None = Field(
        description="gate report; null if there is none, and then it cannot be promoted"
    )
    signed: str = Field(
        description="which clinicians have signed for it, in words; empty where the service asks for no sign-offs"
    )


class LiveOut(BaseModel):
    """What patients get now; ``epoch`` is the compare-and-set value; a null version is the base model."""

    channel: str = Field(description="name of the pointer; there is one, `live`")
    version: str | None = Field(description="adapter that answers now")
    previous: str | None = Field(description="adapter that a rollback gives back; null is the base model")
    epoch: int = Field(description="grows by one with each promotion and rollback")


class AdapterList(BaseModel):
    """All versions, and the pointer."""

    items: list[AdapterOut] = Field(description="newest first")
    live: LiveOut = Field(description="what patients get now")


class AdapterIn(Body):
    """A folder on the server, under one of the allowed import folders."""

    path: CleanText = Field(min_length=1, max_length=1_000, description="absolute path of the folder")


class MoveIn(Body):
    """The epoch that was read; a promotion or rollback meanwhile then refuses this one."""

    expected_epoch: int | None = Field(
        None, ge=0, le=2**31 - 1, description="`live.epoch` as it was read; left out: whatever it is now"
    )


class Moved(BaseModel):
    """The pointer after a promotion or rollback."""

    live: LiveOut = Field(description="what patients get from now on")


class ArticleOut(BaseModel):
    """An approved article, for lists."""

    id: str = Field(description="part of its address, /articles/ID")
    version: int = Field(description="grows by one with each change of the text")
    title: str
    topic: str = Field(description="what it is about, in a word")
    audience: str = Field(description="whom it is written for, such as patients or parents")
    owner: str = Field(description="department that answers for it")
    reviewed: str = Field(description="day of its last review, YYYY-MM-DD")
    review_by: str = Field(description="last day on which it may be cited, YYYY-MM-DD")
    expired: bool = Field(description="`review_by` has passed: it is not cited any more")


class ArticleList(BaseModel):
    """All current articles."""

    items: list[ArticleOut] = Field(description="by title")


class PoliciesOut(BaseModel):
    """The policy bundle that judges turns in this process."""

    version: str = Field(description="as its authors named it")
    hash: str = Field(description="SHA-256 over the bundle's files; every decision is stored with it")
    loaded_at: datetime = Field(description="when this process put it in force")
    previous_hash: str | None = Field(description="the bundle before; null since the start")
    rules: int = Field(description="rules of triage, scope and attacks")
    unreviewed: int = Field(description="triage rules that no clinician has reviewed")
    signature: Literal["unsigned", "unverified", "valid", "invalid"] = Field(
        description="`unverified`: signed, but no key is set to check it with"
    )
    strict: bool = Field(description="bundles that are unsigned, expired or unreviewed are refused")
    warnings: list[str] = Field(description="what speaks against the bundle, a sentence each")


class ReloadedOut(BaseModel):
    """What a reload did; `changed` is false if the files are those in force."""

    changed: bool = Field(description="a new bundle is in force")
    policies: PoliciesOut = Field(description="what is in force now")


class AuditEntryOut(BaseModel):
    """One entry of the audit log."""

    id: int = Field(description="grows with each entry")
    at: datetime
    actor: str = Field(description="username; without an account `patient`, `system` and the like")
    action: str = Field(description="what was done, such as conversation.read")
    subject: str = Field(description="id of what it was done to")
    details: dict[str, Any] = Field(description="ids, names of fields and codes that belong to the act")
    hash: str = Field(description="SHA-256 (hex) over this entry and the hash before it")


class AuditList(BaseModel):
    """The newest entries, newest first."""

    items: list[AuditEntryOut] = Field(description="as many as were asked for, if there are so many")


class AuditVerified(BaseModel):
    """Whether the chain is whole. Keep ``head`` and ``entries`` elsewhere: a cut-off end shows only against them."""

    intact: bool = Field(description="no entry was changed or is missing in between")
    entries: int = Field(description="entries that were found right")
    broken_at: int | None = Field(description="id of the first entry that does not fit; null if all do")
    head: str = Field(description="hash of the last entry that fits")


class Alive(BaseModel):
    """The process is up."""

    status: Literal["ok"]


class EngineOut(BaseModel):
    """The engine as the service sees it."""

    state: str = Field(description="`starting`, `ready` or `down`")
    detail: str = Field(description="why, in a sentence")
    model: str = Field(description="base model that it serves; empty if it is not known")


class Ready(BaseModel):
    """What can be served now."""

    ready: bool = Field(description="patients can be served")
    database: bool = Field(description="it answers")
    engine: EngineOut = Field(description="not needed for `ready`")
    adapter: str | None = Field(description="adapter version that is live; null is the base model")
    articles: int = Field(description="approved articles that can be cited")
    answers: Literal["nothing", "emergency and approved passages", "everything"] = Field(
        description="what patients get now"
    )
