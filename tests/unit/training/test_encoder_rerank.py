"""The reranker's training: what it learns from, and that it learns what is served."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from random import Random

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from app.encoder.delta import RerankDelta
from app.encoder.reranker import Reranker
from app.errors import ConfigurationError
from app.knowledge.articles import read_folder
from app.knowledge.query import Lexicon
from tests.bench_knowledge import read
from training.encoder.rerank import CrossReader, Settings, loss, write
from training.encoder.rerank_data import NEAREST, UNANSWERED, Group, as_read, drawn, hospital_questions
from training.hospitals.articles import HospitalArticle, hospitals, read_hospital

ROOT = Path(__file__).parents[3]
TEXT = """# Parking
## What it costs
The garage costs $2 an hour.
? how much is it to leave the car
? mom stays all day and i drive
## Where it is
The garage is on Oak Street.
? where do i leave the car
!? is there valet
# Meals
## Times
Lunch is served from 11.
? when do they feed her
!? is there halal
"""
GROUPS = [
    Group("can i eat before my belly scan", "Ultrasound. Food. Eat nothing for 7 hours.", ("Parking. Cost. $2.",)),
    Group("where to park", "Parking. Where. On Oak Street.", ("Meals. Times. Lunch is at 11.", "Parking. Cost. $2.")),
    Group("is there valet", "", ("Parking. Where. On Oak Street.",)),
]  # fmt: skip


def test_every_hospital_is_whole_and_no_question_stands_twice() -> None:
    found = hospitals()
    assert len(found) == 14
    asked = [q for articles in found.values() for a in articles for s in a.sections for q in s.questions]
    assert len(asked) > 5_000
    assert len(asked) - len({question.lower() for question in asked}) < 30
    assert sum(len(article.unanswered) for articles in found.values() for article in articles) > 1_400


def test_nothing_that_is_measured_is_in_it() -> None:
    """No article of the demonstration or of the measured hospitals; and no question of theirs."""
    own = {section.text for articles in hospitals().values() for a in articles for section in a.sections}
    knowledge = ROOT / "tests" / "data" / "knowledge"
    folders = (ROOT / "demo" / "articles", knowledge / "rivermead" / "articles")
    whole = " ".join(" ".join(a.markdown.split()) for folder in folders for a in read_folder(folder)[0])
    assert not [text for text in own if text in whole]
    tamarack = read_hospital(knowledge / "tamarack.txt")
    assert not own & {section.text for article in tamarack for section in article.sections}
    everything = [article for articles in hospitals().values() for article in articles]
    paths = (knowledge / "dev.jsonl", knowledge / "second.jsonl", knowledge / "rivermead" / "questions.jsonl")
    measured = asked(tamarack) | {question.text.casefold() for path in paths for question in read(path)}
    assert len(measured) > 1_400
    assert len(asked(everything) & measured) <= 2  # two people may well type the same four words


def asked(articles: Sequence[HospitalArticle]) -> set[str]:
    """Every question to these articles."""
    found = [question for article in articles for section in article.sections for question in section.questions]
    return {text.casefold() for text in (*found, *(q for article in articles for q in article.unanswered))}


def test_a_hospital_is_read_as_it_is_written(tmp_path: Path) -> None:
    path = tmp_path / "small.txt"
    path.write_text(TEXT, encoding="utf-8")
    parking, meals = read_hospital(path)
    assert [section.passage for section in parking.sections] == [
        "Parking. What it costs. The garage costs $2 an hour.",
        "Parking. Where it is. The garage is on Oak Street.",
    ]
    assert parking.sections[0].questions == ["how much is it to leave the car", "mom stays all day and i drive"]
    assert (parking.unanswered, meals.unanswered) == (["is there valet"], ["is there halal"])


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("## Early\nText.", "line 1: a title"),
        ("# Parking\n? early", "line 2: a heading"),
        ("# Parking\n## Cost\n? how much", "lacks its text or questions"),
        ("# Parking\n## Cost\nIt costs $2.", "lacks its text or questions"),
        ("# Parking", "has no section"),
    ],
)
def test_a_faulty_hospital_is_refused(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "broken.txt"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigurationError, match=said):
        read_hospital(path)
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigurationError, match="cannot be read"):
        read_hospital(path)
    with pytest.raises(ConfigurationError, match="holds no hospital"):
        hospitals(tmp_path / "nowhere")


def test_wrong_passages_are_others_of_the_same_hospital(tmp_path: Path) -> None:
    path = tmp_path / "small.txt"
    path.write_text(TEXT, encoding="utf-8")

    def embed(texts: list[str]) -> NDArray[np.float32]:
        return np.array([[len(text), 1] for text in texts], dtype=np.float32)

    found = {one.question: one for one in hospital_questions([read_hospital(path)], embed)}
    assert len(found) == 6
    cost = found["how much is it to leave the car"]
    assert cost.right.startswith("Parking. What it costs.")
    assert cost.right not in cost.near
    assert len(cost.near) == 2
    assert len(found["is there valet"].near) == 3
    group = found["is there valet"].group(Random(1), wrong=3)
    assert (group.right, len(group.wrong)) == ("", UNANSWERED)
    assert len(cost.group(Random(1), wrong=3).wrong) == 2


def test_nearer_passages_are_drawn_more_often_and_none_twice() -> None:
    near = [str(n) for n in range(NEAREST)]
    rng = Random(4)
    seen = [drawn(near, 3, rng) for _ in range(400)]
    assert all(len(set(one)) == 3 for one in seen)
    counts = [sum(name in one for one in seen) for name in near]
    assert counts[0] > 2 * counts[-1] > 0


def test_questions_are_read_as_typed_or_as_the_search_reads_them() -> None:
    lexicon, rng = Lexicon.load(), Random(2)
    seen = {as_read("what about my water pill before the op", lexicon, rng) for _ in range(60)}
    assert any("(" in text for text in seen)
    assert any("(" not in text for text in seen)


def test_what_is_written_is_what_was_trained(tmp_path: Path) -> None:
    torch.manual_seed(1)
    settings = Settings(layers=2, rank=4)
    network = CrossReader(settings)
    optimizer = torch.optim.AdamW([one for one in network.parameters() if one.requires_grad], 5e-3)
    before = float(loss(network, GROUPS, settings).detach())
    for _ in range(8):
        optimizer.zero_grad()
        torch.autograd.backward(loss(network, GROUPS, settings))
        optimizer.step()
    assert float(loss(network, GROUPS, settings).detach()) < 0.7 * before
    write(network, tmp_path, {"layers": settings.layers})
    served = Reranker.load(tmp_path / "cache", RerankDelta.load(tmp_path), rounded=False)
    network.eval()
    for group in GROUPS:
        passages = [text for text in (group.right, *group.wrong) if text]
        with torch.no_grad():
            trained = network([(group.question, text) for text in passages]).numpy()
        assert served.judge(group.question, passages) == pytest.approx(trained, abs=0.05)


def test_a_question_that_nothing_answers_lowers_the_logits_of_what_stands_there() -> None:
    torch.manual_seed(1)
    settings = Settings(layers=2, rank=4)
    network = CrossReader(settings)
    only = [GROUPS[2]]
    optimizer = torch.optim.AdamW([one for one in network.parameters() if one.requires_grad], 5e-3)
    for _ in range(5):
        optimizer.zero_grad()
        torch.autograd.backward(loss(network, only, settings))
        optimizer.step()
    with torch.no_grad():
        assert float(network([(only[0].question, only[0].wrong[0])])[0]) < -0.2
