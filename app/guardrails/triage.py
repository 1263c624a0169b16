"""Stage 2 of a turn: red flags. Deterministic, on the raw text, over the patient's turns so far.

A rule is live when all parts of one of its triggers occur undenied, present and about somebody, at least one of them
in the last turn. A rule that matches only as history or as a general question gives tier routine: the pipeline may
answer from articles. An emergency of the two turns before stays unless the last turn changes the subject.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from app.contracts.replies import Tier
from app.guardrails.learned import LearnedRaise
from app.guardrails.patterns import GENERAL, HISTORY, NEGATED, Span
from app.guardrails.policy import PolicyBundle, TriageRule
from app.guardrails.reading import Reader, Reading
from app.guardrails.tokens import Place

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


class Outcome(StrEnum):
    """What became of a rule or of one of its triggers. Only the first two count for a verdict."""

    LIVE = "live"
    CONTEXT = "history or general"
    DENIED = "denied"
    EARLIER = "earlier turns only"
    UNGUARDED = "guard missing"
    EXCEPTED = "excepted"
    OTHER = "another meaning"
    NONE = ""


_COUNTS = frozenset({Outcome.LIVE, Outcome.CONTEXT})


@dataclass(frozen=True, slots=True)
class Window:
    """Turns that were read together, as (number in the input, text); ``back`` turns at the end were left out."""

    turns: tuple[tuple[int, str], ...]
    reading: Reading
    back: int


@dataclass(frozen=True, slots=True)
class Judgement:
    """A verdict and what it came from: the window of all turns, and the one that the verdict stays from, if any."""

    verdict: TriageVerdict
    windows: tuple[Window, ...]


@dataclass(frozen=True, slots=True)
class Match:
    """A trigger of a rule of which every part occurs, whatever came of it. ``spans`` are all words that match a part.

    ``because``: the missing guards of an unguarded trigger, the exceptions of an excepted one.
    """

    rule: TriageRule
    trigger: str
    outcome: Outcome
    spans: tuple[Span, ...]
    because: tuple[str, ...] = ()


class Triage:
    """Judges the last of a patient's turns: by rules, and by the learned raise, if there is one, where none raised it.

    Pure and thread-safe: it holds what is compiled from the bundle only.
    """

    def __init__(self, bundle: PolicyBundle, learned: LearnedRaise | None = None) -> None:
        self._bundle, self._learned = bundle, learned
        self._rank = {name: i for i, name in enumerate(bundle.header.category_order)}
        self._release = [f"@cue_{k}" for k in ("release",) if bundle.context.get(k)]
        triggers = [t for rule in bundle.triage for t in (*rule.triggers, *rule.guards, *rule.unless)]
        self._reader = Reader(bundle, [*triggers, *self._release])
        self._rules_by_name = self._index()

    def _index(self) -> dict[str, list[int]]:
        """For names that may occur the rules to look at, as positions; under "" those to look at always."""
        found: dict[str, list[int]] = {"": []}
        for position, rule in enumerate(self._bundle.triage):
            for source in rule.triggers:
                needs = self._reader.trigger(source).needs
                for name in min(needs, key=len, default=("",)):
                    found.setdefault(name, []).append(position)
        return found

    def _possible(self, reading: Reading) -> list[TriageRule]:
        """All rules but those of which every trigger misses something for sure, in the bundle's order."""
        positions = set(self._rules_by_name[""])
        for name in reading.found.names:
            positions.update(self._rules_by_name.get(name, ()))
        return [self._bundle.triage[position] for position in sorted(positions)]

    def assess(self, turns: Sequence[str]) -> TriageVerdict:
        """Judge ``turns[-1]`` with the turns before it (raw or normalised text, oldest first). Never raises on text."""
        return self.judge(turns).verdict

    def judge(self, turns: Sequence[str]) -> Judgement:
        """The same with what the verdict came from."""
        kept = [(number, turn) for number, turn in enumerate(turns) if turn.strip()][-_TURNS:]
        if not kept:
            return Judgement(self._none("no text"), ())
        now = self._read(kept)
        verdict = self._judge(now.reading)
        if verdict.tier >= Tier.URGENT:
            return Judgement(verdict, (now,))
        if (raised := self._raised([turn for _, turn in kept], verdict)) is not None:
            return Judgement(raised, (now,))
        for back in range(1, min(_CARRY, len(kept) - 1) + 1):
            before = self._read(kept, back)
            earlier = self._judge(before.reading)
            stays = earlier.tier >= Tier.URGENT and earlier.tier > verdict.tier and not self._released(now.reading)
            if stays and self._stands(earlier, now.reading):
                reason = f"stays from {back} turn(s) before: {earlier.reason}"
                return Judgement(replace(earlier, reason=reason), (now, before))
        return Judgement(verdict, (now,))

    def _raised(self, turns: Sequence[str], verdict: TriageVerdict) -> TriageVerdict | None:
        """The learned raise's verdict, where it is the more urgent one."""
        found = self._learned.raised(turns) if self._learned else None
        if found is None or found.tier <= verdict.tier:
            return None
        rules = (f"learned.{found.category}", *verdict.rules)
        return TriageVerdict(
            found.tier, found.routes, found.category, rules, self._bundle.hash, found.text, found.reason
        )

    def fires(self, rule: TriageRule, text: str) -> bool:
        """Whether the verdict on this one message names the rule and has its tier or a higher one.

        The same as asking :meth:`assess`, at a fraction of its cost: no other rule is looked at.
        """
        return self._outcome(rule, self._reader.read([text])) is Outcome.LIVE

    def matches(self, window: Window) -> Iterator[Match]:
        """Every trigger of which all parts occur, in file order, with what came of it and why.

        Those that occur only in words with another meaning ("a heart attack over the price") come last.
        """
        seen: set[tuple[str, str]] = set()
        for match in self._matches(window.reading):
            seen.add((match.rule.id, match.trigger))
            yield match
        unmasked = self._reader.read([turn for _, turn in window.turns], masked=False)
        for match in self._matches(unmasked):
            if (match.rule.id, match.trigger) not in seen:
                yield replace(match, outcome=Outcome.OTHER, because=())

    def places(self, window: Window) -> list[Place]:
        """Where each word of a window's reading was typed, in the turns of the input."""
        numbers = [number for number, _ in window.turns]
        found = self._reader.places([turn for _, turn in window.turns])
        return [replace(place, turn=numbers[place.turn]) for place in found]

    def _matches(self, reading: Reading) -> Iterator[Match]:
        for rule in self._bundle.triage:
            excepted = self._outcome(rule, reading) is Outcome.EXCEPTED
            for source in rule.triggers:
                outcome = self._trigger_outcome(rule, source, reading)
                if outcome is Outcome.NONE:
                    continue
                because: tuple[str, ...] = ()
                if outcome is Outcome.UNGUARDED:
                    because = tuple(self._missing_guards(rule, reading))
                elif excepted and outcome in _COUNTS:
                    outcome, because = Outcome.EXCEPTED, tuple(self._exceptions(rule, reading))
                spans = tuple(span for part in self._spans(source, reading) for span in part)
                yield Match(rule, source, outcome, spans, because)

    def _read(self, turns: Sequence[tuple[int, str]], back: int = 0) -> Window:
        chosen = tuple(turns[: len(turns) - back])
        return Window(chosen, self._reader.read([turn for _, turn in chosen]), back)

    def _judge(self, reading: Reading) -> TriageVerdict:
        live: list[TriageRule] = []
        spoken_of: list[TriageRule] = []
        for rule in self._possible(reading):
            outcome = self._outcome(rule, reading)
            if outcome is Outcome.LIVE:
                live.append(rule)
            elif outcome is Outcome.CONTEXT:
                spoken_of.append(rule)
        if live:
            return self._verdict(live)
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
            )
        return self._none("no rule")

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

    def _outcome(self, rule: TriageRule, reading: Reading) -> Outcome:
        best = Outcome.NONE
        for source in rule.triggers:
            if not reading.found.may_match(self._reader.trigger(source)):
                continue
            outcome = self._trigger_outcome(rule, source, reading)
            if outcome is Outcome.LIVE:
                best = outcome
                break
            if outcome is Outcome.CONTEXT:
                best = outcome
        if best is not Outcome.NONE and next(self._exceptions(rule, reading), None) is not None:
            return Outcome.EXCEPTED
        return best

    def _trigger_outcome(self, rule: TriageRule, source: str, reading: Reading) -> Outcome:
        """What comes of one trigger with the rule's guards, its exceptions aside."""
        ignored = _IGNORED[rule.context]
        outcome = _weighed(reading, self._spans(source, reading), ignored)
        if rule.guards and outcome in _COUNTS:
            guards = [part for guard in rule.guards for part in self._spans(guard, reading)]
            guarded = _weighed(reading, [*self._spans(source, reading), *guards], ignored)
            return guarded if guarded in _COUNTS else Outcome.UNGUARDED
        return outcome

    def _missing_guards(self, rule: TriageRule, reading: Reading) -> Iterator[str]:
        """Guards that do not occur, or occur only as what the rule ignores."""
        for guard in rule.guards:
            parts = self._spans(guard, reading)
            if not all(any(not s.flags & _IGNORED[rule.context] for s in part) for part in parts):
                yield guard

    def _exceptions(self, rule: TriageRule, reading: Reading) -> Iterator[str]:
        """Exceptions of the rule that stand in the last turn, in a sentence that holds a sign of the rule.

        One in another sentence does not count: "Her face droops. She had a filling in May." is still an emergency.
        """
        held: set[int] | None = None
        for source in rule.unless:
            found = [s for part in self._spans(source, reading) for s in part if reading.touches_last([s])]
            if found and held is None:
                signs = [s for trigger in rule.triggers for part in self._spans(trigger, reading) for s in part]
                held = {n for s in signs for n in reading.sentences(s)}
            if held and any(held & reading.sentences(s) for s in found):
                yield source

    def _spans(self, source: str, reading: Reading) -> list[list[Span]]:
        return reading.spans(self._reader.trigger(source))

    def _stands(self, earlier: TriageVerdict, reading: Reading) -> bool:
        """Whether a sign of an earlier verdict still is one beside what was said since: not "he fainted // in 2009".

        General talk since then explains nothing away: the turn itself was about somebody.
        """
        for rule in (rule for rule in self._bundle.triage if rule.id in earlier.rules):
            ignored = _IGNORED[rule.context] & ~GENERAL
            for source in rule.triggers:
                parts = self._spans(source, reading)
                if all(any(not s.flags & ignored for s in part) for part in parts):
                    return True
        return False

    def _released(self, reading: Reading) -> bool:
        return any(reading.touches_last(part[0]) for part in (self._spans(cue, reading) for cue in self._release))


def _weighed(reading: Reading, parts: list[list[Span]], ignored: int) -> Outcome:
    """What comes of parts that must all occur, for a rule that ignores words with these flags."""
    if not all(parts):
        return Outcome.NONE
    live = [[s for s in part if not s.flags & ignored] for part in parts]
    if all(live) and reading.touches_last(s for part in live for s in part):
        return Outcome.LIVE
    undenied = [[s for s in part if not s.flags & NEGATED] for part in parts]
    if all(undenied) and reading.touches_last(s for part in undenied for s in part):
        return Outcome.CONTEXT
    return Outcome.EARLIER if all(live) or all(undenied) else Outcome.DENIED
