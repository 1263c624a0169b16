"""The whole service on a free port, over the session's real vLLM: what system tests and browsers talk to."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI
from pydantic import SecretStr

from app.main import create_app
from app.settings import Settings
from tests.browser import serve
from tests.conftest import new_database
from tests.engine_fixtures import RunningVllm


@dataclass(frozen=True)
class RunningService:
    """A running service. ``passwords`` are those of the demo accounts, by username."""

    url: str
    app: FastAPI
    passwords: dict[str, str]
    settings: Settings
    clients: ExitStack

    def patient(self, *, consent: bool = True) -> Patient:
        """A new patient session with an open conversation; closed when the service ends."""
        patient = Patient(self.url, consent=consent)
        self.clients.callback(patient.http.close)
        return patient

    def staff(self, username: str) -> httpx.Client:
        """A client that is signed in."""
        client = self.clients.enter_context(httpx.Client(base_url=self.url, timeout=120))
        answer = client.post(
            "/v1/staff/sign-in", json={"username": username, "password": self.passwords[username]}
        ).raise_for_status()
        client.headers["Authorization"] = f"Bearer {answer.json()['token']}"
        client.cookies.clear()
        return client


class Patient:
    """One patient over plain HTTP."""

    def __init__(self, url: str, *, consent: bool) -> None:
        self.http = httpx.Client(base_url=url, timeout=120)
        session = self.http.post("/v1/sessions", json={"consent": consent, "language": "en"}).raise_for_status().json()
        self.http.headers["Authorization"] = f"Bearer {session['token']}"
        self.conversation = self.http.post("/v1/conversations", json={}).raise_for_status().json()["id"]

    def ask(self, text: str, wait_s: int = 30) -> dict[str, object]:
        """Post a message and wait for the whole reply; on a busy machine for a second ``wait_s`` too."""
        answer = self.http.post(
            f"/v1/conversations/{self.conversation}/messages", json={"text": text}, headers={"Prefer": f"wait={wait_s}"}
        )
        assert answer.status_code in (200, 202), answer.text
        posted = answer.json()
        found: dict[str, object] | None = posted["reply"]
        until = time.monotonic() + wait_s
        while found is None and time.monotonic() < until:
            time.sleep(0.2)
            after = {"after": posted["message"]["position"]}
            items = self.http.get(f"/v1/conversations/{self.conversation}/messages", params=after).json()["items"]
            wanted = (item for item in items if item["id"] == posted["reply_id"])
            found = next((item for item in wanted if item["status"] == "complete"), None)
        assert found is not None, f"no whole reply within {2 * wait_s} s"
        return found


def settings_for(database_url: str, state: Path, encoder_folder: Path, **changed: object) -> Settings:
    """Settings of a test's service: a copy of ``database_url``, a state folder of its own, no rate limit in the way.

    The encoders' files are those of the test session.
    """
    (state / "encoder").symlink_to(encoder_folder)
    values: dict[str, object] = {
        "state": state, "database_url": SecretStr(new_database(database_url)), "requests_per_minute": 10_000,
        "log_level": "warning", "engine": "off",
    }  # fmt: skip
    return Settings(_env_file=None, **(values | changed))  # type: ignore[arg-type]


@pytest.fixture(scope="session")
def service(
    stocked_url: str, tmp_path_factory: pytest.TempPathFactory, encoder_folder: Path, vllm: RunningVllm
) -> Iterator[RunningService]:
    """The service of this test session, with the demo hospital, the demo model and the demo adapter."""
    state = tmp_path_factory.mktemp("state")
    settings = settings_for(stocked_url, state, encoder_folder, engine="external", engine_url=f"unix:{vllm.socket}")
    with run(settings) as running:
        yield running


@contextmanager
def run(settings: Settings) -> Iterator[RunningService]:
    """A service with these settings, for the length of the block."""
    app = create_app(settings)
    with serve(app) as url, ExitStack() as clients:
        passwords = {account.username: account.password for account in app.state.started.demo_accounts}
        yield RunningService(url, app, passwords, settings, clients)
