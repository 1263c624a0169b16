"""A page as a test reads it: elements, attributes, words; and text that must do nothing in it."""

from __future__ import annotations

from html.parser import HTMLParser

HOSTILE = "</style></title><script>alert(1)</script><img src=x onerror=alert(2)>\" onload='x' {{ 7*7 }} &amp;"


class Page(HTMLParser):
    """The elements, attributes and text of a page."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str]] = []
        self.words: list[str] = []
        self.feed(source)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(name, value or "") for name, value in attrs]

    def handle_data(self, data: str) -> None:
        self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())
