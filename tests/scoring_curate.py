"""How well *correct* and *check* do: on generated misspellings, and against the labelled defects of the demo sources.

``bedside-train`` is not needed for it: the functions take paths and give rows to print. The key of the demo sources is
read here and nowhere else in curation.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

from rapidfuzz import process
from rapidfuzz.distance import DamerauLevenshtein

from training.curate.correct import Decider, correct
from training.curate.druglist import DrugList
from training.curate.records import Record, Turn
from training.curate.spelling import NEAR, DrugSpeller

FIGURES = ("wrong_phone", "wrong_hours", "wrong_number", "wrong_dose")
_LETTERS = "abcdefghijklmnopqrstuvwxyz"
_SAID = (
    "I take {} 20 mg every morning.", "Can I get a refill of {}?", "My doctor prescribed {} last week.",
    "I ran out of my {} tablets on Sunday.", "Is it safe to take {} with food?", "He stopped taking {} in May.",
    "Patient reports a reaction to {}.", "{} 500 mg twice a day, refilled at the pharmacy.",
    "Which pharmacy has my {} prescription?", "The side effects of {} are what I am calling about.",
    "Please renew {} for my mother.", "She is allergic to {} and aspirin.",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Case:
    """A name with one or two slips in a sentence. ``only``: no other name lies within two edits of it, and it is no
    word or name of its own: nothing else can be meant.
    """

    name: str
    wrong: str
    edits: int
    sentence: str
    only: bool


@dataclass(slots=True)
class Score:
    """What became of cases: ``fixed`` rightly, ``wrong`` (another drug), ``asked``, or ``unseen``."""

    cases: int = 0
    fixed: int = 0
    wrong: int = 0
    asked: int = 0
    unseen: int = 0
    examples: list[str] = field(default_factory=list)

    @property
    def share(self) -> float:
        """The share that was fixed."""
        return self.fixed / self.cases if self.cases else 0.0


def misspelled(drugs: DrugList, names: Sequence[str], count: int, seed: int) -> Iterator[Case]:
    """``count`` cases over ``names``, half with one slip and half with two; every slip at any place, of any kind."""
    rng = Random(seed)
    known = sorted(drugs.drug_of)
    made = 0
    while made < count:
        name = rng.choice(names)
        edits = 1 + made % 2
        wrong = name
        for _ in range(edits):
            wrong = _slip(wrong, rng)
        distance = DamerauLevenshtein.distance(wrong, name)
        if not distance or drugs.valid(wrong):
            continue  # The slips undid each other, or made another valid name: nothing is misspelled.
        made += 1
        near = process.extract(wrong, known, scorer=DamerauLevenshtein.distance, score_cutoff=NEAR, limit=2)
        only = [found for found, _, _ in near] == [name] and not drugs.ordinary(wrong)
        yield Case(name, wrong, distance, rng.choice(_SAID).format(wrong), only)


def score_misspelled(drugs: DrugList, cases: Iterable[Case]) -> dict[str, Score]:
    """Run *correct* over cases. Rows: those in which nothing else can be meant, by edits, and all."""
    decider = Decider(DrugSpeller(drugs), {})
    scores: defaultdict[str, Score] = defaultdict(Score)
    for number, case in enumerate(cases, start=1):
        record = Record(
            id=f"{number:020x}",
            kind="note",
            source="cases",
            place=number,
            turns=(Turn(speaker="staff", text=case.sentence),),
        )
        done = correct(decider, record)
        text = done.record.text if done.record else ""
        changed = [change for change in done.changes if change.wrong == case.wrong]
        rows = ["all", f"edits {case.edits}"] + (["only one name can be meant"] if case.only else ["others are near"])
        for row in rows:
            score = scores[row]
            score.cases += 1
            if changed and changed[0].right in (case.name, case.name + "s"):
                score.fixed += 1
            elif text != case.sentence:
                score.wrong += 1
                score.examples.append(f"{case.name}: {case.sentence} -> {text}")
            elif done.items:
                score.asked += 1
            else:
                score.unseen += 1
                score.examples.append(f"unseen: {case.name}: {case.sentence}")
    return dict(scores)


def _slip(word: str, rng: Random) -> str:
    at = rng.randrange(len(word))
    match rng.randrange(4):
        case 0 if len(word) > 1:
            return word[:at] + word[at + 1 :]
        case 1:
            return word[:at] + rng.choice(_LETTERS) + word[at:]
        case 2:
            return word[:at] + rng.choice(_LETTERS) + word[at + 1 :]
        case _:
            at = min(at, max(0, len(word) - 2))
            return word[:at] + word[at : at + 2][::-1] + word[at + 2 :]


@dataclass(frozen=True, slots=True)
class Found:
    """Of ``labelled`` defects ``found``; of ``told`` places ``right``."""

    what: str
    labelled: int
    found: int
    told: int
    right: int

    @property
    def recall(self) -> float:
        """Found of those labelled."""
        return self.found / self.labelled if self.labelled else 1.0

    @property
    def precision(self) -> float:
        """Right of those told."""
        return self.right / self.told if self.told else 1.0


def score_check(
    key: Path,
    doubts: Path,
    records: Iterable[Record],
    family: str = "",
    renamed: Callable[[str], str] = lambda source: source,
) -> list[Found]:
    """Wrong figures, contradictions and both together, by staff turn: the labels in ``key`` against the file of doubts.

    ``records`` are those that *check* read: a label of a record that was quarantined or dropped before does not count.
    ``renamed`` gives what de-identification made of a file's name. A place is told rightly if any of these defects is
    labelled there, or the other side of a contradiction.
    """
    here = {(record.source, record.place) for record in records}
    families: dict[tuple[str, int], str] = {}
    labels = []
    for line in key.read_text(encoding="utf-8").splitlines():
        label: dict[str, Any] = json.loads(line)
        label["source"] = renamed(label["source"])
        place = label["source"], label["place"]
        families.setdefault(place, label.get("family", ""))
        mine = not family or label.get("family", "") == family
        if mine and place in here and label["defect"] in (*FIGURES, "contradiction"):
            labels.append(label)
    told: defaultdict[tuple[str, int, int], set[str]] = defaultdict(set)
    for line in doubts.read_text(encoding="utf-8").splitlines():
        doubt: dict[str, Any] = json.loads(line)
        place = doubt["source"], doubt["place"]
        kind = "figure" if doubt["kind"] in FIGURES else doubt["kind"]
        if kind in ("figure", "contradiction") and (not family or families.get(place, family) == family):
            told[(*place, doubt["turn"])].add(kind)
    true = {(label["source"], label["place"], label["turn"]) for label in labels}
    notes = (label["note"].rpartition(":") for label in labels if label["defect"] == "contradiction")
    sides = {f"{renamed(source)}:{place}" for source, _, place in notes}
    rows = []
    for what, defects, kinds in (
        ("wrong figures", FIGURES, {"figure"}),
        ("contradictions", ("contradiction",), {"contradiction"}),
        ("both", (*FIGURES, "contradiction"), {"figure", "contradiction"}),
    ):
        wanted = {(label["source"], label["place"], label["turn"]) for label in labels if label["defect"] in defects}
        said = {place for place, found in told.items() if found & kinds}
        right = {place for place in said if place in true or f"{place[0]}:{place[1]}" in sides}
        rows.append(Found(what, len(wanted), len(wanted & told.keys()), len(said), len(right)))
    return rows
