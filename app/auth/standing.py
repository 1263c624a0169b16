"""Whether a staff session may go on, for what outlives a request. Asking is no activity: it keeps no session alive."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import text

from app.auth.staff import Staff
from app.db.session import Database

_STANDS = text(
    "SELECT EXISTS (SELECT 1 FROM user_sessions s JOIN users u ON u.id = s.user_id "
    "WHERE s.id = :id AND s.expires_at > :now AND u.active)"
)


async def stands(database: Database, staff: Staff, now: datetime) -> bool:
    """False once who holds it has signed out or was deactivated, or the session has lasted as long as it may."""
    async with database.statement() as session:
        return bool(await session.scalar(_STANDS, {"id": staff.session_id, "now": now}))
