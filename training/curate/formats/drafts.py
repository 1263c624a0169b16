"""What a piece of a file becomes: a draft of a record, or the fault for which it is none; and the facts of either."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from training.curate.records import Turn


@dataclass(frozen=True, slots=True)
class Facts:
    """What a source tells beside the words; None and '' where it says nothing. ``others`` are patients whom parts of
    the piece name beside ``patient``; ``seen`` are the keys of the rule that it has.
    """

    patient: str | None = None
    conversation: str | None = None
    topic: str = ""
    language: str = ""
    date: str = ""
    licence: str = ""
    consent: bool | None = None
    resolved: bool | None = None
    names: tuple[str, ...] = ()
    groups: Mapping[str, str] = field(default_factory=dict)
    others: tuple[str, ...] = ()
    seen: frozenset[str] = field(default=frozenset(), compare=False)

    @property
    def patients(self) -> tuple[str, ...]:
        """All whom the piece names."""
        return (self.patient, *self.others) if self.patient else ()


@dataclass(frozen=True, slots=True)
class Draft:
    """A record as its source has it, not yet judged. ``repaired`` if its bytes were not UTF-8."""

    place: int
    turns: tuple[Turn, ...]
    facts: Facts
    repaired: bool = False


@dataclass(frozen=True, slots=True)
class Fault:
    """Why a piece of a file was not read. ``line`` counts from 1 (0: the whole file); ``reason`` is a fixed phrase
    without the source's words; ``detail`` and ``raw`` are for the quarantine alone. ``facts`` are what it tells all the
    same of patient, conversation and consent, which counts for others (None: nothing could be read of it).
    """

    line: int
    reason: str
    detail: str = ""
    raw: str = ""
    facts: Facts | None = None
