"""Per-conversation pseudonyms: which token stands for which of the patient's own words."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping
from threading import Lock
from typing import Protocol


class Vault(Protocol):
    """Issues and resolves pseudonyms of one conversation. Safe under concurrent use."""

    def token(self, entity_type: str, value: str) -> str:
        """The pseudonym for a value, such as ``<PERSON_1>``; the same value (case aside) gives the same one."""
        ...

    def value(self, token: str) -> str | None:
        """What a token stands for, or None if it was not issued in this conversation."""
        ...

    def tokens(self) -> dict[str, str]:
        """All tokens issued so far, with their values."""
        ...


_TOKEN = re.compile(r"<([A-Z_]+)_(\d+)>")
_PUNCTUATION = re.compile(r"[^\w\s@]+|_")
_LINKED = "PERSON"


def lookup_key(value: str) -> str:
    """What makes two values the same: letters and digits, case aside; numbers in any grouping are one number."""
    folded = value.casefold().replace("'s", "")
    if not any(c.isalpha() for c in folded):
        return "".join(c for c in folded if c.isalnum())
    return " ".join(_PUNCTUATION.sub(" ", folded).split())


class MemoryVault:
    """A Vault in memory, which a store can seed and save.

    Tokens are numbered in the order in which values come. A person's shorter name gets the token of the one fuller
    name that holds all its words ("Maria" after "Maria Gonzalez", and the other way round); where two fuller names
    would do, it gets a token of its own. A token keeps the value that it was first issued for.
    """

    def __init__(self, issued: Mapping[str, str] | None = None) -> None:
        """``issued`` are tokens of earlier turns with their values. ValueError if one is not a token."""
        self._lock = Lock()
        self._values: dict[str, str] = {}
        self._by_key: dict[tuple[str, str], str] = {}
        self._names: dict[str, frozenset[str]] = {}
        self._last: defaultdict[str, int] = defaultdict(int)
        self._seeded = frozenset(issued or ())
        for token, value in (issued or {}).items():
            match = _TOKEN.fullmatch(token)
            if match is None:
                raise ValueError("a vault is seeded with tokens such as <PERSON_1>")
            self._keep(match[1], int(match[2]), value)

    def token(self, entity_type: str, value: str) -> str:
        """See Vault.token."""
        key = (entity_type, lookup_key(value))
        with self._lock:
            known = self._by_key.get(key) or self._alias(key)
            return known or self._keep(entity_type, self._last[entity_type] + 1, value)

    def value(self, token: str) -> str | None:
        """See Vault.value."""
        with self._lock:
            return self._values.get(token)

    def tokens(self) -> dict[str, str]:
        """See Vault.tokens."""
        with self._lock:
            return dict(self._values)

    def new_tokens(self) -> dict[str, str]:
        """Tokens issued since the vault was seeded, for a store to add."""
        with self._lock:
            return {token: value for token, value in self._values.items() if token not in self._seeded}

    def _keep(self, entity_type: str, number: int, value: str) -> str:
        token = f"<{entity_type}_{number}>"
        key = lookup_key(value)
        self._values[token] = value
        self._by_key.setdefault((entity_type, key), token)
        self._last[entity_type] = max(self._last[entity_type], number)
        if entity_type == _LINKED:
            self._names[token] = frozenset(key.split())
        return token

    def _alias(self, key: tuple[str, str]) -> str | None:
        """The token of the one known person whose name holds, or is held by, this name."""
        if key[0] != _LINKED:
            return None
        words = frozenset(key[1].split())
        if not words:
            return None
        same = [token for token, names in self._names.items() if words <= names or names <= words]
        if len(same) != 1:
            return None
        self._by_key[key] = same[0]
        self._names[same[0]] |= words
        return same[0]
