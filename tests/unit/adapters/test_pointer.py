"""Following the live version through errors."""

from __future__ import annotations

import asyncio

import pytest

from app.adapters.pointer import LivePointer
from app.adapters.service import Live
from app.db.notify import Listener
from app.errors import StoreUnavailable

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("error", [StoreUnavailable("away"), RuntimeError("a bug")])
async def test_goes_on_following_after_an_error(error: Exception) -> None:
    answers: list[Live | Exception] = [
        Live("live", None, None, 0),
        error,
        Live("live", "support@0123456789ab", None, 1),
    ]

    async def read() -> Live:
        answer = answers.pop(0) if len(answers) > 1 else answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer

    pointer = LivePointer(read, Listener("postgresql+psycopg://nowhere/none"), every_s=0.01)
    await pointer.start()
    assert await pointer.version() is None
    async with asyncio.timeout(20):
        while await pointer.version() is None:
            await asyncio.sleep(0.01)
    await pointer.stop()
