"""The pseudonyms of one conversation at rest: read before a turn, and the new ones written with its outcome.

The assistant's turns, one at a time, number their tokens from 1. Whoever writes beside them (staff, feedback) waits for
others like it and numbers from 1001, so that no two texts ever mean different people by one token. Retention takes the
values, and leaves the tokens for the same reason.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from app.db.cipher import TextCipher
from app.redaction.vault import BESIDE, MemoryVault


class PseudonymStore:
    """Loads and saves vaults; values are encrypted, and open only in their own conversation."""

    def __init__(self, cipher: TextCipher) -> None:
        self._cipher = cipher

    async def load(self, session: AsyncSession, conversation: str) -> MemoryVault:
        """The vault of a conversation, for a text beside the assistant's turns; others wait until the session ends."""
        await session.execute(text("SELECT pg_advisory_xact_lock(hashtextextended(:c, 7))"), {"c": conversation})
        query = text("SELECT token, value_encrypted FROM pseudonyms WHERE conversation_id = :conversation")
        rows = (await session.execute(query, {"conversation": conversation})).all()
        return MemoryVault(self._opened(conversation, ((r.token, r.value_encrypted) for r in rows)), BESIDE)

    def vault(self, conversation: str, tokens: Sequence[str] | None, values: Sequence[bytes] | None) -> MemoryVault:
        """The vault of tokens and their encrypted values that were read with the turn that is to be answered."""
        return MemoryVault(self._opened(conversation, zip(tokens or (), values or (), strict=True)))

    def unsaved(self, conversation: str, vault: MemoryVault) -> tuple[list[str], list[bytes]]:
        """Tokens issued since the vault was loaded, and their encrypted values, for an inserting statement."""
        fresh = vault.new_tokens()
        places = [f"{conversation} {token}" for token in fresh]
        return list(fresh), [self._cipher.encrypt(v, place) for v, place in zip(fresh.values(), places, strict=True)]

    def _opened(self, conversation: str, rows: Iterable[tuple[str, bytes]]) -> dict[str, str]:
        return {token: self._cipher.decrypt(value, f"{conversation} {token}") if value else "" for token, value in rows}

    async def save(self, session: AsyncSession, conversation: str, vault: MemoryVault) -> None:
        """Insert the tokens issued since the vault was loaded."""
        tokens, values = self.unsaved(conversation, vault)
        if not tokens:
            return
        query = text(
            "INSERT INTO pseudonyms (conversation_id, token, value_encrypted, created_at) "
            "SELECT :conversation, k.token, k.value, now() "
            "FROM unnest(CAST(:tokens AS text[]), CAST(:values AS bytea[])) AS k(token, value) ON CONFLICT DO NOTHING"
        )
        await session.execute(query, {"conversation": conversation, "tokens": tokens, "values": values})
