"""What stands around a red flag: denial, the past, general questions, other meanings of the same words.

Negation clears only what it negates: a cue's scope ends at a break, a contrast or a new subject, and a cue that is
itself part of a rule's phrase ("not breathing") or of the pseudo-negation list ("no relief") clears nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from app.guardrails.patterns import GENERAL, HISTORY, MASKED, NEGATED
from app.guardrails.tokens import COMMA, SENTENCE, TURN, Words

CUE_KINDS = (
    "negation",
    "pseudo_negation",
    "contrast",
    "subject",
    "history",
    "present",
    "general",
    "general_impersonal",
    "general_turn",
    "personal",
    "condition",
    "mask",
)
"""The lists of ``context.yaml``; each is a list of phrases."""
_SCOPE = 6
_LIST = {"or", "nor", "o", "ni"}
_AND = {"and", "y", "but", "pero", "because", "porque", "so", "then"}
Ranges = Mapping[str, Sequence[tuple[int, int]]]


class Context:
    """Flags for the words of a conversation, from phrases found by the matcher under ``cue:<kind>`` names."""

    def __init__(self, words: Words, phrases: Ranges) -> None:
        self._words = words
        self._phrases = phrases
        self._count = len(words.words)

    def flags(self) -> list[int]:
        """One bitmask for each word."""
        flags = [0] * self._count
        self._mask(flags)
        self._negate(flags)
        self._past(flags)
        self._generalise(flags)
        return flags

    def _ranges(self, kind: str) -> Sequence[tuple[int, int]]:
        return self._phrases.get(f"@cue_{kind}", ())

    def _members(self, kind: str) -> set[int]:
        return {a for a, _ in self._ranges(kind)}

    def _mask(self, flags: list[int]) -> None:
        for a, b in self._ranges("mask"):
            for i in range(a, b):
                flags[i] |= MASKED

    def _negate(self, flags: list[int]) -> None:
        consumed: set[int] = set()
        for name, ranges in self._phrases.items():
            if not name.startswith("@cue_") or name == "@cue_pseudo_negation":
                for a, b in ranges:
                    if b - a > 1:
                        consumed.update(range(a, b))
        contrast, subject = self._members("contrast"), self._members("subject")
        for a, b in self._ranges("negation"):
            if any(i in consumed for i in range(a, b)):
                continue
            for i in self._scope(b, contrast, subject):
                flags[i] |= NEGATED

    def _scope(self, begin: int, contrast: set[int], subject: set[int]) -> list[int]:
        words, breaks = self._words, self._words.breaks
        reached: list[int] = []
        limit = _SCOPE
        for i in range(begin, self._count):
            if breaks[i] >= SENTENCE or i in contrast:
                break
            if breaks[i] == COMMA and (i == begin or not self._listed(i)):
                break
            if words.words[i] in _LIST or breaks[i] == COMMA:
                limit = words.at[i] - words.at[begin] + _SCOPE
            if i in subject and (i > begin or words.words[i] not in {"me", "my", "mi", "tengo", "tiene", "el", "ella"}):
                break
            if words.words[i] in {"and", "y"}:
                break
            if words.at[i] - words.at[begin] > limit:
                break
            reached.append(i)
        return reached

    def _listed(self, i: int) -> bool:
        """True when the comma before word ``i`` goes on with a list that ends in "or"."""
        subject = self._members("subject")
        for j in range(i, min(self._count, i + 12)):
            if self._words.breaks[j] >= SENTENCE or j in subject:
                return False
            if self._words.words[j] in _LIST:
                return True
        return False

    def _clauses(self) -> list[tuple[int, int]]:
        words, breaks = self._words.words, self._words.breaks
        subject, present = self._members("subject"), self._members("present")
        starts = [0]
        for i in range(1, self._count):
            joined = (
                words[i] in _AND
                and i + 1 < self._count
                and (i + 1 in subject or i + 1 in present or words[i] in {"but", "pero"})
            )
            if breaks[i] >= COMMA or joined:
                starts.append(i)
        return list(zip(starts, [*starts[1:], self._count], strict=True)) if self._count else []

    def _past(self, flags: list[int]) -> None:
        cues = [a for a, _ in self._ranges("history")]
        cues += [i for i, w in enumerate(self._words.words) if len(w) == 4 and w.isdigit() and 1930 <= int(w) <= 2025]
        present = self._members("present")
        for a, b in self._clauses():
            if any(a <= c < b for c in cues) and not any(a <= p < b for p in present):
                for i in range(a, b):
                    flags[i] |= HISTORY

    def _generalise(self, flags: list[int]) -> None:
        personal = self._members("personal")
        for a, _ in self._ranges("general_turn"):
            for i in range(self._count):
                if self._words.turns[i] == self._words.turns[a]:
                    flags[i] |= GENERAL
        for a, b in self._ranges("general"):
            for i in self._general_scope(a, b, personal):
                flags[i] |= GENERAL
        for a, _ in self._ranges("general_impersonal"):
            begin, end = self._sentence(a)
            if not any(begin <= p < end for p in personal):
                for i in range(begin, end):
                    flags[i] |= GENERAL

    def _general_scope(self, a: int, b: int, personal: set[int]) -> list[int]:
        words, breaks = self._words.words, self._words.breaks
        condition = self._members("condition")
        reached = list(range(a, b))
        under = any(i in condition for i in range(a, b))
        for i in range(b, self._count):
            if breaks[i] >= SENTENCE:
                break
            under = under or i in condition
            if i in personal and not under:
                break
            if breaks[i] == COMMA or words[i] in _AND:
                under = False
            reached.append(i)
        return reached

    def _sentence(self, i: int) -> tuple[int, int]:
        breaks = self._words.breaks
        begin, end = i, i + 1
        while begin > 0 and breaks[begin] < SENTENCE:
            begin -= 1
        while end < self._count and breaks[end] < SENTENCE:
            end += 1
        return begin, end


def last_turn_start(words: Words) -> int:
    """Position of the first word of the last turn."""
    for i in range(len(words.words) - 1, -1, -1):
        if words.breaks[i] >= TURN:
            return i
    return 0
