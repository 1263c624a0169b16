"""The console ends a call only as it was seen: it sends the version that was drawn, in a real Chromium."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest
from fastapi import FastAPI, Request
from playwright.sync_api import Page, expect

from app.console.routes import COOKIE, build_router
from app.contracts.site import Site
from tests.browser import serve
from tests.browser_fixtures import OpenPage
from tests.fakes_console import NURSE, NURSE_ID, TALK, FakeReads

pytestmark = pytest.mark.browser


@dataclass
class Desk:
    """A console over :class:`FakeReads`; ``sent`` are the posts, with the version that they were made for."""

    url: str = ""
    reads: FakeReads = field(default_factory=FakeReads)
    sent: list[tuple[str, str | None]] = field(default_factory=list)


@pytest.fixture
def desk(site: Site) -> Iterator[Desk]:
    desk, app = Desk(), FastAPI()
    desk.reads.talk = desk.reads.talk.model_copy(
        update={"handler": "staff", "staff_id": NURSE_ID, "staff_name": "Maria", "version": 7}
    )

    @app.post("/v1/staff/conversations/{conversation}/{act}")
    async def act(request: Request, conversation: str, act: str) -> dict[str, str]:
        desk.sent.append((act, request.headers.get("If-Match")))
        return {}

    app.include_router(build_router(site, desk.reads))
    with serve(app) as desk.url:
        yield desk


@pytest.fixture
def page(desk: Desk, open_page: OpenPage) -> Page:
    page = open_page(f"{desk.url}/console/sign-in")
    page.context.add_cookies([{"name": COOKIE, "value": NURSE, "url": desk.url}])
    page.goto(f"{desk.url}/console/conversations/{TALK}")
    return page


def redraw(desk: Desk, page: Page, version: int) -> None:
    """The patient has written, and the page shows it."""
    desk.reads.talk = desk.reads.talk.model_copy(update={"version": version})
    page.evaluate("htmx.trigger(document.querySelector('[data-live]'), 'changed')")
    expect(page.locator("#thread")).to_have_attribute("data-version", str(version))


def test_a_release_is_of_what_was_seen_before_the_question(desk: Desk, page: Page) -> None:
    page.get_by_role("button", name="Return to assistant").click()
    redraw(desk, page, 8)
    page.get_by_role("button", name="Continue").click()
    assert wait_sent(desk, page) == [("release", '"7"')]


def test_a_call_is_resolved_as_it_was_when_the_form_was_opened(desk: Desk, page: Page) -> None:
    page.get_by_role("button", name="Resolve…").click()
    redraw(desk, page, 8)
    page.get_by_label("How did it end?").select_option("answered")
    page.get_by_role("button", name="Resolve", exact=True).click()
    assert wait_sent(desk, page) == [("resolve", '"7"')]


def test_a_reply_is_sent_whatever_the_patient_has_written_meanwhile(desk: Desk, page: Page) -> None:
    page.get_by_role("textbox", name="Reply as").fill("Hello")
    page.get_by_role("button", name="Send").click()
    assert wait_sent(desk, page) == [("messages", None)]


def wait_sent(desk: Desk, page: Page) -> list[tuple[str, str | None]]:
    """What was sent, once something was."""
    for _ in range(100):
        if desk.sent:
            break
        page.wait_for_timeout(50)
    return desk.sent
