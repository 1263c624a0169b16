"""When a person should have come."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Protocol

from app.contracts.hours import next_open
from app.contracts.site import Site

WITHIN = (timedelta(minutes=2), timedelta(minutes=10), timedelta(minutes=30))
"""By priority: emergency, urgent, normal. Times of the service, to be set by each hospital's own policy."""


class DueTimes(Protocol):
    """See :func:`due_times`."""

    def __call__(self, priority: int, at: datetime) -> datetime: ...


def due_times(site: Site) -> DueTimes:
    """The due time for a priority and the moment of the call.

    Emergencies count from the call, day and night; the others count from when people are at the chat.
    """

    def due(priority: int, at: datetime) -> datetime:
        starts = at if priority == 0 else next_open(site, at) or at
        return starts + WITHIN[priority]

    return due
