"""The HTTP side, console and widget included, over the real pipeline, rules and redaction; only the engine is scripted.

What breaks can be switched while it runs: ``engine.state``, ``engine.answer`` and ``redaction``.
"""

from __future__ import annotations

import asyncio
import functools
import secrets
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
from fastapi import FastAPI
from prometheus_client import CollectorRegistry

from app.adapters.service import AdapterView, Live
from app.api.application import install
from app.api.deps import HealthReport, Services
from app.api.measurements import Metrics
from app.api.notice import notice_version
from app.api.rates import RateLimit
from app.api.refusals import Refusals
from app.audit.service import AuditLog
from app.auth.patients import PatientSessions
from app.auth.staff import Role, StaffAccounts
from app.chat.pipeline import Bounds, Pipeline
from app.console.reads import ServiceReads
from app.console.routes import build_router as console_router
from app.contracts.site import Site, load_site
from app.conversations.answering import Answering
from app.conversations.events import EventLog
from app.conversations.service import ConversationService
from app.conversations.turns import TurnRunner
from app.db.cipher import TextCipher
from app.db.notify import Listener
from app.db.session import Database
from app.escalations.service import EscalationService
from app.guardrails.active import ActivePolicies, Policies, compiled
from app.guardrails.policy import default_bundle_folder, load_bundle
from app.knowledge.unanswered import UnansweredQuestions
from app.main import ThreadedRedactor
from app.policies.service import PoliciesService
from app.redaction.detector import Detector, own_recognizers
from app.redaction.leaks import foreign_identifiers
from app.redaction.lexicon import Lexicon
from app.redaction.presidio import EntityRecognizer
from app.redaction.redactor import Redactor
from app.widget.routes import build_router as widget_router
from tests.api.conftest import FAST_HASHER, PASSWORD, FakeAdapters, FakeArticles, served
from tests.factories import add_site, due_in_minutes, no_adapter
from tests.fakes_engine import ScriptedEngine
from tests.fakes_knowledge import OneArticle, WordEmbedder
from tests.fakes_redaction import ScriptedRecognizer
from tests.redteam.target import DEMO, Shelf


class Adapters(FakeAdapters):
    """Versions whose manifest says all that the console shows."""

    async def list(self) -> tuple[list[AdapterView], Live]:
        views, live = await super().list()
        manifest = {"rank": 16, "prompt_version": "1", "base_id": "cedar-valley-demo"}
        return [replace(view, manifest=manifest) for view in views], live


@dataclass
class Redaction:
    """``broken``: the next texts meet a recognizer that raises an error which quotes them."""

    broken: bool = False

    def answer(self, text: str) -> list[Any]:
        """The scripted recognizer's answer."""
        if self.broken:
            raise ValueError(f"cannot read {text}")
        return []


@dataclass
class Ward:
    """A running service and how to reach it."""

    http: httpx.AsyncClient
    services: Services
    runner: TurnRunner
    engine: ScriptedEngine
    redaction: Redaction
    answers: list[httpx.Response] = field(default_factory=list)

    async def patient(self) -> dict[str, str]:
        """Headers of a new patient session with consent."""
        answer = await self.http.post("/v1/sessions", json={"consent": True, "language": "en"})
        return {"Authorization": f"Bearer {answer.json()['token']}"}

    async def conversation(self, headers: dict[str, str]) -> str:
        """A new conversation."""
        return str((await self.http.post("/v1/conversations", json={}, headers=headers)).json()["id"])

    async def send(self, headers: dict[str, str], conversation: str, words: str, **more: str) -> httpx.Response:
        """A message; the answer waits for the reply."""
        path = f"/v1/conversations/{conversation}/messages"
        return await self.http.post(path, json={"text": words}, headers={"Prefer": "wait=20"} | headers | more)

    async def staff(self, *roles: Role) -> tuple[dict[str, str], str]:
        """Headers of a signed-in member of staff, and the session's token."""
        username = f"nurse-{secrets.token_hex(4)}"
        async with self.services.database.session() as session:
            await self.services.staff.add(session, username, "Ana", PASSWORD, roles)
        answer = await self.http.post("/v1/staff/sign-in", json={"username": username, "password": PASSWORD})
        self.http.cookies.clear()
        token = str(answer.json()["token"])
        return {"Authorization": f"Bearer {token}"}, token

    async def settled(self) -> None:
        """Wait until no turn is open."""
        async with asyncio.timeout(60):
            while self.runner.busy:
                await asyncio.sleep(0.01)


@functools.cache
def _slow_parts() -> tuple[Lexicon, tuple[EntityRecognizer, ...], Policies, Shelf]:
    """What takes seconds to make and is never changed: made once for all wards."""
    lexicon = Lexicon.load()
    policies = compiled(load_bundle(default_bundle_folder()), load_site(DEMO), datetime.now(UTC))
    return lexicon, tuple(own_recognizers(lexicon, 20.0)), policies, Shelf()


@asynccontextmanager
async def open_ward(database: Database, site: Site, cipher: TextCipher) -> AsyncIterator[Ward]:
    """Everything wired as ``app.main`` does it, and served."""

    def now() -> datetime:
        return datetime.now(UTC)

    adapters, redaction = Adapters(), Redaction()
    engine = ScriptedEngine(adapters={"support@0123456789ab": "/adapters/support"})
    lexicon, recognizers, ready, shelf = await asyncio.to_thread(_slow_parts)
    chosen = [*recognizers, ScriptedRecognizer(redaction.answer)]
    detector = Detector(chosen, lexicon, allowed=site.own_details, timeout_s=20.0)
    policies = ActivePolicies(ready)
    pipeline = Pipeline(
        site=site, policies=policies, redactor=Redactor(detector, "prompt"), retriever=shelf, engine=engine,
        leaks=functools.partial(foreign_identifiers, detector), bounds=Bounds(step_s=20.0),
    )  # fmt: skip
    await add_site(database, site)
    async with AsyncExitStack() as stack:
        listener, metrics, audit = Listener(database.url), Metrics(CollectorRegistry()), AuditLog(now)
        log, redactor = EventLog(database, cipher, listener, poll_s=1.0), ThreadedRedactor(Redactor(detector, "prompt"))
        answering = Answering(
            database, cipher, site, pipeline, redactor, log,
            adapter=no_adapter, due=due_in_minutes, now=now, observer=metrics,
        )  # fmt: skip
        runner = TurnRunner(
            database, answering.answer, notice_version=notice_version(site), ahead=answering.look_ahead, sweep_s=0.2
        )
        conversations = ConversationService(
            database, cipher, site, runner, redactor, log, listener, due=due_in_minutes, now=now
        )
        await listener.start()
        stack.push_async_callback(listener.stop)
        await runner.start()
        stack.push_async_callback(runner.stop, 5.0)
        unanswered = UnansweredQuestions(database, WordEmbedder(), "words", OneArticle(), site, now)
        services = Services(
            site=site, database=database, listener=listener, conversations=conversations,
            escalations=EscalationService(database, cipher, site.id, conversations.ownership, listener, now=now),
            patients=PatientSessions(database, site.id, notice_version=notice_version(site), hours=24, now=now),
            staff=StaffAccounts(
                database, idle=timedelta(minutes=15), life=timedelta(hours=8), now=now, hasher=FAST_HASHER
            ),
            audit=audit, adapters=adapters, articles=FakeArticles(), unanswered=unanswered, metrics=metrics,
            policies=PoliciesService(policies, lambda: policies.current, database, audit, metrics, strict=False),
            health=lambda: _health(database, engine), now=now,
            patient_rate=RateLimit(6_000), address_rate=RateLimit(10_000),
            refusals=Refusals(site, pipeline, metrics), import_folders=(Path("/allowed"),),
        )  # fmt: skip
        app = FastAPI()
        install(app, measured=metrics)
        app.include_router(widget_router(site, page=DEMO / "page"))
        reads = ServiceReads(database, services.staff, services.escalations, conversations, adapters, unanswered, audit)
        app.include_router(console_router(site, reads))
        app.state.services = services
        client = await stack.enter_async_context(served(app))
        stack.callback(services.closing.set)
        ward = Ward(client, services, runner, engine, redaction)

        async def keep(response: httpx.Response) -> None:
            ward.answers.append(response)

        client.event_hooks["response"].append(keep)
        yield ward


async def _health(database: Database, engine: ScriptedEngine) -> HealthReport:
    return HealthReport(await database.ping(), await engine.health(), None, 1)


def shown(answers: Sequence[httpx.Response]) -> dict[str, str]:
    """What finished answers said, headers included, by number, method and status."""
    return {
        f"{number} {answer.request.method} {answer.status_code}": f"{answer.headers}\n{answer.text}"
        for number, answer in enumerate(answers)
        if answer.is_closed and not answer.headers.get("content-type", "").startswith("text/event-stream")
    }
