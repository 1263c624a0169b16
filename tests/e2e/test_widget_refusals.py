"""The widget when a message is refused or the service is gone: the number to call, and the safety text at once."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from playwright.sync_api import Page, Request, Route, expect

from app.contracts.site import Site
from app.widget.routes import build_router
from tests.browser import axe_violations, serve
from tests.browser_fixtures import OpenPage
from tests.e2e.fake_service import ABUSE_TEXT, CRISIS_TEXT, FakeService, build_fake_api
from tests.e2e.widget_page import WidgetPage

pytestmark = pytest.mark.browser

DEMO_PAGE = Path(__file__).resolve().parents[2] / "demo" / "page"
MESSAGES = "**/v1/conversations/*/messages"
NUMBER = "In an emergency call 911"


@pytest.fixture(scope="module")
def app(site: Site) -> FastAPI:
    """The double, to be served."""
    found = build_fake_api(FakeService(site, pause_s=0.05))
    found.include_router(build_router(site, page=DEMO_PAGE))
    return found


@pytest.fixture(scope="module")
def url(app: FastAPI) -> Iterator[str]:
    with serve(app) as address:
        yield address


@dataclass
class Refusing:
    """Answers requests of the page with a problem while ``on``; remembers their bodies."""

    site: Site
    status: int
    text: str = ""
    category: str = "cardiac"
    on: bool = True
    asked: list[tuple[str, Any]] = field(default_factory=list)

    def __call__(self, route: Route) -> None:
        if not self.on or route.request.method != "POST":
            return route.fallback()
        self.asked.append((route.request.url, route.request.post_data_json))
        body: dict[str, Any] = {
            "status": self.status,
            "name": "refused",
            "title": "Refused",
            "detail": "It is refused.",
        }
        body["emergency"] = "If this is an emergency, call 911."
        if self.text and "text" in (route.request.post_data_json or {}):
            routes = FakeService(self.site).routes("911", "nurse_line")
            body |= {"safety_text": self.text, "category": self.category, "routes": routes}
        route.fulfill(status=self.status, body=json.dumps(body), content_type="application/problem+json")


def stands_out(chat: WidgetPage) -> None:
    """The number is large, on the colour of alarm, can be pressed, and is read out."""
    alert = chat.inside.locator("#problem")
    expect(alert).to_contain_text(NUMBER)
    expect(alert).to_have_attribute("role", "alert")
    footer = chat.inside.locator("footer")
    expect(footer.locator('a[href="tel:911"]')).to_be_in_viewport()
    style = "node => [parseFloat(getComputedStyle(node).fontSize), getComputedStyle(node).backgroundColor]"
    size, colour = footer.evaluate(style)
    assert size > 18
    assert colour == "rgb(163, 22, 26)"


@pytest.mark.parametrize("accepted", [True, False])
def test_the_number_is_shown_when_the_server_is_gone(app: FastAPI, open_page: OpenPage, accepted: bool) -> None:
    """Also to a patient who has no session yet, and before the last of several tries has failed."""
    with ExitStack() as running:
        chat = WidgetPage(open_page(running.enter_context(serve(app)))).open()
        expect(chat.inside.locator("#accept")).to_be_visible()
        if accepted:
            chat.accept()
        running.close()
        chat.say("I have crushing chest pain")
        expect(chat.inside.locator("#problem")).to_contain_text("cannot be reached", timeout=4_000)
        expect(chat.inside.get_by_role("button", name="Send")).to_be_disabled()
        stands_out(chat)
        expect(chat.inside.get_by_role("button", name="Try again")).to_be_visible(timeout=30_000)
        stands_out(chat)
        expect(chat.messages.first).to_contain_text("I have crushing chest pain")


def test_the_number_is_shown_when_the_chat_cannot_even_start(url: str, open_page: OpenPage) -> None:
    page = open_page("about:blank")
    page.route("**/v1/**", lambda route: route.abort())
    page.goto(url)
    chat = WidgetPage(page).open()
    expect(chat.inside.locator("#problem")).to_contain_text("cannot be reached", timeout=30_000)
    stands_out(chat)


def test_the_number_is_shown_when_the_server_is_gone_before_the_chat_is_opened(
    app: FastAPI, open_page: OpenPage
) -> None:
    with ExitStack() as running:
        page = open_page(running.enter_context(serve(app)))
        launcher = WidgetPage(page).launcher
        expect(launcher).to_be_visible()
        running.close()
        launcher.click()
        note = page.get_by_role("alert").filter(has_text="In an emergency call 911.")
        expect(note).to_be_visible(timeout=15_000)
        expect(note).to_be_in_viewport()


def test_the_number_goes_when_the_chat_comes_late(url: str, open_page: OpenPage) -> None:
    page = open_page("about:blank")
    page.route("**/widget/frame?*", lambda route: (page.wait_for_timeout(6_000), route.continue_()))
    page.goto(url)
    chat = WidgetPage(page)
    chat.launcher.click()
    note = page.get_by_role("alert").filter(has_text="In an emergency call 911.")
    expect(note).to_be_visible(timeout=15_000)
    expect(chat.who).to_be_visible()
    expect(note).to_be_hidden()


def _talk(url: str, open_page: OpenPage, refusing: Refusing, pattern: str = MESSAGES, **options: Any) -> WidgetPage:
    page: Page = open_page("about:blank", **options)
    page.route(pattern, refusing)
    page.goto(url)
    return WidgetPage(page).open()


@pytest.mark.parametrize("status", [503, 429, 413, 401])
def test_a_refused_emergency_gets_its_text_at_once(url: str, site: Site, open_page: OpenPage, status: int) -> None:
    refusing = Refusing(site, status, CRISIS_TEXT)
    chat = _talk(url, open_page, refusing).accept()
    chat.say("I have crushing chest pain")
    card = chat.inside.get_by_role("alert").filter(has_text=CRISIS_TEXT)
    expect(card).to_be_visible(timeout=3_000)
    expect(card.locator('a[href="tel:911"]')).to_contain_text("Call 911")
    expect(card.locator('a[href="tel:5155550111"]')).to_be_visible()
    expect(chat.inside.get_by_role("button", name="Send")).to_be_enabled(timeout=30_000)
    expect(card).to_be_visible()
    stands_out(chat)
    kept = chat.composer.input_value() + chat.inside.locator("#log").inner_text()
    assert "I have crushing chest pain" in kept
    assert axe_violations(chat.page, chat.frame) == []


def test_a_refused_question_gets_the_number_and_nothing_alarming(url: str, site: Site, open_page: OpenPage) -> None:
    chat = _talk(url, open_page, Refusing(site, 413)).accept()
    chat.say("Where do I park?")
    stands_out(chat)
    expect(chat.inside.locator("#problem")).to_contain_text("It is refused.")
    expect(chat.inside.locator(".crisis")).to_have_count(0)
    expect(chat.composer).to_have_value("Where do I park?")


def test_once_the_message_is_taken_the_refusal_is_gone(url: str, site: Site, open_page: OpenPage) -> None:
    refusing = Refusing(site, 413, CRISIS_TEXT)
    chat = _talk(url, open_page, refusing).accept()
    chat.say("my chest hurts")
    expect(chat.inside.locator(".crisis")).to_have_count(1)
    refusing.on = False
    chat.inside.get_by_role("button", name="Send").click()
    expect(chat.inside.locator("#problem")).to_be_empty()
    expect(chat.messages).to_have_count(2)  # the patient's words and the card that the service has stored
    expect(chat.inside.locator(".crisis")).to_have_count(1)


def test_without_a_session_the_message_is_looked_at_all_the_same(url: str, site: Site, open_page: OpenPage) -> None:
    refusing = Refusing(site, 503, CRISIS_TEXT)
    chat = _talk(url, open_page, refusing, "**/v1/{sessions,conversations/none/messages}")
    chat.say("I have crushing chest pain")
    expect(chat.inside.get_by_role("alert").filter(has_text=CRISIS_TEXT)).to_be_visible(timeout=3_000)
    sent = [body for address, body in refusing.asked if address.endswith("/none/messages")]
    assert sent[0] == {"text": "I have crushing chest pain"}
    expect(chat.inside.get_by_role("button", name="Try again")).to_be_visible(timeout=30_000)
    assert axe_violations(chat.page, chat.frame) == []


def test_a_message_that_is_too_long_reaches_the_service(url: str, site: Site, open_page: OpenPage) -> None:
    refusing = Refusing(site, 413, CRISIS_TEXT)
    chat = _talk(url, open_page, refusing).accept()
    long = f"{'well ' * 900}and my chest hurts"
    chat.composer.fill(long)
    expect(chat.inside.locator("#hint")).to_contain_text("characters too many")
    chat.inside.get_by_role("button", name="Send").click()
    expect(chat.inside.locator(".crisis")).to_contain_text(CRISIS_TEXT)
    assert [body["text"] for _address, body in refusing.asked] == [long]
    expect(chat.composer).to_have_value(long)


def test_a_refused_message_about_abuse_offers_the_way_out(url: str, site: Site, open_page: OpenPage) -> None:
    refusing = Refusing(site, 413, ABUSE_TEXT, "abuse")
    chat = _talk(url, open_page, refusing).accept()
    chat.say("he hits me")
    expect(chat.inside.get_by_role("button", name="Leave this page")).to_be_visible()


def test_the_number_is_asked_for_in_the_language_of_the_chat(url: str, open_page: OpenPage) -> None:
    page = open_page("about:blank")
    seen: list[str] = []

    def note(request: Request) -> None:
        if request.method == "POST":
            seen.append(request.headers.get("accept-language", ""))

    page.on("request", note)
    page.goto(url)
    chat = WidgetPage(page).open()
    chat.inside.get_by_role("button", name="Options").click()
    chat.inside.get_by_role("button", name="Español").click()
    expect(chat.inside.get_by_role("button", name="Aceptar y empezar")).to_be_visible()
    seen.clear()
    page.route(MESSAGES, lambda route: route.abort())
    chat.inside.locator("#accept").click()
    expect(chat.inside.locator("#consent")).to_be_hidden()
    chat.composer.fill("me duele")
    chat.composer.press("Enter")
    expect(chat.inside.locator("#problem")).to_contain_text("En una emergencia llame al 911")
    assert set(seen) == {"es"}
