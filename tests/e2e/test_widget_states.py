"""The widget in every state, in a real browser, against a double of the API that drops, delays and retracts."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Page, Route, expect

from app.contracts.site import Site
from app.widget.routes import build_router
from tests.browser import axe_violations, serve
from tests.browser_fixtures import OpenPage
from tests.e2e.fake_service import CHOICES, CLARIFY_TEXT, CRISIS_TEXT, FakeConversation, FakeService, build_fake_api
from tests.e2e.widget_page import WidgetPage

pytestmark = pytest.mark.browser

ANSWER = (
    "Do not eat or drink anything for 6 hours before your CT scan with contrast. "
    "You may take your usual medicines with a small sip of water. "
    "Please arrive 30 minutes early at Imaging, Main Building, level 1."
)
DEMO_PAGE = Path(__file__).resolve().parents[2] / "demo" / "page"


@dataclass(frozen=True)
class Hospital:
    """A running double and its address."""

    url: str
    service: FakeService

    @property
    def talk(self) -> FakeConversation:
        """The newest conversation."""
        return list(self.service.conversations.values())[-1]


@pytest.fixture(scope="module")
def running(site: Site) -> Iterator[Hospital]:
    service = FakeService(site)
    app = build_fake_api(service)
    app.include_router(build_router(site, page=DEMO_PAGE))
    with serve(app) as url:
        yield Hospital(url, service)


@pytest.fixture
def hospital(running: Hospital) -> Hospital:
    """The double, with nothing failing."""
    running.service.fail_posts = running.service.drops = running.service.posts = 0
    running.service.feedback.clear()
    running.service.pause_s = 0.1
    running.service.holding = False
    return running


@pytest.fixture
def chat(hospital: Hospital, open_page: OpenPage) -> WidgetPage:
    """The chat, opened and accepted."""
    return WidgetPage(open_page(hospital.url)).open().accept()


def test_first_view_tells_what_a_patient_must_know_and_stores_nothing(hospital: Hospital, open_page: OpenPage) -> None:
    before = len(hospital.service.consented)
    chat = WidgetPage(open_page(hospital.url)).open()
    consent = chat.inside.locator("#consent")
    expect(consent).to_contain_text("written by an AI assistant")
    expect(consent).to_contain_text("care team can read this chat")
    expect(consent.locator('a[href="tel:911"]')).to_be_visible()
    expect(consent.locator('a[href="tel:988"]')).to_be_visible()
    expect(chat.who).to_have_text("AI assistant")
    expect(chat.composer).to_be_visible()
    assert len(hospital.service.consented) == before


def test_emergency_needs_no_consent(hospital: Hospital, open_page: OpenPage) -> None:
    chat = WidgetPage(open_page(hospital.url)).open()
    chat.say("I have crushing chest pain")
    card = chat.inside.get_by_role("alert").filter(has_text=CRISIS_TEXT)
    expect(card).to_be_visible()
    expect(card.locator('a[href="tel:911"]')).to_contain_text("Call 911")
    expect(chat.inside.locator("#log .crisis")).to_have_count(1)
    expect(chat.inside.locator("#accept")).to_be_visible()


def test_early_question_is_kept_until_the_notice_is_accepted(hospital: Hospital, open_page: OpenPage) -> None:
    chat = WidgetPage(open_page(hospital.url)).open()
    chat.say("When does the lab open?")
    expect(chat.inside.get_by_role("alert").filter(has_text="accept the notice")).to_be_visible()
    expect(chat.composer).to_have_value("When does the lab open?")
    chat.accept()
    expect(chat.messages).to_have_count(2)
    expect(chat.messages.last).to_contain_text(ANSWER)
    assert chat.texts() == ["When does the lab open?", ANSWER]


def test_who_has_accepted_another_notice_is_asked_anew(hospital: Hospital, chat: WidgetPage) -> None:
    token = hospital.talk.token
    hospital.service.consented[token] = False
    hospital.service.notice = "2"
    try:
        chat.page.reload()
        expect(chat.inside.locator("#accept")).to_be_visible()
        chat.accept()
        expect(chat.inside.locator("#accept")).to_be_hidden()
        assert hospital.service.consented[token]
        chat.page.reload()
        expect(chat.composer).to_be_visible()
        expect(chat.inside.locator("#accept")).to_be_hidden()
    finally:
        hospital.service.notice = "1"


def test_answer_streams_by_sentence_and_cites(hospital: Hospital, chat: WidgetPage) -> None:
    chat.frame.evaluate(
        """() => { window.seen = []; new MutationObserver(() => {
            const shown = document.querySelector('#log [data-author=assistant] .text')?.textContent;
            if (shown && shown !== seen.at(-1)) seen.push(shown);
        }).observe(document.querySelector('#log'), {childList: true, subtree: true}) }"""
    )
    hospital.service.pause_s = 0.6
    chat.say("How do I get ready for my CT scan?")
    reply = chat.messages.nth(1)
    expect(reply.locator(".text")).to_have_text(ANSWER)
    first, second = ANSWER.index(" You may"), ANSWER.index(" Please")
    assert chat.frame.evaluate("seen") == [ANSWER[:first], ANSWER[:second], ANSWER]
    source = reply.locator(".source")
    expect(source).to_contain_text("reviewed Jun 2, 2026")
    expect(source.get_by_role("link")).to_have_attribute("href", "/articles/prepare-ct-contrast")
    expect(chat.inside.locator("#live")).to_have_text(f"AI assistant: {ANSWER}")
    expect(reply.locator(".by .tag")).to_have_text("AI")


def test_dropped_connection_loses_and_doubles_nothing(hospital: Hospital, chat: WidgetPage) -> None:
    chat.say("drop it")
    expect(chat.messages.nth(1).locator(".source")).to_be_visible()
    assert chat.texts() == ["drop it", ANSWER]
    assert hospital.service.drops >= 1
    expect(chat.inside.locator("#connection")).to_have_text("")


def test_reload_in_mid_stream_resumes(hospital: Hospital, chat: WidgetPage) -> None:
    hospital.service.pause_s = 0.6
    chat.say("How do I get ready?")
    expect(chat.messages.nth(1).locator(".text")).to_contain_text("6 hours")
    chat.page.reload()
    expect(chat.messages.nth(1).locator(".text")).to_have_text(ANSWER)
    expect(chat.messages.nth(1).locator(".source")).to_be_visible()
    assert chat.texts() == ["How do I get ready?", ANSWER]


def test_lost_answer_to_a_post_is_repeated_under_the_same_key(hospital: Hospital, chat: WidgetPage) -> None:
    hospital.service.fail_posts = 2
    chat.say("lost answer")
    expect(chat.messages.nth(1).locator(".source")).to_be_visible()
    expect(chat.inside.get_by_role("button", name="Send")).to_be_enabled()
    assert hospital.service.posts == 3
    assert chat.texts() == ["lost answer", ANSWER]


def test_message_that_cannot_be_sent_is_kept_and_can_be_sent_again(hospital: Hospital, chat: WidgetPage) -> None:
    hospital.service.fail_posts = 4
    chat.say("Where do I park?")
    again = chat.inside.get_by_role("button", name="Try again")
    expect(again).to_be_visible(timeout=20_000)
    expect(chat.inside.locator("#problem")).not_to_be_empty()
    expect(chat.messages).to_have_count(1)
    again.click()
    expect(chat.messages.nth(1).locator(".source")).to_be_visible()
    assert chat.texts() == ["Where do I park?", ANSWER]
    expect(chat.inside.locator("#problem")).to_be_empty()


def test_unsent_message_is_sent_once_after_a_reload(hospital: Hospital, chat: WidgetPage) -> None:
    hospital.service.fail_posts = 1_000
    chat.say("Where is the pharmacy?")
    expect(chat.messages).to_have_count(1)
    hospital.service.fail_posts = 0
    chat.page.reload()
    expect(chat.messages.nth(1).locator(".source")).to_be_visible()
    assert chat.texts() == ["Where is the pharmacy?", ANSWER]


def test_retracted_answer_is_withdrawn_announced_and_replaced(hospital: Hospital, chat: WidgetPage) -> None:
    hospital.service.holding = True
    chat.say("retract it")
    expect(chat.messages.nth(1)).to_contain_text("withdrawn and is being replaced")
    expect(chat.inside.locator("#live")).to_contain_text("withdrawn")
    hospital.service.holding = False
    expect(chat.messages.nth(1)).to_contain_text("I cannot answer that safely")
    assert "6 hours" not in chat.messages.nth(1).inner_text()
    expect(chat.messages.nth(1).locator('a[href="tel:5155550111"]')).to_be_visible()


def test_person_can_be_asked_for_with_no_messages_and_the_button_never_moves(
    hospital: Hospital, chat: WidgetPage
) -> None:
    button = chat.inside.locator("#talk")
    place = button.bounding_box()
    assert place
    button.click()
    expect(chat.who).to_have_text("Waiting for a person")
    expect(chat.inside.locator("#waiting")).to_contain_text("number 2 in line")
    hospital.service.do(hospital.service.staff_says(hospital.talk, "Maria", "Hello, this is Maria."))
    expect(chat.who).to_have_text("Maria, care team")
    expect(chat.messages.last).to_contain_text("Hello, this is Maria.")
    expect(chat.messages.last.locator(".tag")).to_have_text("Person")
    expect(chat.inside.locator("#waiting")).to_be_empty()
    now = button.bounding_box()
    assert now
    assert (now["x"], now["y"]) == (place["x"], place["y"])


def test_closed_panel_marks_a_new_message(hospital: Hospital, chat: WidgetPage) -> None:
    chat.say("Hello")
    expect(chat.messages.nth(1).locator(".source")).to_be_visible()
    chat.inside.get_by_role("button", name="Close chat").click()
    expect(chat.launcher).to_be_focused()
    hospital.service.do(hospital.service.staff_says(hospital.talk, "Maria", "Are you there?"))
    expect(chat.page.locator("bedside-chat i")).to_be_visible()
    chat.launcher.click()
    expect(chat.messages.last).to_contain_text("Are you there?")
    expect(chat.page.locator("bedside-chat i")).to_be_hidden()


def test_thumb_down_with_a_reason(hospital: Hospital, chat: WidgetPage) -> None:
    chat.say("Hello")
    chat.inside.get_by_role("button", name="Not helpful").click()
    chat.inside.get_by_role("button", name="Hard to understand").click()
    expect(chat.inside.get_by_text("Thank you.")).to_be_focused()
    expect(chat.inside.get_by_role("button", name="Not helpful")).to_have_attribute("aria-pressed", "true")
    assert [(f["rating"], f.get("reason")) for f in hospital.service.feedback] == [
        ("down", None),
        ("down", "Hard to understand"),
    ]


def test_transcript_downloads(chat: WidgetPage) -> None:
    chat.say("Hello")
    expect(chat.messages.nth(1).locator(".source")).to_be_visible()
    chat.inside.get_by_role("button", name="Options").click()
    with chat.page.expect_download() as download:
        chat.inside.get_by_role("button", name="Download transcript").click()
    assert "patient: Hello" in download.value.path().read_text(encoding="utf-8")


def test_end_and_erase_leaves_nothing_on_the_device_or_at_the_hospital(hospital: Hospital, chat: WidgetPage) -> None:
    chat.say("Hello")
    expect(chat.messages.nth(1).locator(".source")).to_be_visible()
    talk = hospital.talk
    chat.composer.fill("half a thought")
    chat.inside.get_by_role("button", name="Options").click()
    chat.inside.get_by_role("button", name="End and erase this chat").click()
    chat.inside.get_by_role("button", name="End and erase", exact=True).click()
    expect(chat.inside.locator("#accept")).to_be_visible()
    expect(chat.messages).to_have_count(0)
    expect(chat.composer).to_have_value("")
    expect(chat.inside.locator("#live")).to_have_text("The chat was erased from this device and at the hospital.")
    assert talk.handler == "closed"
    assert talk.id not in hospital.service.conversations
    kept = chat.frame.evaluate("JSON.stringify([{...sessionStorage}, {...localStorage}, document.cookie])")
    assert talk.token not in kept
    assert "Hello" not in kept
    assert "thought" not in kept
    chat.page.reload()
    expect(chat.inside.locator("#accept")).to_be_visible()


def test_end_and_erase_says_that_the_hospital_keeps_an_emergency(hospital: Hospital, chat: WidgetPage) -> None:
    chat.say("chest pain")
    expect(chat.inside.locator(".crisis")).to_be_visible()
    talk = hospital.talk
    chat.inside.get_by_role("button", name="Options").click()
    chat.inside.get_by_role("button", name="End and erase this chat").click()
    chat.inside.get_by_role("button", name="End and erase", exact=True).click()
    expect(chat.inside.locator("#problem")).to_contain_text("The hospital keeps it")
    expect(chat.messages).to_have_count(0)
    assert (talk.handler, talk.id in hospital.service.conversations) == ("closed", True)


def test_draft_survives_a_reload(chat: WidgetPage) -> None:
    chat.composer.fill("I was going to ask")
    chat.page.reload()
    expect(chat.composer).to_have_value("I was going to ask")


def test_text_is_never_read_as_markup(chat: WidgetPage) -> None:
    chat.say('<img src=x onerror="window.hit=1"><b>bold</b>')
    expect(chat.messages.first.locator(".text")).to_have_text('<img src=x onerror="window.hit=1"><b>bold</b>')
    assert chat.frame.evaluate("window.hit === undefined && !document.querySelector('#log b')")


def test_ended_conversation_offers_a_new_one(hospital: Hospital, chat: WidgetPage) -> None:
    chat.say("Hello")
    expect(chat.messages.nth(1).locator(".source")).to_be_visible()
    hospital.service.do(hospital.talk.status("closed"))
    expect(chat.who).to_have_text("Ended")
    expect(chat.composer).to_be_hidden()
    chat.inside.get_by_role("button", name="Start a new chat").click()
    expect(chat.messages).to_have_count(0)
    chat.say("A new question")
    expect(chat.messages.nth(1)).to_contain_text("6 hours")


def test_lost_session_keeps_the_words(hospital: Hospital, chat: WidgetPage) -> None:
    chat.composer.fill("Still my words")
    hospital.talk.token = "revoked"
    chat.inside.get_by_role("button", name="Send").click()
    expect(chat.inside.locator("#problem")).to_contain_text("session has ended")
    expect(chat.composer).to_have_value("Still my words")
    chat.accept()
    chat.inside.get_by_role("button", name="Send").click()
    expect(chat.messages.nth(1)).to_contain_text("6 hours")


def test_unreachable_service_says_how_to_get_help(hospital: Hospital, open_page: OpenPage) -> None:
    page = open_page("about:blank")
    page.route("**/v1/widget/config*", lambda route: route.abort())
    page.goto(hospital.url)
    chat = WidgetPage(page).open()
    expect(chat.inside.locator("#problem")).to_contain_text("cannot be reached", timeout=20_000)
    expect(chat.inside.locator('footer a[href="tel:911"]')).to_be_visible()
    expect(chat.inside.locator('.person a[href="tel:515-555-0100"]')).to_be_visible()


def test_words_written_before_the_scripts_are_there_are_kept_and_sent(hospital: Hospital, open_page: OpenPage) -> None:
    page = open_page("about:blank")
    waiting: list[Route] = []
    page.route("**/widget/frame.js", lambda route: waiting.append(route))
    page.goto(hospital.url)
    with page.expect_request("**/widget/frame.js"):
        chat = WidgetPage(page).open()
    chat.composer.fill("chest pain")
    expect(chat.inside.locator("#send")).to_be_disabled()
    waiting[0].continue_()
    chat.inside.get_by_role("button", name="Send").click()
    expect(chat.inside.locator(".crisis")).to_be_visible()


def test_spanish(hospital: Hospital, open_page: OpenPage) -> None:
    chat = WidgetPage(open_page(hospital.url)).open()
    chat.inside.get_by_role("button", name="Options").click()
    chat.inside.get_by_role("button", name="Español").click()
    expect(chat.inside.get_by_role("button", name="Hablar con una persona")).to_be_visible()
    assert chat.frame.evaluate("document.documentElement.lang") == "es"
    expect(chat.inside.get_by_role("button", name="Aceptar y empezar")).to_be_visible()


def test_keyboard_only(hospital: Hospital, open_page: OpenPage) -> None:
    page = open_page(hospital.url)
    chat = WidgetPage(page)
    chat.launcher.focus()
    page.keyboard.press("Enter")
    expect(chat.who).to_be_focused()
    for _ in range(12):
        page.keyboard.press("Tab")
        if chat.frame.evaluate("document.activeElement.id") == "accept":
            break
    page.keyboard.press("Enter")
    expect(chat.composer).to_be_focused()
    page.keyboard.type("How do I get ready?")
    page.keyboard.press("Enter")
    expect(chat.messages.nth(1).locator(".source")).to_be_visible()
    page.keyboard.press("Escape")
    expect(chat.launcher).to_be_focused()
    expect(chat.page.locator("bedside-chat iframe")).to_be_hidden()


def test_no_request_leaves_the_service(hospital: Hospital, open_page: OpenPage) -> None:
    page = open_page("about:blank")
    hosts: set[str] = set()
    page.on("request", lambda request: hosts.add(urlsplit(request.url).netloc))
    page.goto(hospital.url)
    chat = WidgetPage(page).open().accept()
    chat.say("Hello")
    expect(chat.messages.nth(1).locator(".source")).to_be_visible()
    assert hosts - {""} == {urlsplit(hospital.url).netloc}


def test_host_page_does_not_shift(hospital: Hospital, open_page: OpenPage) -> None:
    page = open_page(hospital.url)
    page.evaluate(
        """() => { window.shift = 0; new PerformanceObserver(list => {
            for (const entry of list.getEntries()) shift += entry.value;
        }).observe({type: 'layout-shift', buffered: true}) }"""
    )
    WidgetPage(page).open()
    page.wait_for_timeout(300)
    assert page.evaluate("shift") == 0


@pytest.mark.parametrize("width", [390, 1280])
def test_a_clarifying_question_is_answered_by_a_button(hospital: Hospital, open_page: OpenPage, width: int) -> None:
    chat = WidgetPage(open_page(hospital.url, viewport={"width": width, "height": 844})).open().accept()
    chat.say("near neighbours")
    group = chat.inside.get_by_role("group", name=CLARIFY_TEXT)
    buttons = group.get_by_role("button")
    expect(buttons).to_have_text(CHOICES)
    assert chat.texts() == ["near neighbours", CLARIFY_TEXT]
    expect(chat.inside.locator("#live")).to_contain_text(f"1. {CHOICES[0]}")
    for button in buttons.all():
        box = button.bounding_box()
        assert box
        assert box["height"] >= 44
        assert box["x"] + box["width"] <= width
    expect(buttons.last).to_be_in_viewport(ratio=1)
    assert axe_violations(chat.page, chat.frame) == []
    chat.composer.fill("half a draft")
    buttons.nth(1).click()
    expect(buttons).to_have_count(0)
    expect(chat.messages.nth(3)).to_contain_text(ANSWER)
    # The words of the choices stay in the conversation.
    assert [text.split("\n")[0] for text in chat.texts()] == ["near neighbours", CLARIFY_TEXT, CHOICES[1], ANSWER]
    expect(chat.messages.nth(1)).to_contain_text(f"2. {CHOICES[1]}")
    expect(chat.composer).to_have_value("half a draft")


def test_choices_are_reached_by_keyboard_and_survive_a_reload(hospital: Hospital, chat: WidgetPage) -> None:
    chat.say("near neighbours")
    buttons = chat.inside.get_by_role("group", name=CLARIFY_TEXT).get_by_role("button")
    expect(buttons).to_have_count(3)
    chat.page.reload()
    expect(buttons).to_have_count(3)
    chat.composer.focus()
    for _ in CHOICES:
        chat.page.keyboard.press("Shift+Tab")
    expect(buttons.first).to_be_focused()
    chat.page.keyboard.press("Enter")
    expect(chat.messages.nth(2).locator(".text")).to_have_text(CHOICES[0])
    expect(chat.inside.locator("#scroll")).to_be_focused()
    expect(chat.messages.nth(3)).to_contain_text(ANSWER)


def test_a_reply_longer_than_the_view_is_read_from_its_beginning(hospital: Hospital, open_page: OpenPage) -> None:
    chat = WidgetPage(open_page(hospital.url, viewport={"width": 390, "height": 700})).open()
    chat.accept()
    hospital.service.pause_s = 0.0
    chat.say("a long answer please")
    expect(chat.messages.nth(1)).to_contain_text("Getting ready for a CT scan")
    top = "li => li.getBoundingClientRect().top - document.querySelector('main').getBoundingClientRect().top"
    assert -1 <= chat.messages.nth(1).evaluate(top) < 40
    chat.say("where do I park")
    expect(chat.messages.nth(3)).to_contain_text("Getting ready for a CT scan")
    bottom = "li => li.getBoundingClientRect().bottom - document.querySelector('main').getBoundingClientRect().bottom"
    assert chat.messages.nth(3).evaluate(bottom) <= 0


@pytest.mark.parametrize("handler", ["waiting", "closed"])
def test_choices_go_when_the_assistant_no_longer_speaks(hospital: Hospital, chat: WidgetPage, handler: str) -> None:
    chat.say("near neighbours")
    buttons = chat.inside.get_by_role("group", name=CLARIFY_TEXT).get_by_role("button")
    expect(buttons).to_have_count(3)
    hospital.service.do(hospital.talk.status(handler))
    expect(buttons).to_have_count(0)
    expect(chat.messages.nth(1)).to_contain_text(f"3. {CHOICES[2]}")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1280])
def test_every_state_is_accessible(hospital: Hospital, open_page: OpenPage, width: int, scheme: str) -> None:
    page = open_page(hospital.url, viewport={"width": width, "height": 844}, color_scheme=scheme)
    found = [f"page {line}" for line in axe_violations(page)]
    chat = WidgetPage(page).open()

    def check(state: str) -> None:
        found.extend(f"{state} {line}" for line in axe_violations(page, chat.frame))
        # The header and its button are always in view: the messages scroll, not the page around them.
        if chat.frame.evaluate("[scrollY, document.documentElement.scrollHeight - innerHeight]") != [0, 0]:
            found.append(f"{state} scrolls as a whole")

    check("consent")
    chat.accept()
    check("empty")
    hospital.service.holding = True
    chat.say("retract it")
    expect(chat.messages.nth(1)).to_contain_text("withdrawn")
    check("retracted")
    hospital.service.holding = False
    expect(chat.messages.nth(1)).to_contain_text("safely")
    chat.say("How do I get ready?")
    expect(chat.messages.nth(3).locator(".source")).to_be_visible()
    chat.messages.nth(3).get_by_role("button", name="Not helpful").click()
    check("answer")
    chat.say("chest pain")
    expect(chat.inside.locator(".crisis")).to_be_visible()
    check("crisis")
    chat.inside.locator("#talk").click()
    expect(chat.inside.locator("#waiting")).not_to_be_empty()
    check("waiting")
    hospital.service.do(hospital.service.staff_says(hospital.talk, "Maria", "Hello."))
    expect(chat.messages.last).to_contain_text("Hello.")
    check("staff")
    chat.inside.get_by_role("button", name="Options").click()
    check("menu")
    chat.inside.get_by_role("button", name="End and erase this chat").click()
    check("dialog")
    chat.inside.get_by_role("button", name="Keep chatting").click()
    hospital.service.do(hospital.talk.status("closed"))
    expect(chat.who).to_have_text("Ended")
    check("ended")
    assert found == []


def _overflow(page: Page, chat: WidgetPage) -> tuple[int, int]:
    script = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
    return page.evaluate(script), chat.frame.evaluate(script)


@pytest.mark.parametrize(("width", "height"), [(320, 640), (320, 256), (390, 844)])
def test_reflows_without_sideways_scrolling(hospital: Hospital, open_page: OpenPage, width: int, height: int) -> None:
    """320 x 256 is what a 1280 x 1024 screen leaves at 400 % zoom (WCAG 1.4.10)."""
    page = open_page(hospital.url, viewport={"width": width, "height": height})
    chat = WidgetPage(page).open()
    assert _overflow(page, chat) == (0, 0)
    chat.accept()
    chat.say("W" * 300)
    expect(chat.messages.nth(1).locator(".source")).to_be_visible()
    chat.say("chest pain")
    expect(chat.inside.locator(".crisis")).to_be_visible()
    assert _overflow(page, chat) == (0, 0)
    box = page.locator("bedside-chat iframe").bounding_box()
    assert box == {"x": 0, "y": 0, "width": width, "height": height}


def test_right_to_left(hospital: Hospital, chat: WidgetPage) -> None:
    chat.frame.evaluate("document.documentElement.dir = 'rtl'")
    chat.say("Hello")
    expect(chat.messages.nth(1).locator(".source")).to_be_visible()
    mine, theirs = chat.messages.nth(0).bounding_box(), chat.messages.nth(1).bounding_box()
    assert mine
    assert theirs
    assert mine["x"] < theirs["x"] + theirs["width"] - mine["width"]
    assert _overflow(chat.page, chat) == (0, 0)


def test_reduced_motion_and_forced_colours(hospital: Hospital, open_page: OpenPage) -> None:
    hospital.service.pause_s = 3.0
    chat = WidgetPage(open_page(hospital.url, reduced_motion="reduce", forced_colors="active")).open().accept()
    chat.say("Hello")
    dot = chat.messages.nth(1).locator(".dots i").first
    expect(dot).to_be_visible()
    assert dot.evaluate("node => getComputedStyle(node).animationName") == "none"
    assert re.match(r"[1-9]", chat.messages.nth(0).locator(".text").evaluate("n => getComputedStyle(n).borderTopWidth"))
