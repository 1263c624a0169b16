"""Whole articles of invented hospitals with questions in patients' words, each file by another author.

They lie beside this file in ``*.txt``. A line begins with what it is: ``#`` a title, ``##`` the heading of a section,
no mark its text, ``?`` a question that the section answers, ``!?`` one near the article's subject that no section
answers. ``?2`` or ``?1,3`` says which of the section's sentences (from 1) answer it, by readers who were not the
authors. The authors saw neither the demonstration hospital, nor the word lists, nor what the search is measured with.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from app.errors import ConfigurationError
from app.knowledge.passages import embedded_text
from training.sentences import split_sentences

_QUESTION = re.compile(r"\?((?:[1-9]\d?(?:,[1-9]\d?)*)?)")
FOLDER = Path(__file__).parent


@dataclass(slots=True)
class Section:
    """A section of an article and the questions that it answers."""

    title: str
    heading: str
    text: str = ""
    questions: list[str] = field(default_factory=list)
    answers: list[tuple[int, ...]] = field(default_factory=list)
    """For each question the places (from 0) of the :attr:`sentences` that answer it; empty where none does alone."""

    @property
    def sentences(self) -> list[str]:
        """The text, sentence by sentence."""
        return split_sentences(self.text)

    @property
    def passage(self) -> str:
        """The section as the service gives it to the encoder."""
        return embedded_text(self.title, self.heading, self.text)


@dataclass(slots=True)
class HospitalArticle:
    """An article; ``unanswered`` are questions near its subject that it does not answer."""

    title: str
    sections: list[Section] = field(default_factory=list)
    unanswered: list[str] = field(default_factory=list)


def hospitals(folder: Path = FOLDER) -> dict[str, list[HospitalArticle]]:
    """The articles of each hospital by the stem of its file. Raises ConfigurationError naming file and line."""
    found = {path.stem: read_hospital(path) for path in sorted(folder.glob("*.txt"))}
    if not found:
        raise ConfigurationError(f"{folder} holds no hospital (*.txt)")
    return found


def read_hospital(path: Path) -> list[HospitalArticle]:
    """The articles of one file. Raises ConfigurationError naming file and line."""
    articles: list[HospitalArticle] = []
    for place, line in _lines(path):
        mark, _, rest = line.partition(" ")
        text = rest.strip()
        if mark == "#":
            articles.append(HospitalArticle(text))
        elif not articles:
            raise ConfigurationError(f"{place}: a title (# ...) must come first")
        elif mark == "##":
            articles[-1].sections.append(Section(articles[-1].title, text))
        elif mark == "!?":
            articles[-1].unanswered.append(text)
        elif not articles[-1].sections:
            raise ConfigurationError(f"{place}: a heading (## ...) must come before the text of a section")
        elif mark.startswith("?"):
            articles[-1].sections[-1].questions.append(text)
            articles[-1].sections[-1].answers.append(_answer(mark, place))
        elif mark.startswith(("!", "#")):
            raise ConfigurationError(f"{place}: {mark} marks nothing; write #, ##, ?, ?1,3 or !? and a blank")
        else:
            section = articles[-1].sections[-1]
            section.text = f"{section.text} {line}".strip()
    _complete(path, articles)
    return articles


def _answer(mark: str, place: str) -> tuple[int, ...]:
    """The sentences that ``?1,3`` names, counted from 0."""
    named = _QUESTION.fullmatch(mark)
    found = tuple(int(number) - 1 for number in named[1].split(",") if number) if named else ()
    if named is None or list(found) != sorted(set(found)):
        raise ConfigurationError(f"{place}: write ? or ?1,3 (sentences from 1, rising), a blank, and the question")
    return found


def _lines(path: Path) -> Iterator[tuple[str, str]]:
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{path} cannot be read: {error}") from error
    for number, line in enumerate(text.splitlines(), 1):
        if line.strip():
            yield f"{path}, line {number}", line.strip()


def _complete(path: Path, articles: Sequence[HospitalArticle]) -> None:
    for article in articles:
        if not article.sections:
            raise ConfigurationError(f"{path}: {article.title!r} has no section")
        for section in article.sections:
            if not section.text or not section.questions:
                raise ConfigurationError(f"{path}: {article.title!r}, {section.heading!r} lacks its text or questions")
            last = max((place for answer in section.answers for place in answer), default=0)
            if last >= len(section.sentences):
                raise ConfigurationError(f"{path}: {article.title!r}, {section.heading!r} has no sentence {last + 1}")
