"""From likenesses to an order of passages: the article first, then the passage in it that answers."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from math import log

from app.contracts.passages import Passage
from app.knowledge.candidates import Likeness

ARTICLES = 6
"""So many articles are looked into for passages."""
READ = 4
"""Of so many articles the reranker reads the best passage."""


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


@dataclass(frozen=True, slots=True)
class Judgement:
    """What becomes of the reranker's logits. Chosen on the development sets; docs/decisions/0018 has the runs.

    ``rank`` is by how much a logit moves a passage's score, and so the order. ``score``, ``logit`` and ``bias`` make
    the likeness of an article, on the scale of the scores of articles with phrases: the same bounds hold for both.
    """

    rank: float = 0.02
    score: float = 0.4
    logit: float = 0.04
    bias: float = 0.32


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


def to_judge(ordered: Sequence[Passage], bare: Collection[str]) -> list[Passage]:
    """What the reranker reads of the ``bare`` articles, those without phrases: the best passage of the first ``READ``
    ones, and the second of the first. For articles with phrases the score tells more than it does.
    """
    of: dict[str, list[Passage]] = {}
    for passage in ordered:
        if passage.article_id in bare:
            of.setdefault(passage.article_id, []).append(passage)
    return [passage for place, found in enumerate([*of.values()][:READ]) for passage in found[: 1 if place else 2]]


def judged(
    ordered: Sequence[Passage], logits: Mapping[str, float], bare: Collection[str], judgement: Judgement
) -> list[Passage]:
    """Passages in a new order, and with a new ``similarity``, those of the ``bare`` articles by the reranker's logits.

    ``ordered`` are as :func:`order` gives them, ``logits`` by id of the passages that were read, at least one. A
    passage that was not counts as the worst one that was, of its article or else of all.
    """
    read: dict[str, list[float]] = {}
    for passage in ordered:
        if passage.passage_id in logits:
            read.setdefault(passage.article_id, []).append(logits[passage.passage_id])
    worst = [min(logits.values())]
    ranked = []
    for passage in ordered:
        if passage.article_id in bare:
            own = read.get(passage.article_id, worst)
            moved = judgement.rank * logits.get(passage.passage_id, min(own))
            likeness = judgement.score * passage.similarity + judgement.logit * max(own) + judgement.bias
            passage = replace(passage, score=passage.score + moved, similarity=likeness)
        ranked.append(passage)
    return sorted(ranked, key=lambda passage: (-passage.score, passage.passage_id))


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
