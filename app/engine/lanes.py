"""An httpx transport for many streams at once: one connection per lane, free lanes on a stack.

httpx's own pool compares all its connections with each other at every request and every close: measured at 32 streams
of 7 events, that was half of the client's CPU time. Here both are one step, whatever the number of streams.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable

import httpx


class LaneTransport(httpx.AsyncBaseTransport):
    """Sends each request over a lane of its own: a transport from ``make`` that carries one request at a time.

    A lane is free again when its answer is read to the end and closed, or when its request failed. After anything else
    (a cancelled request, a body left in the middle, a close that was cut off) it is closed and never used again: a
    connection whose closing ``task.cancel()`` interrupts, which no cancel scope shields from, would stay busy for ever
    and make every later request on its lane wait in vain. ``most`` bounds the lanes in use (httpx.PoolTimeout beyond
    it), ``kept`` the free ones that stay connected.
    """

    def __init__(self, make: Callable[[], httpx.AsyncBaseTransport], *, most: int = 1_024, kept: int = 64) -> None:
        self._make = make
        self._most = most
        self._kept = kept
        self._free: list[httpx.AsyncBaseTransport] = []
        self._used: set[httpx.AsyncBaseTransport] = set()

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """See httpx.AsyncBaseTransport."""
        if len(self._used) >= self._most:
            raise httpx.PoolTimeout("all lanes are in use", request=request)
        lane = self._free.pop() if self._free else self._make()
        self._used.add(lane)
        try:
            response = await lane.handle_async_request(request)
        except Exception:
            await self._release(lane, sound=True)
            raise
        except BaseException:
            await self._release(lane, sound=False)
            raise
        assert isinstance(response.stream, httpx.AsyncByteStream)
        response.stream = _LaneStream(response.stream, self, lane)
        return response

    async def aclose(self) -> None:
        """Close all lanes, those in use too."""
        lanes = [*self._free, *self._used]
        self._free.clear()
        self._used.clear()
        for lane in lanes:
            await lane.aclose()

    async def _release(self, lane: httpx.AsyncBaseTransport, *, sound: bool) -> None:
        if lane not in self._used:
            return
        self._used.remove(lane)
        if sound and len(self._free) < self._kept:
            self._free.append(lane)
        else:
            await lane.aclose()


class _LaneStream(httpx.AsyncByteStream):
    def __init__(self, inner: httpx.AsyncByteStream, owner: LaneTransport, lane: httpx.AsyncBaseTransport) -> None:
        self._inner = inner
        self._owner = owner
        self._lane = lane
        self._whole = False

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for chunk in self._inner:
            yield chunk
        self._whole = True

    async def aclose(self) -> None:
        closed = False
        try:
            await self._inner.aclose()
            closed = True
        finally:
            await self._owner._release(self._lane, sound=self._whole and closed)
