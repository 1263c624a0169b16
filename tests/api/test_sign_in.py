"""Signing in: how often, and what the audit log keeps of it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import httpx
import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from app.api.staff_sessions import KEPT_REFUSALS
from app.audit.service import AuditLog
from app.auth.staff import MOST_WAITING
from app.errors import StoreUnavailable
from tests.api.conftest import PASSWORD, House

pytestmark = pytest.mark.anyio


class BrokenLog(AuditLog):
    """Cannot write."""

    async def append(
        self, session: AsyncSession, actor: str, action: str, subject: str, details: dict[str, Any] | None = None
    ) -> None:
        raise StoreUnavailable("the database cannot write now; try again in a moment")


async def attempt(house: House, username: str, password: str = "wrong") -> httpx.Response:
    """One sign-in."""
    return await house.http.post("/v1/staff/sign-in", json={"username": username, "password": password})


async def count(house: House, query: str) -> int:
    """Rows."""
    async with house.services.database.session() as session:
        return int((await session.execute(text(query))).scalar_one())


async def test_one_address_signs_in_so_often_and_leaves_so_many_entries(house: House) -> None:
    statuses = [(await attempt(house, f"nobody{n}")).status_code for n in range(40)]
    assert statuses[:30] == [401] * 30
    assert 429 in statuses[30:]
    kept = await count(house, "SELECT count(*) FROM audit_log WHERE action = 'staff.sign_in_refused'")
    assert kept == KEPT_REFUSALS


async def test_a_full_house_is_told_so_at_once(house: House) -> None:
    house.services.staff._waiting = MOST_WAITING
    answer = await attempt(house, "nobody")
    assert (answer.status_code, answer.headers["Retry-After"]) == (429, "2")
    house.services.staff._waiting = 0
    assert (await attempt(house, "nobody")).status_code == 401


async def test_there_is_no_session_without_its_audit_entry(house: House) -> None:
    async with house.services.database.session() as session:
        await house.services.staff.add(session, "audited", "Ana", PASSWORD, ["staff"])
    house.app.state.services = replace(house.services, audit=BrokenLog(house.clock))
    assert (await attempt(house, "audited", PASSWORD)).status_code == 503
    assert await count(house, "SELECT count(*) FROM user_sessions") == 0
    house.app.state.services = house.services
    assert (await attempt(house, "audited", PASSWORD)).status_code == 200
    assert await count(house, "SELECT count(*) FROM user_sessions") == 1
