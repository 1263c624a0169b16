"""Conversations of a patient: write, read, listen, ask for a person, rate, take along, erase."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Header, Query, Response
from fastapi.responses import PlainTextResponse
from fastapi.sse import EventSourceResponse, ServerSentEvent

from app.api.deps import ActingPatientDep, Id, KeyDep, OwnConversationDep, PatientDep, ServicesDep, SessionDep
from app.api.errors import documented
from app.api.schemas import Empty, FeedbackIn, HandoffIn, MessageIn, PostedOut
from app.api.sse import OpenStreams, conversation_stream, resume_from
from app.conversations.schemas import ConversationView, MessagePage
from app.errors import (
    ConflictError,
    ConversationClosed,
    IdempotencyMismatch,
    InvalidContent,
    LegalHold,
    MessageEmpty,
    MessageTooLong,
    NotFound,
    NotSignedIn,
    SessionExpired,
    StoreUnavailable,
    TooManyRequests,
)

LONGEST_WAIT_S = 60
ERASE_WAIT_S = 10.0
"""How long erasing waits for the last message to be dealt with: it may be an emergency."""

_WAIT = re.compile(r"(?:^|[,;\s])wait\s*=\s*(\d{1,4})(?:$|[,;\s])")
_ALWAYS = (NotSignedIn, SessionExpired, StoreUnavailable)
_OWN = (*_ALWAYS, NotFound)
_ACT = (*_OWN, TooManyRequests)
_SEND = (*_ACT, MessageEmpty, MessageTooLong, InvalidContent, ConversationClosed, IdempotencyMismatch)
_IN_TIME: dict[int | str, dict[str, Any]] = {
    200: {"model": PostedOut, "description": "the reply came within Prefer: wait"}
}


def build_router() -> APIRouter:
    """``/v1/conversations`` and ``/v1/messages``."""
    router = APIRouter(prefix="/v1", tags=["patient"])
    _add_state(router)
    _add_messages(router)
    _add_leaving(router)
    return router


def _add_state(router: APIRouter) -> None:
    @router.post(
        "/conversations", status_code=201, summary="Open a conversation", response_model=ConversationView,
        responses=documented(*_ALWAYS, TooManyRequests, IdempotencyMismatch),
    )  # fmt: skip
    async def open_conversation(
        services: ServicesDep, patient: ActingPatientDep, body: Empty | None = None, key: KeyDep = None
    ) -> ConversationView:
        """A new conversation, held by the assistant."""
        return await services.conversations.create(patient.session_id, patient.language, key)

    @router.get(
        "/conversations/{conversation_id}", summary="Who speaks now", response_model=ConversationView,
        responses=documented(*_OWN),
    )  # fmt: skip
    async def read_conversation(conversation: OwnConversationDep, response: Response) -> ConversationView:
        """State of the conversation; the ETag is its version."""
        response.headers["ETag"] = f'"{conversation.version}"'
        return conversation

    @router.post(
        "/conversations/{conversation_id}/handoff", status_code=202, summary="Ask for a person",
        response_model=ConversationView, responses=documented(*_ACT, ConversationClosed),
    )  # fmt: skip
    async def hand_off(
        conversation_id: Id, services: ServicesDep, patient: ActingPatientDep, body: HandoffIn | None = None
    ) -> ConversationView:
        """Silence the assistant and put the conversation into the queue of people. Asking again changes nothing."""
        reason = (body.reason if body is not None else None) or ""
        return await services.conversations.hand_off(patient.session_id, conversation_id, reason)

    streams = OpenStreams()

    @router.get(
        "/conversations/{conversation_id}/events", summary="Follow the conversation",
        response_class=EventSourceResponse, responses=documented(*_ACT), dependencies=[Depends(streams.of_patient)],
    )  # fmt: skip
    async def follow(
        conversation: OwnConversationDep,
        services: ServicesDep,
        patient: PatientDep,
        after: Annotated[int, Depends(resume_from)],
    ) -> AsyncIterator[ServerSentEvent]:
        """Server-sent events with dense numbers; ``Last-Event-ID`` resumes without loss or doubling.

        The types, and what their data hold as JSON:

        - `message.created`: `message` (`MessageView`); a reply begins without text
        - `message.delta`: `message_id`, and `text` to append
        - `message.completed`: `message` (`MessageView`), whole
        - `message.retracted`: `message_id`, `reason`; take away what was shown of it
        - `conversation.status`: `conversation` (`ConversationView`)
        - `safety.crisis`: `message_id`, `tier`, `category`, `text`, `language`, `routes` (`RouteView`)
        - `typing`: `who`, `on`
        - `resync`: nothing; read the messages again

        The stream ends with the session, which may have a few open at once.
        """
        async for event in conversation_stream(services, patient, conversation, after):
            yield event


def _add_messages(router: APIRouter) -> None:
    @router.post(
        "/conversations/{conversation_id}/messages", status_code=202, summary="Send a message",
        response_model=PostedOut, responses=documented(*_SEND, also=_IN_TIME),
    )  # fmt: skip
    async def send_message(
        conversation_id: Id,
        body: MessageIn,
        services: ServicesDep,
        patient: ActingPatientDep,
        response: Response,
        key: KeyDep = None,
        prefer: Annotated[str, Header(description="wait=30 waits up to 30 s for the whole reply")] = "",
    ) -> PostedOut:
        """Store the message. The reply is written apart from this request and comes by events, or with Prefer: wait.

        Every refusal holds ``emergency``, a sentence with the site's emergency number. If the text reads urgent, it
        holds ``safety_text`` and ``routes`` too, also without a session; show them at once. How many messages of
        strangers and over the rate limit are triaged for that is bounded: then ``emergency`` comes alone.
        """
        owner = patient.session_id
        posted = await services.conversations.post_message(owner, conversation_id, body.text, key)
        out = PostedOut(message=posted.message, reply_id=posted.reply_id)
        wanted = _WAIT.search(prefer)
        if wanted is not None and posted.reply_id is not None:
            seconds = min(int(wanted[1]), LONGEST_WAIT_S)
            out.reply = await services.conversations.wait_reply(conversation_id, posted.reply_id, seconds)
        if out.reply is not None and wanted is not None:
            response.status_code = 200
            response.headers["Preference-Applied"] = f"wait={wanted[1]}"
        return out

    @router.get(
        "/conversations/{conversation_id}/messages", summary="Read messages", response_model=MessagePage,
        responses=documented(*_OWN),
    )  # fmt: skip
    async def read_messages(
        conversation_id: Id,
        services: ServicesDep,
        patient: PatientDep,
        after: Annotated[int, Query(ge=0, le=2**53, description="`position` of the last message that is known")] = 0,
        limit: Annotated[int, Query(ge=1, le=200, description="most messages of a page")] = 50,
    ) -> MessagePage:
        """Messages after a position, oldest first. Follow events from ``last_seq`` on."""
        return await services.conversations.messages(patient.session_id, conversation_id, after, limit)

    @router.put("/messages/{message_id}/feedback", status_code=204, summary="Rate a reply", responses=documented(*_ACT))
    async def rate(message_id: Id, body: FeedbackIn, services: ServicesDep, patient: ActingPatientDep) -> None:
        """A thumb on a finished reply of the assistant; the last one counts."""
        await services.conversations.rate(patient.session_id, message_id, body.rating, body.reason)


def _add_leaving(router: APIRouter) -> None:
    @router.get(
        "/conversations/{conversation_id}/transcript", summary="Download the conversation",
        response_class=PlainTextResponse, responses=documented(*_OWN),
    )  # fmt: skip
    async def transcript(conversation_id: Id, services: ServicesDep, patient: PatientDep) -> PlainTextResponse:
        """The whole conversation as plain text."""
        words = await services.conversations.transcript(patient.session_id, conversation_id)
        headers = {"Content-Disposition": 'attachment; filename="conversation.txt"', "Cache-Control": "no-store"}
        return PlainTextResponse(words, headers=headers)

    @router.post(
        "/conversations/{conversation_id}/close", summary="End the conversation", response_model=ConversationView,
        responses=documented(*_ACT),
    )  # fmt: skip
    async def close(
        conversation_id: Id, services: ServicesDep, patient: ActingPatientDep, body: Empty | None = None
    ) -> ConversationView:
        """Nothing can be added any more. An emergency stays in the queue of people."""
        return await services.conversations.close(patient.session_id, conversation_id)

    @router.delete(
        "/conversations/{conversation_id}", status_code=204, summary="Erase the conversation",
        responses=documented(*_ACT, ConflictError, LegalHold),
    )  # fmt: skip
    async def erase(conversation_id: Id, services: ServicesDep, session: SessionDep, patient: ActingPatientDep) -> None:
        """Delete all its text, once the last message is dealt with.

        Refused (409) while a person still has to look at an emergency, if the last message takes too long (it may be
        one), or while the hospital has to keep it by law. End the conversation first, and it does not.
        """
        await services.conversations.wait_turns(patient.session_id, conversation_id, ERASE_WAIT_S)
        await services.conversations.erase(session, patient.session_id, conversation_id)
        await services.audit.append(session, "patient", "conversation.erase", conversation_id)
