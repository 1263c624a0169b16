"""Map records through a function in several processes, in order, with flat memory."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from functools import partial
from itertools import islice
from multiprocessing.synchronize import Barrier
from typing import Any, TypeVar, cast

from app.errors import ConfigurationError

Source = TypeVar("Source")
Result = TypeVar("Result")
BATCH = 64
"""Items that travel to a worker together."""

_PRELOADED = "training.curate.chain"
_THREADS = ("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "OMP_NUM_THREADS")

_prepare: list[Callable[[], Callable[[Any], object]]] = []
_work: list[Callable[[Any], object]] = []


def mapped(
    items: Iterable[Source], prepare: Callable[[], Callable[[Source], Result]], workers: int
) -> Iterator[Result]:
    """Results in the order of ``items``. ``prepare`` is called once in each process and returns the function (so that a
    detector is built once); it must be picklable. At most a few batches of each worker are in memory. Raises what
    ``prepare`` or the function raises, and ConfigurationError if a process was ended from outside.
    """
    if workers <= 1:
        yield from map(prepare(), items)
        return
    batches = _batched(items)
    try:
        with _pool(workers, prepare) as pool:
            try:
                waiting = [pool.submit(_batch, batch) for batch in islice(batches, workers * 2)]
                while waiting:
                    yield from cast("list[Result]", waiting.pop(0).result())
                    waiting += [pool.submit(_batch, batch) for batch in islice(batches, 1)]
            finally:
                pool.shutdown(cancel_futures=True)
    except BrokenProcessPool:
        raise ConfigurationError(
            "a process of this stage was ended from outside, most likely for want of memory; "
            "run it again with fewer workers: it goes on with this stage"
        ) from None


def one_thread() -> None:
    """Linear algebra of this process on one thread, like that of the others: so its sums are the same on any number of
    cores. Call it before NumPy is imported.
    """
    os.environ.update(dict.fromkeys(_THREADS, "1"))


def _pool(workers: int, prepare: Callable[[], Callable[[Source], Result]]) -> ProcessPoolExecutor:
    """Processes whose linear algebra runs on one thread each: several would only wait for each other.

    They are forked from one that has imported the stages, so that each stage has its processes at once. All have begun
    before there is work: the executor starts one more whenever work waits, and stumbles where another dies meanwhile.
    """
    before = {name: os.environ.get(name) for name in _THREADS}
    os.environ.update(dict.fromkeys(_THREADS, "1"))
    try:
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload([_PRELOADED])
        pool = ProcessPoolExecutor(workers, context, partial(_start, prepare, context.Barrier(workers)))
        try:
            for begun in [pool.submit(_nothing) for _ in range(workers)]:
                begun.result()
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
        return pool
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


def _start(prepare: Callable[[], Callable[[Any], object]], all_begun: Barrier) -> None:
    _prepare[:], _work[:] = [prepare], []
    all_begun.wait()


def _nothing() -> None:
    """So that the processes start now."""


def _batch(batch: Sequence[Any]) -> list[object]:
    # Prepared here and not at the start: what fails then breaks the pool, and what failed is not told.
    if not _work:
        _work.append(_prepare[0]())
    return [_work[0](item) for item in batch]
