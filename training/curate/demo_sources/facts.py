"""What callers ask and what the hospital's articles answer: the truth that calls, notes and FAQ entries stand on."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import yaml

from app.errors import ConfigurationError
from training.curate.demo_sources.phrases import Family, lines, phrases, read_yaml
from training.finetune.dialogues import Section, read_sections


@dataclass(frozen=True, slots=True)
class Fact:
    """Questions in patients' words, the article's sentence that answers them, and its neighbours in the section.

    ``asks`` are whole spoken sentences, ``says`` the answer in a staff member's own words; both may be empty.
    """

    article: str
    topic: str
    heading: str
    questions: tuple[str, ...]
    sentence: str
    around: tuple[str, ...]
    asks: tuple[str, ...] = ()
    says: tuple[str, ...] = ()


def family(article: str) -> Family:
    """Whole articles belong to one family, so that neither family asks the other's questions."""
    return "a" if hashlib.sha256(f"family {article}".encode()).digest()[0] % 2 else "b"


def read_facts(articles: Path) -> list[Fact]:
    """All facts: questions of ``dialogues/questions.yaml`` beside the articles, and this package's ``spoken.yaml``.

    Raises ConfigurationError for a missing file, or words that stand in no sentence or in several.
    """
    path = articles.parent / "dialogues" / "questions.yaml"
    try:
        asked = read_yaml(path)
    except (OSError, yaml.YAMLError) as error:
        raise ConfigurationError(f"{path} cannot be read: {error}") from None
    sections = read_sections(articles)
    own_words, spoken = phrases("asked"), phrases("spoken")
    facts = []
    for article in sorted({**spoken, **asked}):
        own = [section for section in sections if section.article_id == article]
        for anchor in {**asked.get(article, {}), **spoken.get(article, {})}:
            section, sentence = find(own, anchor, f"{article}: {anchor!r}")
            said = lines(spoken.get(article, {}).get(anchor, ""))
            typed = [*asked.get(article, {}).get(anchor, ()), *lines(own_words.get(article, {}).get(anchor, ""))]
            facts.append(
                Fact(
                    article,
                    section.topic,
                    section.heading,
                    questions=tuple(map(str, typed)),
                    sentence=sentence,
                    around=tuple(one for one in section.sentences if one != sentence and not one.endswith(":")),
                    asks=tuple(one[1:].strip() for one in said if one.startswith("?")),
                    says=tuple(one for one in said if not one.startswith("?")),
                )
            )
    return facts


def find(sections: list[Section], anchor: str, where: str) -> tuple[Section, str]:
    """The one sentence that holds ``anchor``. Raises ConfigurationError if none or several do."""
    hits = [
        (section, sentence)
        for section in sections
        for sentence in section.sentences
        if anchor.split(" + ")[0].lower() in sentence.lower()
    ]
    if len(hits) != 1:
        raise ConfigurationError(f"{where} stands in {len(hits)} sentences; it must be in exactly one")
    return hits[0]
