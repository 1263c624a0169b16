"""Word lists, read once when a detector is built. They are data files in ``words/``, one concern each."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from app.errors import ConfigurationError

_FOLDER = Path(__file__).parent / "words"


@dataclass(frozen=True, slots=True)
class Lexicon:
    """Sets of lower-case words.

    ``given`` and ``surnames`` are names and nothing else; the ``ambiguous`` ones are everyday words too. ``ordinary``
    are words that are no name although they stand where one could. ``eponyms`` are clinical phrases; ``after_eponym``
    are the words before which a name is an eponym.
    """

    given: frozenset[str]
    ambiguous_given: frozenset[str]
    surnames: frozenset[str]
    ambiguous_surnames: frozenset[str]
    ordinary: frozenset[str]
    eponyms: frozenset[str]
    after_eponym: frozenset[str]
    cities: frozenset[str]

    @classmethod
    def load(cls, folder: Path = _FOLDER) -> Lexicon:
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
        )

    def is_name(self, word: str) -> bool:
        """Whether a lower-case word is on any of the name lists."""
        return (
            word in self.given
            or word in self.surnames
            or word in self.ambiguous_given
            or word in self.ambiguous_surnames
        )


def _lines(path: Path) -> frozenset[str]:
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"The word list {path} cannot be read; install the package again") from error
    return frozenset(line.strip() for line in lines if line.strip() and not line.startswith("#"))


def _words(path: Path) -> frozenset[str]:
    return frozenset(word for line in _lines(path) for word in line.split())
