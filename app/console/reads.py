"""What the pages read, on behalf of a member of staff."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, Protocol

from sqlalchemy.ext.asyncio import AsyncSession

from app.adapters.service import AdapterView, Live
from app.audit.reads import Read, note_read
from app.audit.service import AuditLog
from app.auth.staff import Staff, StaffAccounts
from app.conversations.schemas import StaffConversationView
from app.conversations.service import ConversationService
from app.db.session import Database
from app.errors import NotSignedIn
from app.escalations.schemas import EscalationView
from app.escalations.service import EscalationService
from app.knowledge.unanswered import Unanswered


class ConsoleReads(Protocol):
    """Reads on behalf of a member of staff. The pages check the roles before they read."""

    async def staff(self, token: str, *, activity: bool) -> Staff:
        """Who holds the session cookie; ``activity``: whether a person asks, and not a page that redraws itself.

        Raises NotSignedIn, SessionExpired.
        """
        ...

    async def escalations(self, staff: Staff, status: Literal["waiting", "claimed"]) -> Sequence[EscalationView]:
        """The queue, most urgent first; audited once for a session and ten minutes."""
        ...

    async def conversation(
        self, staff: Staff, conversation_id: str, *, opened: bool
    ) -> tuple[StaffConversationView, EscalationView | None]:
        """A conversation, redacted, and why it was escalated. Raises NotFound.

        ``opened``: the page was opened, which is audited. A redraw is audited unless the session has read the same in
        the last ten minutes: an open page redraws at every change and would drown the log.
        """
        ...

    async def adapters(self, staff: Staff) -> tuple[Sequence[AdapterView], Live]:
        """All adapter versions, and the pointer to the live one."""
        ...

    async def unanswered(self, staff: Staff, days: int, *, opened: bool) -> Unanswered:
        """Questions of the last days that no article answered; conversations only for the role staff.

        ``opened``: see :meth:`conversation`.
        """
        ...


class AdapterList(Protocol):
    """Lists adapters (adapters.service.AdaptersService)."""

    async def list(self) -> tuple[list[AdapterView], Live]:
        """All versions and the pointer."""
        ...


class UnansweredReport(Protocol):
    """Groups questions that no article answered (knowledge.unanswered.UnansweredQuestions)."""

    async def report(self, days: int, *, conversations: bool = False) -> Unanswered:
        """Those of the last days."""
        ...


class ServiceReads:
    """:class:`ConsoleReads` over the services of the process."""

    def __init__(
        self,
        database: Database,
        accounts: StaffAccounts,
        escalations: EscalationService,
        conversations: ConversationService,
        adapters: AdapterList,
        unanswered: UnansweredReport,
        audit: AuditLog,
    ) -> None:
        self._database = database
        self._accounts = accounts
        self._escalations = escalations
        self._conversations = conversations
        self._adapters = adapters
        self._unanswered = unanswered
        self._audit = audit

    async def staff(self, token: str, *, activity: bool) -> Staff:
        """Who holds the session cookie."""
        if not token:
            raise NotSignedIn("sign in first")
        return await self._accounts.authenticate(token, activity=activity)

    async def escalations(self, staff: Staff, status: Literal["waiting", "claimed"]) -> Sequence[EscalationView]:
        """The queue; its previews are redacted."""
        async with self._database.session() as session:
            found = await self._escalations.listed(session, status)
            await self._note(session, staff, "queue.read", "escalations")
        return found

    async def conversation(
        self, staff: Staff, conversation_id: str, *, opened: bool
    ) -> tuple[StaffConversationView, EscalationView | None]:
        """A conversation and its escalation; audited in the same transaction."""
        async with self._database.session() as session:
            talk = await self._conversations.staff_view(session, conversation_id)
            escalation = await self._escalations.of_conversation(session, conversation_id)
            await self._note(session, staff, "conversation.read", conversation_id, opened=opened)
        return talk, escalation

    async def adapters(self, staff: Staff) -> tuple[Sequence[AdapterView], Live]:
        """All adapter versions, and the pointer."""
        return await self._adapters.list()

    async def unanswered(self, staff: Staff, days: int, *, opened: bool) -> Unanswered:
        """Questions that no article answered; audited."""
        found = await self._unanswered.report(days, conversations=staff.has("staff"))
        async with self._database.session() as session:
            await self._note(session, staff, "unanswered.read", "articles", opened=opened, days=days)
        return found

    async def _note(
        self, session: AsyncSession, staff: Staff, action: str, subject: str, *, opened: bool = False, **details: int
    ) -> None:
        read = Read(staff.username, staff.session_id, action, subject, details)
        await note_read(session, self._audit, read, opened=opened)
