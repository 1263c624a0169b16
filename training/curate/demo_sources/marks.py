"""Text with defects marked in place: what a generator writes, and its parting into plain text and labels."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

_START, _FIELD, _END = "\ue000", "\ue001", "\ue002"
MARK_END = _END
"""What ends a mark in a text."""
_MARK = re.compile(f"{_START}([^{_END}]*){_END}")


@dataclass(frozen=True, slots=True)
class Mark:
    """One labelled piece of a text. ``kind`` is the Safe Harbor kind of an identifier, else ''."""

    defect: str
    wrong: str
    right: str = ""
    note: str = ""
    kind: str = ""


def mark(defect: str, wrong: str, right: str = "", note: str = "", kind: str = "") -> str:
    """``wrong`` with its label around it. A mark holds no other mark."""
    return _START + _FIELD.join((defect, right, note, kind, wrong)) + _END


def unmark(text: str) -> tuple[str, list[Mark]]:
    """The text as a reader sees it, and its labels from left to right."""
    found: list[Mark] = []

    def plain(match: re.Match[str]) -> str:
        defect, right, note, kind, wrong = match.group(1).split(_FIELD)
        found.append(Mark(defect, wrong, right, note, kind))
        return wrong

    return _MARK.sub(plain, text), found


def outside(text: str, change: Callable[[str], str]) -> str:
    """Apply ``change`` to each stretch between marks."""
    parts = re.split(f"({_START}[^{_END}]*{_END})", text)
    return "".join(part if part.startswith(_START) else change(part) for part in parts)


def marked(text: str, change: Callable[[str], str]) -> str:
    """Apply ``change`` to the marked words that are identifiers."""

    def each(match: re.Match[str]) -> str:
        head, _, wrong = match.group(1).rpartition(_FIELD)
        return _START + head + _FIELD + (change(wrong) if head.startswith("identifier") else wrong) + _END

    return _MARK.sub(each, text)


def inside(text: str, change: Callable[[str], str]) -> str:
    """Apply ``change`` to the whole text, marked words too (a letter for a letter, such as lower case)."""

    def each(match: re.Match[str]) -> str:
        head, _, wrong = match.group(1).rpartition(_FIELD)
        return _START + head + _FIELD + change(wrong) + _END

    return outside(_MARK.sub(each, text), change)
