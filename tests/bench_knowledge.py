"""Right article at 1, 3 and 5, answerability and latency of the search over the demonstration hospital.

Run: ``python -m tests.bench_knowledge [--questions FILE] [--site FOLDER] [--failures]``. Baselines are the same code
with other parameters: one vector per passage, words only, both together; and the new one without each of its parts.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import tempfile
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from app.contracts.passages import Passage
from app.contracts.site import load_site
from app.db.embedded import EmbeddedPostgres
from app.db.migrate import upgrade
from app.db.session import Database
from app.encoder.encoder import Encoder
from app.encoder.weights import WEIGHTS_SHA256
from app.knowledge.index import KnowledgeIndex
from app.knowledge.query import Lexicon
from app.knowledge.ranking import Weights
from app.knowledge.service import KnowledgeService

ROOT = Path(__file__).parents[1]
UNANSWERABLE = "unanswerable"
FALSE_NO_ANSWER = 0.05
PLAIN = Weights(passage=1, heading=0, asked=0, words=0, expanded=0, added_word=0, spelling=False)
NEW = Weights()


@dataclass(frozen=True, slots=True)
class Question:
    """A question of the set; ``right`` is empty where the articles do not answer it."""

    id: str
    text: str
    kind: str
    right: frozenset[str]


@dataclass(frozen=True, slots=True)
class Answer:
    """What a method found, and in how many seconds."""

    question: Question
    found: list[Passage]
    seconds: float

    def place(self) -> int:
        """Place of the first right article, 99 if none."""
        articles = list(dict.fromkeys(passage.article_id for passage in self.found))
        return next((n for n, article in enumerate(articles, 1) if article in self.question.right), 99)

    def similarity(self) -> float:
        """What decides whether anything was found."""
        return max((passage.similarity for passage in self.found), default=0.0)


def read(path: Path) -> list[Question]:
    """Questions of a JSON-lines file."""
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    return [
        Question(r["id"], r["text"], r["kind"] if r["right"] else UNANSWERABLE, frozenset(r["right"])) for r in rows
    ]


def methods(database: Database, encoder: Encoder, site: str) -> dict[str, KnowledgeIndex]:
    """The baselines, the new method, and the new method without one part each."""
    bare = Lexicon({}, {}, [])
    made = {
        "dense": (PLAIN, bare),
        "lexical": (replace(PLAIN, passage=0, words=1), bare),
        "dense + lexical": (replace(PLAIN, words=NEW.words), bare),
        "new": (NEW, None),
        "without phrases": (replace(NEW, asked=0, passage=0.5, heading=0.5), None),
        "without lay words": (NEW, _without_lay()),
        "without spelling": (replace(NEW, spelling=False), None),
        "without words": (replace(NEW, words=0), None),
    }
    return {
        name: KnowledgeIndex(database, encoder, site, weights=weights, lexicon=lexicon)
        for name, (weights, lexicon) in made.items()
    }


def _without_lay() -> Lexicon:
    return Lexicon.load().without_lay()


async def ask(index: KnowledgeIndex, questions: Sequence[Question]) -> list[Answer]:
    """All questions in turn, one at a time."""
    await index.search("warm up", limit=1)
    answers = []
    for question in questions:
        begun = time.perf_counter()
        found = await index.search(question.text, limit=12)
        answers.append(Answer(question, found, time.perf_counter() - begun))
    return answers


def at(answers: Sequence[Answer], limit: int) -> float:
    """Share with a right article among the first ``limit`` articles."""
    return statistics.fmean(answer.place() <= limit for answer in answers)


def answerability(answers: Sequence[Answer]) -> tuple[float, float, float]:
    """AUC of the similarity; the bound at 5 % false "no answer"; the share of unanswerable ones below it."""
    good = sorted(a.similarity() for a in answers if a.question.right)
    bad = [a.similarity() for a in answers if not a.question.right]
    if not good or not bad:
        return (0.0, 0.0, 0.0)
    auc = statistics.fmean((g > b) + 0.5 * (g == b) for g in good for b in bad)
    bound = good[int(FALSE_NO_ANSWER * len(good))]
    return auc, bound, statistics.fmean(b < bound for b in bad)


def table(results: dict[str, list[Answer]]) -> str:
    """The figures side by side, as a Markdown table."""
    kinds = sorted({a.question.kind for answers in results.values() for a in answers} - {UNANSWERABLE})
    head = ["method", "all", *kinds, "AUC", "bound", "caught", "p50 ms", "p95 ms"]
    rows = [head, ["---"] * len(head)]
    for name, answers in results.items():
        groups: dict[str, list[Answer]] = defaultdict(list)
        for answer in answers:
            if answer.question.right:
                groups["all"].append(answer)
                groups[answer.question.kind].append(answer)
        times = sorted(answer.seconds * 1000 for answer in answers)
        places = [
            " / ".join(f"{at(groups[kind], n):.2f}".removeprefix("0") for n in (1, 3, 5)) for kind in ("all", *kinds)
        ]
        signal = [f"{value:.2f}" for value in answerability(answers)]
        p95 = times[min(len(times) - 1, int(0.95 * len(times)))]
        rows.append([name, *places, *signal, f"{statistics.median(times):.0f}", f"{p95:.0f}"])
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)


async def run(arguments: argparse.Namespace, url: str, encoder: Encoder) -> None:
    """Index the site, ask everything, print."""
    site = load_site(arguments.site)
    database = Database(url, pool=4)
    begun = time.perf_counter()
    service = KnowledgeService(database, encoder, WEIGHTS_SHA256[:32], site)
    report = await service.import_folder(arguments.site / "articles", keep_going=True)
    print(f"indexed {len(report.stored)} articles, {report.passages} passages, {time.perf_counter() - begun:.1f} s")
    questions = read(arguments.questions)
    print(f"{len(questions)} questions; right article at 1 / 3 / 5\n")
    chosen = methods(database, encoder, site.id)
    if arguments.only:
        chosen = {name: index for name, index in chosen.items() if name in arguments.only}
    results = {name: await ask(index, questions) for name, index in chosen.items()}
    print(table(results))
    if arguments.failures:
        for answer in results["new"]:
            if answer.question.right and answer.place() > 1:
                found = ", ".join(f"{p.article_id} {p.similarity:.2f}" for p in answer.found[:2])
                print(f"{answer.question.id} {answer.question.text!r}: {sorted(answer.question.right)}; found {found}")
            elif not answer.question.right:
                print(f"{answer.question.id} {answer.question.text!r}: {answer.similarity():.2f}", end=" ")
                print(answer.found[0].article_id if answer.found else "-")
    await database.dispose()


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--questions", type=Path, default=ROOT / "tests/data/knowledge/dev.jsonl")
    parser.add_argument("--site", type=Path, default=ROOT / "demo")
    parser.add_argument("--store", type=Path, help="folder for database and encoder; kept for the next run")
    parser.add_argument("--only", action="append", help="run only this method; may be given again")
    parser.add_argument("--failures", action="store_true", help="list the wrong ones of the new method")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bedside-bench-") as folder:
        store = arguments.store or Path(folder)
        url = EmbeddedPostgres(store / "data", "knowledge").start()
        upgrade(url)
        asyncio.run(run(arguments, url, Encoder.load(store / "encoder")))


if __name__ == "__main__":
    main()
