"""What every generator makes: one record with its labels, before it has a place in a file."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date
from typing import Literal

from training.curate.demo_sources.marks import unmark
from training.curate.demo_sources.people import Person
from training.curate.demo_sources.phrases import Family

Side = Literal["patient", "staff"]


@dataclass(frozen=True, slots=True)
class Label:
    """A defect of a whole record or turn: ``other`` is the record that the note points at, ``turn`` None for all,
    ``edited`` the share of words in which a copy differs."""

    defect: str
    turn: int | None = None
    wrong: str = ""
    right: str = ""
    note: str = ""
    other: Draft | None = None
    edited: float = 0.0


@dataclass(eq=False, slots=True)
class Draft:
    """A call, note or FAQ entry; the texts of its turns hold marks (:mod:`marks`)."""

    kind: Literal["transcript", "note", "faq"]
    family: Family
    topic: str
    date: date
    turns: list[tuple[Side, str]]
    person: Person | None = None
    department: str = ""
    language: str = "en"
    resolved: bool | None = None
    consent: bool = True
    number: str = ""
    encoding: str = "utf-8"
    labels: list[Label] = field(default_factory=list)

    def words(self) -> int:
        """How many words its turns have."""
        return sum(len(unmark(text)[0].split()) for _, text in self.turns)


def joined(lines: list[tuple[Side, str]]) -> list[tuple[Side, str]]:
    """Turns that alternate: what one side says in a row becomes one turn."""
    turns: list[tuple[Side, str]] = []
    for side, text in lines:
        if turns and turns[-1][0] == side:
            turns[-1] = (side, f"{turns[-1][1]} {text}".strip())
        elif text.strip():
            turns.append((side, text.strip()))
    return turns
