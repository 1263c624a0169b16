"""The live adapter version as each turn resolves it: kept in memory, refreshed the moment that the pointer moves."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable

from app.adapters.service import CHANGED, Live
from app.db.notify import Listener
from app.logging import logger


class LivePointer:
    """Follows the pointer through LISTEN/NOTIFY, and reads it anew every ``every_s`` seconds in any case."""

    def __init__(self, read: Callable[[], Awaitable[Live]], listener: Listener, every_s: float = 2.0) -> None:
        self._read, self._listener, self._every_s = read, listener, every_s
        self._log = logger("adapters")
        self._version: str | None = None
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Read once, then follow in a task of its own. Raises StoreUnavailable."""
        self._version = (await self._read()).version
        self._task = asyncio.create_task(self._follow(), name="adapter pointer")

    async def stop(self) -> None:
        """End the task."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    async def version(self) -> str | None:
        """The version for a turn that begins now; None is the base model."""
        return self._version

    async def _follow(self) -> None:
        with self._listener.subscribe(CHANGED) as wake:
            while True:
                await wake.wait(self._every_s)
                try:
                    self._version = (await self._read()).version
                except Exception as error:  # the database is away, say: the version known last stays right
                    self._log.warning("reading the adapter pointer failed", exc_info=error)
