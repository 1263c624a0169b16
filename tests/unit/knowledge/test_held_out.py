"""The held-out hospital is the one that was measured."""

from __future__ import annotations

import hashlib
from pathlib import Path

from app.contracts.site import load_site
from app.knowledge.articles import read_folder
from tests.bench_knowledge import HELD_OUT, UNANSWERABLE, read

SHA256 = "b805f800338aa2b467d7caa72e317e435d1e1445ebdd29c42e0806c5b3e4886b"
"""Over the articles in order of name, then the questions."""


def test_no_article_and_no_question_was_changed() -> None:
    files: list[Path] = [*sorted((HELD_OUT / "articles").glob("*.md")), HELD_OUT / "questions.jsonl"]
    assert hashlib.sha256(b"".join(path.read_bytes() for path in files)).hexdigest() == SHA256


def test_every_question_names_articles_that_exist() -> None:
    assert load_site(HELD_OUT).id == "rivermead"
    articles, faults = read_folder(HELD_OUT / "articles")
    assert faults == []
    known = {article.head.id for article in articles}
    assert len(known) == 89
    questions = read(HELD_OUT / "questions.jsonl")
    named = {name for question in questions for name in question.right}
    assert named == known
    assert sum(question.kind != UNANSWERABLE for question in questions) == 520
    assert len({question.text for question in questions}) == len(questions) == 642
