"""The search encoder's training: what it learns from, and that it learns what is served."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from random import Random

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from app.encoder.delta import Delta
from app.encoder.encoder import SearchEncoder
from app.knowledge.articles import read_folder
from training.encoder.retrieve import (
    OF_ONE,
    Read,
    Settings,
    Tuned,
    by_tokens,
    contrast,
    loss,
    may_answer,
    neighbourhoods,
    write,
)
from training.encoder.retrieve_data import (
    CLEAR,
    Pair,
    Sizes,
    article_pairs,
    clear_questions,
    page_pairs,
    written_pages,
)
from training.hospitals.articles import HospitalArticle, Section

ROOT = Path(__file__).parents[3]
PAIRS = [
    Pair("where do i leave the car", "Parking. The garage on Oak Street has 400 spaces.", "Parking"),
    Pair("can i have toast first", "Blood draws. Nothing but water for 8 hours.", "Blood", "Blood draws. Press hard."),
    Pair("how fast is the gauze off", "Blood draws. Press hard. Gauze stays on for an hour.", "Blood"),
]


@pytest.fixture(scope="module")
def pairs() -> list[Pair]:
    pages = written_pages()
    return page_pairs(
        pages, Random(3), Sizes(), {(page["page"], q) for page in pages for f in page["facts"] for q in f["q"]}
    )


@pytest.fixture(scope="module")
def network() -> Tuned:
    torch.manual_seed(1)
    return Tuned(Settings())


def test_pages_that_are_held_back_are_not_trained_on(pairs: list[Pair]) -> None:
    kept, used = written_pages(measuring=True), written_pages()
    assert len(kept) > 20
    assert len(used) > 150
    assert not {page["page"] for page in kept} & {pair.group for pair in pairs}


def test_no_page_is_an_article_that_is_measured(pairs: list[Pair]) -> None:
    measured: set[str] = set()
    for folder in (ROOT / "demo" / "articles", ROOT / "tests" / "data" / "knowledge" / "rivermead" / "articles"):
        measured |= {" ".join(article.markdown.split()) for article in read_folder(folder)[0]}
    whole = " ".join(measured)
    lines = [line for page in written_pages() for line in (fact["a"] for fact in page["facts"]) if "{" not in line]
    assert len(lines) > 100
    assert not [line for line in lines if line in whole]


def test_every_question_has_its_fact_or_the_bare_title(pairs: list[Pair]) -> None:
    assert len(pairs) == sum(len(fact["q"]) for page in written_pages() for fact in page["facts"])
    bare = [pair for pair in pairs if pair.passage == f"{pair.group}."]
    assert 0.08 < len(bare) / len(pairs) < 0.16
    assert not [pair for pair in bare if pair.against]
    against = [pair for pair in pairs if pair.against]
    assert 0.2 < len(against) / len(pairs) < 0.5
    for pair in against:
        assert pair.against.startswith(f"{pair.group}. ")
        assert pair.against.removeprefix(f"{pair.group}. ") not in pair.passage


def embed(texts: list[str]) -> NDArray[np.float32]:
    """One number a text: the last one in it, or 0."""
    rows = np.zeros((len(texts), 32), dtype=np.float32)
    for row, text in zip(rows, texts, strict=True):
        numbers = [word.strip(".?") for word in text.split() if word.strip(".?").isdigit()]
        row[int(numbers[-1]) if numbers else 0] = 1
    return rows


def test_a_question_that_needs_its_page_is_left_out() -> None:
    numbers = range(CLEAR + 3)
    pages = [
        {"page": f"page {n}", "site": "one", "facts": [{"a": f"fact {n}", "q": [f"ask {n}", "and then"]}]}
        for n in numbers
    ]
    clear = clear_questions(pages, embed)
    assert {(f"page {n}", f"ask {n}") for n in numbers} <= clear
    assert ("page 0", "and then") in clear
    assert (f"page {CLEAR + 2}", "and then") not in clear
    made = page_pairs(pages, Random(1), Sizes(), {("page 2", "ask 2")})
    assert [pair.group for pair in made] == ["page 2"]
    elsewhere = [{**page, "site": "two"} for page in pages[CLEAR + 1 :]]
    assert (f"page {CLEAR + 2}", "and then") in clear_questions([*pages[: CLEAR + 1], *elsewhere], embed)


def test_a_whole_article_gives_its_sections_and_near_wrong_ones() -> None:
    articles = [
        HospitalArticle(f"Title {n}", [Section(f"Title {n}", "Part", f"Text {n}.", [f"ask {n}"])]) for n in range(4)
    ]
    made = article_pairs({"one": articles}, embed, Random(1))
    assert [(pair.passage, pair.group, pair.site) for pair in made] == [
        (f"Title {n}. Part. Text {n}.", f"Title {n}", "one") for n in range(4)
    ]
    assert all(f"ask {n}" in pair.question for n, pair in enumerate(made))
    assert all(pair.against and pair.group not in pair.against for pair in made)


@given(st.integers(0, 40), st.integers(2, 12), st.integers(0, 1_000))
def test_no_pair_is_in_two_batches_and_few_are_left_out(count: int, size: int, seed: int) -> None:
    places = np.random.default_rng(seed).normal(size=(count, 4)).astype(np.float32)
    made = list(neighbourhoods([PAIRS[0]] * count, places, Settings(batch=size), Random(seed)))
    seen = Counter(n for batch in made for n in batch)
    assert all(len(batch) == size for batch in made)
    assert set(seen.values()) <= {1}
    assert count - len(seen) < size


def test_a_batch_holds_the_nearest_pages_of_its_seeds_site() -> None:
    made = [Pair(f"q {n}", "p", f"page {n // 4}", site="ab"[n // 4 % 2]) for n in range(64)]
    places = np.array([[1, 0] if n // 4 < 8 else [0, 1] for n in range(64)], dtype=np.float32)
    batch = next(neighbourhoods(made, places, Settings(batch=16, near=0.5), Random(2)))
    assert len({(made[n].site, tuple(places[n])) for n in batch[:8]}) == 1
    assert max(Counter(made[n].group for n in batch).values()) == OF_ONE


def test_what_may_answer_too_is_no_wrong_choice() -> None:
    here, there = Pair("", "", "Parking", site="one"), Pair("", "", "Where to park", site="two")
    assert may_answer(here, here, near=True)
    assert may_answer(here, there, near=True)
    assert not may_answer(here, there, near=False)
    assert not may_answer(here, Pair("", "", "Valet parking", site="one"), near=True)


def test_texts_come_back_in_order_whatever_their_length(network: Tuned) -> None:
    network.eval()
    texts = [f"{'word ' * (n % 7)} number {n}" for n in range(60)]
    with torch.no_grad():
        together = network(texts)
        for n in (0, 6, 31, 59):
            alone = network([texts[n]])
            assert torch.allclose(together.vectors[n], alone.vectors[0], atol=0.02)
            assert int(together.real[n].sum()) == int(alone.real.sum())


def test_what_is_written_is_what_was_trained(network: Tuned, tmp_path: Path) -> None:
    optimizer = torch.optim.SGD([one for one in network.parameters() if one.requires_grad], 0.05)
    network.train()
    places = np.eye(3, dtype=np.float32)
    before = float(loss(network, PAIRS, places, Settings()).detach())
    for _ in range(4):
        optimizer.zero_grad()
        torch.autograd.backward(loss(network, PAIRS, places, Settings()))
        optimizer.step()
    assert float(loss(network, PAIRS, places, Settings()).detach()) < before
    write(network, tmp_path, Settings(applied=1), {"base": "test"})
    served = SearchEncoder.load(tmp_path / "cache", Delta.load(tmp_path))
    network.eval()
    texts = [pair.passage for pair in PAIRS]
    with torch.no_grad():
        trained = network(texts)
    for n, text in enumerate(served.read(texts)):
        assert float(text.vector @ trained.vectors[n].numpy()) > 0.995
        own = trained.real[n].numpy()
        assert (text.tokens * trained.tokens[n].numpy()[own]).sum(axis=1).min() > 0.98
        assert text.weights == pytest.approx(trained.weights[n].numpy()[own], abs=0.03)


def read(tokens: list[list[float]], weights: list[float]) -> Read:
    vectors = torch.tensor([tokens])
    return Read(vectors[:, 0], vectors, torch.tensor([weights]), torch.tensor([[True] * len(tokens)]))


def test_each_token_takes_its_nearest_and_counts_by_its_weight() -> None:
    asked = read([[1.0, 0.0], [0.0, 1.0]], [3.0, 1.0])
    passage = read([[0.6, 0.8], [1.0, 0.0]], [1.0, 1.0])
    assert float(by_tokens(asked, passage)) == pytest.approx((3 * 1.0 + 1 * 0.8) / 4)


def test_a_passage_of_the_same_page_is_not_taken_as_wrong() -> None:
    scores = torch.tensor([[5.0, 9.0], [0.0, 5.0]])
    hidden = torch.tensor([[False, True], [False, False]])
    assert float(contrast(scores, hidden)) < float(contrast(scores, torch.zeros(2, 2, dtype=torch.bool)))
