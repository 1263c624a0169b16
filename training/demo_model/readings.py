"""Readings from whole articles of invented hospitals, beside the exercises of the demo model.

The near thing is what is hard: other sections of the same article lie beside the right one, and what they answer is
asked when they are not there. A reading asks everything that its passages answer, so the passages are read once.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from random import Random
from typing import Protocol

from app.contracts.prompt import NOT_IN_ARTICLES, PromptLimits
from training.demo_model.exercises import Asked, ExerciseMaker, Reading
from training.demo_model.slots import redraw_digits
from training.hospitals.articles import HospitalArticle, Section
from training.wording import as_patient

MOST_CHARACTERS = PromptLimits().passage_characters


class Readings(Protocol):
    """Whatever draws readings. The same seed and passages give the same ones."""

    def stream(self, seed: str, count: int, passages: Sequence[int]) -> Iterator[Reading]:
        """Yield ``count`` readings, each with a number of passages drawn from ``passages``."""
        ...


class HospitalReadings:
    """Draws readings of one hospital's articles at a time. The same seed gives the same readings."""

    def __init__(self, hospitals: Sequence[Sequence[HospitalArticle]]) -> None:
        self._hospitals = [list(articles) for articles in hospitals]
        self._weights = [len(articles) for articles in self._hospitals]

    def draw(self, rng: Random, *, passages: int, questions: int) -> Reading:
        """One reading of so many passages with at most ``questions`` questions, about a fifth of them unanswerable."""
        articles = rng.choices(self._hospitals, self._weights)[0]
        chosen = _joined(_sections(articles, passages, rng), articles, rng)
        redrawn = rng.random() < 0.3
        lines = [_lines(section, rng, redrawn=redrawn) for section in chosen]
        asked = [
            Asked(
                _worded(question, rng),
                f"{' '.join(lines[at][n] for n in answer)} [{at + 1}]",
                (at, answer[0], answer[-1] - answer[0] + 1),
            )
            for at, section in enumerate(chosen)
            for question, answer in zip(section.questions, section.answers, strict=True)
            if answer and not (redrawn and any(map(str.isdigit, question)))
        ]
        near = [Asked(_worded(question, rng), NOT_IN_ARTICLES) for question in _unanswered(articles, chosen)]
        drawn = sum(rng.random() < 0.2 for _ in range(min(questions, len(asked) + 1)))
        none = min(len(near), drawn if asked else 1)
        asked = rng.sample(asked, min(len(asked), questions - none)) + rng.sample(near, none)
        rng.shuffle(asked)
        return Reading(tuple(map(tuple, lines)), tuple(asked))


def _sections(articles: Sequence[HospitalArticle], wanted: int, rng: Random) -> list[Section]:
    """Sections of one article, of which one at least, and of others; in random order."""
    first = rng.choice(articles)
    own = min(len(first.sections), rng.randint(1, wanted))
    chosen = rng.sample(first.sections, own)
    others = [section for article in articles if article is not first for section in article.sections]
    chosen += rng.sample(others, wanted - own)
    rng.shuffle(chosen)
    return chosen


def _joined(chosen: Sequence[Section], articles: Sequence[HospitalArticle], rng: Random) -> list[Section]:
    """The sections, some with another of their article that is not shown yet: served passages differ in length."""
    free = {article.title: [one for one in article.sections if one not in chosen] for article in articles}
    found = []
    for section in chosen:
        others = [one for one in free[section.title] if len(one.text) + len(section.text) < MOST_CHARACTERS]
        if not others or rng.random() < 0.6:
            found.append(section)
            continue
        other = rng.choice(others)
        free[section.title].remove(other)
        found.append(_together(*rng.sample([section, other], 2)))
    return found


def _together(first: Section, second: Section) -> Section:
    shift = len(first.sentences)
    moved = [tuple(place + shift for place in answer) for answer in second.answers]
    text = f"{first.text} {second.text}"
    return Section(first.title, first.heading, text, first.questions + second.questions, first.answers + moved)


def _lines(section: Section, rng: Random, *, redrawn: bool) -> list[str]:
    lines = section.sentences
    return [redraw_digits(line, rng) for line in lines] if redrawn else lines


def _unanswered(articles: Sequence[HospitalArticle], chosen: Sequence[Section]) -> list[str]:
    """What the articles of the chosen sections do not answer, and what their sections that are not shown do."""
    shown = {question for section in chosen for question in section.questions}
    titles = {section.title for section in chosen}
    own = [article for article in articles if article.title in titles]
    near = [question for article in own for section in article.sections for question in section.questions]
    return [question for article in own for question in article.unanswered] + [
        question for question in near if question not in shown
    ]


def _worded(question: str, rng: Random) -> str:
    return as_patient(question, rng) if rng.random() < 0.2 else question


class MixedReadings:
    """Readings of hospitals, ``share`` of all, and the demo model's exercises. Deterministic in its seed."""

    def __init__(self, hospitals: HospitalReadings, exercises: ExerciseMaker, share: float) -> None:
        self._hospitals, self._exercises, self._share = hospitals, exercises, share

    def stream(self, seed: str, count: int, passages: Sequence[int]) -> Iterator[Reading]:
        """Yield ``count`` readings, each with a number of passages drawn from ``passages``."""
        rng = Random(seed)
        for _ in range(count):
            number = rng.choice(passages)
            if rng.random() < self._share:
                yield self._hospitals.draw(rng, passages=number, questions=4 + 2 * number)
            else:
                yield self._exercises.draw(rng, passages=number, questions=4 + number)
