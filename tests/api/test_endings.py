"""What ends a conversation or a call (the patient, staff, erasing, leaving the house) loses no emergency."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import RowMapping, text
from sqlalchemy.ext.asyncio import AsyncSession

from app.audit.service import AuditLog
from app.chat.protocols import Turn
from app.contracts.replies import Reply, ReplyEvent, ReplyKind
from app.contracts.site import Site
from app.db.cipher import TextCipher
from app.db.session import Database
from app.errors import StoreUnavailable
from app.escalations.watch import ClaimWatch
from tests.api.conftest import House, build_house
from tests.fakes_conversations import CRISIS, ScriptedResponder

pytestmark = pytest.mark.anyio


@dataclass
class Slow(ScriptedResponder):
    """Answers once ``go`` is set; ``untriaged`` words end as when triage fails."""

    go: asyncio.Event = field(default_factory=asyncio.Event)

    async def respond(self, turn: Turn) -> AsyncGenerator[ReplyEvent, None]:
        await self.go.wait()
        if "untriaged" in turn.text:
            yield Reply("A person will read this.", "", ReplyKind.HANDOFF, routes=("human",), handoff="failed:triage")
            return
        async for event in super().respond(turn):
            yield event


class BrokenAudit(AuditLog):
    """Cannot write."""

    async def append(
        self, session: AsyncSession, actor: str, action: str, subject: str, details: dict[str, Any] | None = None
    ) -> None:
        raise StoreUnavailable("the disk is full")


async def rows(house: House, query: str, conversation: str) -> list[RowMapping]:
    """Rows of a query about a conversation (``:c``)."""
    async with house.services.database.session() as session:
        return list((await session.execute(text(query), {"c": conversation})).mappings())


async def calls(house: House, conversation: str) -> list[tuple[int, str]]:
    """Priority and status of the calls of a conversation, oldest first."""
    query = "SELECT priority, status FROM escalations WHERE conversation_id = :c ORDER BY created_at"
    return [(row["priority"], row["status"]) for row in await rows(house, query, conversation)]


async def ended_at_once(house: House, responder: Slow, patient: dict[str, str], words: str) -> str:
    """A conversation that the patient has ended before ``words`` were dealt with, which they are then."""
    conversation = await house.conversation(patient)
    assert (await house.send(patient, conversation, words)).status_code == 202
    closed = await house.http.post(f"/v1/conversations/{conversation}/close", json={}, headers=patient)
    assert closed.json()["handler"] == "closed"
    responder.go.set()
    await house.wired.settled()
    return conversation


@pytest.mark.parametrize("words", ["emergency: my chest", "untriaged"])
async def test_an_emergency_calls_a_person_although_the_patient_has_ended_the_chat(
    database: Database, site: Site, cipher: TextCipher, words: str
) -> None:
    responder = Slow()
    async with build_house(database, site, cipher, responder) as house:
        patient, nurse = await house.patient(), await house.staff()
        conversation = await ended_at_once(house, responder, patient, words)
        assert await calls(house, conversation) == [(0, "waiting")]
        path = f"/v1/staff/conversations/{conversation}"
        said = (await house.http.get(path, headers=nurse)).json()
        assert (said["handler"], said["messages"][-1]["author"]) == ("closed", "system")
        taken = await house.http.post(f"{path}/take-over", headers=nurse)
        assert taken.json()["escalation"]["status"] == "claimed"


async def test_a_question_in_an_ended_chat_calls_nobody(database: Database, site: Site, cipher: TextCipher) -> None:
    responder = Slow()
    async with build_house(database, site, cipher, responder) as house:
        conversation = await ended_at_once(house, responder, await house.patient(), "person please")
        assert await calls(house, conversation) == []


async def test_erasing_waits_for_a_message_that_may_be_an_emergency(
    database: Database, site: Site, cipher: TextCipher
) -> None:
    responder = Slow()
    async with build_house(database, site, cipher, responder) as house:
        patient = await house.patient()
        for words, status in (("emergency", 409), ("parking?", 204)):
            responder.go.clear()
            conversation = await house.conversation(patient)
            await house.send(patient, conversation, words)
            await house.http.post(f"/v1/conversations/{conversation}/close", json={}, headers=patient)
            erasing = asyncio.create_task(house.http.delete(f"/v1/conversations/{conversation}", headers=patient))
            await asyncio.sleep(0.5)
            assert not erasing.done()
            responder.go.set()
            assert (await erasing).status_code == status, words
            assert await calls(house, conversation) == ([(0, "waiting")] if status == 409 else [])


async def test_a_message_that_is_not_dealt_with_is_not_erased(
    database: Database, site: Site, cipher: TextCipher
) -> None:
    responder = Slow()
    async with build_house(database, site, cipher, responder) as house:
        patient = await house.patient()
        conversation = await house.conversation(patient)
        await house.send(patient, conversation, "emergency")
        refused = await house.http.delete(f"/v1/conversations/{conversation}", headers=patient)
        assert (refused.status_code, refused.json()["name"]) == (409, "conflict_error")
        assert "again in a moment" in refused.json()["detail"]
        responder.go.set()
        await house.wired.settled()
        assert await calls(house, conversation) == [(0, "waiting")]


async def test_what_is_erased_is_audited_or_not_erased(house: House) -> None:
    patient = await house.patient()
    conversation = await house.conversation(patient)
    house.app.state.services = replace(house.services, audit=BrokenAudit(house.clock))
    refused = await house.http.delete(f"/v1/conversations/{conversation}", headers=patient)
    house.app.state.services = house.services
    assert refused.status_code == 503
    assert len(await rows(house, "SELECT 1 FROM conversations WHERE id = :c", conversation)) == 1
    assert (await house.http.delete(f"/v1/conversations/{conversation}", headers=patient)).status_code == 204
    audited = await rows(house, "SELECT action FROM audit_log WHERE subject = :c", conversation)
    assert [row["action"] for row in audited] == ["conversation.erase"]


async def test_an_erased_conversation_leaves_no_key_of_a_request(house: House) -> None:
    patient = await house.patient()
    keyed = patient | {"Idempotency-Key": "open-1"}
    first = (await house.http.post("/v1/conversations", json={}, headers=keyed)).json()["id"]
    await house.send(patient, first, "parking?", **{"Idempotency-Key": "1"})
    await house.wired.settled()
    assert (await house.http.delete(f"/v1/conversations/{first}", headers=patient)).status_code == 204
    left = "SELECT 1 FROM idempotency_keys WHERE result_id = :c OR owner = 'conversation:' || :c"
    assert await rows(house, left, first) == []
    again = await house.http.post("/v1/conversations", json={}, headers=keyed)
    assert again.status_code == 201
    assert again.json()["id"] != first


@pytest.mark.parametrize("words", ["emergency: my chest", "where do I park"])
@pytest.mark.parametrize("act", ["release", "resolve"])
async def test_staff_do_not_end_a_call_over_a_message_that_they_have_not_seen(
    house: House, act: str, words: str
) -> None:
    patient, nurse = await house.patient(), await house.staff()
    conversation = await house.conversation(patient)
    path = f"/v1/staff/conversations/{conversation}"
    taken = await house.http.post(f"{path}/take-over", headers=nurse)
    await house.send(patient, conversation, words)
    await house.wired.settled()
    body = {"disposition": "answered"} if act == "resolve" else {}
    seen = nurse | {"If-Match": taken.headers["ETag"]}
    stale = await house.http.post(f"{path}/{act}", json=body, headers=seen)
    assert (stale.status_code, stale.json()["name"]) == (412, "version_conflict")
    [(_priority, status)] = await calls(house, conversation)
    assert status == "claimed"
    now = (await house.http.get(path, headers=nurse)).headers["ETag"]
    ended = await house.http.post(f"{path}/{act}", json=body, headers=nurse | {"If-Match": now})
    assert (ended.status_code, ended.json()["handler"]) == (200, "assistant")


async def test_staff_do_not_end_a_call_that_became_an_emergency_meanwhile(
    database: Database, site: Site, cipher: TextCipher
) -> None:
    """The message is on the page already, its triage ends later: also after the patient has ended the chat."""
    responder = Slow()
    async with build_house(database, site, cipher, responder) as house:
        patient, nurse = await house.patient(), await house.staff()
        for close in (False, True):
            responder.go.clear()
            conversation = await house.conversation(patient)
            path = f"/v1/staff/conversations/{conversation}"
            await house.http.post(f"{path}/take-over", headers=nurse)
            await house.send(patient, conversation, "emergency: one")
            responder.go.set()
            await house.wired.settled()
            responder.go.clear()
            await house.send(patient, conversation, "emergency: two")
            if close:
                await house.http.post(f"/v1/conversations/{conversation}/close", json={}, headers=patient)
            seen = nurse | {"If-Match": (await house.http.get(path, headers=nurse)).headers["ETag"]}
            responder.go.set()
            await house.wired.settled()
            stale = await house.http.post(f"{path}/resolve", json={"disposition": "answered"}, headers=seen)
            assert (stale.status_code, stale.json()["name"]) == (412, "version_conflict"), close
            assert await calls(house, conversation) == [(0, "claimed")]


async def test_a_message_to_the_assistant_does_not_refuse_a_take_over(house: House) -> None:
    patient, nurse = await house.patient(), await house.staff()
    conversation = await house.conversation(patient)
    await house.send(patient, conversation, "parking?", Prefer="wait=10")
    path = f"/v1/staff/conversations/{conversation}/take-over"
    assert (await house.http.post(path, headers=nurse | {"If-Match": '"0"'})).status_code == 200


async def test_who_holds_the_open_call_reads_what_was_written_and_nobody_after(house: House) -> None:
    patient, ana, ben = await house.patient(), await house.staff(name="Ana"), await house.staff(name="Ben")
    conversation = await house.conversation(patient)
    await house.send(patient, conversation, "suicide, call me 515 555 0199", Prefer="wait=10")
    await house.http.post(f"/v1/conversations/{conversation}/close", json={}, headers=patient)
    path = f"/v1/staff/conversations/{conversation}"

    async def reveal(staff: dict[str, str]) -> int:
        answer = await house.http.post(f"{path}/reveal", json={"reason": "to call back"}, headers=staff)
        return answer.status_code

    assert await reveal(ben) == 403
    await house.http.post(f"{path}/take-over", headers=ben)
    assert (await reveal(ben), await reveal(ana)) == (200, 403)
    aside = {"disposition": "not_reached", "note": "No answer"}
    assert (await house.http.post(f"{path}/resolve", json=aside, headers=ben)).status_code == 200
    assert await reveal(ben) == 403
    await house.http.post(f"{path}/take-over", headers=ana)
    assert (await reveal(ben), await reveal(ana)) == (403, 200)
    done = {"disposition": "reached", "note": "She is safe"}
    assert (await house.http.post(f"{path}/resolve", json=done, headers=ana)).status_code == 200
    assert await reveal(ana) == 403


async def test_a_call_that_ends_with_the_chat_is_not_read_after(house: House) -> None:
    patient, nurse = await house.patient(), await house.staff()
    conversation = await house.conversation(patient)
    path = f"/v1/staff/conversations/{conversation}"
    await house.http.post(f"{path}/take-over", headers=nurse)
    await house.http.post(f"/v1/conversations/{conversation}/close", json={}, headers=patient)
    answer = await house.http.post(f"{path}/reveal", json={"reason": "curious"}, headers=nurse)
    assert answer.status_code == 403


async def test_a_nurse_who_has_left_holds_nobody(house: House) -> None:
    patient, other = await house.patient(), await house.staff()
    leaver = await house.staff(name="Gone")
    conversation = await house.conversation(patient)
    await house.send(patient, conversation, "person please", Prefer="wait=10")
    path = f"/v1/staff/conversations/{conversation}/take-over"
    assert (await house.http.post(path, headers=leaver)).status_code == 200
    username = (await house.http.get("/v1/staff/me", headers=leaver)).json()["username"]
    async with house.services.database.session() as session:
        await house.services.staff.deactivate(session, username)
    watch = ClaimWatch(
        house.services.database, house.services.escalations, house.services.audit, within=timedelta(minutes=10)
    )
    await watch.look()
    state = (await house.http.get(f"/v1/conversations/{conversation}", headers=patient)).json()
    assert state["handler"] == "waiting"
    assert (await house.http.post(path, headers=other)).json()["staff_name"] == "Maria"


async def test_the_patient_sees_the_numbers_although_she_has_ended_the_chat(
    database: Database, site: Site, cipher: TextCipher
) -> None:
    responder = Slow()
    async with build_house(database, site, cipher, responder) as house:
        patient = await house.patient()
        conversation = await ended_at_once(house, responder, patient, "emergency")
        page = (await house.http.get(f"/v1/conversations/{conversation}/messages", headers=patient)).json()
        assert (page["items"][-1]["kind"], page["items"][-1]["text"]) == ("emergency", CRISIS)
