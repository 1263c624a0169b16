"""The phrase files of this package, and decks that deal each phrase once before any comes again."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cache
from pathlib import Path
from random import Random
from typing import Any, Generic, Literal, TypeVar

import yaml

Family = Literal["a", "b"]
Card = TypeVar("Card")
_CONDITION = re.compile(r"\((f|m|child)\)\s*")


@cache
def phrases(name: str) -> Any:
    """The content of ``<name>.yaml`` in this package."""
    return read_yaml(Path(__file__).parent / f"{name}.yaml")


def read_yaml(path: Path) -> Any:
    """The content of a YAML file, by the fast loader where there is one."""
    return yaml.load(path.read_text(encoding="utf-8"), Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))


def lines(block: str) -> list[str]:
    """The phrases of a block, one a line."""
    return [line.strip() for line in block.splitlines() if line.strip()]


def paragraphs(block: str) -> list[list[str]]:
    """The lines of a block, parted at its empty lines."""
    return [lines(part) for part in re.split(r"\n\s*\n", block) if part.strip()]


class Deck(Generic[Card]):
    """Deals cards in random order; begins anew when all have been dealt."""

    def __init__(self, cards: list[Card], rng: Random) -> None:
        if not cards:
            raise ValueError("a deck needs a card")
        self._cards, self._rng = list(cards), rng
        self._left: list[Card] = []

    def deal(self, fits: Callable[[Card], bool] = lambda card: True) -> Card:
        """The next card that fits. Raises ValueError if none does."""
        for _ in range(2):
            for place in range(len(self._left) - 1, -1, -1):
                if fits(self._left[place]):
                    return self._left.pop(place)
            self._left = self._rng.sample(self._cards, len(self._cards)) + self._left
        raise ValueError("no card of this deck fits")


def condition(line: str) -> str:
    """Whom a phrase fits: ``f`` or ``m`` (the patient's sex), ``child`` (the patient is one), '' for any adult."""
    found = _CONDITION.match(line)
    return found.group(1) if found else ""


def bare(line: str) -> str:
    """The phrase without its condition."""
    return _CONDITION.sub("", line, count=1)


class Bank:
    """Decks by name over the phrases of one family."""

    def __init__(self, content: dict[str, str], rng: Random) -> None:
        self._decks = {name: Deck(lines(block), rng) for name, block in content.items()}

    def deal(self, name: str, fitting: frozenset[str] = frozenset({""})) -> str:
        """The next phrase of the deck called ``name`` whose condition is among ``fitting``."""
        return bare(self._decks[name].deal(lambda line: condition(line) in fitting))
