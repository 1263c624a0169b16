"""A call for a person, as staff see it."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import BaseModel, Field


class EscalationView(BaseModel):
    """One call. ``priority`` is 0 emergency, 1 urgent, 2 normal; ``preview`` is redacted."""

    id: str
    conversation_id: str
    status: Literal["waiting", "claimed", "resolved"]
    priority: int = Field(ge=0, le=2)
    reason: str
    tier: str
    category: str
    staff_id: str | None
    staff_name: str | None
    due_at: datetime
    created_at: datetime
    claimed_at: datetime | None
    overdue: bool
    preview: str = Field(description="start of the patient's last message, identifiers replaced")
