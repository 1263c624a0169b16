"""Staff: the queue, and the conversations that they hold. Reads of conversations are audited."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from datetime import timedelta
from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Query, Response
from fastapi.sse import EventSourceResponse, ServerSentEvent
from sqlalchemy.ext.asyncio import AsyncSession

from app.api.deps import Id, KeyDep, Services, ServicesDep, SessionDep, SignedInDep, StaffDep, VersionDep
from app.api.errors import documented
from app.api.schemas import (
    ClaimedOut,
    Empty,
    EscalationList,
    MessageIn,
    ResolveIn,
    RevealedOut,
    RevealIn,
    StaffConversation,
    TakeOverIn,
)
from app.api.sse import OpenStreams, staff_stream
from app.audit.reads import Read, note_read
from app.auth.staff import Staff
from app.conversations.schemas import StaffMessageView
from app.errors import (
    AlreadyClaimed,
    ConversationClosed,
    Forbidden,
    IdempotencyMismatch,
    InvalidContent,
    MessageEmpty,
    MessageTooLong,
    NotFound,
    NotSignedIn,
    OutcomeRequired,
    SessionExpired,
    StoreUnavailable,
    TooManyRequests,
    VersionConflict,
)
from app.escalations.service import Ending

_ALWAYS = (NotSignedIn, SessionExpired, Forbidden, StoreUnavailable)
_ONE = (*_ALWAYS, NotFound)
_WRITE = (*_ONE, ConversationClosed, IdempotencyMismatch, MessageEmpty, MessageTooLong, InvalidContent)
_CHANGE = (*_ONE, AlreadyClaimed, VersionConflict, ConversationClosed)
_END = (*_CHANGE, OutcomeRequired)


def build_router() -> APIRouter:
    """``/v1/staff``: escalations, conversations, events."""
    router = APIRouter(prefix="/v1/staff", tags=["staff"])
    _add_queue(router)
    _add_reading(router)
    _add_speaking(router)
    return router


def _add_queue(router: APIRouter) -> None:
    @router.get("/escalations", summary="The queue", response_model=EscalationList, responses=documented(*_ALWAYS))
    async def queue(
        services: ServicesDep,
        session: SessionDep,
        staff: StaffDep,
        status: Annotated[
            Literal["waiting", "claimed", "all"], Query(description="`all`: resolved ones too")
        ] = "waiting",
    ) -> EscalationList:
        """Calls for a person, most urgent first (priority, then due time). Previews are redacted.

        A waiting call with `follow_up_at` is a crisis call whose patient was not reached; it is due then. Audited,
        once for a session and ten minutes.
        """
        found = await services.escalations.listed(session, status)
        await _note_queue_read(services, session, staff)
        return EscalationList(items=found)

    @router.post(
        "/escalations/claim-next", summary="Take the most urgent call", response_model=ClaimedOut,
        responses=documented(*_ALWAYS, also={204: {"description": "nobody waits"}}),
    )  # fmt: skip
    async def claim_next(
        services: ServicesDep, session: SessionDep, staff: StaffDep, body: Empty | None = None
    ) -> ClaimedOut | Response:
        """Claim a call and silence the assistant in one step; no two callers get the same one.

        A crisis call whose patient was not reached is left alone until its follow-up is due.
        """
        claimed = await services.escalations.claim_next(session, staff.id)
        if claimed is None:
            return Response(status_code=204)
        conversation = await _conversation(services, session, claimed.conversation_id)
        await services.audit.append(session, staff.username, "conversation.claim_next", claimed.conversation_id)
        return ClaimedOut(escalation=claimed, conversation=conversation)

    streams = OpenStreams()

    @router.get(
        "/events", summary="Follow the queue", response_class=EventSourceResponse,
        responses=documented(*_ALWAYS, TooManyRequests),
        dependencies=[Depends(streams.of_staff), Depends(_noted_as_read)],
    )  # fmt: skip
    async def follow(services: ServicesDep, staff: SignedInDep) -> AsyncIterator[ServerSentEvent]:
        """Server-sent events from now on: their types, and what their data hold as JSON.

        - `escalation.created`, `escalation.claimed`, `escalation.resolved`: `escalation` (`EscalationView`)
        - `message.created`: `conversation_id`, `message_id`
        - `adapter.changed`: `channel`, `version`

        Without the role staff only adapter.changed; with it, following is audited like reading the queue. The stream
        ends with the session, which may have a few open at once. After a break read the queue again.
        """
        async for event in staff_stream(services, staff):
            yield event


async def _noted_as_read(services: ServicesDep, staff: SignedInDep) -> None:
    """A stream with previews of the queue begins. For streams: the transaction ends before the first event."""
    if staff.has("staff"):
        async with services.database.session() as session:
            await _note_queue_read(services, session, staff)


async def _note_queue_read(services: Services, session: AsyncSession, staff: Staff) -> None:
    read = Read(staff.username, staff.session_id, "queue.read", "escalations")
    await note_read(session, services.audit, read)


def _add_reading(router: APIRouter) -> None:
    @router.get(
        "/conversations/{conversation_id}", summary="Read a conversation", response_model=StaffConversation,
        responses=documented(*_ONE),
    )  # fmt: skip
    async def read(
        conversation_id: Id, services: ServicesDep, session: SessionDep, staff: StaffDep, response: Response
    ) -> StaffConversation:
        """The whole conversation with identifiers replaced, and what the checks said. Audited."""
        found = await _conversation(services, session, conversation_id)
        await services.audit.append(session, staff.username, "conversation.read", conversation_id)
        response.headers["ETag"] = f'"{found.version}"'
        return found

    @router.post(
        "/conversations/{conversation_id}/reveal", summary="Read unredacted", response_model=RevealedOut,
        responses=documented(*_ONE),
    )  # fmt: skip
    async def reveal(
        conversation_id: Id, body: RevealIn, services: ServicesDep, session: SessionDep, staff: StaffDep
    ) -> RevealedOut:
        """The messages as they were written, for a stated reason. Only for who holds its open call. Audited."""
        call = (await _conversation(services, session, conversation_id)).escalation
        if call is None or call.status != "claimed" or call.staff_id != staff.id:
            raise Forbidden("only who holds the open call may read this: take the conversation over first")
        items = await services.conversations.reveal(session, conversation_id)
        details = {"reason": body.reason}
        await services.audit.append(session, staff.username, "conversation.reveal", conversation_id, details)
        return RevealedOut(items=items)


def _add_speaking(router: APIRouter) -> None:
    @router.post(
        "/conversations/{conversation_id}/take-over", summary="Take a conversation over",
        response_model=StaffConversation, responses=documented(*_CHANGE),
    )  # fmt: skip
    async def take_over(
        conversation_id: Id, services: ServicesDep, session: SessionDep, staff: StaffDep, if_match: VersionDep,
        response: Response, body: TakeOverIn | None = None,
    ) -> StaffConversation:  # fmt: skip
        """Become the speaker; the assistant is silenced in the same statement.

        Of a conversation that has ended only the call is taken, if one waits.
        """
        version = if_match if if_match is not None else (body.version if body is not None else None)
        await services.escalations.take_over(session, conversation_id, staff.id, version)
        return await _changed(services, session, staff.username, "conversation.take_over", conversation_id, response)

    @router.post(
        "/conversations/{conversation_id}/messages", status_code=201, summary="Write to the patient",
        response_model=StaffMessageView,
        responses=documented(*_WRITE),
    )  # fmt: skip
    async def write(
        conversation_id: Id,
        body: MessageIn,
        services: ServicesDep,
        session: SessionDep,
        staff: StaffDep,
        key: KeyDep = None,
    ) -> StaffMessageView:
        """Only for who holds the conversation. The patient sees it at once, under the writer's name."""
        said = await services.conversations.staff_say(
            session, conversation_id, staff.id, staff.display_name, body.text, key
        )
        await services.audit.append(
            session, staff.username, "conversation.write", conversation_id, {"message": said.id}
        )
        return said

    @router.post(
        "/conversations/{conversation_id}/release", summary="Return to the assistant", response_model=StaffConversation,
        responses=documented(*_END),
    )  # fmt: skip
    async def release(
        conversation_id: Id, services: ServicesDep, session: SessionDep, staff: StaffDep, if_match: VersionDep,
        response: Response, body: Empty | None = None,
    ) -> StaffConversation:  # fmt: skip
        """The assistant speaks again; the call counts as released. Refused for a crisis call: resolve it.

        With If-Match refused (412) if the patient has written or a call was raised since.
        """
        await services.escalations.release(session, conversation_id, staff.id, if_match)
        return await _changed(services, session, staff.username, "conversation.release", conversation_id, response)

    @router.post(
        "/conversations/{conversation_id}/resolve", summary="Close the call", response_model=StaffConversation,
        responses=documented(*_END),
    )  # fmt: skip
    async def resolve(
        conversation_id: Id, body: ResolveIn, services: ServicesDep, session: SessionDep, staff: StaffDep,
        if_match: VersionDep, response: Response,
    ) -> StaffConversation:  # fmt: skip
        """Close the call with what came of it; the assistant speaks again unless the conversation has ended.

        A crisis call (`escalation.crisis`) ends only with one of the outcomes `reached`, `not_reached`,
        `emergency_services` and `crisis_team`, and a note. After `not_reached` it stays open: the conversation waits
        for a person, the assistant stays silent, and the call is due again after `follow_up_minutes`, or at once when
        the patient writes. Audited with the outcome, without the note. With If-Match refused (412) if the patient has
        written or a call was raised since.
        """
        wait = None if body.follow_up_minutes is None else timedelta(minutes=body.follow_up_minutes)
        ending = Ending(body.disposition, body.note or "", wait)
        closed = await services.escalations.resolve(session, conversation_id, staff.id, ending, if_match)
        details = {"disposition": body.disposition}
        if closed is not None and closed.follow_up_at is not None:
            details["follow_up_at"] = closed.follow_up_at.isoformat()
        action = "conversation.crisis_outcome" if closed is not None and closed.crisis else "conversation.resolve"
        return await _changed(services, session, staff.username, action, conversation_id, response, details)


async def _changed(
    services: Services,
    session: AsyncSession,
    actor: str,
    action: str,
    conversation: str,
    response: Response,
    details: Mapping[str, str] | None = None,
) -> StaffConversation:
    """The conversation after a change, which is audited with ``details``."""
    found = await _conversation(services, session, conversation)
    await services.audit.append(session, actor, action, conversation, {"version": found.version, **(details or {})})
    response.headers["ETag"] = f'"{found.version}"'
    return found


async def _conversation(services: Services, session: AsyncSession, conversation: str) -> StaffConversation:
    view = await services.conversations.staff_view(session, conversation)
    escalation = await services.escalations.of_conversation(session, conversation)
    return StaffConversation(**dict(view), escalation=escalation)
