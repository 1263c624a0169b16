"""The console's pages: who sees what, and that nothing is read as markup."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import httpx
import pytest
from fastapi import FastAPI

from app.console.routes import COOKIE, build_router
from app.contracts.site import Site
from app.escalations.schemas import NoteView
from app.escalations.service import OUTCOMES
from app.knowledge.unanswered import Nearest
from tests.fakes_console import ADMIN, NURSE, NURSE_ID, OTHER_ID, TALK, FakeReads, escalation, message

pytestmark = pytest.mark.anyio


@pytest.fixture
def reads() -> FakeReads:
    return FakeReads()


@pytest.fixture
async def client(site: Site, reads: FakeReads) -> AsyncIterator[httpx.AsyncClient]:
    app = FastAPI()
    app.include_router(build_router(site, reads))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://service") as client:
        yield client


PAGES = ["/console/", f"/console/conversations/{TALK}", "/console/adapters", "/console/unanswered/7"]
FRAGMENTS = [
    "/console/fragments/queue", f"/console/fragments/conversations/{TALK}", "/console/fragments/adapters",
    "/console/fragments/unanswered/7",
]  # fmt: skip


def signed_in(client: httpx.AsyncClient, token: str) -> httpx.AsyncClient:
    client.cookies.set(COOKIE, token)
    return client


@pytest.mark.parametrize("path", [*PAGES, *FRAGMENTS])
async def test_nobody_reads_without_signing_in(client: httpx.AsyncClient, path: str) -> None:
    answer = await client.get(path)
    assert answer.status_code == 303
    assert answer.headers["Location"] == f"/console/sign-in?next={path}"
    assert answer.text == ""
    fragment = await client.get(path, headers={"HX-Request": "true"})
    assert (fragment.status_code, fragment.headers["HX-Refresh"], fragment.text) == (401, "true", "")


@pytest.mark.parametrize(
    ("token", "path", "status"),
    [
        (NURSE, "/console/", 200),
        (NURSE, f"/console/conversations/{TALK}", 200),
        (NURSE, "/console/fragments/queue", 200),
        (NURSE, "/console/adapters", 403),
        (NURSE, "/console/fragments/adapters", 403),
        (ADMIN, "/console/adapters", 200),
        (ADMIN, "/console/fragments/queue", 403),
        (ADMIN, f"/console/conversations/{TALK}", 403),
        (ADMIN, f"/console/fragments/conversations/{TALK}", 403),
    ],
)
async def test_roles(client: httpx.AsyncClient, token: str, path: str, status: int) -> None:
    answer = await signed_in(client, token).get(path)
    assert answer.status_code == status
    assert ("crushing chest pain" in answer.text) == (status == 200 and token == NURSE)


async def test_both_roles_see_what_nobody_could_answer_and_admins_decide(client: httpx.AsyncClient) -> None:
    nurse = (await signed_in(client, NURSE).get("/console/unanswered/90")).text
    admin = (await signed_in(client, ADMIN).get("/console/unanswered/90")).text
    for page in (nurse, admin):
        for words in (
            "Is there a chapel in the hospital?",
            "11 patients",
            "Nov 2 to Nov 25",
            "likeness 0.38",
            "2 asked since",
        ):
            assert words in page
        assert 'href="/console/unanswered/90" aria-current="page"' in page
    assert "/v1/admin/unanswered/" not in nurse
    assert f'data-form="/v1/admin/unanswered/{"a" * 32}"' in admin
    assert f"/console/conversations/{TALK}" in nurse
    assert "/console/conversations/" not in admin
    assert (await client.get("/console/unanswered/31")).status_code == 404
    assert (await client.get("/console/unanswered")).headers["Location"] == "/console/unanswered/30"


async def test_when_every_question_was_answered_the_page_says_so(client: httpx.AsyncClient, reads: FakeReads) -> None:
    reads.asked = replace(reads.asked, questions=0, groups=[], rare=[])
    page = (await signed_in(client, ADMIN).get("/console/unanswered/30")).text
    assert "Every question of the last 30 days found an article." in page


async def test_examples_are_never_markup(client: httpx.AsyncClient, reads: FakeReads) -> None:
    attack = '"><script>alert(1)</script>'
    group = replace(reads.asked.groups[0], examples=[attack, attack], nearest=Nearest(attack, attack, 0.1))
    reads.asked = replace(reads.asked, groups=[group])
    page = (await signed_in(client, ADMIN).get("/console/unanswered/30")).text
    assert "<script>alert" not in page


async def test_administrator_without_the_staff_role_starts_at_the_adapters(client: httpx.AsyncClient) -> None:
    answer = await signed_in(client, ADMIN).get("/console/")
    assert (answer.status_code, answer.headers["Location"]) == (303, "/console/adapters")


async def test_queue_shows_urgency_by_words_too(client: httpx.AsyncClient) -> None:
    page = (await signed_in(client, NURSE).get("/console/")).text
    assert page.index("Emergency: cardiac") < page.index("The assistant took too long") < page.index("about my bill")
    for words in ("Overdue by 1 min", "Urgent", "Routine", "with <strong>Jon Park</strong>"):
        assert words in page


async def test_empty_queue_says_so(client: httpx.AsyncClient, reads: FakeReads) -> None:
    reads.waiting = []
    assert "Nobody is waiting." in (await signed_in(client, NURSE).get("/console/")).text


@pytest.mark.parametrize(
    ("handler", "owner", "state"),
    [("assistant", None, "free"), ("waiting", None, "waiting"), ("staff", "2" * 32, "other"),
     ("staff", NURSE_ID, "owned"), ("closed", NURSE_ID, "ended-waiting")],
)  # fmt: skip
async def test_composer_is_unlocked_for_the_owner_only(
    client: httpx.AsyncClient, reads: FakeReads, handler: str, owner: str | None, state: str
) -> None:
    reads.talk = reads.talk.model_copy(update={"handler": handler, "staff_id": owner, "staff_name": owner and "X"})
    page = (await signed_in(client, NURSE).get(f"/console/conversations/{TALK}")).text
    assert f'data-state="{state}"' in page


@pytest.mark.parametrize(
    ("call", "state"),
    [
        ({"status": "claimed", "staff_id": NURSE_ID}, "ended-owned"),
        ({"status": "claimed", "staff_id": OTHER_ID}, "closed"),
        ({"status": "resolved"}, "closed"),
    ],
)
async def test_a_call_of_an_ended_conversation_can_be_seen_to(
    client: httpx.AsyncClient, reads: FakeReads, call: dict[str, str], state: str
) -> None:
    reads.talk = reads.talk.model_copy(update={"handler": "closed"})
    reads.waiting = [escalation(1, **call)]
    page = (await signed_in(client, NURSE).get(f"/console/conversations/{TALK}")).text
    assert f'data-state="{state}"' in page


async def test_a_follow_up_waits_apart_until_it_is_due(client: httpx.AsyncClient, reads: FakeReads) -> None:
    now = datetime.now(UTC)
    reads.waiting = [
        escalation(1, priority=0, crisis=True, minutes_left=25, follow_up_at=now + timedelta(minutes=25), preview="A"),
        escalation(2, priority=0, crisis=True, minutes_left=-5, follow_up_at=now - timedelta(minutes=5), preview="B"),
    ]
    page = (await signed_in(client, NURSE).get("/console/")).text
    waiting, later = page.split('id="later-title"')
    assert 'data-count="1"' in waiting
    assert "Follow-up overdue by 5 min" in waiting
    assert "Follow-up due in 24 min" in later
    assert "Crisis call" in later
    reads.waiting = reads.waiting[1:]
    assert "To be tried again" not in (await client.get("/console/")).text


async def test_a_crisis_call_is_closed_by_its_own_form(client: httpx.AsyncClient, reads: FakeReads) -> None:
    note = NoteView(
        staff_name="Jon Park", disposition="not_reached", text="No answer <b>twice</b>", created_at=datetime.now(UTC),
        follow_up_at=datetime.now(UTC) + timedelta(minutes=30),
    )  # fmt: skip
    reads.waiting = [escalation(1, crisis=True, category="suicide", notes=[note])]
    page = (await signed_in(client, NURSE).get(f"/console/conversations/{TALK}")).text
    assert 'data-crisis="yes" data-version' in page
    assert "The assistant is silent until it is closed with an outcome and a note." in page
    assert "Could not reach the patient" in page
    assert "No answer &lt;b&gt;twice&lt;/b&gt;" in page
    form = page.split('<dialog id="outcome"')[1]
    assert {o for o in OUTCOMES if f'<option value="{o}"' in form} == set(OUTCOMES)
    assert re.search(r'<textarea id="crisis-note" name="note" rows="3" required', form)
    reads.waiting = [escalation(1, crisis=True, status="resolved")]
    assert 'data-crisis="no" data-version' in (await client.get(f"/console/conversations/{TALK}")).text


async def test_nothing_is_offered_before_the_script_knows_the_state(client: httpx.AsyncClient) -> None:
    page = (await signed_in(client, NURSE).get(f"/console/conversations/{TALK}")).text
    parts = [
        tag for tag in re.findall(r"<[a-z]+ [^>]*>", page) if re.search(r"data-show=|<button[^>]* data-crisis=", tag)
    ]
    assert len(parts) == 12
    assert all(re.search(r" hidden[ >]", tag) for tag in parts)


async def test_conversation_shows_sources_checks_and_adapter(client: httpx.AsyncClient) -> None:
    page = (await signed_in(client, NURSE).get(f"/console/conversations/{TALK}")).text
    sources = ("/articles/prepare-ct-contrast", "reviewed 2026-06-02", "support@0123456789ab")
    for words in (*sources, "cardiac.chest-pressure", "&lt;PERSON_1&gt;", "Urgency seen"):
        assert words in page


async def test_opening_is_told_apart_from_redrawing(client: httpx.AsyncClient, reads: FakeReads) -> None:
    await signed_in(client, NURSE).get(f"/console/conversations/{TALK}")
    await client.get(f"/console/fragments/conversations/{TALK}")
    assert reads.opened == 1


async def test_patient_text_is_never_markup(client: httpx.AsyncClient, reads: FakeReads) -> None:
    attack = '"><script>alert(1)</script>'
    reads.waiting = [escalation(1, preview=attack)]
    reads.talk = reads.talk.model_copy(update={"messages": [message(1, "patient", attack)]})
    for path in ("/console/", f"/console/conversations/{TALK}"):
        page = (await signed_in(client, NURSE).get(path)).text
        assert "<script>alert" not in page
        assert "&lt;script&gt;alert(1)" in page


async def test_unknown_conversation(client: httpx.AsyncClient) -> None:
    answer = await signed_in(client, NURSE).get(f"/console/conversations/{'0' * 32}")
    assert answer.status_code == 404
    assert "There is no such conversation" in answer.text


async def test_only_a_passing_gate_can_be_promoted(client: httpx.AsyncClient) -> None:
    page = (await signed_in(client, ADMIN).get("/console/adapters")).text
    assert page.count("1 of 2 sign-offs count") == 1
    posts = [line for line in page.splitlines() if "/promote" in line]
    assert len(posts) == 1
    assert "support%40fedcba987654/promote" in posts[0]
    assert '{"expected_epoch": 1}' in posts[0]
    assert [line for line in page.splitlines() if "/rollback" in line and '{"expected_epoch": 1}' in line]
    assert "The gate did not pass" in page
    assert "Needs a gate report" in page


@pytest.mark.parametrize("path", ["/console/sign-in", *PAGES])
async def test_pages_are_strict_and_never_cached(client: httpx.AsyncClient, path: str) -> None:
    answer = await signed_in(client, ADMIN if "adapters" in path else NURSE).get(path)
    policy = answer.headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self';")
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    assert answer.headers["Cache-Control"] == "no-store"
    assert "style=" not in answer.text
    assert "onclick" not in answer.text


@pytest.mark.parametrize(
    ("name", "status"), [("live.js", 200), ("htmx.min.js", 200), ("..%2Froutes.py", 404), ("x", 404)]
)
async def test_static_files(client: httpx.AsyncClient, name: str, status: int) -> None:
    assert (await client.get(f"/console/static/{name}")).status_code == status


async def test_what_a_page_reads_by_itself_keeps_no_session_alive(client: httpx.AsyncClient, reads: FakeReads) -> None:
    nurse = signed_in(client, NURSE)
    for path, attended in (("/console/", True), ("/console/fragments/queue", False)):
        await nurse.get(path)
        assert reads.attended.pop() is attended
