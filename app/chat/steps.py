"""Runs one step of a turn so that a fault in it can only end safely, and notes how long it took."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from app.chat.protocols import Clock
from app.errors import GuardrailFailed, InputError

T = TypeVar("T")

_TRIAGE = ThreadPoolExecutor(thread_name_prefix="triage")
"""Threads of triage alone, for the whole process: an emergency queues behind nothing but other messages' triage."""


class StepFailed(Exception):
    """A step raised, hung or returned nonsense. ``stage`` names it."""

    def __init__(self, stage: str, cause: BaseException | None) -> None:
        super().__init__(stage)
        self.stage = stage
        self.cause = cause


class Steps:
    """The steps of one turn: runs each under a time limit, checks the type of what it returns, and keeps timings."""

    def __init__(self, clock: Clock, timeout_s: float) -> None:
        self._clock, self._timeout_s = clock, timeout_s
        self._began = clock()
        self.milliseconds: dict[str, float] = {}

    async def run(self, stage: str, expected: type[T], work: Callable[[], T]) -> T:
        """Run blocking ``work`` in a thread. Raises StepFailed; an InputError (the patient's to mend) as it is."""
        threads = _TRIAGE if stage == "triage" else None  # None: the threads that everything else shares
        return await self.wait(stage, expected, asyncio.get_running_loop().run_in_executor(threads, work))

    async def wait(self, stage: str, expected: type[T], work: Awaitable[T]) -> T:
        """The same for an awaitable."""
        began = self._clock()
        try:
            async with asyncio.timeout(self._timeout_s):
                result = await work
        except InputError:
            raise
        except Exception as error:  # whatever a step throws must end in a safe reply
            raise StepFailed(stage, error) from error
        finally:
            self.milliseconds[stage] = (self._clock() - began) * 1000
        if not isinstance(result, expected):
            raise StepFailed(stage, GuardrailFailed(f"{stage} returned {type(result).__name__}"))
        return result

    def mark(self, name: str) -> None:
        """Note the milliseconds since the turn began under ``name``, the first time only."""
        self.milliseconds.setdefault(name, (self._clock() - self._began) * 1000)
