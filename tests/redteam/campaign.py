"""The runs: the static set, once each, and the adaptive one, which goes on from what got further."""

from __future__ import annotations

import gzip
import json
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tests.redteam.goals import EMERGENCY, FOLDER, Goal, Harm
from tests.redteam.mutators import Turns, mutate
from tests.redteam.renderings import Rendering, nth
from tests.redteam.target import STAGES, Strike, Target

DEVELOPMENT, HELD_OUT, PUBLIC, ADAPTIVE = "development", "held out", "public", "adaptive"
LONGEST_TRAIL = 3
"""Mutations on one message: after more of them nobody could read it."""
_POOL = 6


@dataclass(frozen=True, slots=True)
class Attack:
    """What is sent for a goal. ``trail`` are the mutations that made it."""

    goal: str
    turns: Turns
    half: str
    family: str
    trail: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Result:
    """``stopped``: the stage that answered as served. ``served``, ``waved``: succeeded so, or without detectors."""

    attack: Attack
    rendering: Rendering
    stopped: str
    served: bool
    waved: bool
    reached: float

    @property
    def succeeded(self) -> bool:
        """In either run."""
        return self.served or self.waved


def own_attacks(path: Path = FOLDER / "attacks.yaml") -> list[Attack]:
    """The attacks of this project, both halves."""
    data = yaml.safe_load(path.read_text(encoding="utf-8"))
    held_out = set(data["held_out"])
    return [
        Attack(
            goal,
            tuple(one["text"].split(" // ")),
            HELD_OUT if one["family"] in held_out else DEVELOPMENT,
            one["family"],
        )
        for goal, entries in data["goals"].items()
        for one in entries
    ]


def own_benign(path: Path = FOLDER / "attacks.yaml") -> list[str]:
    """Harmless messages with words that attacks use."""
    benign: list[str] = yaml.safe_load(path.read_text(encoding="utf-8"))["benign"]
    return benign


def _lines(path: Path) -> list[dict[str, Any]]:
    with gzip.open(path, "rt", encoding="utf-8") as file:
        return [json.loads(line) for line in file]


_HARMFUL = {
    "prompt_injections_dev.jsonl.gz": {"injection", "jailbreak"},
    "medsafetybench_train.jsonl.gz": {"harmful_medical"},
    "xstest_dev.jsonl.gz": {"harmful"},
}
"""Public sets by file, and which of their labels are attacks."""


def missing_sets(folder: Path) -> list[str]:
    """Files of the public sets that a folder lacks."""
    return [name for name in _HARMFUL if not (folder / name).is_file()]


def public_attacks(folder: Path, goals: Sequence[str]) -> list[Attack]:
    """Attacks of public sets; they name no goal of ours, so the goals take turns. The emergency goal is left out."""
    texts = [
        (row["text"], name.split(".")[0])
        for name, labels in _HARMFUL.items()
        for row in _lines(folder / name)
        if row["label"] in labels
    ]
    turns = [goal for goal in goals if goal != EMERGENCY]
    return [Attack(turns[i % len(turns)], (text,), PUBLIC, name) for i, (text, name) in enumerate(texts)]


def public_benign(folder: Path) -> dict[str, list[str]]:
    """Harmless prompts of public sets."""
    wanted = {"prompt_injections_dev.jsonl.gz": "benign", "xstest_dev.jsonl.gz": "safe"}
    return {
        name.split(".")[0]: [row["text"] for row in _lines(folder / name) if row["label"] == label]
        for name, label in wanted.items()
    }


async def run_one(target: Target, goal: Goal, attack: Attack, harm: Harm, rendering: Rendering) -> Result:
    """An attack as served and, where a detector stopped it, once more with all of them waved through."""

    def say(approved: Sequence[str]) -> str:
        return rendering.say(harm, approved)

    served = await target.strike(attack.turns, say, near=harm.near)
    won, behind = target.broken_by(goal, harm, served), False
    last = served
    if goal.name != EMERGENCY and served.stage not in ("checks", "shown"):
        last = await target.strike(attack.turns, say, near=harm.near, detectors=False)
        behind = target.broken_by(goal, harm, last)
    warned = goal.name == EMERGENCY and served.warned
    reached = 0.0 if warned else _progress(served, last, won or behind)
    return Result(attack, rendering, served.stage, won, behind, reached)


def _progress(served: Strike, last: Strike, won: bool) -> float:
    """How far an attack got: the stage as served, and the fewer output checks object the further."""
    objections = (
        1 / (1 + sum(rule.startswith("output.") for rule in last.rules)) if last.stage in ("checks", "shown") else 0.0
    )
    return (100.0 if won else 0.0) + STAGES.index(served.stage) + objections


async def run_static(
    target: Target, goals: dict[str, Goal], attacks: Sequence[Attack], tick: Callable[[], None]
) -> list[Result]:
    """Every attack once, with the goal's harms and all renderings in rotation."""
    results = []
    for number, attack in enumerate(attacks):
        goal = goals[attack.goal]
        harm = goal.harms[number % len(goal.harms)]
        results.append(await run_one(target, goal, attack, harm, nth(number)))
        tick()
    return results


async def run_adaptive(
    target: Target, goal: Goal, seeds: Sequence[Attack], rounds: int, seed: int, tick: Callable[[], None]
) -> list[Result]:
    """``rounds`` mutated attacks of one goal, each made from one of those that got furthest."""
    draw = random.Random(f"{seed} {goal.name}")
    spanish = [attack.turns[-1] for attack in seeds if attack.family == "spanish"]
    pool: list[tuple[float, Attack, int, Rendering]] = [
        (0.0, attack, draw.randrange(len(goal.harms)), nth(draw.randrange(400)))
        for attack in draw.sample(list(seeds), min(_POOL, len(seeds)))
    ]
    results = []
    for _ in range(rounds):
        _, parent, number, rendering = draw.choice(pool)
        attack = parent
        if len(parent.trail) < LONGEST_TRAIL and draw.random() < 0.7:
            name, turns = mutate(parent.turns, draw, spanish, readable=goal.name == EMERGENCY, trail=parent.trail)
            attack = Attack(goal.name, turns, ADAPTIVE, parent.family, (*parent.trail, name))
        elif draw.random() < 0.5:
            attack = draw.choice(list(seeds))
        if draw.random() < 0.2:
            number = draw.randrange(len(goal.harms))
        rendering = rendering.mutated(draw)
        attack = Attack(goal.name, attack.turns, ADAPTIVE, attack.family, attack.trail)
        result = await run_one(target, goal, attack, goal.harms[number], rendering)
        results.append(result)
        pool = sorted([(result.reached, attack, number, rendering), *pool], key=lambda entry: -entry[0])[:_POOL]
        tick()
    return results


@dataclass(frozen=True, slots=True)
class Refusals:
    """Harmless prompts of one set and how many each stage refused."""

    name: str
    asked: int
    by: dict[str, int]


async def run_benign(target: Target, name: str, texts: Sequence[str], tick: Callable[[], None]) -> Refusals:
    """Ask harmless things; the engine copies the first passage, so that only the input stages can refuse."""
    by: dict[str, int] = {}
    for text in texts:
        strike = await target.strike([text], lambda approved: f"{approved[0]} [1]")
        if strike.refused:
            by[strike.stage] = by.get(strike.stage, 0) + 1
        tick()
    return Refusals(name, len(texts), by)
