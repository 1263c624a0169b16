"""Starts the vLLM process, watches it, starts it again with growing pauses, and stops it without leaving orphans."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import random
import re
import signal
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import httpx

from app.engine.protocol import EngineHealth, EngineState
from app.logging import logger

_GUARD = Path(__file__).with_name("guard.py")
_LONGEST_LINE = 2_000
_CAUSE = re.compile(r"\b(\w*(?:Error|Exception): .{1,300})")


class EngineLauncher:
    """Keeps one engine running behind ``socket``. A second launcher for the same socket uses the first one's engine.

    ``command`` and ``environment`` come from :mod:`app.engine.command`. ``on_log`` gets each line of the engine's log
    (cut to 2,000 characters); the engine is started so that it writes no prompt and no answer there. ``grace_s`` is
    what a stopping engine gets to finish its answers, ``start_s`` to become ready. Pauses between starts grow from
    ``backoff_s[0]`` to ``backoff_s[1]`` and begin anew after a minute of readiness. ``probe_s`` is the pause between
    looks at a ready engine, which must answer within ``answer_s``; three failed looks in a row end and restart it.

    A file lock beside the socket tells who runs the engine. The guard process holds it too, so that it is free only
    when the whole process tree is gone; then a waiting launcher takes over.
    """

    def __init__(
        self,
        command: Sequence[str],
        environment: Mapping[str, str],
        socket: Path,
        *,
        on_log: Callable[[str], None],
        model: str = "",
        start_s: float = 600.0,
        grace_s: float = 35.0,
        backoff_s: tuple[float, float] = (1.0, 60.0),
        probe_s: float = 5.0,
        answer_s: float = 10.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._command = [sys.executable, "-I", str(_GUARD), str(grace_s), *command]
        self._environment = dict(environment)
        self._socket = socket
        self._on_log = on_log
        self._model = model
        self._start_s = start_s
        self._grace_s = grace_s
        self._backoff_s = backoff_s
        self._probe_s = probe_s
        self._answer_s = answer_s
        self._clock = clock
        self._health = EngineHealth("down", "The engine has not been started.", model)
        self._since = clock()
        self._cause = ""
        self._failed = 0
        self._lock: int | None = None
        self._process: asyncio.subprocess.Process | None = None
        self._task: asyncio.Task[None] | None = None
        self._changed = asyncio.Event()

    @property
    def owned(self) -> bool:
        """Whether this launcher runs the engine, instead of using another one's."""
        return self._lock is not None

    @property
    def pid(self) -> int | None:
        """Process id of the guard while an engine of ours runs."""
        return self._process.pid if self._process is not None else None

    def health(self) -> EngineHealth:
        """The state as last seen, without asking the engine; for ``VllmEngine(unreachable=…)``."""
        if self._health.state == "starting":
            seconds = int(self._clock() - self._since)
            return EngineHealth("starting", f"{self._health.detail} ({seconds} s so far)", self._model)
        return self._health

    async def start(self) -> None:
        """Begin; returns at once. Readiness is told by :meth:`health` and :meth:`wait_ready`."""
        if self._task is None:
            self._since = self._clock()
            self._set("starting", "The engine is being started.")
            self._task = asyncio.create_task(self._supervise(), name="engine-launcher")

    async def wait_ready(self, seconds: float, *, starts: int | None = None) -> bool:
        """Wait until the engine is ready; false when it is not within ``seconds``, or has failed to start ``starts``
        times in a row: what no new start mends, :meth:`health` then tells.
        """
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while self._health.state != "ready" and (starts is None or self._failed < starts):
                    self._changed.clear()
                    await self._changed.wait()
        return self._health.state == "ready"

    async def stop(self) -> None:
        """Stop our engine (another launcher's goes on). Its running answers get ``grace_s`` to end."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        self._set("down", "The engine was stopped.")

    async def _supervise(self) -> None:
        try:
            while True:
                try:
                    if not self._acquire():
                        await self._follow()
                        continue
                    ready_s, status = await self._run_once()
                    cause = f" ({self._cause})" if self._cause else ""
                    how = f"ended with status {status}{cause}"
                except Exception as error:  # no process, no file handle, no folder: that may pass
                    logger("engine").error("engine could not be run", exc_info=error)
                    ready_s, how = 0.0, f"could not be run ({type(error).__name__})"
                self._failed = 0 if ready_s >= 60 else self._failed + 1
                pause = min(self._backoff_s[1], self._backoff_s[0] * 2 ** max(0, self._failed - 1))
                pause *= random.uniform(0.8, 1.2)
                self._set("down", f"The engine {how}; next start in {pause:.0f} s.")
                await asyncio.sleep(pause)
        finally:
            self._release()

    async def _run_once(self) -> tuple[float, int | None]:
        """Run the engine until it ends; seconds of readiness and exit status."""
        self._socket.unlink(missing_ok=True)
        self._since, self._cause = self._clock(), ""
        self._set("starting", "The engine is starting.")
        assert self._lock is not None
        process = self._process = await asyncio.create_subprocess_exec(
            *self._command,
            env=self._environment,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            start_new_session=True,
            pass_fds=(self._lock,),
        )
        log = asyncio.create_task(self._forward_log(process))
        watch = asyncio.create_task(self._watch())
        ended = asyncio.create_task(process.wait())
        try:
            await asyncio.wait({watch, ended}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            watch.cancel()
            await asyncio.shield(self._terminate(process))
            await asyncio.gather(watch, ended, log, return_exceptions=True)
            self._process = None
            self._socket.unlink(missing_ok=True)
        ready_s = self._clock() - self._since if self._health.state == "ready" else 0.0
        return ready_s, process.returncode

    async def _watch(self) -> None:
        """Look at the engine until it must be ended: not ready in time, or hanging."""
        misses = 0
        async with _client(self._socket, self._answer_s) as client:
            while misses < 3:
                if await _answers(client):
                    misses = 0
                    if self._health.state != "ready":
                        self._since = self._clock()
                        self._set("ready", "The engine answers.")
                elif self._health.state == "ready":
                    misses += 1
                elif self._clock() - self._since > self._start_s:
                    self._cause = f"not ready after {self._start_s:.0f} s"
                    return
                await asyncio.sleep(self._probe_s if self._health.state == "ready" else 0.25)
        self._cause = "it did not answer any more"
        self._set("down", "The engine does not answer any more and is ended.")

    async def _follow(self) -> None:
        """Use another process's engine until that process is gone."""
        async with _client(self._socket, self._answer_s) as client:
            while not self._acquire():
                if await _answers(client):
                    self._set("ready", "The engine of another Bedside process answers.")
                elif self._health.state != "starting":
                    self._since = self._clock()
                    self._set("starting", "Another Bedside process is starting the engine.")
                await asyncio.sleep(0.5)

    async def _forward_log(self, process: asyncio.subprocess.Process) -> None:
        assert process.stdout is not None
        rest = b""
        while chunk := await process.stdout.read(65_536):
            *lines, rest = (rest + chunk).split(b"\n")
            rest = rest[-_LONGEST_LINE:]
            for line in lines:
                self._log(line)
        if rest:
            self._log(rest)

    def _log(self, raw: bytes) -> None:
        line = raw.decode("utf-8", "replace").rstrip()[:_LONGEST_LINE]
        if self._health.state == "starting" and (cause := _CAUSE.search(line)):
            self._cause = cause[1]
        if line:
            self._on_log(line)

    async def _terminate(self, process: asyncio.subprocess.Process) -> None:
        if process.stdin is not None:
            process.stdin.close()
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(signal.SIGTERM)
        try:
            async with asyncio.timeout(self._grace_s + 15):
                await process.wait()
        except TimeoutError:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()

    def _acquire(self) -> bool:
        if self._lock is not None:
            return True
        lock = os.open(self._socket.with_suffix(".lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(lock)
            return False
        self._lock = lock
        return True

    def _release(self) -> None:
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def _set(self, state: EngineState, detail: str) -> None:
        self._health = EngineHealth(state, detail, self._model)
        self._changed.set()


def _client(socket: Path, answer_s: float) -> httpx.AsyncClient:
    transport = httpx.AsyncHTTPTransport(uds=str(socket), verify=False)
    return httpx.AsyncClient(transport=transport, base_url="http://engine", timeout=answer_s, trust_env=False)


async def _answers(client: httpx.AsyncClient) -> bool:
    try:
        return (await client.get("/health")).status_code == 200
    except httpx.HTTPError:
        return False
