"""Where the phrases of ``context*.yaml`` stand in a conversation, and the sentences and clauses around them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from app.guardrails.tokens import COMMA, SENTENCE, TURN, Words

AND = {"and", "y", "but", "pero", "because", "porque", "so", "then"}
Ranges = Mapping[str, Sequence[tuple[int, int]]]


class Cues:
    """The cues of one conversation, from phrases found by the matcher under ``cue_<kind>`` names."""

    def __init__(self, words: Words, phrases: Ranges) -> None:
        self.words = words
        self.phrases = phrases
        self.count = len(words.words)
        self._starts: dict[str, set[int]] = {}
        self._split: list[tuple[int, int]] | None = None

    def ranges(self, kind: str) -> Sequence[tuple[int, int]]:
        """Every phrase of a kind, as (first word, word after the last)."""
        return self.phrases.get(f"@cue_{kind}", ())

    def members(self, kind: str) -> set[int]:
        """The first word of every phrase of a kind."""
        if kind not in self._starts:
            self._starts[kind] = {a for a, _ in self.ranges(kind)}
        return self._starts[kind]

    def word(self, i: int) -> str:
        """Word ``i``, or nothing outside the conversation."""
        return self.words.words[i] if 0 <= i < self.count else ""

    def clauses(self) -> list[tuple[int, int]]:
        """The clauses in order: parts between commas, and parts that "and", "but" and the like join."""
        if self._split is None:
            subject, present = self.members("subject"), self.members("present")
            starts = [0] if self.count else []
            for i in range(1, self.count):
                joined = self.word(i) in AND and (
                    i + 1 in subject or i + 1 in present or (self.word(i) in {"but", "pero"} and i + 1 < self.count)
                )
                if self.words.breaks[i] >= COMMA or joined:
                    starts.append(i)
            self._split = list(zip(starts, [*starts[1:], self.count], strict=False))
        return self._split

    def sentence(self, i: int) -> tuple[int, int]:
        """The sentence of word ``i``."""
        return self._around(i, SENTENCE)

    def turn(self, i: int) -> tuple[int, int]:
        """The turn of word ``i``."""
        return self._around(i, TURN)

    def _around(self, i: int, strength: int) -> tuple[int, int]:
        breaks = self.words.breaks
        begin, end = i, i + 1
        while begin > 0 and breaks[begin] < strength:
            begin -= 1
        while end < self.count and breaks[end] < strength:
            end += 1
        return begin, end
