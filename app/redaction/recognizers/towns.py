"""The lists of towns as parts of regular expressions; they are data files in ``words/``."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import regex

from app.errors import ConfigurationError

_WORDS = Path(__file__).parents[1] / "words"


def listed_towns(file: str) -> list[str]:
    """All towns of a list, in small letters. Raises ConfigurationError that names a missing file."""
    path = _WORDS / file
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"The word list {path} cannot be read; install the package again") from error
    return sorted({name.replace("_", " ") for line in lines if not line.startswith("#") for name in line.split()})


def any_of(names: Iterable[str]) -> str:
    """A pattern that takes the longest of these names, a blank in them also as a hyphen.

    Names share their beginnings (``w(?:aco|ichita(?: falls)?)``), so that most words fail at their first
    or second letter.
    """
    root = _Node()
    for name in names:
        node = root
        for letter in (*name, ""):
            node = node.setdefault(letter, _Node())
    return _pattern(root)


class _Node(dict[str, "_Node"]):
    """Letters that may come next; the key "" ends a name."""


def _pattern(node: _Node) -> str:
    branches = [_letter(letter) + _pattern(rest) for letter, rest in sorted(node.items()) if letter]
    if not branches:
        return ""
    inner = branches[0] if len(branches) == 1 and "" not in node else f"(?:{'|'.join(branches)})"
    return inner + ("?" if "" in node else "")


def _letter(letter: str) -> str:
    return r"[\s\-]" if letter == " " else regex.escape(letter)
