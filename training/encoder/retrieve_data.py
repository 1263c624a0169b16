"""Questions with the passages that answer them, for :mod:`training.encoder.retrieve`.

The written pages (``training/demo_model/pages``) give questions in patients' words, each with the fact that answers it;
the whole articles of invented hospitals (:mod:`training.hospitals.articles`) give questions to their sections. Public
questions with their answers may be added from a folder that the user has (:mod:`training.demo_model.sources`). No
article of ``demo/`` and no question that the search is measured with is among them.

All that one author wrote is a *site*: no two of its pages are about the same, while those of another site may well be.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
from numpy.typing import NDArray

from training.demo_model.exercises import PAGES, load_pages
from training.demo_model.slots import fill, sentence, slot_values
from training.demo_model.sources import read
from training.hospitals.articles import HospitalArticle
from training.wording import casual, with_typos

PUBLIC = ("va_faq", "counselchat", "xquad_en", "covidqa")
"""Files of the public part, see ``sources.FILES``. MedQuAD is left out: rare diseases, template questions."""
HEADING_SHARE = 0.12
"""So many questions are paired with the bare title of their page: titles are searched too."""
AGAINST_SHARE = 0.4
"""So many have a wrong passage of the same page."""
CLEAR = 6
"""See :func:`clear_questions`."""
NEAREST = 8
"""The wrong section for a question to a whole article is one of so many that lie nearest to it."""
HELD_BACK = 8
"""One page in so many is kept from training, by the hash of its title, and used to choose settings."""

Embed = Callable[[list[str]], NDArray[np.float32]]
"""Texts to unit vectors, float32 (texts, 384)."""


@dataclass(frozen=True, slots=True)
class Pair:
    """``passage`` answers ``question``. Passages of one ``group`` (a page, a document) are not taken as wrong for each
    other's questions; ``against`` is a passage that is wrong for this one and looks right, or empty. ``site`` is whose
    it is."""

    question: str
    passage: str
    group: str
    against: str = ""
    site: str = ""


@dataclass(frozen=True, slots=True)
class Sizes:
    """How much of the pages and of the public part an epoch takes, and how many facts stand in one passage."""

    pages: int = 9_000
    public: int = 1_200
    facts: tuple[int, int] = (1, 3)


def held_back(title: str) -> bool:
    """Whether a page is kept from training."""
    return hashlib.sha256(title.encode()).digest()[0] % HELD_BACK == 0


def written_pages(*, measuring: bool = False) -> list[dict[str, Any]]:
    """The pages for training, or those held back, each with its ``site``."""
    return [
        {**page, "site": path.stem}
        for path in sorted(PAGES.glob("*.yaml"))
        for page in load_pages(only=[path.stem])
        if held_back(page["page"]) == measuring
    ]


def clear_questions(pages: Sequence[dict[str, Any]], embed: Embed) -> frozenset[tuple[str, str]]:
    """Page titles and questions that tell by themselves what they are about.

    A question that was written beside its page may need it ("how long no eating?"). Kept are those whose page is among
    the ``CLEAR`` nearest of its site by its nearest fact; the others would teach that anything is near to anything.
    """
    clear = set()
    for site in dict.fromkeys(page["site"] for page in pages):
        own = [page for page in pages if page["site"] == site]
        facts = [(page["page"], fact["a"]) for page in own for fact in page["facts"]]
        asked = [(page["page"], question) for page in own for fact in page["facts"] for question in fact["q"]]
        likeness = embed([q for _, q in asked]) @ embed([passage(title, [fact]) for title, fact in facts]).T
        clear |= clear_of(asked, [title for title, _ in facts], likeness)
    return frozenset(clear)


def clear_of(
    asked: Sequence[tuple[str, str]], titles: Sequence[str], likeness: NDArray[np.float32]
) -> set[tuple[str, str]]:
    """Of the ``asked`` (title, question) those whose title is among the ``CLEAR`` nearest. ``likeness`` is (asked,
    titles): to passages, whose titles are ``titles``."""
    kept = set()
    for (title, question), row in zip(asked, likeness, strict=True):
        if title in list(dict.fromkeys(titles[n] for n in np.argsort(-row)))[:CLEAR]:
            kept.add((title, question))
    return kept


def page_pairs(
    pages: Sequence[dict[str, Any]], rng: Random, sizes: Sizes, clear: Collection[tuple[str, str]]
) -> list[Pair]:
    """One pair for every clear question of a fact, slots drawn anew; ``against`` are other facts of the page."""
    pairs: list[Pair] = []
    for page in pages:
        values = slot_values(rng)
        title = page["page"]
        lines = [sentence(fact["a"], values) for fact in page["facts"]]
        for at, fact in enumerate(page["facts"]):
            for question in fact["q"]:
                if (title, question) not in clear:
                    continue
                size = rng.randint(*sizes.facts)
                first = max(0, min(at - rng.randrange(size), len(lines) - size))
                chosen = range(first, min(len(lines), first + size))
                others = [line for other, line in enumerate(lines) if other not in chosen]
                asked = worded(fill(question, values), rng)
                if rng.random() < HEADING_SHARE:
                    pairs.append(Pair(asked, f"{title}.", title, site=page["site"]))
                    continue
                wrong = others and rng.random() < AGAINST_SHARE
                against = passage(title, rng.sample(others, min(size, len(others)))) if wrong else ""
                right = passage(title, [lines[n] for n in chosen])
                pairs.append(Pair(asked, right, title, against, page["site"]))
    return pairs


def article_pairs(sites: Mapping[str, Sequence[HospitalArticle]], embed: Embed, rng: Random) -> list[Pair]:
    """One pair for every clear question to a section; ``against`` is one of the nearest sections of other articles."""
    pairs = []
    for site, articles in sites.items():
        sections = [section for article in articles for section in article.sections]
        titles = [section.title for section in sections]
        asked = [(n, question) for n, section in enumerate(sections) for question in section.questions]
        likeness = embed([question for _, question in asked]) @ embed([one.passage for one in sections]).T
        clear = clear_of([(titles[n], question) for n, question in asked], titles, likeness)
        for (n, question), row in zip(asked, likeness, strict=True):
            if (titles[n], question) in clear:
                near = [m for m in np.argsort(-row) if titles[m] != titles[n]][:NEAREST]
                against = sections[rng.choice(near)].passage if near else ""
                pairs.append(Pair(worded(question, rng), sections[n].passage, titles[n], against, site))
    return pairs


def passage(title: str, lines: Sequence[str]) -> str:
    """A passage as the service embeds it: the title, then the text."""
    return f"{title}. {' '.join(lines)}"


def worded(question: str, rng: Random) -> str:
    """The question as the search sees it: mostly as written, sometimes more careless, now and then with a slip left."""
    if rng.random() < 0.35:
        question = casual(question, rng)
    if rng.random() < 0.15:
        question = with_typos(question, rng)
    return question.lower().rstrip("?!. ") if rng.random() < 0.7 else question


def public_pairs(folder: Path, rng: Random, sizes: Sizes) -> list[Pair]:
    """Public questions with the first two sentences of their answers. Raises ConfigurationError for a missing file."""
    texts = read(folder, PUBLIC)
    pairs = [Pair(one.question, " ".join(one.sentences[:2]), one.sentences[0]) for one in texts.answered]
    for extract in texts.extracts:
        low, high = max(0, extract.target - 1), extract.target + 2
        pairs.append(Pair(extract.question, " ".join(extract.sentences[low:high]), extract.sentences[0]))
    rng.shuffle(pairs)
    return [Pair(one.question.lower(), one.passage, one.group, site="public") for one in pairs[: sizes.public]]
