"""A claimed call that nobody answers, or whose holder has left, goes back to the queue."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import RowMapping, text

from app.audit.service import AuditLog
from app.contracts.site import Site
from app.db.cipher import TextCipher
from app.db.session import Database
from app.errors import Forbidden
from app.escalations.schemas import EscalationView
from app.escalations.service import EscalationService
from app.escalations.watch import ClaimWatch
from tests.factories import Clock, Wired, add_patient, add_staff, wired

pytestmark = pytest.mark.anyio

WITHIN = timedelta(minutes=10)


@dataclass
class Ward:
    """A conversation service, its queue and the watch over it."""

    it: Wired
    database: Database
    queue: EscalationService
    watch: ClaimWatch
    clock: Clock
    owner: str
    nurse: str
    conversation: str = ""
    taken: EscalationView | None = field(default=None)

    async def call(self, words: str = "emergency") -> str:
        """A patient writes ``words``, and the nurse claims the call."""
        self.conversation = (await self.it.service.create(self.owner, "en")).id
        await self.write(words)
        async with self.database.session() as session:
            self.taken = await self.queue.take_over(session, self.conversation, self.nurse, None)
        return self.conversation

    async def write(self, words: str) -> None:
        """The patient writes."""
        await self.it.service.post_message(self.owner, self.conversation, words)
        await self.it.settled()

    async def answer(self, words: str = "I am here") -> None:
        """The nurse writes."""
        async with self.database.session() as session:
            await self.it.service.staff_say(session, self.conversation, self.nurse, "Maria", words)

    async def row(self) -> RowMapping:
        """The call, with who speaks in its conversation."""
        query = text(
            "SELECT e.*, c.handler, c.epoch, c.staff_id AS holder FROM escalations e "
            "JOIN conversations c ON c.id = e.conversation_id WHERE e.conversation_id = :c"
        )
        async with self.database.session() as session:
            return (await session.execute(query, {"c": self.conversation})).mappings().one()

    async def audited(self) -> list[dict[str, Any]]:
        """Audit entries of calls that were put back."""
        query = text("SELECT * FROM audit_log WHERE action = 'conversation.claim_returned' AND subject = :c")
        async with self.database.session() as session:
            return [dict(row) for row in (await session.execute(query, {"c": self.conversation})).mappings()]


@asynccontextmanager
async def open_ward(database: Database, site: Site, cipher: TextCipher) -> AsyncIterator[Ward]:
    async with database.session() as session:
        await session.execute(text("TRUNCATE escalations, conversations CASCADE"))
    clock = Clock()
    owner, _token = await add_patient(database, site)
    async with wired(database, site, cipher, now=clock) as it:
        queue = EscalationService(database, cipher, site.id, it.service.ownership, it.listener, now=clock)
        watch = ClaimWatch(database, queue, AuditLog(clock), within=WITHIN, every_s=0.05)
        yield Ward(it, database, queue, watch, clock, owner, await add_staff(database))


@pytest.fixture
async def ward(database: Database, site: Site, cipher: TextCipher) -> AsyncIterator[Ward]:
    async with open_ward(database, site, cipher) as found:
        yield found


async def test_an_unanswered_claim_waits_again_overdue_with_an_audit_entry(ward: Ward) -> None:
    conversation = await ward.call()
    epoch = (await ward.row())["epoch"]
    ward.clock.ahead = timedelta(minutes=9)
    assert await ward.watch.look() == 0
    assert (await ward.row())["status"] == "claimed"
    ward.clock.ahead = timedelta(minutes=11)
    assert await ward.watch.look() == 1
    row = await ward.row()
    assert (row["status"], row["staff_id"], row["claimed_at"]) == ("waiting", None, None)
    assert (row["handler"], row["holder"], row["epoch"]) == ("waiting", None, epoch + 1)
    async with ward.database.session() as session:
        [listed] = await ward.queue.listed(session)
    assert (listed.conversation_id, listed.overdue) == (conversation, True)
    [entry] = await ward.audited()
    assert (entry["actor"], entry["details"]["minutes"]) == ("system", 10.0)
    assert entry["details"]["staff"].startswith("Maria-")
    assert await ward.watch.look() == 0
    with pytest.raises(Forbidden):  # she must take it over again, so that two do not speak
        await ward.answer()
    async with ward.database.session() as session:
        again = await ward.queue.claim_next(session, await add_staff(ward.database, "Ana"))
    assert again is not None
    assert again.conversation_id == conversation


async def test_an_answer_keeps_the_claim_until_the_patient_waits_for_the_next(ward: Ward) -> None:
    await ward.call()
    ward.clock.ahead = timedelta(minutes=5)
    await ward.answer()
    ward.clock.ahead = timedelta(hours=2)
    assert await ward.watch.look() == 0
    await ward.write("it is getting worse")
    ward.clock.ahead += timedelta(minutes=9)
    await ward.write("hello?")
    assert await ward.watch.look() == 0
    ward.clock.ahead += timedelta(minutes=2)  # counted from the first message that got no answer
    assert await ward.watch.look() == 1
    assert (await ward.row())["status"] == "waiting"


async def test_an_answer_before_the_claim_does_not_count(ward: Ward) -> None:
    await ward.call()
    await ward.answer()
    await ward.write("thank you")
    ward.clock.ahead = timedelta(minutes=11)
    assert await ward.watch.look() == 1
    async with ward.database.session() as session:
        await ward.queue.take_over(session, ward.conversation, ward.nurse, None)
    ward.clock.ahead = timedelta(minutes=20)
    assert await ward.watch.look() == 0
    ward.clock.ahead = timedelta(minutes=22)
    assert await ward.watch.look() == 1


@pytest.mark.parametrize(("words", "minutes"), [("emergency", 10), ("please raise", 10), ("person", 30)])
async def test_a_routine_call_is_taken_away_later_than_others(ward: Ward, words: str, minutes: int) -> None:
    await ward.call(words)
    ward.clock.ahead = timedelta(minutes=minutes - 1)
    assert await ward.watch.look() == 0
    ward.clock.ahead = timedelta(minutes=minutes + 1)
    assert await ward.watch.look() == 1
    [entry] = await ward.audited()
    assert entry["details"]["minutes"] == minutes
    assert (await ward.row())["handler"] == "waiting"


@pytest.mark.parametrize("words", ["emergency", "person"])
async def test_what_a_deactivated_account_holds_goes_back_at_once(ward: Ward, words: str) -> None:
    await ward.call(words)
    await ward.answer()
    assert await ward.watch.look() == 0
    async with ward.database.session() as session:
        await session.execute(text("UPDATE users SET active = false WHERE id = :id"), {"id": ward.nurse})
    assert await ward.watch.look() == 1
    row = await ward.row()
    assert (row["status"], row["handler"], row["holder"]) == ("waiting", "waiting", None)
    [entry] = await ward.audited()
    assert entry["details"]["deactivated"]
    assert await ward.watch.look() == 0


async def test_a_call_that_is_due_later_is_due_at_once(ward: Ward) -> None:
    await ward.call()
    async with ward.database.session() as session:
        await session.execute(text("UPDATE escalations SET due_at = now() + interval '1 day'"))
    ward.clock.ahead = timedelta(minutes=11)
    await ward.watch.look()
    assert (await ward.row())["due_at"] <= ward.clock()


async def test_an_emergency_of_an_ended_conversation_goes_back_too(ward: Ward) -> None:
    await ward.call()
    await ward.it.service.close(ward.owner, ward.conversation)
    ward.clock.ahead = timedelta(minutes=11)
    assert await ward.watch.look() == 1
    row = await ward.row()
    assert (row["status"], row["handler"]) == ("waiting", "closed")
    assert len(await ward.audited()) == 1


async def test_a_crisis_call_stays_one(ward: Ward) -> None:
    await ward.call("suicide")
    ward.clock.ahead = timedelta(minutes=11)
    await ward.watch.look()
    row = await ward.row()
    assert (row["crisis"], row["priority"], row["handler"]) == (True, 0, "waiting")


async def test_many_watches_put_a_call_back_once(ward: Ward) -> None:
    await ward.call()
    ward.clock.ahead = timedelta(minutes=11)
    counts = await asyncio.gather(*(ward.watch.look() for _ in range(8)))
    assert sum(counts) == 1
    assert len(await ward.audited()) == 1


async def test_an_answer_in_the_last_moment_wins(ward: Ward) -> None:
    """The watch has seen the call unanswered; the nurse's message is stored before it gets the conversation's lock."""
    await ward.call()
    ward.clock.ahead = timedelta(minutes=11)
    async with ward.database.session() as session:
        assert await ward.queue.unanswered(session, WITHIN) == [ward.conversation]
        await ward.answer()
        assert await ward.queue.put_back(session, ward.conversation, WITHIN) is None
    assert (await ward.row())["status"] == "claimed"


async def test_a_conversation_that_is_being_changed_is_left_for_the_next_look(ward: Ward) -> None:
    await ward.call()
    ward.clock.ahead = timedelta(minutes=11)
    async with ward.database.session() as session:
        await session.execute(text("SELECT 1 FROM conversations WHERE id = :c FOR UPDATE"), {"c": ward.conversation})
        assert await ward.watch.look() == 0
    assert await ward.watch.look() == 1


async def test_it_watches_by_itself_and_followers_of_the_queue_are_told(ward: Ward) -> None:
    await ward.call()
    seen: asyncio.Queue[str] = asyncio.Queue()

    async def follow() -> None:
        async for kind, data in ward.queue.follow():
            if kind.startswith("escalation."):
                await seen.put(f"{kind} {data['escalation']['overdue']}")

    follower = asyncio.create_task(follow())
    await asyncio.sleep(0.3)
    await ward.watch.rounds.start()
    try:
        ward.clock.ahead = timedelta(minutes=11)
        async with asyncio.timeout(20):
            assert await seen.get() == "escalation.created True"
    finally:
        await ward.watch.rounds.stop()
        follower.cancel()
