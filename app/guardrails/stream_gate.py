"""Stage 8 of a turn: the model's stream goes in, vetted sentences come out, whatever the chunk borders.

A sentence is held until its end is certain and its check has passed. The text of a sentence that failed never leaves
this module.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from app.contracts.replies import GuardrailHit
from app.guardrails.output import OutputVerdict
from app.guardrails.sentences import Piece, take


@dataclass(frozen=True, slots=True)
class GateResult:
    """One sentence's verdict. ``text`` is empty unless ``passed``. ``cited`` are the numbers in the model's marks.

    ``passage`` is the position (from 0) of the passage that supports it, None if none does.
    """

    passed: bool
    text: str = ""
    cited: tuple[int, ...] = ()
    passage: int | None = None
    hits: tuple[GuardrailHit, ...] = ()


class StreamGate:
    """One per generation. Not thread-safe."""

    def __init__(self, check: Callable[[str], OutputVerdict]) -> None:
        self._check = check
        self._buffer = ""
        self._finished = False

    def feed(self, delta: str) -> list[GateResult]:
        """Take more text; return verdicts of the sentences that it completed."""
        if self._finished:
            raise ValueError("the gate has finished")
        self._buffer += delta
        pieces, self._buffer = take(self._buffer, last=False)
        return [self._judge(piece) for piece in pieces]

    def finish(self) -> list[GateResult]:
        """No more text comes: judge what is left. A second call returns nothing."""
        self._finished = True
        pieces, self._buffer = take(self._buffer, last=True)
        return [self._judge(piece) for piece in pieces]

    def _judge(self, piece: Piece) -> GateResult:
        if not piece.text:
            return GateResult(True, "", piece.cited)
        try:
            verdict = self._check(piece.text)
            passed = verdict.passed is True
        except Exception as error:
            return GateResult(False, hits=(GuardrailHit("output", "check_failed", type(error).__name__),))
        return GateResult(passed, piece.text if passed else "", piece.cited, verdict.passage, verdict.hits)
