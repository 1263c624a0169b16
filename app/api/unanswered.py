"""What patients asked and no article answered: read by staff and admins, decided on by admins."""

from __future__ import annotations

from dataclasses import asdict
from datetime import date, datetime
from enum import IntEnum
from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import BaseModel, Field

from app.api.deps import AdminDep, Id, ServicesDep, SessionDep, SignedInDep
from app.api.errors import documented
from app.api.schemas import Body
from app.errors import Forbidden, NotFound, NotSignedIn, RetrievalFailed, SessionExpired, StoreUnavailable
from app.knowledge.unanswered import Status

_ERRORS = (NotSignedIn, SessionExpired, Forbidden, StoreUnavailable)


class Days(IntEnum):
    """How far the report looks back."""

    WEEK = 7
    MONTH = 30
    QUARTER = 90


class NearestOut(BaseModel):
    """The article most like a question; `likeness` is the search's score, as `bedside articles ask` shows it."""

    id: str
    title: str
    likeness: float = Field(description="score of the search; higher is more alike")


class GroupOut(BaseModel):
    """Like questions of at least three patients. `id` is the leading question's."""

    id: str = Field(description="send it to POST /v1/admin/unanswered/ID")
    language: str = Field(description="of the questions, ISO 639")
    questions: int = Field(description="how many were asked")
    patients: int = Field(description="how many patients asked")
    not_found: int = Field(description="questions for which no article was found")
    denied: int = Field(description="questions whose passages did not hold the answer")
    handed_over: int = Field(description="questions after which the patient asked for a person")
    first: date = Field(description="day of the first question, at the hospital")
    last: date = Field(description="day of the last question")
    examples: list[str] = Field(description="at most five, redacted, without figures, one a patient")
    nearest: NearestOut | None = Field(description="null if no article is near")
    status: Status = Field(description="`planned`: an article is to come; `out_of_scope`: none will")
    marked_by: str = Field(description="who set the status; empty if nobody has")
    marked_at: datetime | None
    newer: int = Field(description="questions since the status was set")


class RareOut(BaseModel):
    """Like questions of fewer patients: no words, days or language. `conversations` only for the role staff."""

    questions: int = Field(description="how many were asked")
    nearest: NearestOut | None = Field(description="null if no article is near")
    conversations: list[str] = Field(description="their ids, newest first; empty without the role staff")


class UnansweredOut(BaseModel):
    """`groups`: open ones first, then by number of questions. `left_out` groups and `rare_left_out` questions more."""

    days: int = Field(description="how far back this looks")
    questions: int = Field(description="all that were asked and not answered")
    whole: bool = Field(description="false if there were so many that the oldest are not looked at")
    groups: list[GroupOut] = Field(description="questions of three or more patients")
    left_out: int = Field(description="groups beyond those that are listed")
    rare: list[RareOut] = Field(description="questions of one or two patients, the most asked first")
    rare_questions: int = Field(description="all questions in rare groups")
    rare_left_out: int = Field(description="of these, questions in groups that are not listed")


class StatusIn(Body):
    """What is to become of such questions."""

    status: Status = Field(
        description="`planned`: an article is to come; `out_of_scope`: none will; `open`: not decided"
    )


class MarkedOut(BaseModel):
    """`questions` is how many carry the status now."""

    status: Status
    questions: int


def build_router() -> APIRouter:
    """``/v1/staff/unanswered`` and ``/v1/admin/unanswered``."""
    router = APIRouter()

    @router.get(
        "/v1/staff/unanswered", summary="Questions that no article answered", tags=["staff"],
        response_model=UnansweredOut, responses=documented(*_ERRORS, RetrievalFailed),
    )  # fmt: skip
    async def unanswered(
        services: ServicesDep,
        session: SessionDep,
        staff: SignedInDep,
        days: Annotated[Days, Query(description="how many days to look back")] = Days.MONTH,
    ) -> UnansweredOut:
        """Of the last 7, 30 or 90 days, in groups of like questions. Examples are redacted. For both roles. Audited."""
        found = await services.unanswered.report(days, conversations=staff.has("staff"))
        await services.audit.append(session, staff.username, "unanswered.read", "articles", {"days": days})
        return UnansweredOut.model_validate(asdict(found))

    @router.post(
        "/v1/admin/unanswered/{message_id}", summary="Decide about like questions", tags=["admin"],
        response_model=MarkedOut, responses=documented(*_ERRORS, NotFound),
    )  # fmt: skip
    async def decide(
        message_id: Id, body: StatusIn, services: ServicesDep, session: SessionDep, admin: AdminDep
    ) -> MarkedOut:
        """Set the status of the group that this question leads, also for questions before the days looked at. Audited.

        Questions that come later and are alike join the group and its status.
        """
        marked = await services.unanswered.mark(session, message_id, body.status, admin.username)
        details = {"status": body.status, "questions": marked}
        await services.audit.append(session, admin.username, "unanswered.decide", message_id, details)
        return MarkedOut(status=body.status, questions=marked)

    return router
