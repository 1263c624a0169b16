"""A turn from the patient's message to the stored reply, on a real PostgreSQL."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import text

from app.chat.protocols import Turn
from app.contracts.replies import Reply, ReplyEvent, ReplyKind
from app.contracts.site import Site
from app.db.cipher import TextCipher
from app.db.session import Database
from app.errors import ConversationClosed, IdempotencyMismatch, MessageEmpty, MessageTooLong, NotFound
from app.escalations.sla import due_times
from tests.factories import add_patient, add_staff, due_in_minutes, utc_now, wired
from tests.fakes_conversations import CRISIS, SENTENCES, ScriptedResponder

pytestmark = pytest.mark.anyio
WHOLE = " ".join(SENTENCES)


async def scalar(database: Database, query: str, **values: object) -> object:
    async with database.session() as session:
        return (await session.execute(text(query), values)).scalar()


async def test_a_message_is_answered_streamed_and_stored(database: Database, site: Site, cipher: TextCipher) -> None:
    owner, _token = await add_patient(database, site)
    async with wired(database, site, cipher) as it:
        conversation = (await it.service.create(owner, "en")).id
        posted = await it.service.post_message(owner, conversation, "Where can Maria Gonzalez park?")
        assert posted.reply_id is not None
        reply = await it.service.wait_reply(conversation, posted.reply_id, 5)
        assert reply is not None
        assert (reply.text, reply.kind, reply.status, reply.author) == (WHOLE, "answer", "complete", "assistant")
        assert [c.url for c in reply.citations] == ["/articles/parking"]
        page = await it.service.messages(owner, conversation)
        assert [(m.author, m.text) for m in page.items] == [
            ("patient", "Where can Maria Gonzalez park?"),
            ("assistant", WHOLE),
        ]
        events = await it.log.read(conversation, 0)
        assert [event.seq for event in events] == list(range(1, len(events) + 1))
        assert events[0].data["message"]["position"] == page.items[0].position == 1
        created = next(e for e in events if e.type == "message.created" and e.data["message"]["author"] == "assistant")
        assert created.data["message"]["position"] == page.items[1].position == created.seq
        assert created.data["message"]["text"] == ""
        assert "".join(e.data["text"] for e in events if e.type == "message.delta") == WHOLE
        assert events[-1].type == "message.completed"
        assert events[-1].data["message"]["text"] == WHOLE
        assert events[-1].data["message"]["position"] == created.seq
        async with database.session() as session:
            staff = await it.service.staff_view(session, conversation)
        assert staff.messages[0].text == "Where can <PERSON_1> park?"
        assert staff.messages[1].adapter == "support@0123456789ab"


async def test_patient_text_is_not_stored_in_plain(database: Database, site: Site, cipher: TextCipher) -> None:
    owner, _token = await add_patient(database, site)
    words = "Maria Gonzalez asks about parking"
    async with wired(database, site, cipher) as it:
        conversation = (await it.service.create(owner, "en")).id
        posted = await it.service.post_message(owner, conversation, words)
        await it.settled()
    async with database.session() as session:
        for table in ("messages", "events", "pseudonyms"):
            rows = (await session.execute(text(f"SELECT * FROM {table}"))).all()
            assert rows
            assert not any("Gonzalez" in str(value) or b"Gonzalez" in value
                           for row in rows for value in row if isinstance(value, bytes | str)
                           for value in [value if isinstance(value, bytes) else value.encode()])  # fmt: skip
    stored = await scalar(database, "SELECT text_encrypted FROM messages WHERE id = :id", id=posted.message.id)
    assert isinstance(stored, bytes)
    assert cipher.decrypt(stored) == words


async def test_the_same_key_gives_the_same_message(database: Database, site: Site, cipher: TextCipher) -> None:
    owner, _token = await add_patient(database, site)
    async with wired(database, site, cipher) as it:
        conversation = (await it.service.create(owner, "en", key="c1")).id
        assert (await it.service.create(owner, "en", key="c1")).id == conversation
        both = await asyncio.gather(
            *(it.service.post_message(owner, conversation, "parking?", key="k") for _ in range(8))
        )
        assert len({posted.message.id for posted in both}) == 1
        assert len({posted.reply_id for posted in both}) == 1
        with pytest.raises(IdempotencyMismatch):
            await it.service.post_message(owner, conversation, "something else", key="k")
        await it.settled()
        assert len((await it.service.messages(owner, conversation)).items) == 2
        assert it.responder.asked == ["parking?"]


async def test_messages_are_answered_one_at_a_time_and_in_order(
    database: Database, site: Site, cipher: TextCipher
) -> None:
    owner, _token = await add_patient(database, site)
    async with wired(database, site, cipher, ScriptedResponder(pause_s=0.02)) as it:
        conversation = (await it.service.create(owner, "en")).id
        for number in range(4):
            await it.service.post_message(owner, conversation, f"question {number}")
        await it.settled()
        page = await it.service.messages(owner, conversation)
        asked = [m.id for m in page.items if m.author == "patient"]
        assert [m.in_reply_to for m in page.items if m.author == "assistant"] == asked
        assert it.responder.asked == [f"question {n}" for n in range(4)]
        last = [turn for turn in it.responder.turns if turn.model_allowed][3]
        assert last.earlier == ("question 0", "question 1", "question 2")


async def test_input_is_checked(database: Database, site: Site, cipher: TextCipher) -> None:
    owner, _token = await add_patient(database, site)
    stranger, _token = await add_patient(database, site)
    async with wired(database, site, cipher) as it:
        conversation = (await it.service.create(owner, "en")).id
        for words, error in ((" \n\u200b", MessageEmpty), ("x" * 4_001, MessageTooLong)):
            with pytest.raises(error):
                await it.service.post_message(owner, conversation, words)
        with pytest.raises(NotFound):
            await it.service.post_message(stranger, conversation, "hello")
        with pytest.raises(NotFound):
            await it.service.messages(stranger, conversation)
        await it.service.close(owner, conversation)
        with pytest.raises(ConversationClosed):
            await it.service.post_message(owner, conversation, "hello")
        assert await scalar(database, "SELECT count(*) FROM messages WHERE conversation_id = :c", c=conversation) == 0


async def test_an_emergency_is_answered_and_calls_a_person(database: Database, site: Site, cipher: TextCipher) -> None:
    owner, _token = await add_patient(database, site)
    async with wired(database, site, cipher) as it:
        conversation = (await it.service.create(owner, "en")).id
        await it.service.post_message(owner, conversation, "emergency, I am Maria Gonzalez")
        await it.settled()
        events = await it.log.read(conversation, 0)
        assert [e.type for e in events][-3:] == ["message.completed", "safety.crisis", "conversation.status"]
        assert events[-2].data["routes"][0]["phone"] == "911"
        assert (await it.service.get(owner, conversation)).handler == "waiting"
        async with database.session() as session:
            row = (
                await session.execute(text("SELECT * FROM escalations WHERE conversation_id = :c"), {"c": conversation})
            ).one()
            staff = await it.service.staff_view(session, conversation)
        assert (row.priority, row.status, row.tier, row.category) == (0, "waiting", "emergency", "cardiac")
        assert staff.messages[0].text == "emergency, I am <PERSON_1>"
        assert staff.messages[1].hits[0].rule == "chest_pain"


async def test_while_waiting_only_an_emergency_is_answered(database: Database, site: Site, cipher: TextCipher) -> None:
    owner, _token = await add_patient(database, site)
    async with wired(database, site, cipher) as it:
        conversation = (await it.service.create(owner, "en")).id
        view = await it.service.hand_off(owner, conversation)
        assert (view.handler, view.queue_position is not None) == ("waiting", True)
        assert (await it.service.hand_off(owner, conversation)).version == view.version
        posted = await it.service.post_message(owner, conversation, "Maria Gonzalez is still here")
        assert posted.reply_id is None
        await it.settled()
        assert [m.author for m in (await it.service.messages(owner, conversation)).items] == ["patient"]
        assert it.observer.outcomes == ["silent"]
        await it.service.post_message(owner, conversation, "now it is an emergency")
        await it.settled()
        last = (await it.service.messages(owner, conversation)).items[-1]
        assert (last.author, last.text, last.kind) == ("system", CRISIS, "emergency")
        query = "SELECT priority FROM escalations WHERE conversation_id = :c"
        assert await scalar(database, query, c=conversation) == 0
        async with database.session() as session:
            staff = await it.service.staff_view(session, conversation)
        assert staff.messages[0].text == "<PERSON_1> is still here"


async def test_a_reason_is_checked_before_and_kept_with_the_handoff(
    database: Database, site: Site, cipher: TextCipher
) -> None:
    owner, _token = await add_patient(database, site)
    async with wired(database, site, cipher) as it:
        conversation = (await it.service.create(owner, "en")).id
        with pytest.raises(MessageTooLong):
            await it.service.hand_off(owner, conversation, "x" * 4_001)
        assert (await it.service.get(owner, conversation)).handler == "assistant"
        view = await it.service.hand_off(owner, conversation, "Maria Gonzalez needs help")
        assert view.handler == "waiting"
        await it.settled()
        page = await it.service.messages(owner, conversation)
        assert [(m.author, m.text) for m in page.items] == [("patient", "Maria Gonzalez needs help")]
        async with database.session() as session:
            staff = await it.service.staff_view(session, conversation)
        assert staff.messages[0].text == "<PERSON_1> needs help"


async def test_triage_sees_the_reason_of_a_second_call_too(database: Database, site: Site, cipher: TextCipher) -> None:
    owner, _token = await add_patient(database, site)
    async with wired(database, site, cipher) as it:
        conversation = (await it.service.create(owner, "en")).id
        await it.service.hand_off(owner, conversation)
        await it.service.hand_off(owner, conversation, "now it is an emergency")
        await it.settled()
        first, last = (await it.service.messages(owner, conversation)).items
        assert (first.author, first.text) == ("patient", "now it is an emergency")
        assert (last.author, last.text, last.kind) == ("system", CRISIS, "emergency")


@pytest.mark.parametrize("given", [{"consented": False}, {"notice": "2019-01"}])
async def test_without_consent_to_this_notice_only_an_emergency_is_answered(
    database: Database, site: Site, cipher: TextCipher, given: dict[str, Any]
) -> None:
    owner, _token = await add_patient(database, site, **given)
    async with wired(database, site, cipher) as it:
        conversation = (await it.service.create(owner, "en")).id
        await it.service.post_message(owner, conversation, "where do I park")
        await it.settled()
        last = (await it.service.messages(owner, conversation)).items[-1]
        assert last.author == "system"
        assert "accept the notice" in last.text
        assert not it.responder.turns[0].model_allowed
        await it.service.post_message(owner, conversation, "emergency")
        await it.settled()
        assert (await it.service.messages(owner, conversation)).items[-1].text == CRISIS


@pytest.mark.parametrize("words", ["please raise", "please silence"])
async def test_a_failing_pipeline_ends_in_a_safe_reply_and_a_handoff(
    database: Database, site: Site, cipher: TextCipher, words: str
) -> None:
    owner, _token = await add_patient(database, site)
    async with wired(database, site, cipher) as it:
        conversation = (await it.service.create(owner, "en")).id
        await it.service.post_message(owner, conversation, words)
        await it.settled()
        last = (await it.service.messages(owner, conversation)).items[-1]
        assert (last.kind, last.routes[0].route) == ("handoff", "human")
        assert (await it.service.get(owner, conversation)).handler == "waiting"


class Untriaged(ScriptedResponder):
    """Triage fails in every turn, as the pipeline reports it."""

    async def respond(self, turn: Turn) -> AsyncIterator[ReplyEvent]:
        self.turns.append(turn)
        yield Reply("A person will read this.", "", ReplyKind.HANDOFF, routes=("human",), handoff="failed:triage")


CALLED = "SELECT priority || ' ' || reason FROM escalations WHERE conversation_id = :c"


@pytest.mark.parametrize(
    ("responder", "words", "reason"),
    [
        (Untriaged(), "my chest", "failed:triage"),
        (ScriptedResponder(), "please raise", "turn_failed"),
        (ScriptedResponder(), "person", "asked"),
    ],
)
async def test_a_message_that_was_not_triaged_calls_a_person_urgently(
    database: Database, site: Site, cipher: TextCipher, responder: ScriptedResponder, words: str, reason: str
) -> None:
    owner, _token = await add_patient(database, site)
    async with wired(database, site, cipher, responder) as it:
        conversation = (await it.service.create(owner, "en")).id
        await it.service.post_message(owner, conversation, words)
        await it.settled()
        assert await scalar(database, CALLED, c=conversation) == f"{2 if reason == 'asked' else 0} {reason}"


@pytest.mark.parametrize(
    ("responder", "words", "minutes"),
    [(Untriaged(), "my chest", 2), (ScriptedResponder(), "please raise", 2), (ScriptedResponder(), "person", 2_070)],
)
async def test_a_message_that_was_not_triaged_is_due_soon_at_night_too(
    database: Database, site: Site, cipher: TextCipher, responder: ScriptedResponder, words: str, minutes: int
) -> None:
    """A patient who only asks for a person is called back when the chat opens: Monday 7:00, within 30 minutes."""
    saturday_night = datetime(2026, 11, 22, 3, 0, tzinfo=UTC)  # 21:00 in Chicago
    owner, _token = await add_patient(database, site)
    async with wired(database, site, cipher, responder, due=due_times(site), now=lambda: saturday_night) as it:
        conversation = (await it.service.create(owner, "en")).id
        await it.service.post_message(owner, conversation, words)
        await it.settled()
        due = await scalar(database, "SELECT due_at FROM escalations WHERE conversation_id = :c", c=conversation)
        assert due == saturday_night + timedelta(minutes=minutes)


@pytest.mark.parametrize("holder", ["staff", "queue"])
async def test_a_message_that_was_not_triaged_is_not_silent_while_a_person_holds_the_conversation(
    database: Database, site: Site, cipher: TextCipher, holder: str
) -> None:
    owner, _token = await add_patient(database, site)
    nurse = await add_staff(database)
    async with wired(database, site, cipher, Untriaged()) as it:
        conversation = (await it.service.create(owner, "en")).id
        if holder == "staff":
            async with database.session() as session:
                await it.service.ownership.take_over(session, conversation, nurse, None, utc_now())
        else:
            await it.service.hand_off(owner, conversation)
        before = (await it.service.get(owner, conversation)).handler
        await it.service.post_message(owner, conversation, "my chest")
        await it.settled()
        last = (await it.service.messages(owner, conversation)).items[-1]
        assert (last.author, last.kind, last.text) == ("system", "handoff", "A person will read this.")
        assert await scalar(database, CALLED, c=conversation) == "0 failed:triage"
        assert (await it.service.get(owner, conversation)).handler == before


async def test_replaced_text_is_retracted(database: Database, site: Site, cipher: TextCipher) -> None:
    owner, _token = await add_patient(database, site)
    async with wired(database, site, cipher, ScriptedResponder(pause_s=0.01)) as it:
        conversation = (await it.service.create(owner, "en")).id
        await it.service.post_message(owner, conversation, "replace it")
        await it.settled()
        types = [e.type for e in await it.log.read(conversation, 0)]
        assert types[-2:] == ["message.retracted", "message.completed"]
        assert (await it.service.messages(owner, conversation)).items[-1].text == "Parking: see the article."


async def test_after_a_take_over_the_assistant_is_silent_in_every_race(
    database: Database, site: Site, cipher: TextCipher
) -> None:
    nurse = await add_staff(database)
    async with wired(database, site, cipher, ScriptedResponder(pause_s=0.004)) as it:

        async def race(number: int) -> str:
            owner, _token = await add_patient(database, site)
            conversation = (await it.service.create(owner, "en")).id
            await it.service.post_message(owner, conversation, "parking?")
            await asyncio.sleep((number % 50) / 250)
            async with database.session() as session:
                await it.service.ownership.take_over(session, conversation, nurse, None, utc_now())
            return conversation

        conversations = []
        for start in range(0, 100, 10):
            conversations += await asyncio.gather(*(race(n) for n in range(start, start + 10)))
        await it.settled()
        superseded = 0
        for conversation in conversations:
            events = await it.log.read(conversation, 0)
            taken = next(e.seq for e in events if e.type == "conversation.status")
            after = [e.type for e in events if e.seq > taken]
            assert after in ([], ["message.retracted"]), after
            superseded += "message.retracted" in after
        assert superseded > 0, "no race was lost in the middle of a stream; widen the pauses"
        query = "SELECT count(*) FROM messages WHERE status = 'streaming' AND conversation_id = ANY(:c)"
        assert await scalar(database, query, c=conversations) == 0


async def test_a_take_over_in_mid_stream_withdraws_what_was_shown(
    database: Database, site: Site, cipher: TextCipher
) -> None:
    owner, _token = await add_patient(database, site)
    nurse = await add_staff(database)
    go = asyncio.Semaphore(1)
    async with wired(database, site, cipher, ScriptedResponder(gate=go.acquire)) as it:
        conversation = (await it.service.create(owner, "en")).id
        posted = await it.service.post_message(owner, conversation, "parking?")
        async with asyncio.timeout(30):
            while "message.delta" not in [e.type for e in await it.log.read(conversation, 0)]:
                await asyncio.sleep(0.01)
        streaming = (await it.service.messages(owner, conversation)).items[-1]
        assert (streaming.status, streaming.text) == ("streaming", SENTENCES[0])
        async with database.session() as session:
            await it.service.ownership.take_over(session, conversation, nurse, None, utc_now())
        go.release()
        go.release()
        await it.settled()
        events = await it.log.read(conversation, 0)
        assert [e.type for e in events][-2:] == ["conversation.status", "message.retracted"]
        last = (await it.service.messages(owner, conversation)).items[-1]
        assert (last.id, last.status, last.text) == (posted.reply_id, "superseded", "")
        assert posted.reply_id is not None
        assert await it.service.wait_reply(conversation, posted.reply_id, 1) is None


async def test_a_take_over_reads_its_version(database: Database, site: Site, cipher: TextCipher) -> None:
    assert due_in_minutes(0, utc_now()) > utc_now()
    first, second = await add_staff(database), await add_staff(database, "Ana")
    owner, _token = await add_patient(database, site)
    async with wired(database, site, cipher) as it:
        conversation = (await it.service.create(owner, "en")).id

        async def claim(user: str) -> str:
            async with database.session() as session:
                try:
                    return await it.service.ownership.take_over(session, conversation, user, 0, utc_now())
                except Exception as error:
                    return type(error).__name__

        results = await asyncio.gather(*(claim(user) for user in [first, second] * 5))
        assert sum(len(result) == 32 for result in results) == 1
        assert set(results) - {r for r in results if len(r) == 32} <= {"AlreadyClaimed", "VersionConflict"}
