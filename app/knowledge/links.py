"""Headings and links of an article's Markdown: where they stand, what they lead to, and how they are rendered."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal
from urllib.parse import unquote, urlsplit

from markdown_it import MarkdownIt
from markdown_it.token import Token
from typing_extensions import override

_ARTICLE = re.compile(r"(?:\./|/articles/)?([a-z0-9][a-z0-9-]{1,80})(?:\.md)?")
_SCHEME = re.compile(r"([a-z][a-z0-9+.-]*):")
_PUNCTUATION = re.compile(r"[^\w\- ]")


@dataclass(frozen=True, slots=True)
class Heading:
    """A heading; ``line`` counts from 0 at the beginning of the Markdown, ``anchor`` is its name in a link."""

    line: int
    text: str
    anchor: str


@dataclass(frozen=True, slots=True)
class Target:
    """What a link leads to.

    ``article``: ``name`` is the id, "" for the same article, and ``anchor`` a heading's name, "" for none. ``host``:
    ``name`` is the host, lower case. ``contact``: a telephone number or a mail address. ``scheme``: ``name`` is a
    scheme that no article may use. ``account``: the link holds a name to sign in with. ``nowhere``: anything else.
    """

    kind: Literal["article", "host", "contact", "scheme", "account", "nowhere"]
    name: str = ""
    anchor: str = ""


@dataclass(frozen=True, slots=True)
class Link:
    """A link or picture; ``line`` counts from 0 at the beginning of the Markdown."""

    line: int
    target: Target
    picture: bool


def headings(markdown: str) -> list[Heading]:
    """All headings in order, with the anchors that :func:`to_html` gives them."""
    return [heading for _, heading in _headings(_EveryLink("commonmark").parse(markdown))]


def links(markdown: str) -> list[Link]:
    """All links and pictures in order, dangerous ones too (a renderer leaves those as text)."""
    return [
        Link(line, target(str(token.attrs["href" if token.type == "link_open" else "src"])), token.type == "image")
        for line, token in _linking(_EveryLink("commonmark").parse(markdown))
    ]


def target(href: str) -> Target:
    """What ``href`` leads to from the page of an article."""
    plain = re.sub(r"[\x00-\x20]", "", href)
    if scheme := _SCHEME.match(plain.lower()):
        if scheme[1] in ("tel", "mailto"):
            return Target("contact")
        if scheme[1] not in ("http", "https"):
            return Target("scheme", scheme[1])
    try:
        parts = urlsplit(plain)
        host = parts.hostname or ""
    except ValueError:
        return Target("nowhere", href)
    if "@" in parts.netloc:
        return Target("account")
    if parts.netloc:
        return Target("host", host)
    named = _ARTICLE.fullmatch(parts.path)
    if parts.query or (parts.path and not named):
        return Target("nowhere", href)
    return Target("article", named[1] if named else "", unquote(parts.fragment))


def to_html(markdown: str) -> str:
    """Render an article for its page: raw HTML is escaped, headings have anchors, articles are linked by their id."""
    reader = MarkdownIt("commonmark", {"html": False})
    tokens = reader.parse(markdown)
    for token, heading in _headings(tokens):
        if token.tag != "h1":  # the page's own title
            token.attrSet("id", heading.anchor)
    for _, token in _linking(tokens):
        found = target(str(token.attrs.get("href", "")))
        if token.type == "link_open" and found.kind == "article":
            token.attrSet("href", found.name + (f"#{found.anchor}" if found.anchor else ""))
    return str(reader.renderer.render(tokens, reader.options, {}))


class _EveryLink(MarkdownIt):
    """Reads every link as one: the stock reader takes a dangerous link for text, which hides it from checks."""

    @override
    def validateLink(self, url: str) -> bool:
        return True


def _headings(tokens: Sequence[Token]) -> Iterator[tuple[Token, Heading]]:
    seen: Counter[str] = Counter()
    for opening, inline in pairwise(tokens):
        if opening.type != "heading_open":
            continue
        text = "".join(child.content for child in inline.children or [] if child.type in ("text", "code_inline"))
        name = _PUNCTUATION.sub("", text).strip().lower().replace(" ", "-")
        repeated = seen[name]
        seen[name] += 1
        line = opening.map[0] if opening.map else 0
        yield opening, Heading(line, " ".join(text.split()), f"{name}-{repeated}" if repeated else name)


def _linking(tokens: Sequence[Token]) -> Iterator[tuple[int, Token]]:
    """Tokens of links and pictures, each with its line."""
    for inline in tokens:
        if inline.type != "inline":
            continue
        line = inline.map[0] if inline.map else 0
        for child in inline.children or []:
            if child.type in ("softbreak", "hardbreak"):
                line += 1
            elif child.type in ("link_open", "image"):
                yield line, child
