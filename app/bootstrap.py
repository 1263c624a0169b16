"""Puts the parts together. Everything that needs a setting gets it here, as a plain value.

Used by the service (``app.main``) and by the commands (``app.cli``): both answer through the same pipeline.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import json
import os
import shlex
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from app.adapters.service import AdaptersService
from app.adapters.store import AdapterStore
from app.audit.service import SYSTEM, AuditLog
from app.chat.pipeline import Bounds, Pipeline, utc_now
from app.contracts.adapters import SHIPPED_EVALUATION, SHIPPED_THRESHOLDS
from app.contracts.prompt import PromptLimits
from app.contracts.site import Site, load_site
from app.contracts.weights import weights_digest
from app.db.embedded import EmbeddedPostgres
from app.db.migrate import upgrade
from app.db.session import Database
from app.encoder.encoder import Encoder, SearchEncoder, TurnEncoder
from app.encoder.reranker import Reranker
from app.encoder.weights import WEIGHTS_SHA256
from app.engine.command import detect_device, engine_command, engine_environment, engine_socket
from app.engine.launcher import EngineLauncher
from app.engine.protocol import Engine, Limits
from app.engine.replicas import Replicas
from app.engine.vllm import VllmEngine
from app.errors import AdapterInvalid, BedsideError, ConfigurationError
from app.guardrails.active import ActivePolicies, Policies, compiled
from app.guardrails.policy import PolicyBundle, default_bundle_folder, load_bundle
from app.guardrails.signing import read_public
from app.guardrails.signoff import load_register
from app.knowledge.index import KnowledgeIndex
from app.knowledge.service import KnowledgeService
from app.knowledge.unanswered import UnansweredQuestions
from app.logging import logger
from app.redaction.detector import Detector
from app.redaction.leaks import foreign_identifiers
from app.redaction.redactor import Redactor, build_detector
from app.settings import Settings

SERVED_BASE = "base"
"""The name under which the engine serves the base model."""

Say = Callable[[str], None]


def quiet(_line: str) -> None:
    """A progress listener that says nothing."""


@dataclass(frozen=True, slots=True)
class EngineSetup:
    """The engine as the pipeline sees it, its replicas by address, and what starts it (None if somebody else does)."""

    front: Engine | None
    replicas: dict[str, VllmEngine]
    launcher: EngineLauncher | None

    async def close(self) -> None:
        """Stop what was started and close connections."""
        if self.launcher is not None:
            await self.launcher.stop()
        for engine in self.replicas.values():
            await engine.aclose()


@dataclass(frozen=True, slots=True)
class Encoders:
    """What reads every turn: ``words`` for redaction and like questions, ``turns`` for the learned raise."""

    words: Encoder
    turns: TurnEncoder


@dataclass(frozen=True, slots=True)
class Runtime:
    """All that answers a turn, and what keeps it."""

    settings: Settings
    site: Site
    policies: ActivePolicies
    database: Database
    engine: EngineSetup
    adapters: AdaptersService
    knowledge: KnowledgeService
    pipeline: Pipeline
    redactor: Redactor
    encoders: Encoders
    index: KnowledgeIndex


def open_database(settings: Settings, *, name: str = "bedside") -> Database:
    """The configured PostgreSQL, or the embedded one (started here), migrated. Blocking. Raises StoreUnavailable."""
    if settings.database_url is not None:
        url = settings.database_url.get_secret_value()
        if not url.startswith("postgresql+psycopg://"):
            raise ConfigurationError("BEDSIDE_DATABASE_URL must start with postgresql+psycopg://")
    else:
        url = EmbeddedPostgres(settings.state / "postgres", name).start()
    upgrade(url)
    return Database(url, settings.database_pool)


def engine_key(settings: Settings) -> str:
    """What makes two processes share one engine: the same base model, and the same state folder."""
    return f"{settings.base_model}|{settings.state.resolve()}|{settings.max_lora_rank}|{settings.engine_arguments}"


def build_engine(settings: Settings) -> EngineSetup:
    """The engine's client(s), and its launcher where we start it ourselves. Starts nothing."""
    if settings.engine == "off":
        return EngineSetup(None, {}, None)
    if settings.engine == "external":
        replicas = {
            address: _client(address) for address in (a.strip() for a in settings.engine_url.split(",")) if address
        }
        front: Engine = next(iter(replicas.values())) if len(replicas) == 1 else Replicas(replicas)
        return EngineSetup(front, replicas, None)
    socket = engine_socket(engine_key(settings), inherited=os.environ)
    device = detect_device()
    offline = Path(settings.base_model).exists()
    command = engine_command(
        settings.base_model, socket, served_name=SERVED_BASE, device=device, max_lora_rank=settings.max_lora_rank
    )
    log = logger("engine")
    launcher = EngineLauncher(
        [*command, *shlex.split(settings.engine_arguments)],
        engine_environment(socket, inherited=os.environ, device=device, offline=offline),
        socket,
        on_log=EngineLog(settings.state / "engine.log"),
        model=settings.base_model,
    )
    log.info("engine device", model=Path(settings.base_model).name, detail_code=device)
    engine = VllmEngine(model=SERVED_BASE, uds=str(socket), unreachable=launcher.health)
    return EngineSetup(engine, {str(socket): engine}, launcher)


class EngineLog:
    """Keeps the engine's log in a file of ours, begun anew when it passes 20 MB (the old one is kept once)."""

    def __init__(self, path: Path, limit: int = 20_000_000) -> None:
        self._path, self._limit = path, limit

    def __call__(self, line: str) -> None:
        with contextlib.suppress(OSError):  # a full disk must not stop the engine
            self._path.parent.mkdir(parents=True, exist_ok=True)
            if self._path.exists() and self._path.stat().st_size > self._limit:
                self._path.replace(self._path.with_suffix(".log.1"))
            with self._path.open("a", encoding="utf-8") as file:
                file.write(line + "\n")


def _client(address: str) -> VllmEngine:
    if address.startswith("unix:"):
        return VllmEngine(model=SERVED_BASE, uds=address.removeprefix("unix:").removeprefix("//"))
    if address.startswith(("http://", "https://")):
        return VllmEngine(model=SERVED_BASE, base_url=address.rstrip("/"))
    raise ConfigurationError(f"BEDSIDE_ENGINE_URL: {address!r} must start with http://, https:// or unix:/")


def site_detector(site: Site, encoder: Encoder) -> Detector:
    """Finds identifiers, the site's own numbers and names aside. Blocking (about a second)."""
    return build_detector(site.own_details, timeout_s=2.0, encoder=encoder)


def policy_folder(settings: Settings) -> Path:
    """Where the policy bundle of this installation lies."""
    return settings.policy_folder or default_bundle_folder()


def load_policies(settings: Settings, folder: Path | None = None) -> PolicyBundle:
    """The policy bundle of this installation, or the one in ``folder`` under the same conditions.

    Raises ConfigurationError (PolicyRefused with every fault).
    """
    key = read_public(settings.policy_key) if settings.policy_key else None
    return load_bundle(folder or policy_folder(settings), strict=settings.policy_strict, key=key)


def open_encoder(settings: Settings) -> Encoder:
    """The encoder of redaction and of like questions. Blocking; at first it writes its files."""
    return Encoder.load(settings.state / "encoder")


def open_turn_encoder(settings: Settings) -> TurnEncoder:
    """The encoder of the learned raise. Blocking; at first it writes its file."""
    return TurnEncoder.load(settings.state / "encoder")


def open_encoders(settings: Settings) -> Encoders:
    """Those that every turn needs. Blocking; at first they write their files."""
    return Encoders(open_encoder(settings), open_turn_encoder(settings))


def open_search_encoder(settings: Settings) -> SearchEncoder:
    """The encoder of the search. Blocking; at first it writes its file."""
    return SearchEncoder.load(settings.state / "encoder")


def open_reranker(settings: Settings) -> Reranker:
    """The reranker of the search. Blocking; at first it writes its file."""
    return Reranker.load(settings.state / "encoder")


def prepare_policies(settings: Settings, site: Site, turns: TurnEncoder) -> Policies:
    """The policy bundle of this installation, ready to judge turns. Blocking (about a second)."""
    return compiled(load_policies(settings), site, datetime.now(UTC), turns)


def model_facts(base_model: str) -> tuple[dict[str, Any] | None, str | None]:
    """config.json and SHA-256 of the weights of a local base model; (None, None) for a hub id."""
    folder = Path(base_model)
    if not folder.is_dir():
        return None, None
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        return config, weights_digest(folder)
    except (OSError, ValueError) as error:
        raise ConfigurationError(f"{folder} is not a model folder: config.json or weights cannot be read") from error


def unanswered_questions(parts: Runtime, now: Callable[[], datetime]) -> UnansweredQuestions:
    """What patients of the site asked and no article answered."""
    return UnansweredQuestions(parts.database, parts.encoders.words, WEIGHTS_SHA256[:32], parts.index, parts.site, now)


@asynccontextmanager
async def runtime(
    settings: Settings,
    encoders: Encoders | None = None,
    policies: ActivePolicies | None = None,
    *,
    database_name: str = "bedside",
    say: Say = quiet,
) -> AsyncIterator[Runtime]:
    """Build everything that answers a turn; the engine is built but not started. Closed at the end of the block.

    ``encoders`` and ``policies`` are those of the settings where none are given.
    """
    site = load_site(settings.site)
    if settings.signers is not None:
        load_register(settings.signers)  # one that cannot be used stops the start
    if encoders is None:
        say("loading the encoder")
        encoders = await asyncio.to_thread(open_encoders, settings)
    search_encoder = await asyncio.to_thread(open_search_encoder, settings)
    reranker = await asyncio.to_thread(open_reranker, settings)
    if policies is None:
        policies = ActivePolicies(await asyncio.to_thread(prepare_policies, settings, site, encoders.turns))
    say("starting the database")
    database = await asyncio.to_thread(functools.partial(open_database, settings, name=database_name))
    engine = build_engine(settings)
    try:
        detector = await asyncio.to_thread(site_detector, site, encoders.words)
        redactor = Redactor(detector, "prompt")
        knowledge = KnowledgeService(database, search_encoder, search_encoder.identity, site)
        config, digest = await asyncio.to_thread(model_facts, settings.base_model)
        adapters = AdaptersService(
            database, AdapterStore(settings.state / "adapters"), engine.replicas, AuditLog(utc_now),
            base_config=config, base_sha256=digest, max_rank=settings.max_lora_rank,
            policy_hash=lambda: policies.current.bundle.hash,
            thresholds_sha256=settings.gate_thresholds or SHIPPED_THRESHOLDS,
            evaluation_sha256=settings.gate_items or SHIPPED_EVALUATION, signers=settings.signers,
        )  # fmt: skip
        index = KnowledgeIndex(database, search_encoder, reranker, site.id)
        pipeline = build_pipeline(settings, site, policies, detector, index, engine.front)
        yield Runtime(
            settings, site, policies, database, engine, adapters, knowledge, pipeline, redactor, encoders, index
        )
    finally:
        await engine.close()
        await database.dispose()


def build_pipeline(
    settings: Settings,
    site: Site,
    policies: ActivePolicies,
    detector: Detector,
    retriever: KnowledgeIndex,
    engine: Engine | None,
) -> Pipeline:
    """The pipeline of a site."""
    return Pipeline(
        site=site,
        policies=policies,
        redactor=Redactor(detector, "prompt"),
        retriever=retriever,
        engine=engine,
        leaks=functools.partial(foreign_identifiers, detector),
        bounds=Bounds(
            max_characters=settings.max_message_characters,
            prompt=PromptLimits(passages=settings.prompt_passages),
            generation=Limits(
                max_tokens=settings.max_tokens,
                first_token_s=settings.turn_timeout_s / 2,
                token_s=settings.turn_timeout_s / 3,
                total_s=settings.turn_timeout_s,
            ),
        ),
    )


async def load_articles(
    knowledge: KnowledgeService, site_folder: Path, say: Say = quiet, *, keep_going: bool = False
) -> None:
    """Bring the index to the site's articles. Faulty ones are said; they stop the start unless ``keep_going``."""

    def progress(done: int, total: int) -> None:
        if done == total or done % 10 == 0:
            say(f"indexing articles: {done} of {total}")

    report = await knowledge.import_folder(site_folder / "articles", keep_going=keep_going, progress=progress)
    for fault in report.faults:
        say(f"article left out: {fault}")


async def register_shipped_adapters(adapters: AdaptersService, folder: Path, say: Say = quiet) -> list[str]:
    """Register the adapters in a folder; versions, in order of folder name. Faulty ones are said and left out."""
    versions = []
    for manifest in await asyncio.to_thread(lambda: sorted(folder.glob("*/manifest.json"))):
        try:
            versions.append((await adapters.add(manifest.parent, SYSTEM)).version)
        except AdapterInvalid as error:
            say(f"adapter {manifest.parent.name} left out: {error}")
    return versions


async def promote_first(adapters: AdaptersService, versions: list[str], say: Say = quiet) -> None:
    """On a fresh installation make the first promotable shipped adapter live; later starts leave the pointer alone."""
    if (await adapters.live()).epoch > 0:
        return
    for version in versions:
        try:
            await adapters.promote(version, actor=SYSTEM)
            say(f"adapter {version} is live")
            return
        except BedsideError as error:
            say(f"adapter {version} is not promoted: {error}")
