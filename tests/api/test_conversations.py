"""The patient's API over HTTP."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

import pytest
from sqlalchemy import text

from app.contracts.site import Site
from app.conversations.retention import Retention
from app.db.cipher import TextCipher
from app.db.session import Database
from tests.api.conftest import House, build_house
from tests.fakes_conversations import CRISIS, SENTENCES, ScriptedResponder

pytestmark = pytest.mark.anyio
WHOLE = " ".join(SENTENCES)


class Stream:
    """Reads server-sent events off a response, one at a time."""

    def __init__(self, lines: AsyncIterator[str]) -> None:
        self._lines = lines

    async def next(self, seconds: float = 30) -> dict[str, str]:
        event: dict[str, str] = {}
        async with asyncio.timeout(seconds):
            async for line in self._lines:
                if not line and event:
                    return event
                if line and not line.startswith(":"):
                    name, _, value = line.partition(": ")
                    event[name] = value
        raise AssertionError("the stream ended")

    async def until(self, type_: str) -> list[dict[str, str]]:
        events = [await self.next()]
        while events[-1]["event"] != type_:
            events.append(await self.next())
        return events


@asynccontextmanager
async def stream(
    house: House, headers: dict[str, str], conversation: str, last: int | str = 0
) -> AsyncIterator[Stream]:
    path = f"/v1/conversations/{conversation}/events"
    async with house.http.stream("GET", path, headers=headers | {"Last-Event-ID": str(last)}) as answer:
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith("text/event-stream")
        yield Stream(answer.aiter_lines())


async def test_a_question_is_answered_in_one_request(house: House) -> None:
    headers = await house.patient()
    conversation = await house.conversation(headers)
    answer = await house.send(headers, conversation, "Where do I park?", Prefer="wait=10")
    assert answer.status_code == 200
    assert answer.headers["Preference-Applied"] == "wait=10"
    reply = answer.json()["reply"]
    assert (reply["text"], reply["status"], reply["citations"][0]["url"]) == (WHOLE, "complete", "/articles/parking")
    assert reply["id"] == answer.json()["reply_id"]
    page = (await house.http.get(f"/v1/conversations/{conversation}/messages", headers=headers)).json()
    assert [m["author"] for m in page["items"]] == ["patient", "assistant"]
    assert page["next"] is None


async def test_events_resume_without_loss_or_doubling(database: Database, site: Site, cipher: TextCipher) -> None:
    async with build_house(database, site, cipher, ScriptedResponder(pause_s=0.02)) as house:
        headers = await house.patient()
        conversation = await house.conversation(headers)
        seen: list[dict[str, str]] = []
        posts = 5

        async def post() -> None:
            for number in range(posts):
                assert (await house.send(headers, conversation, f"question {number}")).status_code == 202
                await asyncio.sleep(0.05)

        posting = asyncio.create_task(post())
        while sum(e["event"] == "message.completed" for e in seen) < posts:
            async with stream(house, headers, conversation, seen[-1]["id"] if seen else 0) as events:
                for _ in range(3):  # the connection drops after every third event
                    if sum(e["event"] == "message.completed" for e in seen) < posts:
                        seen.append(await events.next())
        await posting
        assert [int(e["id"]) for e in seen] == list(range(1, len(seen) + 1))
        deltas = "".join(json.loads(e["data"])["text"] for e in seen if e["event"] == "message.delta")
        assert deltas == WHOLE * posts


async def test_a_dropped_connection_does_not_stop_the_reply(database: Database, site: Site, cipher: TextCipher) -> None:
    go = asyncio.Semaphore(1)
    async with build_house(database, site, cipher, ScriptedResponder(gate=go.acquire)) as house:
        headers = await house.patient()
        conversation = await house.conversation(headers)
        await house.send(headers, conversation, "parking?")
        async with stream(house, headers, conversation) as events:
            await events.until("message.delta")
        page = (await house.http.get(f"/v1/conversations/{conversation}/messages", headers=headers)).json()
        assert (page["items"][1]["status"], page["items"][1]["text"]) == ("streaming", SENTENCES[0])
        go.release()
        go.release()
        async with stream(house, headers, conversation, page["last_seq"]) as events:
            found = await events.until("message.completed")
        assert json.loads(found[-1]["data"])["message"]["text"] == WHOLE
        assert "message.created" not in [e["event"] for e in found]


async def test_a_client_that_knows_more_than_the_store_is_told_to_read_again(house: House) -> None:
    headers = await house.patient()
    conversation = await house.conversation(headers)
    async with stream(house, headers, conversation, 99) as events:
        assert (await events.next())["event"] == "resync"
    async with stream(house, headers, conversation, "nonsense") as events:
        await house.send(headers, conversation, "parking?")
        assert (await events.next())["id"] == "1"


async def test_streams_end_when_the_server_closes(house: House) -> None:
    headers = await house.patient()
    conversation = await house.conversation(headers)
    async with house.http.stream("GET", f"/v1/conversations/{conversation}/events", headers=headers) as answer:
        house.services.closing.set()
        async with asyncio.timeout(30):
            assert [line async for line in answer.aiter_lines() if line.startswith("event")] == []


async def test_the_crisis_card(house: House) -> None:
    headers = await house.patient(consent=False)
    conversation = await house.conversation(headers)
    answer = await house.send(headers, conversation, "emergency", Prefer="wait=10")
    assert (answer.json()["reply"]["text"], answer.json()["reply"]["kind"]) == (CRISIS, "emergency")
    async with stream(house, headers, conversation) as events:
        found = await events.until("conversation.status")
    crisis = json.loads(next(e for e in found if e["event"] == "safety.crisis")["data"])
    assert crisis["routes"][0] == {
        "route": "911", "label": "Emergency services", "phone": "911", "text_line": None, "text_word": "", "chat": None,
        "note": "In many places you can also text 911.",
    }  # fmt: skip
    assert (crisis["routes"][1]["route"], crisis["routes"][1]["note"]) == ("nurse_line", "day and night")
    assert answer.json()["reply"]["category"] == crisis["category"] == "cardiac"
    assert json.loads(found[-1]["data"])["conversation"]["handler"] == "waiting"


async def test_consent_can_be_given_later(house: House) -> None:
    headers = await house.patient(consent=False)
    conversation = await house.conversation(headers)
    first = await house.send(headers, conversation, "parking?", Prefer="wait=10")
    assert first.json()["reply"]["author"] == "system"
    config = (await house.http.get("/v1/widget/config")).json()
    answer = await house.http.put(
        "/v1/sessions/consent", json={"notice_version": config["notice"]["version"]}, headers=headers
    )
    assert answer.json() == {"consented": True}
    second = await house.send(headers, conversation, "parking?", Prefer="wait=10")
    assert second.json()["reply"]["text"] == WHOLE


async def test_idempotency_keys(house: House) -> None:
    headers = await house.patient()
    conversation = await house.conversation(headers)
    first = await house.send(headers, conversation, "parking?", **{"Idempotency-Key": "a"})
    again = await house.send(headers, conversation, "parking?", **{"Idempotency-Key": "a"})
    assert first.json()["message"]["id"] == again.json()["message"]["id"]
    assert first.json()["reply_id"] == again.json()["reply_id"]
    other = await house.send(headers, conversation, "else", **{"Idempotency-Key": "a"})
    assert (other.status_code, other.json()["name"]) == (422, "idempotency_mismatch")


async def test_somebody_elses_conversation_does_not_exist(house: House) -> None:
    owner, other = await house.patient(), await house.patient()
    conversation = await house.conversation(owner)
    sent = await house.send(owner, conversation, "parking?", Prefer="wait=10")
    base = f"/v1/conversations/{conversation}"
    requests = [
        ("GET", base, None), ("GET", f"{base}/messages", None), ("GET", f"{base}/events", None),
        ("GET", f"{base}/transcript", None), ("POST", f"{base}/handoff", {}), ("POST", f"{base}/close", {}),
        ("POST", f"{base}/messages", {"text": "hello"}), ("DELETE", base, None),
        ("PUT", f"/v1/messages/{sent.json()['reply_id']}/feedback", {"rating": "up"}),
    ]  # fmt: skip
    for method, path, body in requests:
        answer = await house.http.request(method, path, json=body, headers=other)
        unknown = await house.http.request(method, path.replace(path.split("/")[3], "0" * 32), json=body, headers=other)
        malformed = await house.http.request(
            method, path.replace(path.split("/")[3], "nonsense"), json=body, headers=other
        )
        assert answer.status_code == unknown.status_code == malformed.status_code == 404, path
        assert answer.json()["name"] == unknown.json()["name"] == "not_found"
        assert answer.json()["detail"] == unknown.json()["detail"]


async def test_tokens(house: House) -> None:
    headers = await house.patient()
    for wrong in ({}, {"Authorization": "Bearer nonsense"}, {"Authorization": "Basic eDp5"}):
        answer = await house.http.post("/v1/conversations", json={}, headers=wrong)
        assert (answer.status_code, answer.json()["name"]) == (401, "not_signed_in")
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.headers["www-authenticate"] == "Bearer"
    house.clock.ahead = timedelta(hours=25)
    answer = await house.http.post("/v1/conversations", json={}, headers=headers)
    assert (answer.status_code, answer.json()["name"]) == (401, "session_expired")


@pytest.mark.parametrize(
    ("body", "status", "name"),
    [
        (b"", 422, "invalid_request"),
        (b'{"text": ""}', 422, "message_empty"),
        (b'{"text": " \\u200b "}', 422, "message_empty"),
        (json.dumps({"text": "x" * 20_000}).encode(), 413, "message_too_long"),
        (b'{"text": "a\\u0000b"}', 422, "invalid_content"),
        (b'{"text": "\\ud800"}', 422, "invalid_content"),
        (b'{"text": "\xff\xfe"}', 400, "invalid_json"),
        (b"\x00\x01\x02\xff", 400, "invalid_json"),
        (b'{"text": ', 400, "invalid_json"),
        (b'{"text":' + b"[" * 30_000, 400, "invalid_json"),
        (b'{"text":' + b"[" * 20 + b"]" * 20 + b"}", 422, "invalid_request"),
        (b'{"text": 5}', 422, "invalid_request"),
        (b'{"text": "x", "more": 1}', 422, "invalid_request"),
        (b'{"text": "' + b"x" * 70_000 + b'"}', 413, "too_large"),
    ],
)
async def test_bodies_that_are_not_messages(house: House, body: bytes, status: int, name: str) -> None:
    headers = await house.patient() | {"Content-Type": "application/json"}
    conversation = await house.conversation(headers)
    answer = await house.http.post(f"/v1/conversations/{conversation}/messages", content=body, headers=headers)
    assert (answer.status_code, answer.json()["name"]) == (status, name)
    assert answer.headers["content-type"] == "application/problem+json"
    page = (await house.http.get(f"/v1/conversations/{conversation}/messages", headers=headers)).json()
    assert page["items"] == []


async def test_the_rate_limit_says_when_to_come_back(database: Database, site: Site, cipher: TextCipher) -> None:
    async with build_house(database, site, cipher, per_minute=3) as house:
        headers = await house.patient()
        conversation = await house.conversation(headers)
        answers = [await house.send(headers, conversation, "parking?") for _ in range(4)]
        assert [a.status_code for a in answers] == [202, 202, 429, 429]
        assert answers[-1].json()["name"] == "too_many_requests"
        assert 1 <= int(answers[-1].headers["Retry-After"]) <= 60
        other = await house.patient()
        assert (await house.http.post("/v1/conversations", json={}, headers=other)).status_code == 201


async def test_feedback_transcript_close_and_erase(house: House) -> None:
    headers = await house.patient()
    conversation = await house.conversation(headers)
    sent = (await house.send(headers, conversation, "Maria Gonzalez parks?", Prefer="wait=10")).json()
    path = f"/v1/messages/{sent['reply_id']}/feedback"
    for rating in ("up", "down"):
        answer = await house.http.put(path, json={"rating": rating, "reason": "says Maria Gonzalez"}, headers=headers)
        assert answer.status_code == 204
    own = f"/v1/messages/{sent['message']['id']}/feedback"
    assert (await house.http.put(own, json={"rating": "up"}, headers=headers)).status_code == 404
    page = (await house.http.get(f"/v1/conversations/{conversation}/messages", headers=headers)).json()
    assert page["items"][1]["feedback"] == "down"
    async with house.services.database.session() as session:
        query = "SELECT reason_redacted FROM feedback WHERE message_id = :m"
        assert (await session.execute(text(query), {"m": sent["reply_id"]})).scalar() == "says <PERSON_1>"
    transcript = await house.http.get(f"/v1/conversations/{conversation}/transcript", headers=headers)
    assert "attachment" in transcript.headers["content-disposition"]
    assert "Maria Gonzalez parks?" in transcript.text
    assert WHOLE in transcript.text
    closed = await house.http.post(f"/v1/conversations/{conversation}/close", json={}, headers=headers)
    assert (closed.json()["handler"], closed.json()["who"]) == ("closed", "Ended")
    assert (await house.send(headers, conversation, "more")).json()["name"] == "conversation_closed"
    assert (await house.http.delete(f"/v1/conversations/{conversation}", headers=headers)).status_code == 204
    assert (await house.http.get(f"/v1/conversations/{conversation}", headers=headers)).status_code == 404
    async with house.services.database.session() as session:
        left = await session.execute(
            text("SELECT count(*) FROM events WHERE conversation_id = :c"), {"c": conversation}
        )
        assert left.scalar() == 0


async def test_an_emergency_is_not_erased_before_a_person_saw_it(house: House) -> None:
    headers = await house.patient()
    conversation = await house.conversation(headers)
    await house.send(headers, conversation, "emergency", Prefer="wait=10")
    answer = await house.http.delete(f"/v1/conversations/{conversation}", headers=headers)
    assert (answer.status_code, answer.json()["name"]) == (409, "conflict_error")


async def test_a_conversation_under_a_legal_hold_is_not_erased(house: House) -> None:
    headers = await house.patient()
    conversation = await house.conversation(headers)
    await house.send(headers, conversation, "where do I park", Prefer="wait=10")
    services = house.services
    retention = Retention(services.database, services.audit, services.site.id, keep=timedelta(days=1), now=services.now)
    async with services.database.session() as session:
        await retention.hold(session, conversation, "cli:ann", "case 7")
    answer = await house.http.delete(f"/v1/conversations/{conversation}", headers=headers)
    assert (answer.status_code, answer.json()["name"]) == (409, "legal_hold")


async def test_pages_of_messages(house: House) -> None:
    headers = await house.patient()
    conversation = await house.conversation(headers)
    for number in range(4):
        await house.send(headers, conversation, f"question {number}", Prefer="wait=10")
    path = f"/v1/conversations/{conversation}/messages"
    ids, after = [], 0
    while after is not None:
        page = (await house.http.get(f"{path}?after={after}&limit=3", headers=headers)).json()
        ids += [m["id"] for m in page["items"]]
        after = page["next"]
    whole = (await house.http.get(path, headers=headers)).json()
    assert ids == [m["id"] for m in whole["items"]]
    assert len(ids) == 8


async def test_the_widget_knows_what_it_needs_before_a_session(house: House) -> None:
    config = (await house.http.get("/v1/widget/config?lang=es")).json()
    assert config["site"]["name"] == "Cedar Valley Health"
    assert config["emergency"][0]["phone"] == "911"
    assert config["emergency"][0]["label"] == "Emergencias"
    assert config["max_characters"] == 4_000
    assert "lunes a viernes" in config["chat_hours_text"]
    assert len(config["notice"]["text"]) == 3
