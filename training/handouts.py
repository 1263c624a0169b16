"""Files that leave the program for people: offline pages, tables for spreadsheets, closed to everybody else."""

from __future__ import annotations

import base64
import hashlib
import re
from pathlib import Path

_FORMULA = re.compile(r"\s*[=+\-@|%＝＋－＠]")


def csp_hash(source: str) -> str:
    """A source as a content security policy names it; its characters need no escaping."""
    return "sha256-" + base64.b64encode(hashlib.sha256(str(source).encode()).digest()).decode()


def inert(cell: str) -> str:
    """A cell that no spreadsheet takes for a formula, whatever a patient or a model has said."""
    cell = cell.replace("\x00", "")
    return f"'{cell}" if _FORMULA.match(cell) else cell


def write_private(path: Path, text: str) -> None:
    """Write a file that nobody but its owner may read (mode 0600); an older one is replaced, never opened."""
    path.unlink(missing_ok=True)
    path.touch(mode=0o600)
    path.write_text(text, encoding="utf-8", newline="")
