"""The audit chain shows what was changed, and writers wait for each other."""

from __future__ import annotations

import asyncio

import pytest
from sqlalchemy import text

from app.audit.service import AuditLog, ChainReport
from app.db.session import Database
from tests.factories import utc_now

pytestmark = pytest.mark.anyio


@pytest.fixture
async def log(database: Database) -> AuditLog:
    """An empty log."""
    async with database.session() as session:
        await session.execute(text("TRUNCATE audit_log RESTART IDENTITY"))
    return AuditLog(utc_now)


async def append(database: Database, log: AuditLog, number: int) -> None:
    async with database.session() as session:
        await log.append(session, f"nurse{number}", "conversation.read", "c" * 32, {"number": number, "name": "José"})


async def verify(database: Database, log: AuditLog) -> ChainReport:
    async with database.session() as session:
        return await log.verify(session, batch=7)


async def test_concurrent_writers_keep_one_chain(database: Database, log: AuditLog) -> None:
    await asyncio.gather(*(append(database, log, number) for number in range(30)))
    report = await verify(database, log)
    assert (report.intact, report.entries, report.broken_at) == (True, 30, None)
    async with database.session() as session:
        newest = await log.newest(session, 1)
    assert newest[0]["hash"] == report.head


async def test_an_act_that_fails_leaves_no_entry(database: Database, log: AuditLog) -> None:
    async def failing_act() -> None:
        async with database.session() as session:
            await log.append(session, "nurse", "conversation.read", "c" * 32)
            raise ValueError("undone")

    with pytest.raises(ValueError, match="undone"):
        await failing_act()
    assert (await verify(database, log)).entries == 0


@pytest.mark.parametrize(
    ("tampering", "broken_at"),
    [
        ("UPDATE audit_log SET actor = 'somebody' WHERE id = 5", 5),
        ("UPDATE audit_log SET at = at + interval '1 second' WHERE id = 5", 5),
        ("UPDATE audit_log SET details = '{}' WHERE id = 1", 1),
        ("DELETE FROM audit_log WHERE id = 5", 6),
        ("DELETE FROM audit_log WHERE id = 1", 2),
    ],
)
async def test_tampering_shows(database: Database, log: AuditLog, tampering: str, broken_at: int) -> None:
    for number in range(10):
        await append(database, log, number)
    whole = await verify(database, log)
    async with database.session() as session:
        await session.execute(text(tampering))
    report = await verify(database, log)
    assert (whole.intact, report.intact, report.broken_at) == (True, False, broken_at)


async def test_a_cut_end_shows_against_a_kept_head(database: Database, log: AuditLog) -> None:
    for number in range(3):
        await append(database, log, number)
    kept = await verify(database, log)
    async with database.session() as session:
        await session.execute(text("DELETE FROM audit_log WHERE id = 3"))
    report = await verify(database, log)
    assert (report.entries, report.head) != (kept.entries, kept.head)
