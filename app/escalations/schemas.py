"""A call for a person, as staff see it."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import BaseModel, Field

CrisisOutcome = Literal["reached", "not_reached", "emergency_services", "crisis_team"]
"""What can come of a crisis call. After ``not_reached`` it stays open and is due again."""


class NoteView(BaseModel):
    """How a member of staff ended her part of a call. ``text`` is hers, as she wrote it."""

    staff_name: str
    disposition: str
    text: str
    follow_up_at: datetime | None
    created_at: datetime


class EscalationView(BaseModel):
    """One call. ``priority`` is 0 emergency, 1 urgent, 2 normal; ``preview`` is redacted."""

    id: str
    conversation_id: str
    status: Literal["waiting", "claimed", "resolved"]
    priority: int = Field(ge=0, le=2)
    reason: str
    tier: str
    category: str
    crisis: bool = Field(False, description="ends only with a crisis outcome and a note; the assistant is silent until")
    staff_id: str | None
    staff_name: str | None
    due_at: datetime
    created_at: datetime
    claimed_at: datetime | None
    follow_up_at: datetime | None = Field(
        None, description="the patient was not reached: claim-next leaves the call alone until then"
    )
    overdue: bool
    preview: str = Field(description="start of the patient's last message, identifiers replaced")
    notes: list[NoteView] = Field(default_factory=list, description="oldest first; in one conversation's view only")
