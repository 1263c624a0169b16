"""What a session does when the server refuses."""

from __future__ import annotations

import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from app.db.session import Database
from app.errors import StoreUnavailable

pytestmark = pytest.mark.anyio


async def test_a_server_that_refuses_to_write_is_unavailable(database: Database) -> None:
    with pytest.raises(StoreUnavailable, match="cannot write"):
        async with database.session() as session:
            await session.execute(text("SET TRANSACTION READ ONLY; CREATE TABLE refused (id integer)"))


async def test_an_operator_s_intervention_is_unavailable(database: Database) -> None:
    with pytest.raises(StoreUnavailable):
        async with database.statement() as connection:
            await connection.execute(text("DO $$ BEGIN RAISE SQLSTATE '57000'; END $$"))


async def test_a_broken_constraint_goes_on_as_it_is(database: Database) -> None:
    with pytest.raises(IntegrityError):
        async with database.session() as session:
            await session.execute(text("DO $$ BEGIN RAISE SQLSTATE '23505'; END $$"))
