"""Makes a search out of what a patient typed: short forms, chatter, spelling, and the words that articles use.

The word lists are data files in ``words/``; they hold for any hospital. A site's own words come from its articles.
A question in Spanish is searched with English words in its place.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from math import log
from pathlib import Path

from rapidfuzz import fuzz, process
from rapidfuzz.distance import OSA

from app.knowledge.spanish import Language, Spanish, fold

FOLDER = Path(__file__).parent / "words"
MAX_CHARACTERS = 600
MIN_SPELLED, MAX_SPELLED = 4, 30
"""Letters of a word that is corrected: too many words are one letter away from a shorter one."""
MIN_CONSONANTS = 4
"""Of a word typed without its vowels: srgry, mdcn."""
MIN_JOINED = 7
"""Letters of two words typed as one: flushot, aftersurgery."""
ALIKE, ALIKE_OTHERWISE = 75.0, 85.0
"""A correction must be this alike, 0 to 100: the mean of shared letters in order and of edits with swaps. The second
holds where the first letter differs, which writers seldom miss. In the shortest words no letter is replaced."""
PER_LOG_ARTICLES = 1.5
"""Of words nearly as alike, the one that more articles use wins: so much likeness for each e-fold of articles."""
ALIKE_SPANISH = 84.0
"""The same for words of the Spanish list, which stands for no site and has no counts."""

REMEMBERED = 5_000
"""Corrections kept in memory."""

MOST_ADDED = 4
"""Words that an entry of the lists adds."""
_WHOSE = "my"
_OWNERS = frozenset("my his her your our their mom's mum's mother's dad's father's son's daughter's baby's kid's "
                    "child's husband's wife's partner's".split())  # fmt: skip
_SHORT_WORDS = frozenset("am an at be by do go he in is it me my no of on or so to up us we".split())
_HISSING = ("ses", "xes", "zes", "ches", "shes")
"""Endings that -es stands in; elsewhere the e is the word's own: hives is no form of HIV."""
_TOKEN = re.compile(r"\bw/o?(?![a-z0-9])|[a-z0-9][a-z0-9'/&-]*[a-z0-9]|[a-z0-9]")
_APOSTROPHES = str.maketrans({"\u2019": "'", "\u2018": "'", "`": "'"})


@dataclass(frozen=True, slots=True)
class Query:
    """``text`` is the question in plain words; ``added`` are phrases that articles use for the same."""

    text: str
    words: tuple[str, ...]
    added: tuple[str, ...]

    @property
    def expanded(self) -> str:
        """The question followed by the added phrases."""
        return f"{self.text} ({', '.join(self.added)})" if self.added else self.text


class Lexicon:
    """The word lists. Reading them takes some hundredths of a second; do it once."""

    def __init__(
        self,
        lay: dict[tuple[str, ...], tuple[str, ...]],
        texting: dict[str, str],
        chatter: Iterable[tuple[str, ...]],
        words: Iterable[str] = (),
        spanish: Spanish | None = None,
    ) -> None:
        self._texting, self._spanish = texting, spanish or Spanish({}, {})
        self._spelled_spanish = Speller(dict.fromkeys(self._spanish.words, 0), lambda word: False, alike=ALIKE_SPANISH)
        self._lay = lay
        self._longest = max(map(len, lay), default=0)
        self._chatter = sorted(chatter, key=len, reverse=True)
        self.words = frozenset(words)

    @classmethod
    def load(cls, folder: Path = FOLDER) -> Lexicon:
        """Read the four files of ``folder``. Raises ValueError with file and line."""
        lay: dict[tuple[str, ...], tuple[str, ...]] = {}
        words: set[str] = set()
        for place, line in chain.from_iterable(_lines(path) for path in sorted((folder / "lay").glob("*.txt"))):
            sides = re.split(r"\s+([>=])\s+", line)
            if len(sides) != 3:
                raise ValueError(f"{place}: one > or = must stand between what patients say and what articles say")
            left, right = ([part.strip() for part in side.split(",") if part.strip()] for side in sides[::2])
            if not left or not right:
                raise ValueError(f"{place}: a side is empty")
            for phrase, added in [(p, right) for p in left] + [(p, left) for p in right if sides[1] == "="]:
                words.update(tokens(phrase))
                key = _key(tokens(phrase))
                more = [a for a in added if a != phrase][:MOST_ADDED]
                lay[key] = tuple(dict.fromkeys((*lay.get(key, ()), *more)))
        texting = {}
        for place, line in _lines(folder / "texting.txt"):
            short, equals, long = (part.strip() for part in line.partition("="))
            if not (short and equals and long):
                raise ValueError(f"{place}: `short form = words` is expected")
            texting[short] = long
        chatter = [tuple(tokens(line)) for _, line in _lines(folder / "chatter.txt")]
        return cls(lay, texting, chatter, words | texting.keys(), Spanish.load(_lines(folder / "spanish.txt")))

    def without_lay(self) -> Lexicon:
        """The same without the words that articles use, to measure what they add."""
        return Lexicon({}, self._texting, self._chatter, self.words, self._spanish)

    def read(self, question: str, spelled: Callable[[str], str] = lambda typed: typed) -> Query:
        """The query for a question, of which the first ``MAX_CHARACTERS`` are read.

        ``spelled`` corrects a word, or joins two words with a space between; or it returns what it was given.
        """
        text = fold(question[:MAX_CHARACTERS])
        words = tokens(text)
        language = self._spanish.language(text, words)
        if language is not Language.ENGLISH:
            words = self._spanish.english(text, words, self._spelled_spanish)
        if language is not Language.SPANISH:
            words = self._spelled(words, spelled)
        words = self._without_chatter(words)
        return Query(" ".join(words), tuple(words), self._added(words))

    def _spelled(self, words: list[str], spelled: Callable[[str], str]) -> list[str]:
        """Words typed in two parts are joined, short forms written out, the rest is corrected."""
        joined = words[:1]
        for word in words[1:]:
            pair = f"{joined[-1]} {word}"
            joined[-1:] = spelled(self._texting.get(pair, pair)).split()
        written = [part for word in joined for part in self._texting.get(word, word).split()]
        return [part for word in written for part in spelled(word).split()]

    def _without_chatter(self, words: list[str]) -> list[str]:
        """Chatter at the beginning and at the end is dropped, unless nothing else is there."""
        kept = tuple(words)
        dropping = True
        while dropping:
            dropping = False
            for phrase in self._chatter:
                size = len(phrase)
                if len(kept) > size and kept[:size] == phrase:
                    kept, dropping = kept[size:], True
                elif len(kept) > size and kept[-size:] == phrase:
                    kept, dropping = kept[:-size], True
        return list(kept)

    def _added(self, words: Sequence[str]) -> tuple[str, ...]:
        stems = _key(words)
        present = " ".join(words)
        added: dict[str, None] = {}
        place = 0
        while place < len(stems):
            sizes = range(min(self._longest, len(stems) - place), 0, -1)
            size = next((size for size in sizes if stems[place : place + size] in self._lay), 0)
            if size:
                added.update((m, None) for m in self._lay[stems[place : place + size]] if m not in present)
            place += size or 1
        return tuple(added)


class Speller:
    """Corrects words that neither the site's articles nor ordinary English know.

    ``vocabulary`` are the words of the site's articles, with the number of passages that hold each; ``also`` are words
    that are right without standing there; ``known`` says whether any other word is an ordinary one; ``alike`` is how
    alike a correction must be, 0 to 100.
    """

    def __init__(
        self,
        vocabulary: Mapping[str, int],
        known: Callable[[str], bool],
        also: Iterable[str] = (),
        *,
        alike: float = ALIKE,
    ) -> None:
        counts = dict.fromkeys(also, 0) | dict(vocabulary)
        self._bonus = {word: PER_LOG_ARTICLES * log(1 + count) for word, count in counts.items()}
        self._choices = [word for word in sorted(counts) if len(word) >= MIN_SPELLED and word.isalpha()]
        self._squeezed: dict[str, list[str]] = {}
        self._consonants: dict[str, list[str]] = {}
        for choice in self._choices:
            self._squeezed.setdefault(_squeezed(choice), []).append(choice)
            self._consonants.setdefault(_consonants(choice), []).append(choice)
        self._known, self._alike = known, alike
        self._found: dict[str, str] = {}

    def __call__(self, word: str) -> str:
        """The word meant, or the two that were typed as one; for two words, the one that was typed apart."""
        if " " in word:
            return self._whole(*word.split(" ", 1))
        if not MIN_SPELLED <= len(word) <= MAX_SPELLED or not word.isalpha() or self._right(word):
            return word
        if word not in self._found:
            if len(self._found) >= REMEMBERED:
                self._found.clear()
            self._found[word] = self._twin(word) or self._two(word) or self._correct(word)
        return self._found[word]

    def _whole(self, first: str, second: str) -> str:
        """The word of the articles that was typed in two parts, one of which is no word: appoint ment."""
        word = first + second
        parts = not self._right(first) or not self._right(second)
        return word if parts and len(word) >= MIN_JOINED and self._bonus.get(word, 0) > 0 else f"{first} {second}"

    def _right(self, word: str) -> bool:
        return any(form in self._bonus or self._known(form) for form in (word, word.removesuffix("s")))

    def _twin(self, word: str) -> str | None:
        """The word that differs by doubled letters, or by vowels left out: vacination, srgry."""
        short = _squeezed(word)
        twins = self._squeezed.get(short, [])
        consonants = _consonants(word)
        if not twins and len(consonants) >= MIN_CONSONANTS:
            twins = [found for found in self._consonants.get(consonants, ()) if _within(short, _squeezed(found))]
        return max(twins, key=lambda found: (self._bonus[found], found), default=None)

    def _two(self, word: str) -> str | None:
        """The two words of the articles or of the lists that were typed as one; the commonest, of several."""
        if len(word) < MIN_JOINED:
            return None
        pairs = [(word[:place], word[place:]) for place in range(2, len(word) - 1)]
        fit = [
            (sum(self._bonus[part] for part in pair), " ".join(pair))
            for pair in pairs
            if all(part in self._bonus and (len(part) > 2 or part in _SHORT_WORDS) for part in pair)
            and any(len(part) >= MIN_SPELLED for part in pair)
        ]
        return max(fit)[1] if fit else None

    def _correct(self, word: str) -> str:
        near = process.extract(word, self._choices, scorer=fuzz.ratio, score_cutoff=self._alike, limit=12)
        fit = []
        for found, letters, _ in near:
            alike = (letters + 100 * OSA.normalized_similarity(word, found)) / 2
            swapped = len(word) > MIN_SPELLED or len(word) != len(found) or sorted(word) == sorted(found)
            if swapped and alike >= (self._alike if found[0] == word[0] else ALIKE_OTHERWISE):
                fit.append((alike + self._bonus[found], found))
        return max(fit)[1] if fit else word


def tokens(text: str) -> list[str]:
    """Words in lower case, without punctuation; apostrophes, hyphens and slashes inside a word stay."""
    return _TOKEN.findall(text.lower().translate(_APOSTROPHES))


def stem(word: str) -> str:
    """A word without its common ending, for comparing words of the lists; no linguistics."""
    for ending in ("'s", "ing", "ed", "es", "s"):
        own = word.endswith("ss") or (ending == "es" and not word.endswith(_HISSING))
        if word.endswith(ending) and len(word) - len(ending) >= 3 and not own:
            word = word[: -len(ending)]
            break
    return word.rstrip("e") if len(word) > 4 else word


def _key(words: Sequence[str]) -> tuple[str, ...]:
    """The stems of words as phrases of the lists are compared: whose arm it is does not matter ("my mom's arm")."""
    key: list[str] = []
    for word in words:
        found = _WHOSE if word in _OWNERS else stem(word)
        if found != _WHOSE or key[-1:] != [_WHOSE]:
            key.append(found)
    return tuple(key)


def _squeezed(word: str) -> str:
    """Without doubled letters."""
    return re.sub(r"(.)\1+", r"\1", word)


def _consonants(word: str) -> str:
    """The first letter and the consonants, none doubled."""
    return _squeezed(word[:1] + re.sub("[aeiou]", "", word[1:]))


def _within(letters: str, word: str) -> bool:
    """Whether the letters stand in the word in their order, so that some are left out at most."""
    rest = iter(word)
    return all(letter in rest for letter in letters)


def _lines(path: Path) -> list[tuple[str, str]]:
    rows = path.read_text(encoding="utf-8").splitlines()
    return [(f"{path.name}:{n}", row.strip()) for n, row in enumerate(rows, 1) if row.strip() and row[0] != "#"]
