"""Union-find over keys whose texts lie on disk: what is joined, directly or by way of others, is one component."""

from __future__ import annotations

from array import array
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from training.curate.scratch import scratch

Ints = npt.NDArray[np.int64]

_CACHE_KB = 8_000


class Ties:
    """Components of keys. A key gets a number when it first comes. The texts lie in a nameless file of SQLite's that
    goes with the process, a small part of it in memory; beside that a key takes four bytes.
    """

    def __init__(self) -> None:
        self._file = scratch("key TEXT PRIMARY KEY, number INTEGER", _CACHE_KB)
        self._parent = array("I")

    def __len__(self) -> int:
        """How many keys there are."""
        return len(self._parent)

    def number(self, key: str) -> int:
        """The number of a key, counted from 0; a new key is a component of its own."""
        held = self._file.execute("SELECT number FROM held WHERE key = ?", (key,)).fetchone()
        if held is not None:
            return int(held[0])
        self._file.execute("INSERT INTO held VALUES (?, ?)", (key, len(self._parent)))
        self._parent.append(len(self._parent))
        return len(self._parent) - 1

    def join(self, first: int, *others: int) -> None:
        """Make one component of the keys of these numbers and all that they are joined with."""
        root = self._root(first)
        for other in others:
            found = self._root(other)
            root, child = min(root, found), max(root, found)
            self._parent[child] = root

    def roots(self) -> Ints:
        """For each number the smallest number of its component."""
        root = np.array(self._parent, dtype=np.int64)
        while (root != (above := root[root])).any():
            root = above
        return root

    def names(self) -> Iterator[tuple[str, int]]:
        """Each component's name, the smallest of its keys by text, and its root."""
        named = bytearray(len(self._parent))
        for key, number in self._file.execute("SELECT key, number FROM held ORDER BY key"):
            root = self._root(number)
            if not named[root]:
                named[root] = True
                yield key, root

    def _root(self, number: int) -> int:
        parent = self._parent
        while number != parent[number]:
            parent[number] = number = parent[parent[number]]
        return number
