"""Records pass through several processes in order, each of which computes on one thread."""

from __future__ import annotations

import os
from collections.abc import Callable

import pytest

from training.curate.streams import BATCH, mapped

THREADS = "OPENBLAS_NUM_THREADS"


def prepare() -> Callable[[int], tuple[int, str]]:
    """A function that gives its number back, and the threads that its process may use."""
    return lambda number: (number, os.environ.get(THREADS, ""))


@pytest.mark.parametrize("before", [None, "2"])
def test_the_order_stays_and_each_process_has_one_thread(monkeypatch: pytest.MonkeyPatch, before: str | None) -> None:
    if before is None:
        monkeypatch.delenv(THREADS, raising=False)
    else:
        monkeypatch.setenv(THREADS, before)
    assert list(mapped(range(BATCH * 3), prepare, 2)) == [(number, "1") for number in range(BATCH * 3)]
    assert os.environ.get(THREADS) == before
