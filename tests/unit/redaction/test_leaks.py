"""Only the patient's own identifiers, the hospital's and the cited passage's may stand in a model's sentence."""

from __future__ import annotations

from app.redaction.detector import Detector
from app.redaction.leaks import foreign_identifiers
from app.redaction.vault import MemoryVault

PASSAGE = "Ask Juan Ortega at 515-555-0190. The clinic opens on October 1."


def test_invented_identifiers_are_told(detector: Detector) -> None:
    text = "Call Dr. Smith at 515-555-0199 on March 4."
    found = foreign_identifiers(detector, text, MemoryVault())
    assert [(e.type, text[e.start : e.end]) for e in found] == [
        ("PERSON", "Smith"),
        ("PHONE", "515-555-0199"),
        ("DATE", "March 4"),
    ]


def test_own_pseudonyms_values_and_facts_are_no_leaks(detector: Detector) -> None:
    vault = MemoryVault({"<PERSON_1>": "Maria Gonzalez", "<PHONE_1>": "515-555-0142"})
    assert foreign_identifiers(detector, "Hello <PERSON_1>, we have <PHONE_1>.", vault) == []
    assert foreign_identifiers(detector, "Hello Maria Gonzalez, we have 5155550142.", vault) == []
    assert foreign_identifiers(detector, "Call the nurse line at 515-555-0111.", vault) == []
    quoted = "Juan Ortega answers on 515-555-0190 from October 1."
    assert foreign_identifiers(detector, quoted, vault, [PASSAGE]) == []
    assert len(foreign_identifiers(detector, quoted, vault)) == 3
