"""Runs of words as 64-bit numbers, and a place on disk to sort more of them than fit in memory."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from types import TracebackType
from typing import BinaryIO

import numpy as np
import numpy.typing as npt

Hashes = npt.NDArray[np.uint64]
Rows = npt.NDArray[np.void]

ROW = np.dtype([("gram", "<u8"), ("record", "<u4")])
"""One run of words in one record."""
_BUCKETS = 64
_FACTOR = 0x9E3779B97F4A7C15


def text_hash(text: str) -> int:
    """A number of 64 bits for a text, the same in every run."""
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little")


_hashed = lru_cache(1 << 16)(text_hash)


def word_hashes(words: Sequence[str]) -> Hashes:
    """A number for each word."""
    return np.fromiter(map(_hashed, words), dtype=np.uint64, count=len(words))


def gram_hashes(words: Hashes, length: int) -> Hashes:
    """A number for each run of ``length`` words, in order; equal runs have equal numbers anywhere. Empty if there are
    fewer words.
    """
    count = len(words) - length + 1
    if count < 1:
        return np.empty(0, dtype=np.uint64)
    runs = np.zeros(count, dtype=np.uint64)
    for offset in range(length):
        runs = runs * np.uint64(_FACTOR) + words[offset : offset + count]
    runs ^= runs >> np.uint64(32)
    return runs * np.uint64(_FACTOR)


def known(runs: Hashes, ordered: Hashes) -> npt.NDArray[np.bool_]:
    """Which of ``runs`` are in ``ordered`` (sorted)."""
    if not len(ordered):
        return np.zeros(len(runs), dtype=np.bool_)
    at = np.minimum(np.searchsorted(ordered, runs), len(ordered) - 1)
    return np.asarray(ordered[at] == runs)


class Spill:
    """Rows on disk in buckets: all rows of one run of words lie in one bucket. The files are removed at the end."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def __enter__(self) -> Spill:
        self._folder.mkdir()
        self._paths = [self._folder / f"{number:02d}" for number in range(_BUCKETS)]
        self._files: list[BinaryIO] = [path.open("wb") for path in self._paths]
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        for file, path in zip(self._files, self._paths, strict=True):
            file.close()
            path.unlink(missing_ok=True)
        self._folder.rmdir()

    def add(self, rows: Rows) -> None:
        """Take rows in."""
        bucket = rows["gram"] >> np.uint64(58)
        for number in np.unique(bucket):
            self._files[int(number)].write(rows[bucket == number].tobytes())

    def buckets(self) -> Iterator[Rows]:
        """Each bucket, sorted by run and record."""
        for file, path in zip(self._files, self._paths, strict=True):
            file.flush()
            yield np.sort(np.fromfile(path, dtype=ROW), order=["gram", "record"])
