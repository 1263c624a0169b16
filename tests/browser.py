"""A real headless Chromium for browser tests.

Chromium is taken from BEDSIDE_CHROMIUM or from the PATH (Debian's package ``chromium``). Where there is none the tests
are skipped with a loud line, unless BEDSIDE_REQUIRE_BROWSER=1, which makes that a failure.
"""

from __future__ import annotations

import os
import shutil
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from playwright.sync_api import Browser, Page, sync_playwright

FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]

AXE = Path(__file__).parent / "e2e" / "vendor" / "axe.min.js"


def chromium_path() -> str | None:
    """Where Chromium is, or None."""
    names = [os.environ.get("BEDSIDE_CHROMIUM", ""), "chromium", "chromium-browser", "google-chrome"]
    return next((found for name in names if name and (found := shutil.which(name))), None)


@contextmanager
def open_browser() -> Iterator[Browser]:
    """A browser for as long as the block lasts; skips or fails the test where there is no Chromium."""
    path = chromium_path()
    if path is None:
        text = "no Chromium found: install it (Debian: apt-get install chromium) or set BEDSIDE_CHROMIUM"
        if os.environ.get("BEDSIDE_REQUIRE_BROWSER") == "1":
            pytest.fail(text, pytrace=False)
        print(f"\n*** BROWSER TESTS SKIPPED: {text} ***", file=sys.stderr)
        pytest.skip(text)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=FLAGS)
        yield browser
        browser.close()


@contextmanager
def serve(app: Any) -> Iterator[str]:
    """Run an ASGI application on a free loopback port in a thread; gives its address."""
    # h11 and asyncio: nothing optional. The timeout ends streams that browsers still hold open.
    config = uvicorn.Config(
        app, host="127.0.0.1", port=0, log_level="warning", log_config=None, timeout_graceful_shutdown=1, lifespan="on",
        ws="none",
    )  # fmt: skip
    server = uvicorn.Server(config)

    def run() -> None:
        # uvicorn leaves by sys.exit where the application does not start; it has logged why.
        with suppress(SystemExit):
            server.run()

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    deadline = time.monotonic() + 300
    while not server.started:
        if time.monotonic() > deadline or not thread.is_alive():
            raise RuntimeError("the test server did not start; its log above says why")
        time.sleep(0.02)
    port = server.servers[0].sockets[0].getsockname()[1]
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join(10)


def axe_violations(page: Page, frame: Any = None) -> list[str]:
    """Accessibility violations (WCAG 2.2 AA and best practice) as ``rule: target`` lines; empty is good."""
    target = frame or page
    if not target.evaluate("typeof axe === 'object'"):
        # Evaluated by the debugger, so the page's content security policy stays as it is.
        target.evaluate(AXE.read_text(encoding="utf-8") + "; void 0")
    tags = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
    result = target.evaluate("tags => axe.run(document, {runOnly: tags, iframes: false})", tags)
    return [
        f"{violation['id']}: {node['target']} {node.get('failureSummary', '')}"
        for violation in result["violations"]
        for node in violation["nodes"]
    ]
