"""Questions that no article answered, from the patient's message to the owner's decision, on a real database."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import insert, select, text, update

from app.audit.service import AuditLog
from app.chat.protocols import Turn
from app.console.reads import ServiceReads
from app.contracts.replies import GuardrailHit, Reply, ReplyEvent, ReplyKind
from app.contracts.site import Site
from app.db.cipher import TextCipher
from app.db.models import Conversation, Message, PatientSession, UnansweredQuestion, new_id
from app.db.session import Database
from app.encoder.encoder import Encoder
from app.knowledge.unanswered import FEW, MOST_QUESTIONS, UnansweredQuestions, example, tells
from tests.api.conftest import House, build_house
from tests.cost import async_seconds
from tests.factories import add_site, utc_now
from tests.fakes_conversations import ScriptedResponder
from tests.fakes_knowledge import OneArticle, WordEmbedder

pytestmark = pytest.mark.anyio
CHAPEL = "Where is the chapel where one can pray"


@dataclass
class Unknowing(ScriptedResponder):
    """No article answers a question about a chapel."""

    async def respond(self, turn: Turn) -> AsyncIterator[ReplyEvent]:
        async for event in super().respond(turn):
            if isinstance(event, Reply) and "chapel" in turn.text and event.kind is ReplyKind.ANSWER:
                hits = (GuardrailHit("engine", "not_in_articles"),) if "passage" in turn.text else ()
                yield Reply(
                    "Sorry.", "Sorry.", ReplyKind.NO_ANSWER, hits=hits, question_redacted=event.question_redacted
                )
                return
            if isinstance(event, Reply):
                yield event


@pytest.fixture
async def house(database: Database, site: Site, cipher: TextCipher) -> AsyncIterator[House]:
    async with database.session() as session:
        await session.execute(text("TRUNCATE patient_sessions, audit_log CASCADE"))
    async with build_house(database, site, cipher, Unknowing()) as built:
        yield built


async def ask(house: House, words: str, *more: str) -> tuple[dict[str, str], str]:
    """A new patient asks; headers and conversation."""
    patient = await house.patient()
    conversation = await house.conversation(patient)
    for one in (words, *more):
        await house.send(patient, conversation, one, Prefer="wait=10")
    return patient, conversation


async def report(house: House, headers: dict[str, str], days: int = 30) -> dict[str, Any]:
    answer = await house.http.get("/v1/staff/unanswered", params={"days": days}, headers=headers)
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


async def test_nothing_asked(house: House) -> None:
    empty = await report(house, await house.staff("admin"))
    assert (empty["questions"], empty["groups"], empty["rare"], empty["whole"]) == (0, [], [], True)


async def test_like_questions_of_several_patients_stand_together(house: House) -> None:
    for words in (f"{CHAPEL}?", f"{CHAPEL} passage", f"I am Maria Gonzalez, room 412. {CHAPEL.lower()}"):
        patient, conversation = await ask(house, words, "parking?")
    await house.http.post(f"/v1/conversations/{conversation}/handoff", json={}, headers=patient)
    patient, asked_on = await ask(house, f"{CHAPEL}?")
    await house.http.post(f"/v1/conversations/{asked_on}/handoff", json={}, headers=patient)
    found = await report(house, await house.staff("admin"))
    (group,) = found["groups"]
    assert (group["questions"], group["patients"], group["not_found"], group["denied"]) == (4, 4, 3, 1)
    assert group["handed_over"] == 1  # the other patient had an answer about parking in between
    assert group["examples"][0] == f"{CHAPEL}?"
    assert "I am [person], room #. where is the chapel where one can pray" in group["examples"]
    assert len(group["examples"]) == 3  # equal ones stand once
    today = utc_now().astimezone().date()
    assert abs((datetime.fromisoformat(group["first"]).date() - today).days) <= 1
    assert group["nearest"] == {"id": "parking", "title": "Parking & garages", "likeness": 0.3}
    assert (group["status"], group["marked_at"], group["language"]) == ("open", None, "en")
    assert (found["questions"], found["rare"], found["left_out"]) == (4, [], 0)
    assert "Gonzalez" not in json.dumps(found)
    assert asked_on not in json.dumps(found)


async def test_of_few_patients_no_word_is_shown(house: House) -> None:
    conversations = [(await ask(house, f"{CHAPEL}?"))[1] for _ in range(FEW - 1)]
    patient = await house.patient()
    for _ in range(FEW + 1):  # one patient is one patient, however often she asks
        conversation = await house.conversation(patient)
        await house.send(patient, conversation, "fountain in the chapel garden, broken since tuesday", Prefer="wait=10")
    admin = await report(house, await house.staff("admin"))
    assert admin["groups"] == []
    assert admin["rare_questions"] == 2 * FEW
    assert {rare["questions"] for rare in admin["rare"]} == {FEW - 1, FEW + 1}
    assert all(set(rare) == {"questions", "nearest", "conversations"} for rare in admin["rare"])
    assert all(rare["conversations"] == [] for rare in admin["rare"])
    assert "hapel" not in json.dumps(admin)
    nurse = await report(house, await house.staff("staff"))
    assert set(conversations) in [set(rare["conversations"]) for rare in nurse["rare"]]
    assert "hapel" not in json.dumps(nurse)


async def test_roles(house: House) -> None:
    nurse, admin, patient = await house.staff("staff"), await house.staff("admin"), await house.patient()
    for headers, status in ((nurse, 200), (admin, 200), (patient, 401), ({}, 401)):
        assert (await house.http.get("/v1/staff/unanswered", headers=headers)).status_code == status
    path, body = f"/v1/admin/unanswered/{'0' * 32}", {"status": "planned"}
    for headers, status in ((nurse, 403), (admin, 404), (patient, 401), ({}, 401)):
        assert (await house.http.post(path, json=body, headers=headers)).status_code == status
    assert (await house.http.get("/v1/staff/unanswered?days=31", headers=admin)).status_code == 422
    assert (await house.http.post(path, json={"status": "later"}, headers=admin)).status_code == 422


async def test_a_decision_goes_with_the_questions_while_groups_change(house: House, database: Database) -> None:
    for _ in range(3):
        await ask(house, f"{CHAPEL} tonight?")
    admin = await house.staff("admin", name="Ana")
    leader = (await report(house, admin))["groups"][0]["id"]
    done = await house.http.post(f"/v1/admin/unanswered/{leader}", json={"status": "planned"}, headers=admin)
    assert (done.status_code, done.json()) == (200, {"status": "planned", "questions": 3})
    for _ in range(5):  # a shorter one: another question leads it
        await ask(house, f"{CHAPEL}?")
    (group,) = (await report(house, admin))["groups"]
    assert group["id"] != leader
    assert (group["status"], group["newer"], group["questions"]) == ("planned", 5, 8)
    assert group["marked_by"].startswith("ana-")
    # Those that were marked are long ago: they say what was decided, and are not counted.
    async with database.session() as session:
        marked = select(UnansweredQuestion.message_id).where(UnansweredQuestion.status.is_not(None))
        long_ago = utc_now() - timedelta(days=200)
        for column in (Message.id, Message.in_reply_to):
            await session.execute(update(Message).where(column.in_(marked)).values(created_at=long_ago))
    (group,) = (await report(house, admin))["groups"]
    assert (group["status"], group["questions"]) == ("planned", 5)
    await house.http.post(f"/v1/admin/unanswered/{group['id']}", json={"status": "out_of_scope"}, headers=admin)
    assert (await report(house, admin))["groups"][0]["status"] == "out_of_scope"
    async with database.session() as session:
        rows = (await session.execute(text("SELECT action, subject, details FROM audit_log"))).all()
    assert [r.details for r in rows if r.action == "unanswered.decide"] == [
        {"status": "planned", "questions": 3}, {"status": "out_of_scope", "questions": 8},
    ]  # fmt: skip
    assert [r.details for r in rows if r.action == "unanswered.read"] == [{"days": 30}] * 4
    assert all("hapel" not in json.dumps(r.details) + r.subject for r in rows)


async def test_what_is_erased_is_gone(house: House, database: Database) -> None:
    talks = [await ask(house, f"{CHAPEL}?") for _ in range(3)]
    admin = await house.staff("admin")
    group = (await report(house, admin))["groups"][0]
    await house.http.post(f"/v1/admin/unanswered/{group['id']}", json={"status": "planned"}, headers=admin)
    patient, conversation = talks[0]
    erased = await house.http.delete(f"/v1/conversations/{conversation}", headers=patient)
    assert erased.status_code == 204, erased.text
    after = await report(house, admin)
    assert (after["groups"], after["questions"]) == ([], 2)
    for patient, conversation in talks[1:]:
        await house.http.delete(f"/v1/conversations/{conversation}", headers=patient)
    async with database.session() as session:
        assert (await session.execute(select(UnansweredQuestion))).all() == []
    assert (await report(house, admin))["questions"] == 0
    gone = await house.http.post(f"/v1/admin/unanswered/{group['id']}", json={"status": "open"}, headers=admin)
    assert gone.status_code == 404


async def test_vectors_are_made_once_and_anew_for_other_weights(house: House, database: Database, site: Site) -> None:
    for _ in range(3):
        await ask(house, f"{CHAPEL}?")
    embedder = WordEmbedder()
    first = UnansweredQuestions(database, embedder, "one", OneArticle(), site, utc_now)
    assert (await first.report(7)).groups[0].questions == 3
    assert (await first.report(7)).groups[0].questions == 3
    assert embedder.embedded == 3
    await UnansweredQuestions(database, embedder, "two", OneArticle(), site, utc_now).report(7)
    assert embedder.embedded == 6
    other = site.model_copy(update={"id": "elsewhere"})
    elsewhere = UnansweredQuestions(database, embedder, "two", OneArticle(), other, utc_now)
    assert (await elsewhere.report(7)).questions == 0


async def test_the_console_reads_the_same_and_is_audited_once(house: House, database: Database) -> None:
    await ask(house, f"{CHAPEL}?")
    services = house.services
    reads = ServiceReads(
        database, services.staff, services.escalations, services.conversations, services.adapters, services.unanswered,
        AuditLog(utc_now),
    )  # fmt: skip
    nurse = await services.staff.authenticate((await house.staff())["Authorization"].removeprefix("Bearer "))
    page = await reads.unanswered(nurse, 7, opened=True)
    assert (page.rare_questions, len(page.rare[0].conversations)) == (1, 1)
    await reads.unanswered(nurse, 7, opened=False)
    async with database.session() as session:
        count = text("SELECT count(*) FROM audit_log WHERE action = 'unanswered.read'")
        assert await session.scalar(count) == 1


async def fill(database: Database, site: Site, questions: list[str]) -> None:
    """Store questions without an answer, one a patient, the newest last."""
    await add_site(database, site)
    begun = datetime.now(UTC) - timedelta(days=3)
    rows: dict[Any, list[dict[str, Any]]] = {PatientSession: [], Conversation: [], Message: []}
    for number, words in enumerate(questions):
        owner, talk, message, reply = (new_id() for _ in range(4))
        at = begun + timedelta(seconds=number)
        rows[PatientSession].append({"id": owner, "site_id": site.id, "token_sha256": owner, "expires_at": at})
        rows[Conversation].append({"id": talk, "site_id": site.id, "session_id": owner})
        common = {"conversation_id": talk, "text_encrypted": b"", "created_at": at}
        own = {"id": message, "position": 1, "author": "patient", "text_redacted": words}
        answer = {"id": reply, "position": 2, "author": "assistant", "text_redacted": ""}
        rows[Message].append(common | own | {"kind": "", "in_reply_to": None})
        rows[Message].append(common | answer | {"kind": "no_answer", "in_reply_to": message})
    async with database.session() as session:
        for table, values in rows.items():
            if values:
                await session.execute(insert(table), values)


async def test_five_thousand_questions(database: Database, site: Site) -> None:
    async with database.session() as session:
        await session.execute(text("TRUNCATE patient_sessions CASCADE"))
    kinds = "chapel garage charger barber wedding volunteer piano glasses".split()
    asked = [f"where is the {kinds[n % 8]} of floor {chr(97 + n % 20)}" for n in range(MOST_QUESTIONS + 10)]
    questions = UnansweredQuestions(database, WordEmbedder(), "one", OneArticle(), site, utc_now)
    used = []
    for part in (asked[: MOST_QUESTIONS // 4], asked[MOST_QUESTIONS // 4 :]):
        await fill(database, site, part)
        first = await questions.report(7)
        assert await questions.report(7) == first
        used.append(await async_seconds(lambda: questions.report(7)))
    assert (first.questions, first.whole) == (MOST_QUESTIONS, False)
    assert sum(group.questions for group in first.groups) + first.rare_questions == MOST_QUESTIONS
    print(f"{used[0]:.2f} and {used[1]:.2f} s of CPU")
    assert used[1] < 9 * used[0]  # 4 times as many questions: 4 where the work is linear, 16 where it is quadratic


async def test_spanish_is_grouped_apart(database: Database, site: Site, encoder: Encoder) -> None:
    async with database.session() as session:
        await session.execute(text("TRUNCATE patient_sessions CASCADE"))
    spanish = ["¿Dónde está la capilla?", "¿Hay una capilla en el hospital?", "donde esta la capilla por favor"]
    haircut = ["¿Hay un peluquero en el hospital?", "necesito un peluquero", "dónde encuentro un peluquero"]
    english = ["Is there a chapel in the hospital?", "where is the chapel", "do you have a chapel or a place to pray"]
    await fill(database, site, [*spanish, *haircut, *english, "???"])
    found = await UnansweredQuestions(database, encoder, "one", OneArticle(), site, utc_now).report(7)
    assert {(group.language, frozenset(group.examples)) for group in found.groups} == {
        ("es", frozenset(spanish)), ("es", frozenset(haircut)), ("en", frozenset(english)),
    }  # fmt: skip
    assert found.rare_questions == 0  # a message without a letter asks nothing


@pytest.mark.parametrize(
    ("redacted", "shown"),
    [
        ("<PERSON_1> is 34, MRN <MEDICAL_RECORD_12>", "[person] is #, MRN [medical record]"),
        ("call me at 3:30 on 4/5/2026 or  at\n10", "call me at # on # or at #"),
        ("Where is the chapel?", "Where is the chapel?"),
    ],
)
def test_examples_tell_no_figures(redacted: str, shown: str) -> None:
    assert example(redacted) == shown


def test_examples_are_short() -> None:
    cut = example("chapel " * 60)
    assert len(cut) <= 120
    assert cut.endswith("chapel…")


@pytest.mark.parametrize("words", ["<PERSON_1>", "<MRN_1>, <PHONE_12>.", "412?", "neither", "Ninguna de las dos."])
async def test_what_asks_nothing_is_no_question_for_an_article(words: str) -> None:
    assert not tells(words)
    assert tells(f"{words} chapel")
