"""Records pass through several processes in order, each of which computes on one thread."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from contextlib import suppress
from typing import NoReturn

import psutil
import pytest

from app.errors import ConfigurationError
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


def unprepared() -> Callable[[int], int]:
    """Cannot be prepared."""
    raise ConfigurationError("names: missing.txt is not there; write it")


def ended() -> Callable[[int], int]:
    """A function whose process is ended at the seventieth number, as the system does for want of memory."""

    def work(number: int) -> int:
        if number == 70:
            os.kill(os.getpid(), signal.SIGKILL)
        return number

    return work


def broken() -> Callable[[int], int]:
    """A function that fails."""
    return lambda number: 1 // (number - 70)


@pytest.mark.parametrize("workers", [1, 2])
def test_what_cannot_be_prepared_ends_with_its_own_error(workers: int) -> None:
    with pytest.raises(ConfigurationError, match="is not there; write it"):
        list(mapped(range(200), unprepared, workers))


@pytest.mark.parametrize("workers", [1, 2])
def test_what_a_record_raises_ends_the_run(workers: int) -> None:
    with pytest.raises(ZeroDivisionError):
        list(mapped(range(200), broken, workers))


def test_a_process_that_is_killed_ends_the_run_with_its_mend() -> None:
    with pytest.raises(ConfigurationError, match="fewer workers"):
        list(mapped(range(200), ended, 2))


class Ending:
    """What ends the process that takes it in, before there is work."""

    def __reduce__(self) -> tuple[Callable[[int], NoReturn], tuple[int]]:
        return os._exit, (1,)

    def __call__(self) -> Callable[[int], int]:
        raise AssertionError("no process lives to see this")


def test_a_process_that_ends_as_it_starts_ends_the_run_with_its_mend() -> None:
    list(mapped(range(1), prepare, 2))  # so that the process that the others are forked from is there
    before = ours()
    with pytest.raises(ConfigurationError, match="fewer workers"):
        list(mapped(range(3), Ending(), 2))
    assert ours() == before


def ours() -> set[int]:
    """Processes that a stage starts; a database beside them starts its own when it likes."""
    found = set()
    for child in psutil.Process().children(recursive=True):
        with suppress(psutil.Error):
            if "multiprocessing" in " ".join(child.cmdline()):
                found.add(child.pid)
    return found


def test_who_stops_listening_leaves_no_process_behind() -> None:
    list(mapped(range(1), prepare, 2))  # so that the process that the others are forked from is there
    before = ours()
    numbers = mapped(range(100_000), prepare, 2)
    assert next(numbers)[0] == 0
    assert ours() > before
    numbers.close()
    assert ours() == before


def test_all_processes_have_begun_before_there_is_work() -> None:
    list(mapped(range(1), prepare, 2))  # so that the process that the others are forked from is there
    before = ours()
    numbers = mapped(range(2), prepare, 3)
    next(numbers)
    assert len(ours() - before) == 3
    numbers.close()
