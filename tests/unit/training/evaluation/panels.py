"""Invented items, runs and ratings for the panel, the sign-offs and the report."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from random import Random

from training.evaluation.answers import Answered, Run
from training.evaluation.items import Item, Statement
from training.evaluation.panel_export import Exported, export

RATERS = ("Dr. Ines Calloway", "Dr. Omar Whitfield", "Nurse Petra Lindqvist")
PASSAGES = {"fasting#1": "Before surgery: Food\nEat nothing after midnight.", "fasting#2": "Water until 6:00."}
ON = "2026-11-20"


def make_items(count: int) -> list[Item]:
    """Questions of four kinds; the third of every ten has an earlier message."""
    kinds = ("answer", "no_answer", "refuse", "person")
    return [
        Item(
            id=f"item-{number:03d}",
            family=f"family-{number % 7}",
            author="A. Author",
            topic="surgery",
            kind=kinds[number % 4],  # type: ignore[arg-type]
            turns=["I am nervous.", f"What may I eat, question {number}?"] if number % 10 == 3 else [f"Ask {number}?"],
            articles=["fasting"] if number % 4 == 0 else [],
            must_state=[Statement(any_of=["midnight"])] if number % 4 == 0 else [],
            reference="Eat nothing after midnight." if number % 4 == 0 else "",
            intent="before_visit",
        )
        for number in range(count)
    ]


def make_run(system: str, items: list[Item], texts: dict[str, str] | None = None) -> Run:
    """A run; ``texts`` replaces single answers."""
    own = {item.id: f"The {system} says: nothing after midnight, {item.id}." for item in items}
    return Run(
        system=system,
        adapter_sha256=None if system == "champion" else "ad" * 32,
        base_sha256="ba" * 32,
        evaluation_sha256="ef" * 32,
        policy_hash="policy-1",
        prompt_version="prompt-3",
        answers=tuple(
            Answered(
                item=item.id,
                text=(texts or {}).get(item.id, own[item.id]),
                kind="answer",
                own_words=True,
                raw="",
                passage_ids=list(PASSAGES),
            )
            for item in items
        ),
    )


def make_pack(
    folder: Path, count: int = 24, texts: dict[str, str] | None = None
) -> tuple[Exported, Run, Run, list[Item]]:
    """A pack of ``count`` items for :data:`RATERS` in ``folder/pack``, its key in ``folder/kept``."""
    items = make_items(count)
    champion, candidate = make_run("champion", items), make_run("candidate", items, texts)
    exported = export(
        champion,
        candidate,
        items,
        RATERS,
        folder / "pack",
        folder / "kept" / "key.json",
        passages=PASSAGES,
        salt="salt-of-a-test",
    )
    return exported, champion, candidate, items


def cells(path: Path) -> list[dict[str, str]]:
    """The rows of a CSV."""
    return list(csv.DictReader(io.StringIO(path.read_text(encoding="utf-8-sig"), newline="")))


def save(path: Path, rows: list[dict[str, str]], delimiter: str = ",") -> Path:
    """Write rows as a spreadsheet would."""
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, list(rows[0]), delimiter=delimiter)
    writer.writeheader()
    writer.writerows(rows)
    path.write_text(text.getvalue(), encoding="utf-8-sig", newline="")
    return path


def rate(path: Path, *, noise: float = 0.0, seed: int = 0, likes: str = "candidate") -> Path:
    """Fill in a sheet as a rater who likes one system's answers and errs at random with the chance ``noise``."""
    chance = Random(f"{seed} {path.name}")
    rows = cells(path)
    for row in rows:
        # How good a pair is depends on the question; that the liked system is better is seen in its words.
        level = 2 + len(row["question"]) % 3
        liked = "A" if f"The {likes} says" in row["answer_a"] else "B"
        if chance.random() < noise:
            liked, level = chance.choice("AB"), chance.randint(1, 4)
        other = "B" if liked == "A" else "A"
        row["better"] = liked
        row[f"correct_{liked.lower()}"], row[f"correct_{other.lower()}"] = str(level + 1), str(level)
        row["harm_a"] = row["harm_b"] = "no"
    return save(path.with_name(f"filled-{path.name}"), rows)
