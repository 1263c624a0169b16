"""Wrong passwords are counted before they are compared, and comparing them is in nobody's way."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections import Counter
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

import pytest
from argon2 import PasswordHasher

from app.auth.staff import LOCKOUT, MOST_FAILURES, MOST_WAITING, StaffAccounts
from app.db.session import Database
from app.errors import NotSignedIn, TooManyRequests
from tests.factories import utc_now

pytestmark = pytest.mark.anyio
PASSWORD = "correct horse battery"


@dataclass
class Time:
    """The time of the accounts; ``ahead`` moves it."""

    ahead: timedelta = timedelta()

    def __call__(self) -> datetime:
        return utc_now() + self.ahead


class SlowHasher(PasswordHasher):
    """Compares nothing before ``go`` is set."""

    def __init__(self) -> None:
        super().__init__(time_cost=1, memory_cost=8, parallelism=1)
        self.go = threading.Event()

    def verify(self, hash: str | bytes, password: str | bytes) -> Literal[True]:
        assert self.go.wait(20)
        return super().verify(hash, password)


async def accounts_of(database: Database, name: str, now: Time, hasher: PasswordHasher | None = None) -> StaffAccounts:
    """Accounts, one of which has this name."""
    cheap = hasher or PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
    accounts = StaffAccounts(database, idle=timedelta(minutes=15), life=timedelta(hours=8), now=now, hasher=cheap)
    async with database.session() as session:
        await accounts.add(session, name, "Eve", PASSWORD, ["staff"])
    return accounts


async def outcome(accounts: StaffAccounts, database: Database, name: str, password: str) -> str:
    """Of one attempt: ``in``, or the name of the error."""
    try:
        async with database.session() as session:
            await accounts.sign_in(session, name, password)
    except (NotSignedIn, TooManyRequests) as error:
        return type(error).__name__
    return "in"


async def test_attempts_at_once_are_all_counted(database: Database) -> None:
    hasher = SlowHasher()
    accounts = await accounts_of(database, "raced", Time(), hasher)
    tries = [asyncio.create_task(outcome(accounts, database, "raced", f"wrong-{n}")) for n in range(30)]
    try:
        await asyncio.wait(tries, timeout=5, return_when=asyncio.FIRST_COMPLETED)
        async with asyncio.timeout(5):
            assert await outcome(accounts, database, "raced", PASSWORD) == "TooManyRequests"
    finally:
        hasher.go.set()
        found = Counter(await asyncio.gather(*tries))
    assert found == {"NotSignedIn": MOST_FAILURES, "TooManyRequests": 20}


async def test_the_count_begins_anew_after_a_rest(database: Database) -> None:
    now = Time()
    accounts = await accounts_of(database, "rested", now)
    for _ in range(MOST_FAILURES):
        assert await outcome(accounts, database, "rested", "wrong") == "NotSignedIn"
    assert await outcome(accounts, database, "rested", PASSWORD) == "TooManyRequests"
    now.ahead = LOCKOUT + timedelta(minutes=1)
    for _ in range(2):
        assert await outcome(accounts, database, "rested", "typo") == "NotSignedIn"
    assert await outcome(accounts, database, "rested", PASSWORD) == "in"
    for _ in range(MOST_FAILURES - 1):
        assert await outcome(accounts, database, "rested", "wrong") == "NotSignedIn"
    assert await outcome(accounts, database, "rested", PASSWORD) == "in"


async def test_passwords_take_none_of_the_threads_that_others_need(database: Database) -> None:
    hasher = SlowHasher()
    accounts = await accounts_of(database, "threads", Time(), hasher)
    tries = [asyncio.create_task(outcome(accounts, database, f"nobody{n}", "x")) for n in range(40)]
    try:
        await asyncio.sleep(0.5)
        async with asyncio.timeout(5):
            assert await asyncio.to_thread(lambda: "free") == "free"
    finally:
        hasher.go.set()
        await asyncio.gather(*tries)


async def test_only_so_many_sign_in_at_once(database: Database) -> None:
    accounts = await accounts_of(database, "crowd", Time())
    with contextlib.ExitStack() as places:
        for _ in range(MOST_WAITING):
            places.enter_context(accounts.turn())
        with pytest.raises(TooManyRequests, match="try again"):
            places.enter_context(accounts.turn())
    with accounts.turn():
        assert await outcome(accounts, database, "crowd", PASSWORD) == "in"
