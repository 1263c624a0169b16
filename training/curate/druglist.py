"""The drug names that spelling is corrected towards, and the words that are right as they stand.

The names are data files of redaction, which must leave them alone: ``drug_families.txt`` (a generic and its brands a
line), ``drug_spanish.txt`` (Spanish forms of generics) and ``drug_others.txt`` (drugs of other countries, other
substances). What only spelling needs lies in ``drugs/``: ``phrases.txt`` (names of two words), ``everyday.txt`` (the
names met every day), ``misspellings.txt`` (slips that were decided by hand) and ``words.txt`` (words that look like
drug names and are none). A hospital can add names and words in files of its own.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from tokenizers import Tokenizer

from app.encoder import weights
from app.errors import ConfigurationError
from app.redaction.lexicon import WORDS, unaccented
from app.redaction.lexicon import Lexicon as Names

FOLDER = Path(__file__).parent / "drugs"
LISTS = WORDS
"""Names of medicines, which redaction has to know too."""
SHORTEST = 5
"""Letters that a name must have to be corrected towards: shorter ones lie within two edits of too many words."""

_LETTERS = re.compile(r"[^\W\d_]+")
_ENDINGS = (
    ("s", ""), ("es", ""), ("ies", "y"), ("ed", ""), ("ed", "e"), ("ied", "y"), ("ing", ""), ("ing", "e"), ("er", ""),
    ("er", "e"), ("ers", ""), ("ers", "e"), ("or", "e"), ("ors", "e"), ("ly", ""), ("ally", ""), ("ness", ""),
    ("less", ""), ("able", ""), ("able", "e"), ("ful", ""), ("est", ""), ("est", "e"), ("ist", ""), ("ism", ""),
    ("al", ""), ("ally", "al"), ("ic", ""), ("ity", ""), ("ity", "e"), ("y", ""), ("ation", "e"), ("ion", "e"),
    ("ion", ""), ("ions", ""), ("ive", "e"), ("ment", ""), ("ments", ""), ("ish", ""), ("like", ""), ("wise", ""),
)  # fmt: skip
_BEFORE = ("un", "re", "non", "pre", "over", "under", "mis", "dis", "anti", "inter", "super", "sub", "out", "self")
_LEAST_STEM = 4


@dataclass(frozen=True, slots=True)
class DrugList:
    """Names and words in lower case and without accents.

    Of names: ``drug_of``: each valid spelling and the name it stands for: itself, or the English generic of a Spanish
    form (a brand is no other writing of its generic: OxyContin acts for longer than oxycodone). ``family``: the
    generic, or the group, that a name belongs to. ``spanish``: those that are Spanish alone. ``written``: how a
    spelling is written with accents. ``parts``: of names with a hyphen. ``phrases``: names of two words.
    ``everyday``: names that patients ask about every day. ``wordlike``: names that are words of the language, or
    people's, too.

    Of others: ``common``: everyday words and people's names. ``words``: these, and seldom ones that look like drug
    names. ``others``: substances that are no targets. ``decided``: the name that a well-known misspelling stands for.
    """

    drug_of: dict[str, str]
    family: dict[str, str]
    spanish: frozenset[str]
    written: dict[str, str]
    parts: frozenset[str]
    phrases: frozenset[tuple[str, str]]
    everyday: frozenset[str]
    wordlike: frozenset[str]
    common: frozenset[str]
    words: frozenset[str]
    others: frozenset[str]
    decided: dict[str, str]

    @classmethod
    def load(cls, *, names: Path | None = None, words: Path | None = None, also: Iterable[str] = ()) -> DrugList:
        """Read the lists, with a hospital's own ``names`` and ``words``; ``also`` are texts whose words are right.

        Raises ConfigurationError that names file and line.
        """
        family = _names([LISTS / "drug_families.txt", *([names] if names else [])])
        drug_of = {name: name for name in family}
        spanish, written = _spanish(drug_of)
        language = ordinary_words()
        common = {folded(word) for word in language} | {
            folded(word) for text in also for word in _LETTERS.findall(text)
        }
        others = _words(LISTS / "drug_others.txt")
        more = frozenset().union(*(_words(path) for path in [FOLDER / "words.txt", *([words] if words else [])]))
        return cls(
            drug_of=drug_of | spanish,
            family=family,
            spanish=frozenset(spanish),
            written=written,
            parts=frozenset(part for name in drug_of if "-" in name for part in name.split("-")),
            phrases=frozenset((line.split()[0], line.split()[1]) for _, line in _lines(FOLDER / "phrases.txt")),
            everyday=_words(FOLDER / "everyday.txt"),
            wordlike=frozenset(name for name in drug_of if name in language),
            # Articles and word lists name drugs too: a drug is no rival of its own misspelling.
            common=frozenset(word for word in common if word not in drug_of and word.removesuffix("s") not in drug_of),
            words=frozenset(common | others | more),
            others=others,
            decided=_decided(drug_of),
        )

    def valid(self, word: str) -> bool:
        """Whether a lower-case word is a drug name, also in the plural ("statins" is a word, "Tylenols" a name)."""
        plain = folded(word)
        plural = plain.endswith("s") and not plain.endswith("ss") and plain[:-1] in self.drug_of
        return plain in self.drug_of or plural or plain in self.parts

    def ordinary(self, word: str) -> bool:
        """Whether a lower-case word is one of everyday or medical language, inflected or not."""
        return word in self.words or any(stem in self.words for stem in _stems(word))

    def targets(self) -> frozenset[str]:
        """The names that a misspelling may be corrected to: long enough, and no word of the language too ("Commit"),
        unless patients ask for the drug every day ("insulin").
        """
        return frozenset(
            name
            for name in self.drug_of
            if len(name) >= SHORTEST and (name in self.everyday or name not in self.wordlike)
        )


def folded(word: str) -> str:
    """Lower case without accents; a letter stays one letter."""
    return unaccented(word.lower())


def drug_names() -> frozenset[str]:
    """All names of the project's own list, in lower case."""
    return frozenset(_names([LISTS / "drug_families.txt"]))


def ordinary_words() -> frozenset[str]:
    """Common words (those that the encoder's tokenizer holds whole) and people's names, cities and the like."""
    tokenizer = Tokenizer.from_file(str(weights.model_folder() / "tokenizer.json"))
    names = Names.load()
    common = (word for word in tokenizer.get_vocab() if word.isalpha())
    lists = (names.given, names.surnames, names.ambiguous_given, names.ambiguous_surnames, names.ordinary, names.cities)
    return frozenset(common).union(*lists, (word for phrase in names.eponyms for word in phrase.split()))


def _stems(word: str) -> Iterator[str]:
    """What an inflected word may come from: "refilled" gives "refill", "stopped" gives "stop"."""
    for start in ("", *_BEFORE):
        if not word.startswith(start):
            continue
        rest = word[len(start) :]
        if start and len(rest) >= _LEAST_STEM:
            yield rest
        for ending, put in _ENDINGS:
            stem = rest.removesuffix(ending)
            if stem == rest or len(stem) < _LEAST_STEM - 1:
                continue
            yield stem + put
            if not put and len(stem) > _LEAST_STEM - 1 and stem[-1] == stem[-2]:
                yield stem[:-1]


def _names(paths: list[Path]) -> dict[str, str]:
    found: dict[str, str] = {}
    for path in paths:
        places: dict[str, str] = {}
        for place, left, right in _pairs(path):
            group = left.startswith("(")
            for name in ([] if group else [left]) + [part.strip() for part in right.split(",") if part.strip()]:
                plain = folded(name)
                if plain in places:
                    raise ConfigurationError(f"{place}: {name} stands in {places[plain]} already")
                places[plain] = place
                found.setdefault(plain, folded(left))
    return found


def _spanish(drug_of: dict[str, str]) -> tuple[dict[str, str], dict[str, str]]:
    """The forms that are Spanish alone with their generics, and how they are written with accents."""
    spanish, written = {}, {}
    for place, form, drug in _pairs(LISTS / "drug_spanish.txt"):
        if drug not in drug_of:
            raise ConfigurationError(f"{place}: {drug} is not in drug_families.txt")
        plain = folded(form)
        if plain not in drug_of:
            spanish[plain], written[plain] = drug, form
    return spanish, written


def _decided(drug_of: dict[str, str]) -> dict[str, str]:
    found = {}
    for place, wrong, right in _pairs(FOLDER / "misspellings.txt"):
        if right not in drug_of or wrong in drug_of:
            raise ConfigurationError(f"{place}: a misspelling and the name it stands for are expected")
        found[wrong] = right
    return found


def _words(path: Path) -> frozenset[str]:
    return frozenset(folded(word) for _, line in _lines(path) for word in line.split())


def _pairs(path: Path) -> Iterator[tuple[str, str, str]]:
    for place, line in _lines(path):
        left, equals, right = (part.strip() for part in line.partition("="))
        if not (left and equals):
            raise ConfigurationError(f"{place}: `name = other names` is expected")
        yield place, left, right


def _lines(path: Path) -> list[tuple[str, str]]:
    try:
        rows = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"The list {path} cannot be read: {error}") from None
    return [(f"{path}:{n}", row.strip()) for n, row in enumerate(rows, 1) if row.strip() and row[0] != "#"]
