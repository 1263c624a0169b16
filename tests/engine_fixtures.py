"""One real vLLM for the whole test session, shared by every suite that needs one.

``tests/conftest.py`` makes the fixtures known. A test that uses ``vllm`` must carry ``@pytest.mark.engine``.
``BEDSIDE_TEST_ENGINE_SOCKET`` names the socket of an engine that already runs (served name ``base``), to save
its start while developing. ``BEDSIDE_REQUIRE_ENGINE=1`` turns the skip for a missing vLLM into a failure.
"""

from __future__ import annotations

import asyncio
import importlib.util
import os
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from app.engine.command import detect_device, engine_command, engine_environment
from app.engine.launcher import EngineLauncher
from tests.adapter_files import DEMO_MODEL, adapter_tensors, served_name, write_adapter

SERVED_NAME = "base"
START_S = 600.0


@dataclass(frozen=True)
class RunningVllm:
    """A ready vLLM: give ``uds=str(socket)`` and ``model`` to VllmEngine. ``log`` grows while it runs."""

    socket: Path
    model: str = SERVED_NAME
    log: list[str] = field(default_factory=list)
    start_s: float = 0.0
    ours: bool = True


@dataclass(frozen=True)
class TinyAdapter:
    """A random adapter over the demo base model: its served name and its own folder."""

    name: str
    folder: Path


@pytest.fixture(scope="session")
def vllm() -> Iterator[RunningVllm]:
    """Start vLLM with the demo base model once; stop it after the last test. Skips loudly where it is missing."""
    given = os.environ.get("BEDSIDE_TEST_ENGINE_SOCKET")
    if given:
        yield RunningVllm(Path(given), ours=False)
        return
    if importlib.util.find_spec("vllm") is None:
        sentence = "vLLM IS NOT INSTALLED: the tests against a real engine do not run (make setup installs it)"
        if os.environ.get("BEDSIDE_REQUIRE_ENGINE") == "1":
            pytest.fail(sentence, pytrace=False)
        pytest.skip(sentence)
    with tempfile.TemporaryDirectory(prefix="bs-engine-") as folder:
        thread = _LauncherThread(Path(folder) / "engine.sock")
        begun = time.monotonic()
        thread.start()
        if not thread.ready.wait(START_S) or not thread.is_ready:
            thread.finish()
            pytest.fail("vLLM did not become ready:\n" + "\n".join(thread.log[-40:]), pytrace=False)
        yield RunningVllm(thread.socket, log=thread.log, start_s=time.monotonic() - begun)
        thread.finish()


@pytest.fixture(scope="session")
def tiny_adapters(tmp_path_factory: pytest.TempPathFactory) -> list[TinyAdapter]:
    """Three different random rsLoRA adapters in content-addressed folders that outlive the engine."""
    adapters = []
    for seed in range(3):
        folder = write_adapter(
            tmp_path_factory.mktemp("adapters") / f"tiny-{seed}", tensors=adapter_tensors(seed=seed, scale=0.1)
        )
        adapters.append(TinyAdapter(served_name(folder), folder))
    return adapters


class _LauncherThread(threading.Thread):
    """Runs a launcher on an event loop of its own, since every test has another one."""

    def __init__(self, socket: Path) -> None:
        super().__init__(name="vllm-for-tests", daemon=True)
        self.socket = socket
        self.log: list[str] = []
        self.ready = threading.Event()
        self.is_ready = False
        self._end = threading.Event()

    def finish(self) -> None:
        self._end.set()
        self.join(60)

    def run(self) -> None:
        asyncio.run(self._serve())

    async def _serve(self) -> None:
        device = detect_device()
        launcher = EngineLauncher(
            engine_command(str(DEMO_MODEL), self.socket, served_name=SERVED_NAME, device=device),
            engine_environment(self.socket, inherited=os.environ, device=device),
            self.socket,
            on_log=self.log.append,
            model=SERVED_NAME,
            grace_s=10.0,
        )
        await launcher.start()
        try:
            self.is_ready = await launcher.wait_ready(START_S)
            self.ready.set()
            await asyncio.to_thread(self._end.wait)
        finally:
            self.ready.set()
            await launcher.stop()
