"""What an error says: where the fault is, and nothing of what was sent."""

from __future__ import annotations

import pytest

from app.api.errors import _places
from tests.api.conftest import House

pytestmark = pytest.mark.anyio
NAME = "my name is Maria Gonzalez"


async def test_no_error_repeats_what_was_sent(house: House) -> None:
    patient, nurse = await house.patient(), await house.staff()
    conversation = await house.conversation(patient)
    path = f"/v1/conversations/{conversation}/messages"
    answers = {
        "body: there is a field that is not known here": await house.http.post(
            path, json={"text": "x", NAME: 1}, headers=patient
        ),
        "query.days: Input should be 7, 30 or 90": await house.http.get(
            "/v1/staff/unanswered", params={"days": NAME}, headers=nurse
        ),
        "body.text: Input should be a valid string": await house.http.post(
            path, json={"text": [NAME]}, headers=patient
        ),
    }
    for detail, answer in answers.items():
        assert (answer.status_code, answer.json()["name"]) == (422, "invalid_request")
        assert detail in answer.json()["detail"]
        assert "Maria" not in answer.text


async def test_the_words_of_an_exception_are_not_repeated() -> None:
    found = [{"type": "value_error", "loc": ("query", "days"), "msg": f"Value error, invalid literal: {NAME!r}"}]
    assert _places(found) == "query.days: it is not of the form that is asked for here"


async def test_only_the_current_notice_can_be_accepted(house: House) -> None:
    patient = await house.patient(consent=False)
    answer = await house.http.put("/v1/sessions/consent", json={"notice_version": "never-existed"}, headers=patient)
    assert (answer.status_code, answer.json()["name"]) == (412, "version_conflict")
    conversation = await house.conversation(patient)
    reply = (await house.send(patient, conversation, "parking?", Prefer="wait=10")).json()["reply"]
    assert reply["author"] == "system"
