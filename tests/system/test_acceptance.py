"""The frozen acceptance questions through `bedside ask` and the real engine: right articles, nothing unsupported."""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from app.knowledge.articles import parse_article
from app.knowledge.passages import split
from tests.live_service import RunningService
from tests.system.test_turns import wait_ready

pytestmark = [pytest.mark.engine, pytest.mark.timeout(1_200)]
DATA = Path(__file__).parents[1] / "data" / "acceptance"
ARTICLES = Path(__file__).parents[2] / "demo" / "articles"
SHA256 = "6589440c38a3c12c2502060e899a216218eb29526178db836e046df3579ba4d0"
_WORD = re.compile(r"[a-z0-9']+")


def ask(service: RunningService, items: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The replies of `bedside ask`. What a step failed on is asked again, at most twice.

    On a busy machine steps run out of their seconds, which ends safely with a person. That is no part of what is
    measured here; a step that fails for another reason fails again.
    """
    replies = {reply["id"]: reply for reply in ask_once(service, items)}
    for _ in range(2):
        again = [item for item in items if _failures(replies[item["id"]])]
        if again:
            print(f"asked again: {dict(Counter(hit for item in again for hit in _failures(replies[item['id']])))}")
            replies |= {reply["id"]: reply for reply in ask_once(service, again)}
    return list(replies.values())


def _failures(reply: dict[str, Any]) -> list[str]:
    return [hit for hit in reply["guardrails"] if hit.endswith(":failed")]


def ask_once(service: RunningService, items: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Run `bedside ask` in a process of its own over the engine and the database of the running service."""
    wait_ready(service.url)
    assert service.settings.database_url is not None
    environment = os.environ | {
        "BEDSIDE_STATE": str(service.settings.state),
        "BEDSIDE_DATABASE_URL": service.settings.database_url.get_secret_value(),
        "BEDSIDE_ENGINE": "external",
        "BEDSIDE_ENGINE_URL": service.settings.engine_url,
    }
    lines = "".join(json.dumps({"id": item["id"], "text": item["text"]}) + "\n" for item in items)
    done = subprocess.run(
        [sys.executable, "-c", "from app.cli.program import main; main()", "ask"],
        input=lines, capture_output=True, text=True, env=environment, timeout=600, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def read(name: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (DATA / name).read_text(encoding="utf-8").splitlines()]


def unsupported(sentence: str, article_ids: list[str]) -> bool:
    """Whether a sentence has a number that no cited article has, or a run of words that stands in none of them.

    Independent of the checks under test: every number must stand in one cited article, and so must at least four of
    five runs of 5 words; shorter sentences must stand there whole.
    """
    words = _WORD.findall(sentence.lower())
    runs = [" ".join(words[at : at + 5]) for at in range(max(1, len(words) - 4))]
    for text in map(article_words, article_ids):
        numbers = all(f" {word} " in text for word in words if word[0].isdigit())
        if numbers and sum(f" {run} " in text for run in runs) >= 0.8 * len(runs):
            return False
    return True


def article_words(article_id: str) -> str:
    """The words of an article in order, a space around each."""
    article = parse_article((ARTICLES / f"{article_id}.md").read_bytes(), article_id)
    return f" {' '.join(_WORD.findall(' '.join(piece.text for piece in split(article.markdown)).lower()))} "


def test_the_questions_are_the_frozen_ones() -> None:
    assert hashlib.sha256((DATA / "questions.jsonl").read_bytes()).hexdigest() == SHA256


def test_at_least_54_of_60_cite_a_right_article_and_nothing_is_unsupported(
    service: RunningService, capsys: pytest.CaptureFixture[str]
) -> None:
    questions = read("questions.jsonl")
    replies = ask(service, questions)
    assert [reply["id"] for reply in replies] == [question["id"] for question in questions]
    right = {question["id"]: set(question["right"]) for question in questions}
    cited = {r["id"]: {c["article_id"] for c in r["citations"]} for r in replies if r["kind"] != "clarify"}
    hit = [name for name, articles in cited.items() if right[name] & articles]
    kinds = Counter(reply["kind"] for reply in replies)
    with capsys.disabled():
        print(f"\n    acceptance: {len(hit)} of {len(replies)} cite a right article; kinds: {dict(kinds)}")
    for reply in replies:
        if reply["kind"] == "answer":
            for sentence in re.split(r"(?<=[.!?])\s+", reply["text"]):
                assert not unsupported(sentence, [c["article_id"] for c in reply["citations"]]), (reply["id"], sentence)
        for citation in reply["citations"]:
            if reply["kind"] == "clarify":  # the articles between which is asked
                assert citation["quote"] == "", reply["id"]
                continue
            quoted = " ".join(_WORD.findall(citation["quote"].lower()))
            assert reply["kind"] == "answer" or f" {quoted} " in article_words(citation["article_id"]), reply["id"]
    assert len(hit) >= 54, sorted(set(right) - set(hit))
    assert kinds["answer"] >= 1


def test_what_no_article_answers_is_mostly_recognised(
    service: RunningService, capsys: pytest.CaptureFixture[str]
) -> None:
    """A floor, not the goal: the knowledge work aims at 80 %. Whatever is shown still stands in an article."""
    replies = ask(service, read("unanswerable.jsonl"))
    kinds = Counter(reply["kind"] for reply in replies)
    with capsys.disabled():
        print(f"\n    unanswerable: {dict(kinds)}")
    assert kinds["no_answer"] + kinds["decline"] + kinds["redirect"] + kinds["handoff"] >= 5
    for reply in replies:
        if reply["kind"] == "answer":
            for sentence in re.split(r"(?<=[.!?])\s+", reply["text"]):
                assert not unsupported(sentence, [c["article_id"] for c in reply["citations"]]), (reply["id"], sentence)
