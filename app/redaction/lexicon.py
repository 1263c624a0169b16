"""Word lists, read once when a detector is built. They are data files in ``words/``, one concern each."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from pathlib import Path

from app.errors import ConfigurationError

_NO_NAMES = re.compile(r"\([^)]*\)|[=,]")
WORDS = Path(__file__).parent / "words"


@dataclass(frozen=True, slots=True)
class Lexicon:
    """Sets of lower-case words.

    ``given`` and ``surnames`` are names and nothing else; the ``ambiguous`` ones are everyday words too. ``ordinary``
    are words that are no name although they stand where one could. ``eponyms`` are clinical phrases; ``after_eponym``
    are the words before which a name is an eponym. ``eponym_words`` are the single words of eponyms, many of them
    surnames too; ``drugs``, ``labs`` and ``brands`` (phrases) name medicines, tests and products.
    ``everyday`` are Spanish words of every day and clinical shorthand.
    """

    given: frozenset[str]
    ambiguous_given: frozenset[str]
    surnames: frozenset[str]
    ambiguous_surnames: frozenset[str]
    ordinary: frozenset[str]
    eponyms: frozenset[str]
    after_eponym: frozenset[str]
    cities: frozenset[str]
    eponym_words: frozenset[str]
    drugs: frozenset[str]
    everyday: frozenset[str]
    labs: frozenset[str]
    brands: frozenset[str]

    @classmethod
    def load(cls, folder: Path = WORDS) -> Lexicon:
        """Read the lists. Raises ConfigurationError that names a missing file."""
        return cls(
            given=_words(folder / "given_names.txt"),
            ambiguous_given=_words(folder / "ambiguous_names.txt"),
            surnames=_words(folder / "surnames.txt"),
            ambiguous_surnames=_words(folder / "ambiguous_surnames.txt"),
            ordinary=_words(folder / "ordinary.txt"),
            eponyms=_lines(folder / "clinical.txt"),
            after_eponym=_words(folder / "clinical_after.txt"),
            cities=_words(folder / "cities.txt"),
            eponym_words=frozenset(
                part for word in _words(folder / "eponyms.txt") for part in word.split("_") if len(part) > 2
            ),
            drugs=_drugs(folder),
            everyday=_unmarked(_words(folder / "everyday_es.txt") | _words(folder / "shorthand.txt")),
            labs=_words(folder / "labs.txt"),
            brands=_lines(folder / "brands.txt"),
        )

    def is_name(self, word: str) -> bool:
        """Whether a lower-case word is on any of the name lists."""
        return (
            word in self.given
            or word in self.surnames
            or word in self.ambiguous_given
            or word in self.ambiguous_surnames
        )


def _drugs(folder: Path) -> frozenset[str]:
    """Every name of the lists of medicines, as written and without accents; what stands in brackets is no name."""
    lists = ("drugs", "drug_families", "drug_spanish", "drug_others")
    text = " ".join(line for name in lists for line in _lines(folder / f"{name}.txt"))
    written = {word for word in _NO_NAMES.sub(" ", text.lower()).split() if len(word) > 2}
    return _unmarked(frozenset(written))


def unaccented(word: str) -> str:
    """A word without accents; a letter stays one letter."""
    plain = unicodedata.normalize("NFD", word)
    return "".join(character for character in plain if not unicodedata.combining(character))


def _unmarked(words: frozenset[str]) -> frozenset[str]:
    """The words as written, and as they are typed without accents."""
    return words | {unaccented(word) for word in words}


def _lines(path: Path) -> frozenset[str]:
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"The word list {path} cannot be read; install the package again") from error
    return frozenset(line.strip() for line in lines if line.strip() and not line.startswith("#"))


def _words(path: Path) -> frozenset[str]:
    return frozenset(word for line in _lines(path) for word in line.split())
