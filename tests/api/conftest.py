"""The whole HTTP side over a real database, with fakes for what answers; reached by HTTP over a Unix socket."""

from __future__ import annotations

import asyncio
import secrets
import shutil
import tempfile
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from pathlib import Path

import httpx
import pytest
import uvicorn
from argon2 import PasswordHasher
from fastapi import FastAPI
from prometheus_client import CollectorRegistry

from app.adapters.service import AdapterView, Live
from app.api.application import Api, install
from app.api.deps import HealthReport, Services
from app.api.measurements import Metrics
from app.api.notice import notice_version
from app.api.rates import RateLimit
from app.api.refusals import Refusals
from app.audit.service import AuditLog
from app.auth.patients import PatientSessions
from app.auth.staff import StaffAccounts
from app.contracts.site import Site
from app.conversations.protocols import Responder
from app.db.cipher import TextCipher
from app.db.session import Database
from app.engine.protocol import EngineHealth
from app.errors import NotFound, NotPromotable
from app.escalations.service import EscalationService
from app.guardrails.active import ActivePolicies, Policies, compiled
from app.guardrails.policy import load_bundle
from app.knowledge.repository import ArticlePage
from app.knowledge.unanswered import UnansweredQuestions
from app.policies.service import PoliciesService
from tests.factories import Clock, Wired, utc_now, wired
from tests.fakes_knowledge import OneArticle, WordEmbedder
from tests.policy_files import write_bundle

FAST_HASHER = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
PASSWORD = "correct horse battery"
ARTICLE = ArticlePage(
    "parking", 2, "Parking & garages", "visiting", "everyone", "Facilities", date(2026, 5, 1), date(2099, 5, 1), [],
    "Parking is **free**. <script>x</script>",
)  # fmt: skip


class FakeArticles:
    """One article."""

    async def article(self, article_id: str) -> ArticlePage:
        if article_id != ARTICLE.id:
            raise NotFound("there is no such article")
        return ARTICLE

    async def articles(self) -> list[ArticlePage]:
        return [ARTICLE]


@dataclass
class FakeAdapters:
    """One promotable version and one without a gate report."""

    pointer: Live = field(default_factory=lambda: Live("live", None, None, 0))

    async def list(self) -> tuple[list[AdapterView], Live]:
        return [AdapterView("support@aa", "support", "aa" * 32, "candidate", utc_now(), {}, None)], self.pointer

    async def add(self, folder: Path, actor: str) -> AdapterView:
        return (await self.list())[0][0]

    async def promote(self, version: str, actor: str, expected_epoch: int | None = None) -> Live:
        if version != "support@aa":
            raise NotPromotable("it has no gate report")
        self.pointer = Live("live", version, self.pointer.version, self.pointer.epoch + 1)
        return self.pointer

    async def rollback(self, actor: str, expected_epoch: int | None = None) -> Live:
        self.pointer = replace(self.pointer, version=self.pointer.previous, epoch=self.pointer.epoch + 1)
        return self.pointer


@dataclass
class House:
    """A running service and how to reach it."""

    http: httpx.AsyncClient
    services: Services
    wired: Wired
    clock: Clock
    app: FastAPI
    bundle: Path
    engine: EngineHealth = field(default_factory=lambda: EngineHealth("starting", "loading", "base"))

    async def patient(self, *, consent: bool = True) -> dict[str, str]:
        """Headers of a new patient session."""
        answer = await self.http.post("/v1/sessions", json={"consent": consent, "language": "en"})
        assert answer.status_code == 201, answer.text
        return {"Authorization": f"Bearer {answer.json()['token']}"}

    async def conversation(self, headers: dict[str, str]) -> str:
        """A new conversation."""
        answer = await self.http.post("/v1/conversations", json={}, headers=headers)
        assert answer.status_code == 201, answer.text
        return str(answer.json()["id"])

    async def send(self, headers: dict[str, str], conversation: str, words: str, **more: str) -> httpx.Response:
        """A message."""
        path = f"/v1/conversations/{conversation}/messages"
        return await self.http.post(path, json={"text": words}, headers=headers | more)

    async def staff(self, *roles: str, name: str = "Maria") -> dict[str, str]:
        """Headers of a signed-in member of staff."""
        username = f"{name.lower()}-{secrets.token_hex(4)}"
        async with self.services.database.session() as session:
            await self.services.staff.add(session, username, name, PASSWORD, roles or ("staff",))  # type: ignore[arg-type]
        answer = await self.http.post("/v1/staff/sign-in", json={"username": username, "password": PASSWORD})
        assert answer.status_code == 200, answer.text
        self.http.cookies.clear()
        return {"Authorization": f"Bearer {answer.json()['token']}"}


@asynccontextmanager
async def served(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    """``app`` on a real server (a Unix socket), and a client of it."""
    folder = tempfile.mkdtemp(prefix="bedside-api-")
    path = f"{folder}/s"
    server = uvicorn.Server(
        uvicorn.Config(
            app, uds=path, log_level="critical", log_config=None, lifespan="off", timeout_graceful_shutdown=1
        )
    )
    task = asyncio.create_task(server.serve())
    try:
        while not server.started:
            await asyncio.sleep(0.01)
        transport = httpx.AsyncHTTPTransport(uds=path)
        async with httpx.AsyncClient(transport=transport, base_url="http://bedside.test", timeout=20) as client:
            yield client
    finally:
        server.should_exit = True
        await task
        shutil.rmtree(folder, ignore_errors=True)


@asynccontextmanager
async def build_house(
    database: Database,
    site: Site,
    cipher: TextCipher,
    responder: Responder | None = None,
    *,
    per_minute: int = 600,
) -> AsyncIterator[House]:
    """Everything wired and served."""
    clock, metrics = Clock(), Metrics(CollectorRegistry())
    async with AsyncExitStack() as stack:
        parts = await stack.enter_async_context(wired(database, site, cipher, responder, now=clock, observer=metrics))
        app = Api()
        install(app, measured=metrics)
        house: House

        async def health() -> HealthReport:
            return HealthReport(await database.ping(), house.engine, None, 1)

        bundle = write_bundle(Path(stack.enter_context(tempfile.TemporaryDirectory())) / "tiny")

        def load() -> Policies:
            return compiled(load_bundle(bundle), site, clock())

        audit = AuditLog(clock)
        policies = PoliciesService(ActivePolicies(load()), load, database, audit, metrics, strict=False)
        services = Services(
            site=site, database=database, listener=parts.listener, conversations=parts.service,
            escalations=EscalationService(
                database, cipher, site.id, parts.service.ownership, parts.listener, now=clock
            ),
            patients=PatientSessions(database, site.id, notice_version=notice_version(site), hours=24, now=clock),
            staff=StaffAccounts(
                database, idle=timedelta(minutes=15), life=timedelta(hours=8), now=clock, hasher=FAST_HASHER
            ),
            audit=audit, adapters=FakeAdapters(), articles=FakeArticles(),
            unanswered=UnansweredQuestions(database, WordEmbedder(), "words", OneArticle(), site, clock),
            policies=policies, metrics=metrics,
            health=health, now=clock, patient_rate=RateLimit(per_minute), address_rate=RateLimit(10_000),
            refusals=Refusals(site, parts.responder, metrics),
            import_folders=(Path("/allowed"),),
        )  # fmt: skip
        app.state.services = services
        client = await stack.enter_async_context(served(app))
        stack.callback(services.closing.set)
        house = House(client, services, parts, clock, app, bundle)
        yield house


@pytest.fixture
async def house(database: Database, site: Site, cipher: TextCipher) -> AsyncIterator[House]:
    """A running service with a scripted responder."""
    async with build_house(database, site, cipher) as built:
        yield built
