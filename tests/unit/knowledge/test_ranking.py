"""The order of passages, and the weight of words."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.contracts.passages import Passage
from app.knowledge.candidates import Likeness
from app.knowledge.ranking import Judgement, Weights, best_articles, judged, order, rarity, score, to_judge

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


def found_in_order() -> list[Passage]:
    """Four articles: the first has four passages, the others two each, as :func:`order` leaves them."""
    made = []
    for place, (name, size) in enumerate((("a", 4), ("b", 2), ("c", 2), ("d", 2))):
        similarity = 0.8 - 0.1 * place
        made += [
            replace(passage(name, n), similarity=similarity, score=similarity - 0.05 * (n - 1))
            for n in range(1, size + 1)
        ]
    return sorted(made, key=lambda one: (-one.score, one.passage_id))


def test_the_reranker_reads_the_best_of_each_bare_article_and_a_second_of_the_first() -> None:
    assert [one.passage_id for one in to_judge(found_in_order(), "abcd")] == ["a#1", "a#2", "b#1", "c#1", "d#1"]
    assert [one.passage_id for one in to_judge(found_in_order(), "bd")] == ["b#1", "b#2", "d#1"]
    assert to_judge(found_in_order(), []) == to_judge([], "a") == []


def test_logits_move_the_order_and_the_likeness_of_bare_articles_alone() -> None:
    judgement = Judgement(rank=0.05, score=0.5, logit=0.1, bias=0.2)
    logits = {"a#1": -2.0, "a#2": -1.0, "b#1": 3.0, "d#1": -5.0}
    ranked = judged(found_in_order(), logits, ["a", "b", "d"], judgement)
    assert [one.passage_id for one in ranked][:3] == ["b#1", "b#2", "a#1"]
    scores = {one.passage_id: one.score for one in ranked}
    assert scores["b#1"] == pytest.approx(0.7 + 0.05 * 3)
    assert scores["a#2"] == pytest.approx(0.75 - 0.05)
    assert scores["a#3"] == pytest.approx(0.7 - 0.05 * 2)  # as the worst that was read
    similarity = {one.article_id: one.similarity for one in ranked}
    assert similarity["a"] == pytest.approx(0.5 * 0.8 - 0.1 + 0.2)
    assert similarity["c"] == pytest.approx(0.6)
    unread = judged(found_in_order(), {"a#1": 2.0, "b#1": -4.0}, "abcd", judgement)
    assert {one.article_id: one.similarity for one in unread}["d"] == pytest.approx(0.5 * 0.5 - 0.4 + 0.2)


@given(st.lists(st.floats(-8, 8), min_size=5, max_size=5), st.sets(st.sampled_from("abcd"), min_size=1))
def test_no_passage_is_lost_and_those_of_an_article_share_its_likeness(values: list[float], bare: set[str]) -> None:
    ordered = found_in_order()
    logits = dict(zip([one.passage_id for one in to_judge(ordered, bare)], values, strict=False))
    ranked = judged(ordered, logits, bare, Judgement())
    assert {one.passage_id for one in ranked} == {one.passage_id for one in ordered}
    assert len({(one.article_id, one.similarity) for one in ranked}) == 4
    assert [one.score for one in ranked] == sorted((one.score for one in ranked), reverse=True)
    kept = {one.passage_id: one for one in ordered}
    assert all(one == kept[one.passage_id] for one in ranked if one.article_id not in bare)
