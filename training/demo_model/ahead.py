"""Make batches in other processes, some chunks ahead: an accelerator learns faster than one processor draws readings.

The batches are those that the training process would have made: each is a function of phase and chunk.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing import get_all_start_methods, get_context
from typing import Any

import torch

from app.errors import ConfigurationError
from training.demo_model.batches import Batch

Make = Callable[[str, int], Iterable[Batch]]
Packed = list[dict[str, Any]]
AHEAD = 2
"""Chunks that are made ahead for each worker."""

_make: list[Make] = []


@contextmanager
def ahead(make: Make, workers: int, methods: Sequence[str] = ()) -> Iterator[Make]:
    """Within the block ``make``'s chunks come from ``workers`` processes; with 0 it is ``make`` itself.

    The processes are forked, so enter the block before anything touches an accelerator. Raises ConfigurationError where
    the system cannot fork (``methods``: how it starts processes; asked for if empty).
    """
    if not workers:
        yield make
        return
    if "fork" not in (methods or get_all_start_methods()):
        raise ConfigurationError("workers: this system cannot fork processes; write workers: 0")
    with (
        _environment("TOKENIZERS_PARALLELISM", "false"),  # Forked tokenizers would say so once each.
        ProcessPoolExecutor(workers, get_context("fork"), initializer=_begin, initargs=(make,)) as pool,
    ):
        for begun in [pool.submit(_ready) for _ in range(workers)]:
            begun.result()
        window = _Window(pool, workers * AHEAD)
        try:
            yield window.batches
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


@contextmanager
def _environment(name: str, value: str) -> Iterator[None]:
    before = os.environ.get(name)
    os.environ[name] = value
    try:
        yield
    finally:
        if before is None:
            del os.environ[name]
        else:
            os.environ[name] = before


class _Window:
    def __init__(self, pool: ProcessPoolExecutor, size: int) -> None:
        self._pool, self._size = pool, size
        self._made: dict[tuple[str, int], Future[Packed]] = {}

    def batches(self, phase: str, chunk: int) -> Iterator[Batch]:
        """The batches of a chunk; those after it are begun."""
        for key in [key for key in self._made if key[0] != phase or key[1] < chunk]:
            self._made.pop(key).cancel()
        for number in range(chunk, chunk + self._size):
            if (phase, number) not in self._made:
                self._made[phase, number] = self._pool.submit(_chunk, phase, number)
        try:
            made = self._made.pop((phase, chunk)).result()
        except BrokenProcessPool:
            raise ConfigurationError(
                "A worker that draws readings ended, probably for want of memory; lower `workers` or `chunk` and run "
                "the command again: it goes on from the last checkpoint."
            ) from None
        for packed in made:
            yield Batch.unpacked(packed, "cpu")


def _begin(make: Make) -> None:
    torch.set_num_threads(1)
    _make.append(make)


def _ready() -> bool:
    return bool(_make)


def _chunk(phase: str, chunk: int) -> Packed:
    return [batch.packed() for batch in _make[-1](phase, chunk)]
