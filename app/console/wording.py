"""How the console words what the service stores: priorities, reasons, times."""

from __future__ import annotations

from datetime import date, datetime
from zoneinfo import ZoneInfo

PRIORITIES = {0: ("emergency", "Emergency"), 1: ("urgent", "Urgent"), 2: ("normal", "Routine")}
"""Style class and words by priority; colour is never the only sign."""

DISPOSITIONS = {
    "answered": "Question answered",
    "emergency_services": "Emergency services advised or called",
    "nurse_line": "Passed to the nurse line",
    "care_team": "Passed to the care team",
    "appointment": "Appointment made or moved",
    "no_reply": "Patient did not reply",
    "not_needed": "No person was needed",
}
"""How a call for a person can end."""

CRISIS_OUTCOMES = {
    "reached": "Reached the patient",
    "not_reached": "Could not reach the patient",
    "emergency_services": "Emergency services called",
    "crisis_team": "Handed to the crisis team",
}
"""How a crisis call can end; after the second it is due again."""

FOLLOW_UPS = {15: "15 minutes", 30: "30 minutes", 60: "1 hour", 120: "2 hours", 240: "4 hours", 1_440: "1 day"}
"""When a patient who was not reached is tried again, by minutes."""

QUESTION_STATUSES = {
    "open": ("waiting", "Open"),
    "planned": ("live", "Article planned"),
    "out_of_scope": ("", "Out of scope"),
}
"""Style class and words of what was decided about questions that no article answered."""

_REASONS = {
    "patient_asked": "The patient asked for a person",
    "failed": "A check failed, so the assistant did not answer",
    "turn_failed": "The assistant could not answer",
    "turn_attempts": "The assistant tried several times and could not answer: read the message",
    "turn_timeout": "The assistant took too long",
    "no_answer": "No approved article answers the question",
}


def reason(code: str) -> str:
    """Why a person was called; a code may carry more after a colon, ``emergency:cardiac``."""
    head, _, rest = code.partition(":")
    words = _REASONS.get(code) or _REASONS.get(head) or head.replace("_", " ").capitalize()
    return f"{words}: {rest.replace('_', ' ')}" if rest else words


def ending(code: str) -> str:
    """How somebody's part of a call ended."""
    return {**DISPOSITIONS, **CRISIS_OUTCOMES}.get(code) or label(code)


def label(code: str) -> str:
    """A stored code as words: ``same_day`` gives ``Same day``."""
    return code.replace("_", " ").capitalize()


def local(at: datetime, zone: ZoneInfo) -> str:
    """A moment on the hospital's clock, ``Nov 23, 2:05 p.m.``."""
    there = at.astimezone(zone)
    half = "a.m." if there.hour < 12 else "p.m."
    return f"{there:%b} {there.day}, {there.hour % 12 or 12}:{there:%M} {half}"


def language(code: str) -> str:
    """The English name of a language of the chat."""
    return {"en": "English", "es": "Spanish"}.get(code, code)


def day(on: date) -> str:
    """A day, ``Nov 23``."""
    return f"{on:%b} {on.day}"


def span(seconds: float) -> str:
    """A length of time in its largest unit: ``45 s``, ``12 min``, ``3 h``, ``2 d``."""
    seconds = abs(seconds)
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if seconds >= size:
            return f"{int(seconds // size)} {unit}"
    return f"{int(seconds)} s"
