"""What is no secret of a patient: the hospital's own details, and what its articles say to everybody."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

import regex

from app.contracts.site import Site
from app.redaction.lexicon import Lexicon
from app.redaction.redactor import build_detector
from app.redaction.vault import lookup_key
from training.curate.druglist import DrugList

_WORDS = regex.compile(r"\p{L}[\p{L}'’\-]*")
_YEAR = regex.compile(r"(?:19|20)\d\d|/\d\d$")
_TYPES = ("PHONE", "URL", "EMAIL", "ADDRESS")
_TELLING = regex.compile(r"\d|@|www\.|://|\.[a-z]{3,}\b")
"""Lines without one of these hold none of them and no day of the year: most lines need no detector."""
TIMEOUT_S = 60.0
"""For one text. It bounds one that hangs a recognizer; machines under load must not change the output."""


@dataclass(frozen=True, slots=True)
class Public:
    """``words`` (small letters), ``details`` (numbers, addresses, names of drugs) and ``days`` of a year that anybody
    may read in the hospital's articles; ``everyday`` words that are no names, and drugs' names.
    """

    words: frozenset[str]
    everyday: frozenset[str]
    details: tuple[str, ...]
    days: frozenset[str]
    drugs: frozenset[str]

    @classmethod
    def read(cls, site: Site, articles: Path, allowed: Collection[str] = ()) -> Public:
        """From the site, its articles and ``allowed`` details. A day with a year is no lasting fact and left out."""
        detector = build_detector(timeout_s=TIMEOUT_S)
        words: set[str] = set()
        details = {*site.own_details, *allowed}
        days: set[str] = set()
        for path in sorted(articles.glob("*.md")):
            text = path.read_text(encoding="utf-8", errors="replace")
            words.update(_WORDS.findall(text.casefold()))
            told = "\n".join(line for line in text.splitlines() if _TELLING.search(line))
            for span in detector.find(told):
                value = told[span.start : span.end]
                if span.type in _TYPES:
                    details.add(value)
                elif span.type == "DATE" and not _YEAR.search(value):
                    days.add(lookup_key(value))
        spelling, lexicon = DrugList.load(), Lexicon.load()
        drugs = frozenset(spelling.drug_of)
        details.update(drug for drug in drugs if not lexicon.is_name(drug))
        everyday = frozenset(word for word in spelling.words if not lexicon.is_name(word))
        return cls(frozenset(words), everyday, tuple(sorted(details)), frozenset(days), drugs)
