"""Server-sent events: FastAPI encodes them and keeps idle connections alive (a comment every 15 s).

A stream ends when its session does, the server closes or the store fails; clients come back with ``Last-Event-ID`` and
miss nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterator
from typing import Annotated, Any

import anyio
from fastapi import Header, Query
from fastapi.sse import ServerSentEvent

from app.api.deps import PatientDep, Services, SignedInDep
from app.auth.patients import Patient
from app.auth.staff import Staff
from app.conversations.schemas import ConversationView
from app.errors import DependencyError, TooManyRequests
from app.logging import logger

RETRY_MS = 1000

MOST_STREAMS = 6
"""Open streams of a session, in each process: as many connections as a browser opens to a host."""

RECHECK_S = 15.0
"""Seconds after which the session of a stream without events is looked at again; it is before each event, too."""


class OpenStreams:
    """Counts the open streams of each session. Its methods are dependencies, which hold a place until the stream ends.

    They raise TooManyRequests for a session that has :data:`MOST_STREAMS` already.
    """

    def __init__(self) -> None:
        self._open: Counter[str] = Counter()

    async def of_patient(self, patient: PatientDep) -> AsyncIterator[None]:
        """A place for a stream of the patient's session."""
        with self._place(patient.session_id):
            yield

    async def of_staff(self, staff: SignedInDep) -> AsyncIterator[None]:
        """A place for a stream of the staff session."""
        with self._place(staff.session_id):
            yield

    @contextlib.contextmanager
    def _place(self, session: str) -> Iterator[None]:
        if self._open[session] >= MOST_STREAMS:
            raise TooManyRequests(
                f"{MOST_STREAMS} pages of this session follow events already; close one, then try again", 10.0
            )
        self._open[session] += 1
        try:
            yield
        finally:
            self._open[session] -= 1
            if not self._open[session]:
                del self._open[session]


def resume_from(
    last_event_id: Annotated[
        str | None, Header(alias="Last-Event-ID", description="number of the last event seen")
    ] = None,
    after: Annotated[int, Query(ge=0, description="as Last-Event-ID, where a header cannot be sent")] = 0,
) -> int:
    """The number after which events are wanted; an id that is not ours counts as none."""
    if last_event_id is not None and last_event_id.isascii() and last_event_id.isdigit() and len(last_event_id) < 18:
        return int(last_event_id)
    return after


async def conversation_stream(
    services: Services, patient: Patient, view: ConversationView, after: int
) -> AsyncGenerator[ServerSentEvent, None]:
    """Events of a conversation from ``after`` on, until the patient's session ends."""

    async def lasts() -> bool:
        return await services.patients.stands(patient)

    if after > view.last_seq:  # the client knows more than the store, which was restored from a copy
        after = view.last_seq
        yield _event("resync", {}, after)
    async with _Merged(services, lasts, _log(services, patient.session_id, view.id, after)) as events:
        while (event := await events.next()) is not None:
            yield event


async def staff_stream(
    services: Services, staff: Staff, recheck_s: float = RECHECK_S
) -> AsyncGenerator[ServerSentEvent, None]:
    """Changes of the live adapter, and for the role staff those of the queue, from now on until the session ends."""

    async def lasts() -> bool:
        return await services.staff.stands(staff)

    sources = [_adapter_changes(services)] + ([_queue_changes(services)] if staff.has("staff") else [])
    async with _Merged(services, lasts, *sources, recheck_s=recheck_s) as events:
        while (event := await events.next()) is not None:
            yield event


class _Merged:
    """All sources as one queue, which ends with the first of them, the session or the server.

    No generator: a stream that is dropped with the reader gone is closed by the garbage collector, which would close
    a generator inside it a second time while the first closing still waits for the tasks.
    """

    def __init__(
        self,
        services: Services,
        lasts: Callable[[], Awaitable[bool]],
        *sources: AsyncGenerator[ServerSentEvent, None],
        recheck_s: float = RECHECK_S,
    ) -> None:
        self._services, self._lasts, self._sources, self._recheck_s = services, lasts, sources, recheck_s
        self._queue: asyncio.Queue[ServerSentEvent | None] = asyncio.Queue(100)
        self._tasks: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> _Merged:
        works = [self._pour(source) for source in self._sources] + [self._close()]
        self._tasks = [asyncio.create_task(work) for work in works]
        return self

    async def next(self) -> ServerSentEvent | None:
        """The next event, once ``lasts`` has said that the session goes on; None at the end."""
        while True:
            try:
                async with asyncio.timeout(self._recheck_s):
                    event = await self._queue.get()
            except TimeoutError:
                if not await self._may_go_on():
                    return None
            else:
                return event if event is not None and await self._may_go_on() else None

    async def _may_go_on(self) -> bool:
        try:
            with anyio.CancelScope(shield=True):  # a reader who leaves in mid-query would cost the pool a connection
                return await self._lasts()
        except DependencyError:
            pass  # the stream ends; the client comes back
        return False

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
