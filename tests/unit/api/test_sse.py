"""A stream of events whose session ends, and one whose reader is gone: closed by the garbage collector, once."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from types import SimpleNamespace
from typing import Any, cast

import pytest

from app.api.deps import Services
from app.api.sse import staff_stream
from app.auth.staff import Staff
from tests.factories import utc_now

pytestmark = pytest.mark.anyio

ADMIN = Staff("1" * 32, "sam", "Sam Reed", ("admin",), "2" * 32, utc_now() + timedelta(hours=8))


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


class Sessions:
    """Accounts that know only whether the session of a stream goes on."""

    def __init__(self) -> None:
        self.gone = False

    async def stands(self, _staff: Staff) -> bool:
        return not self.gone


async def test_a_stream_without_events_ends_with_its_session() -> None:
    sessions = Sessions()
    services = SimpleNamespace(listener=Wakes(), adapters=Adapters(), closing=asyncio.Event(), staff=sessions)
    stream = staff_stream(cast(Services, services), ADMIN, recheck_s=0.01)
    assert (await anext(stream)).event == "adapter.changed"
    rest = asyncio.create_task(anext(stream, None))
    assert not (await asyncio.wait([rest], timeout=0.2))[0]
    sessions.gone = True
    async with asyncio.timeout(5):
        assert await rest is None


async def test_a_stream_that_is_dropped_is_closed_once() -> None:
    """As part of a cycle, as the traceback of a cancelled task holds it: every generator in it is collected at once."""
    wakes, failures = Wakes(), list[dict[str, Any]]()
    services = SimpleNamespace(listener=wakes, adapters=Adapters(), closing=asyncio.Event(), staff=Sessions())
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _loop, context: failures.append(context))
    stream = staff_stream(cast(Services, services), ADMIN)
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
