"""Weaken or delete each safety rule in turn and see whether a test of the rules fails.

Run: ``python -m tests.mutate_policies [--rules GLOB] [--report FILE] [--exact]``; ``--freeze`` writes the facts of all
rules to ``tests/data/guardrails/rule_facts.txt`` instead. A mutant is one rule with one change. It is killed by the
examples (the tests of ``test_rule_examples.py`` on the rule's own messages), by the facts (the test there that compares
``rule_facts.txt``) or by nothing: a survivor. The exit status is 1 when there is a survivor.

The triage rules are compiled once, so a removed trigger leaves its words to the spelling correction and the context;
``--exact`` compiles the bundle anew for every mutant of them (about a second each).
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from app.contracts.replies import Tier
from app.guardrails.injection import Injection
from app.guardrails.policy import (
    InjectionRule,
    PolicyBundle,
    Rule,
    ScopeRule,
    TriageRule,
    default_bundle_folder,
    load_bundle,
)
from app.guardrails.reading import Reading
from app.guardrails.scope import Scope
from app.guardrails.triage import Outcome, Triage

FACTS = Path(__file__).parent / "data" / "guardrails" / "rule_facts.txt"
HEADER = (
    "# What every rule does, in file order. Written by `python -m tests.mutate_policies --freeze`: read the diff.",
    "# triage: id|tier|routes|text|context",
    "# scope: id|kind|class|routes|text|most words",
    "# injection: id|weight",
)
BY_EXAMPLES, BY_FACTS, SURVIVED = "examples", "facts", "nothing"
WEAKER = ("delete", "tier", "route", "text", "weight", "trigger", "regex")
LOOSER = ("guard", "unless", "max_words", "context")


@dataclass(frozen=True, slots=True)
class Mutant:
    """A rule with one change: ``kind`` names the field, ``what`` the piece; ``changed`` is None for a deleted rule."""

    kind: str
    what: str
    rule: Rule
    changed: Rule | None


@dataclass(frozen=True, slots=True)
class Result:
    """What killed a mutant: ``examples``, ``facts`` or ``nothing``."""

    mutant: Mutant
    killer: str


def facts(rule: Rule) -> str:
    """The line of a rule in ``rule_facts.txt``."""
    if isinstance(rule, TriageRule):
        return "|".join((rule.id, rule.tier, ",".join(rule.routes), rule.text, rule.context))
    if isinstance(rule, ScopeRule):
        most = "" if rule.max_words is None else str(rule.max_words)
        return "|".join((rule.id, rule.kind, rule.class_, ",".join(rule.routes), rule.text, most))
    return f"{rule.id}|{rule.weight}"


def frozen_facts() -> list[str]:
    """The lines of ``rule_facts.txt`` without its comments."""
    return [line for line in FACTS.read_text(encoding="utf-8").splitlines() if not line.startswith("#")]


def mutants(rule: Rule, texts: Sequence[str]) -> Iterator[Mutant]:
    """All mutants of a rule; ``texts`` are the ids of texts, one of which takes the place of the rule's."""
    yield Mutant("delete", "", rule, None)
    if isinstance(rule, InjectionRule):
        yield Mutant("weight", str(rule.weight), rule, rule.model_copy(update={"weight": rule.weight / 2}))
    else:
        other = next(text for text in texts if text != rule.text)
        yield Mutant("text", rule.text, rule, rule.model_copy(update={"text": other}))
        yield from _without_each(rule, "routes", "route")
        yield from _without_each(rule, "unless", "unless")
    if isinstance(rule, TriageRule):
        lower = Tier(Tier.of(rule.tier) - 1).name.lower()
        yield Mutant("tier", rule.tier, rule, rule.model_copy(update={"tier": lower}))
        yield from _without_each(rule, "guards", "guard")
        if rule.context != "none":
            yield Mutant("context", rule.context, rule, rule.model_copy(update={"context": "none"}))
    if isinstance(rule, ScopeRule) and rule.max_words is not None:
        yield Mutant("max_words", str(rule.max_words), rule, rule.model_copy(update={"max_words": None}))
    yield from _without_each(rule, "triggers", "trigger")
    if isinstance(rule, InjectionRule):
        yield from _without_each(rule, "regex", "regex")


def _without_each(rule: Rule, field: str, kind: str) -> Iterator[Mutant]:
    entries: list[str] = getattr(rule, field)
    for i, entry in enumerate(entries):
        yield Mutant(kind, entry, rule, rule.model_copy(update={field: [*entries[:i], *entries[i + 1 :]]}))


class _Live(Triage):
    """Asks single rules on a message that was read once. Triggers that the bundle does not have are unknown."""

    def read(self, text: str) -> Reading:
        return self._reader.read([text])

    def live(self, rule: TriageRule, reading: Reading) -> bool:
        """Whether a verdict would name the rule with its tier or a higher one."""
        return self._outcome(rule, reading) is Outcome.LIVE


class Run:
    """Judges mutants of a bundle by the frozen facts and by what the tests of ``test_rule_examples.py`` assert."""

    def __init__(self, bundle: PolicyBundle, *, exact: bool = False) -> None:
        self._bundle = bundle
        self._triage = None if exact else _Live(bundle)
        self._facts = set(frozen_facts())

    def judge(self, rule: Rule) -> list[Result]:
        """All mutants of one rule. Raises ValueError when the rule fails its own examples as it is."""
        made = list(mutants(rule, sorted(self._bundle.texts)))
        changed = [mutant.changed for mutant in made if mutant.changed is not None]
        whole, *passed = self._passed([rule, *changed])
        if not whole:
            raise ValueError(f"{rule.id} fails its own examples before any change")
        verdicts = iter(passed)
        return [Result(m, self._killer(m.changed, m.changed is not None and next(verdicts))) for m in made]

    def _killer(self, changed: Rule | None, passed: bool) -> str:
        if changed is not None and not passed:
            return BY_EXAMPLES
        return SURVIVED if changed is not None and facts(changed) in self._facts else BY_FACTS

    def _passed(self, rules: list[Rule]) -> list[bool]:
        """For each version of one rule whether it passes the rule's examples. The first is the rule as it is."""
        first = rules[0]
        if isinstance(first, TriageRule):
            return self._triage_passed([rule for rule in rules if isinstance(rule, TriageRule)])
        named = [rule.model_copy(update={"id": f"{rule.id}#{i}"}) for i, rule in enumerate(rules)]
        judge: Scope | Injection
        if isinstance(first, ScopeRule):
            judge = Scope(self._bundle.model_copy(update={"scope": [*self._bundle.scope, *named]}))
        else:
            judge = Injection(self._bundle.model_copy(update={"injection": [*self._bundle.injection, *named]}))
        found = [set(judge.assess(text).rules) for text in first.positive]
        alarmed = {rule for text in first.negative for rule in judge.assess(text).rules}
        return [all(rule.id in rules for rules in found) and rule.id not in alarmed for rule in named]

    def _triage_passed(self, rules: list[TriageRule]) -> list[bool]:
        first = rules[0]
        if self._triage is None:
            return [_passes_alone(self._bundle, rule) for rule in rules]
        positive = [self._triage.read(text) for text in first.positive]
        negative = [self._triage.read(text) for text in first.negative]
        return [
            all(self._triage.live(rule, r) for r in positive) and not any(self._triage.live(rule, r) for r in negative)
            for rule in rules
        ]


def _passes_alone(bundle: PolicyBundle, changed: TriageRule) -> bool:
    """The slow truth: the whole bundle with the changed rule, compiled anew."""
    rules = [changed if rule.id == changed.id else rule for rule in bundle.triage]
    triage = Triage(bundle.model_copy(update={"triage": rules}))
    positive = [triage.assess([text]) for text in changed.positive]
    negative = [triage.assess([text]) for text in changed.negative]
    return all(changed.id in v.rules and v.tier >= Tier.of(changed.tier) for v in positive) and not any(
        changed.id in v.rules and v.tier > Tier.ROUTINE for v in negative
    )


def table(results: Sequence[Result]) -> str:
    """Mutants by kind and killer, as a Markdown table."""
    counts = Counter((result.mutant.kind, result.killer) for result in results)
    rows = [["kind", "mutants", "killed by examples", "by facts alone", "survivors"], ["---"] * 5]
    for kind in (*WEAKER, *LOOSER):
        numbers = [counts[kind, killer] for killer in (BY_EXAMPLES, BY_FACTS, SURVIVED)]
        rows.append([kind, *map(str, (sum(numbers), *numbers))])
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)


def survivors(results: Sequence[Result]) -> list[str]:
    """One line for each survivor: kind, rule, and what could be taken away unnoticed."""
    return [f"{r.mutant.kind}\t{r.mutant.rule.id}\t{r.mutant.what}" for r in results if r.killer == SURVIVED]


def freeze(bundle: PolicyBundle) -> None:
    """Write ``rule_facts.txt`` anew."""
    FACTS.write_text("\n".join((*HEADER, *map(facts, bundle.rules))) + "\n", encoding="utf-8")


def main() -> int:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rules", default="*", help="only rules whose id matches this pattern, such as 'stroke.*'")
    parser.add_argument("--report", type=Path, help="write the table and all survivors to this file")
    parser.add_argument("--exact", action="store_true", help="compile every mutant by itself (slow)")
    parser.add_argument("--freeze", action="store_true", help="write rule_facts.txt and stop")
    arguments = parser.parse_args()
    bundle = load_bundle(default_bundle_folder())
    if arguments.freeze:
        freeze(bundle)
        return 0
    begun = time.perf_counter()
    run = Run(bundle, exact=arguments.exact)
    chosen = [rule for rule in bundle.rules if fnmatchcase(rule.id, arguments.rules)]
    results = [result for rule in chosen for result in run.judge(rule)]
    left = survivors(results)
    report = "\n".join([table(results), "", *left])
    print(f"{len(chosen)} rules, {len(results)} mutants, {time.perf_counter() - begun:.0f} s\n\n{report}")
    if arguments.report:
        arguments.report.write_text(report + "\n", encoding="utf-8")
    return 1 if left else 0


if __name__ == "__main__":
    sys.exit(main())
