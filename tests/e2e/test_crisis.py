"""A crisis from the patient's message to its outcome, in a real browser against the real service with no engine."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.browser_fixtures import OpenPage
from tests.e2e.console_page import ConsolePage
from tests.e2e.widget_page import WidgetPage
from tests.live_service import RunningService, run, settings_for

pytestmark = [pytest.mark.browser, pytest.mark.timeout(600)]

WEATHER = "https://www.weather.gov/"


@pytest.fixture(scope="module")
def hospital(
    stocked_url: str, tmp_path_factory: pytest.TempPathFactory, encoder_folder: Path
) -> Iterator[RunningService]:
    """The service without an engine."""
    with run(settings_for(stocked_url, tmp_path_factory.mktemp("state"), encoder_folder)) as running:
        yield running


def record(page: Page, outcome: str, note: str) -> None:
    """Say what came of the crisis call."""
    page.get_by_role("button", name="Outcome of crisis call…").click()
    page.get_by_label("What came of it?").select_option(outcome)
    page.get_by_label("Note for the team").last.fill(note)
    page.get_by_role("button", name="Save outcome").click()


def test_abuse_told_in_spanish_to_an_english_chat(hospital: RunningService, open_page: OpenPage) -> None:
    page = open_page("about:blank")
    page.context.route(f"{WEATHER}**", lambda route: route.fulfill(body="<title>Weather</title>"))
    page.goto(hospital.url)
    chat = WidgetPage(page).open()
    chat.say("mi esposo me pega y tengo miedo")
    expect(chat.inside.locator(".crisis")).to_contain_text("No está sola")
    card = chat.inside.locator(".crisis .card")
    expect(card).to_have_attribute("lang", "es")
    expect(card.get_by_role("heading")).to_have_text("Busque ayuda ahora")
    call = card.locator('a[href="tel:18007997233"]')
    expect(call).to_contain_text("Llamar al")
    expect(call).to_contain_text("Violencia Doméstica")
    chat.say("gracias, ¿dónde está el estacionamiento?")
    expect(chat.messages.last).to_contain_text("Ya avisamos a una persona")
    expect(chat.messages.last.get_by_role("link", name="911")).to_be_visible()
    expect(chat.inside.locator("#note")).to_have_text("A person has been told")  # no assistant
    expect(chat.inside.locator("#problem")).to_be_empty()  # consent is not asked for in the middle of it

    nurse = ConsolePage(open_page(f"{hospital.url}/console/"), hospital.url)
    nurse.sign_in("maria", hospital.passwords["maria"])
    case = nurse.page.locator(".case").first
    expect(case).to_contain_text("Crisis call")
    nurse.page.get_by_role("button", name="Claim next").click()
    nurse.say("Soy Maria. ¿Puede hablar?")
    expect(chat.messages.last).to_contain_text("Soy Maria")
    record(nurse.page, "not_reached", "No answer")
    expect(nurse.page.get_by_role("heading", name="To be tried again")).to_be_visible()
    expect(case).to_contain_text("Follow-up due in")
    expect(chat.who).to_have_text("Waiting for a person")

    chat.say("estoy aquí")
    expect(case).to_contain_text("estoy aqu")
    expect(nurse.page.get_by_role("heading", name="To be tried again")).to_have_count(0)
    nurse.page.get_by_role("button", name="Take over").click()
    expect(nurse.page.locator(".side")).to_contain_text("No answer")
    record(nurse.page, "crisis_team", "Crisis team told")
    expect(nurse.cases("estoy aqu")).to_have_count(0)
    expect(chat.who).to_have_text("AI assistant")

    for _ in range(3):
        chat.composer.press("Escape")
    page.wait_for_url(WEATHER)
