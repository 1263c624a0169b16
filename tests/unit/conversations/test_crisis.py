"""A crisis in a conversation, on a real PostgreSQL: who is silent, what staff see, and what is down."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import RowMapping, text

from app.chat.pipeline import Bounds, Pipeline
from app.contracts.site import Site, load_site
from app.db.cipher import TextCipher
from app.db.session import Database
from app.errors import EngineUnavailable, OutcomeRequired, RedactionFailed, StoreUnavailable
from app.guardrails.active import ActivePolicies, compiled
from app.guardrails.policy import default_bundle_folder, load_bundle
from app.knowledge.index import KnowledgeIndex
from tests.factories import Wired, add_patient, add_staff, no_adapter, utc_now, wired
from tests.fakes_conversations import CRISIS, HOLD, ScriptedResponder

pytestmark = pytest.mark.anyio


async def call(database: Database, conversation: str) -> RowMapping:
    """The conversation's escalation."""
    async with database.session() as session:
        query = text("SELECT * FROM escalations WHERE conversation_id = :c ORDER BY created_at DESC")
        found = (await session.execute(query, {"c": conversation})).mappings().first()
    assert found is not None
    return found


async def said(it: Wired, owner: str, conversation: str) -> list[tuple[str, str]]:
    """Author and text of every message."""
    return [(m.author, m.text) for m in (await it.service.messages(owner, conversation)).items]


async def test_after_a_crisis_the_patient_is_told_that_a_person_comes_and_the_model_is_not_asked(
    database: Database, site: Site, cipher: TextCipher
) -> None:
    owner, _token = await add_patient(database, site)
    async with wired(database, site, cipher) as it:
        conversation = (await it.service.create(owner, "en")).id
        for words in ("suicide", "where do I park, I am Maria Gonzalez", "hello?"):
            await it.service.post_message(owner, conversation, words)
            await it.settled()
        assert await said(it, owner, conversation) == [
            ("patient", "suicide"), ("assistant", CRISIS),
            ("patient", "where do I park, I am Maria Gonzalez"), ("system", HOLD),
            ("patient", "hello?"), ("system", HOLD),
        ]  # fmt: skip
        assert isinstance(it.responder, ScriptedResponder)
        assert it.responder.asked == ["suicide"]
        assert [turn.crisis for turn in it.responder.turns] == ["", "suicide", "suicide"]
        hold = (await it.service.messages(owner, conversation)).items[-1]
        assert (hold.category, [r.route for r in hold.routes]) == ("suicide", ["911", "988"])
        assert hold.routes[1].text_line == "988"
        row = await call(database, conversation)
        assert (row["status"], row["priority"], row["crisis"], row["category"]) == ("waiting", 0, True, "suicide")
        async with database.session() as session:
            staff = await it.service.staff_view(session, conversation)
        assert "where do I park, I am <PERSON_1>" in [m.text for m in staff.messages]
        assert (await it.service.get(owner, conversation)).handler == "waiting"


async def test_a_new_emergency_during_a_crisis_is_answered_and_keeps_the_crisis(
    database: Database, site: Site, cipher: TextCipher
) -> None:
    owner, _token = await add_patient(database, site)
    async with wired(database, site, cipher) as it:
        conversation = (await it.service.create(owner, "en")).id
        for words in ("emergency, my heart", "abuse", "emergency again"):
            await it.service.post_message(owner, conversation, words)
            await it.settled()
        row = await call(database, conversation)
        assert (row["crisis"], row["category"], row["reason"]) == (True, "abuse", "emergency:abuse")
        assert [author for author, _words in await said(it, owner, conversation)][1::2] == [
            "assistant", "system", "system",
        ]  # fmt: skip


async def test_while_a_nurse_speaks_nothing_is_said_beside_her(
    database: Database, site: Site, cipher: TextCipher
) -> None:
    owner, _token = await add_patient(database, site)
    nurse = await add_staff(database)
    async with wired(database, site, cipher) as it:
        conversation = (await it.service.create(owner, "en")).id
        await it.service.post_message(owner, conversation, "suicide")
        await it.settled()
        async with database.session() as session:
            await it.service.ownership.take_over(session, conversation, nurse, None, utc_now())
        await it.service.post_message(owner, conversation, "are you there?")
        await it.settled()
        assert (await said(it, owner, conversation))[-1] == ("patient", "are you there?")


async def test_a_nurse_who_comes_meanwhile_closes_the_fence(database: Database, site: Site, cipher: TextCipher) -> None:
    """She takes over between the claim of the turn and its end: the numbers are not said again under her name."""
    owner, _token = await add_patient(database, site)
    nurse = await add_staff(database)
    arrived, go = asyncio.Event(), asyncio.Event()

    class Slow(ScriptedResponder):
        async def respond(self, turn: Any) -> AsyncIterator[Any]:
            if turn.crisis:
                arrived.set()
                await go.wait()
            async for event in ScriptedResponder.respond(self, turn):
                yield event

    async with wired(database, site, cipher, Slow()) as it:
        conversation = (await it.service.create(owner, "en")).id
        await it.service.post_message(owner, conversation, "suicide")
        await it.settled()
        await it.service.post_message(owner, conversation, "hello?")
        await asyncio.wait_for(arrived.wait(), 30)
        async with database.session() as session:
            await it.service.ownership.take_over(session, conversation, nurse, None, utc_now())
        go.set()
        await it.settled()
        assert (await said(it, owner, conversation))[-1] == ("patient", "hello?")
        assert it.observer.outcomes == ["silent"]


async def test_a_crisis_call_is_not_released_and_speaks_again_only_after_its_outcome(
    database: Database, site: Site, cipher: TextCipher
) -> None:
    owner, _token = await add_patient(database, site)
    nurse = await add_staff(database)
    async with wired(database, site, cipher) as it:
        conversation = (await it.service.create(owner, "en")).id
        await it.service.post_message(owner, conversation, "suicide")
        await it.settled()
        ownership = it.service.ownership
        async with database.session() as session:
            await ownership.take_over(session, conversation, nurse, None, utc_now())
            with pytest.raises(OutcomeRequired):
                await ownership.give_back(session, conversation, nurse, None, "released", utc_now())
        assert (await it.service.get(owner, conversation)).handler == "staff"
        async with database.session() as session:
            await ownership.give_back(session, conversation, nurse, None, "reached", utc_now(), with_outcome=True)
        await it.service.post_message(owner, conversation, "where do I park")
        await it.settled()
        assert (await said(it, owner, conversation))[-1][0] == "assistant"


class Broken:
    """A part that is down: whatever is called on it fails."""

    def __init__(self, error: Exception) -> None:
        self._error = error

    def __getattr__(self, name: str) -> Any:
        def fail(*_given: Any, **_more: Any) -> Any:
            raise self._error

        return fail


POLICIES = compiled(
    load_bundle(default_bundle_folder()), load_site(Path(__file__).parents[3] / "demo"), datetime.now(UTC)
)
PARTS = ("engine", "retrieval", "encoder", "redaction", "events", "adapters")
PRIVATE = "Zebulon Quackenbush"


@asynccontextmanager
async def hospital(database: Database, site: Site, cipher: TextCipher, down: Sequence[str]) -> AsyncIterator[Wired]:
    """Conversations over the real rules and texts, with these parts down."""
    encoder = Broken(RuntimeError("down"))
    index = KnowledgeIndex(database, encoder, None, site.id)  # type: ignore[arg-type]
    pipeline = Pipeline(
        site=site, policies=ActivePolicies(POLICIES),
        redactor=Broken(RedactionFailed(PRIVATE)),  # type: ignore[arg-type]
        retriever=Broken(StoreUnavailable("down")) if "retrieval" in down else index,  # type: ignore[arg-type]
        engine=Broken(EngineUnavailable("down")) if "engine" in down else None,  # type: ignore[arg-type]
        leaks=lambda *_given: [], bounds=Bounds(step_s=20.0),
    )  # fmt: skip

    async def unknown() -> str | None:
        raise StoreUnavailable("down")

    adapter = unknown if "adapters" in down else no_adapter
    async with wired(database, site, cipher, pipeline, adapter=adapter) as it:
        it.redactor.broken = "redaction" in down
        if "events" in down:
            await it.listener.stop()
        yield it


@pytest.mark.parametrize("down", [*((name,) for name in PARTS), PARTS], ids=" ".join)
@pytest.mark.parametrize("consented", [True, False])
async def test_a_crisis_is_answered_and_a_person_called_whatever_is_down(
    database: Database,
    site: Site,
    cipher: TextCipher,
    capsys: pytest.CaptureFixture[str],
    down: tuple[str, ...],
    consented: bool,
) -> None:
    owner, _token = await add_patient(database, site, consented=consented)
    async with hospital(database, site, cipher, down) as it:
        conversation = (await it.service.create(owner, "en")).id
        words = f"I am {PRIVATE} and I want to kill myself"
        posted = await it.service.post_message(owner, conversation, words)
        assert posted.reply_id is not None
        reply = await it.service.wait_reply(conversation, posted.reply_id, 30)
        assert reply is not None
        assert (reply.kind, reply.category) == ("emergency", "suicide")
        assert "Call or text 988 now" in reply.text
        assert "call 911" in reply.text
        assert {(r.route, r.phone) for r in reply.routes} == {("988", "988"), ("911", "911")}
        row = await call(database, conversation)
        assert (row["status"], row["priority"], row["crisis"]) == ("waiting", 0, True)
        seen = []
        async with asyncio.timeout(30):
            async for event in it.service.events(owner, conversation, 0):
                seen.append(event.type)
                if event.type == "safety.crisis":
                    break
        assert "message.completed" in seen
        await it.service.post_message(owner, conversation, "are you there?")
        await it.settled()
        last = (await it.service.messages(owner, conversation)).items[-1]
        assert last.text.startswith("A person has been told about this chat")
        async with database.session() as session:
            staff = await it.service.staff_view(session, conversation)
        if "redaction" in down:
            assert "kept from view" in staff.messages[0].text
            assert PRIVATE not in json.dumps([m.text for m in staff.messages])
    assert PRIVATE not in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "spoken", "line"),
    [
        ("quiero matarme", "es", "Línea de Prevención del Suicidio y Crisis"),
        ("I want to kill myself", "en", "Suicide and Crisis Lifeline"),
    ],
)
async def test_labels_of_a_crisis_card_are_in_the_language_of_its_text(
    database: Database, site: Site, cipher: TextCipher, words: str, spoken: str, line: str
) -> None:
    """In a chat of the other language; live, read again later, and in what the assistant says after it."""
    owner, _token = await add_patient(database, site)
    async with hospital(database, site, cipher, ()) as it:
        conversation = (await it.service.create(owner, "es" if spoken == "en" else "en")).id
        await it.service.post_message(owner, conversation, words)
        await it.settled()
        await it.service.post_message(owner, conversation, "ok")
        await it.settled()
        asked, card, _again, held = (await it.service.messages(owner, conversation)).items
        assert asked.language != spoken
        for reply in (card, held):
            assert reply.language == spoken
            assert line in [route.label for route in reply.routes]
        event = next(e for e in await it.log.read(conversation, 0) if e.type == "safety.crisis")
        assert event.data["language"] == spoken
        assert line in [route["label"] for route in event.data["routes"]]
        async with database.session() as session:
            staff = await it.service.staff_view(session, conversation)
        assert staff.messages[1].language == spoken
        assert "Suicide and Crisis Lifeline" in [route.label for route in staff.messages[1].routes]


async def test_labels_of_a_same_day_text_are_in_its_language_and_of_an_answer_in_the_chats(
    database: Database, site: Site, cipher: TextCipher
) -> None:
    owner, _token = await add_patient(database, site)
    async with hospital(database, site, cipher, ()) as it:
        conversation = (await it.service.create(owner, "en")).id
        for words in ("el perro del vecino mordió a mi hija", "where do I park"):
            await it.service.post_message(owner, conversation, words)
            await it.settled()
        asked, bitten, _question, parking = (await it.service.messages(owner, conversation)).items
        assert (asked.language, bitten.tier, bitten.language) == (None, "same_day", "es")
        assert [route.label for route in bitten.routes] == [site.contacts["nurse_line"].label_in("es")]
        assert parking.language != "es"


async def test_without_the_adapter_pointer_other_questions_are_answered_without_the_model(
    database: Database, site: Site, cipher: TextCipher
) -> None:
    async def unknown() -> str | None:
        raise StoreUnavailable("down")

    owner, _token = await add_patient(database, site)
    async with wired(database, site, cipher, adapter=unknown) as it:
        conversation = (await it.service.create(owner, "en")).id
        await it.service.post_message(owner, conversation, "where do I park")
        await it.settled()
        assert isinstance(it.responder, ScriptedResponder)
        assert it.responder.asked == []
        assert (await said(it, owner, conversation))[-1] == ("assistant", "…")
