"""A real service process gets SIGTERM while it streams: it leaves in order, and no question stays unanswered."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from app.settings import Settings
from tests.engine_fixtures import RunningVllm
from tests.live_service import Patient, settings_for

pytestmark = [pytest.mark.engine, pytest.mark.timeout(1_200)]


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


@contextmanager
def process(settings: Settings, port: int) -> Iterator[subprocess.Popen[bytes]]:
    """`bedside serve` over these settings, ready to answer."""
    assert settings.database_url is not None
    environment = os.environ | {
        "BEDSIDE_STATE": str(settings.state),
        "BEDSIDE_DATABASE_URL": settings.database_url.get_secret_value(),
        "BEDSIDE_ENGINE": settings.engine,
        "BEDSIDE_ENGINE_URL": settings.engine_url,
        "BEDSIDE_PORT": str(port),
    }
    command = [sys.executable, "-c", "from app.cli.program import main; main()", "serve"]
    running = subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL)
    try:
        until = time.monotonic() + 240
        while time.monotonic() < until:
            try:
                if httpx.get(f"http://127.0.0.1:{port}/readyz", timeout=30).json()["answers"] == "everything":
                    break
            except (httpx.HTTPError, KeyError):
                pass
            time.sleep(0.2)
        else:
            raise AssertionError("the service did not become ready")
        yield running
    finally:
        if running.poll() is None:
            running.kill()
        running.wait(30)


def test_sigterm_in_the_middle_of_a_reply(
    stocked_url: str, tmp_path: Path, encoder_folder: Path, vllm: RunningVllm
) -> None:
    settings = settings_for(stocked_url, tmp_path, encoder_folder, engine="external", engine_url=f"unix:{vllm.socket}")
    port = free_port()
    with process(settings, port) as running:
        patient = Patient(f"http://127.0.0.1:{port}", consent=True)
        url = f"/v1/conversations/{patient.conversation}/messages"
        for question in ("What are the visiting hours?", "How do I pay my bill?", "Where is lost and found?"):
            assert patient.http.post(url, json={"text": question}).status_code == 202
        running.send_signal(signal.SIGTERM)
        assert running.wait(60) == 0
    with process(settings, port):
        until = time.monotonic() + 120
        replies: list[dict[str, object]] = []
        while len(replies) < 3 and time.monotonic() < until:
            items = patient.http.get(url).json()["items"]
            replies = [item for item in items if item["author"] == "assistant" and item["status"] == "complete"]
            time.sleep(0.2)
        assert len(replies) == 3, "every question is answered, before the stop or after the new start"
        asked = [item["id"] for item in items if item["author"] == "patient"]
        assert sorted(str(reply["in_reply_to"]) for reply in replies) == sorted(asked), "and answered once"
    patient.http.close()
