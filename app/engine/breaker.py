"""A circuit breaker: after a run of failures, say no at once instead of making every patient wait for a dead engine."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

BreakerState = Literal["closed", "open", "half-open"]


class CircuitBreaker:
    """Closed until ``failures`` in a row; then open for ``open_s`` seconds; then one call is let through as a probe.

    The probe's success closes the circuit, its failure opens it again. ``clock`` gives monotonic seconds.
    Every call that :meth:`allow` lets through must end in exactly one of ``succeeded``, ``failed`` or ``cancelled``.
    """

    def __init__(self, clock: Callable[[], float], *, failures: int = 5, open_s: float = 2.0) -> None:
        if failures < 1 or open_s < 0:
            raise ValueError("failures must be at least 1 and open_s at least 0")
        self._clock = clock
        self._threshold = failures
        self._open_s = open_s
        self._failures = 0
        self._opened_at: float | None = None
        self._probing = False

    @property
    def state(self) -> BreakerState:
        """The state now; an open circuit becomes half-open when its time is over."""
        if self._opened_at is None:
            return "closed"
        return "half-open" if self._clock() - self._opened_at >= self._open_s else "open"

    def allow(self) -> bool:
        """Whether a call may go out now. In the half-open state only one may, until it has ended."""
        state = self.state
        if state == "closed":
            return True
        if state == "open" or self._probing:
            return False
        self._probing = True
        return True

    def succeeded(self) -> None:
        """The call reached a working engine."""
        self._failures = 0
        self._opened_at = None
        self._probing = False

    def failed(self) -> None:
        """The call found no working engine. A late failure of an older call does not lengthen an open circuit."""
        self._failures += 1
        if self._probing or (self._opened_at is None and self._failures >= self._threshold):
            self._opened_at = self._clock()
        self._probing = False

    def cancelled(self) -> None:
        """The caller went away before there was an outcome: neither success nor failure."""
        self._probing = False
