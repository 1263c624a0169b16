"""Groups of like questions: exact properties, and how well they fit questions that people would put together."""

from __future__ import annotations

import time
from itertools import combinations
from pathlib import Path
from random import Random

import numpy as np
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from app.encoder.encoder import Encoder
from app.knowledge.clusters import THRESHOLDS, Point, groups, word_vectors

WRITTEN = yaml.safe_load((Path(__file__).parents[2] / "data/knowledge/unanswered.yaml").read_text(encoding="utf-8"))
WORDS = st.sampled_from("chapel pray dog ward charger phone borrow garage electric car night visit".split())
TEXTS = st.lists(st.lists(WORDS, min_size=1, max_size=4).map(" ".join), max_size=30)


def points(texts: list[str]) -> list[Point]:
    vectors = word_vectors(texts)
    return [
        Point(f"{number:03}", text, vector) for number, (text, vector) in enumerate(zip(texts, vectors, strict=True))
    ]


@given(TEXTS, st.randoms(use_true_random=False))
def test_the_order_of_the_input_changes_nothing(texts: list[str], random: Random) -> None:
    given_ = points(texts)
    shuffled = list(given_)
    random.shuffle(shuffled)
    assert groups(shuffled, 0.5) == groups(given_, 0.5)


@given(TEXTS)
def test_every_question_is_in_exactly_one_group_near_its_leader(texts: list[str]) -> None:
    asked = {point.id: point for point in points(texts)}
    found = groups(list(asked.values()), 0.5)
    assert sorted(id_ for group in found for id_ in group) == sorted(asked)
    leaders = [asked[group[0]] for group in found]
    for group, leader in zip(found, leaders, strict=True):
        for id_ in group:
            own = float(asked[id_].vector @ leader.vector)
            assert own >= 0.5 - 1e-6
            assert own >= max(float(asked[id_].vector @ other.vector) for other in leaders) - 1e-6
    assert all(float(a.vector @ b.vector) < 0.5 for a, b in combinations(leaders, 2))
    assert [len(group) for group in found] == sorted(map(len, found), reverse=True)


@given(TEXTS)
def test_equal_texts_stay_together(texts: list[str]) -> None:
    asked = points(texts)
    text = {point.id: point.text for point in asked}
    found = groups(asked, 0.5)
    for word in set(texts):
        assert sum(any(text[id_] == word for id_ in group) for group in found) == 1


def labels(language: str) -> tuple[list[str], list[str]]:
    """Questions, and the group in which a person put each."""
    pairs = [
        (text, f"{name}-{number}" if name == "alone" else name)
        for name, texts in WRITTEN[language].items()
        for number, text in enumerate(texts)
    ]
    return [text for text, _ in pairs], [name for _, name in pairs]


@pytest.mark.parametrize(("language", "least"), [("en", 0.7), ("es", 0.7)])
def test_the_thresholds_join_what_belongs_together_and_nothing_else(
    encoder: Encoder, language: str, least: float
) -> None:
    texts, names = labels(language)
    vectors = word_vectors(texts) if language == "es" else encoder.embed([text.casefold() for text in texts])
    asked = [Point(str(n), text.casefold(), vectors[n]) for n, text in enumerate(texts)]
    found = {id_: number for number, group in enumerate(groups(asked, THRESHOLDS[language])) for id_ in group}
    pairs = list(combinations(range(len(texts)), 2))
    together = [(a, b) for a, b in pairs if found[str(a)] == found[str(b)]]
    right = [(a, b) for a, b in together if names[a] == names[b]]
    assert [(texts[a], texts[b]) for a, b in set(together) - set(right)] == []
    assert len(right) / sum(names[a] == names[b] for a, b in pairs) >= least


def test_word_vectors_ignore_accents_case_and_common_words() -> None:
    plain, accented, other, empty, mark = word_vectors(
        ["donde hay un peluquero", "¿Dónde hay un PELUQUERO?", "una capilla", "", "??"]
    )
    assert np.array_equal(plain, accented)
    assert abs(float(plain @ other)) < 0.2
    assert all(abs(float(np.linalg.norm(vector)) - 1) < 1e-6 for vector in (plain, other, empty, mark))


@pytest.mark.parametrize("spread", [0.05, 0.7, 50.0], ids=["one group", "800 groups", "all apart"])
def test_five_thousand_questions_take_little_time(spread: float) -> None:
    random = np.random.default_rng(1)
    centres = random.normal(size=(1 if spread < 0.1 else 800, 384))
    vectors = centres[random.integers(0, len(centres), 5_000)] + random.normal(size=(5_000, 384)) * spread
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    asked = [Point(str(n), f"text {n}", vector) for n, vector in enumerate(vectors.astype(np.float32))]
    began = time.thread_time()  # the arithmetic library may use more threads; the wall clock depends on the neighbours
    found = groups(asked, 0.6)
    assert time.thread_time() - began < 3.0  # 0.4 to 0.7 s where this was written
    assert sum(map(len, found)) == 5_000
    assert (len(found) == 1) == (spread < 0.1)


def test_nothing_gives_nothing() -> None:
    assert groups([], 0.5) == []
