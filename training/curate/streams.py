"""Map records through a function in several processes, in order, with flat memory."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import TypeVar, cast

Source = TypeVar("Source")
Result = TypeVar("Result")
BATCH = 64
"""Items that travel to a worker together."""

_work: list[Callable[[object], object]] = []


def mapped(
    items: Iterable[Source], prepare: Callable[[], Callable[[Source], Result]], workers: int
) -> Iterator[Result]:
    """Results in the order of ``items``. ``prepare`` is called once in each process and returns the function (so that a
    detector is built once); it must be picklable. At most a few batches of each worker are in memory.
    """
    if workers <= 1:
        yield from map(prepare(), items)
        return
    batches = _batched(items)
    context = multiprocessing.get_context("spawn")
    with context.Pool(workers, initializer=_start, initargs=(prepare,)) as pool:
        waiting = [pool.apply_async(_batch, (batch,)) for batch in islice(batches, workers * 2)]
        while waiting:
            yield from cast("list[Result]", waiting.pop(0).get())
            waiting += [pool.apply_async(_batch, (batch,)) for batch in islice(batches, 1)]


def _batched(items: Iterable[Source]) -> Iterator[list[Source]]:
    rest = iter(items)
    while batch := list(islice(rest, BATCH)):
        yield batch


def _start(prepare: Callable[[], Callable[[object], object]]) -> None:
    _work[:] = [prepare()]


def _batch(batch: list[object]) -> list[object]:
    return [_work[0](item) for item in batch]
