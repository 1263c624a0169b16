"""The console's pages over the services: who read what is in the audit log, also without opening a page."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import text

from app.api.deps import STAFF_COOKIE
from app.console.reads import ServiceReads
from app.console.routes import build_router
from tests.api.conftest import House

pytestmark = pytest.mark.anyio


class Desk:
    """A member of staff who is signed in to the console."""

    def __init__(self, house: House, headers: dict[str, str]) -> None:
        self._house = house
        token = headers["Authorization"].removeprefix("Bearer ")
        self._cookie = {"Cookie": f"{STAFF_COOKIE}={token}"}

    async def get(self, path: str) -> tuple[int, str]:
        """Status and text of a page."""
        answer = await self._house.http.get(f"/console/{path}", headers=self._cookie)
        return answer.status_code, answer.text

    async def entries(self, action: str) -> list[Any]:
        """Subjects of the audit entries of this session."""
        query = text(
            "SELECT a.subject FROM audit_log a JOIN user_sessions s ON a.details->>'session' = s.id "
            "WHERE a.action = :action AND s.token_sha256 = encode(sha256(CAST(:token AS bytea)), 'hex') ORDER BY a.id"
        )
        token = self._cookie["Cookie"].partition("=")[2]
        async with self._house.services.database.session() as session:
            return list((await session.scalars(query, {"action": action, "token": token.encode()})).all())


@pytest.fixture
async def desk(house: House) -> Desk:
    services = house.services
    reads = ServiceReads(
        services.database, services.staff, services.escalations, services.conversations, services.adapters,
        services.unanswered, services.audit,
    )  # fmt: skip
    house.app.include_router(build_router(services.site, reads))
    return Desk(house, await house.staff())


async def test_a_conversation_is_audited_also_if_only_the_live_part_is_read(house: House, desk: Desk) -> None:
    patient = await house.patient()
    read, opened = await house.conversation(patient), await house.conversation(patient)
    await house.send(patient, read, "parking?", Prefer="wait=10")
    for _ in range(3):
        status, page = await desk.get(f"fragments/conversations/{read}")
        assert (status, "parking?" in page) == (200, True)
    assert await desk.entries("conversation.read") == [read]
    for path in ("conversations", "fragments/conversations", "fragments/conversations", "conversations"):
        assert (await desk.get(f"{path}/{opened}"))[0] == 200
    assert await desk.entries("conversation.read") == [read, opened, opened]


async def test_a_conversation_that_is_not_there_is_not_audited(desk: Desk) -> None:
    assert (await desk.get(f"fragments/conversations/{'0' * 32}"))[0] == 404
    assert await desk.entries("conversation.read") == []


@pytest.mark.parametrize("path", ["", "fragments/queue"])
async def test_the_queue_is_audited_once(desk: Desk, path: str) -> None:
    for _ in range(3):
        assert (await desk.get(path))[0] == 200
    assert await desk.entries("queue.read") == ["escalations"]


async def test_unanswered_questions_are_audited_also_if_only_the_live_part_is_read(desk: Desk) -> None:
    for days in (7, 7, 90):
        assert (await desk.get(f"fragments/unanswered/{days}"))[0] == 200
    assert await desk.entries("unanswered.read") == ["articles", "articles"]


@pytest.mark.parametrize("path", ["conversations/%00", "fragments/conversations/a%00b", f"conversations/{'A' * 32}"])
async def test_what_cannot_be_an_id_is_not_found(desk: Desk, path: str) -> None:
    status, page = await desk.get(path)
    assert (status, "no such conversation" in page) == (404, True)
