"""What the detector finds and the redactor gives back."""

from __future__ import annotations

from dataclasses import dataclass

TYPES = frozenset(
    {
        "PERSON",
        "EMAIL",
        "PHONE",
        "SSN",
        "MRN",
        "MEMBER_ID",
        "MBI",
        "ACCOUNT",
        "CARD",
        "LICENSE",
        "VEHICLE",
        "DEVICE",
        "USERNAME",
        "URL",
        "IP",
        "DATE",
        "AGE",
        "ADDRESS",
        "ZIP",
        "CITY",
        "ORGANIZATION",
    }
)
"""All entity types. They appear in tokens (``<PERSON_1>``), so they are part of the contract with adapters."""


@dataclass(frozen=True, slots=True)
class Entity:
    """One identifier: ``start`` and ``end`` in characters of the input, and what stands there now ('' if nothing)."""

    type: str
    start: int
    end: int
    replacement: str = ""


@dataclass(frozen=True, slots=True)
class Redacted:
    """The text without identifiers, and what was replaced, left to right, never overlapping."""

    text: str
    entities: tuple[Entity, ...]


@dataclass(frozen=True, slots=True)
class Span:
    """A piece of text that is an identifier, with the detector's confidence in (0, 1]."""

    type: str
    start: int
    end: int
    score: float
