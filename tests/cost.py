"""How much processor time a piece of work takes, told as steadily as a shared machine allows.

The least of several tries, with the garbage collector at rest: late in a run of all tests the process holds millions
of objects, and one collection that falls into a measure makes it seconds longer. What is measured again can only get
faster, so a bound is missed only if every try misses it.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager

TRIES = 3


@contextmanager
def _at_rest() -> Iterator[None]:
    """Without the garbage collector."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def seconds(
    work: Callable[[], object], most: float = 0.0, tries: int = TRIES, clock: Callable[[], float] = time.process_time
) -> float:
    """Processor seconds that ``work`` takes: the least of ``tries``, or the first that is less than ``most``.

    ``clock``: of the process, its other threads included; :func:`time.thread_time` where the work has none.
    """
    best = float("inf")
    with _at_rest():
        for _ in range(tries):
            began = clock()
            work()
            best = min(best, clock() - began)
            if best < most:
                break
    return best


async def async_seconds(work: Callable[[], Awaitable[object]], most: float = 0.0, tries: int = TRIES) -> float:
    """As :func:`seconds`, of something that is awaited."""
    best = float("inf")
    with _at_rest():
        for _ in range(tries):
            began = time.process_time()
            await work()
            best = min(best, time.process_time() - began)
            if best < most:
                break
    return best


def grows(measure: Callable[[int], float], short: int, long: int, most: float) -> float:
    """How many times as long ``long`` takes as ``short``: the least of :data:`TRIES`, or the first below ``most``.

    ``measure`` gives the seconds that work of a size takes.
    """
    best = float("inf")
    for _ in range(TRIES):
        best = min(best, measure(long) / max(measure(short), 1e-6))
        if best < most:
            break
    return best
