from __future__ import annotations

from pathlib import Path

import pytest

from app.contracts.prompt import NOT_IN_ARTICLES, escape
from app.errors import ConfigurationError
from training.finetune.data import load_dialogues
from training.finetune.dialogues import build, held_out, whole_answer
from training.sentences import numbers, split_sentences, without_citation

ARTICLE = """---
id: {id}
title: About {id}
topic: {topic}
audience: patients
owner: Team
reviewed: 2026-09-01
review_by: 2027-09-01
sources: ["Policy 1"]
---

## Where is {id}?

The {id} desk is on level 2. The desk is open at 8 a.m. every day.

## How do I call {id}?

Call 515-555-0120 for {id} questions. Call 911 in an emergency.
"""


def make_articles(folder: Path) -> list[str]:
    folder.mkdir()
    names: list[str] = []
    kept = 0
    for number in range(200):
        name = f"place-{number}"
        if held_out(name):
            kept += 1
        elif len(names) - kept >= 6:
            continue
        names.append(name)
        (folder / f"{name}.md").write_text(ARTICLE.format(id=name, topic=f"topic-{number % 3}"))
        if kept >= 2 and len(names) - kept >= 6:
            return names
    raise AssertionError("no held-out name found")


@pytest.fixture
def built(tmp_path: Path) -> Path:
    names = make_articles(tmp_path / "articles")
    (tmp_path / "q.yaml").write_text("".join(f"{name}:\n  is on level 2: [what floor is it]\n" for name in names))
    build(tmp_path / "articles", tmp_path / "q.yaml", tmp_path / "out", seed=3)
    return tmp_path


def test_whole_articles_are_held_out(built: Path) -> None:
    train, held = (load_dialogues(built / "out" / f"{side}.jsonl") for side in ("train", "held_out"))
    assert {item.article_id for item in train}.isdisjoint(item.article_id for item in held)
    assert all(held_out(item.article_id) for item in held)
    assert {item.origin for item in train} == {"heading", "written", "exercise"}
    assert {item.kind for item in held} == {"answer", "none"}


def test_answers_are_sentences_of_the_passage_with_its_numbers(built: Path) -> None:
    for side in ("train", "held_out"):
        for item in load_dialogues(built / "out" / f"{side}.jsonl"):
            if item.kind == "none":
                assert item.answer == NOT_IN_ARTICLES
                continue
            standing = split_sentences(escape(item.passages[0]))
            said = split_sentences(without_citation(item.answer))
            assert said
            assert all(sentence in standing for sentence in said)
            assert item.answer.endswith(" [1]")


def test_digits_vary_on_the_training_side_but_emergency_numbers_do_not(built: Path) -> None:
    passages = " ".join(item.passages[0] for item in load_dialogues(built / "out" / "train.jsonl"))
    phones = {number for number in numbers(passages) if number.count("-") == 2}
    assert len(phones) > 5
    assert "Call 911 in an emergency." in passages
    held = " ".join(item.passages[0] for item in load_dialogues(built / "out" / "held_out.jsonl"))
    assert {number for number in numbers(held) if number.count("-") == 2} == {"515-555-0120"}


def test_the_same_seed_builds_the_same_bytes(built: Path) -> None:
    build(built / "articles", built / "q.yaml", built / "again", seed=3)
    assert (built / "again" / "train.jsonl").read_bytes() == (built / "out" / "train.jsonl").read_bytes()


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("nowhere:\n  x: [y]\n", "no article nowhere"),
        ("{name}:\n  the moon: [y]\n", "0 sentences"),
        ("{name}:\n  'Call ': [y]\n", "2 sentences"),
        ("a: [", "cannot be read"),
        ("", "must hold"),
        ("- {name}\n", "must hold"),
        ("{name}: is on level 2\n", "write `words of a sentence: .question, question.` lines"),
        ("{name}:\n  is on level 2: what floor is it\n", "write `words of a sentence"),
    ],
)
def test_an_anchor_that_is_unknown_or_not_unique_is_named(tmp_path: Path, text: str, word: str) -> None:
    names = make_articles(tmp_path / "articles")
    (tmp_path / "q.yaml").write_text(text.replace("{name}", names[0]))
    with pytest.raises(ConfigurationError, match=word):
        build(tmp_path / "articles", tmp_path / "q.yaml", tmp_path / "out")


def test_written_questions_in_other_bytes_than_utf_8_are_named(tmp_path: Path) -> None:
    make_articles(tmp_path / "articles")
    (tmp_path / "q.yaml").write_bytes(b"a: \xff\n")
    with pytest.raises(ConfigurationError, match=r"q\.yaml cannot be read"):
        build(tmp_path / "articles", tmp_path / "q.yaml", tmp_path / "out")


def test_the_answer_comes_first_and_the_rest_of_the_passage_follows(built: Path) -> None:
    held = load_dialogues(built / "out" / "held_out.jsonl")
    asked = next(item.answer for item in held if item.question == "what floor is it")
    first, second = split_sentences(without_citation(asked))
    assert first.endswith("is on level 2.")
    assert second == "The desk is open at 8 a.m. every day."


def test_a_long_passage_is_cut_at_a_sentence() -> None:
    lines = [f"{'word ' * 30}number {number}." for number in range(5)]  # 159 characters each
    assert whole_answer(lines, (3,)) == [lines[3], lines[0]]
    assert whole_answer([lines[0], lines[0], "Short."], (1,)) == [lines[0], "Short."]
    assert whole_answer(lines, (4, 0, 1)) == [lines[4], lines[0], lines[1]]


def test_the_demonstrations_dialogues_are_split_by_article(tmp_path: Path) -> None:
    build(Path("demo/articles"), Path("demo/dialogues/questions.yaml"), tmp_path)
    train, held = (load_dialogues(tmp_path / f"{side}.jsonl") for side in ("train", "held_out"))
    assert {item.article_id for item in train}.isdisjoint(item.article_id for item in held)
    assert sum(item.kind == "answer" for item in held) >= 60
