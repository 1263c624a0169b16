"""Opening hours, across days, zones and the change to summer time."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from app.contracts.hours import hours_text, is_open, next_open
from app.contracts.site import OpenBlock, Site

CHICAGO = ZoneInfo("America/Chicago")


@pytest.mark.parametrize(
    ("at", "expected"),
    [
        (datetime(2026, 11, 23, 7, 0, tzinfo=CHICAGO), True),
        (datetime(2026, 11, 23, 6, 59, 59, tzinfo=CHICAGO), False),
        (datetime(2026, 11, 23, 19, 0, tzinfo=CHICAGO), False),
        (datetime(2026, 11, 21, 11, 59, tzinfo=CHICAGO), True),
        (datetime(2026, 11, 22, 11, 0, tzinfo=CHICAGO), False),
        (datetime(2026, 11, 24, 0, 30, tzinfo=UTC), True),  # Monday 18:30 in Chicago
        (datetime(2026, 7, 6, 23, 30, tzinfo=UTC), True),  # Monday 18:30 in summer time
    ],
)
def test_is_open(site: Site, at: datetime, expected: bool) -> None:
    assert is_open(site, at) is expected


def test_next_open(site: Site) -> None:
    now = datetime(2026, 11, 23, 18, 0, tzinfo=UTC)
    assert next_open(site, now) == now
    saturday_evening = datetime(2026, 11, 22, 1, 0, tzinfo=UTC)
    assert next_open(site, saturday_evening) == datetime(2026, 11, 23, 13, 0, tzinfo=UTC)
    assert next_open(site.model_copy(update={"chat_hours": []}), now) is None


def test_a_block_may_end_at_midnight(site: Site) -> None:
    late = site.model_copy(update={"chat_hours": [OpenBlock(days=["mon"], opens="20:00", closes="24:00")]})
    assert is_open(late, datetime(2026, 11, 23, 23, 59, tzinfo=CHICAGO))
    assert not is_open(late, datetime(2026, 11, 24, 0, 0, tzinfo=CHICAGO))


def test_hours_in_words(site: Site) -> None:
    assert hours_text(site) == "Monday to Friday 7:00 a.m. to 7:00 p.m.; Saturday 8:00 a.m. to noon"
    assert hours_text(site, "es") == "lunes a viernes de 7:00 a 19:00; sábado de 8:00 a 12:00"
