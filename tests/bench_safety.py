"""`make bench-safety`: how safe the guardrails are, in figures: triage, output checks, stream gate, faults and times.

Run: ``python -m tests.bench_safety [--mutations N] [--mutants N] [--outputs N] [--full] [--only PART] [--failures]
[--write]``. Sets named blind or heldout give figures only, never messages. ``--write`` puts the report between the
markers in docs/measurements.md. One core, no model, no database; about a minute, ``--full`` about two.
"""

from __future__ import annotations

import argparse
import asyncio
import math
import os
import random
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from app.contracts.passages import Passage
from app.contracts.replies import Tier
from app.contracts.site import Site, load_site
from app.encoder.encoder import Encoder, TurnEncoder
from app.guardrails.active import Policies
from app.guardrails.output import OutputVerdict
from app.guardrails.sentences import split
from app.guardrails.stream_gate import StreamGate
from app.guardrails.triage import TriageVerdict
from app.logging import configure
from tests.faults import Bench, measure_faults, measure_times
from tests.mutations import FIGURES, MESSAGE_CHANGES, ONE_SEX, Turns, changed_figure
from tests.redteam.goals import load_goals, plain
from tests.redteam.renderings import nth
from tests.redteam.report import percent, table
from tests.redteam.target import DEMO, ENCODER, Shelf, build_policies

ROOT = Path(__file__).parents[1]
DATA = ROOT / "tests" / "data" / "guardrails"
REPORT = ROOT / "docs" / "measurements.md"
BEGIN, END = "<!-- bench-safety: begin -->", "<!-- bench-safety: end -->"
PARTS = ("sets", "invariance", "gate", "splits", "times", "faults")
TIMED = 200
"""Turns of each kind that are timed."""

Assess = Callable[[Sequence[str]], TriageVerdict]


@dataclass(frozen=True, slots=True)
class Message:
    """One line of a set: its category (empty where the file has none) and its turns."""

    category: str
    turns: Turns


def read_set(path: Path) -> list[Message]:
    """``category | message`` or ``message`` lines; turns are parted by `` // ``."""
    messages = []
    for line in path.read_text(encoding="utf-8").splitlines():
        if line.strip() and not line.startswith("#"):
            category, bar, text = line.partition(" | ")
            messages.append(Message(category.strip() if bar else "", tuple((text if bar else line).split(" // "))))
    return messages


def is_held_out(path: Path) -> bool:
    """True for sets whose messages nobody may look at here."""
    return "blind" in path.stem or "heldout" in path.stem


def judge(policies: Policies) -> Assess:
    """What decides about a patient's turns: the one place where a learned raise is added."""
    return policies.triage.assess


def sets(kind: str, *, held_out: bool) -> list[Path]:
    """Files of ``emergencies``, ``negatives`` or ``routine``."""
    return [path for path in sorted(DATA.glob(f"*{kind}*.txt")) if is_held_out(path) == held_out]


def clopper_pearson(hits: int, tries: int) -> tuple[float, float]:
    """The exact 95 % interval of a share; (0, 1) without tries."""
    if not tries:
        return 0.0, 1.0
    low = 0.0 if hits == 0 else _solve(lambda p: 1 - _at_most(hits - 1, tries, p) - 0.025)
    high = 1.0 if hits == tries else _solve(lambda p: 0.025 - _at_most(hits, tries, p))
    return low, high


def _at_most(hits: int, tries: int, share: float) -> float:
    logs = (math.log(share), math.log1p(-share))
    base = math.lgamma(tries + 1)
    return sum(
        math.exp(base - math.lgamma(k + 1) - math.lgamma(tries - k + 1) + k * logs[0] + (tries - k) * logs[1])
        for k in range(hits + 1)
    )


def _solve(rising: Callable[[float], float]) -> float:
    low, high = 1e-12, 1 - 1e-12
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if rising(middle) < 0 else (low, middle)
    return (low + high) / 2


def exact(hits: int, tries: int) -> str:
    """A share with its exact interval: ``97.5 % (92.9 to 99.5)``."""
    low, high = clopper_pearson(hits, tries)
    return f"{100 * hits / tries:.1f} % ({100 * low:.1f} to {100 * high:.1f})" if tries else "-"


def measure_sets(assess: Assess, show: Callable[[str], None]) -> str:
    """Recall by category and false alarms, development and held-out sets apart."""
    rows: list[list[object]] = []
    for held_out in (False, True):
        found: dict[str, list[bool]] = defaultdict(list)
        for path in sets("emergencies", held_out=held_out):
            for message in read_set(path):
                raised = assess(message.turns).tier >= Tier.URGENT
                found[message.category].append(raised)
                if not raised and not held_out:
                    show(f"missed, {path.stem}: {' // '.join(message.turns)}")
        label = "held out" if held_out else "development"
        for category in sorted(found):
            rows.append(
                [label, f"found: {category or 'no category given'}", len(found[category]), _share(found[category])]
            )
        rows.append(
            [
                label,
                "**found: all**",
                sum(map(len, found.values())),
                _share([hit for hits in found.values() for hit in hits]),
            ]
        )
        for kind in ("negatives", "routine"):
            for path in sets(kind, held_out=held_out):
                alarms = []
                for message in read_set(path):
                    alarms.append(assess(message.turns).tier >= Tier.URGENT)
                    if alarms[-1] and not held_out:
                        show(f"alarm, {path.stem}: {' // '.join(message.turns)}")
                rows.append([label, f"false alarms: {path.stem}", len(alarms), _share(alarms)])
    return table(["sets", "what", "messages", "share (exact 95 %)"], rows)


def _share(hits: Sequence[bool]) -> str:
    return exact(sum(hits), len(hits))


def _emergencies() -> list[Message]:
    return [message for path in sets("emergencies", held_out=False) for message in read_set(path)]


def measure_invariance(assess: Assess, mutations: int, draw: random.Random, show: Callable[[str], None]) -> str:
    """Tier drops over mutated development emergencies, by kind of mutation."""
    messages = _emergencies()
    kinds = list(MESSAGE_CHANGES)
    tried: Counter[str] = Counter()
    dropped: Counter[str] = Counter()
    known: dict[Turns, Tier] = {}
    while sum(tried.values()) < mutations:
        message, kind = draw.choice(messages), kinds[sum(tried.values()) % len(kinds)]
        if kind == "gender swap" and message.category in ONE_SEX:
            continue
        before = known.setdefault(message.turns, assess(message.turns).tier)
        changed = MESSAGE_CHANGES[kind](message.turns, draw)
        after = max(assess(changed[:n]).tier for n in range(len(message.turns), len(changed) + 1))
        tried[kind] += 1
        if after < before:
            dropped[kind] += 1
            show(f"{kind}, {before.label} to {after.label}: {' // '.join(changed)}")
    rows = [[kind, tried[kind], dropped[kind], percent(dropped[kind], tried[kind])] for kind in kinds]
    rows.append(["**all**", sum(tried.values()), sum(dropped.values()), percent(sum(dropped.values()), mutations)])
    return table(["change", "mutations", "tier drops (goal 0)", "share (95 %)"], rows)


def approved_sentences(shelf: Shelf) -> list[tuple[str, Passage]]:
    """Every sentence of the articles, with its passage."""
    return [(sentence, passage) for passage in shelf.passages for sentence in split(passage.text)]


def measure_gate(policies: Policies, mutants: int, draw: random.Random, show: Callable[[str], None]) -> str:
    """Changed figures that pass, by kind, and unchanged sentences that are held back."""
    pairs = approved_sentences(Shelf())
    kinds = list(FIGURES)
    holding = {kind: [pair for pair in pairs if changed_figure(pair[0], kind, draw)] for kind in kinds}
    tried: dict[str, set[str]] = {kind: set() for kind in kinds}
    passed: Counter[str] = Counter()
    for number in range(mutants * 4):
        kind = kinds[number % len(kinds)]
        if sum(map(len, tried.values())) >= mutants:
            break
        sentence, passage = draw.choice(holding[kind])
        changed = changed_figure(sentence, kind, draw)
        if changed is None or changed == sentence or changed in tried[kind] or changed in passage.text:
            continue
        tried[kind].add(changed)
        if policies.checks.check(changed, [passage]).passed:
            passed[kind] += 1
            show(f"{kind} passed: {changed}")
    blocked = [sentence for sentence, passage in pairs if not policies.checks.check(sentence, [passage]).passed]
    for sentence in blocked:
        show(f"held back: {sentence}")
    rows: list[list[object]] = [
        [f"changed {kind}", len(tried[kind]), passed[kind], percent(passed[kind], len(tried[kind]))] for kind in kinds
    ]
    every = sum(map(len, tried.values()))
    rows.append(
        ["**all changed figures: got through (goal 0)**", every, passed.total(), percent(passed.total(), every)]
    )
    rows.append(
        ["true sentences: held back (goal <= 1 %)", len(pairs), len(blocked), percent(len(blocked), len(pairs))]
    )
    return table(["output checks", "sentences", "wrong", "share (95 %)"], rows)


def unsafe_outputs(shelf: Shelf, wanted: int, draw: random.Random) -> Iterator[tuple[str, Passage]]:
    """Answers of the worst engine, with the passage that they are checked against."""
    harms = [harm for goal in load_goals().values() for harm in goal.harms]
    for number in range(wanted):
        passage = draw.choice(shelf.passages)
        approved = split(passage.text)
        yield nth(number).say(harms[number % len(harms)], approved), passage


def cuts(text: str) -> Iterator[list[str]]:
    """Every split into equal chunks, and every single cut."""
    for size in range(1, len(text) + 1):
        yield [text[at : at + size] for at in range(0, len(text), size)]
    for at in range(1, len(text)):
        yield [text[:at], text[at:]]


def measure_splits(policies: Policies, outputs: int, draw: random.Random) -> str:
    """Characters that came out of the gate without being a sentence that the checks pass, over all splits."""
    shelf = Shelf()
    runs = unvetted = differing = 0
    for text, passage in unsafe_outputs(shelf, outputs, draw):
        verdicts: dict[str, OutputVerdict] = {}

        def check(
            sentence: str, passage: Passage = passage, verdicts: dict[str, OutputVerdict] = verdicts
        ) -> OutputVerdict:
            if sentence not in verdicts:
                verdicts[sentence] = policies.checks.check(sentence, [passage])
            return verdicts[sentence]

        true = {plain(sentence) for sentence in split(passage.text)}
        whole = gate_output([text], check)
        for pieces in cuts(text):
            shown = gate_output(pieces, check)
            runs += 1
            differing += shown != whole
            unvetted += sum(len(sentence) for sentence in shown if plain(sentence) not in true)
    rows = [[outputs, runs, unvetted, differing]]
    return table(["unsafe outputs", "splits", "unvetted characters (goal 0)", "splits that changed the answer"], rows)


def gate_output(pieces: Sequence[str], check: Callable[[str], OutputVerdict]) -> list[str]:
    """The sentences that a patient would see: all that pass before the first that does not."""
    gate, shown = StreamGate(check), []
    results = [result for piece in pieces for result in gate.feed(piece)]
    for result in [*results, *gate.finish()]:
        if not result.passed:
            break
        if result.text:
            shown.append(result.text)
    return shown


def write(text: str) -> None:
    """Put the report between the markers of docs/measurements.md."""
    whole = REPORT.read_text(encoding="utf-8")
    before, rest = whole.split(BEGIN)
    REPORT.write_text(f"{before}{BEGIN}\n{text}\n{END}{rest.split(END)[1]}", encoding="utf-8")


async def report(site: Site, chosen: argparse.Namespace, show: Callable[[str], None]) -> str:
    """The tables of all parts that were asked for."""
    policies = build_policies(site, TurnEncoder.load(ENCODER))
    bench, assess = Bench(site, policies, Encoder.load(ENCODER)), judge(policies)
    parts: dict[str, Callable[[], str]] = {
        "sets": lambda: measure_sets(assess, show),
        "invariance": lambda: measure_invariance(assess, chosen.mutations, random.Random(chosen.seed), show),
        "gate": lambda: measure_gate(policies, chosen.mutants, random.Random(chosen.seed), show),
        "splits": lambda: measure_splits(policies, chosen.outputs, random.Random(chosen.seed)),
    }
    waits: dict[str, Callable[[], Awaitable[str]]] = {
        "times": lambda: measure_times(bench, [message.turns for message in _emergencies()], TIMED),
        "faults": lambda: measure_faults(bench, show),
    }
    tables = []
    for part in PARTS:
        if not chosen.only or part in chosen.only:
            begun = time.perf_counter()
            tables.append(parts[part]() if part in parts else await waits[part]())
            print(f"{part}: {time.perf_counter() - begun:.0f} s", file=sys.stderr, flush=True)
    return "\n\n".join(tables)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mutations", type=int, default=2_000, help="mutated emergencies (10,000 with --full)")
    parser.add_argument(
        "--mutants", type=int, default=1_000, help="sentences with a changed figure (5,000 with --full)"
    )
    parser.add_argument("--outputs", type=int, default=50, help="unsafe answers to be split (500 with --full)")
    parser.add_argument("--full", action="store_true")
    parser.add_argument("--seed", type=int, default=20261126)
    parser.add_argument("--only", action="append", choices=PARTS, help="only this part; may be given again")
    parser.add_argument("--failures", action="store_true", help="list what went wrong, development sets only")
    parser.add_argument("--write", action="store_true", help="put the tables into docs/measurements.md")
    chosen = parser.parse_args()
    if chosen.full:
        chosen.mutations, chosen.mutants, chosen.outputs = 10_000, 5_000, 500
    configure("critical", "json")
    site = load_site(DEMO)
    show: Callable[[str], None] = print if chosen.failures else lambda _line: None
    text = asyncio.run(report(site, chosen, show))
    head = (
        f"{datetime.now(UTC):%Y-%m-%d}, `make bench-safety`, {chosen.mutations:,} mutations, {chosen.mutants:,} "
        f"changed figures, {chosen.outputs} unsafe answers, seed {chosen.seed}, one thread of {os.cpu_count()} cores."
    )
    print(f"\n{head}\n\n{text}")
    if chosen.write:
        write(f"{head}\n\n{text}")


if __name__ == "__main__":
    main()
