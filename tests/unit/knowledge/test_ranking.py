"""The order of passages, and the weight of words."""

from __future__ import annotations

from datetime import date

import pytest

from app.contracts.passages import Passage
from app.knowledge.candidates import Likeness
from app.knowledge.ranking import Weights, best_articles, order, rarity, score

WEIGHTS = Weights(passage=0.5, heading=0.0, asked=0.5, words=0.2)


def passage(article: str, position: int) -> Passage:
    return Passage(f"{article}#{position}", article, 1, "Title", "", "Text.", date(2026, 1, 1), date(2030, 1, 1))


def test_rare_words_weigh_more_and_shares_sum_to_one() -> None:
    shares = rarity({0: 100, 1: 1, 3: 0}, 160, [1.0, 1.0, 1.0, 1.0])
    assert shares[0] < shares[1] < shares[3]
    assert shares[2] == 0.0  # a stop word
    assert sum(shares) == pytest.approx(1.0)
    assert rarity({}, 160, [1.0]) == [0.0]


def test_a_score_is_the_weighted_sum() -> None:
    assert score(Likeness(0.6, 0.9, 0.4, 0.5), WEIGHTS) == pytest.approx(0.6)


def test_articles_are_ordered_by_score_then_by_name() -> None:
    near, far = Likeness(0.8, 0, 0.8, 0), Likeness(0.1, 0, 0.1, 0)
    assert list(best_articles({"c": far, "b": near, "a": near}, WEIGHTS)) == ["a", "b", "c"]


def test_the_best_passage_of_the_best_article_comes_first_and_others_keep_their_distance() -> None:
    scores = {"parking": 0.8, "visiting": 0.7}
    passages = [
        (passage("visiting", 1), Likeness(0.9, 0, 0.9, 0)),
        (passage("parking", 1), Likeness(0.2, 0, 0.2, 0)),
        (passage("parking", 2), Likeness(0.6, 0, 0.6, 0)),
    ]
    found = order(scores, passages, WEIGHTS)
    assert [p.passage_id for p in found] == ["parking#2", "visiting#1", "parking#1"]
    assert [p.similarity for p in found] == [0.8, 0.7, 0.8]
    assert [p.score for p in found] == pytest.approx([0.8, 0.7, 0.4])
