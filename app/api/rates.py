"""How often somebody may ask: a token bucket for each session, in this process."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable

from app.errors import TooManyRequests

_MOST_KEYS = 50_000


class RateLimit:
    """``per_minute`` acts for each key, at most ``burst`` (default: the whole minute's) at once.

    The limit holds for each process by itself: with n api processes a caller may reach n times as much.
    """

    def __init__(
        self, per_minute: int, *, burst: int | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._rate = per_minute / 60
        self._burst = float(burst or per_minute)
        self._clock = clock
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def check(self, key: str) -> None:
        """Count one act. Raises TooManyRequests that says when the next one is free."""
        now = self._clock()
        left, at = self._buckets.pop(key, (self._burst, now))
        left = min(self._burst, left + (now - at) * self._rate)
        allowed = left >= 1
        self._buckets[key] = (left - 1 if allowed else left, now)
        while len(self._buckets) > _MOST_KEYS:
            self._buckets.popitem(last=False)
        if not allowed:
            raise TooManyRequests(
                "too many requests; wait a moment. In an emergency call the emergency services.",
                (1 - left) / self._rate,
            )
