"""What records of one conversation mean for each other: whose they are, and whether they may be used.

A conversation is used whole or not at all, and all of it belongs to its patient: a record without a name in it is about
her too, and has to go when she is forgotten, whatever becomes of the record that names her.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Literal

from training.curate.formats.drafts import Facts

Refusal = Literal["", "the record", "another record of the conversation", "a FHIR Consent"]
_SEVERAL = ""
"""In the place of a patient: more than one is named."""


class Belonging:
    """Built from all records of the sources, then asked about each. Holds ids alone.

    ``refused`` are the patients whose refusal counts everywhere.
    """

    def __init__(self, refused: Collection[str]) -> None:
        self._patients = refused
        self._conversations: set[str] = set()
        self._owners: dict[str, str] = {}

    def add(self, facts: Facts, consent: bool) -> None:
        """Take in a record, ``consent`` as it says or as its rule does."""
        if not facts.conversation:
            return
        if not consent or self._refuses(facts):
            self._conversations.add(facts.conversation)
        if facts.patient and self._owners.setdefault(facts.conversation, facts.patient) != facts.patient:
            self._owners[facts.conversation] = _SEVERAL
        if facts.others:
            self._owners[facts.conversation] = _SEVERAL

    def refusal(self, facts: Facts, consent: bool) -> Refusal:
        """What refuses the use of a record; '' where nothing does."""
        if not consent:
            return "the record"
        if self._refuses(facts):
            return "a FHIR Consent"
        return "another record of the conversation" if facts.conversation in self._conversations else ""

    def owner(self, facts: Facts) -> str | None:
        """Whose a record is: its own patient, else the conversation's; None if nobody is named in it.

        Raises LookupError for a record that names several, or nobody in a conversation that names several.
        """
        if facts.others:
            raise LookupError
        if facts.patient or not facts.conversation:
            return facts.patient
        owner = self._owners.get(facts.conversation)
        if owner == _SEVERAL:
            raise LookupError
        return owner

    def _refuses(self, facts: Facts) -> bool:
        return any(patient in self._patients for patient in facts.patients)
