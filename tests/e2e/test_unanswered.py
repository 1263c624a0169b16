"""The page of unanswered questions in a real browser: accessible, narrow and wide, and the owner's decision."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI, Request
from playwright.sync_api import Page, expect

from app.console.routes import COOKIE, build_router
from app.contracts.site import Site
from tests.browser import axe_violations, serve
from tests.browser_fixtures import OpenPage
from tests.fakes_console import ADMIN, NURSE, FakeReads

pytestmark = pytest.mark.browser


@dataclass
class Desk:
    """A console over :class:`FakeReads` that takes decisions."""

    url: str
    reads: FakeReads = field(default_factory=FakeReads)
    decided: list[tuple[str, dict[str, Any]]] = field(default_factory=list)


@pytest.fixture
def desk(site: Site) -> Iterator[Desk]:
    desk = Desk("")
    app = FastAPI()
    app.include_router(build_router(site, desk.reads))

    @app.post("/v1/admin/unanswered/{question}")
    async def decide(question: str, request: Request) -> dict[str, Any]:
        body = await request.json()
        desk.decided.append((question, body))
        asked = desk.reads.asked
        groups = [replace(g, status=body["status"]) if g.id == question else g for g in asked.groups]
        desk.reads.asked = replace(asked, groups=groups)
        return {"status": body["status"], "questions": 1}

    with serve(app) as desk.url:
        yield desk


def open_as(open_page: OpenPage, desk: Desk, token: str, **options: object) -> Page:
    page = open_page(f"{desk.url}/console/sign-in", **options)
    page.context.add_cookies([{"name": COOKIE, "value": token, "url": desk.url}])
    page.goto(f"{desk.url}/console/unanswered/30")
    return page


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [320, 390, 1280])
def test_the_page_is_accessible_and_reflows(desk: Desk, open_page: OpenPage, width: int, scheme: str) -> None:
    found: list[str] = []
    for name, token in (("admin", ADMIN), ("nurse", NURSE), ("empty", ADMIN)):
        if name == "empty":
            desk.reads.asked = replace(desk.reads.asked, questions=0, groups=[], rare=[])
        page = open_as(open_page, desk, token, viewport={"width": width, "height": 900}, color_scheme=scheme)
        found.extend(f"{name} {line}" for line in axe_violations(page))
        wide = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        if wide > 0:
            found.append(f"{name} scrolls sideways by {wide} px")
        if folder := os.environ.get("BEDSIDE_SCREENSHOTS"):
            page.screenshot(path=Path(folder) / f"unanswered-{name}-{width}-{scheme}.png", full_page=True)
    assert found == []


def test_an_owner_decides_by_keyboard_and_the_list_is_drawn_again(desk: Desk, open_page: OpenPage) -> None:
    page = open_as(open_page, desk, ADMIN)
    case = page.locator(".case").filter(has_text="Is there a chapel")
    expect(case.locator(".badge")).to_have_text("Open")
    case.get_by_label("Status").select_option("planned")
    case.get_by_label("Status").press("Tab")
    page.keyboard.press("Enter")
    expect(case.locator(".badge")).to_have_text("Article planned")
    assert desk.decided == [("a" * 32, {"status": "planned"})]
    expect(case.get_by_role("button", name="Save")).to_be_focused()


def test_the_days_are_chosen_by_links(desk: Desk, open_page: OpenPage) -> None:
    page = open_as(open_page, desk, NURSE)
    page.get_by_role("link", name="90 days").click()
    expect(page).to_have_url(f"{desk.url}/console/unanswered/90")
    expect(page.get_by_text("questions in the last 90 days")).to_be_visible()
    expect(page.get_by_role("button", name="Save")).to_have_count(0)
