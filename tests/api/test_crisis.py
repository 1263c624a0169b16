"""A crisis call over HTTP: it ends with an outcome and a note, or is due again."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import httpx
import pytest
from sqlalchemy import text

from tests.api.conftest import House
from tests.api.test_conversations import WHOLE
from tests.api.test_staff import audited
from tests.fakes_conversations import HOLD

pytestmark = pytest.mark.anyio

NOTE = "Spoke with Maria Gonzalez, her sister is with her"


async def in_crisis(house: House, words: str = "suicide") -> tuple[dict[str, str], dict[str, str], str]:
    """A patient in crisis and a nurse who has taken the conversation over."""
    async with house.services.database.session() as session:
        await session.execute(text("UPDATE escalations SET status = 'resolved'"))
    patient, nurse = await house.patient(), await house.staff()
    conversation = await house.conversation(patient)
    await house.send(patient, conversation, words, Prefer="wait=10")
    taken = await house.http.post("/v1/staff/escalations/claim-next", headers=nurse)
    assert taken.json()["escalation"]["conversation_id"] == conversation
    return patient, nurse, conversation


async def resolve(house: House, nurse: dict[str, str], conversation: str, **body: Any) -> httpx.Response:
    return await house.http.post(f"/v1/staff/conversations/{conversation}/resolve", json=body, headers=nurse)


async def waiting(house: House, nurse: dict[str, str], conversation: str) -> dict[str, Any]:
    """The waiting call of a conversation."""
    queue = (await house.http.get("/v1/staff/escalations", headers=nurse)).json()["items"]
    return next(call for call in queue if call["conversation_id"] == conversation)


@pytest.mark.parametrize(
    "body",
    [
        {"disposition": "answered", "note": NOTE},
        {"disposition": "reached"},
        {"disposition": "reached", "note": "   "},
        {"disposition": "not_reached"},
    ],
)
async def test_a_crisis_call_is_not_closed_without_an_outcome_and_a_note(house: House, body: dict[str, str]) -> None:
    _patient, nurse, conversation = await in_crisis(house)
    refused = await resolve(house, nurse, conversation, **body)
    assert (refused.status_code, refused.json()["name"]) == (409, "outcome_required")
    released = await house.http.post(f"/v1/staff/conversations/{conversation}/release", headers=nurse)
    assert (released.status_code, released.json()["name"]) == (409, "outcome_required")
    seen = (await house.http.get(f"/v1/staff/conversations/{conversation}", headers=nurse)).json()
    assert (seen["handler"], seen["escalation"]["status"], seen["escalation"]["crisis"]) == ("staff", "claimed", True)
    assert seen["escalation"]["notes"] == []


@pytest.mark.parametrize("outcome", ["reached", "emergency_services", "crisis_team"])
async def test_an_outcome_and_a_note_close_it_and_the_assistant_speaks_again(house: House, outcome: str) -> None:
    patient, nurse, conversation = await in_crisis(house)
    closed = await resolve(house, nurse, conversation, disposition=outcome, note=NOTE)
    assert (closed.status_code, closed.json()["handler"]) == (200, "assistant")
    call = closed.json()["escalation"]
    assert (call["status"], call["follow_up_at"]) == ("resolved", None)
    assert [(n["disposition"], n["text"], n["staff_name"]) for n in call["notes"]] == [(outcome, NOTE, "Maria")]
    answer = await house.send(patient, conversation, "parking?", Prefer="wait=10")
    assert answer.json()["reply"]["text"] == WHOLE
    assert conversation in await audited(house, "conversation.crisis_outcome")
    async with house.services.database.session() as session:
        query = text(
            "SELECT details::text FROM audit_log WHERE subject = :c AND action = 'conversation.crisis_outcome'"
        )
        details = str((await session.execute(query, {"c": conversation})).scalar())
        stored = (await session.execute(text("SELECT note_encrypted FROM escalation_notes"))).scalars().all()
    assert outcome in details
    assert "sister" not in details
    assert stored
    assert not any(b"sister" in note for note in stored)


async def test_a_patient_who_was_not_reached_is_due_again_and_the_assistant_stays_silent(house: House) -> None:
    _patient, nurse, conversation = await in_crisis(house)
    body = {"disposition": "not_reached", "note": "No answer, called twice", "follow_up_minutes": 60}
    aside = await resolve(house, nurse, conversation, **body)
    assert (aside.status_code, aside.json()["handler"]) == (200, "waiting")
    call = await waiting(house, nurse, conversation)
    due = datetime.fromisoformat(call["follow_up_at"])
    assert timedelta(minutes=58) < due - house.clock() < timedelta(minutes=61)
    assert (call["due_at"], call["overdue"], call["staff_id"]) == (call["follow_up_at"], False, None)
    nobody = await house.http.post("/v1/staff/escalations/claim-next", headers=nurse)
    assert nobody.status_code == 204, "before its time nobody is given the call"
    house.clock.ahead = timedelta(minutes=61)
    nurse = await house.staff(name="Ana")  # the first one's session has ended meanwhile
    assert (await waiting(house, nurse, conversation))["overdue"]
    again = await house.http.post("/v1/staff/escalations/claim-next", headers=nurse)
    assert again.json()["escalation"]["conversation_id"] == conversation
    assert [n["text"] for n in again.json()["conversation"]["escalation"]["notes"]] == ["No answer, called twice"]
    assert again.json()["escalation"]["follow_up_at"] is None
    done = await resolve(house, nurse, conversation, disposition="reached", note="She is safe")
    assert [n["disposition"] for n in done.json()["escalation"]["notes"]] == ["not_reached", "reached"]


async def test_a_patient_who_writes_before_the_follow_up_is_due_at_once(house: House) -> None:
    patient, nurse, conversation = await in_crisis(house)
    await resolve(house, nurse, conversation, disposition="not_reached", note="No answer")
    call = await waiting(house, nurse, conversation)
    assert timedelta(minutes=28) < datetime.fromisoformat(call["follow_up_at"]) - house.clock() < timedelta(minutes=31)
    await house.send(patient, conversation, "I am here")
    await house.wired.settled()
    messages = (await house.http.get(f"/v1/conversations/{conversation}/messages", headers=patient)).json()["items"]
    assert (messages[-1]["author"], messages[-1]["text"]) == ("system", HOLD)
    assert (await waiting(house, nurse, conversation))["follow_up_at"] is None
    taken = await house.http.post("/v1/staff/escalations/claim-next", headers=nurse)
    assert taken.json()["escalation"]["conversation_id"] == conversation


async def test_a_crisis_of_an_ended_conversation_needs_its_outcome_too(house: House) -> None:
    patient, nurse, conversation = await in_crisis(house, "abuse")
    await house.http.post(f"/v1/conversations/{conversation}/close", json={}, headers=patient)
    refused = await resolve(house, nurse, conversation, disposition="called_back")
    assert (refused.status_code, refused.json()["name"]) == (409, "outcome_required")
    aside = await resolve(house, nurse, conversation, disposition="not_reached", note="No answer")
    assert (aside.json()["handler"], aside.json()["escalation"]["status"]) == ("closed", "waiting")
    assert (await house.http.delete(f"/v1/conversations/{conversation}", headers=patient)).status_code == 409
    path = f"/v1/staff/conversations/{conversation}/take-over"
    taken = await house.http.post(path, headers=nurse)
    assert (taken.status_code, taken.json()["escalation"]["status"]) == (200, "claimed")
    other = await house.staff(name="Ana")
    assert (await house.http.post(path, headers=other)).status_code == 409
    done = await resolve(house, nurse, conversation, disposition="crisis_team", note="Crisis team has the address")
    assert done.json()["escalation"]["status"] == "resolved"
    assert (await house.http.delete(f"/v1/conversations/{conversation}", headers=patient)).status_code == 204


async def test_other_calls_end_as_before_and_keep_a_note(house: House) -> None:
    _patient, nurse, conversation = await in_crisis(house, "emergency")
    closed = await resolve(house, nurse, conversation, disposition="answered", note="He called 911")
    assert (closed.status_code, closed.json()["handler"]) == (200, "assistant")
    assert [n["text"] for n in closed.json()["escalation"]["notes"]] == ["He called 911"]
    assert conversation in await audited(house, "conversation.resolve")


@pytest.mark.parametrize("minutes", [4, 2_881, "soon"])
async def test_the_time_of_a_follow_up_has_bounds(house: House, minutes: int | str) -> None:
    _patient, nurse, conversation = await in_crisis(house)
    refused = await resolve(
        house, nurse, conversation, disposition="not_reached", note="No answer", follow_up_minutes=minutes
    )
    assert refused.status_code == 422
