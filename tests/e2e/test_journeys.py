"""The three journeys in a real browser against the real service: patient, nurse, administrator."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from tests.browser import axe_violations
from tests.browser_fixtures import OpenPage
from tests.e2e.console_page import ConsolePage
from tests.e2e.widget_page import WidgetPage
from tests.live_service import RunningService

pytestmark = [pytest.mark.browser, pytest.mark.engine, pytest.mark.timeout(1_200)]

QUESTION = "What should I bring to my first visit?"


def open_chat(open_page: OpenPage, service: RunningService) -> WidgetPage:
    chat = WidgetPage(open_page(service.url)).open()
    expect(chat.inside.locator("#consent")).to_contain_text("It is kept for 90 days")
    return chat.accept()


def sign_in(open_page: OpenPage, service: RunningService, username: str) -> ConsolePage:
    page = open_page(f"{service.url}/console/")
    return ConsolePage(page, service.url).sign_in(username, service.passwords[username])


def test_patient(service: RunningService, open_page: OpenPage) -> None:
    """Opens, accepts, asks, reads a cited answer, rates it, reloads, asks for a person."""
    chat = open_chat(open_page, service)
    chat.say(QUESTION)
    reply = chat.messages.nth(1)
    source = reply.locator(".source").first
    expect(source).to_contain_text("reviewed", timeout=60_000)
    expect(reply).to_have_attribute("data-author", "assistant")
    with chat.page.context.expect_page() as article:
        source.get_by_role("link").click()
    expect(article.value.locator("h1")).to_contain_text("first visit", ignore_case=True)
    article.value.close()
    reply.get_by_role("button", name="Helpful", exact=True).click()
    before = chat.texts()
    chat.page.reload()
    expect(chat.messages).to_have_count(2)
    assert chat.texts() == before
    expect(chat.messages.nth(1).get_by_role("button", name="Helpful", exact=True)).to_have_attribute(
        "aria-pressed", "true"
    )
    chat.inside.locator("#talk").click()
    expect(chat.who).to_have_text("Waiting for a person")
    expect(chat.inside.locator("#waiting")).to_contain_text("In an emergency call 911")
    assert axe_violations(chat.page, chat.frame) == []


def test_emergency_without_consent(service: RunningService, open_page: OpenPage) -> None:
    chat = WidgetPage(open_page(service.url)).open()
    chat.say("I have crushing chest pain")
    card = chat.inside.locator(".crisis [role=alert]")
    expect(card).to_contain_text("911")
    expect(card.locator('a[href="tel:911"]')).to_be_visible()
    expect(chat.inside.locator(".crisis")).to_have_count(1)


def test_nurse(service: RunningService, open_page: OpenPage) -> None:
    """Signs in, sees the patient arrive, takes over, writes; the patient sees it at once under her name."""
    nurse = sign_in(open_page, service, "maria")
    chat = open_chat(open_page, service)
    words = "I need help with the purple form from Tuesday"
    chat.inside.locator("#talk").click()
    expect(chat.who).to_have_text("Waiting for a person")
    chat.say(words)

    case = nurse.cases("purple form")
    expect(case).to_be_visible()
    expect(case.locator(".badge")).to_contain_text("Routine")
    case.get_by_role("link").first.click()
    expect(nurse.thread).to_contain_text("purple form")
    expect(nurse.reply).to_be_hidden()
    nurse.page.get_by_role("button", name="Take over").click()
    expect(chat.who).to_have_text("Maria, care team")

    nurse.say("Hello, this is Maria. I can help with that form.")
    expect(chat.messages.last).to_contain_text("I can help with that form.")
    expect(chat.messages.last.locator(".by")).to_contain_text("Maria")
    expect(nurse.reply).to_have_value("")
    answers = chat.inside.locator("#log [data-author=assistant]").count()
    chat.say("Thank you, where do I send it?")
    expect(nurse.thread).to_contain_text("where do I send it?")
    chat.page.wait_for_timeout(1_500)
    assert chat.inside.locator("#log [data-author=assistant]").count() == answers
    assert axe_violations(nurse.page) == []

    nurse.page.get_by_role("button", name="Resolve…").click()
    nurse.page.get_by_label("How did it end?").select_option("answered")
    nurse.page.get_by_role("button", name="Resolve", exact=True).click()
    expect(nurse.page.get_by_role("heading", name="Patients who need a person")).to_be_visible()
    expect(nurse.cases("purple form")).to_have_count(0)
    expect(chat.who).to_have_text("AI assistant")


def test_claim_next_takes_the_most_urgent(service: RunningService, open_page: OpenPage) -> None:
    routine = open_chat(open_page, service)
    routine.inside.locator("#talk").click()
    expect(routine.who).to_have_text("Waiting for a person")
    urgent = open_chat(open_page, service)
    urgent.say("I have crushing chest pain")
    expect(urgent.inside.locator(".crisis")).to_be_visible()
    nurse = sign_in(open_page, service, "maria")
    expect(nurse.page.locator(".case").first).to_contain_text("Emergency")
    nurse.page.get_by_role("button", name="Claim next").click()
    expect(nurse.reply).to_be_visible()
    expect(nurse.page.locator(".side")).to_contain_text("Emergency")


def test_wrong_password_is_told_and_changes_nothing(service: RunningService, open_page: OpenPage) -> None:
    page = open_page(f"{service.url}/console/")
    page.get_by_label("User name").fill("maria")
    page.get_by_label("Password").fill("not the password")
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("alert")).to_contain_text("password is wrong")
    assert "/console/sign-in" in page.url


def test_administrator(service: RunningService, open_page: OpenPage) -> None:
    """Sees the adapters, which one is live, and signs out."""
    admin = sign_in(open_page, service, "admin")
    admin.page.get_by_role("link", name="Adapters").click()
    expect(admin.page.get_by_role("heading", name="Adapters")).to_be_visible()
    expect(admin.page.get_by_text("Live for patients")).to_be_visible()
    expect(admin.page.get_by_role("button", name="Roll back")).to_be_visible()
    assert axe_violations(admin.page) == []
    admin.page.get_by_role("button", name="Sign out").click()
    expect(admin.page.get_by_role("button", name="Sign in")).to_be_visible()
    admin.page.goto(f"{service.url}/console/adapters")
    assert "/console/sign-in" in admin.page.url


def test_staff_without_the_role_see_no_adapters(service: RunningService, open_page: OpenPage) -> None:
    nurse = sign_in(open_page, service, "maria")
    expect(nurse.page.get_by_role("link", name="Adapters")).to_have_count(0)
    nurse.page.goto(f"{service.url}/console/adapters")
    expect(nurse.page.get_by_role("heading", name="Not for this account")).to_be_visible()
