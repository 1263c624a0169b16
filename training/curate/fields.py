"""Fields beside the text without identifiers: groups, topics, terms, and the names of files."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path

import regex

from app.encoder.encoder import Encoder
from app.redaction.detector import Detector
from app.redaction.lexicon import Lexicon
from app.redaction.redactor import Redactor, build_detector
from training.curate.keys import keyed_hash
from training.curate.public import TIMEOUT_S, Public

TOPIC = "topic"
_LONG = regex.compile(r"(?:\d[\W_]?){7,}")
"""A number in groups, or told by several folders."""
_LEAST_NUMBER = 3
"""Digits of a number that may be somebody's, where nothing says what it counts."""
_NUMBERED = regex.compile(rf"\d{{{_LEAST_NUMBER},}}|\b9\d\b")
"""Beside a person: a number of hers, a year, or an age of 90 or more."""
_BAND = regex.compile(r"\b\d{1,2}\s?(?:-|–|to)\s?\d{1,2}\b|\b\d{2}\+")
"""A band of ages."""
_LOCATING = regex.compile(
    r"\b(?:city|town|village|county|parish|district|zip|postcode|postal|street|address|home|employer|company|workplace|"
    r"school|college|church|room|bed|phone|fax|e-?mail|ssn|social|mrn|chart|account|policy|member|id|identifier|plate|"
    r"device|serial|birth|born|dob|death|died|admitted|discharged|name|surname|username|url|ip)\b",
    regex.IGNORECASE,
)
"""Columns that Safe Harbor names: where a patient lives or works, her numbers and her dates (45 CFR 164.514(b)(2))."""
_WORDS = regex.compile(r"\p{Lu}?\p{Ll}+|\p{L}+|\d+")
_MONTH = regex.compile(
    r"(?:jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|may|june?|july?|aug(?:ust)?|sept?(?:ember)?|oct(?:ober)?|"
    r"nov(?:ember)?|dec(?:ember)?)"
)
_OF_FILES = frozenset(
    "calls call chats chat notes note faq faqs transcripts transcript export exports exported sources source data "
    "batch part set sets file files csv tsv jsonl ndjson json txt text vtt webvtt fhir bundle bundles captions records "
    "phone center centre desk front clinic hospital nurse nurses patient patients staff questions answers english "
    "spanish east west north south week day month year internal".split()
)
_ENDINGS = regex.compile(
    r"\.(?:jsonl|ndjson|json|csv|tsv|txt|vtt|md|log|xml|html?|pdf|docx?|xlsx?|zip|gz|bak|tmp)$", regex.IGNORECASE
)


class PlainFields:
    """The fields beside the text without identifiers; the same value is looked at once."""

    def __init__(self, secret: bytes, rules: Detector, detector: Detector) -> None:
        """``rules`` are asked about everything, the whole ``detector`` only about people: it is trained on sentences,
        and takes an age band or the month in a file's name for a date.
        """
        self._secret = secret
        self._rules = Redactor(rules, "log")
        self._detector = detector
        self._lexicon = Lexicon.load()
        self.field: Callable[[str], str] = lru_cache(maxsize=4096)(self._field)
        self.file: Callable[[str], str] = lru_cache(maxsize=4096)(self._file)

    def _field(self, named: str) -> str:
        """The value of ``name: value``; '' if it holds an identifier."""
        name, _, value = named.partition(": ")
        if _LOCATING.search(name.replace("_", " ")) or _NUMBERED.search(_BAND.sub("", value)):
            return ""
        touched = any(entity.end > len(name) for entity in self._rules.redact(named).entities)
        named_alone = self._is_named(value, surely=name != TOPIC)
        return "" if touched or _LONG.search(value) or self._names(value) or named_alone else value

    def _file(self, source: str) -> str:
        """A file's path; a part of it that is not of plain words becomes a keyed hash: a name, a month, a number of a
        call; all of them where several parts together hold an identifier.
        """
        parts = [_of_file(part) for part in source.split("/")]
        across = self._across([words for _, words, _ in parts])
        plain = []
        for stem, words, ending in parts:
            marked = self._rules.redact(words).entities or self._rules.redact(stem).entities
            found = across or not self._is_plain(words) or marked or self._names(words)
            plain.append(f"{keyed_hash(self._secret, 'file', stem + ending)}{ending}" if found else stem + ending)
        return "/".join(plain)

    def _across(self, parts: Sequence[str]) -> bool:
        """Whether parts of a path hold an identifier together that none of them holds alone."""
        whole = " ".join(parts)
        borders = [len(" ".join(parts[:number])) for number in range(1, len(parts))]
        spans = [match.span() for match in _LONG.finditer(whole)]
        spans += [(entity.start, entity.end) for entity in self._rules.redact(whole).entities]
        return any(start < border < end - 1 for start, end in spans for border in borders)

    def _is_plain(self, words: str) -> bool:
        """Whether a name of a file or folder tells nobody: words of every day, and numbers of two digits."""
        for word in _WORDS.findall(words):
            lower = word.lower()
            if lower in _OF_FILES or len(word) == 1 or (word.isdigit() and len(word) < _LEAST_NUMBER):
                continue
            known = lower in self._lexicon.ordinary or lower in self._lexicon.everyday
            if not known or self._lexicon.is_name(lower) or _MONTH.fullmatch(lower):
                return False
        return True

    def _is_named(self, value: str, *, surely: bool) -> bool:
        """Whether a value is nothing but people's names; ``surely``: such as are no everyday words too ("white")."""
        words = [word.lower() for word in _WORDS.findall(value)]
        sure = self._lexicon.given | self._lexicon.surnames
        return bool(words) and all(word in sure or (not surely and self._lexicon.is_name(word)) for word in words)

    def _names(self, value: str) -> bool:
        return any(span.type == "PERSON" for span in self._detector.find(value))


def _of_file(part: str) -> tuple[str, str, str]:
    """A part of a path without its ending, the words in it, and the ending of a known kind of file."""
    match = _ENDINGS.search(part)
    stem, ending = (part[: match.start()], match.group()) if match else (part, "")
    return stem, regex.sub(r"[_\-.,+ ]+", " ", stem), ending


def plain_files(secret: bytes, public: Public, encoder: Path) -> PlainFields:
    """For names of files outside the stage."""
    rules = build_detector(public.details, TIMEOUT_S)
    return PlainFields(secret, rules, build_detector(public.details, TIMEOUT_S, Encoder.load(encoder)))
