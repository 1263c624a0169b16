"""Stopping the service before its engine is ready leaves nothing running."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any, cast

import pytest

from app.adapters.service import AdaptersService
from app.adapters.store import AdapterStore
from app.audit.service import AuditLog
from app.bootstrap import EngineSetup, Runtime, quiet
from app.chat.pipeline import utc_now
from app.db.session import Database
from app.main import Started, _cancel, _start_engine
from app.settings import Settings
from tests.fakes_engine import ScriptedEngine

pytestmark = pytest.mark.anyio


async def test_nothing_reconciles_after_a_stop_during_the_start(database: Database, tmp_path: Path) -> None:
    engine = ScriptedEngine(state="starting")
    adapters = AdaptersService(
        database,
        AdapterStore(tmp_path),
        {},
        AuditLog(utc_now),
        base_config=None,
        base_sha256=None,
        max_rank=64,
        policy_hash=str,
        thresholds_sha256="",
        evaluation_sha256="",
    )
    unused = cast(Any, None)
    settings = Settings(_env_file=None, adapters=tmp_path)
    parts = Runtime(
        settings,
        unused,
        unused,
        database,
        EngineSetup(engine, {}, None),
        adapters,
        unused,
        unused,
        unused,
        unused,
        unused,
    )
    started = Started(unused, engine, adapters, [])
    task = asyncio.create_task(_start_engine(parts, started, quiet))
    await asyncio.sleep(0.1)
    await _cancel(task)
    running = {each.get_name() for each in asyncio.all_tasks()}
    await adapters.stop()
    assert "adapter reconciler" not in running
