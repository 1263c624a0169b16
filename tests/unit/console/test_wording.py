"""Words for codes, and times on the hospital's clock."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from app.console.wording import label, local, reason, span


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("patient_asked", "The patient asked for a person"),
        ("emergency:cardiac", "Emergency: cardiac"),
        ("same_day:eye_pain", "Same day: eye pain"),
        ("failed:redaction", "A check failed, so the assistant did not answer: redaction"),
        ("something_new", "Something new"),
    ],
)
def test_reason(code: str, words: str) -> None:
    assert reason(code) == words


def test_label() -> None:
    assert label("same_day") == "Same day"


@pytest.mark.parametrize(
    ("at", "words"),
    [
        (datetime(2026, 11, 23, 18, 5, tzinfo=UTC), "Nov 23, 12:05 p.m."),
        (datetime(2026, 11, 24, 6, 0, tzinfo=UTC), "Nov 24, 12:00 a.m."),
        (datetime(2026, 7, 1, 14, 30, tzinfo=UTC), "Jul 1, 9:30 a.m."),
    ],
)
def test_local(at: datetime, words: str) -> None:
    assert local(at, ZoneInfo("America/Chicago")) == words


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0, "0 s"), (59.9, "59 s"), (60, "1 min"), (-3_599, "59 min"), (7_200, "2 h"), (90_000, "1 d")],
)
def test_span(seconds: float, words: str) -> None:
    assert span(seconds) == words
