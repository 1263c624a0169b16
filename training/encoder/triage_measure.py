"""What the learned raise finds, alone and with the rules, at several thresholds.

The threshold is chosen on sets by other hands than the training messages; the final figures come from sets that were
not looked at while choosing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from app.contracts.replies import Tier
from app.guardrails.learned import LearnedRaise
from app.guardrails.triage import Triage

THRESHOLDS = (0.3, 0.4, 0.5, 0.6, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95)


@dataclass(frozen=True, slots=True)
class Messages:
    """A file of messages: turns of each, and its category (empty where the file has none)."""

    name: str
    turns: list[list[str]]
    categories: list[str]


def read_messages(path: Path) -> Messages:
    """Read ``category | message`` or ``message`` lines; turns are parted by `` // ``."""
    turns, categories = [], []
    for line in path.read_text(encoding="utf-8").splitlines():
        if not line.strip() or line.startswith("#"):
            continue
        category, bar, text = line.partition(" | ")
        turns.append((text if bar else line).split(" // "))
        categories.append(category.strip() if bar else "")
    return Messages(path.stem, turns, categories)


def measure(learned: LearnedRaise, rules: Triage, paths: Sequence[Path]) -> str:
    """A Markdown table: shares of each set raised by the rules, by the learned raise, and by both together."""
    lines = ["| set | messages | by | rules | " + " | ".join(f"at {t:g}" for t in THRESHOLDS) + " |"]
    lines.append("|---" * (4 + len(THRESHOLDS)) + "|")
    for path in paths:
        one = read_messages(path)
        ruled = np.array([rules.assess(turns).tier >= Tier.URGENT for turns in one.turns])
        chances = np.array([learned.chance(turns).emergency for turns in one.turns])
        for name in ["", *sorted(set(one.categories) - {""})]:
            kept = np.array([name in ("", category) for category in one.categories])
            alone = [f"{(chances >= t)[kept].mean():.3f}" for t in THRESHOLDS]
            both = [f"{(ruled | (chances >= t))[kept].mean():.3f}" for t in THRESHOLDS]
            head = f"| {one.name} {name} | {kept.sum()} |"
            lines.append(f"{head} learned alone | | " + " | ".join(alone) + " |")
            lines.append(f"{head} with rules | {ruled[kept].mean():.3f} | " + " | ".join(both) + " |")
    return "\n".join(lines)
