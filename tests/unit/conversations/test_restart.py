"""No message is left unanswered: shutdown, crash, two processes, a store that fails."""

from __future__ import annotations

import asyncio
import secrets

import pytest
from sqlalchemy import text

from app.contracts.site import Site
from app.db.cipher import TextCipher
from app.db.session import Database
from app.errors import StoreUnavailable
from tests.factories import add_patient, wired
from tests.fakes_conversations import CRISIS, SENTENCES, ScriptedResponder

pytestmark = pytest.mark.anyio
WHOLE = " ".join(SENTENCES)


@pytest.fixture(autouse=True)
async def nothing_left_over(database: Database) -> None:
    """No open turn of another test, which the runner would adopt."""
    async with database.session() as session:
        await session.execute(text("TRUNCATE conversations CASCADE"))


async def begun(it: object, conversation: str) -> None:
    """Wait until the first sentence is in the log."""
    async with asyncio.timeout(30):
        while "message.delta" not in [e.type for e in await it.log.read(conversation, 0)]:  # type: ignore[attr-defined]
            await asyncio.sleep(0.01)


async def test_a_shutdown_drains(database: Database, site: Site, cipher: TextCipher) -> None:
    owner, _token = await add_patient(database, site)
    async with wired(database, site, cipher, ScriptedResponder(pause_s=0.1)) as it:
        conversation = (await it.service.create(owner, "en")).id
        await it.service.post_message(owner, conversation, "parking?")
        await begun(it, conversation)
        await it.runner.stop(30)
        assert (await it.service.messages(owner, conversation)).items[-1].text == WHOLE
        posted = await it.service.post_message(owner, conversation, "and later?")
        assert posted.reply_id is not None
        assert await it.service.wait_reply(conversation, posted.reply_id, 0.1) is None
    async with wired(database, site, cipher) as it:  # the next process answers what came too late
        reply = await it.service.wait_reply(conversation, posted.reply_id, 30)
        assert reply is not None
        assert reply.text == WHOLE


async def test_what_could_not_be_drained_is_taken_up_again(database: Database, site: Site, cipher: TextCipher) -> None:
    owner, _token = await add_patient(database, site)
    go = asyncio.Semaphore(1)
    async with wired(database, site, cipher, ScriptedResponder(gate=go.acquire), drain_s=0.1) as it:
        conversation = (await it.service.create(owner, "en")).id
        posted = await it.service.post_message(owner, conversation, "parking?")
        await begun(it, conversation)
    async with wired(database, site, cipher) as it:
        assert posted.reply_id is not None
        reply = await it.service.wait_reply(conversation, posted.reply_id, 8)
        assert reply is not None
        assert reply.text == WHOLE
        events = await it.log.read(conversation, 0)
        types = [e.type for e in events]
        assert types.count("message.retracted") == 1
        assert types[-1] == "message.completed"
        assert events[-1].data["message"]["id"] == posted.reply_id
        created = [e for e in events if e.type == "message.created" and e.data["message"]["id"] == posted.reply_id]
        assert len(created) == 1
        assert events[-1].data["message"]["position"] == created[0].seq


async def test_withdrawn_text_is_not_shown_again_while_the_answer_is_repeated(
    database: Database, site: Site, cipher: TextCipher
) -> None:
    owner, _token = await add_patient(database, site)
    dead, alive = asyncio.Semaphore(1), asyncio.Semaphore(1)
    async with wired(database, site, cipher, ScriptedResponder(gate=dead.acquire), drain_s=0.1) as it:
        conversation = (await it.service.create(owner, "en")).id
        await it.service.post_message(owner, conversation, "parking?")
        await begun(it, conversation)
    async with wired(database, site, cipher, ScriptedResponder(gate=alive.acquire)) as it:
        async with asyncio.timeout(30):
            while [e.type for e in await it.log.read(conversation, 0)].count("message.delta") < 2:
                await asyncio.sleep(0.01)
        last = (await it.service.messages(owner, conversation)).items[-1]
        assert (last.status, last.text) == ("streaming", SENTENCES[0])
        alive.release()
        alive.release()
        await it.settled()
        assert (await it.service.messages(owner, conversation)).items[-1].text == WHOLE


async def test_a_crash_is_noticed_by_its_lease(database: Database, site: Site, cipher: TextCipher) -> None:
    owner, _token = await add_patient(database, site)
    never = asyncio.Semaphore(1)
    async with wired(database, site, cipher, ScriptedResponder(gate=never.acquire), lease_s=0.5, drain_s=0.0) as dead:
        conversation = (await dead.service.create(owner, "en")).id
        posted = await dead.service.post_message(owner, conversation, "parking?")
        await begun(dead, conversation)
        assert dead.runner._sweeper is not None
        dead.runner._sweeper.cancel()  # it no longer renews: as if the process were gone
        dead.runner._sweeper = None
        async with wired(database, site, cipher) as it:
            assert posted.reply_id is not None
            reply = await it.service.wait_reply(conversation, posted.reply_id, 8)
            assert reply is not None
            never.release()
            never.release()
            await dead.settled()  # the first run comes back and may not write any more
            completed = [e for e in await it.log.read(conversation, 0) if e.type == "message.completed"]
            assert len(completed) == 1
            assert (await it.service.messages(owner, conversation)).items[-1].text == WHOLE


async def test_two_processes_answer_each_message_once_and_in_order(
    database: Database, site: Site, cipher: TextCipher
) -> None:
    owner, _token = await add_patient(database, site)
    slow = ScriptedResponder(pause_s=0.01)
    async with wired(database, site, cipher, slow) as first, wired(database, site, cipher, slow) as second:
        conversation = (await first.service.create(owner, "en")).id
        for number in range(10):
            await (first, second)[number % 2].service.post_message(owner, conversation, f"question {number}")
        async with asyncio.timeout(60):
            while (
                len([m for m in (await first.service.messages(owner, conversation)).items if m.status == "complete"])
                < 20
            ):
                await asyncio.sleep(0.05)
        assert slow.asked == [f"question {n}" for n in range(10)]


async def test_a_turn_that_never_succeeds_ends_with_a_person(
    database: Database, site: Site, cipher: TextCipher
) -> None:
    class Dying(ScriptedResponder):
        async def respond(self, turn):  # type: ignore[no-untyped-def,override]
            self.turns.append(turn)
            raise StoreUnavailable("scripted")
            yield

    owner, _token = await add_patient(database, site)
    dying = Dying()
    async with wired(database, site, cipher, dying) as it:
        conversation = (await it.service.create(owner, "en")).id
        posted = await it.service.post_message(owner, conversation, "parking?")
        assert posted.reply_id is not None
        reply = await it.service.wait_reply(conversation, posted.reply_id, 30)
        assert reply is not None
        assert reply.kind == "handoff"
        assert len(dying.turns) == 3
        assert (await it.service.get(owner, conversation)).handler == "waiting"


async def test_a_message_whose_key_is_lost_ends_with_a_person(
    database: Database, site: Site, cipher: TextCipher
) -> None:
    owner, _token = await add_patient(database, site)
    async with wired(database, site, cipher) as it:
        conversation = (await it.service.create(owner, "en")).id
        it.service._cipher = TextCipher([secrets.token_bytes(32)])
        posted = await it.service.post_message(owner, conversation, "my chest")
        assert posted.reply_id is not None
        reply = await it.service.wait_reply(conversation, posted.reply_id, 15)
        assert reply is not None
        assert reply.kind == "handoff"
        assert it.responder.turns == []
        async with database.session() as session:
            staff = await it.service.staff_view(session, conversation)
            query = text("SELECT priority, reason FROM escalations WHERE conversation_id = :c")
            called = (await session.execute(query, {"c": conversation})).one()
        assert staff.messages[0].text.startswith("[This message is kept from view")
        assert tuple(called) == (0, "turn_attempts")


async def test_an_emergency_does_not_wait_for_the_answer_before_it(
    database: Database, site: Site, cipher: TextCipher
) -> None:
    owner, _token = await add_patient(database, site)
    never = asyncio.Semaphore(1)
    async with wired(database, site, cipher, ScriptedResponder(gate=never.acquire), drain_s=0.5) as it:
        conversation = (await it.service.create(owner, "en")).id
        await it.service.post_message(owner, conversation, "parking?")
        await begun(it, conversation)
        posted = await it.service.post_message(owner, conversation, "emergency")
        assert posted.reply_id is not None
        reply = await it.service.wait_reply(conversation, posted.reply_id, 8)
        assert reply is not None
        assert reply.text == CRISIS
        assert (await it.service.get(owner, conversation)).handler == "waiting"
        never.release()
        never.release()
        await it.settled()
        statuses = {m.status for m in (await it.service.messages(owner, conversation)).items}
        assert "streaming" not in statuses


async def test_an_emergency_overtakes_the_answer_of_another_process(
    database: Database, site: Site, cipher: TextCipher
) -> None:
    owner, _token = await add_patient(database, site)
    never = asyncio.Semaphore(1)
    slow = ScriptedResponder(gate=never.acquire)
    async with wired(database, site, cipher, slow, drain_s=0.5) as first, wired(database, site, cipher) as second:
        conversation = (await first.service.create(owner, "en")).id
        await first.service.post_message(owner, conversation, "parking?")
        await begun(first, conversation)
        posted = await second.service.post_message(owner, conversation, "emergency")
        assert posted.reply_id is not None
        reply = await second.service.wait_reply(conversation, posted.reply_id, 8)
        assert reply is not None
        assert reply.text == CRISIS


async def test_a_store_that_is_gone_stores_nothing_and_says_so(
    site: Site, cipher: TextCipher, database: Database
) -> None:
    owner, _token = await add_patient(database, site)
    async with wired(database, site, cipher) as it:
        conversation = (await it.service.create(owner, "en")).id
        gone = Database(database.url.replace("/test_", "/missing_"), pool=2)
        it.service._database = gone
        with pytest.raises(StoreUnavailable):
            await it.service.post_message(owner, conversation, "parking?", key="k")
        await gone.dispose()
        it.service._database = database
        async with database.session() as session:
            query = text("SELECT count(*) FROM messages WHERE conversation_id = :c")
            assert (await session.execute(query, {"c": conversation})).scalar() == 0
        assert (await it.service.post_message(owner, conversation, "parking?", key="k")).repeated is False
