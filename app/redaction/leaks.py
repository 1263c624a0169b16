"""Identifiers in a model's sentence that the patient did not give."""

from __future__ import annotations

from collections.abc import Collection

import regex

from app.redaction.detector import Detector
from app.redaction.entities import Entity
from app.redaction.vault import Vault, lookup_key

_WORDS = regex.compile(r"[\p{L}\d]++")


def foreign_identifiers(detector: Detector, text: str, vault: Vault, sources: Collection[str] = ()) -> list[Entity]:
    """Identifiers that are neither the patient's own words nor in ``sources`` (the cited passages).

    ``text`` may still hold pseudonyms; these are no identifiers. What the detector allows (the hospital's own numbers)
    is no leak. Raises RedactionFailed: the sentence must then not be shown.
    """
    given = {lookup_key(value) for value in vault.tokens().values()}
    facts = "\n".join(f" {_plain(source)} " for source in sources)
    return [
        Entity(span.type, span.start, span.end)
        for span in detector.find(text)
        if lookup_key(text[span.start : span.end]) not in given
        and f" {_plain(text[span.start : span.end])} " not in facts
    ]


def _plain(value: str) -> str:
    return " ".join(match.group() for match in _WORDS.finditer(value.lower()))
