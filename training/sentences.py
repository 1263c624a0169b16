"""Sentences of passages and answers, cut alike wherever they are compared."""

from __future__ import annotations

import re

_END = re.compile(r"(?<=[.!?:])[\"')]*\s+(?=[A-Z0-9\"'(¿¡]|- )|\s+(?=- [A-Z0-9\"'])")
_ABBREVIATION = re.compile(r"(?:\b(?:Dr|Mr|Mrs|Ms|St|No|vs|e\.g|i\.e|approx)|\b[A-Z]\.[A-Z])\.$")
_TIME = re.compile(r"\b[ap]\.m\.$")
_AFTER_TIME = re.compile(r"(?:Mon|Tues|Wednes|Thurs|Fri|Satur|Sun)days?\b|[0-9]")
_CITATION = re.compile(r"\s*\[\d{1,2}\]\s*$")
_NUMBER = re.compile(r"\$?\d[\d,.:/-]*\d|\$?\d")


def split_sentences(text: str) -> list[str]:
    """Cut one line of text into sentences; a list item ("- ...") is one too, without its dash.

    "8 a.m. Monday" and "Dr. Lee" are not cut. A sentence that ends with a colon stands alone.
    """
    parts: list[str] = []
    start = 0
    for match in _END.finditer(text):
        piece = text[start : match.start()] + match.group(0).rstrip()
        rest = text[match.end() :]
        if _ABBREVIATION.search(piece) or (_TIME.search(piece) and _AFTER_TIME.match(rest)):
            continue
        if piece.endswith(":") and not rest.startswith("- "):
            continue
        parts.append(piece)
        start = match.end()
    parts.append(text[start:])
    cleaned = [re.sub(r"^- ", "", part.strip()) for part in parts]
    return [part for part in cleaned if part]


def without_citation(answer: str) -> str:
    """The answer without the passage number at its end."""
    return _CITATION.sub("", answer.strip())


def numbers(text: str) -> list[str]:
    """Every number in the text as it is written: times, prices, telephone numbers, doses."""
    return _NUMBER.findall(text)
