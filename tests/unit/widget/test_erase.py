"""Ending a chat erases it on the device and at the hospital, and says what came of it, in a real Chromium."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

from tests.browser_fixtures import OpenPage

pytestmark = pytest.mark.browser

ERASE = """async ([statuses, language, refusal = ""]) => {
    const { erase } = await import("/widget/erase.js");
    const { Problem } = await import("/widget/api.js");
    const told = [];
    const tell = (kind) => (text, mend) => {
        told.push([kind, text]);
        if (mend) setTimeout(() => mend.onclick());
        if (kind === "said" || (kind === "problem" && text && !mend)) window.told(told);
    };
    const answer = async (method, path, options) => {
        told.push([method, path]);
        const status = method === "DELETE" ? statuses.shift() : 200;
        if (status >= 300 || !status) throw new Problem(status, { name: refusal });
    };
    const ended = new Promise((done) => (window.told = done));
    await erase({
        token: "t", conversation: "c", language, h: (name, more) => more, request: answer, retried: (send) => send(),
        wiped: () => told.push(["wiped", ""]), problem: tell("problem"), announce: tell("said"),
    });
    return ended;
}"""
BEGINS = [["POST", "/v1/conversations/c/close"], ["wiped", ""], ["DELETE", "/v1/conversations/c"]]
ENDS = ["DELETE", "/v1/sessions/current"]
GONE = [ENDS, ["problem", ""], ["said", "The chat was erased from this device and at the hospital."]]


@pytest.mark.parametrize("status", [204, 404])
def test_the_chat_is_ended_then_wiped_here_then_erased_at_the_hospital(page: Page, status: int) -> None:
    assert page.evaluate(ERASE, [[status], "en"]) == [*BEGINS, *GONE]


@pytest.mark.parametrize(("language", "words"), [("en", "The hospital keeps it"), ("es", "El hospital lo guarda")])
def test_it_says_that_the_hospital_keeps_an_emergency(page: Page, language: str, words: str) -> None:
    *told, (kind, said) = page.evaluate(ERASE, [[409], language])
    assert (told, kind) == ([*BEGINS, ENDS], "problem")
    assert words in said


@pytest.mark.parametrize(("language", "words"), [("en", "has to keep it"), ("es", "tiene que guardarlo")])
def test_it_says_that_the_hospital_has_to_keep_a_held_conversation(page: Page, language: str, words: str) -> None:
    *told, (kind, said) = page.evaluate(ERASE, [[409], language, "legal_hold"])
    assert (told, kind) == ([*BEGINS, ENDS], "problem")
    assert words in said


def test_what_could_not_be_erased_is_said_and_can_be_tried_again(page: Page) -> None:
    told = page.evaluate(ERASE, [[503, 204], "en"])
    failed = ["problem", "The chat was erased from this device, but not at the hospital."]
    assert told == [*BEGINS, failed, BEGINS[-1], *GONE]


def test_an_ended_session_cannot_be_tried_again(page: Page) -> None:
    *told, (kind, said) = page.evaluate(ERASE, [[401], "en"])
    assert (told, kind) == (BEGINS, "problem")
    assert "not at the hospital" in said


def test_the_question_loads_it_and_empties_this_device_also_where_it_cannot_be_loaded(
    address: str, open_page: OpenPage
) -> None:
    page = open_page("about:blank")
    page.route("**/widget/erase.js", lambda route: route.abort())
    page.goto(f"{address}/widget/frame?lang=en")
    page.locator("#text").fill("half a thought")
    page.locator("#menu").click()
    page.get_by_role("button", name="End and erase this chat").click()
    expect(page.locator("#ask-text")).to_contain_text("here and at the hospital")
    page.get_by_role("button", name="End and erase", exact=True).click()
    expect(page.locator("#text")).to_have_value("")
    expect(page.locator("#problem")).to_contain_text("cannot be reached")
