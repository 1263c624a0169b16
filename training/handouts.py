"""Files that leave the program for people: offline pages, tables for spreadsheets, closed to everybody else."""

from __future__ import annotations

import base64
import hashlib
import re
from pathlib import Path

from training.files import write_text

_SIGNS = "=+\\-@|%＝＋－＠"
_LEADING = re.compile(rf'[\t\r\n]|[\s"]*[{_SIGNS}]')
_INSIDE = re.compile(rf'(?<![\s";])(?P<before>[\s";]*)(?P<sign>[{_SIGNS}])')
_MARK = re.compile(rf"\A'(?=[\t\r\n]|[\s\"]*[{_SIGNS}])|'(?=[{_SIGNS}])")
_PARTS = frozenset(";\t\r\n")
"""Where some spreadsheets part a cell in two."""


def csp_hash(source: str) -> str:
    """A source as a content security policy names it; its characters need no escaping."""
    return "sha256-" + base64.b64encode(hashlib.sha256(str(source).encode()).digest()).decode()


def inert(cell: str) -> str:
    """A cell that no spreadsheet takes for a formula, whatever a patient or a model has said.

    An apostrophe stands before what begins like one, also behind a semicolon, a tab or a line break.
    """
    marked = _INSIDE.sub(_marked, cell.replace("\x00", ""))
    return f"'{marked}" if _LEADING.match(marked) else marked


def unmarked(cell: str) -> str:
    """A cell without the apostrophes of :func:`inert`; one that stood before such a sign in the text goes too."""
    return _MARK.sub("", cell)


def _marked(match: re.Match[str]) -> str:
    parted = not _PARTS.isdisjoint(match["before"])
    return f"{match['before']}'{match['sign']}" if parted else match.group()


def write_private(path: Path, text: str) -> None:
    """Write a file that nobody but its owner may read (mode 0600); an older one is replaced, never opened.

    Raises ConfigurationError.
    """
    write_text(path, text, mode=0o600)
