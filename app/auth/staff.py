"""Local staff accounts (argon2id) and their sessions, with idle and absolute limits and lockout."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal, TypeVar

from argon2 import PasswordHasher
from argon2.exceptions import Argon2Error, InvalidHashError
from sqlalchemy import Row, RowMapping, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from app.auth.tokens import new_token, token_hash
from app.db.models import User, new_id
from app.db.session import Database
from app.errors import ConflictError, InvalidContent, NotFound, NotSignedIn, SessionExpired, TooManyRequests

Role = Literal["staff", "admin"]
ROLES: tuple[Role, ...] = ("staff", "admin")

MOST_FAILURES = 10
"""Wrong passwords in a row after which an account rests."""

LOCKOUT = timedelta(minutes=15)
"""How long it rests."""

LEAST_PASSWORD = 12
"""Characters of a password (NIST SP 800-63B asks for at least 8; 15 without a second factor is its 2025 advice)."""

MOST_WAITING = 8
"""Sign-ins at once in a process, of which one is hashed at a time: less than a second for the last."""

T = TypeVar("T")

_SEEN_EVERY = timedelta(seconds=30)
_ATTEMPT = text("""
UPDATE users SET
  failed_sign_ins = CASE WHEN locked_until IS NULL THEN failed_sign_ins + 1 ELSE 1 END,
  locked_until = CASE WHEN locked_until IS NULL AND failed_sign_ins + 1 >= :most THEN CAST(:until AS timestamptz) END
WHERE username = :name AND active AND (locked_until IS NULL OR locked_until <= :now)
RETURNING id, username, display_name, roles, password_hash
""")
_RESTS = text("SELECT locked_until FROM users WHERE username = :name AND active AND locked_until > :now")
_FIND = text(
    "SELECT s.id AS session_id, s.seen_at, s.expires_at, u.id, u.username, u.display_name, u.roles "
    "FROM user_sessions s JOIN users u ON u.id = s.user_id WHERE s.token_sha256 = :token AND u.active"
)
_STANDS = text(
    "SELECT EXISTS (SELECT 1 FROM user_sessions s JOIN users u ON u.id = s.user_id "
    "WHERE s.id = :id AND s.expires_at > :now AND s.seen_at > :since AND u.active)"
)
_OPEN = text(
    "INSERT INTO user_sessions (id, user_id, token_sha256, created_at, seen_at, expires_at) "
    "VALUES (:id, :user, :token, :now, :now, :expires)"
)


@dataclass(frozen=True, slots=True)
class Staff:
    """A signed-in member of staff."""

    id: str
    username: str
    display_name: str
    roles: tuple[str, ...]
    session_id: str
    expires_at: datetime

    def has(self, role: Role) -> bool:
        """Whether the role was given. Being admin does not imply staff."""
        return role in self.roles


class StaffAccounts:
    """Accounts and sessions. ``idle`` and ``life`` limit a session; the earlier one ends it."""

    def __init__(
        self,
        database: Database,
        *,
        idle: timedelta,
        life: timedelta,
        now: Callable[[], datetime],
        hasher: PasswordHasher | None = None,
    ) -> None:
        self._database = database
        self._idle = idle
        self._life = life
        self._now = now
        self._hasher = hasher or PasswordHasher()
        # One thread of its own: what else needs a thread, such as triage, never queues behind passwords.
        self._hashing = ThreadPoolExecutor(1, "passwords")
        self._waiting = 0
        # Unknown names cost the same time as wrong passwords, so that names cannot be found out by timing.
        self._nobody = self._hasher.hash(new_token())

    async def add(
        self, session: AsyncSession, username: str, display_name: str, password: str, roles: Sequence[Role]
    ) -> str:
        """Create an account; its id. Raises ConflictError if the name is taken, InvalidContent for a weak password."""
        if len(password) < LEAST_PASSWORD:
            raise InvalidContent(f"a password must have at least {LEAST_PASSWORD} characters")
        if not set(roles) <= set(ROLES) or not roles:
            raise InvalidContent(f"roles are {' and '.join(ROLES)}")
        user = new_id()
        hashed = await self._hashed(lambda: self._hasher.hash(password))
        query = insert(User).values(
            id=user, username=username.lower(), display_name=display_name, password_hash=hashed, roles=list(roles),
            active=True, failed_sign_ins=0, created_at=self._now(),
        )  # fmt: skip
        found = await session.execute(query.on_conflict_do_nothing(index_elements=["username"]).returning(User.id))
        if found.first() is None:
            raise ConflictError("there is an account of this name already")
        return user

    async def set_password(self, session: AsyncSession, username: str, password: str) -> None:
        """Give an account a new password, lift its lock and end its sessions. Raises NotFound, InvalidContent."""
        if len(password) < LEAST_PASSWORD:
            raise InvalidContent(f"a password must have at least {LEAST_PASSWORD} characters")
        hashed = await self._hashed(lambda: self._hasher.hash(password))
        query = text(
            "UPDATE users SET password_hash = :hash, failed_sign_ins = 0, locked_until = NULL "
            "WHERE username = :name RETURNING id"
        )
        row = (await session.execute(query, {"hash": hashed, "name": username.lower()})).first()
        if row is None:
            raise NotFound("there is no such account")
        await session.execute(text("DELETE FROM user_sessions WHERE user_id = :id"), {"id": row.id})

    async def deactivate(self, session: AsyncSession, username: str) -> None:
        """Keep an account out from now on and end its sessions; what it wrote keeps its name. Raises NotFound."""
        query = text("UPDATE users SET active = false WHERE username = :name RETURNING id")
        row = (await session.execute(query, {"name": username.lower()})).first()
        if row is None:
            raise NotFound("there is no such account")
        await session.execute(text("DELETE FROM user_sessions WHERE user_id = :id"), {"id": row.id})

    async def all(self, session: AsyncSession) -> Sequence[RowMapping]:
        """All accounts, without their hashes."""
        query = text(
            "SELECT id, username, display_name, roles, active, locked_until, created_at FROM users ORDER BY username"
        )
        return (await session.execute(query)).mappings().all()

    @contextmanager
    def turn(self) -> Iterator[None]:
        """A place among those who sign in at this moment. Raises TooManyRequests where none is free."""
        if self._waiting >= MOST_WAITING:
            raise TooManyRequests("too many people sign in at this moment; try again in a few seconds", 2.0)
        self._waiting += 1
        try:
            yield
        finally:
            self._waiting -= 1

    async def sign_in(self, session: AsyncSession, username: str, password: str) -> tuple[Staff, str]:
        """A session and its token, kept with the caller's transaction; the attempt is counted in any case.

        Call it within :meth:`turn`. Raises NotSignedIn, TooManyRequests while the account rests.
        """
        row = await self._checked(username.lower(), password)
        token, at = new_token(), self._now()
        staff = Staff(row.id, row.username, row.display_name, tuple(row.roles), new_id(), at + self._life)
        query = text("UPDATE users SET failed_sign_ins = 0, locked_until = NULL WHERE id = :id")
        await session.execute(query, {"id": row.id})
        values = {"id": staff.session_id, "user": row.id, "token": token_hash(token), "expires": staff.expires_at}
        await session.execute(_OPEN, values | {"now": at})
        return staff, token

    async def _checked(self, name: str, password: str) -> Row[Any]:
        """The account whose password this is. Counted before it is compared, so that attempts at once all count."""
        at = self._now()
        values = {"name": name, "now": at, "most": MOST_FAILURES, "until": at + LOCKOUT}
        async with self._database.session() as session:
            row = (await session.execute(_ATTEMPT, values)).first()
            rests = None if row else (await session.execute(_RESTS, {"name": name, "now": at})).scalar()
        if rests is not None:
            raise TooManyRequests(
                "too many wrong passwords; wait, or ask an administrator", (rests - at).total_seconds()
            )
        right = await self._hashed(lambda: self._matches(row.password_hash if row else self._nobody, password))
        if row is None or not right:
            raise NotSignedIn("the name or the password is wrong")
        return row

    async def known(self, session: AsyncSession, username: str) -> str:
        """The account's name as it is stored, or ``unknown``: what somebody types into a form may be anything."""
        query = text("SELECT username FROM users WHERE username = :name")
        return str((await session.execute(query, {"name": username.lower()})).scalar() or "unknown")

    async def sign_out(self, session: AsyncSession, staff: Staff) -> None:
        """End the session."""
        await session.execute(text("DELETE FROM user_sessions WHERE id = :id"), {"id": staff.session_id})

    async def authenticate(self, token: str, *, activity: bool = True) -> Staff:
        """Who holds a token. Counts as activity, unless a page asks by itself. Raises NotSignedIn, SessionExpired."""
        at = self._now()
        async with self._database.session() as session:
            row = (await session.execute(_FIND, {"token": token_hash(token)})).first()
            if row is None:
                raise NotSignedIn("sign in first")
            if row.expires_at <= at or row.seen_at + self._idle <= at:
                raise SessionExpired("this session has ended; sign in again")
            if activity and row.seen_at + min(_SEEN_EVERY, self._idle / 4) <= at:
                query = text("UPDATE user_sessions SET seen_at = :now WHERE id = :id")
                await session.execute(query, {"now": at, "id": row.session_id})
        return Staff(row.id, row.username, row.display_name, tuple(row.roles), row.session_id, row.expires_at)

    async def stands(self, staff: Staff) -> bool:
        """Whether a session may go on, for what outlives a request. Asking is no activity: it keeps no session alive.

        False once who holds it has signed out, was deactivated or was idle too long, or the session has had its life.
        """
        at = self._now()
        values = {"id": staff.session_id, "now": at, "since": at - self._idle}
        async with self._database.statement() as session:
            return bool(await session.scalar(_STANDS, values))

    async def _hashed(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._hashing, work)

    def _matches(self, hashed: str, password: str) -> bool:
        try:
            return self._hasher.verify(hashed, password)
        except (Argon2Error, InvalidHashError):
            return False
