"""Builders of rows and wired services for tests."""

from __future__ import annotations

import asyncio
import hashlib
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from sqlalchemy.dialects.postgresql import insert

from app.api.notice import notice_version
from app.contracts.site import Site
from app.conversations.answering import Answering
from app.conversations.events import EventLog
from app.conversations.protocols import DueTime, Responder, TurnObserver
from app.conversations.service import ConversationService
from app.conversations.turns import TurnRunner
from app.db.cipher import TextCipher
from app.db.models import Consent, PatientSession, SiteRow, User, new_id
from app.db.notify import Listener
from app.db.session import Database
from tests.fakes_conversations import NameRedactor, Observations, ScriptedResponder


def utc_now() -> datetime:
    """The time now."""
    return datetime.now(UTC)


@dataclass
class Clock:
    """The time of the services; ``ahead`` moves it."""

    ahead: timedelta = timedelta()

    def __call__(self) -> datetime:
        return utc_now() + self.ahead


def due_in_minutes(priority: int, at: datetime) -> datetime:
    """A DueTime for tests: 1, 10 and 60 minutes."""
    return at + timedelta(minutes=(1, 10, 60)[priority])


async def add_site(database: Database, site: Site) -> None:
    """The site's row, once."""
    async with database.session() as session:
        await session.execute(
            insert(SiteRow).values(id=site.id, name=site.name, created_at=utc_now()).on_conflict_do_nothing()
        )


async def add_patient(
    database: Database, site: Site, *, consented: bool = True, hours: float = 1.0, notice: str = ""
) -> tuple[str, str]:
    """A patient session; its id and its token."""
    await add_site(database, site)
    token, owner = secrets.token_urlsafe(16), new_id()
    async with database.session() as session:
        session.add(
            PatientSession(
                id=owner,
                site_id=site.id,
                token_sha256=hashlib.sha256(token.encode()).hexdigest(),
                expires_at=utc_now() + timedelta(hours=hours),
            )
        )
        await session.flush()
        if consented:
            session.add(Consent(session_id=owner, notice_version=notice or notice_version(site)))
    return owner, token


async def add_staff(database: Database, name: str = "Maria", roles: tuple[str, ...] = ("staff",)) -> str:
    """A member of staff who cannot sign in (no password); her id."""
    user = new_id()
    async with database.session() as session:
        session.add(
            User(id=user, username=f"{name}-{user[:8]}", display_name=name, password_hash="!", roles=list(roles))
        )
    return user


@dataclass
class Wired:
    """Conversations of one site, wired with fakes around a real database."""

    service: ConversationService
    runner: TurnRunner
    responder: Responder
    redactor: NameRedactor
    observer: Observations
    log: EventLog
    listener: Listener
    owner: str = ""
    extra: dict[str, str] = field(default_factory=dict)

    async def settled(self, timeout_s: float = 60.0) -> None:
        """Wait until this process has no open turn."""
        async with asyncio.timeout(timeout_s):
            while self.runner.busy:
                await asyncio.sleep(0.01)


async def no_adapter() -> str | None:
    """An AdapterChoice for tests."""
    return "support@0123456789ab"


@asynccontextmanager
async def wired(
    database: Database,
    site: Site,
    cipher: TextCipher,
    responder: Responder | None = None,
    *,
    drain_s: float = 5.0,
    lease_s: float = 10.0,
    sweep_s: float = 0.2,
    adapter: Callable[[], Awaitable[str | None]] = no_adapter,
    now: Callable[[], datetime] = utc_now,
    observer: TurnObserver | None = None,
    due: DueTime = due_in_minutes,
) -> AsyncIterator[Wired]:
    """Services for the length of the block; at its end turns are drained."""
    await add_site(database, site)
    responder, redactor, remembered = responder or ScriptedResponder(), NameRedactor(), Observations()
    listener = Listener(database.url)
    log = EventLog(database, cipher, listener, poll_s=1.0)
    answering = Answering(
        database, cipher, site, responder, redactor, log, adapter=adapter, due=due, now=now,
        observer=observer or remembered,
    )  # fmt: skip
    runner = TurnRunner(
        database,
        answering.answer,
        notice_version=notice_version(site),
        ahead=answering.look_ahead,
        lease_s=lease_s,
        sweep_s=sweep_s,
    )
    service = ConversationService(
        database, cipher, site, runner, redactor, log, listener, due=due, now=now, max_characters=4_000
    )  # fmt: skip
    await listener.start()
    await runner.start()
    try:
        yield Wired(service, runner, responder, redactor, remembered, log, listener)
    finally:
        await runner.stop(drain_s)
        await listener.stop()
