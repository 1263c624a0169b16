"""The console as a test drives it."""

from __future__ import annotations

from playwright.sync_api import Locator, Page, expect


class ConsolePage:
    """A member of staff at the console."""

    def __init__(self, page: Page, url: str) -> None:
        self.page = page
        self.url = url

    def sign_in(self, username: str, password: str) -> ConsolePage:
        """From the sign-in page to the first page."""
        if "/console/sign-in" not in self.page.url:
            self.page.goto(f"{self.url}/console/")
        self.page.get_by_label("User name").fill(username)
        self.page.get_by_label("Password").fill(password)
        self.page.get_by_role("button", name="Sign in").click()
        expect(self.page.get_by_role("button", name="Sign out")).to_be_visible()
        return self

    def cases(self, words: str) -> Locator:
        """Cases of the queue with these words in them."""
        return self.page.locator(".case").filter(has_text=words)

    @property
    def reply(self) -> Locator:
        """Where staff write."""
        return self.page.get_by_role("textbox", name="Reply as")

    @property
    def thread(self) -> Locator:
        """The messages."""
        return self.page.locator(".messages")

    def say(self, text: str) -> None:
        """Write to the patient."""
        self.reply.fill(text)
        self.page.get_by_role("button", name="Send").click()
