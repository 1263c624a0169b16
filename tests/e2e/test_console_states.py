"""The console's pages in a real browser: accessible in every state, and right after a redraw."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import pytest
from fastapi import FastAPI
from fastapi.responses import StreamingResponse
from playwright.sync_api import Page, expect

from app.console.routes import COOKIE, build_router
from app.contracts.site import Site
from app.escalations.schemas import EscalationView, NoteView
from tests.browser import axe_violations, serve
from tests.browser_fixtures import OpenPage
from tests.fakes_console import ADMIN, NURSE, NURSE_ID, TALK, FakeReads, escalation, message

pytestmark = pytest.mark.browser


@dataclass
class Desk:
    """A console over :class:`FakeReads`, whose events the test sends."""

    url: str
    reads: FakeReads = field(default_factory=FakeReads)
    events: list[str] = field(default_factory=list)

    def send(self, event: str, data: str) -> None:
        self.events.append(f"event: {event}\ndata: {data}\n\n")


@pytest.fixture
def desk(site: Site) -> Iterator[Desk]:
    desk = Desk("")
    app = FastAPI()
    app.include_router(build_router(site, desk.reads))

    async def stream(sent: int) -> AsyncIterator[str]:
        yield ": open\n\n"
        while True:
            await asyncio.sleep(0.02)
            for event in desk.events[sent:]:
                yield event
            sent = len(desk.events)

    @app.get("/v1/staff/events")
    async def events() -> StreamingResponse:
        return StreamingResponse(stream(len(desk.events)), media_type="text/event-stream")

    with serve(app) as desk.url:
        yield desk


def open_as(open_page: OpenPage, desk: Desk, token: str, path: str, **options: object) -> Page:
    page = open_page(f"{desk.url}/console/sign-in", **options)
    page.context.add_cookies([{"name": COOKIE, "value": token, "url": desk.url}])
    page.goto(desk.url + path)
    return page


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [320, 390, 1280])
def test_every_page_is_accessible_and_reflows(desk: Desk, open_page: OpenPage, width: int, scheme: str) -> None:
    page = open_page(f"{desk.url}/console/sign-in", viewport={"width": width, "height": 900}, color_scheme=scheme)
    found: list[str] = []

    def check(state: str) -> None:
        found.extend(f"{state} {line}" for line in axe_violations(page))
        wide = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        if wide > 0:
            found.append(f"{state} scrolls sideways by {wide} px")

    check("sign-in")
    page.context.add_cookies([{"name": COOKIE, "value": NURSE, "url": desk.url}])
    page.goto(f"{desk.url}/console/")
    check("queue")
    for handler, owner in (("waiting", None), ("assistant", None), ("staff", "2" * 32), ("staff", NURSE_ID)):
        desk.reads.talk = desk.reads.talk.model_copy(
            update={"handler": handler, "staff_id": owner, "staff_name": owner and "Maria Lopez, RN"}
        )
        page.goto(f"{desk.url}/console/conversations/{TALK}")
        page.locator("summary").first.click()
        check(f"{handler} {owner}")
    page.get_by_role("button", name="Resolve…").click()
    check("resolve")
    desk.reads.waiting = [in_crisis(follow_up_at=datetime.now(UTC) + timedelta(minutes=20))]
    page.goto(f"{desk.url}/console/")
    check("follow-up")
    page.goto(f"{desk.url}/console/conversations/{TALK}")
    page.get_by_role("button", name="Outcome of crisis call…").click()
    page.get_by_label("What came of it?").select_option("not_reached")
    check("crisis")
    page.context.add_cookies([{"name": COOKIE, "value": ADMIN, "url": desk.url}])
    page.goto(f"{desk.url}/console/adapters")
    page.locator("summary").last.click()
    check("adapters")
    assert found == []


def test_queue_redraws_when_somebody_arrives(desk: Desk, open_page: OpenPage) -> None:
    page = open_as(open_page, desk, NURSE, "/console/")
    expect(page).to_have_title("(3) Queue · Cedar Valley")
    expect(page.locator("#link")).to_have_text("Live")
    desk.reads.waiting.append(escalation(9, preview="A new patient"))
    desk.send("escalation.created", "{}")
    expect(page.locator(".case").filter(has_text="A new patient")).to_be_visible()
    expect(page).to_have_title("(4) Queue · Cedar Valley")
    expect(page.locator("#said")).to_have_text("4 waiting")


TONES = """window.tones = 0;
const make = AudioContext.prototype.createOscillator;
AudioContext.prototype.createOscillator = function () { window.tones++; return make.call(this); };"""


def arrive(desk: Desk, page: Page, number: int, priority: int) -> None:
    """A call comes in and is shown."""
    desk.reads.waiting.append(escalation(number, priority=priority, preview=f"Call {number}"))
    desk.send("escalation.created", "{}")
    expect(page.locator(".case").filter(has_text=f"Call {number}")).to_be_visible()


def test_new_urgent_calls_are_counted_in_the_title_until_somebody_is_there(desk: Desk, open_page: OpenPage) -> None:
    page = open_as(open_page, desk, NURSE, "/console/")
    expect(page).to_have_title("(3) Queue · Cedar Valley")  # two of them urgent, and there before
    expect(page.locator("#link")).to_have_text("Live")
    arrive(desk, page, 9, 2)
    expect(page).to_have_title("(4) Queue · Cedar Valley")
    arrive(desk, page, 10, 1)
    expect(page).to_have_title("1 new urgent · (5) Queue · Cedar Valley")
    arrive(desk, page, 11, 0)
    expect(page).to_have_title("2 new urgent · (6) Queue · Cedar Valley")
    desk.reads.waiting.pop()  # somebody else has taken it
    desk.send("escalation.claimed", "{}")
    expect(page).to_have_title("1 new urgent · (5) Queue · Cedar Valley")
    page.keyboard.press("Shift")
    expect(page).to_have_title("(5) Queue · Cedar Valley")
    arrive(desk, page, 11, 0)  # it comes back
    expect(page).to_have_title("1 new urgent · (6) Queue · Cedar Valley")


def test_a_call_that_becomes_urgent_is_new(desk: Desk, open_page: OpenPage) -> None:
    page = open_as(open_page, desk, NURSE, "/console/")
    expect(page.locator("#link")).to_have_text("Live")
    desk.reads.waiting[2] = escalation(3, priority=0)
    desk.send("escalation.created", "{}")
    expect(page).to_have_title("1 new urgent · (3) Queue · Cedar Valley")


def test_the_sound_is_off_until_it_is_chosen_and_the_choice_stays(desk: Desk, open_page: OpenPage) -> None:
    page = open_as(open_page, desk, NURSE, "/console/")
    page.context.add_init_script(TONES)
    page.reload()
    expect(page.locator("#link")).to_have_text("Live")
    choice = page.get_by_role("checkbox", name="Sound for new urgent calls")
    expect(choice).not_to_be_checked()
    arrive(desk, page, 9, 0)
    assert page.evaluate("tones") == 0
    choice.check()
    expect(page.locator("#sound-note")).to_have_text("On")
    page.wait_for_function("tones === 2")  # heard once, so that she knows it
    arrive(desk, page, 10, 1)
    page.wait_for_function("tones === 4")
    arrive(desk, page, 11, 2)
    assert page.evaluate("tones") == 4
    page.reload()
    expect(choice).to_be_checked()
    expect(page.locator("#link")).to_have_text("Live")
    page.keyboard.press("Shift")  # the browser wants to be touched again
    expect(page.locator("#sound-note")).to_have_text("On")
    arrive(desk, page, 12, 0)
    page.wait_for_function("tones === 2")
    choice.uncheck()
    expect(page.locator("#sound-note")).to_have_text("")
    arrive(desk, page, 13, 0)
    page.reload()
    expect(choice).not_to_be_checked()
    assert page.evaluate("tones") == 0


def test_redraw_keeps_draft_open_details_and_focus(desk: Desk, open_page: OpenPage) -> None:
    desk.reads.talk = desk.reads.talk.model_copy(
        update={"handler": "staff", "staff_id": NURSE_ID, "staff_name": "Maria"}
    )
    page = open_as(open_page, desk, NURSE, f"/console/conversations/{TALK}")
    expect(page.locator("#link")).to_have_text("Live")
    page.locator("summary").first.click()
    page.get_by_role("textbox", name="Reply as").fill("half a reply")
    words = [*desk.reads.talk.messages, message(9, "patient", "I also have a question")]
    desk.reads.talk = desk.reads.talk.model_copy(update={"messages": words})
    desk.send("message.created", f'{{"conversation_id": "{TALK}", "message_id": "x"}}')
    expect(page.locator(".messages")).to_contain_text("I also have a question")
    expect(page.locator("#said")).to_have_text("Patient: I also have a question")
    reply = page.get_by_role("textbox", name="Reply as")
    expect(reply).to_have_value("half a reply")
    expect(reply).to_be_focused()
    expect(page.locator("details").first).to_have_attribute("open", "")


def test_composer_locks_when_somebody_else_takes_over(desk: Desk, open_page: OpenPage) -> None:
    desk.reads.talk = desk.reads.talk.model_copy(
        update={"handler": "staff", "staff_id": NURSE_ID, "staff_name": "Maria"}
    )
    page = open_as(open_page, desk, NURSE, f"/console/conversations/{TALK}")
    expect(page.get_by_role("textbox", name="Reply as")).to_be_visible()
    expect(page.locator("#link")).to_have_text("Live")
    desk.reads.talk = desk.reads.talk.model_copy(update={"staff_id": "2" * 32, "staff_name": "Jon Park"})
    desk.send("escalation.claimed", f'{{"escalation": {{"conversation_id": "{TALK}"}}}}')
    expect(page.get_by_text("Jon Park is writing with this patient")).to_be_visible()
    expect(page.get_by_role("textbox", name="Reply as")).to_be_hidden()


def test_failure_of_a_post_is_told(desk: Desk, open_page: OpenPage) -> None:
    """The double has no JSON API: every post fails, and the page says so."""
    page = open_as(open_page, desk, NURSE, "/console/")
    page.get_by_role("button", name="Claim next").click()
    expect(page.get_by_role("alert")).to_contain_text("Not Found")
    expect(page.get_by_role("button", name="Claim next")).to_be_enabled()


def in_crisis(**values: object) -> EscalationView:
    """A crisis call that was tried before."""
    note = NoteView(
        staff_name="Jon Park", disposition="not_reached", text="No answer, left no message",
        follow_up_at=datetime.now(UTC), created_at=datetime.now(UTC),
    )  # fmt: skip
    about = {"priority": 0, "reason": "emergency:suicide", "tier": "emergency", "category": "suicide", "crisis": True}
    return escalation(1, **{**about, "notes": [note], **values})


def test_a_crisis_call_is_closed_with_outcome_note_and_follow_up(desk: Desk, open_page: OpenPage) -> None:
    """The double has no JSON API: what would be posted is read from the request."""
    desk.reads.talk = desk.reads.talk.model_copy(
        update={"handler": "staff", "staff_id": NURSE_ID, "staff_name": "Maria"}
    )
    desk.reads.waiting = [in_crisis(status="claimed", staff_id=NURSE_ID)]
    page = open_as(open_page, desk, NURSE, f"/console/conversations/{TALK}")
    posted: list[dict[str, str]] = []
    page.on("request", lambda r: posted.append(json.loads(r.post_data or "{}")) if r.method == "POST" else None)
    expect(page.get_by_text("The assistant is silent until it is closed")).to_be_visible()
    expect(page.get_by_text("No answer, left no message")).to_be_visible()
    expect(page.get_by_role("button", name="Return to assistant")).to_be_hidden()
    expect(page.get_by_role("button", name="Resolve…")).to_be_hidden()
    page.get_by_role("button", name="Outcome of crisis call…").click()
    close = page.get_by_role("button", name="Save outcome")
    close.click()
    expect(page.get_by_role("dialog")).to_be_visible()
    assert posted == [], "nothing is sent without an outcome"
    outcome, follow_up = page.get_by_label("What came of it?"), page.get_by_label("Try again in")
    outcome.select_option("reached")
    expect(follow_up).to_be_hidden()
    close.click()
    assert posted == [], "nothing is sent without a note"
    outcome.select_option("not_reached")
    expect(follow_up).to_be_visible()
    follow_up.select_option("60")
    page.get_by_label("Note for the team").last.fill("No answer, called twice")
    close.click()
    expect(page.get_by_role("alert")).to_contain_text("Not Found")
    assert posted == [{"disposition": "not_reached", "follow_up_minutes": "60", "note": "No answer, called twice"}]
    page.get_by_role("button", name="Outcome of crisis call…").click()
    outcome.select_option("crisis_team")
    close.click()
    expect(page.get_by_role("alert")).to_contain_text("Not Found")
    assert posted[1] == {"disposition": "crisis_team", "note": "No answer, called twice"}


def test_promotion_asks_first(desk: Desk, open_page: OpenPage) -> None:
    page = open_as(open_page, desk, ADMIN, "/console/adapters")
    sent: list[str] = []
    page.on("request", lambda request: sent.append(request.url) if request.method == "POST" else None)
    page.get_by_role("button", name="Promote", disabled=False).click()
    expect(page.get_by_text("Give support@fedcba987654 to all patients?")).to_be_visible()
    page.get_by_role("button", name="Cancel").click()
    assert sent == []
    page.get_by_role("button", name="Promote", disabled=False).click()
    page.get_by_role("button", name="Continue").click()
    expect(page.get_by_role("alert")).not_to_be_empty()
    assert [url.removeprefix(desk.url) for url in sent] == ["/v1/admin/adapters/support%40fedcba987654/promote"]


def test_an_unattended_page_signs_out_however_often_it_redraws_and_one_that_is_read_does_not(
    desk: Desk, open_page: OpenPage
) -> None:
    page = open_page(f"{desk.url}/console/sign-in")
    page.clock.install()
    sent: list[str] = []
    page.route("**/v1/staff/me", lambda route: (sent.append("me"), route.fulfill(status=200, json={})))
    page.route("**/v1/staff/sign-out", lambda route: (sent.append("out"), route.fulfill(status=204)))
    page.context.add_cookies([{"name": COOKIE, "value": NURSE, "url": desk.url}])
    page.goto(f"{desk.url}/console/")
    page.clock.run_for("13:30")
    expect(page.locator("#flash")).to_contain_text("You will be signed out")
    assert sent == []
    page.keyboard.press("ArrowDown")  # she reads
    page.clock.run_for("00:10")
    expect(page.locator("#flash")).to_be_empty()
    assert sent == ["me"]
    page.evaluate("scrollTo(0, 1); document.querySelector('[data-live]').dispatchEvent(new Event('changed'))")
    page.clock.run_for("15:10")
    page.wait_for_url("**/console/sign-in")
    assert sent == ["me", "out"]
