"""Map records through a function in several processes, in order, with flat memory."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from multiprocessing.pool import Pool
from typing import TypeVar, cast

Source = TypeVar("Source")
Result = TypeVar("Result")
BATCH = 64
"""Items that travel to a worker together."""

_PRELOADED = "training.curate.chain"
_THREADS = ("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "OMP_NUM_THREADS")

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
    with _pool(workers, prepare) as pool:
        waiting = [pool.apply_async(_batch, (batch,)) for batch in islice(batches, workers * 2)]
        while waiting:
            yield from cast("list[Result]", waiting.pop(0).get())
            waiting += [pool.apply_async(_batch, (batch,)) for batch in islice(batches, 1)]


def _pool(workers: int, prepare: Callable[[], Callable[[Source], Result]]) -> Pool:
    """Processes whose linear algebra runs on one thread each: several would only wait for each other.

    They are forked from one that has imported the stages, so that each stage has its processes at once.
    """
    before = {name: os.environ.get(name) for name in _THREADS}
    os.environ.update(dict.fromkeys(_THREADS, "1"))
    try:
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload([_PRELOADED])
        return context.Pool(workers, initializer=_start, initargs=(prepare,))
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _batched(items: Iterable[Source]) -> Iterator[list[Source]]:
    rest = iter(items)
    while batch := list(islice(rest, BATCH)):
        yield batch


def _start(prepare: Callable[[], Callable[[object], object]]) -> None:
    _work[:] = [prepare()]


def _batch(batch: list[object]) -> list[object]:
    return [_work[0](item) for item in batch]
