"""Event streams and the sessions that opened them: they end together, and a session has a few at once."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from datetime import timedelta

import httpx
import pytest
from sqlalchemy import text

from app.api.sse import MOST_STREAMS
from tests.api.conftest import House
from tests.api.test_conversations import Stream, stream
from tests.api.test_staff import follows_the_queue

pytestmark = pytest.mark.anyio

QUEUE = "/v1/staff/events"
End = Callable[[House, dict[str, str]], Awaitable[None]]


async def rest_of(answer: httpx.Response) -> str:
    """What a stream still delivers, until it ends."""
    async with asyncio.timeout(20):
        return "".join([part async for part in answer.aiter_text()])


async def deactivate(house: House, nurse: dict[str, str]) -> None:
    name = (await house.http.get("/v1/staff/me", headers=nurse)).json()["username"]
    async with house.services.database.session() as session:
        await house.services.staff.deactivate(session, name)


async def sign_out(house: House, nurse: dict[str, str]) -> None:
    assert (await house.http.post("/v1/staff/sign-out", headers=nurse)).status_code == 204


async def wait_out(house: House, _nurse: dict[str, str]) -> None:
    house.clock.ahead += timedelta(hours=9)


async def be_idle(house: House, _nurse: dict[str, str]) -> None:
    house.clock.ahead += timedelta(minutes=16)


@pytest.mark.parametrize("end", [deactivate, sign_out, wait_out, be_idle])
async def test_a_staff_stream_tells_nothing_after_its_session(house: House, end: End) -> None:
    patient, nurse = await house.patient(), await house.staff()
    conversation = await house.conversation(patient)
    async with house.http.stream("GET", QUEUE, headers=nurse) as answer:
        await follows_the_queue(house)
        await end(house, nurse)
        assert (await house.http.get("/v1/staff/me", headers=nurse)).status_code == 401
        await house.send(patient, conversation, "emergency")
        assert "escalation" not in await rest_of(answer)


async def end_it(house: House, patient: dict[str, str]) -> None:
    assert (await house.http.delete("/v1/sessions/current", headers=patient)).status_code == 204


async def wait_a_day(house: House, _patient: dict[str, str]) -> None:
    house.clock.ahead += timedelta(hours=25)


@pytest.mark.parametrize("end", [end_it, wait_a_day])
async def test_a_patients_stream_tells_nothing_after_its_session(house: House, end: End) -> None:
    patient = await house.patient()
    conversation = await house.conversation(patient)
    path = f"/v1/conversations/{conversation}/events"
    async with house.http.stream("GET", path, headers=patient) as answer:
        await asyncio.sleep(0.5)
        await end(house, patient)
        assert (await house.http.get(f"/v1/conversations/{conversation}", headers=patient)).status_code == 401
        nurse, staff_path = await house.staff(), f"/v1/staff/conversations/{conversation}"
        assert (await house.http.post(f"{staff_path}/take-over", headers=nurse)).status_code == 200
        assert (
            await house.http.post(f"{staff_path}/messages", json={"text": "your result"}, headers=nurse)
        ).status_code == 201
        assert "result" not in await rest_of(answer)


async def test_following_keeps_no_staff_session_alive(house: House) -> None:
    patient, nurse = await house.patient(), await house.staff()
    conversation = await house.conversation(patient)
    async with house.http.stream("GET", QUEUE, headers=nurse) as answer:
        events = Stream(answer.aiter_lines())
        await follows_the_queue(house)
        house.clock.ahead += timedelta(minutes=10)
        await house.send(patient, conversation, "emergency")
        await events.until("escalation.created")
        house.clock.ahead += timedelta(minutes=10)
        assert (await house.http.get("/v1/staff/me", headers=nurse)).status_code == 401


@pytest.mark.parametrize("who", ["staff", "patient"])
async def test_a_session_has_a_few_streams_at_once(house: House, who: str) -> None:
    patient, nurse = await house.patient(), await house.staff()
    path, headers = QUEUE, nurse
    if who == "patient":
        path, headers = f"/v1/conversations/{await house.conversation(patient)}/events", patient
    async with AsyncExitStack() as stack:
        for _ in range(MOST_STREAMS):
            opened = await stack.enter_async_context(house.http.stream("GET", path, headers=headers))
            assert opened.status_code == 200
        async with house.http.stream("GET", path, headers=headers) as refused:
            assert refused.status_code == 429
            assert "close one" in (await refused.aread()).decode()
        if who == "patient":
            other = await house.patient()
            async with stream(house, other, await house.conversation(other)):
                pass
    async with asyncio.timeout(20):
        while (await _status(house, path, headers)) == 429:
            await asyncio.sleep(0.1)


async def _status(house: House, path: str, headers: dict[str, str]) -> int:
    async with house.http.stream("GET", path, headers=headers) as answer:
        return answer.status_code


async def test_reading_the_queue_is_audited_once_for_a_session_and_a_while(house: House) -> None:
    first, second = await house.staff(), await house.staff()
    for headers in (first, first, second):
        assert (await house.http.get("/v1/staff/escalations?status=all", headers=headers)).status_code == 200
    assert await _status(house, QUEUE, first) == 200
    assert await queue_reads(house, first, second) == [1, 1]
    third = await house.staff()
    assert await _status(house, QUEUE, third) == 200
    admin = await house.staff("admin", name="Ana")
    assert await _status(house, QUEUE, admin) == 200
    assert await queue_reads(house, third, admin) == [1, 0]


async def queue_reads(house: House, *people: dict[str, str]) -> list[int]:
    """How often each of them has an audit entry for reading the queue."""
    query = text("SELECT count(*) FROM audit_log WHERE action = 'queue.read' AND actor = :name")
    counts = []
    for headers in people:
        name = (await house.http.get("/v1/staff/me", headers=headers)).json()["username"]
        async with house.services.database.session() as session:
            counts.append(int(await session.scalar(query, {"name": name}) or 0))
    return counts
