"""Reads that an open page repeats: one entry for a session and ten minutes."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import text

from app.audit.reads import Read, note_read
from app.audit.service import AuditLog
from app.db.session import Database
from tests.factories import utc_now

pytestmark = pytest.mark.anyio


async def noted(database: Database, read: Read, *, minutes_ago: int = 0, opened: bool = False) -> int:
    """Note a read; how many entries its action has then."""
    audit = AuditLog(lambda: utc_now() - timedelta(minutes=minutes_ago))
    async with database.session() as session:
        await note_read(session, audit, read, opened=opened)
    async with database.session() as session:
        query = text("SELECT count(*) FROM audit_log WHERE action = :action")
        return int(await session.scalar(query, {"action": read.action}) or 0)


async def test_a_repeated_read_is_noted_once_in_ten_minutes(database: Database) -> None:
    read = Read("maria", "1" * 32, "conversation.read", "a" * 32)
    assert await noted(database, read, minutes_ago=11) == 1
    assert await noted(database, read) == 2
    assert await noted(database, read) == 2
    assert await noted(database, read, opened=True) == 3


@pytest.mark.parametrize(
    "other",
    [
        Read("ana", "1" * 32, "unanswered.read", "articles", {"days": 7}),
        Read("maria", "2" * 32, "unanswered.read", "articles", {"days": 7}),
        Read("maria", "1" * 32, "unanswered.read", "elsewhere", {"days": 7}),
        Read("maria", "1" * 32, "unanswered.read", "articles", {"days": 90}),
    ],
)
async def test_what_differs_is_noted(database: Database, other: Read) -> None:
    before = await noted(database, Read("maria", "1" * 32, "unanswered.read", "articles", {"days": 7}))
    assert await noted(database, other) == before + 1
