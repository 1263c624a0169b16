"""The pseudonyms of one conversation at rest: read before a turn, and the new ones written with its outcome."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from app.db.cipher import TextCipher
from app.redaction.vault import MemoryVault


class PseudonymStore:
    """Loads and saves vaults; values are encrypted."""

    def __init__(self, cipher: TextCipher) -> None:
        self._cipher = cipher

    async def load(self, session: AsyncSession, conversation: str) -> MemoryVault:
        """The vault of a conversation."""
        query = text("SELECT token, value_encrypted FROM pseudonyms WHERE conversation_id = :conversation")
        rows = (await session.execute(query, {"conversation": conversation})).all()
        return MemoryVault({row.token: self._cipher.decrypt(row.value_encrypted) for row in rows})

    def vault(self, tokens: Sequence[str] | None, values: Sequence[bytes] | None) -> MemoryVault:
        """The vault of tokens and their encrypted values that were read with something else."""
        return MemoryVault({t: self._cipher.decrypt(v) for t, v in zip(tokens or (), values or (), strict=True)})

    def unsaved(self, vault: MemoryVault) -> tuple[list[str], list[bytes]]:
        """Tokens issued since the vault was loaded, and their encrypted values, for an inserting statement."""
        fresh = vault.new_tokens()
        return list(fresh), [self._cipher.encrypt(value) for value in fresh.values()]

    async def save(self, session: AsyncSession, conversation: str, vault: MemoryVault) -> None:
        """Insert the tokens issued since the vault was loaded."""
        tokens, values = self.unsaved(vault)
        if not tokens:
            return
        query = text(
            "INSERT INTO pseudonyms (conversation_id, token, value_encrypted, created_at) "
            "SELECT :conversation, k.token, k.value, now() "
            "FROM unnest(CAST(:tokens AS text[]), CAST(:values AS bytea[])) AS k(token, value) ON CONFLICT DO NOTHING"
        )
        await session.execute(query, {"conversation": conversation, "tokens": tokens, "values": values})
