"""A passage of an approved article, and the citation that a patient sees."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date


@dataclass(frozen=True, slots=True)
class Passage:
    """One retrievable piece of an approved, in-date article.

    ``passage_id`` is ``<article_id>#<position>``; ``text`` is plain text without Markdown; ``score`` is the
    retriever's (higher is better, comparable within one search only); ``similarity`` is the likeness
    of question and article, a weighted mean of cosines and shared words of about [-1, 1.2], for an article without
    phrases also by whether the reranker finds the answer in it; for deciding whether anything was found
    (chat.pipeline.Bounds). All passages of an article have the same.
    """

    passage_id: str
    article_id: str
    article_version: int
    title: str
    heading: str
    text: str
    reviewed: date
    review_by: date
    score: float = 0.0
    similarity: float = 0.0


@dataclass(frozen=True, slots=True)
class Citation:
    """What stands under an answer: the article, and the words in it that carry the answer."""

    article_id: str
    title: str
    quote: str
    reviewed: date
    passage_id: str
