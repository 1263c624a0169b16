"""Word lists and frames for the training of the learned name recognizer, and their split.

Every name, town and frame is in training or held out, decided by a hash of its text, so that no list has to be kept
twice and a word that is added later changes no other. Invented names (a chain of letter pairs learnt from the training
names of one origin) stand in for the many that no list holds.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random

from app.errors import ConfigurationError

FOLDER = Path(__file__).with_name("names")
HELD_OUT = 8
"""One of so many names, towns and frames is held out."""

FRAME_FAMILIES = ("plain", "care", "people", "notes", "terse", "es")
CALM_FAMILIES = ("words", "clinical", "service", "es")


def held_out(text: str) -> bool:
    """Whether a name or a frame is kept from training."""
    return zlib.crc32(text.lower().encode()) % HELD_OUT == 0


@dataclass(frozen=True, slots=True)
class Lists:
    """Names by origin, and values by kind, of one side of the split. ``frames`` and ``calm`` by family."""

    given: dict[str, list[str]]
    surnames: dict[str, list[str]]
    values: dict[str, list[str]]
    frames: dict[str, list[str]]
    calm: dict[str, list[str]]

    @classmethod
    def load(cls, side: str, folder: Path = FOLDER) -> Lists:
        """The lists of ``side``: "train" or "held_out". Raises ConfigurationError that names a broken file."""
        wanted = side == "held_out"

        def one_side(words: Iterable[str]) -> list[str]:
            kept = list(words)
            return [word for word in kept if held_out(word) == wanted] or kept

        places = _kinds(folder / "places.txt", ";")
        kinds = {name: one_side(words) for name, words in places.items()} | _kinds(folder / "terms.txt", ";")
        return cls(
            given={origin: one_side(words) for origin, words in _kinds(folder / "given.txt").items()},
            surnames={origin: one_side(words) for origin, words in _kinds(folder / "surnames.txt").items()},
            values=kinds,
            frames={name: one_side(_lines(folder / f"frames_{name}.txt")) for name in FRAME_FAMILIES},
            calm={name: one_side(_lines(folder / f"calm_{name}.txt")) for name in CALM_FAMILIES},
        )


class Invented:
    """Makes words that look like those of a list, by the letters that follow each pair of letters there."""

    def __init__(self, words: Sequence[str]) -> None:
        self._after: dict[str, list[str]] = {}
        for word in words:
            marked = f"^^{word.lower()}$"
            for at in range(len(marked) - 2):
                self._after.setdefault(marked[at : at + 2], []).append(marked[at + 2])

    def word(self, rng: Random, accept: Callable[[str], bool]) -> str | None:
        """A new word of four to eleven letters with a capital, or None if ``accept`` took none of twenty."""
        for _ in range(20):
            made = "^^"
            while not made.endswith("$") and len(made) < 14:
                made += rng.choice(self._after[made[-2:]])
            word = made.strip("^$")
            if 4 <= len(word) <= 11 and word.isalpha() and accept(word):
                return word.capitalize()
        return None


def _lines(path: Path) -> list[str]:
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{path} cannot be read: {error}") from None
    return [line for line in lines if line.strip() and not line.startswith("#")]


def _kinds(path: Path, separator: str | None = None) -> dict[str, list[str]]:
    kinds = {}
    for number, line in enumerate(_lines(path), start=1):
        kind, colon, words = line.partition(":")
        found = [word.strip() for word in words.split(separator) if word.strip()]
        if not colon or not found:
            raise ConfigurationError(f"{path.name}, entry {number}: must read `kind: word word`")
        kinds[kind.strip()] = found
    return kinds
