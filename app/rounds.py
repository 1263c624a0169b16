"""Work that a process does again and again beside its requests."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable

from app.logging import logger


class Rounds:
    """Does ``work`` at once and then every ``every_s`` seconds, in a task of its own, from ``start`` to ``stop``.

    A round that fails is logged under ``name``, by the error's type and place; the next one tries again.
    """

    def __init__(self, name: str, work: Callable[[], Awaitable[object]], every_s: float) -> None:
        self._name, self._work, self._every_s = name, work, every_s
        self._task: asyncio.Task[None] | None = None
        self._log = logger(name)

    async def start(self) -> None:
        """Begin; returns at once."""
        self._task = asyncio.create_task(self._run(), name=self._name)

    async def stop(self) -> None:
        """End, also in the middle of a round."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
            self._task = None

    async def _run(self) -> None:
        while True:
            try:
                await self._work()
            except Exception:
                self._log.warning("round failed; the next one tries again", exc_info=True)
            await asyncio.sleep(self._every_s)
