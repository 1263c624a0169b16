"""Server-sent events: FastAPI encodes them and keeps idle connections alive (a comment every 15 s).

A stream ends after a while, or when the store fails; clients come back with ``Last-Event-ID`` and miss nothing.
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
    end = asyncio.get_running_loop().time() + services.max_stream_s
    with contextlib.suppress(DependencyError):  # the stream ends; the client comes back
        async with contextlib.aclosing(services.conversations.events(owner, view.id, after)) as events:
            async for event in events:
                yield _event(event.type, event.data, event.seq)
                if asyncio.get_running_loop().time() > end:
                    return


async def staff_stream(services: Services, *, queue: bool) -> AsyncGenerator[ServerSentEvent, None]:
    """Changes of the live adapter, and with ``queue`` those of the queue, from now on."""
    merged: asyncio.Queue[ServerSentEvent | None] = asyncio.Queue(1_000)
    sources = [_adapter_changes(services)] + ([_queue_changes(services)] if queue else [])
    tasks = [asyncio.create_task(_pour(source, merged)) for source in sources]
    try:
        while (event := await merged.get()) is not None:
            yield event
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _pour(source: AsyncIterator[ServerSentEvent], merged: asyncio.Queue[ServerSentEvent | None]) -> None:
    with contextlib.suppress(DependencyError):
        async for event in source:
            await merged.put(event)
    await merged.put(None)


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
