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
    disposition: str = Field(description="what came of it, as a code")
    text: str
    follow_up_at: datetime | None = Field(
        description="after not_reached of a crisis call: when the patient is to be tried again"
    )
    created_at: datetime


class EscalationView(BaseModel):
    """One call. ``priority`` is 0 emergency, 1 urgent, 2 normal; ``preview`` is redacted."""

    id: str
    conversation_id: str
    status: Literal["waiting", "claimed", "resolved"] = Field(description="`claimed`: a member of staff has it")
    priority: int = Field(ge=0, le=2, description="0 emergency, 1 urgent, 2 normal")
    reason: str = Field(description="why a person was called, as a code or tier:category")
    tier: str = Field(description="urgency that triage saw: none, routine, same_day, urgent or emergency")
    category: str = Field(description="what triage saw, such as cardiac; empty if nothing")
    crisis: bool = Field(False, description="ends only with a crisis outcome and a note; the assistant is silent until")
    staff_id: str | None = Field(description="account that has claimed it")
    staff_name: str | None = Field(description="her name")
    due_at: datetime = Field(description="somebody is to have answered by then")
    created_at: datetime
    claimed_at: datetime | None
    follow_up_at: datetime | None = Field(
        None, description="the patient was not reached: claim-next leaves the call alone until then"
    )
    overdue: bool = Field(description="it waits and `due_at` has passed")
    preview: str = Field(description="start of the patient's last message, identifiers replaced")
    notes: list[NoteView] = Field(default_factory=list, description="oldest first; in one conversation's view only")
