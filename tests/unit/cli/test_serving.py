"""The server must not print what our own log withholds."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
import uvicorn
from fastapi import FastAPI

from app import logging as app_logging
from app.cli.serving import ClosingServer, _server, require_free_port
from app.errors import ConfigurationError, PolicyRefused
from app.settings import Settings


@pytest.fixture
def handler_kept() -> Iterator[None]:
    before = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, before)


@pytest.mark.usefixtures("handler_kept")
def test_unexpected_errors_reach_the_log_without_their_words(capsys: pytest.CaptureFixture[str]) -> None:
    app_logging.configure("info", "text")
    _server(Settings(), FastAPI())
    error = ValueError("Maria Gonzalez is in pain")
    logging.getLogger("uvicorn.error").error("Exception in ASGI application\n", exc_info=error)
    shown = capsys.readouterr()
    assert "Exception in ASGI application (ValueError)" in shown.err
    assert "Maria" not in shown.err + shown.out


class Reloads:
    """Stands in for the policies: notes who asked for a reload, and refuses it."""

    def __init__(self) -> None:
        self.actors: list[str] = []
        self.asked = asyncio.Event()

    async def reload(self, actor: str) -> None:
        self.actors.append(actor)
        self.asked.set()
        raise PolicyRefused("tiny", ["scope.yaml:3: broken"])


@pytest.mark.anyio
@pytest.mark.usefixtures("handler_kept")
async def test_a_hangup_reloads_the_policies_and_the_service_goes_on(tmp_path: Path) -> None:
    app, policies = FastAPI(), Reloads()
    app.state.services = SimpleNamespace(policies=policies, closing=asyncio.Event())
    server = ClosingServer(uvicorn.Config(app, uds=str(tmp_path / "s"), log_config=None, lifespan="off"))
    server.reloads = True
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    task = asyncio.create_task(server.serve())
    try:
        while not server.started:
            await asyncio.sleep(0.01)
        for expected in (1, 2):  # a refusal does not end the service
            policies.asked.clear()
            os.kill(os.getpid(), signal.SIGHUP)
            async with asyncio.timeout(10):
                await policies.asked.wait()
            await asyncio.sleep(0.05)
            assert (policies.actors, task.done()) == (["system"] * expected, False)
    finally:
        asyncio.get_running_loop().remove_signal_handler(signal.SIGHUP)
        signal.signal(signal.SIGHUP, before)
        server.should_exit = True
        await task


def test_a_port_in_use_is_said_with_the_mend() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(ConfigurationError, match="--port"):
            require_free_port("127.0.0.1", taken.getsockname()[1])
    require_free_port("127.0.0.1", 0)
