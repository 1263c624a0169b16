"""English words for a question asked in Spanish, or in both: the encoder and the articles know English only.

A gloss, not a translation: the words keep their Spanish order, articles and greetings are dropped, and a word that the
list does not know stays as it is. The list is ``words/spanish.txt``; its head says how its lines are read.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum

Phrase = tuple[str, ...]
MIN_SPELLED = 6
"""Shorter words are corrected by sound only: canal is no carnal."""

_CLITICS = re.compile(r"(.+(?:[aei]r|ndo))(?:me|te|se|nos)?(?:l[aeo]s?|me|te|se|nos)$")
_SMALL = re.compile(r"(.{3,})(?:c?it[ao]s?)$")
_NAME = re.compile(r"(?<=[a-z0-9,] )[A-Z][A-Za-z]+")
_REGULAR = {
    "ar": "o as a amos an e aste aron es emos en aba abas abamos aban are ara aras aremos aran aria arias ariamos"
    " arian ando ado ada ados adas",
    "er": "o es e emos en i iste io imos ieron a as amos an ia ias iamos ian ere era eras eremos eran eria erian iendo"
    " ido ida idos idas",
    "ir": "o es e imos en i iste io ieron a as amos an ia ias iamos ian ire ira iras iremos iran iria irian iendo"
    " ido ida idos idas",
}
_ENDINGS = sorted(
    ((ending, infinitive) for infinitive, row in _REGULAR.items() for ending in row.split()),
    key=lambda pair: (-len(pair[0]), pair),
)
_BEFORE_E = (("qu", "c"), ("gu", "g"), ("c", "z"))
"""Spelling of a stem before e, and before a: saque and sacar, pague and pagar, empiece and empezar."""
_SOUNDS = (
    (r"ch", "x"), (r"h", ""), (r"ll", "y"), (r"rr", "r"), (r"qu", "k"), (r"g(?=[ei])", "j"), (r"gu(?=[ei])", "g"),
    (r"c(?=[ei])", "s"), (r"[cq]", "k"), (r"z", "s"), (r"v", "b"), (r"n(?=[bp])", "m"), (r"(.)\1", r"\1"),
)  # fmt: skip
_ENGLISH = frozenset(
    "the is are am was be been my i you it and of to for in on at with can could do does did how what where when who"
    " why which will would should have had get got go this that there from if or not his her she they we our your"
    " before after about any an need want".split()
)


class Language(StrEnum):
    """What a question is written in."""

    ENGLISH = "english"
    SPANISH = "spanish"
    BOTH = "both"


@dataclass(frozen=True, slots=True)
class _Evidence:
    """How many words are Spanish and English, of how many that may show it; ``shown``: a telling word is there."""

    spanish: int
    english: int
    counted: int
    shown: bool


class Spanish:
    """The list, and the rules for forms of its words. All words are in lower case and without accents.

    ``entries`` maps phrases to English words; ``verbs`` maps infinitives to English words; ``short`` maps careless
    forms to Spanish words. ``shows`` are words that show a question to be Spanish even beside English; ``neutral`` are
    words that English or a name also has.
    """

    def __init__(
        self,
        entries: Mapping[Phrase, Phrase],
        verbs: Mapping[str, Phrase],
        short: Mapping[str, Phrase] | None = None,
        shows: Iterable[Phrase] = (),
        neutral: Iterable[str] = (),
    ) -> None:
        self._verbs, self._short, self._neutral = dict(verbs), dict(short or {}), frozenset(neutral)
        self._single = {phrase[0]: english for phrase, english in entries.items() if len(phrase) == 1}
        self._phrases: dict[str, list[tuple[Phrase, Phrase]]] = {}
        for phrase, english in entries.items():
            if len(phrase) > 1:
                key = tuple(_light(word) for word in phrase)
                self._phrases.setdefault(key[0], []).append((key, english))
        for choices in self._phrases.values():
            choices.sort(key=lambda choice: -len(choice[0]))
        self._shows: dict[str, list[Phrase]] = {}
        for phrase in shows:
            self._shows.setdefault(phrase[0], []).append(phrase)
        self.words = frozenset(word for phrase in entries for word in phrase) | self._verbs.keys()
        glosses = (*self._single.values(), *self._verbs.values())
        self._english = (_ENGLISH | {word for english in glosses for word in english}) - self.words - self._neutral
        sounds: dict[str, list[str]] = {}
        for word in sorted(self.words):
            sounds.setdefault(_sound(word), []).append(word)
        self._sounds = {sound: found[0] for sound, found in sounds.items() if len(found) == 1}

    @classmethod
    def load(cls, rows: Iterable[tuple[str, str]]) -> Spanish:
        """Make it of pairs of a place (file and line) and a line. Raises ValueError with the place."""
        entries: dict[Phrase, Phrase] = {}
        verbs: dict[str, Phrase] = {}
        short: dict[str, Phrase] = {}
        shows: list[Phrase] = []
        neutral: set[str] = set()
        for place, line in rows:
            left, sign, right = _sides(line, place)
            for phrase in left:
                word = phrase[0]
                if sign == "!":
                    shows.append(phrase)
                elif sign == "?":
                    neutral.update(phrase)
                elif sign == ">" and phrase not in entries:
                    entries[phrase] = right
                elif sign == "=" and len(phrase) == 1 and word not in short:
                    short[word] = right
                elif sign == "~" and len(phrase) == 1 and word[-2:] in _REGULAR and word not in verbs:
                    verbs[word] = right
                else:
                    raise ValueError(f"{place}: {' '.join(phrase)} stands there twice, or is no word or verb")
        return cls(entries, verbs, short, shows, neutral)

    def language(self, text: str, words: list[str]) -> Language:
        """The language of a question; ``text`` is folded with its capitals, ``words`` are its tokens. A question in
        English that holds a Spanish name is English."""
        seen = self._evidence(text, words)
        if seen.english:
            return Language.BOTH if seen.shown and seen.spanish >= 2 else Language.ENGLISH
        shown = seen.shown and seen.spanish >= 2
        return Language.SPANISH if shown or 2 * seen.spanish > seen.counted else Language.ENGLISH

    def english(self, text: str, words: list[str], spelled: Callable[[str], str]) -> list[str]:
        """The gloss of ``words``, which are Spanish, or Spanish and English; ``spelled`` corrects a Spanish word. Where
        nothing but greetings is there, the words themselves."""
        seen = self._evidence(text, words)
        whole = [part for word in words for part in self._mended(word, spelled)]
        keys = [_light(word) for word in whole]
        found: list[Phrase] = []
        place = 0
        while place < len(whole):
            size, english = self._phrase(keys, place)
            if not size:
                size, english = 1, self._word(whole[place], mostly_english=seen.english > seen.spanish)
            if len(english) == 1 or english not in found:
                found.append(english)
            place += size
        return [word for english in found for word in english] or words

    def _evidence(self, text: str, words: list[str]) -> _Evidence:
        names = {name.lower() for name in _NAME.findall(text)}
        if 2 * len(names) > len(words):
            names = set()
        words = [word for word in words if word not in names]
        english = sum(word in self._english for word in words)
        counted = [word for word in words if word not in self._neutral]
        spanish = sum((self._is_listed if english else self._is_like)(word) for word in counted)
        shown = any(
            tuple(words[place : place + len(phrase)]) == phrase
            for place, word in enumerate(words)
            for phrase in self._shows.get(word, ())
        )
        return _Evidence(spanish, english, len(counted), shown)

    def _is_listed(self, word: str) -> bool:
        """Whether the list holds it as it is, or its plural; English words are forms of Spanish verbs too often."""
        return any(form in known for form in (word, word.removesuffix("s")) for known in (self._single, self._verbs))

    def _is_like(self, word: str) -> bool:
        """Whether it is a form of a word of the list, or sounds like one."""
        return any((word in self.words, word in self._short, _sound(word) in self._sounds, self.form(word) is not None))

    def _phrase(self, keys: list[str], place: int) -> tuple[int, Phrase]:
        for phrase, english in self._phrases.get(keys[place], ()):
            if tuple(keys[place : place + len(phrase)]) == phrase:
                return len(phrase), english
        return 0, ()

    def _mended(self, word: str, spelled: Callable[[str], str]) -> Phrase:
        """A word as the list writes it."""
        if word in self._short:
            return self._short[word]
        if word in self.words or word in self._english or self.form(word) is not None:
            return (word,)
        return (self._sounds.get(_sound(word)) or (spelled(word) if len(word) >= MIN_SPELLED else word),)

    def _word(self, word: str, *, mostly_english: bool) -> Phrase:
        known = self.form(word)
        if known is None or (known and mostly_english and word in self._neutral):
            return (word,)
        return known

    def form(self, word: str) -> Phrase | None:
        """English words for a word in one of its forms; None if the list does not hold it, empty if it is dropped."""
        for form in _forms(word):
            if form in self._single:
                return self._single[form]
            if form in self._verbs:
                return self._verbs[form]
        return None


def _sides(line: str, place: str) -> tuple[list[Phrase], str, Phrase]:
    """What stands on the left of a line, its sign, and what stands on the right."""
    if line[:2] in ("! ", "? "):
        return _phrases(line[2:]), line[0], ()
    sides = re.split(r"\s+([>~=])\s+", line)
    if len(sides) != 3 or not _phrases(sides[0]) or not sides[2]:
        raise ValueError(f"{place}: one >, ~ or = must stand between the two sides")
    return _phrases(sides[0]), sides[1], () if sides[2] == "-" else tuple(fold(sides[2]).split())


def fold(text: str) -> str:
    """``text`` without accents; capitals stay."""
    if text.isascii():
        return text
    return "".join(sign for sign in unicodedata.normalize("NFD", text) if not unicodedata.combining(sign))


def _phrases(text: str) -> list[Phrase]:
    phrases = (tuple(fold(part.lower()).split()) for part in text.split(","))
    return [phrase for phrase in phrases if phrase]


def _light(word: str) -> str:
    return word[:-1] if len(word) > 4 and word[-1] == "s" else word


def _sound(word: str) -> str:
    """How a word sounds, so that bacuna is vacuna and nesesito is necesito."""
    for pattern, sign in _SOUNDS:
        word = re.sub(pattern, sign, word)
    return word


def _forms(word: str) -> Iterable[str]:
    """The word, then what it may be a form of, the likeliest first."""
    yield word
    if len(word) < 3:
        return
    singular = word[:-1] if word[-1] == "s" else word
    yield singular
    if word.endswith("es"):
        yield word[:-2]
    if word.endswith("ces"):
        yield f"{word[:-3]}z"
    yield from _verbs(word)
    if singular[-1] in "ao":
        yield singular[:-1] + ("o" if singular[-1] == "a" else "a")
        yield singular[:-1]
    clitic = _CLITICS.match(word)
    if clitic:
        yield clitic[1]
        yield from _verbs(clitic[1])
    small = _SMALL.match(word)
    if small:
        yield from (small[1] + ending for ending in ("a", "o", "e", ""))
        if small[1].endswith("qu"):
            yield f"{small[1][:-2]}ca"


def _verbs(word: str) -> Iterable[str]:
    """Infinitives that a regular form may belong to."""
    for ending, infinitive in _ENDINGS:
        stem = word.removesuffix(ending)
        if stem == word or len(stem) < 2:
            continue
        yield stem + infinitive
        if infinitive == "ar" and ending[0] == "e":
            for written, plain in _BEFORE_E:
                if stem.endswith(written):
                    yield stem.removesuffix(written) + plain + infinitive
