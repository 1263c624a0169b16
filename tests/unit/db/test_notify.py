"""Wake-ups: after the commit only, by key, and again after the connection was lost."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from sqlalchemy import text

from app.db.notify import Listener, notify
from app.db.session import Database

pytestmark = pytest.mark.anyio


@pytest.fixture
async def listener(database: Database) -> AsyncIterator[Listener]:
    listener = Listener(database.url, retry_s=0.05)
    await listener.start()
    await asyncio.wait_for(listener.connected.wait(), 30)
    yield listener
    await listener.stop()


async def test_waiters_of_the_key_are_woken_once_the_transaction_commits(
    listener: Listener, database: Database
) -> None:
    with listener.subscribe("conversation:1") as mine, listener.subscribe("conversation:2") as other:
        await mine.wait(0.05)  # what connecting woke
        await other.wait(0.05)
        async with database.session() as session:
            await notify(session, "conversation:1")
            assert not await mine.wait(0.1)
        assert await mine.wait(20)
        assert not await other.wait(0.05)


async def test_after_a_lost_connection_everybody_is_woken(listener: Listener, database: Database) -> None:
    with listener.subscribe("conversation:1") as wake:
        await wake.wait(0.05)
        async with database.session() as session:
            await session.execute(
                text("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'LISTEN%'")
            )
        assert await wake.wait(20)
        async with database.session() as session:
            await notify(session, "conversation:1")
        assert await wake.wait(20)
