"""From turns to what the rules can ask: words, context and facts, all from one pass of the matcher."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import accumulate

from app.guardrails.context import Context, last_turn_start
from app.guardrails.facts import NUMBER_WORDS, read_facts
from app.guardrails.patterns import MASKED, NEGATED, Found, Matcher, Phrases, Span, Trigger
from app.guardrails.policy import PolicyBundle
from app.guardrails.tokens import SENTENCE, Place, Speller, Words, places, read


class Reading:
    """One conversation as the rules see it. ``last`` is the position of the last turn's first word."""

    def __init__(self, words: Words, found: Found) -> None:
        self.words = words
        self.found = found
        self.last = last_turn_start(words)
        self._sentence_of = list(accumulate(int(gap >= SENTENCE) for gap in words.breaks))

    def spans(self, trigger: Trigger) -> list[list[Span]]:
        """For each part of the trigger its spans; an empty list where a part is missing."""
        return [self.found.part(part) for part in trigger.parts]

    def holds(self, trigger: Trigger) -> bool:
        """Whether each part occurs undenied, in whatever turn."""
        return self.found.may_match(trigger) and all(
            any(not span.flags & NEGATED for span in self.found.part(part)) for part in trigger.parts
        )

    def touches_last(self, spans: Iterable[Span]) -> bool:
        """True when one of the spans lies in the last turn."""
        return any(span.end > self.last for span in spans)

    def sentences(self, span: Span) -> set[int]:
        """Numbers of the sentences that a span lies in."""
        return set(self._sentence_of[span.start : span.end])


class Reader:
    """Compiles the lexicon, the cues and a section's triggers once, then reads conversations."""

    def __init__(self, bundle: PolicyBundle, triggers: Iterable[str], *, mend_spelling: bool = True) -> None:
        fillers = frozenset(bundle.header.fillers)
        self.matcher = Matcher(bundle.concepts(), triggers, fillers)
        self.fillers = fillers
        protected = {*bundle.protected, *NUMBER_WORDS}
        self.speller = Speller(self.matcher.vocabulary, protected) if mend_spelling else None

    def trigger(self, source: str) -> Trigger:
        """The compiled form of a trigger that was given to the constructor."""
        return self.matcher.triggers[source]

    def places(self, turns: Sequence[str]) -> list[Place]:
        """Where each word of the reading of ``turns`` was typed."""
        return places(turns, self.speller)

    def read(self, turns: Sequence[str], *, masked: bool = True) -> Reading:
        """Read the patient's turns, oldest first. ``masked``: words that mean something else here are no signs."""
        words, phrases, flags = self._words(turns)
        return self._reading(words, phrases, flags if masked else [flag & ~MASKED for flag in flags])

    def read_both(self, turns: Sequence[str]) -> tuple[Reading, Reading]:
        """The reading with masked words and the one without, for little more than one costs."""
        words, phrases, flags = self._words(turns)
        masked = self._reading(words, phrases, flags)
        if not any(flag & MASKED for flag in flags):
            return masked, masked
        return masked, self._reading(words, phrases, [flag & ~MASKED for flag in flags])

    def _words(self, turns: Sequence[str]) -> tuple[Words, Phrases, list[int]]:
        words = read(turns, self.speller, self.fillers)
        phrases = self.matcher.phrases(words)
        return words, phrases, Context(words, phrases).flags()

    def _reading(self, words: Words, phrases: Phrases, flags: Sequence[int]) -> Reading:
        return Reading(words, self.matcher.match(words, phrases, flags, read_facts(words)))
