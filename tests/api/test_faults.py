"""The database fails under the service: clear answers, nothing half-stored, and life afterwards."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
import pytest
from psycopg import sql
from sqlalchemy import text
from sqlalchemy.engine import make_url

from app.db.session import Database
from tests.api.conftest import House
from tests.api.test_conversations import WHOLE, stream

pytestmark = pytest.mark.anyio


@contextmanager
def refused(database: Database) -> Iterator[None]:
    """The server lets nobody into the database and throws out who is in it."""
    url = make_url(database.url)
    name = url.database or ""
    dsn = url.set(drivername="postgresql", database="postgres").render_as_string(hide_password=False)
    with psycopg.connect(dsn, autocommit=True) as connection:
        switch = sql.SQL("ALTER DATABASE {} ALLOW_CONNECTIONS {}")
        connection.execute(switch.format(sql.Identifier(name), sql.Literal(False)))
        connection.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", (name,))
        try:
            yield
        finally:
            connection.execute(switch.format(sql.Identifier(name), sql.Literal(True)))


async def test_a_database_that_is_gone_and_comes_back(house: House, database: Database) -> None:
    patient = await house.patient()
    conversation = await house.conversation(patient)
    assert (await house.send(patient, conversation, "parking?", Prefer="wait=10")).status_code == 200
    with refused(database):
        for answer in (
            await house.send(patient, conversation, "parking?", **{"Idempotency-Key": "gone"}),
            await house.http.post("/v1/sessions", json={"consent": True, "language": "en"}),
            await house.http.get("/v1/staff/me", headers={"Authorization": "Bearer x"}),
        ):
            assert (answer.status_code, answer.json()["name"]) == (503, "store_unavailable"), answer.text
            assert answer.headers["Retry-After"]
        ready = await house.http.get("/readyz")
        assert (ready.status_code, ready.json()["database"]) == (503, False)
        assert (await house.http.get("/healthz")).status_code == 200
    again = await house.send(patient, conversation, "parking?", **{"Idempotency-Key": "gone", "Prefer": "wait=10"})
    assert again.json()["reply"]["text"] == WHOLE
    page = (await house.http.get(f"/v1/conversations/{conversation}/messages", headers=patient)).json()
    assert [m["author"] for m in page["items"]] == ["patient", "assistant"] * 2


async def test_a_stream_survives_the_database(house: House, database: Database) -> None:
    patient = await house.patient()
    conversation = await house.conversation(patient)
    async with stream(house, patient, conversation) as events:
        await house.send(patient, conversation, "parking?")
        last = (await events.until("message.completed"))[-1]
        with refused(database):
            pass
        sent = await house.send(patient, conversation, "parking?")
        if sent.status_code == 503:  # the first to use a connection that was thrown out
            sent = await house.send(patient, conversation, "parking?")
        assert sent.status_code == 202
    async with stream(house, patient, conversation, last["id"]) as events:
        found = await events.until("message.completed")
    assert int(found[0]["id"]) == int(last["id"]) + 1


async def test_a_full_disk_stores_nothing_and_says_so(house: House, database: Database) -> None:
    patient = await house.patient()
    conversation = await house.conversation(patient)
    async with database.session() as session:
        await session.execute(text(
            "CREATE FUNCTION full_disk() RETURNS trigger LANGUAGE plpgsql AS "
            "$$ BEGIN RAISE EXCEPTION 'could not extend file' USING ERRCODE = '53100'; END $$"
        ))  # fmt: skip
        await session.execute(text("CREATE TRIGGER full_disk BEFORE INSERT ON turns EXECUTE FUNCTION full_disk()"))
    try:
        answer = await house.send(patient, conversation, "parking?", **{"Idempotency-Key": "disk"})
        assert (answer.status_code, answer.json()["name"]) == (503, "store_unavailable")
        plain = await house.send(patient, conversation, "parking?")
        assert plain.status_code == 503
        async with database.session() as session:
            for table in ("messages", "events", "turns"):
                query = text(f"SELECT count(*) FROM {table} WHERE conversation_id = :c")
                assert (await session.execute(query, {"c": conversation})).scalar() == 0, table
            assert (
                await session.execute(text("SELECT count(*) FROM idempotency_keys WHERE key = 'disk'"))
            ).scalar() == 0
    finally:
        async with database.session() as session:
            await session.execute(text("DROP TRIGGER full_disk ON turns"))
            await session.execute(text("DROP FUNCTION full_disk"))
    answer = await house.send(patient, conversation, "parking?", **{"Idempotency-Key": "disk", "Prefer": "wait=10"})
    assert answer.json()["reply"]["text"] == WHOLE


async def test_a_disk_that_fills_in_the_middle_of_a_reply_costs_no_reply(house: House, database: Database) -> None:
    patient = await house.patient()
    conversation = await house.conversation(patient)
    async with database.session() as session:
        await session.execute(text(
            "CREATE FUNCTION full_disk() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
            "RAISE EXCEPTION 'could not extend file' USING ERRCODE = '53100'; END $$"
        ))  # fmt: skip
        await session.execute(
            text("CREATE TRIGGER full_disk BEFORE INSERT ON turn_metrics EXECUTE FUNCTION full_disk()")
        )
    try:
        sent = await house.send(patient, conversation, "parking?")
        assert sent.status_code == 202
        async with stream(house, patient, conversation) as events:
            await events.until("message.delta")
    finally:
        async with database.session() as session:
            await session.execute(text("DROP TRIGGER full_disk ON turn_metrics"))
            await session.execute(text("DROP FUNCTION full_disk"))
    async with stream(house, patient, conversation) as events:
        found = await events.until("message.completed")
    assert WHOLE in found[-1]["data"]
