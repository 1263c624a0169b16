"""Random drops and reloads: nothing is lost, doubled or put in another order."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from playwright.sync_api import expect

from app.contracts.site import Site
from app.widget.routes import build_router
from tests.browser import serve
from tests.browser_fixtures import OpenPage
from tests.e2e.fake_service import FakeService, build_fake_api
from tests.e2e.test_widget_states import ANSWER, DEMO_PAGE
from tests.e2e.widget_page import WidgetPage

pytestmark = pytest.mark.browser

TURNS = 12


@dataclass(frozen=True)
class Hospital:
    url: str
    service: FakeService


@pytest.fixture(scope="module")
def hospital(site: Site) -> Iterator[Hospital]:
    service = FakeService(site, pause_s=0.08)
    app = build_fake_api(service)
    app.include_router(build_router(site, page=DEMO_PAGE))
    with serve(app) as url:
        yield Hospital(url, service)


@pytest.mark.parametrize("seed", [1, 2])
def test_random_drops_reloads_and_failures(hospital: Hospital, open_page: OpenPage, seed: int) -> None:
    chance = random.Random(seed)
    chat = WidgetPage(open_page(hospital.url)).open().accept()
    talk = list(hospital.service.conversations.values())[-1]
    asked = []
    for turn in range(TURNS):
        asked.append(f"Question {turn} {'drop' if chance.random() < 0.5 else ''}".strip())
        hospital.service.fail_posts = chance.choice([0, 0, 1])
        chat.say(asked[-1])
        for _ in range(chance.randrange(3)):
            chat.page.wait_for_timeout(chance.randrange(250))
            if chance.random() < 0.5:
                chat.page.reload()
            else:
                talk.drop_next = True
        # A reload may have come before the post: then the widget sends it again under the same key.
        expect(chat.messages.nth(2 * turn + 1).locator(".source")).to_be_visible(timeout=20_000)
        expect(chat.inside.get_by_role("button", name="Send")).to_be_enabled()
    assert chat.texts() == [text for question in asked for text in (question, ANSWER)]
    chat.page.reload()
    expect(chat.messages).to_have_count(2 * TURNS)
    assert chat.texts() == [text for question in asked for text in (question, ANSWER)]
