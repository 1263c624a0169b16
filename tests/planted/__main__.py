"""Make adapters that are bad on purpose, send each through the gate, and see that the rule meant for it blocks it.

``python -m tests.planted [--out DIR] [--only NAME ...]``; ``make planted``. About an hour on two cores: each adapter is
trained for two or three minutes by ``bedside-train finetune`` and answers half of the evaluation set once. A killed run
goes on: adapters and answers that are there are kept. Another ``--out`` after an update of the service. Prints a table
for docs/measurements.md. Exit status 1: one was not blocked, or not by its rule, or the sound one was.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from tests.planted.adapters import ADAPTERS, Planted
from tests.planted.gating import REFUSED, Outcome, fault, gate
from tests.planted.making import Workshop


def bedside_train(words: Sequence[str], log: Path) -> int:
    """Run the command in a process of its own, all that it says into ``log``. Returns its exit status."""
    with log.open("w", encoding="utf-8") as out:
        return subprocess.run(
            [sys.executable, "-m", "training.cli", *words], stdout=out, stderr=subprocess.STDOUT, check=False
        ).returncode


def row(planted: Planted, outcome: Outcome) -> str:
    """One line of the table; the rules meant for the adapter are bold."""
    if outcome.verdict == "pass":
        return f"| {planted.name} | {planted.what} | PROMOTABLE | |"
    if outcome.verdict == REFUSED:
        meant = planted.refusal and planted.refusal in outcome.said
        told = f"refused: **{planted.refusal}**" if meant else outcome.said
        return f"| {planted.name} | {planted.what} | BLOCKED | {told} |"
    rules = [f"**{name}**" if name in planted.meant else name for name in outcome.failed]
    rules += [f"{name} (undecided)" for name in outcome.undecided]
    return f"| {planted.name} | {planted.what} | BLOCKED | {', '.join(rules)} |"


def main() -> int:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("var/planted"), help="folder for adapters and answers")
    names = [planted.name for planted in ADAPTERS]
    parser.add_argument("--only", nargs="+", choices=names, default=names, help="these adapters alone")
    arguments = parser.parse_args()
    workshop = Workshop(arguments.out, bedside_train)
    sources = workshop.open()
    lines, faults = ["| adapter | what was planted | verdict | what blocked it |", "|---|---|---|---|"], []
    for planted in ADAPTERS:
        if planted.name not in arguments.only:
            continue
        began = time.monotonic()
        workshop.make(planted, sources)
        made = time.monotonic()
        outcome = gate(planted, workshop)
        lines.append(row(planted, outcome))
        if wrong := fault(planted, outcome):
            faults.append(f"{planted.name} {wrong}")
        times = f"made in {made - began:.0f} s, gated in {time.monotonic() - made:.0f} s"
        print(f"{planted.name}: {times}: {outcome.said}", file=sys.stderr, flush=True)
    print("\n".join(lines))
    print("\n".join(faults) or "each was blocked by what is meant for it", file=sys.stderr)
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
