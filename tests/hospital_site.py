"""A site folder out of a hospital's text file, for measuring the search (:mod:`training.hospitals.articles`)."""

from __future__ import annotations

import json
import re
from datetime import date
from pathlib import Path

from app.knowledge.articles import ArticleHead, render_article
from training.hospitals.articles import read_hospital


def article_id(title: str) -> str:
    """The id that an article gets."""
    return re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-")[:60].strip("-")


def write_site(source: Path, site_yaml: Path, folder: Path) -> Path:
    """Write ``articles/`` and ``questions.jsonl`` of ``source`` into ``folder``; returns ``folder``.

    Everything but the id is taken over from ``site_yaml``. Raises ConfigurationError where the source is broken.
    """
    (folder / "articles").mkdir(parents=True)
    told = site_yaml.read_text(encoding="utf-8")
    (folder / "site.yaml").write_text(re.sub(r"(?m)^id: .*$", f"id: {source.stem}", told), encoding="utf-8")
    questions: list[dict[str, object]] = []
    for article in read_hospital(source):
        name = article_id(article.title)
        head = ArticleHead(
            id=name, title=article.title, topic="Everything", audience="patients", owner="Nobody",
            reviewed=date(2026, 1, 1), review_by=date(2030, 1, 1), sources=["Invented"],
        )  # fmt: skip
        text = "\n\n".join(f"## {section.heading}\n\n{section.text}" for section in article.sections)
        (folder / "articles" / f"{name}.md").write_bytes(render_article(head, text))
        asked = [(question, [name]) for section in article.sections for question in section.questions]
        for question, right in [*asked, *((question, []) for question in article.unanswered)]:
            number = f"{source.stem}-{len(questions) + 1:03}"
            questions.append({"id": number, "text": question, "kind": "own words", "right": right})
    lines = "".join(json.dumps(question, ensure_ascii=False) + "\n" for question in questions)
    (folder / "questions.jsonl").write_text(lines, encoding="utf-8")
    return folder
