"""What the pages need to read. The composition root hands in an implementation over the services."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, Protocol

from app.adapters.service import AdapterView, Live
from app.auth.staff import Staff
from app.conversations.schemas import StaffConversationView
from app.escalations.schemas import EscalationView


class ConsoleReads(Protocol):
    """Reads on behalf of a member of staff. The pages check roles; an implementation writes the audit entries."""

    async def staff(self, token: str) -> Staff:
        """Who holds the session cookie. Raises NotSignedIn, SessionExpired."""
        ...

    async def escalations(self, staff: Staff, status: Literal["waiting", "claimed"]) -> Sequence[EscalationView]:
        """The queue, most urgent first."""
        ...

    async def conversation(
        self, staff: Staff, conversation_id: str
    ) -> tuple[StaffConversationView, EscalationView | None]:
        """A conversation, redacted, and why it was escalated. Raises NotFound."""
        ...

    async def adapters(self, staff: Staff) -> tuple[Sequence[AdapterView], Live]:
        """All adapter versions, newest first, and the pointer to the live one."""
        ...
