"""The service: :func:`create_app` puts the parts of ``app.bootstrap`` behind HTTP and keeps them alive.

Order at start: database, articles and guardrails first, so that emergencies and approved passages are answered within
seconds; the engine after that, in the background.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import json
import os
import secrets
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from fastapi import FastAPI
from prometheus_client import CollectorRegistry, GCCollector, PlatformCollector, ProcessCollector

from app.adapters.pointer import LivePointer
from app.adapters.service import AdaptersService
from app.api import reference
from app.api.application import Api, install
from app.api.deps import HealthReport, Services
from app.api.measurements import Metrics
from app.api.notice import notice_version
from app.api.rates import RateLimit
from app.api.refusals import Refusals
from app.audit.service import AuditLog
from app.auth.patients import PatientSessions
from app.auth.staff import Role, StaffAccounts
from app.bootstrap import (
    Encoders,
    Runtime,
    Say,
    load_articles,
    open_encoders,
    prepare_policies,
    promote_first,
    quiet,
    register_shipped_adapters,
    runtime,
    unanswered_questions,
)
from app.console.reads import ServiceReads
from app.console.routes import build_router as console_router
from app.contracts.site import Site, load_site
from app.conversations.answering import Answering
from app.conversations.events import EventLog
from app.conversations.retention import Retention
from app.conversations.service import ConversationService
from app.conversations.turns import TurnRunner
from app.db.cipher import TextCipher
from app.db.notify import Listener
from app.engine.protocol import Engine, EngineHealth
from app.errors import BedsideError, ConfigurationError, ConflictError, DependencyError
from app.escalations.service import EscalationService
from app.escalations.sla import due_times
from app.escalations.watch import ClaimWatch
from app.guardrails.active import ActivePolicies
from app.logging import logger
from app.policies.service import PoliciesService
from app.redaction.redactor import Redactor
from app.redaction.vault import Vault
from app.settings import Settings
from app.widget.routes import build_router as widget_router

DRAIN_S = 15.0
"""Seconds that running turns get to end when the service stops."""

NO_ENGINE = EngineHealth("down", "no engine is configured (BEDSIDE_ENGINE=off)")


@dataclass(frozen=True, slots=True)
class DemoAccount:
    """An account of the demonstration, with its password in the clear: it guards invented data only."""

    username: str
    display_name: str
    roles: tuple[Role, ...]
    password: str


@dataclass(slots=True)
class Started:
    """What a person at the terminal is told about a running service."""

    site: Site
    engine: Engine | None
    adapters: AdaptersService
    demo_accounts: list[DemoAccount]
    engine_prepared: asyncio.Event = field(default_factory=asyncio.Event)

    async def live_adapter(self) -> str | None:
        """The version that patients get now."""
        return (await self.adapters.served()).version


class ThreadedRedactor:
    """The redactor as conversations use it: off the event loop."""

    def __init__(self, redactor: Redactor) -> None:
        self._redactor = redactor

    async def redact(self, text: str, vault: Vault) -> str:
        """The text with pseudonyms. Raises RedactionFailed."""
        return (await asyncio.to_thread(self._redactor.redact, text, vault)).text


def create_app(settings: Settings | None = None, say: Say = quiet) -> FastAPI:
    """The application; ``say`` hears what starting does.

    Raises ConfigurationError for a site that cannot be served or a policy bundle that is refused.
    """
    chosen = settings or Settings()
    site = load_site(chosen.site)
    if chosen.environment == "production" and site.demonstration:
        raise ConfigurationError("site.yaml says demonstration: true; a demonstration site is not served in production")
    encoders = open_encoders(chosen)
    policies = ActivePolicies(prepare_policies(chosen, site, encoders.turns))
    registry = CollectorRegistry()
    for collector in (ProcessCollector, PlatformCollector, GCCollector):
        collector(registry=registry)
    measured = Metrics(registry)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            await _start(app, chosen, encoders, policies, measured, stack, say)
            yield

    app = Api(
        title="Bedside",
        version="0.1.0",
        summary="Patient-support chat that a hospital runs on its own machines",
        lifespan=lifespan,
        docs_url=None,  # FastAPI's pages load scripts of third parties; see app.api.reference
        redoc_url=None,
    )
    app.include_router(reference.build_router())
    install(app, measured=measured, https=chosen.public_url.startswith("https://"))
    app.include_router(widget_router(site, page=chosen.site / "page"))
    return app


async def _start(
    app: FastAPI,
    settings: Settings,
    encoders: Encoders,
    policies: ActivePolicies,
    measured: Metrics,
    stack: AsyncExitStack,
    say: Say,
) -> None:
    _warn(policies, say)
    parts = await stack.enter_async_context(runtime(settings, encoders, policies, say=say))
    await load_articles(parts.knowledge, settings.site, say, keep_going=True)
    cipher = TextCipher.from_file(settings.text_key_file, create=settings.environment == "development")
    listener = Listener(parts.database.url)
    await listener.start()
    stack.push_async_callback(listener.stop)
    services = await _services(settings, parts, cipher, listener, measured, stack)
    app.state.services = services
    reads = ServiceReads(
        services.database,
        services.staff,
        services.escalations,
        services.conversations,
        services.adapters,
        services.unanswered,
        services.audit,
    )
    app.include_router(console_router(parts.site, reads, idle_minutes=settings.staff_idle_minutes))
    accounts = (
        await _demo_accounts(settings, parts, services) if settings.demo_accounts and parts.site.demonstration else []
    )
    app.state.started = Started(parts.site, parts.engine.front, parts.adapters, accounts)
    engine_task = asyncio.create_task(_start_engine(parts, app.state.started, say), name="engine start")
    stack.push_async_callback(parts.adapters.stop)
    stack.push_async_callback(_cancel, engine_task)  # ended first: it starts what the line above stops


def _warn(policies: ActivePolicies, say: Say) -> None:
    """Tell what speaks against the policies, which are in force all the same."""
    bundle = policies.current.bundle
    for warning in bundle.warnings:
        say(f"policies: {warning}")
    if bundle.warnings:
        logger("start").warning(
            "policy bundle has warnings", policy_hash=bundle.hash, version=bundle.version, count=len(bundle.warnings)
        )


async def _services(
    settings: Settings, parts: Runtime, cipher: TextCipher, listener: Listener, measured: Metrics, stack: AsyncExitStack
) -> Services:
    def now() -> datetime:
        return datetime.now(UTC)

    database, site, due = parts.database, parts.site, due_times(parts.site)
    redactor, log = ThreadedRedactor(parts.redactor), EventLog(parts.database, cipher, listener)

    pointer = LivePointer(parts.adapters.served, listener)
    await pointer.start()
    stack.push_async_callback(pointer.stop)
    answering = Answering(
        database, cipher, site, parts.pipeline, redactor, log,
        adapter=pointer.version, due=due, now=now, observer=measured, hard_limit_s=settings.turn_timeout_s * 2,
    )  # fmt: skip
    runner = TurnRunner(database, answering.answer, notice_version=notice_version(site), ahead=answering.look_ahead)
    await runner.start()
    stack.push_async_callback(runner.stop, DRAIN_S)
    conversations = ConversationService(
        database, cipher, site, runner, redactor, log, listener,
        due=due, now=now, max_characters=settings.max_message_characters,
    )  # fmt: skip
    staff = StaffAccounts(
        database,
        idle=timedelta(minutes=settings.staff_idle_minutes),
        life=timedelta(minutes=settings.staff_session_minutes),
        now=now,
    )
    audit = AuditLog(now)
    escalations = EscalationService(database, cipher, site.id, conversations.ownership, listener, now=now)
    watch = ClaimWatch(database, escalations, audit, within=timedelta(minutes=settings.claim_minutes))
    await watch.rounds.start()
    stack.push_async_callback(watch.rounds.stop)
    keep = timedelta(days=site.retention_days)
    retention = Retention(database, audit, site.id, keep=keep, now=now)
    await retention.rounds.start()
    stack.push_async_callback(retention.rounds.stop)
    load = functools.partial(prepare_policies, settings, site, parts.encoders.turns)
    policies = PoliciesService(
        parts.policies, load, database, audit, measured, strict=settings.policy_strict,
    )  # fmt: skip
    return Services(
        site=site, database=database, listener=listener, conversations=conversations,
        escalations=escalations,
        patients=PatientSessions(
            database, site.id, notice_version=notice_version(site), hours=settings.session_hours, now=now
        ),
        staff=staff, audit=audit, adapters=parts.adapters, articles=parts.knowledge,
        unanswered=unanswered_questions(parts, now), policies=policies, metrics=measured,
        health=functools.partial(_health, parts), now=now,
        patient_rate=RateLimit(settings.requests_per_minute),
        address_rate=RateLimit(settings.requests_per_minute * 10),
        refusals=Refusals(site, parts.pipeline, measured),
        import_folders=(settings.adapters.resolve(), (settings.state / "training").resolve()),
        secure_cookies=settings.public_url.startswith("https://"),
    )  # fmt: skip


async def _health(parts: Runtime) -> HealthReport:
    front = parts.engine.front
    engine = NO_ENGINE if front is None else await front.health()
    try:
        articles = await parts.knowledge.citable()
        live = (await parts.adapters.served()).version
    except DependencyError:
        return HealthReport(database=False, engine=engine, adapter=None, articles=0)
    return HealthReport(database=True, engine=engine, adapter=live, articles=articles)


async def _start_engine(parts: Runtime, started: Started, say: Say) -> None:
    """Bring the engine up, and the adapters in it; then keep them in step, unless cancelled before."""
    try:
        if parts.engine.launcher is not None:
            await parts.engine.launcher.start()
        if parts.engine.front is not None:
            await _prepare_adapters(parts, parts.engine.front, say)
    except Exception as error:  # the reconciler tries again
        logger("start").error("engine preparation failed", exc_info=error)
        say(f"engine: {error if isinstance(error, BedsideError) else type(error).__name__}")
    parts.adapters.start()
    started.engine_prepared.set()


async def _prepare_adapters(parts: Runtime, engine: Engine, say: Say) -> None:
    shipped = await register_shipped_adapters(parts.adapters, parts.settings.adapters, say)
    while (await engine.health()).state != "ready":
        await asyncio.sleep(0.5)
    await promote_first(parts.adapters, shipped, say)
    await parts.adapters.reconcile()


async def _demo_accounts(settings: Settings, parts: Runtime, services: Services) -> list[DemoAccount]:
    """The demonstration's nurse and admin. Their passwords are drawn once and kept in the state folder."""
    path = settings.state / "demo-accounts.json"
    known: dict[str, str] = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    accounts = [
        DemoAccount("maria", "Maria", ("staff",), known.get("maria") or secrets.token_urlsafe(9)),
        DemoAccount("admin", "Admin", ("staff", "admin"), known.get("admin") or secrets.token_urlsafe(9)),
    ]
    _write_private(path, json.dumps({account.username: account.password for account in accounts}))
    for account in accounts:
        try:
            async with parts.database.session() as session:
                await services.staff.add(
                    session, account.username, account.display_name, account.password, account.roles
                )
        except ConflictError:
            if account.username not in known:  # the file was lost: the account gets the new password
                async with parts.database.session() as session:
                    await services.staff.set_password(session, account.username, account.password)
    return accounts


def _write_private(path: Path, text: str) -> None:
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        file.write(text)


async def _cancel(task: asyncio.Task[None]) -> None:
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
