"""The console's pages in a real browser: accessible in every state, and right after a redraw."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field

import pytest
from fastapi import FastAPI
from fastapi.responses import StreamingResponse
from playwright.sync_api import Page, expect

from app.console.routes import COOKIE, build_router
from app.contracts.site import Site
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
