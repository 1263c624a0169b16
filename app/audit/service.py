"""The audit log: who did what to whom, chained by hashes so that a changed or missing entry shows.

``hash = sha256(prev_hash + canonical JSON of the entry)``. An entry is written in the transaction of the act itself:
either both are kept or neither. An advisory lock lets one transaction at a time append, so append last.
Details are ids, names of fields and enumerations; never a patient's words.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import RowMapping, text
from sqlalchemy.ext.asyncio import AsyncSession

SYSTEM = "system"
"""The actor of what the service does by itself."""

GENESIS = "0" * 64
"""``prev_hash`` of the first entry."""

_LOCK = text("SELECT pg_advisory_xact_lock(724502)")
_LAST = text("SELECT hash FROM audit_log ORDER BY id DESC LIMIT 1")
_APPEND = text(
    "INSERT INTO audit_log (at, actor, action, subject, details, prev_hash, hash) "
    "VALUES (:at, :actor, :action, :subject, CAST(:details AS jsonb), :prev_hash, :hash)"
)
_AFTER = text("SELECT * FROM audit_log WHERE id > :after ORDER BY id LIMIT :limit")
_NEWEST = text("SELECT * FROM audit_log ORDER BY id DESC LIMIT :limit")


@dataclass(frozen=True, slots=True)
class ChainReport:
    """Outcome of :meth:`AuditLog.verify`. ``broken_at`` is the id of the first entry that does not fit, or None."""

    intact: bool
    entries: int
    broken_at: int | None
    head: str


class AuditLog:
    """Appends to and checks the chain."""

    def __init__(self, now: Callable[[], datetime]) -> None:
        self._now = now

    async def append(
        self, session: AsyncSession, actor: str, action: str, subject: str, details: dict[str, Any] | None = None
    ) -> None:
        """Add an entry in the caller's transaction. ``actor`` is a username or :data:`SYSTEM`; ``subject`` an id."""
        await session.execute(_LOCK)
        previous = (await session.execute(_LAST)).scalar() or GENESIS
        entry = {"at": self._now(), "actor": actor, "action": action, "subject": subject, "details": details or {}}
        values = entry | {
            "details": json.dumps(entry["details"]),
            "prev_hash": previous,
            "hash": chain(previous, entry),
        }
        await session.execute(_APPEND, values)

    async def verify(self, session: AsyncSession, *, batch: int = 1_000) -> ChainReport:
        """Read the whole chain and recompute it.

        A cut-off end cannot show in the chain itself: compare ``head`` and ``entries`` with a copy kept elsewhere.
        """
        previous, count, after = GENESIS, 0, 0
        while True:
            rows = (await session.execute(_AFTER, {"after": after, "limit": batch})).mappings().all()
            for row in rows:
                if row["prev_hash"] != previous or row["hash"] != chain(previous, row):
                    return ChainReport(False, count, int(row["id"]), previous)
                previous, count, after = row["hash"], count + 1, row["id"]
            if len(rows) < batch:
                return ChainReport(True, count, None, previous)

    async def newest(self, session: AsyncSession, limit: int = 100) -> Sequence[RowMapping]:
        """The newest entries, newest first."""
        return (await session.execute(_NEWEST, {"limit": limit})).mappings().all()


def chain(previous: str, entry: dict[str, Any] | RowMapping) -> str:
    """The hash of an entry that follows ``previous``."""
    canonical = json.dumps(
        {
            "at": entry["at"].astimezone(UTC).isoformat(timespec="microseconds"),
            "actor": entry["actor"],
            "action": entry["action"],
            "subject": entry["subject"],
            "details": entry["details"],
        },
        sort_keys=True,
        separators=(",", ":"),
        ensure_ascii=True,
    )
    return hashlib.sha256((previous + canonical).encode()).hexdigest()
