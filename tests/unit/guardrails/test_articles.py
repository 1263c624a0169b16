"""The checks against the hospital's own articles: no true sentence is held back, no changed number gets through."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator
from datetime import date
from pathlib import Path

from app.contracts.passages import Passage
from app.contracts.site import load_site
from app.guardrails.output import OutputChecks
from app.guardrails.sentences import split as sentences
from app.knowledge.articles import read_folder
from app.knowledge.passages import split as pieces

DEMO = Path(__file__).parents[3] / "demo"
CHECKS = OutputChecks(load_site(DEMO))
WORDS = "one two three four five six seven eight nine ten".split()


def all_sentences() -> Iterator[tuple[str, Passage]]:
    for article in read_folder(DEMO / "articles")[0]:
        for piece in pieces(article.markdown):
            passage = Passage(
                "x#1", "x", 1, article.head.title, piece.heading, piece.text, date(2026, 1, 1), date(2027, 1, 1)
            )
            for sentence in sentences(piece.text):
                yield sentence, passage


def test_every_sentence_of_an_article_passes_as_it_stands() -> None:
    blocked = [sentence for sentence, passage in all_sentences() if not CHECKS.check(sentence, [passage]).passed]
    assert blocked == []


def test_changed_numbers_never_pass() -> None:
    """One digit, or one number word, changed in every sentence that has one (seeded)."""
    draw = random.Random(20261123)
    tried, passed = 0, []
    for sentence, passage in all_sentences():
        for changed in mutants(sentence, draw):
            tried += 1
            if CHECKS.check(changed, [passage]).passed:
                passed.append((sentence, changed))
    assert tried > 1_000
    assert passed == []


def mutants(sentence: str, draw: random.Random) -> Iterator[str]:
    digits = [found.start() for found in re.finditer(r"\d", sentence)]
    if digits:
        at = draw.choice(digits)
        digit = (int(sentence[at]) + draw.randint(1, 9)) % 10
        yield f"{sentence[:at]}{digit}{sentence[at + 1 :]}"
    words = list(re.finditer(rf"\b({'|'.join(WORDS)})\b", sentence, re.IGNORECASE))
    if words:
        found = draw.choice(words)
        other = draw.choice([word for word in WORDS if word != found.group().lower()])
        yield f"{sentence[: found.start()]}{other}{sentence[found.end() :]}"
