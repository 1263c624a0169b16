"""What the hospital says of itself, sentence by sentence: its approved articles and ``site.yaml``.

A sentence of the staff is laid beside the sentence of the truth that speaks of the same thing: the one that shares most
of its words, rare words counting more. What the patient asked counts too, since an answer leaves it out.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import log
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from numpy.typing import NDArray

from app.contracts.site import ALWAYS, Site
from app.guardrails.output import stem
from app.knowledge.articles import read_folder
from training.curate.figures import Figure, read_figures
from training.finetune.dialogues import read_sections

SITE = "site.yaml"
_WORD = re.compile(r"[a-z]+(?:'[a-z]+)?")
_MEASURED = re.compile(r"\b(?:one|two|three|four|five|six|\d+)-[a-z]+")
""" "one-hour" and "three-hour" are two tests."""
_TOKEN = re.compile(r"<[A-Z_]+(?:_\d+)?>|\b[ap]\.?\s?m\b\.?", re.IGNORECASE)
_WEIGHED = 40
"""So many statements, those that share most words with a sentence, are weighed in full."""
_AGREES = 0.1
"""How much more alike each figure makes two sentences that hold it both (two at most)."""
_LISTS: dict[str, Any] = yaml.safe_load(Path(__file__).with_suffix(".yaml").read_text(encoding="utf-8"))
_STOP = frozenset(_LISTS["stop"].split())
_ALIKE = {word: stem for stem, words in _LISTS["alike"].items() for word in words}


@dataclass(frozen=True, slots=True)
class Statement:
    """One sentence of the truth: where it stands, its content words' stems and its figures. ``about``: the stems of the
    article's name and of the heading over the sentence, which the sentence itself may leave out.
    """

    source: str
    text: str
    stems: frozenset[str]
    figures: tuple[Figure, ...]
    about: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Beside:
    """A statement and how much it speaks of the same thing (1 and more: word for word); ``said``: the share of it that
    the sentence itself says.
    """

    statement: Statement
    alike: float
    said: float


class Truth:
    """All statements, ready to be looked up. Building takes a second; each process builds one."""

    def __init__(self, statements: Sequence[Statement]) -> None:
        self.statements = statements
        held = Counter(term for statement in statements for term in statement.stems)
        self._unknown = log(1 + len(statements)) / 2
        self._weight = {term: log(1 + len(statements) / count) for term, count in held.items()}
        where: defaultdict[str, list[int]] = defaultdict(list)
        for number, statement in enumerate(statements):
            for term in statement.stems:
                where[term].append(number)
        self._where = {term: np.array(numbers) for term, numbers in where.items()}
        self._weights = np.array([self.weight(statement.stems) or 1.0 for statement in statements])
        self._values = [frozenset(figure.value for figure in statement.figures) for statement in statements]

    @classmethod
    def asked(cls, articles: Path) -> Truth:
        """What patients ask that the articles answer: their headings, and the phrases kept for search."""
        sources, _ = read_folder(articles)
        phrases = [(source.head.id, phrase) for source in sources for phrase in source.head.asked]
        headings = [(section.article_id, section.heading) for section in read_sections(articles) if section.heading]
        return cls([_statement(article, text) for article, text in dict.fromkeys([*headings, *phrases])])

    @classmethod
    def load(cls, site: Site, articles: Path) -> Truth:
        """Read the articles and the site. Raises ConfigurationError for a broken article."""
        found = [
            _statement(section.article_id, sentence, f"{section.article_id.replace('-', ' ')} {section.heading}")
            for section in read_sections(articles)
            for sentence in section.sentences
        ]
        return cls(found + [_statement(SITE, sentence) for sentence in site_sentences(site)])

    def knows(self, term: str) -> bool:
        """Whether a stem stands in any statement."""
        return term in self._weight

    def weight(self, stems: Iterable[str]) -> float:
        """How much words say: rare ones more."""
        return sum(self._weight.get(term, self._unknown) for term in sorted(stems))

    def beside(
        self,
        said: frozenset[str],
        lent: Sequence[tuple[frozenset[str], float]] = (),
        figures: Sequence[Figure] = (),
        limit: int = 8,
    ) -> list[Beside]:
        """The statements that speak of the same as a sentence with these stems and figures, best first.

        ``lent``: what stands around the sentence, and how much of a word's weight each lends: what the question has
        said is left out of its answer.
        """
        common = self._sums({term: self._weight[term] for term in said if term in self._weight})
        touched = np.flatnonzero(common)
        whole = self.weight(said) or 1.0
        order = np.argsort(-common[touched] * (1 / self._weights[touched] + 1 / whole), kind="stable")
        first = touched[order[:_WEIGHED]]
        borrowing: dict[str, float] = {}
        for words, share in sorted(lent, key=lambda item: item[1]):
            borrowing.update((term, share * self._weight[term]) for term in words - said if term in self._weight)
        part = common[first] / self._weights[first]
        alike = 0.5 * (
            np.minimum(1.0, part + self._sums(borrowing)[first] / self._weights[first]) + common[first] / whole
        )
        if values := {figure.value for figure in figures}:
            alike += _AGREES * np.array([min(len(values & self._values[number]), 2) for number in first])
        best = np.lexsort((first, -part, -alike))[:limit]
        return [Beside(self.statements[first[one]], float(alike[one]), float(part[one])) for one in best]

    def _sums(self, weights: Mapping[str, float]) -> NDArray[np.float64]:
        """The weight of the words that each statement holds; added in one order, so that it is the same in each run."""
        sums = np.zeros(len(self.statements))
        for term in sorted(weights):
            sums[self._where[term]] += weights[term]
        return sums


@lru_cache(maxsize=20_000)
def stems(text: str) -> frozenset[str]:
    """The stems of a text's content words; figures and tokens of de-identification are left out."""
    plain = _TOKEN.sub(" ", text).lower().replace("’", "'")
    words = (word for word in _WORD.findall(plain) if word not in _STOP)
    found = {_ALIKE.get(word) or _ALIKE.get(stem(word)) or stem(word) for word in words}
    return frozenset(found | {match.group() for match in _MEASURED.finditer(plain)})


def site_sentences(site: Site) -> Iterator[str]:
    """``site.yaml`` as sentences."""
    for contact in site.contacts.values():
        if contact.phone:
            yield f"Call {contact.label} at {contact.phone}."
        if contact.hours and contact.hours != ALWAYS:
            yield f"{contact.label} is open {contact.hours}."
    for department in site.departments:
        yield f"Call {department.name} at {department.phone}."
        yield f"{department.name} is open {department.hours}."
        yield f"{department.name} is in {department.location}."
    yield f"The address of {site.name} is {site.address}."


def entities(site: Site) -> Mapping[str, str]:
    """Names of departments and contacts, in lower case, and their phones."""
    found = {contact.label.lower(): contact.phone for contact in site.contacts.values() if contact.phone}
    found |= {department.name.lower(): department.phone for department in site.departments}
    for name in list(found):
        short = name.removeprefix(site.short_name.lower()).strip()
        found.setdefault(short, found[name])
    return {name: phone for name, phone in found.items() if len(name) > 3}


def _statement(source: str, text: str, about: str = "") -> Statement:
    return Statement(source, text, stems(text), read_figures(text), stems(about))
