"""Lanes: one request per connection, connections used again, bounds kept."""

from __future__ import annotations

import asyncio

import httpx
import pytest

from app.engine.lanes import LaneTransport

pytestmark = pytest.mark.anyio


class Body(httpx.AsyncByteStream):
    """``slow`` takes its time to close, so that a cancel can come in between; it is set when that begins."""

    def __init__(self, slow: asyncio.Event | None = None) -> None:
        self.slow = slow

    async def __aiter__(self):  # type: ignore[no-untyped-def]
        yield b"one"
        yield b"two"

    async def aclose(self) -> None:
        if self.slow is not None:
            self.slow.set()
            await asyncio.sleep(60)


class Lane(httpx.AsyncBaseTransport):
    def __init__(self) -> None:
        self.requests = 0
        self.closed = False
        self.waits = asyncio.Event()

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self.requests += 1
        if request.url.path == "/broken":
            raise httpx.ReadError("broken", request=request)
        if request.url.path == "/silent":
            self.waits.set()
            await asyncio.sleep(60)
        return httpx.Response(200, stream=Body(self.waits if request.url.path == "/slow-close" else None))

    async def aclose(self) -> None:
        self.closed = True


class Subject:
    def __init__(self, **bounds: int) -> None:
        self.lanes: list[Lane] = []
        self.http = httpx.AsyncClient(transport=LaneTransport(self.make, **bounds), base_url="http://engine")

    def make(self) -> Lane:
        self.lanes.append(Lane())
        return self.lanes[-1]

    async def open(self, path: str = "/") -> httpx.Response:
        return await self.http.send(self.http.build_request("GET", path), stream=True)


async def test_one_after_another_uses_one_lane() -> None:
    subject = Subject()
    for _ in range(3):
        assert (await subject.http.get("/")).content == b"onetwo"
    assert [lane.requests for lane in subject.lanes] == [3]


async def test_at_once_uses_a_lane_each_and_keeps_few() -> None:
    subject = Subject(kept=2)
    responses = [await subject.open() for _ in range(5)]
    assert len(subject.lanes) == 5
    for response in responses:
        await response.aread()
    assert sum(lane.closed for lane in subject.lanes) == 3
    await subject.http.get("/")
    assert len(subject.lanes) == 5


async def test_closing_twice_frees_once() -> None:
    subject = Subject()
    first = await subject.open()
    await first.aread()
    await first.stream.aclose()  # type: ignore[union-attr]
    second, third = await subject.open(), await subject.open()
    assert len(subject.lanes) == 2
    await second.aclose()
    await third.aclose()


async def test_a_failed_request_frees_its_lane() -> None:
    subject = Subject(most=1)
    for _ in range(3):
        with pytest.raises(httpx.ReadError):
            await subject.open("/broken")
    assert len(subject.lanes) == 1


async def test_a_body_left_in_the_middle_ends_its_lane() -> None:
    subject = Subject(most=1)
    response = await subject.open()
    assert await anext(response.aiter_raw()) == b"one"
    await response.aclose()
    assert [lane.closed for lane in subject.lanes] == [True]
    assert (await subject.http.get("/")).content == b"onetwo"
    assert [lane.requests for lane in subject.lanes] == [1, 1]


@pytest.mark.parametrize("path", ["/silent", "/slow-close"])
async def test_a_cancelled_request_ends_its_lane(path: str) -> None:
    subject = Subject(most=1)
    task = asyncio.create_task(subject.http.get(path))
    while not (subject.lanes and subject.lanes[0].waits.is_set()):
        await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert [lane.closed for lane in subject.lanes] == [True]
    assert (await subject.http.get("/")).content == b"onetwo"
    assert len(subject.lanes) == 2


async def test_bound_of_lanes() -> None:
    subject = Subject(most=2)
    first, _second = await subject.open(), await subject.open()
    with pytest.raises(httpx.PoolTimeout):
        await subject.open()
    await first.aclose()
    assert (await subject.open()).status_code == 200


async def test_closing_the_client_closes_all_lanes() -> None:
    subject = Subject()
    await subject.open()
    await subject.http.get("/")
    await subject.http.aclose()
    assert all(lane.closed for lane in subject.lanes)
