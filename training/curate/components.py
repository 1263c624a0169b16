"""Union-find: what is joined, directly or by way of others, is one component."""

from __future__ import annotations

from collections.abc import Iterator


class Components:
    """Components of strings. Joining is close to constant time; results do not depend on the order of joining."""

    def __init__(self) -> None:
        self._parent: dict[str, str] = {}

    def __contains__(self, member: str) -> bool:
        return member in self._parent

    def __iter__(self) -> Iterator[str]:
        return iter(self._parent)

    def join(self, first: str, *others: str) -> None:
        """Make one component of these and all that they are joined with."""
        root = self.smallest(first)
        for other in others:
            found = self.smallest(other)
            if found != root:
                root, child = min(root, found), max(root, found)
                self._parent[child] = root

    def smallest(self, member: str) -> str:
        """The smallest member of its component, which names it; a new member is a component of its own."""
        root = self._parent.setdefault(member, member)
        while root != self._parent[root]:
            root = self._parent[root]
        while member != root:
            self._parent[member], member = root, self._parent[member]
        return root
