"""Stage 2 of a turn: red flags. Deterministic, on the raw text, over the patient's turns so far.

A rule is live when all parts of one of its triggers occur undenied, present and about somebody, at least one of them
in the last turn. A rule that matches only as history or as a general question gives tier routine: the pipeline may
answer from articles. An emergency of the two turns before stays unless the last turn changes the subject.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from app.contracts.replies import Tier
from app.guardrails.patterns import GENERAL, HISTORY, NEGATED, Span
from app.guardrails.policy import PolicyBundle, TriageRule
from app.guardrails.reading import Reader, Reading

ROUTE_ORDER = (
    "911",
    "988",
    "poison_control",
    "domestic_violence",
    "child_abuse",
    "maternal_mental_health",
    "nurse_line",
    "care_team",
    "pharmacist",
    "human",
)
"""Most urgent first."""
_TURNS = 8
_CARRY = 2
_IGNORED = {"full": NEGATED | HISTORY | GENERAL, "negation": NEGATED, "none": 0}


@dataclass(frozen=True, slots=True)
class TriageVerdict:
    """``rules`` are ids, the deciding one first. ``reason`` names rules and context, never the patient's words."""

    tier: Tier
    routes: tuple[str, ...]
    category: str
    rules: tuple[str, ...]
    policy_hash: str
    text_id: str
    reason: str


class Triage:
    """Judges the last of a patient's turns. Pure and thread-safe: it holds compiled rules only."""

    def __init__(self, bundle: PolicyBundle) -> None:
        self._bundle = bundle
        self._rank = {name: i for i, name in enumerate(bundle.header.category_order)}
        self._release = [f"@cue_{k}" for k in ("release",) if bundle.context.get(k)]
        triggers = [t for rule in bundle.triage for t in (*rule.triggers, *rule.guards, *rule.unless)]
        self._reader = Reader(bundle, [*triggers, *self._release])

    def assess(self, turns: Sequence[str]) -> TriageVerdict:
        """Judge ``turns[-1]`` with the turns before it (raw or normalised text, oldest first). Never raises on text."""
        turns = [turn for turn in turns if turn.strip()][-_TURNS:]
        if not turns:
            return self._none("no text")
        verdict, reading = self._judge(turns)
        if verdict.tier >= Tier.URGENT or len(turns) < 2:
            return verdict
        for back in range(1, min(_CARRY, len(turns) - 1) + 1):
            earlier, _ = self._judge(turns[:-back])
            if earlier.tier >= Tier.URGENT and earlier.tier > verdict.tier and not self._released(reading):
                return TriageVerdict(
                    earlier.tier,
                    earlier.routes,
                    earlier.category,
                    earlier.rules,
                    earlier.policy_hash,
                    earlier.text_id,
                    f"stays from {back} turn(s) before: {earlier.reason}",
                )
        return verdict

    def _judge(self, turns: Sequence[str]) -> tuple[TriageVerdict, Reading]:
        reading = self._reader.read(turns)
        live: list[TriageRule] = []
        spoken_of: list[TriageRule] = []
        for rule in self._bundle.triage:
            outcome = self._outcome(rule, reading)
            if outcome == "live":
                live.append(rule)
            elif outcome == "context":
                spoken_of.append(rule)
        if live:
            return self._verdict(live), reading
        if spoken_of:
            first = min(spoken_of, key=self._urgency)
            ids = tuple(rule.id for rule in spoken_of)
            return TriageVerdict(
                Tier.ROUTINE,
                ("nurse_line",),
                first.category,
                ids,
                self._bundle.hash,
                "safety_net",
                "only as history or a general question",
            ), reading
        return self._none("no rule"), reading

    def _none(self, reason: str) -> TriageVerdict:
        return TriageVerdict(Tier.NONE, (), "", (), self._bundle.hash, "", reason)

    def _urgency(self, rule: TriageRule) -> tuple[int, int]:
        return -Tier.of(rule.tier), self._rank.get(rule.category, 99)

    def _verdict(self, live: list[TriageRule]) -> TriageVerdict:
        live = sorted(live, key=self._urgency)
        first = live[0]
        top = [rule for rule in live if rule.tier == first.tier]
        routes = {route for rule in top for route in rule.routes}
        ordered = tuple(sorted(routes, key=lambda r: ROUTE_ORDER.index(r) if r in ROUTE_ORDER else 99))
        ids = tuple(rule.id for rule in live)
        return TriageVerdict(
            Tier.of(first.tier), ordered, first.category, ids, self._bundle.hash, first.text, "rules " + ", ".join(ids)
        )

    def _outcome(self, rule: TriageRule, reading: Reading) -> str:
        ignored = _IGNORED[rule.context]
        best = ""
        for source in rule.triggers:
            outcome = _trigger_outcome(reading, [reading.spans(self._reader.trigger(source))], ignored)
            if outcome and rule.guards:
                guards = [reading.spans(self._reader.trigger(g)) for g in rule.guards]
                outcome = _trigger_outcome(reading, [reading.spans(self._reader.trigger(source)), *guards], ignored)
            if outcome == "live":
                best = "live"
                break
            best = best or outcome
        if best and self._excepted(rule, reading):
            return ""
        return best

    def _excepted(self, rule: TriageRule, reading: Reading) -> bool:
        """Whether an exception of the rule stands in the last turn, in a sentence that holds a sign of the rule.

        One in another sentence does not count: "Her face droops. She had a filling in May." is still an emergency.
        """
        unless = [s for u in rule.unless for part in reading.spans(self._reader.trigger(u)) for s in part]
        unless = [s for s in unless if reading.touches_last([s])]
        if not unless:
            return False
        signs = [s for t in rule.triggers for part in reading.spans(self._reader.trigger(t)) for s in part]
        held = {n for s in signs for n in reading.sentences(s)}
        return any(held & reading.sentences(s) for s in unless)

    def _released(self, reading: Reading) -> bool:
        return any(
            reading.touches_last(part[0]) for part in (reading.spans(self._reader.trigger(r)) for r in self._release)
        )


def _trigger_outcome(reading: Reading, groups: list[list[list[Span]]], ignored: int) -> str:
    """``live``, ``context`` (only as history or general talk) or nothing, over all parts of all groups."""
    parts = [part for group in groups for part in group]
    live = [[s for s in part if not s.flags & ignored] for part in parts]
    if all(live) and reading.touches_last(s for part in live for s in part):
        return "live"
    undenied = [[s for s in part if not s.flags & NEGATED] for part in parts]
    if all(undenied) and reading.touches_last(s for part in undenied for s in part):
        return "context"
    return ""
