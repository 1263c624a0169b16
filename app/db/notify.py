"""Wake-ups between processes: PostgreSQL's LISTEN/NOTIFY, carrying ids only."""

from __future__ import annotations

import asyncio
import contextlib
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
from sqlalchemy import text
from sqlalchemy.engine import make_url
from sqlalchemy.ext.asyncio import AsyncSession

CHANNEL = "bedside"


async def notify(session: AsyncSession, key: str) -> None:
    """Wake all that wait for ``key`` (an id, such as ``conversation:<id>``) once the session's transaction commits."""
    await session.execute(text("SELECT pg_notify(:channel, :key)"), {"channel": CHANNEL, "key": key})


class Wake:
    """A flag that one waiter watches; set by each wake-up, cleared by :meth:`wait`."""

    def __init__(self) -> None:
        self._event = asyncio.Event()

    def set(self) -> None:
        """Wake the waiter."""
        self._event.set()

    async def wait(self, timeout_s: float) -> bool:
        """Wait for the next wake-up, at most ``timeout_s`` seconds; True if one came (also one since the last wait)."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                await self._event.wait()
        woken = self._event.is_set()
        self._event.clear()
        return woken


class Listener:
    """One LISTEN connection per process, fanned out to waiters by key.

    While the connection is down waiters are still woken once on each reconnect, so that nobody misses what was
    committed in between; waiters must read the log from where they were, a wake-up carries no data.
    """

    def __init__(self, url: str, retry_s: float = 0.5) -> None:
        self._dsn = make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)
        self._retry_s = retry_s
        self._waiters: dict[str, set[Wake]] = defaultdict(set)
        self._task: asyncio.Task[None] | None = None
        self.connected = asyncio.Event()

    async def start(self) -> None:
        """Begin to listen, in a task of its own."""
        self._task = asyncio.create_task(self._run(), name="database listener")

    async def stop(self) -> None:
        """End the task and the connection."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
            self._task = None

    @contextmanager
    def subscribe(self, key: str) -> Iterator[Wake]:
        """A Wake that is set whenever ``key`` is notified, for the length of the block."""
        wake = Wake()
        self._waiters[key].add(wake)
        try:
            yield wake
        finally:
            self._waiters[key].discard(wake)
            if not self._waiters[key]:
                del self._waiters[key]

    def _wake_all(self) -> None:
        for waiters in self._waiters.values():
            for wake in waiters:
                wake.set()

    async def _run(self) -> None:
        while True:
            try:
                connection = await psycopg.AsyncConnection.connect(self._dsn, autocommit=True)
                async with connection:
                    await connection.execute(f"LISTEN {CHANNEL}")
                    self.connected.set()
                    self._wake_all()
                    async for notice in connection.notifies():
                        for wake in self._waiters.get(notice.payload, ()):
                            wake.set()
            except (psycopg.Error, OSError):
                pass
            self.connected.clear()
            await asyncio.sleep(self._retry_s)
