"""Rounds go on until they are stopped, also after one that fails."""

from __future__ import annotations

import asyncio

import pytest

from app import logging as app_logging
from app.rounds import Rounds

pytestmark = pytest.mark.anyio


async def test_a_round_that_fails_is_logged_without_words_and_the_next_one_tries_again(
    capsys: pytest.CaptureFixture[str],
) -> None:
    app_logging.configure("warning", "json")
    done, third = 0, asyncio.Event()

    async def work() -> None:
        nonlocal done
        done += 1
        if done == 1:
            raise ValueError("Maria Gonzalez is in pain")
        if done == 3:
            third.set()

    rounds = Rounds("test rounds", work, 0.001)
    await rounds.start()
    async with asyncio.timeout(5):
        await third.wait()
    await rounds.stop()
    seen = done
    await asyncio.sleep(0.02)
    assert done == seen
    shown = capsys.readouterr().err
    assert "ValueError" in shown
    assert "Maria" not in shown
    await rounds.stop()  # once more changes nothing


async def test_a_round_is_ended_in_the_middle() -> None:
    begun = asyncio.Event()

    async def work() -> None:
        begun.set()
        await asyncio.Event().wait()

    rounds = Rounds("test rounds", work, 0.001)
    await rounds.start()
    await begun.wait()
    async with asyncio.timeout(5):
        await rounds.stop()
