"""What a patient and a member of staff see of a conversation; the same models are the API's and the events' JSON."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any, Literal

from pydantic import BaseModel, Field

Handler = Literal["assistant", "waiting", "staff", "closed"]
Author = Literal["patient", "assistant", "staff", "system"]
Status = Literal["streaming", "complete", "retracted", "superseded"]


class RouteView(BaseModel):
    """Somebody to call, from site.yaml and the lines of its country, in the language of the message that names them."""

    route: str
    label: str
    phone: str | None
    text_line: str | None = Field(None, description="number for text messages")
    text_word: str = Field("", description="what the text message must say; empty if anything will do")
    chat: str | None = Field(None, description="the line's own page")
    note: str = Field(description="what the site says about the line, else its hours")


class CitationView(BaseModel):
    """The approved article under an answer, and the words in it that carry the answer."""

    article_id: str
    title: str
    quote: str
    reviewed: date
    url: str = Field(description="page of the article, relative to the service")


class ChoiceView(BaseModel):
    """An article that a clarifying question offers; sending its title as the next message chooses it."""

    article_id: str
    title: str


class MessageView(BaseModel):
    """One message. ``position`` orders the messages of a conversation; it has gaps."""

    id: str
    position: int
    author: Author
    author_name: str
    text: str
    language: str | None = Field(
        None,
        description="of a safety text, which is in the one that the patient wrote in: what stands around the text, and "
        "the labels of `routes`, are in it; null on other messages, which are in that of the conversation",
    )
    status: Status
    kind: str = Field("", description="how a reply came about: answer, fallback, clarify, redirect, emergency, …")
    tier: str = Field("none", description="urgency that triage saw")
    category: str = Field(
        "", description="what triage saw, such as cardiac or abuse; after abuse or violence offer a quick way to leave"
    )
    routes: list[RouteView] = Field(default_factory=list)
    citations: list[CitationView] = Field(default_factory=list)
    choices: list[ChoiceView] = Field(
        default_factory=list,
        description="of a clarifying question (clarify) the two or three articles between which the patient is asked; "
        "the text lists them too, and a reply in words is understood as well",
    )
    in_reply_to: str | None = None
    created_at: datetime
    feedback: Literal["up", "down"] | None = None


class HitView(BaseModel):
    """A check that had something to say about a message."""

    stage: str
    rule: str
    detail: str


class StaffMessageView(MessageView):
    """A message as staff see it: identifiers replaced, with what the checks said and which adapter wrote it."""

    hits: list[HitView] = Field(default_factory=list)
    adapter: str | None = None
    prompt_version: str = ""
    policy_hash: str = ""


class ConversationView(BaseModel):
    """Who speaks now, and how long the wait is."""

    id: str
    handler: Handler
    who: str = Field(description="what the header shows, such as 'AI assistant' or 'Maria, care team'")
    staff_name: str | None
    queue_position: int | None = Field(description="1 is next; only while waiting")
    waiting_text: str | None
    version: int = Field(description="also the ETag")
    last_seq: int = Field(description="number of the newest event")
    created_at: datetime


class StaffConversationView(BaseModel):
    """A conversation as staff see it, without its escalation (the API adds it)."""

    id: str
    handler: Handler
    staff_id: str | None
    staff_name: str | None
    version: int
    epoch: int
    language: str
    messages: list[StaffMessageView]
    created_at: datetime


class MessagePage(BaseModel):
    """Messages in order. ``last_seq`` is the newest event that this page already holds: listen on from there."""

    items: list[MessageView]
    next: int | None
    last_seq: int


class Posted(BaseModel):
    """A stored patient message and the id that its reply has or will have; None where the assistant does not reply."""

    message: MessageView
    reply_id: str | None
    repeated: bool = False


class LoggedEvent(BaseModel):
    """One event of the log, as it goes on the wire."""

    seq: int
    type: str
    data: dict[str, Any]
