"""The launcher with real processes that only pretend to be an engine."""

from __future__ import annotations

import asyncio
import os
import signal
import socket as socketlib
import subprocess
import sys
import tempfile
import textwrap
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from app.engine.launcher import EngineLauncher

pytestmark = pytest.mark.anyio
PRETEND = Path(__file__).with_name("pretend_engine.py")
ROOT = Path(__file__).parents[3]


@pytest.fixture
def socket() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="bs-") as folder:
        yield Path(folder) / "engine.sock"


class Subject:
    """A launcher and what it logged."""

    def __init__(self, socket: Path, fault: str = "none", **options: float | tuple[float, float]) -> None:
        self.lines: list[str] = []
        defaults: dict[str, object] = {"grace_s": 1.0, "backoff_s": (0.05, 0.2), "probe_s": 0.1}
        self.launcher = EngineLauncher(
            [sys.executable, str(PRETEND), str(socket), fault],
            {"PATH": os.environ["PATH"]},
            socket,
            on_log=self.lines.append,
            model="pretend",
            **(defaults | options),  # type: ignore[arg-type]
        )

    def pids(self) -> list[int]:
        return [int(word) for line in self.lines if line.startswith("pids ") for word in line.split()[1:]]


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def present(path: Path) -> bool:
    return path.exists()


def leave_stale(socket: Path) -> None:
    with socketlib.socket(socketlib.AF_UNIX) as old:
        old.bind(str(socket))


async def until(condition: Callable[[], bool], seconds: float = 60.0) -> None:
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.02)


async def test_starts_tells_its_state_forwards_the_log_and_stops_everything(socket: Path) -> None:
    subject = Subject(socket)
    assert subject.launcher.health().state == "down"
    await subject.launcher.start()
    assert subject.launcher.health().state == "starting"
    assert "s so far" in subject.launcher.health().detail
    assert await subject.launcher.wait_ready(60)
    assert subject.launcher.health().state == "ready"
    assert subject.launcher.owned
    await until(lambda: any("broken" in line for line in subject.lines))
    assert "broken \ufffd byte" in subject.lines
    assert max(map(len, subject.lines)) == 2_000
    pids = subject.pids()
    assert len(pids) == 2
    assert all(map(alive, pids))
    await subject.launcher.stop()
    assert subject.launcher.health().state == "down"
    assert not any(map(alive, pids))
    assert not present(socket)


async def test_kills_what_ignores_the_request_to_end(socket: Path) -> None:
    subject = Subject(socket, "stubborn", grace_s=0.3)
    await subject.launcher.start()
    assert await subject.launcher.wait_ready(60)
    begun = time.monotonic()
    await subject.launcher.stop()
    assert 0.3 <= time.monotonic() - begun < 10, "not the 15 s of the last resort"
    assert not any(map(alive, subject.pids()))


async def test_starts_again_with_growing_pauses_and_tells_the_cause(socket: Path) -> None:
    subject = Subject(socket, "crash", backoff_s=(0.1, 10.0))
    begun = time.monotonic()
    await subject.launcher.start()
    await until(lambda: len(subject.pids()) >= 8)
    assert time.monotonic() - begun > 0.8 * (0.1 + 0.2 + 0.4)
    await until(lambda: subject.launcher.health().state == "down")
    assert "status 3 (ValueError: no such model)" in subject.launcher.health().detail
    await subject.launcher.stop()
    assert not any(map(alive, subject.pids()))


async def test_comes_back_after_a_crash(socket: Path) -> None:
    subject = Subject(socket, "once")
    await subject.launcher.start()
    assert await subject.launcher.wait_ready(60)
    await until(lambda: subject.launcher.health().state == "down")
    assert await subject.launcher.wait_ready(60)
    pids = subject.pids()
    assert len(pids) == 4
    assert not any(map(alive, pids[:2])), "the crashed engine's child went with it"
    await subject.launcher.stop()


async def test_ends_and_restarts_a_hanging_engine(socket: Path) -> None:
    subject = Subject(socket, probe_s=0.05, answer_s=0.5)
    await subject.launcher.start()
    assert await subject.launcher.wait_ready(60)
    os.kill(subject.pids()[0], signal.SIGSTOP)
    await until(lambda: len(subject.pids()) >= 4)
    assert await subject.launcher.wait_ready(60)
    await subject.launcher.stop()
    assert not any(map(alive, subject.pids()))


async def test_an_engine_that_never_gets_ready_is_ended(socket: Path) -> None:
    subject = Subject(socket, "mute", start_s=0.5, backoff_s=(30.0, 30.0))
    await subject.launcher.start()
    assert not await subject.launcher.wait_ready(0.3)
    await until(lambda: subject.launcher.health().state == "down")
    assert "not ready after" in subject.launcher.health().detail
    assert not any(map(alive, subject.pids()))
    await subject.launcher.stop()


async def test_an_engine_that_fails_again_and_again_is_not_waited_for_to_the_end(socket: Path) -> None:
    subject = Subject(socket, "crash")
    await subject.launcher.start()
    async with asyncio.timeout(60):
        assert not await subject.launcher.wait_ready(600, starts=3)
    assert subject.launcher.health().state == "down"
    assert len(subject.pids()) >= 3
    await subject.launcher.stop()


async def test_a_stale_socket_is_removed(socket: Path) -> None:
    leave_stale(socket)
    subject = Subject(socket)
    await subject.launcher.start()
    assert await subject.launcher.wait_ready(60)
    await subject.launcher.stop()


async def test_tries_again_after_the_system_refused_to_start_it(socket: Path) -> None:
    subject = Subject(socket / "folder" / "engine.sock")
    await subject.launcher.start()
    await until(lambda: subject.launcher.health().state == "down")
    assert "could not be run (FileNotFoundError)" in subject.launcher.health().detail
    await subject.launcher.stop()


async def test_tries_again_after_the_socket_could_not_be_removed(socket: Path) -> None:
    os.mkdir(socket)
    subject = Subject(socket)
    await subject.launcher.start()
    await until(lambda: subject.launcher.health().state == "down")
    assert "could not be run (IsADirectoryError)" in subject.launcher.health().detail
    os.rmdir(socket)
    assert await subject.launcher.wait_ready(60)
    await subject.launcher.stop()
    assert not any(map(alive, subject.pids()))


async def test_a_second_launcher_uses_the_engine_and_takes_over(socket: Path) -> None:
    first, second = Subject(socket), Subject(socket)
    await first.launcher.start()
    assert await first.launcher.wait_ready(60)
    await second.launcher.start()
    assert await second.launcher.wait_ready(60)
    assert not second.launcher.owned
    assert second.pids() == []
    await first.launcher.stop()
    await until(lambda: second.launcher.owned)
    await until(lambda: second.launcher.health().state == "ready")
    assert len(second.pids()) == 2
    await second.launcher.stop()
    assert not any(map(alive, second.pids()))


async def test_stopping_the_second_launcher_leaves_the_engine_alone(socket: Path) -> None:
    first, second = Subject(socket), Subject(socket)
    await first.launcher.start()
    assert await first.launcher.wait_ready(60)
    await second.launcher.start()
    assert await second.launcher.wait_ready(60)
    await second.launcher.stop()
    assert all(map(alive, first.pids()))
    assert first.launcher.health().state == "ready"
    await first.launcher.stop()


async def test_nothing_outlives_a_killed_parent(socket: Path) -> None:
    script = textwrap.dedent(f"""
        import asyncio, os, sys
        from pathlib import Path
        from app.engine.launcher import EngineLauncher

        async def main():
            launcher = EngineLauncher(
                [sys.executable, {str(PRETEND)!r}, {str(socket)!r}, "stubborn"], {{"PATH": os.environ["PATH"]}},
                Path({str(socket)!r}), on_log=lambda line: print(line, flush=True), grace_s=0.3)
            await launcher.start()
            assert await launcher.wait_ready(60)
            print("ready", flush=True)
            await asyncio.sleep(600)

        asyncio.run(main())
    """)
    parent = await asyncio.create_subprocess_exec(sys.executable, "-c", script, cwd=ROOT, stdout=subprocess.PIPE)
    assert parent.stdout is not None
    pids: list[int] = []
    async with asyncio.timeout(90):
        while (line := (await parent.stdout.readline()).decode().strip()) != "ready":
            if line.startswith("pids "):
                pids = [int(word) for word in line.split()[1:]]
    assert len(pids) == 2
    assert all(map(alive, pids))
    parent.kill()
    await parent.wait()
    await until(lambda: not any(map(alive, pids)))
    parent._transport.close()  # type: ignore[attr-defined]
