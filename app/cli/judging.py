"""`bedside triage` and what compares its decisions: stored ones with today's, those of two bundles with each other."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from app.cli.lines import BadLine, Line, write
from app.contracts.replies import Tier
from app.encoder.encoder import TurnEncoder
from app.guardrails.active import triage_of
from app.guardrails.explain import explain
from app.guardrails.policy import PolicyBundle
from app.guardrails.triage import Triage

NONE, SOME, BAD, LOWERED = 0, 1, 2, 3
"""Exit statuses of a comparison: no decision differs, some do, some lines cannot be used, some decisions are lower."""
_COMPARED = ("tier", "route", "category", "rules")


@dataclass(frozen=True, slots=True)
class Judge:
    """Decides lines by one bundle. ``explained`` and ``recorded`` add why, and what was judged."""

    triage: Triage
    explained: bool = False
    recorded: bool = False

    @classmethod
    def of(cls, bundle: PolicyBundle, turns: TurnEncoder, *, explained: bool = False, recorded: bool = False) -> Judge:
        """A judge by a bundle."""
        return cls(triage_of(bundle, turns), explained, recorded)

    def decide(self, line: Line) -> dict[str, Any]:
        """The stable output of `bedside triage` for one line."""
        judgement = self.triage.judge(line.turns)
        verdict = judgement.verdict
        routes = list(verdict.routes)
        decision = {
            "id": line.id,
            "tier": verdict.tier.label,
            "route": routes[0] if len(routes) == 1 else routes or None,
            "category": verdict.category,
            "rules": list(verdict.rules),
            "policy_hash": verdict.policy_hash,
        }
        if self.recorded:
            decision["turns"] = line.turns
        if self.explained:
            decision["explain"] = [one.as_json() for one in explain(self.triage, judgement)]
        return decision


@dataclass(slots=True)
class Tally:
    """Counts of compared decisions. ``table`` has them by tier before and tier now."""

    kinds: Counter[str] = field(default_factory=Counter)
    table: Counter[tuple[str, str]] = field(default_factory=Counter)
    other_bundle: int = 0
    bad: int = 0

    def add(self, was: Mapping[str, Any], now: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
        """Count a pair; the fields that differ, empty if none does. Fields that ``was`` lacks are not compared."""
        changed = {
            name: {"was": was[name], "now": now[name]} for name in _COMPARED if name in was and was[name] != now[name]
        }
        before, after = Tier.of(was["tier"]), Tier.of(now["tier"])
        kind = "lowered" if after < before else "raised" if after > before else "rules changed" if changed else "same"
        self.kinds[kind] += 1
        self.table[before.label, after.label] += 1
        self.other_bundle += was["policy_hash"] != now["policy_hash"]
        return changed

    @property
    def status(self) -> int:
        """The exit status; a lowered decision counts more than a bad line."""
        if self.kinds["lowered"]:
            return LOWERED
        if self.bad:
            return BAD
        return SOME if self.kinds.total() > self.kinds["same"] else NONE

    def summary(self) -> str:
        """One line for people."""
        counts = ", ".join(f"{self.kinds[kind]} {kind}" for kind in ("same", "raised", "lowered", "rules changed"))
        bad = f"; {self.bad} lines could not be used" if self.bad else ""
        return f"{self.kinds.total()} decisions: {counts}; {self.other_bundle} by another bundle{bad}"

    def tiers(self) -> str:
        """The table tier by tier: rows before, columns now."""
        names = [tier.label for tier in Tier]
        rows = [["before \\ now", *names], *([a, *(str(self.table[a, b] or ".") for b in names)] for a in names)]
        return "\n".join(f"{row[0]:12}" + "".join(f"{cell:>11}" for cell in row[1:]) for row in rows)


def replay(judge: Judge, lines: Iterable[Line | BadLine]) -> int:
    """Judge stored decisions anew, write those that differ, and a summary to standard error; the exit status."""
    tally = Tally()
    for read in lines:
        line = _stored(read) if isinstance(read, Line) else read
        if isinstance(line, BadLine):
            tally.bad += 1
            write(line.as_json())
            continue
        now = judge.decide(line)
        if changed := tally.add(line.item, now):
            bundles = {"was": line.item["policy_hash"], "now": now["policy_hash"]}
            why = {"explain": now["explain"]} if judge.explained else {}
            write({"id": line.id, "changed": changed, "policy_hash": bundles, **why})
    print(tally.summary(), file=sys.stderr)
    return tally.status


def compare(old: Judge, new: Judge, lines: Iterable[Line | BadLine], *, show_text: bool) -> int:
    """Judge lines by two bundles, write those that differ, summary and table to standard error; the exit status."""
    tally = Tally()
    for line in lines:
        if isinstance(line, BadLine):
            tally.bad += 1
            write(line.as_json())
        elif changed := tally.add(old.decide(line), new.decide(line)):
            write({"id": line.id, "changed": changed} | ({"turns": line.turns} if show_text else {}))
    print(f"{tally.summary()}\n\n{tally.tiers()}", file=sys.stderr)
    return tally.status


def _stored(line: Line) -> Line | BadLine:
    """The line, if it holds a decision."""
    item = line.item
    rules = item.get("rules")
    if not isinstance(rules, list) or not all(isinstance(rule, str) for rule in rules):
        return BadLine(line.id, line.number, '"rules" must be a list of rule ids')
    if not isinstance(item.get("policy_hash"), str):
        return BadLine(line.id, line.number, '"policy_hash" must be the hash of the bundle that decided')
    try:
        Tier.of(str(item.get("tier")))
    except ValueError as error:
        return BadLine(line.id, line.number, str(error))
    return line
