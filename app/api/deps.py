"""What routes need: the services of the process, who asks, and the request's one transaction."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Annotated, Protocol, cast

from fastapi import Depends, Header, Request
from fastapi.security import APIKeyCookie, HTTPBearer
from fastapi.security.http import HTTPAuthorizationCredentials
from pydantic import AfterValidator, Field
from sqlalchemy.ext.asyncio import AsyncSession

from app.adapters.service import AdapterView, Live
from app.api.measurements import Metrics
from app.api.rates import RateLimit
from app.api.refusals import Refusals, arrived
from app.audit.service import AuditLog
from app.auth.patients import Patient, PatientSessions
from app.auth.staff import Role, Staff, StaffAccounts
from app.contracts.site import Site
from app.conversations.schemas import ConversationView
from app.conversations.service import ConversationService
from app.db.notify import Listener
from app.db.session import Database
from app.engine.protocol import EngineHealth
from app.errors import Forbidden, InvalidContent, NotFound, NotSignedIn
from app.escalations.service import EscalationService
from app.knowledge.repository import ArticlePage
from app.knowledge.unanswered import Status
from app.knowledge.unanswered import Unanswered as UnansweredReport
from app.policies.service import PoliciesView, Reloaded

STAFF_COOKIE = "bedside_staff"
CONSOLE_HEADER = "X-Bedside-Console"


class Articles(Protocol):
    """Reads approved articles (knowledge.service.KnowledgeService)."""

    async def article(self, article_id: str) -> ArticlePage:
        """The current version. Raises NotFound."""
        ...

    async def articles(self) -> list[ArticlePage]:
        """All current versions, by title."""
        ...


class Adapters(Protocol):
    """Registers and promotes adapters (adapters.service.AdaptersService)."""

    async def list(self) -> tuple[list[AdapterView], Live]:
        """All versions and the pointer."""
        ...

    async def add(self, folder: Path, actor: str) -> AdapterView:
        """Register the adapter in a folder, audited. Raises AdapterInvalid."""
        ...

    async def promote(self, version: str, actor: str, expected_epoch: int | None = None) -> Live:
        """Make a version live. Raises NotFound, NotPromotable, VersionConflict, EngineError."""
        ...

    async def rollback(self, actor: str, expected_epoch: int | None = None) -> Live:
        """Make the previous version live again. Raises NotPromotable, VersionConflict, EngineError."""
        ...


class Unanswered(Protocol):
    """Questions that no article answered (knowledge.unanswered.UnansweredQuestions)."""

    async def report(self, days: int, *, conversations: bool = False) -> UnansweredReport:
        """Those of the last days, in groups. Raises RetrievalFailed."""
        ...

    async def mark(self, session: AsyncSession, question: str, status: Status, by: str) -> int:
        """Set the status of a group; how many questions it has. Raises NotFound."""
        ...


class Policies(Protocol):
    """Shows and replaces the policies in force (policies.service.PoliciesService)."""

    def view(self) -> PoliciesView:
        """What is in force."""
        ...

    async def reload(self, actor: str) -> Reloaded:
        """Put the bundle in force as it lies in its folder now. Raises ConfigurationError, PolicyRefused."""
        ...


@dataclass(frozen=True, slots=True)
class HealthReport:
    """What works now. ``articles`` counts approved articles that can be cited; ``adapter`` is the live version."""

    database: bool
    engine: EngineHealth
    adapter: str | None
    articles: int

    @property
    def ready(self) -> bool:
        """Whether emergency texts and approved passages can be served; the engine is not needed for that."""
        return self.database and self.articles > 0


@dataclass(frozen=True, slots=True)
class Services:
    """Everything that routes use, put together by ``app.main`` and kept at ``app.state.services``.

    ``closing`` is set when the server is told to stop: open event streams end then, and clients come back elsewhere.
    """

    site: Site
    database: Database
    listener: Listener
    conversations: ConversationService
    escalations: EscalationService
    patients: PatientSessions
    staff: StaffAccounts
    audit: AuditLog
    adapters: Adapters
    articles: Articles
    unanswered: Unanswered
    policies: Policies
    metrics: Metrics
    health: Callable[[], Awaitable[HealthReport]]
    now: Callable[[], datetime]
    patient_rate: RateLimit
    address_rate: RateLimit
    refusals: Refusals
    import_folders: tuple[Path, ...] = ()
    secure_cookies: bool = False
    closing: asyncio.Event = field(default_factory=asyncio.Event)


def get_services(request: Request) -> Services:
    """The services of this process."""
    return cast(Services, request.app.state.services)


ServicesDep = Annotated[Services, Depends(get_services)]

_patient_token = HTTPBearer(auto_error=False, scheme_name="patient", description="token of POST /v1/sessions")
_staff_token = HTTPBearer(auto_error=False, scheme_name="staff", description="token of POST /v1/staff/sign-in")
_staff_cookie = APIKeyCookie(
    name=STAFF_COOKIE,
    auto_error=False,
    scheme_name="staff_cookie",
    description=f"set by POST /v1/staff/sign-in; all but GET then need the header `{CONSOLE_HEADER}: 1` too",
)


async def get_patient(
    request: Request,
    services: ServicesDep,
    bearer: Annotated[HTTPAuthorizationCredentials | None, Depends(_patient_token)],
) -> Patient:
    """The patient session of the request. Raises NotSignedIn, SessionExpired."""
    if bearer is None:
        raise NotSignedIn("start a session first (POST /v1/sessions) and send its token")
    patient = await services.patients.authenticate(bearer.credentials)
    arrived(request.scope).language = patient.language
    return patient


PatientDep = Annotated[Patient, Depends(get_patient)]


async def get_acting_patient(request: Request, services: ServicesDep, patient: PatientDep) -> Patient:
    """The patient session of a request that changes something: within its rate. Raises TooManyRequests too."""
    services.patient_rate.check(patient.session_id)
    arrived(request.scope).within_rate = True
    return patient


ActingPatientDep = Annotated[Patient, Depends(get_acting_patient)]


async def get_staff(
    request: Request,
    services: ServicesDep,
    bearer: Annotated[HTTPAuthorizationCredentials | None, Depends(_staff_token)],
    cookie: Annotated[str | None, Depends(_staff_cookie)],
) -> Staff:
    """The member of staff who asks. Raises NotSignedIn, SessionExpired, Forbidden.

    A request that changes something and comes with the cookie must carry ``X-Bedside-Console: 1``, which other
    origins cannot send.
    """
    token = bearer.credentials if bearer is not None else cookie
    if not token:
        raise NotSignedIn("sign in first")
    changes = request.method not in ("GET", "HEAD", "OPTIONS")
    if bearer is None and changes and request.headers.get(CONSOLE_HEADER) != "1":
        raise Forbidden(f"send the header {CONSOLE_HEADER}: 1 with requests that use the cookie")
    return await services.staff.authenticate(token)


SignedInDep = Annotated[Staff, Depends(get_staff)]


def require(role: Role) -> Callable[[Staff], Awaitable[Staff]]:
    """A dependency that lets only one role through."""

    async def check(staff: SignedInDep) -> Staff:
        if not staff.has(role):
            raise Forbidden(f"this needs the role {role}")
        return staff

    return check


StaffDep = Annotated[Staff, Depends(require("staff"))]
AdminDep = Annotated[Staff, Depends(require("admin"))]


async def get_session(services: ServicesDep) -> AsyncIterator[AsyncSession]:
    """The request's one transaction: committed before the answer is sent, rolled back on any error."""
    async with services.database.session() as session:
        yield session


SessionDep = Annotated[AsyncSession, Depends(get_session, scope="function")]


def _known_form(value: str) -> str:
    if len(value) != 32 or set(value) - set("0123456789abcdef"):
        raise NotFound("there is no such thing")
    return value


Id = Annotated[str, AfterValidator(_known_form), Field(description="32 hex digits, as answers give it")]
"""32 hex digits; anything else cannot exist (404)."""


def _clean(value: str) -> str:
    if any((ord(c) < 32 and c not in "\n\r\t") or 0xD800 <= ord(c) <= 0xDFFF for c in value):
        raise InvalidContent("text must not hold control characters or halves of characters")
    return value


CleanText = Annotated[str, AfterValidator(_clean)]
"""Text without control characters."""

KeyDep = Annotated[
    str | None,
    Header(alias="Idempotency-Key", pattern=r"^[\x21-\x7e]{1,100}$", description="repeat with the same key to be safe"),
]


async def get_own_conversation(services: ServicesDep, patient: PatientDep, conversation_id: Id) -> ConversationView:
    """The conversation of the path, if it is the patient's. Raises NotFound."""
    return await services.conversations.get(patient.session_id, conversation_id)


OwnConversationDep = Annotated[ConversationView, Depends(get_own_conversation)]


async def get_version(
    if_match: Annotated[
        str | None,
        Header(
            alias="If-Match",
            pattern=r'^(W/)?"?\d{1,9}"?$',
            description="ETag of the conversation as it was read; refused (412) if it has changed since",
        ),
    ] = None,
) -> int | None:
    """The version that the caller has read, from If-Match."""
    return None if if_match is None else int(if_match.removeprefix("W/").strip('"'))


VersionDep = Annotated[int | None, Depends(get_version)]
