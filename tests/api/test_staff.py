"""The staff's and admin's API over HTTP."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import text

from app.api.deps import CONSOLE_HEADER, STAFF_COOKIE
from app.errors import SessionExpired
from tests.api.conftest import PASSWORD, House
from tests.api.test_conversations import WHOLE, Stream
from tests.fakes_conversations import CRISIS

pytestmark = pytest.mark.anyio


async def audited(house: House, action: str) -> list[str]:
    """Subjects of audit entries of an action."""
    async with house.services.database.session() as session:
        rows = await session.execute(text("SELECT subject FROM audit_log WHERE action = :a ORDER BY id"), {"a": action})
        return [str(row.subject) for row in rows]


async def test_a_nurse_takes_over_writes_and_returns(house: House) -> None:
    patient, nurse = await house.patient(), await house.staff()
    conversation = await house.conversation(patient)
    await house.send(patient, conversation, "parking?", Prefer="wait=10")
    reason = {"reason": "Maria Gonzalez parks where?"}
    waiting = await house.http.post(f"/v1/conversations/{conversation}/handoff", json=reason, headers=patient)
    await house.wired.settled()
    assert (waiting.status_code, waiting.json()["who"]) == (202, "Waiting for a person")
    assert waiting.json()["waiting_text"]
    queue = (await house.http.get("/v1/staff/escalations", headers=nurse)).json()["items"]
    mine = next(e for e in queue if e["conversation_id"] == conversation)
    assert mine["preview"] == "<PERSON_1> parks where?"
    path = f"/v1/staff/conversations/{conversation}"
    seen = await house.http.get(path, headers=nurse)
    assert seen.headers["ETag"] == '"1"'
    assert "Gonzalez" not in seen.text
    assert seen.json()["messages"][1]["adapter"] == "support@0123456789ab"
    refused = await house.http.post(f"{path}/messages", json={"text": "hello"}, headers=nurse)
    assert (refused.status_code, refused.json()["name"]) == (403, "forbidden")
    stale = await house.http.post(f"{path}/take-over", headers=nurse | {"If-Match": '"0"'})
    assert (stale.status_code, stale.json()["name"]) == (412, "version_conflict")
    huge = await house.http.post(f"{path}/take-over", json={"version": 10**40}, headers=nurse)
    assert (huge.status_code, huge.json()["name"]) == (422, "invalid_request")
    taken = await house.http.post(f"{path}/take-over", headers=nurse | {"If-Match": '"1"'})
    assert (taken.status_code, taken.json()["handler"], taken.json()["escalation"]["status"]) == (
        200,
        "staff",
        "claimed",
    )
    other = await house.staff(name="Ana")
    late = await house.http.post(f"{path}/take-over", headers=other)
    assert (late.status_code, late.json()["name"]) == (409, "already_claimed")
    said = await house.http.post(
        f"{path}/messages", json={"text": "Hello Maria Gonzalez"}, headers=nurse | {"Idempotency-Key": "1"}
    )
    again = await house.http.post(
        f"{path}/messages", json={"text": "Hello Maria Gonzalez"}, headers=nurse | {"Idempotency-Key": "1"}
    )
    assert (said.status_code, said.json()["id"], said.json()["text"]) == (201, again.json()["id"], "Hello <PERSON_1>")
    page = (await house.http.get(f"/v1/conversations/{conversation}/messages", headers=patient)).json()
    assert [m["author"] for m in page["items"]] == ["patient", "assistant", "patient", "staff"]
    assert (page["items"][-1]["text"], page["items"][-1]["author_name"]) == ("Hello Maria Gonzalez", "Maria, care team")
    state = (await house.http.get(f"/v1/conversations/{conversation}", headers=patient)).json()
    assert (state["who"], state["staff_name"]) == ("Maria, care team", "Maria")
    resolved = await house.http.post(f"{path}/resolve", json={"disposition": "answered"}, headers=nurse)
    assert (resolved.json()["handler"], resolved.json()["escalation"]["status"]) == ("assistant", "resolved")
    answer = await house.send(patient, conversation, "parking?", Prefer="wait=10")
    assert answer.json()["reply"]["text"] == WHOLE
    for action in ("conversation.read", "conversation.take_over", "conversation.write", "conversation.resolve"):
        assert conversation in await audited(house, action), action


async def test_while_a_nurse_speaks_the_assistant_only_gives_crisis_text(house: House) -> None:
    patient, nurse = await house.patient(), await house.staff()
    conversation = await house.conversation(patient)
    path = f"/v1/staff/conversations/{conversation}"
    assert (await house.http.post(f"{path}/take-over", headers=nurse)).status_code == 200
    quiet = await house.send(patient, conversation, "where do I park", Prefer="wait=10")
    assert (quiet.status_code, quiet.json()["reply_id"]) == (202, None)
    await house.send(patient, conversation, "emergency")
    await house.wired.settled()
    messages = (await house.http.get(path, headers=nurse)).json()
    assert [(m["author"], m["text"]) for m in messages["messages"]] == [
        ("patient", "where do I park"), ("patient", "emergency"), ("system", CRISIS),
    ]  # fmt: skip
    assert (messages["handler"], messages["escalation"]["priority"]) == ("staff", 0)
    released = await house.http.post(f"{path}/release", headers=nurse)
    assert released.json()["handler"] == "assistant"


async def test_reveal_needs_ownership_and_a_reason(house: House) -> None:
    patient, nurse = await house.patient(), await house.staff()
    conversation = await house.conversation(patient)
    await house.send(patient, conversation, "Maria Gonzalez", Prefer="wait=10")
    path = f"/v1/staff/conversations/{conversation}"
    refused = await house.http.post(f"{path}/reveal", json={"reason": "to call back"}, headers=nurse)
    assert refused.status_code == 403
    await house.http.post(f"{path}/take-over", headers=nurse)
    shown = await house.http.post(f"{path}/reveal", json={"reason": "to call back"}, headers=nurse)
    assert shown.json()["items"][0]["text"] == "Maria Gonzalez"
    assert await audited(house, "conversation.reveal") == [conversation]


async def test_roles(house: House) -> None:
    patient, nurse, admin = await house.patient(), await house.staff(), await house.staff("admin", name="Ana")
    conversation = await house.conversation(patient)
    for headers, path, status in (
        (nurse, "/v1/admin/adapters", 403), (admin, "/v1/admin/adapters", 200), (nurse, "/v1/admin/audit", 403),
        (nurse, "/v1/admin/articles", 403), (admin, "/v1/admin/articles", 200), (admin, "/v1/admin/audit/verify", 200),
        (admin, "/v1/staff/escalations", 403), (admin, f"/v1/staff/conversations/{conversation}", 403),
        (patient, "/v1/staff/escalations", 401), (nurse, f"/v1/conversations/{conversation}", 401),
        (admin, "/v1/staff/me", 200), ({}, "/v1/staff/me", 401),
    ):  # fmt: skip
        answer = await house.http.get(path, headers=headers)
        assert answer.status_code == status, (path, answer.text)


async def test_every_route_but_the_open_ones_needs_a_session(house: House) -> None:
    opened = {
        "/healthz",
        "/readyz",
        "/metrics",
        "/v1/widget/config",
        "/v1/sessions",
        "/v1/staff/sign-in",
        "/articles/{article_id}",
    }
    paths = house.app.openapi()["paths"]
    assert len(paths) > 25
    for path, operations in paths.items():
        for method, operation in operations.items():
            assert operation["summary"], path
            assert operation.get("description"), path
            if path in opened:
                continue
            real = (
                path.replace("{conversation_id}", "0" * 32).replace("{message_id}", "0" * 32).replace("{version}", "x")
            )
            answer = await house.http.request(method, real)
            assert answer.status_code == 401, (method, path, answer.text)
            assert "401" in operation["responses"], path


async def test_the_cookie_needs_the_console_header_for_changes(house: House) -> None:
    await house.staff(name="Eve")
    async with house.services.database.session() as session:
        await house.services.staff.add(session, "cookie", "Eve", PASSWORD, ["staff"])
    answer = await house.http.post("/v1/staff/sign-in", json={"username": "Cookie", "password": PASSWORD})
    cookie = answer.headers["set-cookie"]
    assert STAFF_COOKIE in cookie
    assert "HttpOnly" in cookie
    assert "samesite=strict" in cookie.lower()
    assert (await house.http.get("/v1/staff/me")).status_code == 200
    refused = await house.http.post("/v1/staff/escalations/claim-next")
    assert (refused.status_code, refused.json()["name"]) == (403, "forbidden")
    assert (await house.http.post("/v1/staff/sign-out", headers={CONSOLE_HEADER: "1"})).status_code == 204
    token = answer.json()["token"]
    late = await house.http.get("/v1/staff/me", headers={"Authorization": f"Bearer {token}"})
    assert late.status_code == 401


async def test_a_staff_session_ends_when_idle(house: House) -> None:
    nurse = await house.staff()
    house.clock.ahead = timedelta(minutes=10)
    assert (await house.http.get("/v1/staff/me", headers=nurse)).status_code == 200
    house.clock.ahead = timedelta(minutes=20)
    assert (await house.http.get("/v1/staff/me", headers=nurse)).status_code == 200
    house.clock.ahead = timedelta(minutes=36)
    late = await house.http.get("/v1/staff/me", headers=nurse)
    assert (late.status_code, late.json()["name"]) == (401, "session_expired")


async def test_a_page_that_redraws_itself_keeps_no_staff_session_alive(house: House) -> None:
    token = (await house.staff())["Authorization"].removeprefix("Bearer ")
    house.clock.ahead = timedelta(minutes=10)
    await house.services.staff.authenticate(token, activity=False)
    house.clock.ahead = timedelta(minutes=16)
    with pytest.raises(SessionExpired):
        await house.services.staff.authenticate(token, activity=False)


@pytest.mark.parametrize("https", [True, False])
async def test_the_cookie_of_staff_is_for_https_alone_where_the_service_is(house: House, https: bool) -> None:
    house.app.state.services = replace(house.services, secure_cookies=https)
    async with house.services.database.session() as session:
        await house.services.staff.add(session, f"cookie-{https}", "Eve", PASSWORD, ["staff"])
    body = {"username": f"cookie-{https}", "password": PASSWORD}
    (cookie,) = (await house.http.post("/v1/staff/sign-in", json=body)).headers.get_list("set-cookie")
    told = {part.strip().casefold() for part in cookie.split(";")[1:]}
    assert ("secure" in told) is https
    assert {"httponly", "samesite=strict", "path=/"} <= told


async def test_ten_wrong_passwords_lock_an_account(house: House) -> None:
    async with house.services.database.session() as session:
        await house.services.staff.add(session, "locked", "Eve", PASSWORD, ["staff"])
    body = {"username": "locked", "password": "wrong"}
    for _ in range(10):
        assert (await house.http.post("/v1/staff/sign-in", json=body)).status_code == 401
    right = {"username": "locked", "password": PASSWORD}
    locked = await house.http.post("/v1/staff/sign-in", json=right)
    assert (locked.status_code, int(locked.headers["Retry-After"]) > 600) == (429, True)
    unknown = await house.http.post("/v1/staff/sign-in", json={"username": "nobody", "password": "wrong"})
    assert (unknown.status_code, unknown.json()["detail"]) == (401, "the name or the password is wrong")
    house.clock.ahead = timedelta(minutes=16)
    assert (await house.http.post("/v1/staff/sign-in", json=right)).status_code == 200
    assert "session" in await audited(house, "staff.sign_in_refused")


async def follows_the_queue(house: House) -> None:
    """Wait until a stream has read the queue as it is, and waits for news."""
    async with asyncio.timeout(30):
        while not any(
            wake._event._waiters  # type: ignore[attr-defined]
            for key, wakes in house.services.listener._waiters.items()
            for wake in wakes
            if key.startswith("staff:")
        ):
            await asyncio.sleep(0.01)


async def test_the_queue_is_live(house: House) -> None:
    patient, nurse = await house.patient(), await house.staff()
    conversation = await house.conversation(patient)
    async with house.http.stream("GET", "/v1/staff/events", headers=nurse) as answer:
        events = Stream(answer.aiter_lines())
        await follows_the_queue(house)
        await house.send(patient, conversation, "emergency")
        created = (await events.until("escalation.created"))[-1]
        assert json.loads(created["data"])["escalation"]["priority"] == 0
        claimed = await house.http.post("/v1/staff/escalations/claim-next", headers=nurse)
        assert claimed.json()["conversation"]["handler"] == "staff"
        assert claimed.json()["escalation"]["conversation_id"] == conversation
        found = (await events.until("escalation.claimed"))[-1]
        assert json.loads(found["data"])["escalation"]["staff_name"] == "Maria"
        sent = await house.send(patient, conversation, "still here")
        news = (await events.until("message.created"))[-1]
        assert json.loads(news["data"]) == {"conversation_id": conversation, "message_id": sent.json()["message"]["id"]}
        assert (await house.http.post("/v1/staff/escalations/claim-next", headers=nurse)).status_code == 204


async def test_an_ended_conversation_keeps_its_emergency_in_the_queue(house: House) -> None:
    patient, nurse = await house.patient(), await house.staff()
    conversation = await house.conversation(patient)
    await house.send(patient, conversation, "emergency", Prefer="wait=10")
    await house.http.post(f"/v1/conversations/{conversation}/close", json={}, headers=patient)
    claimed = await house.http.post("/v1/staff/escalations/claim-next", headers=nurse)
    assert claimed.json()["escalation"]["conversation_id"] == conversation
    assert claimed.json()["conversation"]["handler"] == "closed"
    path = f"/v1/staff/conversations/{conversation}"
    assert (await house.http.post(f"{path}/messages", json={"text": "hi"}, headers=nurse)).json()[
        "name"
    ] == "conversation_closed"
    resolved = await house.http.post(f"{path}/resolve", json={"disposition": "called_back"}, headers=nurse)
    assert (resolved.json()["handler"], resolved.json()["escalation"]["status"]) == ("closed", "resolved")
    assert (await house.http.delete(f"/v1/conversations/{conversation}", headers=patient)).status_code == 204


async def test_admin_promotes_and_rolls_back(house: House) -> None:
    admin = await house.staff("admin")
    listed = (await house.http.get("/v1/admin/adapters", headers=admin)).json()
    assert listed["live"] == {"channel": "live", "version": None, "previous": None, "epoch": 0}
    refused = await house.http.post("/v1/admin/adapters/other@bb/promote", headers=admin)
    assert (refused.status_code, refused.json()["name"]) == (409, "not_promotable")
    live = await house.http.post("/v1/admin/adapters/support@aa/promote", json={"expected_epoch": 0}, headers=admin)
    assert live.json()["live"]["version"] == "support@aa"
    back = await house.http.post("/v1/admin/adapters/rollback", headers=admin)
    assert back.json()["live"]["version"] is None
    outside = await house.http.post("/v1/admin/adapters", json={"path": "/allowed/../etc"}, headers=admin)
    assert (outside.status_code, outside.json()["name"]) == (422, "invalid_content")
    assert (await house.http.post("/v1/admin/adapters", json={"path": "/allowed/x"}, headers=admin)).status_code == 201


async def test_an_admin_reads_and_checks_the_audit_log(house: House) -> None:
    admin = await house.staff("admin")
    async with house.services.database.session() as session:
        for action in ("adapter.add", "adapter.rollback"):
            await house.services.audit.append(session, "ana", action, "support@aa")
    verified = (await house.http.get("/v1/admin/audit/verify", headers=admin)).json()
    assert verified["intact"]
    newest = (await house.http.get("/v1/admin/audit?limit=2", headers=admin)).json()["items"]
    assert [entry["action"] for entry in newest] == ["adapter.rollback", "adapter.add"]


async def test_pages_health_and_metrics(house: House) -> None:
    page = await house.http.get("/articles/parking")
    assert "<h1>Parking &amp; garages</h1>" in page.text
    assert "<script>" not in page.text
    assert (await house.http.get("/articles/none")).status_code == 404
    assert (await house.http.get("/articles/%00")).status_code == 404
    assert (await house.http.get("/healthz")).json() == {"status": "ok"}
    ready = (await house.http.get("/readyz")).json()
    assert (ready["ready"], ready["answers"], ready["engine"]["state"]) == (
        True,
        "emergency and approved passages",
        "starting",
    )
    patient = await house.patient()
    conversation = await house.conversation(patient)
    await house.send(patient, conversation, "parking?", Prefer="wait=10")
    await house.wired.settled()
    metrics = (await house.http.get("/metrics")).text
    assert 'bedside_turn_seconds_count{kind="answer"} 1.0' in metrics
    assert 'route="/v1/conversations/{conversation_id}/messages"' in metrics
    assert conversation not in metrics


async def test_security_headers(house: House) -> None:
    for path in ("/healthz", "/nothing", "/articles/parking"):
        answer = await house.http.get(path)
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert "default-src 'none'" in answer.headers["content-security-policy"]
        assert answer.headers["referrer-policy"] == "no-referrer"
    assert (await house.http.get("/nothing")).json()["name"] == "not_found"
