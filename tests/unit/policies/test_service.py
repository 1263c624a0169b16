"""Reloading the policies: nothing waits for it, one at a time, and whatever fails leaves the old ones in force."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.ext.asyncio import AsyncSession

from app.audit.service import AuditLog
from app.contracts.site import load_site
from app.db.session import Database
from app.errors import StoreUnavailable
from app.guardrails.active import ActivePolicies, Policies, compiled
from app.guardrails.policy import load_bundle
from app.policies.service import PoliciesService
from tests.policy_files import edit, write_bundle

pytestmark = pytest.mark.anyio
SITE = load_site(Path(__file__).parents[3] / "demo")


def now() -> datetime:
    return datetime(2026, 11, 20, tzinfo=UTC)


class Counts:
    """Notes the outcomes of reloads."""

    def __init__(self) -> None:
        self.outcomes: list[str] = []

    def reloaded(self, outcome: str) -> None:
        self.outcomes.append(outcome)


class Full(AuditLog):
    """An audit log whose disk is full."""

    async def append(self, session: AsyncSession, *_given: Any, **_more: Any) -> None:
        raise StoreUnavailable("the disk is full")


class Setting:
    """A service over a small bundle in a folder."""

    def __init__(self, folder: Path, database: Database, audit: AuditLog | None = None) -> None:
        self.folder = write_bundle(folder)
        self.counts = Counts()
        self.before: Callable[[], object] = lambda: None
        self.active = ActivePolicies(self.load())
        self.first = self.active.current
        self.service = PoliciesService(
            self.active, self.load, database, audit or AuditLog(now), self.counts, strict=False
        )

    def load(self) -> Policies:
        self.before()
        return compiled(load_bundle(self.folder), SITE, now())

    def change(self) -> None:
        edit(self.folder / "bundle.yaml", "version: tiny", "version: next")


async def test_chats_go_on_while_a_bundle_is_checked(database: Database, tmp_path: Path) -> None:
    setting, held = Setting(tmp_path / "tiny", database), threading.Event()
    setting.change()
    began = time.monotonic()
    setting.before = lambda: held.wait(20)
    task = asyncio.create_task(setting.service.reload("ana"))
    await asyncio.sleep(0.1)
    assert not task.done()
    assert time.monotonic() - began < 15, "the loop waited for the bundle"
    assert setting.active.current is setting.first
    assert setting.service.view().version == "tiny"
    held.set()
    assert (await task).policies.version == "next"
    assert setting.active.current.bundle.version == "next"


async def test_two_reloads_follow_each_other(database: Database, tmp_path: Path) -> None:
    setting, loading = Setting(tmp_path / "tiny", database), 0
    most = 0

    def enter() -> None:
        nonlocal loading, most
        loading += 1
        most = max(most, loading)
        threading.Event().wait(0.1)
        loading -= 1

    setting.change()
    setting.before = enter
    first, second = await asyncio.gather(*(setting.service.reload(name) for name in ("ana", "eve")))
    assert (first.changed, second.changed, most) == (True, False, 1)
    assert setting.active.previous_hash == setting.first.bundle.hash


async def test_what_cannot_be_audited_is_not_put_in_force(database: Database, tmp_path: Path) -> None:
    setting = Setting(tmp_path / "tiny", database, Full(now))
    setting.change()
    with pytest.raises(StoreUnavailable):
        await setting.service.reload("ana")
    assert setting.active.current is setting.first


async def test_a_fault_of_our_own_leaves_the_old_policies_and_is_counted(database: Database, tmp_path: Path) -> None:
    setting = Setting(tmp_path / "tiny", database)

    def broken() -> None:
        raise RuntimeError("fault of the loader")

    setting.before = broken
    with pytest.raises(RuntimeError):
        await setting.service.reload("ana")
    assert (setting.active.current, setting.counts.outcomes) == (setting.first, ["failed"])
