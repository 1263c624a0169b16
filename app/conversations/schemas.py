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

    route: str = Field(description="which one, such as 911, 988, poison_control or nurse_line")
    label: str = Field(description="name to show")
    phone: str | None = Field(description="as it is to be shown; null if the line has none")
    text_line: str | None = Field(None, description="number for text messages")
    text_word: str = Field("", description="what the text message must say; empty if anything will do")
    chat: str | None = Field(None, description="the line's own page")
    note: str = Field(description="what the site says about the line, else its hours")


class CitationView(BaseModel):
    """The approved article under an answer, and the words in it that carry the answer."""

    article_id: str
    title: str = Field(description="of the article")
    quote: str = Field(description="the passage's own words")
    reviewed: date = Field(description="day of the article's last review")
    url: str = Field(description="page of the article, relative to the service")


class ChoiceView(BaseModel):
    """An article that a clarifying question offers; sending its title as the next message chooses it."""

    article_id: str
    title: str = Field(description="to show, and to send")


class MessageView(BaseModel):
    """One message. ``position`` orders the messages of a conversation; it has gaps."""

    id: str
    position: int
    author: Author = Field(description="`system`: a fixed text, where the assistant may not speak")
    author_name: str = Field(description="name to show; empty for the patient")
    text: str = Field(
        description="plain text; of a reply under way what was shown so far, of a retracted or superseded one empty"
    )
    language: str | None = Field(
        None,
        description="of a safety text, which is in the one that the patient wrote in: what stands around the text, and "
        "the labels of `routes`, are in it; null on other messages, which are in that of the conversation",
    )
    status: Status = Field(
        description="`streaming`: being written; `retracted`: taken back; `superseded`: a person took over before"
    )
    kind: str = Field(
        "",
        description="how a reply came about: answer, fallback, redirect, decline, handoff, disclose, emergency, "
        "no_answer or clarify; empty on what is no reply",
    )
    tier: str = Field("none", description="urgency that triage saw: none, routine, same_day, urgent or emergency")
    category: str = Field(
        "", description="what triage saw, such as cardiac or abuse; after abuse or violence offer a quick way to leave"
    )
    routes: list[RouteView] = Field(default_factory=list, description="lines to call, to show beside the text")
    citations: list[CitationView] = Field(
        default_factory=list, description="approved articles that the answer stands on"
    )
    choices: list[ChoiceView] = Field(
        default_factory=list,
        description="of a clarifying question (clarify) the two or three articles between which the patient is asked; "
        "the text lists them too, and a reply in words is understood as well",
    )
    in_reply_to: str | None = Field(None, description="id of the message that it answers")
    created_at: datetime
    feedback: Literal["up", "down"] | None = Field(None, description="the patient's thumb, if there is one")


class HitView(BaseModel):
    """A check that had something to say about a message."""

    stage: str = Field(description="step that said it, such as triage or output")
    rule: str = Field(description="id of the rule or name of the check")
    detail: str = Field(description="what it found; never a patient's words")


class StaffMessageView(MessageView):
    """A message as staff see it: identifiers replaced, with what the checks said and which adapter wrote it."""

    hits: list[HitView] = Field(default_factory=list, description="what the checks said")
    adapter: str | None = Field(None, description="version that wrote it; null if no adapter did")
    prompt_version: str = Field("", description="of the prompt that the model was given; empty if it was not asked")
    policy_hash: str = Field("", description="of the policy bundle that judged it; empty if none did")


class ConversationView(BaseModel):
    """Who speaks now, and how long the wait is."""

    id: str
    handler: Handler = Field(description="who speaks: `waiting` is for a person; nothing can be added once `closed`")
    who: str = Field(description="what the header shows, such as 'AI assistant' or 'Maria, care team'")
    staff_name: str | None = Field(description="who speaks, while it is a member of staff")
    queue_position: int | None = Field(description="1 is next; only while waiting")
    waiting_text: str | None = Field(description="what to show while waiting; null otherwise")
    version: int = Field(description="also the ETag")
    last_seq: int = Field(description="number of the newest event")
    created_at: datetime


class StaffConversationView(BaseModel):
    """A conversation as staff see it, without its escalation (the API adds it)."""

    id: str
    handler: Handler = Field(description="who speaks: `waiting` is for a person; nothing can be added once `closed`")
    staff_id: str | None = Field(description="account that holds the conversation")
    staff_name: str | None = Field(description="her name")
    version: int = Field(description="grows with each change; also the ETag, and what If-Match is compared with")
    epoch: int = Field(description="grows with each change of the speaker")
    language: str = Field(description="of the conversation, ISO 639")
    messages: list[StaffMessageView] = Field(description="oldest first, identifiers replaced")
    created_at: datetime


class MessagePage(BaseModel):
    """Messages in order. ``last_seq`` is the newest event that this page already holds: listen on from there."""

    items: list[MessageView] = Field(description="oldest first")
    next: int | None = Field(description="send it as `after` for the next page; null on the last one")
    last_seq: int = Field(description="send it as Last-Event-ID")


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
