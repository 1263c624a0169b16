"""One connection pool, and sessions that commit once, at the edge."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

from sqlalchemy import event, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError, DisconnectionError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, AsyncSession, async_sessionmaker, create_async_engine

from app.errors import StoreUnavailable

Executor = AsyncSession | AsyncConnection
"""What statements of repositories run on: a session's transaction, or a connection for a single statement."""


_CONNECT_S = 5
"""Seconds after which a server that does not answer counts as gone, unless the URL names its own connect_timeout."""

_WRONG_STATE = "25"
"""SQLSTATE class of a read-only server (a standby, say) and of transactions that it timed out: no OperationalError."""


class Database:
    """A PostgreSQL by SQLAlchemy URL (``postgresql+psycopg://…``), with a pool of ``pool`` connections."""

    def __init__(self, url: str, pool: int = 10) -> None:
        self.url = url
        self.engine: AsyncEngine = create_async_engine(
            url, pool_size=pool, max_overflow=0, pool_timeout=10, hide_parameters=True,
            connect_args={} if "connect_timeout" in make_url(url).query else {"connect_timeout": _CONNECT_S},
        )  # fmt: skip
        self._sessions = async_sessionmaker(self.engine, expire_on_commit=False)
        self._single = self.engine.execution_options(isolation_level="AUTOCOMMIT")
        _ping_rested(self.engine)

    @asynccontextmanager
    async def session(self) -> AsyncIterator[AsyncSession]:
        """A session that commits at the end of the block and rolls back on any error.

        Raises StoreUnavailable when the server is gone, refuses to write or its disk is full; other database
        errors (a broken constraint) go on as they are.
        """
        with _as_unavailable():
            async with self._sessions() as session, session.begin():
                yield session

    @asynccontextmanager
    async def statement(self) -> AsyncIterator[AsyncConnection]:
        """A connection for one statement, or for several that need no common transaction: each commits by itself.

        That spares the two round trips of BEGIN and COMMIT. Raises StoreUnavailable as :meth:`session` does.
        """
        with _as_unavailable():
            async with self._single.connect() as connection:
                yield connection

    async def ping(self) -> bool:
        """Whether a trivial query is answered."""
        try:
            async with self.statement() as connection:
                await connection.execute(text("SELECT 1"))
        except StoreUnavailable:
            return False
        return True

    async def dispose(self) -> None:
        """Close the pool."""
        await self.engine.dispose()


@contextmanager
def _as_unavailable() -> Iterator[None]:
    try:
        yield
    except (OperationalError, InterfaceError, PoolTimeout, OSError) as error:
        raise StoreUnavailable("the database cannot be reached or cannot write now; try again in a moment") from error
    except DBAPIError as error:
        if error.connection_invalidated:
            raise StoreUnavailable("the database connection was lost; try again in a moment") from error
        if (getattr(error.orig, "sqlstate", None) or "").startswith(_WRONG_STATE):
            raise StoreUnavailable("the database cannot write now; try again in a moment") from error
        raise


def _ping_rested(engine: AsyncEngine) -> None:
    """Try a connection that has rested for a second before it is handed out; a dead one is replaced.

    A ping before every use would cost a round trip each time; a server that restarts is away for longer than a second.
    """

    @event.listens_for(engine.sync_engine, "checkin")
    def rest(_connection: Any, record: Any) -> None:
        record.info["since"] = time.monotonic()

    @event.listens_for(engine.sync_engine, "checkout")
    def wake(connection: Any, record: Any, _proxy: Any) -> None:
        since = record.info.get("since")
        if since is None or time.monotonic() - since < 1.0:
            return
        try:
            engine.sync_engine.dialect.do_ping(connection)
        except engine.sync_engine.dialect.loaded_dbapi.Error as error:
            raise DisconnectionError("the connection was closed meanwhile") from error
