"""The whole service for browsers: the real app, a fresh database, no engine (approved passages answer)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from fastapi import FastAPI
from pydantic import SecretStr

from app.main import create_app
from app.settings import Settings
from tests.browser import serve
from tests.conftest import new_database


@dataclass(frozen=True)
class RunningService:
    """A running service. ``passwords`` are those of the demo accounts, by username."""

    url: str
    app: FastAPI
    passwords: dict[str, str]


@pytest.fixture(scope="session")
def service(template_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningService]:
    """The service of this test session."""
    settings = Settings(
        _env_file=None,  # type: ignore[call-arg]
        state=tmp_path_factory.mktemp("state"),
        engine="off",
        database_url=SecretStr(new_database(template_url)),
        requests_per_minute=10_000,
        log_level="warning",
    )
    app = create_app(settings)
    with serve(app) as url:
        accounts = app.state.started.demo_accounts
        yield RunningService(url, app, {account.username: account.password for account in accounts})


@pytest.fixture(scope="session")
def service_url(service: RunningService) -> str:
    """Where it listens."""
    return service.url
