"""From likenesses to an order of passages: the article first, then the passage in it that answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import log

from app.contracts.passages import Passage
from app.knowledge.candidates import Likeness

ARTICLES = 6
"""So many articles are looked into for passages."""


@dataclass(frozen=True, slots=True)
class Weights:
    """Chosen on tests/data/knowledge/dev.jsonl; docs/decisions/0006-retrieval.md and 0011 have the runs.

    ``expanded`` is the share of the vector of question-with-added-words in the question's vector. ``added_word`` is
    the weight of an added phrase beside a word of the question.
    """

    passage: float = 0.16
    heading: float = 0.16
    asked: float = 0.33
    words: float = 0.15
    tokens: float = 0.35
    expanded: float = 0.5
    added_word: float = 0.5
    spelling: bool = True


def rarity(articles_with: Mapping[int, int], of_all: int, weights: Sequence[float]) -> list[float]:
    """Weight of each term: its own times its inverse document frequency; the sum is 1, so that a score is a share."""
    raw = [
        weight * log(1 + of_all / (1 + articles_with[n])) if n in articles_with else 0.0
        for n, weight in enumerate(weights)
    ]
    total = sum(raw)
    return [value / total for value in raw] if total else raw


def score(likeness: Likeness, weights: Weights) -> float:
    """One number for an article or a passage."""
    return (
        weights.passage * likeness.passage
        + weights.heading * likeness.heading
        + weights.asked * likeness.asked
        + weights.words * likeness.words
        + weights.tokens * likeness.tokens
    )


def best_articles(articles: Mapping[str, Likeness], weights: Weights) -> dict[str, float]:
    """Scores of the best articles, best first."""
    scores = {name: score(likeness, weights) for name, likeness in articles.items()}
    return dict(sorted(scores.items(), key=lambda item: (-item[1], item[0]))[:ARTICLES])


def order(scores: Mapping[str, float], passages: Sequence[tuple[Passage, Likeness]], weights: Weights) -> list[Passage]:
    """Passages, best first: an article's best one stands for it, the others as far behind as they are worse.

    ``scores`` are those of the articles; the likeness of tokens of the nearest passage or phrase is added here.
    """
    own = {passage.passage_id: score(likeness, weights) for passage, likeness in passages}
    best: dict[str, float] = {}
    nearest: dict[str, float] = {}
    for passage, likeness in passages:
        name = passage.article_id
        best[name] = max(best.get(name, -9.0), own[passage.passage_id])
        nearest[name] = max(nearest.get(name, -1.0), likeness.nearest)
    scores = {name: scores[name] + weights.tokens * nearest[name] for name in nearest}
    ranked = [
        replace(
            passage,
            score=scores[passage.article_id] - (best[passage.article_id] - own[passage.passage_id]),
            similarity=scores[passage.article_id],
        )
        for passage, _ in passages
    ]
    return sorted(ranked, key=lambda passage: (-passage.score, passage.passage_id))
