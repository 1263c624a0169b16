"""The server must not print what our own log withholds."""

from __future__ import annotations

import logging
import signal
import socket
from collections.abc import Iterator

import pytest
from fastapi import FastAPI

from app import logging as app_logging
from app.cli.serving import _server, require_free_port
from app.errors import ConfigurationError
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


def test_a_port_in_use_is_said_with_the_mend() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(ConfigurationError, match="--port"):
            require_free_port("127.0.0.1", taken.getsockname()[1])
    require_free_port("127.0.0.1", 0)
