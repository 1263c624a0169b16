"""Fixtures of all tests: a real PostgreSQL (the embedded one), a fresh database for each test module."""

from __future__ import annotations

import asyncio
import atexit
import itertools
import os
import shutil
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

import psycopg
import pytest
from hypothesis import settings as hypothesis_settings
from psycopg import sql
from sqlalchemy.engine import make_url
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling

from app.contracts.site import Site, load_site
from app.db.cipher import TextCipher
from app.db.embedded import EmbeddedPostgres
from app.db.migrate import upgrade
from app.db.session import Database
from app.encoder.encoder import Encoder, SearchEncoder, TurnEncoder
from app.encoder.reranker import Reranker
from app.knowledge.service import KnowledgeService
from app.logging import configure

DEMO = Path(__file__).resolve().parent.parent / "demo"
"""The demonstration hospital."""

pytest_plugins = ["tests.browser_fixtures", "tests.engine_fixtures", "tests.live_service"]

hypothesis_settings.register_profile("bedside", deadline=None)  # the time of one example says more of the machine
hypothesis_settings.load_profile("bedside")

WITH_ENGINE = ("tests/engine/", "tests/system/", "tests/e2e/test_journeys.py")
"""Where tests that need the real engine lie."""

_numbers = itertools.count(1)


class OneEngine(LoadScopeScheduling):
    """Shares the tests among processes: a file stays in one, and so do all that need the real engine."""

    def _split_scope(self, nodeid: str) -> str:
        return "engine" if nodeid.startswith(WITH_ENGINE) else nodeid.split("::", 1)[0]


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> OneEngine:
    """See :class:`OneEngine`."""
    return OneEngine(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """One of several processes begins with the engine's tests: they take longest."""
    for item in items:
        marked = item.get_closest_marker("engine") is not None
        assert not marked or item.nodeid.startswith(WITH_ENGINE), f"{item.nodeid} belongs to WITH_ENGINE"
    if "PYTEST_XDIST_WORKER" in os.environ:
        items.sort(key=lambda item: not item.nodeid.startswith(WITH_ENGINE))


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """All async tests run on asyncio, as the service does."""
    return "asyncio"


@pytest.fixture(scope="session", autouse=True)
def logs() -> None:
    """Logs as in service: an unconfigured structlog would print what variables hold."""
    configure("warning", "json")


@pytest.fixture(scope="session")
def template_url() -> str:
    """A migrated database on a server of this test session; copied, never written.

    Its folder is not under pytest's own: another run of pytest closes that one to the server's user.
    """
    folder = Path(tempfile.mkdtemp(prefix="bedside-tests-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)  # runs after the server's own stop, registered later
    url = EmbeddedPostgres(folder / "data", "bedside_template").start()
    upgrade(url)
    return url


@pytest.fixture(scope="session")
def encoder_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the encoder of this test session keeps its files."""
    return tmp_path_factory.mktemp("encoder")


@pytest.fixture(scope="session")
def search_encoder(encoder_folder: Path) -> SearchEncoder:
    """The encoder of the search as it is served."""
    return SearchEncoder.load(encoder_folder)


@pytest.fixture(scope="session")
def reranker(encoder_folder: Path) -> Reranker:
    """The reranker of the search as it is served."""
    return Reranker.load(encoder_folder)


@pytest.fixture(scope="session")
def encoder(encoder_folder: Path) -> Encoder:
    """The encoder as it is served; it keeps nothing between calls."""
    return Encoder.load(encoder_folder)


@pytest.fixture(scope="session")
def turn_encoder(encoder_folder: Path) -> TurnEncoder:
    """The encoder of the learned raise as it is served."""
    return TurnEncoder.load(encoder_folder)


def new_database(template_url: str) -> str:
    """Copy the migrated database; its URL."""
    url = make_url(template_url)
    name = f"test_{next(_numbers)}"
    dsn = url.set(drivername="postgresql", database="postgres").render_as_string(hide_password=False)
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute(
            sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(sql.Identifier(name), sql.Identifier(url.database or ""))
        )
    return url.set(database=name).render_as_string(hide_password=False)


@pytest.fixture(scope="session")
def stocked_url(template_url: str, search_encoder: SearchEncoder, site: Site) -> str:
    """A migrated database with the articles of the demonstration hospital; copied, never written.

    A service that starts on a copy finds its articles unchanged. Indexing them takes a minute on a slow machine.
    """
    url = new_database(template_url)

    async def stock() -> None:
        database = Database(url)
        await KnowledgeService(database, search_encoder, search_encoder.identity, site).import_folder(DEMO / "articles")
        await database.dispose()

    asyncio.run(stock())
    return url


@pytest.fixture(scope="module")
def database_url(template_url: str) -> str:
    """URL of a fresh, migrated database for the module."""
    return new_database(template_url)


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    """The module's database, with a pool of its own for the test."""
    database = Database(database_url, pool=20)
    yield database
    await database.dispose()


@pytest.fixture(scope="session")
def site() -> Site:
    """Cedar Valley Health."""
    return load_site(DEMO)


@pytest.fixture(scope="session")
def cipher() -> TextCipher:
    """A cipher with a key of the tests."""
    return TextCipher([bytes(range(32))])
