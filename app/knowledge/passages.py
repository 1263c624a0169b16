"""Splits an article into passages: by heading, then by paragraph, lists kept with the sentence that leads to them."""

from __future__ import annotations

from dataclasses import dataclass

from markdown_it import MarkdownIt
from markdown_it.token import Token

TARGET_CHARACTERS = 700
"""Paragraphs of one section are joined up to this length."""


@dataclass(frozen=True, slots=True)
class Piece:
    """Plain text under one heading; list items begin with ``- ``."""

    heading: str
    text: str


def about(title: str, heading: str) -> str:
    """What a passage is about: title and heading give a short one its subject."""
    return f"{title}. {heading}." if heading else f"{title}."


def embedded_text(title: str, heading: str, text: str) -> str:
    """A passage as the encoders read it."""
    return f"{about(title, heading)} {text}"


def split(markdown: str, target: int = TARGET_CHARACTERS) -> list[Piece]:
    """The pieces of an article in order. A block longer than ``target`` stays whole: sentences are never cut."""
    pieces: list[Piece] = []
    heading = ""
    blocks: list[str] = []

    def flush() -> None:
        joined: list[str] = []
        for block in blocks:
            too_long = joined and sum(map(len, joined)) + len(block) > target
            if too_long and not (block.startswith("- ") and joined[-1].endswith(":")):
                pieces.append(Piece(heading, "\n".join(joined)))
                joined = []
            joined.append(block)
        if joined:
            pieces.append(Piece(heading, "\n".join(joined)))
        blocks.clear()

    for kind, text in _blocks(MarkdownIt("commonmark").parse(markdown)):
        if kind == "heading":
            flush()
            heading = text
        else:
            blocks.append(text)
    flush()
    return pieces


def _blocks(tokens: list[Token]) -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    container = "paragraph"
    for token in tokens:
        if token.type == "heading_open":
            container = "heading"
        elif token.type == "list_item_open":
            container = "item"
        elif token.type in ("heading_close", "list_item_close"):
            container = "paragraph"
        elif token.type == "inline" and (text := _plain(token)):
            found.append(
                ("heading", text) if container == "heading" else ("text", ("- " if container == "item" else "") + text)
            )
        elif token.type in ("fence", "code_block"):
            found.append(("text", " ".join(token.content.split())))
    return found


def _plain(inline: Token) -> str:
    parts = []
    for child in inline.children or []:
        if child.type in ("text", "code_inline"):
            parts.append(child.content)
        elif child.type in ("softbreak", "hardbreak"):
            parts.append(" ")
    return " ".join("".join(parts).split())
