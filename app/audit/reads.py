"""Reads that an open page repeats at every change: in the audit log once for a session and ten minutes."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from app.audit.service import AuditLog

_NOTED = text(
    "SELECT EXISTS (SELECT 1 FROM (SELECT * FROM audit_log ORDER BY id DESC LIMIT 1000) AS newest "
    "WHERE actor = :actor AND action = :action AND subject = :subject AND details = CAST(:details AS jsonb) "
    "AND at > CURRENT_TIMESTAMP - interval '10 minutes')"
)
"""Looked for among the newest entries only, so that the length of the log costs nothing."""


@dataclass(frozen=True, slots=True)
class Read:
    """That ``actor`` reads ``subject`` in a staff session; the entry carries the session's id with ``details``."""

    actor: str
    session_id: str
    action: str
    subject: str
    details: dict[str, Any] = field(default_factory=dict)


async def note_read(session: AsyncSession, audit: AuditLog, read: Read, *, opened: bool = False) -> None:
    """Add an entry, in the caller's transaction, unless the same read was noted in the last ten minutes.

    ``opened``: what is read was asked for by itself, not by a page that is open already: there is always an entry.
    """
    details = read.details | {"session": read.session_id}
    if not opened:
        values = {"actor": read.actor, "action": read.action, "subject": read.subject, "details": json.dumps(details)}
        if await session.scalar(_NOTED, values):
            return
    await audit.append(session, read.actor, read.action, read.subject, details)
