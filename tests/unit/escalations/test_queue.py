"""The queue: order, and no call claimed twice."""

from __future__ import annotations

import asyncio
from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import text

from app.contracts.site import Site
from app.conversations.ownership import Ownership
from app.db.cipher import TextCipher
from app.db.models import Conversation, Escalation, new_id
from app.db.notify import Listener
from app.db.session import Database
from app.escalations.service import EscalationService
from app.escalations.sla import due_times
from tests.factories import add_patient, add_staff, utc_now

pytestmark = pytest.mark.anyio


@pytest.fixture
async def queue(database: Database, site: Site, cipher: TextCipher) -> EscalationService:
    """An empty queue."""
    async with database.session() as session:
        await session.execute(text("TRUNCATE escalations, conversations CASCADE"))
    ownership = Ownership(site.id, cipher.encrypt("{}"))
    return EscalationService(database, cipher, site.id, ownership, Listener(database.url), now=utc_now)


async def add_calls(database: Database, site: Site, calls: list[tuple[int, int]]) -> list[str]:
    """Waiting conversations by (priority, minutes until due); ids of their escalations."""
    owner, _token = await add_patient(database, site)
    ids = []
    async with database.session() as session:
        for priority, minutes in calls:
            conversation = new_id()
            session.add(Conversation(id=conversation, site_id=site.id, session_id=owner, handler="waiting"))
            await session.flush()
            call = Escalation(
                id=new_id(), site_id=site.id, conversation_id=conversation, priority=priority, reason="test",
                due_at=utc_now() + timedelta(minutes=minutes),
            )  # fmt: skip
            session.add(call)
            ids.append(call.id)
    return ids


async def test_the_most_urgent_comes_first(database: Database, site: Site, queue: EscalationService) -> None:
    late, soon, urgent, emergency = await add_calls(database, site, [(2, 30), (2, -5), (1, 10), (0, 2)])
    nurse = await add_staff(database)
    async with database.session() as session:
        listed = await queue.listed(session)
        assert [e.id for e in listed] == [emergency, urgent, soon, late]
        assert [e.overdue for e in listed] == [False, False, True, False]
    for expected in (emergency, urgent, soon, late):
        async with database.session() as session:
            claimed = await queue.claim_next(session, nurse)
        assert claimed is not None
        assert (claimed.id, claimed.status, claimed.staff_name) == (expected, "claimed", "Maria")
    async with database.session() as session:
        assert await queue.claim_next(session, nurse) is None


async def test_200_calls_claimed_by_20_workers_without_a_double(
    database: Database, site: Site, queue: EscalationService
) -> None:
    calls = await add_calls(database, site, [(n % 3, n) for n in range(200)])
    workers = [await add_staff(database, f"W{n}") for n in range(20)]
    taken: list[tuple[str, str]] = []

    async def work(staff: str) -> None:
        while True:
            async with database.session() as session:
                claimed = await queue.claim_next(session, staff)
            if claimed is None:
                return
            taken.append((claimed.id, staff))

    await asyncio.gather(*(work(staff) for staff in workers))
    assert sorted(call for call, _staff in taken) == sorted(calls)
    assert max(Counter(call for call, _staff in taken).values()) == 1
    async with database.session() as session:
        rows = (await session.execute(text(
            "SELECT e.id, e.staff_id, c.staff_id AS holder, c.handler, c.epoch FROM escalations e "
            "JOIN conversations c ON c.id = e.conversation_id"
        ))).all()  # fmt: skip
    owners = dict(taken)
    assert all(
        row.staff_id == row.holder == owners[row.id] and row.handler == "staff" and row.epoch == 1 for row in rows
    )


async def test_naming_the_same_conversation_gives_it_to_one(
    database: Database, site: Site, queue: EscalationService
) -> None:
    await add_calls(database, site, [(1, 1)])
    workers = [await add_staff(database, f"W{n}") for n in range(10)]
    async with database.session() as session:
        conversation = (await queue.listed(session))[0].conversation_id

    async def claim(staff: str) -> str:
        try:
            async with database.session() as session:
                return (await queue.take_over(session, conversation, staff, 0)).status
        except Exception as error:
            return type(error).__name__

    results = Counter(await asyncio.gather(*(claim(staff) for staff in workers)))
    assert results["claimed"] == 1
    assert sum(results.values()) - results["claimed"] == results["AlreadyClaimed"] + results["VersionConflict"]


def test_due_times_count_from_opening_except_for_emergencies(site: Site) -> None:
    due = due_times(site)
    saturday_night = datetime(2026, 11, 22, 3, 0, tzinfo=UTC)  # Saturday 21:00 in Chicago; opens Monday 7:00
    assert due(0, saturday_night) - saturday_night == timedelta(minutes=2)
    assert due(1, saturday_night) == datetime(2026, 11, 23, 13, 10, tzinfo=UTC)
    monday_noon = datetime(2026, 11, 23, 18, 0, tzinfo=UTC)
    assert due(2, monday_noon) - monday_noon == timedelta(minutes=30)
