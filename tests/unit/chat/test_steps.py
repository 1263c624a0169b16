"""Triage has threads of its own."""

from __future__ import annotations

import asyncio
import threading
import time

import pytest

from app.chat.steps import Steps

pytestmark = pytest.mark.anyio


async def test_triage_does_not_wait_for_the_threads_of_others() -> None:
    go = threading.Event()
    others = [asyncio.create_task(asyncio.to_thread(go.wait, 20)) for _ in range(200)]
    try:
        await asyncio.sleep(0.1)
        assert await Steps(time.perf_counter, 5.0).run("triage", str, lambda: "urgent") == "urgent"
    finally:
        go.set()
        await asyncio.gather(*others)
