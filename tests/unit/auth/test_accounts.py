"""Local accounts and sessions."""

from __future__ import annotations

from datetime import timedelta

import pytest
from argon2 import PasswordHasher
from sqlalchemy import text

from app.auth.patients import PatientSessions
from app.auth.staff import Staff, StaffAccounts
from app.contracts.site import Site
from app.db.session import Database
from app.errors import ConflictError, InvalidContent, NotFound, NotSignedIn, SessionExpired, VersionConflict
from tests.factories import add_site, utc_now

pytestmark = pytest.mark.anyio
PASSWORD = "correct horse battery"


@pytest.fixture
def accounts(database: Database) -> StaffAccounts:
    """Accounts with a cheap hash."""
    return StaffAccounts(
        database, idle=timedelta(minutes=15), life=timedelta(hours=8), now=utc_now,
        hasher=PasswordHasher(time_cost=1, memory_cost=8, parallelism=1),
    )  # fmt: skip


async def sign_in(accounts: StaffAccounts, database: Database, username: str, password: str) -> tuple[Staff, str]:
    """As the route does it."""
    async with database.session() as session:
        return await accounts.sign_in(session, username, password)


async def test_a_demo_account_signs_in_once_created(database: Database, accounts: StaffAccounts) -> None:
    async with database.session() as session:
        await accounts.add(session, "Nurse", "Maria", PASSWORD, ["staff"])
    for _ in range(2):  # creating it again at the next start is not an error for who handles it
        with pytest.raises(ConflictError):
            async with database.session() as session:
                await accounts.add(session, "nurse", "Maria", PASSWORD, ["staff"])
    staff, token = await sign_in(accounts, database, "NURSE", PASSWORD)
    assert (staff.display_name, staff.roles, staff.has("staff"), staff.has("admin")) == (
        "Maria",
        ("staff",),
        True,
        False,
    )
    assert (await accounts.authenticate(token)).session_id == staff.session_id
    with pytest.raises(NotSignedIn):
        await sign_in(accounts, database, "nurse", PASSWORD + "!")
    with pytest.raises(NotSignedIn):
        await sign_in(accounts, database, "nobody", PASSWORD)


async def test_neither_password_nor_token_is_stored(database: Database, accounts: StaffAccounts) -> None:
    async with database.session() as session:
        await accounts.add(session, "stored", "Eve", PASSWORD, ["admin"])
    _staff, token = await sign_in(accounts, database, "stored", PASSWORD)
    async with database.session() as session:
        rows = str((await session.execute(text("SELECT * FROM users"))).all())
        rows += str((await session.execute(text("SELECT * FROM user_sessions"))).all())
    assert PASSWORD not in rows
    assert token not in rows
    assert "$argon2id$" in rows


async def test_bad_accounts_are_refused(database: Database, accounts: StaffAccounts) -> None:
    for password, roles in (("short", ["staff"]), (PASSWORD, []), (PASSWORD, ["doctor"])):
        with pytest.raises(InvalidContent):
            async with database.session() as session:
                await accounts.add(session, "bad", "Eve", password, roles)  # type: ignore[arg-type]
    with pytest.raises(NotFound):
        async with database.session() as session:
            await accounts.set_password(session, "unknown", PASSWORD)


async def test_a_new_password_ends_sessions(database: Database, accounts: StaffAccounts) -> None:
    async with database.session() as session:
        await accounts.add(session, "changed", "Eve", PASSWORD, ["staff"])
    _staff, token = await sign_in(accounts, database, "changed", PASSWORD)
    async with database.session() as session:
        await accounts.set_password(session, "changed", PASSWORD + " two")
    with pytest.raises(NotSignedIn):
        await accounts.authenticate(token)
    await sign_in(accounts, database, "changed", PASSWORD + " two")


async def test_a_deactivated_account_is_out_at_once(database: Database, accounts: StaffAccounts) -> None:
    async with database.session() as session:
        await accounts.add(session, "gone", "Eve", PASSWORD, ["staff"])
    _staff, token = await sign_in(accounts, database, "gone", PASSWORD)
    async with database.session() as session:
        await accounts.deactivate(session, "gone")
    with pytest.raises(NotSignedIn):
        await accounts.authenticate(token)
    with pytest.raises(NotSignedIn):
        await sign_in(accounts, database, "gone", PASSWORD)
    async with database.session() as session:
        with pytest.raises(NotFound):
            await accounts.deactivate(session, "nobody")


async def test_patient_sessions(database: Database, site: Site) -> None:
    await add_site(database, site)
    sessions = PatientSessions(database, site.id, notice_version="7", hours=1, now=utc_now)
    patient, token = await sessions.create("es", consent=False)
    found = await sessions.authenticate(token)
    assert (found.session_id, found.language, found.consented) == (patient.session_id, "es", False)
    for version in ("6", "never-existed"):
        with pytest.raises(VersionConflict, match="not the current notice"):
            await sessions.consent(found, version)
    assert not (await sessions.authenticate(token)).consented
    for _ in range(2):
        await sessions.consent(found, "7")
    assert (await sessions.authenticate(token)).consented
    async with database.session() as session:
        assert (await session.execute(text("SELECT count(*) FROM consents"))).scalar() == 1
        stored = str((await session.execute(text("SELECT * FROM patient_sessions"))).all())
    assert token not in stored
    newer = PatientSessions(database, site.id, notice_version="8", hours=1, now=utc_now)
    assert not (await newer.authenticate(token)).consented
    later = PatientSessions(database, site.id, notice_version="7", hours=1, now=lambda: utc_now() + timedelta(hours=2))
    with pytest.raises(SessionExpired):
        await later.authenticate(token)
    elsewhere = PatientSessions(database, "other-site", notice_version="7", hours=1, now=utc_now)
    with pytest.raises(NotSignedIn):
        await elsewhere.authenticate(token)
