"""Server-sent events: FastAPI encodes them and keeps idle connections alive (a comment every 15 s).

A stream ends when the server closes or the store fails; clients come back with ``Last-Event-ID`` and miss nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncGenerator
from typing import Annotated, Any

from fastapi import Header, Query
from fastapi.sse import ServerSentEvent

from app.api.deps import Services
from app.conversations.schemas import ConversationView
from app.errors import DependencyError
from app.logging import logger

RETRY_MS = 1000


def resume_from(
    last_event_id: Annotated[
        str | None, Header(alias="Last-Event-ID", description="number of the last event seen")
    ] = None,
    after: Annotated[int, Query(ge=0, description="the same, where a header cannot be sent")] = 0,
) -> int:
    """The number after which events are wanted; an id that is not ours counts as none."""
    if last_event_id is not None and last_event_id.isascii() and last_event_id.isdigit() and len(last_event_id) < 18:
        return int(last_event_id)
    return after


async def conversation_stream(
    services: Services, owner: str, view: ConversationView, after: int
) -> AsyncGenerator[ServerSentEvent, None]:
    """Events of a conversation from ``after`` on."""
    if after > view.last_seq:  # the client knows more than the store, which was restored from a copy
        after = view.last_seq
        yield _event("resync", {}, after)
    async with _Merged(services, _log(services, owner, view.id, after)) as events:
        while (event := await events.get()) is not None:
            yield event


async def staff_stream(services: Services, *, queue: bool) -> AsyncGenerator[ServerSentEvent, None]:
    """Changes of the live adapter, and with ``queue`` those of the queue, from now on."""
    sources = [_adapter_changes(services)] + ([_queue_changes(services)] if queue else [])
    async with _Merged(services, *sources) as events:
        while (event := await events.get()) is not None:
            yield event


class _Merged:
    """All sources as one queue; None comes when one of them ends or the server closes.

    No generator: a stream that is dropped with the reader gone is closed by the garbage collector, which would close
    a generator inside it a second time while the first closing still waits for the tasks.
    """

    def __init__(self, services: Services, *sources: AsyncGenerator[ServerSentEvent, None]) -> None:
        self._services, self._sources = services, sources
        self._queue: asyncio.Queue[ServerSentEvent | None] = asyncio.Queue(100)
        self._tasks: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> asyncio.Queue[ServerSentEvent | None]:
        works = [self._pour(source) for source in self._sources] + [self._close()]
        self._tasks = [asyncio.create_task(work) for work in works]
        return self._queue

    async def __aexit__(self, *_error: object) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _pour(self, source: AsyncGenerator[ServerSentEvent, None]) -> None:
        try:
            async with contextlib.aclosing(source):
                async for event in source:
                    await self._queue.put(event)
        except DependencyError:
            pass  # the stream ends; the client comes back
        except Exception:
            logger(__name__).error("event stream failed", exc_info=True)
        await self._queue.put(None)

    async def _close(self) -> None:
        await self._services.closing.wait()
        await self._queue.put(None)


async def _log(services: Services, owner: str, conversation: str, after: int) -> AsyncGenerator[ServerSentEvent, None]:
    async with contextlib.aclosing(services.conversations.events(owner, conversation, after)) as events:
        async for event in events:
            yield _event(event.type, event.data, event.seq)


async def _queue_changes(services: Services) -> AsyncGenerator[ServerSentEvent, None]:
    async with contextlib.aclosing(services.escalations.follow()) as changes:
        async for type_, data in changes:
            yield _event(type_, data)


async def _adapter_changes(services: Services) -> AsyncGenerator[ServerSentEvent, None]:
    with services.listener.subscribe("adapters") as wake:
        while True:
            if await wake.wait(60.0):
                _versions, live = await services.adapters.list()
                yield _event("adapter.changed", {"channel": live.channel, "version": live.version})


def _event(type_: str, data: dict[str, Any], seq: int | None = None) -> ServerSentEvent:
    raw = json.dumps(data, ensure_ascii=False, separators=(",", ":"))
    return ServerSentEvent(event=type_, raw_data=raw, id=None if seq is None else str(seq), retry=RETRY_MS)
