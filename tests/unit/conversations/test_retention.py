"""What is past its time goes, with all that hangs on it; holds and open emergencies keep it. On a real PostgreSQL."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta

import pytest
from sqlalchemy import text

from app.audit.service import AuditLog
from app.contracts.site import Site
from app.conversations.pseudonyms import PseudonymStore
from app.conversations.retention import BATCH, Retention
from app.db.cipher import TextCipher
from app.db.session import Database
from app.errors import InvalidContent, LegalHold, NotFound
from app.escalations.service import Ending, EscalationService
from tests.factories import Clock, Wired, add_patient, add_staff, wired

pytestmark = pytest.mark.anyio

KEEP = timedelta(days=30)
TABLES = ("messages", "events", "turns", "pseudonyms", "feedback", "escalations")


@dataclass
class Archive:
    """Conversations of one patient, and what deletes them."""

    it: Wired
    database: Database
    queue: EscalationService
    retention: Retention
    clock: Clock
    owner: str

    async def talk(self, words: str = "where do I park, it is Maria Gonzalez") -> str:
        """A conversation of one question; its id."""
        conversation = (await self.it.service.create(self.owner, "en")).id
        await self.it.service.post_message(self.owner, conversation, words)
        await self.it.settled()
        return conversation

    async def left(self, conversation: str) -> dict[str, int]:
        """Rows of each table that hang on a conversation; its own among them."""
        queries = {"conversations": "SELECT count(*) FROM conversations WHERE id = :c"}
        for table in TABLES:
            where = "conversation_id = :c"
            if table == "feedback":
                where = "message_id IN (SELECT id FROM messages WHERE conversation_id = :c)"
            queries[table] = f"SELECT count(*) FROM {table} WHERE {where}"
        async with self.database.session() as session:
            return {
                name: int(await session.scalar(text(query), {"c": conversation}) or 0)
                for name, query in queries.items()
            }

    async def audited(self, conversation: str) -> list[tuple[str, str]]:
        """Actor and action of each entry of the audit log."""
        query = text("SELECT actor, action FROM audit_log WHERE subject = :c ORDER BY id")
        async with self.database.session() as session:
            return [(row.actor, row.action) for row in await session.execute(query, {"c": conversation})]

    async def count(self, query: str) -> int:
        """What a counting statement finds of the patient's session."""
        async with self.database.session() as session:
            return int(await session.scalar(text(query), {"s": self.owner}) or 0)


@pytest.fixture
async def archive(database: Database, site: Site, cipher: TextCipher) -> AsyncIterator[Archive]:
    async with database.session() as session:
        await session.execute(text("TRUNCATE escalations, conversations CASCADE"))
    clock = Clock()
    owner, _token = await add_patient(database, site)
    async with wired(database, site, cipher, now=clock) as it:
        queue = EscalationService(database, cipher, site.id, it.service.ownership, it.listener, now=clock)
        retention = Retention(database, AuditLog(clock), site.id, keep=KEEP, now=clock, every_s=0.05)
        yield Archive(it, database, queue, retention, clock, owner)


async def test_a_conversation_goes_with_all_that_hangs_on_it_and_leaves_an_audit_entry(archive: Archive) -> None:
    conversation = await archive.talk()
    reply = (await archive.it.service.messages(archive.owner, conversation)).items[-1]
    await archive.it.service.rate(archive.owner, reply.id, "down", "too long")
    stored = await archive.left(conversation)
    assert all(stored[name] for name in ("conversations", "messages", "events", "feedback"))
    archive.clock.ahead = timedelta(days=29)
    assert await archive.retention.look() == 0
    archive.clock.ahead = timedelta(days=31)
    assert await archive.retention.look() == 1
    assert set((await archive.left(conversation)).values()) == {0}
    assert await archive.audited(conversation) == [("system", "conversation.expired")]
    with pytest.raises(NotFound):
        await archive.it.service.get(archive.owner, conversation)
    # The patient's session and her consent go too: nothing of hers is left.
    assert await archive.count("SELECT count(*) FROM patient_sessions WHERE id = :s") == 0
    assert await archive.count("SELECT count(*) FROM consents WHERE session_id = :s") == 0
    assert await archive.retention.look() == 0


async def test_the_time_counts_from_the_last_message(archive: Archive) -> None:
    conversation = await archive.talk()
    archive.clock.ahead = timedelta(days=20)
    await archive.it.service.post_message(archive.owner, conversation, "and on sundays?")
    await archive.it.settled()
    archive.clock.ahead = timedelta(days=40)
    assert await archive.retention.look() == 0
    archive.clock.ahead = timedelta(days=51)
    assert await archive.retention.look() == 1


@pytest.mark.parametrize("ended", [False, True])
async def test_an_emergency_that_nobody_has_seen_stays_and_its_time_counts_from_when_somebody_has(
    archive: Archive, ended: bool
) -> None:
    conversation = await archive.talk("emergency")
    if ended:
        await archive.it.service.close(archive.owner, conversation)
    archive.clock.ahead = timedelta(days=31)
    assert await archive.retention.look() == 0
    assert (await archive.retention.kept()).waiting == 1
    nurse = await add_staff(archive.database)
    async with archive.database.session() as session:
        await archive.queue.take_over(session, conversation, nurse, None)
    async with archive.database.session() as session:
        await archive.queue.resolve(session, conversation, nurse, Ending("reached", "spoke to her"))
    archive.clock.ahead = timedelta(days=60)
    assert await archive.retention.look() == 0
    archive.clock.ahead = timedelta(days=62)
    assert await archive.retention.look() == 1
    assert set((await archive.left(conversation)).values()) == {0}


async def test_who_asked_for_a_person_is_not_deleted_before_one_came(archive: Archive) -> None:
    conversation = await archive.talk()
    await archive.it.service.hand_off(archive.owner, conversation)
    await archive.it.settled()
    archive.clock.ahead = timedelta(days=31)
    assert await archive.retention.look() == 0
    assert (await archive.retention.kept()).waiting == 1


async def test_a_thumb_is_something_that_happened(archive: Archive) -> None:
    conversation = await archive.talk()
    reply = (await archive.it.service.messages(archive.owner, conversation)).items[-1]
    archive.clock.ahead = timedelta(days=29)
    await archive.it.service.rate(archive.owner, reply.id, "up", "")
    archive.clock.ahead = timedelta(days=31)
    assert await archive.retention.look() == 0


async def test_a_hold_keeps_a_conversation_from_age_and_from_its_patient(archive: Archive) -> None:
    conversation = await archive.talk()
    async with archive.database.session() as session:
        since = await archive.retention.hold(session, conversation, "cli:ann", "case 7")
    async with archive.database.session() as session:
        assert await archive.retention.hold(session, conversation, "cli:ann", "case 7 again") == since
    archive.clock.ahead = timedelta(days=400)
    assert await archive.retention.look() == 0
    kept = await archive.retention.kept()
    assert (kept.stored, kept.due, kept.held, kept.waiting, kept.oldest) == (1, 0, 1, 0, None)
    async with archive.database.session() as session:
        with pytest.raises(LegalHold):
            await archive.it.service.erase(session, archive.owner, conversation)
    async with archive.database.session() as session:
        assert await archive.retention.release(session, conversation, "cli:ann")
    async with archive.database.session() as session:
        assert not await archive.retention.release(session, conversation, "cli:ann")
    assert await archive.retention.look("cli:ann") == 1
    assert await archive.audited(conversation) == [
        ("cli:ann", "conversation.held"),
        ("cli:ann", "conversation.held"),
        ("cli:ann", "conversation.released"),
        ("cli:ann", "conversation.expired"),
    ]


async def test_an_unknown_conversation_is_said_to_be_unknown(archive: Archive) -> None:
    async with archive.database.session() as session:
        with pytest.raises(NotFound):
            await archive.retention.hold(session, "0" * 32, "cli:ann", "case 7")
        with pytest.raises(NotFound):
            await archive.retention.release(session, "0" * 32, "cli:ann")


NAMED = "my name is Maria Gonzalez and I want to know where to park"


async def test_what_pseudonyms_stand_for_goes_with_the_session_of_the_patient(archive: Archive) -> None:
    conversation, held = await archive.talk(NAMED), await archive.talk(NAMED)
    async with archive.database.session() as session:
        await archive.retention.hold(session, held, "cli:ann", "case 7")
    query = "SELECT conversation_id, value_encrypted FROM pseudonyms ORDER BY conversation_id = :c"

    async def known() -> list[bool]:
        async with archive.database.session() as session:
            return [bool(row.value_encrypted) for row in await session.execute(text(query), {"c": conversation})]

    await archive.retention.look()
    assert await known() == [True, True]
    archive.clock.ahead = timedelta(hours=2)  # the session lasts one
    assert await archive.retention.look() == 0
    assert await known() == [True, False]
    assert (await archive.left(conversation))["messages"] == 2


async def test_a_token_whose_value_is_gone_never_means_somebody_else(
    archive: Archive, database: Database, cipher: TextCipher
) -> None:
    conversation, store = await archive.talk(NAMED), PseudonymStore(cipher)
    async with database.session() as session:
        vault = await store.load(session, conversation)
        assert vault.token("PERSON", "Rosa Blum") == "<PERSON_1001>"
        await store.save(session, conversation, vault)
    archive.clock.ahead = timedelta(hours=2)
    await archive.retention.look()
    async with database.session() as session:
        vault = await store.load(session, conversation)
        assert vault.value("<PERSON_1001>") is None
        assert vault.token("PERSON", "John Gray") == "<PERSON_1002>"


@pytest.mark.parametrize("reason", ["", "  ", "two\nlines", "x" * 201, "half \ud83d"])
async def test_a_hold_needs_a_reason_in_one_line(archive: Archive, reason: str) -> None:
    conversation = await archive.talk()
    async with archive.database.session() as session:
        with pytest.raises(InvalidContent, match="give a reason in one line"):
            await archive.retention.hold(session, conversation, "cli:ann", reason)


async def test_many_go_in_batches_and_another_site_keeps_its_own(archive: Archive, site: Site) -> None:
    async with archive.database.session() as session:
        await session.execute(
            text("INSERT INTO sites (id, name, created_at) VALUES ('elsewhere', 'x', now()) ON CONFLICT DO NOTHING")
        )
        await session.execute(
            text(
                "INSERT INTO conversations (id, site_id, session_id, language, handler, epoch, version, last_seq, "
                "created_at, updated_at) "
                "SELECT lpad(n::text, 32, '0'), CASE WHEN n = 0 THEN 'elsewhere' ELSE :site END, "
                ":owner, 'en', 'closed', 0, 0, 0, now(), now() - interval '31 days' FROM generate_series(0, :many) n"
            ),
            {"site": site.id, "owner": archive.owner, "many": BATCH + 5},
        )
    assert (await archive.retention.kept()).due == BATCH + 5
    assert await archive.retention.look() == BATCH + 5
    assert await archive.count("SELECT count(*) FROM conversations WHERE session_id = :s") == 1


async def test_it_looks_by_itself_until_it_is_stopped(archive: Archive) -> None:
    conversation = await archive.talk()
    archive.clock.ahead = timedelta(days=31)
    await archive.retention.rounds.start()
    async with asyncio.timeout(10):
        while (await archive.left(conversation))["conversations"]:
            await asyncio.sleep(0.02)
    await archive.retention.rounds.stop()
    assert await archive.audited(conversation) == [("system", "conversation.expired")]
