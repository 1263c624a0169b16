"""Fixtures of tests in a real Chromium, see tests/browser.py."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from tests.browser import open_browser

OpenPage = Callable[..., Page]

expect.set_options(timeout=30_000)  # how long to wait at most; a busy machine may need more than Playwright's 5 s


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """One Chromium for the module; not longer, since Playwright's loop would be in the way of async tests."""
    with open_browser() as browser:
        yield browser


@pytest.fixture
def open_page(browser: Browser) -> Iterator[OpenPage]:
    """Open a page in a fresh profile (options are those of ``new_context``); the test fails if its scripts raise."""
    contexts: list[BrowserContext] = []
    errors: list[str] = []

    def open_(url: str, **options: Any) -> Page:
        context = browser.new_context(**{"viewport": {"width": 1280, "height": 900}, "locale": "en-US", **options})
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(30_000)
        page.on("pageerror", lambda error: errors.append(str(error)))
        # Chromium reports what the content security policy has stopped on the console only.
        page.on("console", lambda line: errors.append(line.text) if "Content Security Policy" in line.text else None)
        page.goto(url)
        return page

    yield open_
    for context in contexts:
        context.close()
    assert errors == []
