"""Questions with passages that answer them and passages that only seem to, for :mod:`training.encoder.rerank`.

From whole articles of invented hospitals (:mod:`training.hospitals.articles`), from the written pages of the demo
model's corpus, and, where the user has them, from public questions whose answer stands in a marked sentence. No article
of ``demo/`` and nothing that the search is measured with is among them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random

import numpy as np
from numpy.typing import NDArray

from app.knowledge.query import Lexicon
from training.demo_model.sources import read
from training.encoder.retrieve_data import Sizes, clear_questions, page_pairs, worded, written_pages
from training.hospitals.articles import HospitalArticle, hospitals

EXTRACTS = ("xquad_en", "covidqa")
"""Files of the public part: questions with the sentence that answers them in its document."""
NEAREST = 14
"""Wrong passages are drawn from so many that lie nearest to the question."""
UNANSWERED = 2
"""So many passages stand beside a question that nothing answers."""
AS_TYPED = 0.3
"""This share of the questions is read as it was typed, the others as the search reads them."""

Embed = Callable[[list[str]], NDArray[np.float32]]
"""Texts to unit vectors, float32 (texts, 384)."""


@dataclass(frozen=True, slots=True)
class Group:
    """A question; ``right`` is a passage that answers it, empty where none does; ``wrong`` ones do not."""

    question: str
    right: str
    wrong: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Asked:
    """A question; ``right`` as in a :class:`Group`; ``near`` are other sections of its hospital, the nearest first."""

    question: str
    right: str
    near: tuple[str, ...]

    def group(self, rng: Random, wrong: int) -> Group:
        """The question with wrong sections drawn anew."""
        return Group(self.question, self.right, tuple(drawn(self.near, wrong if self.right else UNANSWERED, rng)))


def hospital_questions(found: Sequence[Sequence[HospitalArticle]], embed: Embed) -> list[Asked]:
    """Every question of whole articles."""
    result: list[Asked] = []
    for articles in found:
        sections = [section for article in articles for section in article.sections]
        passages = [section.passage for section in sections]
        asked = [(question, n) for n, section in enumerate(sections) for question in section.questions]
        asked += [(question, -1) for article in articles for question in article.unanswered]
        likeness = embed([question for question, _ in asked]) @ embed(passages).T
        for (question, right), row in zip(asked, likeness, strict=True):
            near = tuple(passages[n] for n in np.argsort(-row) if n != right)[:NEAREST]
            result.append(Asked(question, passages[right] if right >= 0 else "", near))
    return result


def page_groups(embed: Embed, rng: Random, wrong: int) -> list[Group]:
    """Clear questions of the written pages, each with other facts of its page and with the nearest other passages."""
    pages, sizes = written_pages(), Sizes()
    pairs = page_pairs(pages, rng, sizes, clear_questions(pages, embed))
    pairs = [pair for pair in pairs if pair.passage != f"{pair.group}."]  # a bare title answers nothing
    pairs = rng.sample(pairs, min(sizes.pages, len(pairs)))
    likeness = embed([pair.question for pair in pairs]) @ embed([pair.passage for pair in pairs]).T
    groups = []
    for pair, row in zip(pairs, likeness, strict=True):
        near = [pairs[m].passage for m in np.argsort(-row) if pairs[m].group != pair.group]
        others = drawn(list(dict.fromkeys(near))[:NEAREST], wrong - bool(pair.against), rng)
        against = (pair.against,) if pair.against else ()
        groups.append(Group(pair.question, pair.passage, (*against, *others)))
    return groups


def extract_groups(folder: Path, rng: Random, wrong: int, most: int) -> list[Group]:
    """Public questions, each with two or three sentences that hold the answer, and others of the same document."""
    groups = []
    for extract in read(folder, EXTRACTS).extracts:
        lines, at = extract.sentences, extract.target
        low = max(0, at - rng.randrange(2))
        right = " ".join(lines[low : at + 2])
        others = [
            " ".join(lines[n : n + 2])
            for n in range(len(lines) - 1)
            if (n + 1 < low or n > at + 1) and extract.answer.lower() not in " ".join(lines[n : n + 2]).lower()
        ]
        if others:
            groups.append(Group(extract.question, right, tuple(rng.sample(others, min(wrong, len(others))))))
    rng.shuffle(groups)
    return groups[:most]


def drawn(near: Sequence[str], count: int, rng: Random) -> list[str]:
    """``count`` of the nearest by lot, the nearer ones more often."""
    order = sorted(range(len(near)), key=lambda place: (place + 1) * rng.random())
    return [near[place] for place in order[:count]]


def epochs(
    embed: Embed, lexicon: Lexicon, rng: Random, *, count: int, wrong: int, folder: Path | None, public: int
) -> list[list[Group]]:
    """What is seen in each of ``count`` epochs, in a new order: the whole articles with wrong passages drawn anew, and
    a part of the pages and public questions; questions as typed or as the search reads them.
    """
    others = page_groups(embed, rng, wrong - 1)
    if folder:
        others += extract_groups(folder, rng, wrong, public)
    rng.shuffle(others)
    asked = hospital_questions(list(hospitals().values()), embed)
    result = []
    for number in range(count):
        groups = [one.group(rng, wrong) for one in asked] + others[number::count]
        rng.shuffle(groups)
        result.append([Group(as_read(group.question, lexicon, rng), group.right, group.wrong) for group in groups])
    return result


def as_read(question: str, lexicon: Lexicon, rng: Random) -> str:
    """The question as typed, now and then more carelessly, or as the search reads it with the words that it adds."""
    question = worded(question, rng)
    return question if rng.random() < AS_TYPED else lexicon.read(question).expanded
