"""Per-conversation pseudonyms: which token stands for which of the patient's own words."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping
from threading import Lock
from typing import Protocol

from app.errors import RedactionFailed


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
_ALIAS = re.compile(r"(<PERSON_\d+)~\d+>")
_SEPARATED = re.compile(r"\d{1,4}([./-])\d{1,2}(?:\1\d{1,4})?|\d{1,3}(?:\.\d{1,3}){3}")
"""Dates and network addresses: what stands between their numbers tells them apart."""
_PUNCTUATION = re.compile(r"[^\w\s@]+|_")
_LINKED = "PERSON"
TURNS, BESIDE = range(1, 1_001), range(1_001, 10_000)
"""Numbers of tokens: of a conversation's turns, one at a time, and of what is written beside them."""


def lookup_key(value: str) -> str:
    """What makes two values the same: letters and digits, case aside; numbers in any grouping are one number.

    Of dates and network addresses in digits the grouping counts: 1/12 is not 11/2.
    """
    folded = value.casefold().replace("'s", "").strip()
    if _SEPARATED.fullmatch(folded):
        return folded.replace(".", "/").replace("-", "/")
    if not any(c.isalpha() for c in folded):
        return "".join(c for c in folded if c.isalnum())
    return " ".join(_PUNCTUATION.sub(" ", folded).split())


class MemoryVault:
    """A Vault in memory, which a store can seed and save.

    Tokens are numbered in the order in which values come. A person's shorter name gets the token of the one fuller
    name that holds all its words ("Maria" after "Maria Gonzalez", and the other way round); where two fuller names
    would do, it gets a token of its own. A token keeps the value that it was first issued for; the fuller name that
    came later is stored beside it under an alias such as ``<PERSON_1~2>``, which stands in no text.
    """

    def __init__(self, issued: Mapping[str, str] | None = None, numbers: range = TURNS) -> None:
        """``issued`` are tokens and aliases of earlier turns with their values. ValueError if one is neither. What has
        lost its value since (it is empty) stands for nobody, and is not issued again.

        New tokens take their numbers from ``numbers``: whoever may write at the same time takes another range.
        """
        self._numbers = numbers
        self._lock = Lock()
        self._values: dict[str, str] = {}
        self._by_key: dict[tuple[str, str], str] = {}
        self._names: dict[str, frozenset[str]] = {}
        self._aliases: dict[str, str] = {}
        self._last: defaultdict[str, int] = defaultdict(lambda: numbers.start - 1)
        self._seeded = frozenset(issued or ())
        later = {}
        for token, value in (issued or {}).items():
            if alias := _ALIAS.fullmatch(token):
                if value:
                    later[token] = (f"{alias[1]}>", value)
                continue
            match = _TOKEN.fullmatch(token)
            if match is None:
                raise ValueError("a vault is seeded with tokens such as <PERSON_1>")
            if value:
                self._keep(match[1], int(match[2]), value)
            else:
                self._taken(match[1], int(match[2]))
        for alias_token, (token, value) in later.items():
            self._link(token, value, alias_token)

    def token(self, entity_type: str, value: str) -> str:
        """See Vault.token. Raises RedactionFailed when the numbers are used up."""
        key = (entity_type, lookup_key(value))
        with self._lock:
            known = self._by_key.get(key) or self._alias(key, value)
            if known is not None:
                return known
            number = self._last[entity_type] + 1
            if number not in self._numbers:
                raise RedactionFailed("this conversation has more identifiers of one kind than its vault can hold")
            return self._keep(entity_type, number, value)

    def value(self, token: str) -> str | None:
        """See Vault.value."""
        with self._lock:
            return self._values.get(token)

    def tokens(self) -> dict[str, str]:
        """See Vault.tokens."""
        with self._lock:
            return dict(self._values)

    def new_tokens(self) -> dict[str, str]:
        """Tokens and aliases issued since the vault was seeded, for a store to add."""
        with self._lock:
            kept = {**self._values, **self._aliases}
            return {token: value for token, value in kept.items() if token not in self._seeded}

    def _keep(self, entity_type: str, number: int, value: str) -> str:
        token = f"<{entity_type}_{number}>"
        key = lookup_key(value)
        self._values[token] = value
        self._by_key.setdefault((entity_type, key), token)
        self._taken(entity_type, number)
        if entity_type == _LINKED:
            self._names[token] = frozenset(key.split())
        return token

    def _taken(self, entity_type: str, number: int) -> None:
        if number in self._numbers:
            self._last[entity_type] = max(self._last[entity_type], number)

    def _alias(self, key: tuple[str, str], value: str) -> str | None:
        """The token of the one known person whose name holds, or is held by, this name."""
        if key[0] != _LINKED:
            return None
        words = frozenset(key[1].split())
        if not words:
            return None
        same = [token for token, names in self._names.items() if words <= names or names <= words]
        if len(same) != 1:
            return None
        if words <= self._names[same[0]]:
            self._by_key[key] = same[0]
        else:
            self._link(same[0], value, f"{same[0][:-1]}~{len(self._aliases) + 2}>")
        return same[0]

    def _link(self, token: str, value: str, alias: str) -> None:
        """A fuller name of the person of ``token``. ValueError where that was not issued."""
        if token not in self._names:
            raise ValueError("a vault is seeded with aliases of its own tokens only")
        key = lookup_key(value)
        self._aliases[alias] = value
        self._by_key[(_LINKED, key)] = token
        self._names[token] |= frozenset(key.split())
