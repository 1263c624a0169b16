"""Per-conversation pseudonyms: which token stands for which of the patient's own words."""

from __future__ import annotations

from typing import Protocol


class Vault(Protocol):
    """Issues and resolves pseudonyms of one conversation. Safe under concurrent use."""

    def token(self, entity_type: str, value: str) -> str:
        """The pseudonym for a value, such as ``<PERSON_1>``; the same value (case and spacing aside) gives the same one."""
        ...

    def value(self, token: str) -> str | None:
        """What a token stands for, or None if it was not issued in this conversation."""
        ...

    def tokens(self) -> dict[str, str]:
        """All tokens issued so far, with their values."""
        ...
