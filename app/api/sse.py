"""Server-sent events: FastAPI encodes them and keeps idle connections alive (a comment every 15 s).

A stream ends when the server closes or the store fails; clients come back with ``Last-Event-ID`` and miss nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncGenerator, AsyncIterator
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
    async with contextlib.aclosing(_merged(services, _log(services, owner, view.id, after))) as events:
        async for event in events:
            yield event


async def staff_stream(services: Services, *, queue: bool) -> AsyncGenerator[ServerSentEvent, None]:
    """Changes of the live adapter, and with ``queue`` those of the queue, from now on."""
    sources = [_adapter_changes(services)] + ([_queue_changes(services)] if queue else [])
    async with contextlib.aclosing(_merged(services, *sources)) as events:
        async for event in events:
            yield event


async def _merged(
    services: Services, *sources: AsyncIterator[ServerSentEvent]
) -> AsyncGenerator[ServerSentEvent, None]:
    """All sources as one stream, until one of them ends or the server closes."""
    merged: asyncio.Queue[ServerSentEvent | None] = asyncio.Queue(100)

    async def pour(source: AsyncIterator[ServerSentEvent]) -> None:
        try:
            async for event in source:
                await merged.put(event)
        except DependencyError:
            pass  # the stream ends; the client comes back
        except Exception:
            logger(__name__).error("event stream failed", exc_info=True)
        await merged.put(None)

    async def close() -> None:
        await services.closing.wait()
        await merged.put(None)

    tasks = [asyncio.create_task(pour(source)) for source in sources] + [asyncio.create_task(close())]
    try:
        while (event := await merged.get()) is not None:
            yield event
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _log(services: Services, owner: str, conversation: str, after: int) -> AsyncIterator[ServerSentEvent]:
    async with contextlib.aclosing(services.conversations.events(owner, conversation, after)) as events:
        async for event in events:
            yield _event(event.type, event.data, event.seq)


async def _queue_changes(services: Services) -> AsyncIterator[ServerSentEvent]:
    async for type_, data in services.escalations.follow():
        yield _event(type_, data)


async def _adapter_changes(services: Services) -> AsyncIterator[ServerSentEvent]:
    with services.listener.subscribe("adapters") as wake:
        while True:
            if await wake.wait(60.0):
                _versions, live = await services.adapters.list()
                yield _event("adapter.changed", {"channel": live.channel, "version": live.version})


def _event(type_: str, data: dict[str, Any], seq: int | None = None) -> ServerSentEvent:
    raw = json.dumps(data, ensure_ascii=False, separators=(",", ":"))
    return ServerSentEvent(event=type_, raw_data=raw, id=None if seq is None else str(seq), retry=RETRY_MS)
