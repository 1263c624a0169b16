"""The widget as a test drives it: by what a patient sees and can press."""

from __future__ import annotations

from playwright.sync_api import Frame, FrameLocator, Locator, Page, expect


class WidgetPage:
    """The chat on a hospital page that embeds the launcher."""

    def __init__(self, page: Page) -> None:
        self.page = page

    @property
    def inside(self) -> FrameLocator:
        """What is in the iframe."""
        return self.page.frame_locator("bedside-chat iframe")

    @property
    def frame(self) -> Frame:
        """The iframe's document, for scripts of the test."""
        return next(frame for frame in self.page.frames if "/widget/frame" in frame.url)

    @property
    def launcher(self) -> Locator:
        """The button on the hospital's page."""
        return self.page.locator("bedside-chat button")

    @property
    def composer(self) -> Locator:
        """Where the patient writes."""
        return self.inside.get_by_role("textbox")

    @property
    def messages(self) -> Locator:
        """All messages that are shown, in order."""
        return self.inside.locator("#log .m")

    @property
    def who(self) -> Locator:
        """The name in the header."""
        return self.inside.locator("h1")

    def open(self) -> WidgetPage:
        """Press the launcher."""
        self.launcher.click()
        expect(self.inside.locator("h1")).to_be_visible()
        return self

    def accept(self) -> WidgetPage:
        """Accept the notice."""
        self.inside.locator("#accept").click()
        expect(self.inside.locator("#consent")).to_be_hidden()
        return self

    def say(self, text: str) -> None:
        """Write and send."""
        self.composer.fill(text)
        self.inside.get_by_role("button", name="Send").click()

    def texts(self) -> list[str]:
        """The words of all messages, in order."""
        return self.inside.locator("#log .m .text, #log .m .card > p").all_inner_texts()
