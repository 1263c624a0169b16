"""Which approved passage says what a member of staff said, and which of its sentences.

Lexical on purpose: both sides speak about the same numbers, places and medicines, a look-up takes about a millisecond,
and a person can see why a passage was taken. Of 140 dialogues made of the demo sources and judged by hand, all had the
right passage, and in 135 every chosen sentence was what had been said (a first sample of 80, and one of 60 after mends,
in which all were).
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import log
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field
from rapidfuzz import fuzz

from app.knowledge.query import Lexicon, stem, tokens
from training.finetune.dialogues import Section, read_sections
from training.sentences import split_sentences

Missing = Literal["nothing_alike", "numbers_differ", "says_the_opposite", "other_question", "other_patient"]

_STOP = frozenset(
    "a about after all also am an and any are aren as at be been before being but by can cannot could couldn did didn "
    "do does doesn don for from get go had hadn has hasn have haven he her here him his how i if in into is isn it "
    "its just like ll m may me might more most much must my need no not of off ok okay on one or our out over please "
    "re right s shall she should shouldn so some such sure t than thank thanks that the their them then there these "
    "they this those to too under up us ve very was wasn we well were weren what when where which while who will with "
    "won would wouldn yes you your yours".split()
)
_FILLER = frozenset(
    "call question thing other forget while mind help need know tell want like wonder ask say said think see speak "
    "talk hello hi hey yeah yep um uh oh okay kay morning afternoon evening actually quick hope hold bother "
    "something anything else good great".split()
)
"""Words of a question, in the form of :func:`terms`, that do not say what it is about."""
_WEEKDAYS = frozenset(map(stem, "monday tuesday wednesday thursday friday saturday sunday".split()))
_NUMBER_WORDS = {
    "two": "2", "three": "3", "four": "4", "five": "5", "six": "6", "seven": "7", "eight": "8", "nine": "9",
    "ten": "10", "eleven": "11", "twelve": "12", "fifteen": "15", "twenty": "20", "thirty": "30", "forty": "40",
    "fifty": "50", "first": "1", "second": "2", "third": "3", "fourth": "4", "fifth": "5", "sixth": "6",
    "sixty": "60", "ninety": "90", "noon": "12pm", "midnight": "12am",
}  # fmt: skip
_TOKEN = re.compile(r"<[A-Z_]+_\d+>")
_CLOCK = re.compile(r"\b(\d{1,2})(?::(\d\d))?\s*([ap])\.?\s?m\b\.?", re.IGNORECASE)
_DAYTIME = re.compile(r"\b(\d{1,2}) (?:o'clock )?(?:in the|at) (morning|afternoon|evening|night)\b", re.IGNORECASE)
_GROUPED = re.compile(r"(?<=\d),(?=\d{3}\b)")
_PHONE = re.compile(r"\(?\b(\d{3})\)?[\s.-]+(\d{3})[\s.-]+(\d{4})\b")
_DENIAL = re.compile(
    r"\b(?:not?|never|nothing|nobody|none|neither|nor|without|avoid|stop|skip|unless|cannot|instead|free)\b|n['’]t\b|"
    r"\b(?:don|doesn|didn|can|won|isn|aren|shouldn)t\b",
    re.IGNORECASE,
)
"""Words that deny; "free" stands for "no charge"."""
_YEARS = "|".join("one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen".split())
_CHILD = re.compile(
    rf"\b(?:child(?:ren)?(?:['’]s)?|kids?|bab(?:y|ies)|infants?|newborns?|toddlers?|teen(?:ager)?s?|pediatric|"
    rf"(?:my|our|his|her|the) (?:little (?:one|boy|girl|guy)|boy|girl|son|daughter|grand(?:son|daughter|child|kid))|"
    rf"(?:\d|1[0-7]|{_YEARS}|sixteen|seventeen)[ -]years?[ -]olds?|\w+[ -](?:months?|weeks?|days?)[ -]olds?)\b",
    re.IGNORECASE,
)
_ADULT = re.compile(r"\badults?\b", re.IGNORECASE)
_DOSE = re.compile(
    r"\d\s?(?:mg|mcg|g|ml|milligrams?|micrograms?|grams?|milliliters?|tablets?|pills?|capsules?|puffs?|units?|drops?|"
    r"teaspoons?|tablespoons?)\b",
    re.IGNORECASE,
)
_ALIKE = 0.4
"""From this share of its words on, a passage's sentence is what a sentence of the staff speaks of."""
_WITH_DIGIT = re.compile(r"\d")


class Bounds(BaseModel):
    """Shares from 0 to 1, of words weighted by their rarity. Chosen on calls of the demo sources and on
    paraphrases written by hand.

    ``sentence``: so much of a passage's sentence question and answer must say together, ``alone`` the answer by itself.
    ``new``: so much of a second or third sentence must have been said and not stand in those before.
    ``said``: so much of what the staff said must stand in the passage. ``question``: so much of the question must stand
    in the passage or its heading, unless the answer holds the sentence ``word_for_word``. ``unanswered``: of a question
    that no article answers at most so much stands in any one of them.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    sentence: float = Field(default=0.6, gt=0, le=1)
    alone: float = Field(default=0.4, gt=0, le=1)
    new: float = Field(default=0.4, ge=0, le=1)
    said: float = Field(default=0.35, ge=0, le=1)
    question: float = Field(default=0.15, ge=0, le=1)
    word_for_word: float = Field(default=0.8, ge=0, le=1)
    unanswered: float = Field(default=0.4, ge=0, le=1)
    sentences: int = Field(default=3, ge=1, le=3)


@dataclass(frozen=True, slots=True)
class Found:
    """A passage and the places of the sentences in it that say what the staff said."""

    section: Section
    places: tuple[int, ...]
    share: float


class Support:
    """All passages of the approved articles, ready to be looked up. Building takes a second; build it once."""

    def __init__(self, sections: Sequence[Section], bounds: Bounds | None = None, ignored: str = "") -> None:
        """``ignored`` are words that say nothing here: the hospital's name."""
        self._sections, self._bounds, self._lexicon = sections, bounds or Bounds(), Lexicon.load()
        self._ignored = terms(ignored)
        self._sentences = [
            (number, place, terms(sentence) - self._ignored)
            for number, section in enumerate(sections)
            for place, sentence in enumerate(section.sentences)
        ]
        self._text = [
            frozenset(term for sentence in section.sentences for term in terms(sentence)) for section in sections
        ]
        self._about = [
            self._text[number] | terms(f"{section.heading} {section.article_id.replace('-', ' ')} {section.topic}")
            for number, section in enumerate(sections)
        ]
        self._articles: dict[str, frozenset[str]] = {}
        for section, about in zip(sections, self._about, strict=True):
            self._articles[section.article_id] = self._articles.get(section.article_id, frozenset()) | about
        held = Counter(term for about in self._about for term in about)
        self._unknown = log(1 + len(sections))
        self._weight = {term: log(1 + len(sections) / count) for term, count in held.items()}
        where: defaultdict[str, list[int]] = defaultdict(list)
        for index, (_, _, found) in enumerate(self._sentences):
            for term in found:
                where[term].append(index)
        self._where = {term: np.array(places) for term, places in where.items()}
        self._weights = np.array([self._sum(found) or 1.0 for _, _, found in self._sentences])

    @classmethod
    def load(cls, articles: Path, bounds: Bounds | None = None, ignored: str = "") -> Support:
        """Over a folder of articles. Raises ConfigurationError for a broken one."""
        return cls(read_sections(articles), bounds, ignored)

    def find(self, question: str, said: str) -> Found | Missing:
        """The passage that says what the staff ``said`` to the question, or why there is none."""
        spoken = split_sentences(said)
        whole = frozenset().union(*map(terms, spoken)) - self._ignored
        asked = content(question)
        # An answer leaves out what the question has said: both together must hold a sentence of the passage, and the
        # answer alone a good part of it.
        alone, shares = self._shares(whole), self._shares(whole | self._in_other_words(question, asked))
        enough = np.flatnonzero((shares >= self._bounds.sentence) & (alone >= self._bounds.alone))
        fit = dict(zip(enough.tolist(), shares[enough].tolist(), strict=True))
        best: dict[int, float] = {}
        for index, share in fit.items():
            number = self._sentences[index][0]
            best[number] = max(best.get(number, 0.0), share + float(alone[index]))
        if not best:
            return "nothing_alike"
        # Of passages that say it alike, the one about the question is taken.
        number = max(best, key=lambda n: (self._rank(best[n], whole, asked, n), -n))
        places = self._chosen(
            number, whole, {i: fit[i] + float(alone[i]) + self._share(asked, self._sentences[i][2]) for i in fit}
        )
        chosen = [self._sections[number].sentences[place] for place in places]
        if not self._numbers_agree(chosen, spoken, number):
            return "numbers_differ"
        if self._opposite(chosen, spoken):
            return "says_the_opposite"
        if _CHILD.search(question) and any(map(_is_dose_for_adults, chosen)):
            return "other_patient"
        said_share = self._share(whole, self._text[number])
        on_question = self._share(asked & self._weight.keys(), self._about[number])
        best_alone = max(float(alone[i]) for i in fit if self._sentences[i][0] == number)
        word_for_word = best_alone >= self._bounds.word_for_word
        if said_share < self._bounds.said or (on_question < self._bounds.question and not word_for_word):
            return "other_question"
        return Found(self._sections[number], places, said_share)

    def nearest(self, question: str) -> tuple[Section, float]:
        """The passage that shares most with the question, and how much of it the best whole article holds.

        Of several sentences the one counts that is held best: what stands around a question is in no article.
        """
        parts = [question, *split_sentences(question)]
        asked = [found for part in parts if len(found := self._in_other_words(part, content(part))) > 1]
        if not asked:
            return self._sections[0], 1.0
        number = max(range(len(self._sections)), key=lambda n: (self._share(asked[0], self._about[n]), -n))
        return self._sections[number], max(self._share(one, text) for one in asked for text in self._articles.values())

    def _sum(self, found: Iterable[str]) -> float:
        return sum(self._weight.get(term, self._unknown) for term in sorted(found))

    def _share(self, part: frozenset[str], of: frozenset[str]) -> float:
        return self._sum(part & of) / self._sum(part) if part else 0.0

    def _shares(self, whole: frozenset[str]) -> NDArray[np.float64]:
        """Of each sentence of the passages, the share of it that was said."""
        common = np.zeros(len(self._sentences))
        for term in sorted(whole & self._where.keys()):
            common[self._where[term]] += self._weight[term]
        shares: NDArray[np.float64] = common / self._weights
        return shares

    def _in_other_words(self, question: str, asked: frozenset[str]) -> frozenset[str]:
        """The question's terms with those that articles use for the same."""
        return asked.union(*map(terms, self._lexicon.read(question).added))

    def _rank(self, best: float, whole: frozenset[str], asked: frozenset[str], number: int) -> float:
        return best + self._share(whole, self._text[number]) + 0.5 * self._share(asked, self._about[number])

    def _chosen(self, number: int, whole: frozenset[str], fit: dict[int, float]) -> tuple[int, ...]:
        """The sentences of a passage that were said, best first; each must tell something that those before do not."""
        own = sorted((i for i in fit if self._sentences[i][0] == number), key=lambda i: (-fit[i], i))
        places: list[int] = []
        told: frozenset[str] = frozenset()
        for index in own:
            _, place, found = self._sentences[index]
            new = (found & whole) - told
            if not places or self._share(found, new) >= self._bounds.new:
                places.append(place)
                told |= found
        return tuple(sorted(places[: self._bounds.sentences]))

    def _alike(self, chosen: str, spoken: Sequence[str]) -> list[str]:
        """The staff's sentences that speak of what a passage's sentence says."""
        return [sentence for sentence in spoken if self._share(terms(chosen), terms(sentence)) >= _ALIKE]

    def _numbers_agree(self, chosen: Sequence[str], spoken: Sequence[str], number: int) -> bool:
        """Whether no sentence of the staff that speaks of what sentences of the passage say holds a number that
        these lack, and each chosen sentence with numbers has one of them said.
        """
        told = _numbers(frozenset().union(*map(terms, spoken)))
        for sentence in spoken:
            words = _words(sentence)
            alike = [one for one in self._sections[number].sentences if self._share(_words(one), words) >= _ALIKE]
            given = _numbers(frozenset().union(*map(terms, alike)))
            if alike and not all(_among(value, given) for value in _numbers(terms(sentence))):
                return False
        return all(not (own := _numbers(terms(one))) or any(_among(value, own) for value in told) for one in chosen)

    def _opposite(self, chosen: Sequence[str], spoken: Sequence[str]) -> bool:
        """Whether the staff denied what a chosen sentence affirms, or the other way round."""
        return any(
            alike and all(_denies(_counterpart(one, sentence)) != _denies(one) for sentence in alike)
            for one in chosen
            for alike in [self._alike(one, spoken)]
        )


def terms(text: str) -> frozenset[str]:
    """What a text is compared by: stems without stop words, pseudonyms left out, times and numbers in one form."""
    return _terms(text)


def content(text: str) -> frozenset[str]:
    """The terms of a question that say what it is about."""
    return terms(text) - _FILLER


@lru_cache(maxsize=20_000)
def _terms(text: str) -> frozenset[str]:
    text = _TOKEN.sub(" ", text)
    text = _CLOCK.sub(lambda m: f"{int(m[1])}{'' if m[2] in (None, '00') else 'h' + m[2]}{m[3].lower()}m ", text)
    text = _DAYTIME.sub(lambda m: f"{m[1]}{'am' if m[2].lower() == 'morning' else 'pm'} ", text)
    text = _PHONE.sub(r"\1-\2-\3", _GROUPED.sub("", text))
    found = set()
    for word in tokens(text):
        parts = [word] if _WITH_DIGIT.search(word) else re.split(r"[-/']", word)
        for part in parts:
            if part not in _STOP:
                found.add(_NUMBER_WORDS.get(part) or (part if _WITH_DIGIT.search(part) else stem(part)))
    found.discard("")
    return frozenset(found)


def _is_dose_for_adults(sentence: str) -> bool:
    """Whether a sentence gives a dose for adults alone: it answers nothing about a child, whatever the staff said."""
    return bool(_ADULT.search(sentence) and _DOSE.search(sentence) and not _CHILD.search(sentence))


def _numbers(found: frozenset[str]) -> frozenset[str]:
    """The terms that must not differ: numbers, times and days of the week."""
    return frozenset(term for term in found if _WITH_DIGIT.search(term) or term in _WEEKDAYS)


def _words(text: str) -> frozenset[str]:
    """The terms of a text that are no numbers."""
    return terms(text) - _numbers(terms(text))


def _among(value: str, numbers: frozenset[str]) -> bool:
    """Whether a number is among others; an hour said without a.m. or p.m. may be either."""
    return value in numbers or f"{value}am" in numbers or f"{value}pm" in numbers


def _counterpart(sentence: str, said: str) -> str:
    """The stretch of what was said that is most like a sentence: speech may come without marks between sentences."""
    if len(said) <= 3 * len(sentence):
        return said
    found = fuzz.partial_ratio_alignment(sentence.lower(), said.lower())
    if found is None:
        return said
    start = said.rfind(" ", 0, found.dest_start + 1) + 1
    end = said.find(" ", found.dest_end)
    return said[start : end if end >= 0 else len(said)]


def _denies(sentence: str) -> bool:
    return bool(_DENIAL.search(sentence))
