"""A stream of events whose reader is gone: left to the garbage collector, and closed once."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any, cast

import pytest

from app.api.deps import Services
from app.api.sse import staff_stream

pytestmark = pytest.mark.anyio


class Wakes:
    """A listener of which one wake-up comes at once, then none; it counts who waits."""

    def __init__(self) -> None:
        self.waiting = 0

    @contextmanager
    def subscribe(self, _key: str) -> Iterator[Wakes]:
        self.waiting += 1
        self._left = 1
        try:
            yield self
        finally:
            self.waiting -= 1

    async def wait(self, _timeout_s: float) -> bool:
        if self._left:
            self._left -= 1
            return True
        await asyncio.Event().wait()
        return False


class Adapters:
    """One live version."""

    async def list(self) -> tuple[tuple[()], SimpleNamespace]:
        return (), SimpleNamespace(channel="stable", version="support@000000000000")


async def test_a_stream_that_is_dropped_is_closed_once() -> None:
    """As part of a cycle, as the traceback of a cancelled task holds it: every generator in it is collected at once."""
    wakes, failures = Wakes(), list[dict[str, Any]]()
    services = SimpleNamespace(listener=wakes, adapters=Adapters(), closing=asyncio.Event())
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _loop, context: failures.append(context))
    stream = staff_stream(cast(Services, services), queue=False)
    event = await anext(stream)
    assert event.event == "adapter.changed"
    assert wakes.waiting == 1
    cycle: list[Any] = [stream]
    cycle.append(cycle)
    del stream, cycle
    gc.collect()
    async with asyncio.timeout(5):
        while wakes.waiting:
            await asyncio.sleep(0)
    for _ in range(5):
        await asyncio.sleep(0)
    gc.collect()
    assert failures == []
