"""Gives claimed calls back to the queue when whoever has claimed them does not answer, or has left."""

from __future__ import annotations

from datetime import timedelta

from app.audit.service import AuditLog
from app.db.session import Database
from app.errors import BedsideError
from app.escalations.service import EscalationService
from app.logging import logger
from app.rounds import Rounds


class ClaimWatch:
    """Looks every ``every_s`` seconds for patients who have waited for ``within`` although their call is claimed.

    Routine calls have longer, those of a deactivated account no time (:meth:`EscalationService.unanswered`). Several
    processes may watch: each call is put back once.
    """

    def __init__(
        self,
        database: Database,
        escalations: EscalationService,
        audit: AuditLog,
        *,
        within: timedelta,
        every_s: float = 15.0,
    ) -> None:
        self._database, self._escalations, self._audit = database, escalations, audit
        self._within = within
        self.rounds = Rounds("claim watch", self.look, every_s)
        """Looks every few seconds, once it is started."""
        self._log = logger(__name__)

    async def look(self) -> int:
        """Put back what is unanswered now, each with its audit entry; how many calls that were."""
        async with self._database.session() as session:
            found = await self._escalations.unanswered(session, self._within)
        count = 0
        for conversation in found:
            try:
                count += await self._put_back(conversation)
            except BedsideError:  # one that cannot be put back must not hold up the others
                self._log.warning("call not put back", conversation_id=conversation, exc_info=True)
        return count

    async def _put_back(self, conversation: str) -> bool:
        async with self._database.session() as session:
            details = await self._escalations.put_back(session, conversation, self._within)
            if details is None:
                return False
            await self._audit.append(session, "system", "conversation.claim_returned", conversation, details)
        self._log.warning("claimed call put back", conversation_id=conversation)
        return True
