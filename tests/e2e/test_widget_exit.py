"""The quick way out after a message about abuse, in a real browser: nothing stays, Back leads elsewhere, no server."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, Route, expect

from app.contracts.site import Site
from app.widget.routes import build_router
from tests.browser import axe_violations, serve
from tests.browser_fixtures import OpenPage
from tests.e2e.fake_service import FakeService, build_fake_api
from tests.e2e.widget_page import WidgetPage

pytestmark = pytest.mark.browser

DEMO_PAGE = Path(__file__).resolve().parents[2] / "demo" / "page"
WEATHER = "https://www.weather.gov/"
ABUSE = "my husband hits me"


@pytest.fixture(scope="module")
def hospital(site: Site) -> Iterator[str]:
    app = build_fake_api(FakeService(site))
    app.include_router(build_router(site, page=DEMO_PAGE))
    with serve(app) as url:
        yield url


def at_hospital(open_page: OpenPage, url: str, path: str = "/", **options: object) -> Page:
    """A page that was at a blank page before, with a weather page that is not fetched from anywhere."""
    page = open_page("about:blank", **options)

    def weather(route: Route) -> None:
        route.fulfill(body=f"<title>Weather</title>{json.dumps(route.request.headers)}", content_type="text/html")

    page.context.route(f"{WEATHER}**", weather)
    page.goto(url + path)
    return page


@pytest.fixture
def chat(hospital: str, open_page: OpenPage) -> WidgetPage:
    """The chat after a message about abuse."""
    chat = WidgetPage(at_hospital(open_page, hospital)).open()
    chat.say(ABUSE)
    expect(chat.inside.get_by_role("button", name="Leave this page")).to_be_visible()
    return chat


def stored(page: Page) -> str:
    """What any frame of the page has stored."""
    script = "JSON.stringify([{...sessionStorage}, {...localStorage}, document.cookie])"
    return " ".join(frame.evaluate(script) for frame in page.frames if frame.url != "about:blank")


def left(page: Page, hospital: str) -> None:
    """The weather page stands where the hospital's was, and nothing of the chat is left."""
    page.wait_for_url(WEATHER)
    expect(page).to_have_title("Weather")
    assert "referer" not in page.content(), "the weather page must not learn where the patient was"
    assert page.evaluate("history.length") == 2
    page.go_back()
    assert page.url == "about:blank", "Back must not lead to the chat"
    page.goto(hospital)
    assert stored(page) == '[{},{},""]'
    expect(page.locator("bedside-chat iframe")).to_have_count(0)


def test_the_button_is_there_after_abuse_only_and_stays_in_view(hospital: str, open_page: OpenPage) -> None:
    chat = WidgetPage(at_hospital(open_page, hospital)).open()
    chat.say("chest pain")
    expect(chat.inside.locator(".crisis")).to_be_visible()
    leave = chat.inside.get_by_role("button", name="Leave this page")
    expect(leave).to_have_count(0)
    chat.say(ABUSE)
    expect(leave).to_be_in_viewport()
    for _ in range(3):
        chat.say(ABUSE)
    expect(chat.inside.locator(".crisis")).to_have_count(5)
    expect(leave).to_be_in_viewport()
    expect(leave).to_have_count(1)
    expect(chat.inside.locator("#leave")).to_contain_text("history still shows this site")
    chat.inside.get_by_text("Your browser's history still shows this site").click()
    expect(chat.inside.locator("#leave")).to_contain_text("choose History, and delete this website")
    chat.page.reload()
    expect(leave).to_be_in_viewport()


def test_the_button_leaves_at_once_and_nothing_stays(hospital: str, chat: WidgetPage) -> None:
    chat.composer.fill("he is coming")
    assert "token" in stored(chat.page)
    chat.inside.get_by_role("button", name="Leave this page").click()
    left(chat.page, hospital)


def test_it_is_reached_by_keyboard(hospital: str, chat: WidgetPage) -> None:
    chat.inside.get_by_role("button", name="Talk to a person").focus()
    for _ in range(2):
        chat.page.keyboard.press("Tab")
    expect(chat.inside.get_by_role("button", name="Leave this page")).to_be_focused()
    chat.page.keyboard.press("Enter")
    left(chat.page, hospital)


@pytest.mark.parametrize("place", ["composer", "host page"])
def test_esc_three_times_leaves_from_the_chat_and_from_the_page_around_it(
    hospital: str, chat: WidgetPage, place: str
) -> None:
    if place == "composer":
        chat.composer.focus()
    else:
        chat.page.locator("h1").first.click()
    for _ in range(3):
        chat.page.keyboard.press("Escape")
    left(chat.page, hospital)


def test_esc_once_does_not_leave_nor_hide_the_chat_and_says_what_it_does(chat: WidgetPage) -> None:
    chat.composer.focus()
    chat.page.keyboard.press("Escape")
    expect(chat.inside.locator("#live")).to_have_text("Press Esc 2 more to leave this page.")
    chat.page.wait_for_timeout(1_700)
    chat.page.keyboard.press("Escape")
    chat.page.keyboard.press("Escape")
    chat.page.wait_for_timeout(500)
    expect(chat.inside.locator(".crisis")).to_be_visible()
    assert chat.page.url.startswith("http://127.0.0.1")


def test_it_needs_no_server(site: Site, open_page: OpenPage) -> None:
    app = build_fake_api(FakeService(site))
    app.include_router(build_router(site, page=DEMO_PAGE))
    with serve(app) as url:
        chat = WidgetPage(at_hospital(open_page, url)).open()
        chat.say(ABUSE)
        expect(chat.inside.get_by_role("button", name="Leave this page")).to_be_visible()
    expect(chat.inside.locator("#connection")).to_contain_text("Connection lost")
    chat.say("he is at the door")
    chat.inside.get_by_role("button", name="Leave this page").click()
    chat.page.wait_for_url(WEATHER)
    chat.page.go_back()
    assert chat.page.url == "about:blank"


def test_the_chat_on_a_page_of_its_own_leaves_too(hospital: str, open_page: OpenPage) -> None:
    page = at_hospital(open_page, hospital, "/widget/frame")
    page.get_by_role("textbox").fill(ABUSE)
    page.get_by_role("button", name="Send").click()
    page.get_by_role("button", name="Leave this page").click()
    left(page, hospital)


def test_spanish(hospital: str, open_page: OpenPage) -> None:
    page = at_hospital(open_page, hospital, "/widget/frame?lang=es")
    page.get_by_role("textbox").fill(ABUSE)
    page.get_by_role("button", name="Enviar").click()
    expect(page.locator("#leave")).to_contain_text("El historial del navegador aún muestra este sitio")
    page.get_by_role("button", name="Salir de esta página").click()
    left(page, hospital)


def test_a_host_page_cannot_be_sent_elsewhere_by_another_frame(chat: WidgetPage) -> None:
    chat.page.evaluate("postMessage({bedside: 'leave'}, '*')")
    chat.page.evaluate("postMessage({bedside: 'armed', url: 'https://elsewhere.example/'}, '*')")
    chat.page.wait_for_timeout(300)
    assert chat.page.url.startswith("http://127.0.0.1")
    expect(chat.inside.locator(".crisis")).to_be_visible()


def test_a_card_offers_text_and_chat_but_no_page_of_a_hotline_after_abuse(hospital: str, open_page: OpenPage) -> None:
    chat = WidgetPage(at_hospital(open_page, hospital)).open()
    chat.say("I want to end it all")
    card = chat.inside.locator(".crisis").last
    expect(card.get_by_role("link", name="Text 988")).to_have_attribute("href", "sms:988")
    expect(card.get_by_role("link", name="Chat online")).to_have_attribute("href", "https://988lifeline.org/")
    expect(card).to_contain_text("It is free.")
    chat.say(ABUSE)
    card = chat.inside.locator(".crisis").last
    expect(card.get_by_role("link", name="Call 1-800-799-7233")).to_be_visible()
    expect(card.get_by_role("link", name="Text 88788: START")).to_have_attribute("href", "sms:88788")
    expect(card.get_by_role("link", name="Chat online")).to_have_count(0)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize(("width", "height"), [(320, 256), (390, 844), (1280, 900)])
def test_it_is_accessible_and_reflows(hospital: str, open_page: OpenPage, width: int, height: int, scheme: str) -> None:
    viewport = {"width": width, "height": height}
    chat = WidgetPage(at_hospital(open_page, hospital, viewport=viewport, color_scheme=scheme)).open()
    chat.say(ABUSE)
    leave = chat.inside.get_by_role("button", name="Leave this page")
    expect(leave).to_be_in_viewport()
    box = leave.bounding_box()
    assert box
    assert box["height"] >= 44
    assert axe_violations(chat.page, chat.frame) == []
    wide = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
    assert chat.frame.evaluate(wide) == 0
