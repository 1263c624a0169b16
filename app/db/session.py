"""One connection pool, and sessions that commit once, at the edge."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from sqlalchemy import text
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker, create_async_engine

from app.errors import StoreUnavailable


class Database:
    """A PostgreSQL by SQLAlchemy URL (``postgresql+psycopg://…``), with a pool of ``pool`` connections."""

    def __init__(self, url: str, pool: int = 10) -> None:
        self.url = url
        self.engine: AsyncEngine = create_async_engine(
            url, pool_size=pool, max_overflow=pool, pool_pre_ping=True, pool_timeout=10, hide_parameters=True
        )
        self._sessions = async_sessionmaker(self.engine, expire_on_commit=False)

    @asynccontextmanager
    async def session(self) -> AsyncIterator[AsyncSession]:
        """A session that commits at the end of the block and rolls back on any error.

        Raises StoreUnavailable when the server is gone, refuses to write or its disk is full; other database
        errors (a broken constraint) go on as they are.
        """
        try:
            async with self._sessions() as session, session.begin():
                yield session
        except (OperationalError, InterfaceError, PoolTimeout, OSError) as error:
            raise StoreUnavailable("the database cannot be reached or cannot write now; try again in a moment") from error
        except DBAPIError as error:
            if error.connection_invalidated:
                raise StoreUnavailable("the database connection was lost; try again in a moment") from error
            raise

    async def ping(self) -> bool:
        """Whether a trivial query is answered."""
        try:
            async with self.session() as session:
                await session.execute(text("SELECT 1"))
        except StoreUnavailable:
            return False
        return True

    async def dispose(self) -> None:
        """Close the pool."""
        await self.engine.dispose()
