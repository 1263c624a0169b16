"""Move dates by whole weeks, each in the form in which it was written.

All dates of a patient move by the same number of weeks into the past, so that intervals and weekdays stay true and the
real days are told to nobody. A site whose privacy officer wants HIPAA's Safe Harbor to the letter (no day at all, 45
CFR 164.514(b)(2)(i)(C)) sets ``dates: token``.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, timedelta

from training.curate.keys import keyed_number

MOST_WEEKS = 52
_SOME_YEAR = 2025
"""Taken where neither the date nor the record tells a year; it is then not written either."""
_AGE_TOLD = 89
"""A date further back than this many years tells an age that has to become 90+."""
_LANGUAGES = (
    "january february march april may june july august september october november december".split(),
    "enero febrero marzo abril mayo junio julio agosto septiembre octubre noviembre diciembre".split(),
)
_NUMERIC = re.compile(r"(\d{1,4})(\s?[-/.]\s?)(\d{1,2})(?:(\s?[-/.]\s?)(\d{4}|\d{2}))?")
_YEAR = r"(?:(?P<glue>,?\s+(?:of\s+|de\s+)?|-)(?P<year>(?:19|20)\d\d))?"
_MONTH_FIRST = re.compile(
    rf"(?P<head>(?:(?:mon|tue|wed|thu|fri|sat|sun)[a-z]*\.?,?\s+)?)(?P<month>[a-z]+)(?P<mid>\.?\s+(?:the\s+)?)(?P<day>\d\d?)(?P<th>(?:st|nd|rd|th)?){_YEAR}",
    re.IGNORECASE,
)
_DAY_FIRST = re.compile(
    rf"(?P<head>(?:(?:mon|tue|wed|thu|fri|sat|sun)[a-z]*\.?,?\s+)?)(?P<day>\d\d?)(?P<th>(?:st|nd|rd|th)?)(?P<mid>\s+(?:of\s+|de\s+)?|-)(?P<month>[a-z]+){_YEAR}",
    re.IGNORECASE,
)

_Parsed = tuple[int | None, int, int, Callable[[date], str]]


@dataclass(frozen=True, slots=True)
class Shift:
    """How far one patient's dates move. ``reference`` is the record's own date (ISO, unmoved; '' if unknown)."""

    weeks: int
    reference: str = ""

    def text(self, value: str) -> str | None:
        """A date as it was written, moved. None if its form is not known, or if it tells an age of 90 or more."""
        parsed = _numeric(value.strip(), self._this_year) or _written(value.strip())
        if parsed is None:
            return None
        year, month, day, write = parsed
        try:
            real = date(year or self._this_year, month, day)
        except ValueError:
            return None
        if real.year < self._this_year - _AGE_TOLD:
            return None
        return write(real - timedelta(weeks=self.weeks))

    def iso(self, value: str) -> str:
        """An ISO date, moved; of a month or a year alone its middle moves. '' stays ''."""
        whole = value + {10: "", 7: "-15", 4: "-07-01"}.get(len(value), "")
        return (date.fromisoformat(whole) - timedelta(weeks=self.weeks)).isoformat()[: len(value)] if value else ""

    @property
    def _this_year(self) -> int:
        return int(self.reference[:4] or _SOME_YEAR)


def shift_of(secret: bytes, person: str, reference: str = "") -> Shift:
    """The shift of whoever ``person`` names (a patient, else a conversation): 1 to 52 weeks, known to the key alone."""
    return Shift(1 + keyed_number(secret, "weeks", person, MOST_WEEKS), reference)


def _numeric(value: str, this_year: int) -> _Parsed | None:
    match = _NUMERIC.fullmatch(value)
    if match is None:
        return None
    a, first, b, second, c = match.groups()
    iso = len(a) == 4 and c is not None and len(b) == len(c) == 2
    padded = iso or any(part.startswith("0") for part in (a, b, c) if part and len(part) == 2)

    def two(number: int) -> str:
        return f"{number:02}" if padded else str(number)

    if len(a) == 4 and c:
        return int(a), int(b), int(c), lambda day: f"{day.year}{first}{two(day.month)}{second}{two(day.day)}"
    if len(a) > 2:
        return None
    month_first = int(a) <= 12

    def write(day: date) -> str:
        parts = (two(day.month), two(day.day)) if month_first else (two(day.day), two(day.month))
        year = "" if not c else f"{second}{str(day.year)[-len(c) :]}"
        return f"{parts[0]}{first}{parts[1]}{year}"

    month, day = (int(a), int(b)) if month_first else (int(b), int(a))
    return _whole_year(c, this_year), month, day, write


def _whole_year(written: str | None, this_year: int) -> int | None:
    if not written or len(written) == 4:
        return int(written) if written else None
    return 2000 + int(written) if 2000 + int(written) <= this_year + 1 else 1900 + int(written)


def _written(value: str) -> _Parsed | None:
    match = _MONTH_FIRST.fullmatch(value) or _DAY_FIRST.fullmatch(value)
    found = _month(match["month"]) if match else None
    if match is None or found is None:
        return None
    number, names = found
    word, month_first = match["month"], match.re is _MONTH_FIRST

    def write(day: date) -> str:
        name = names[day.month - 1]
        name = name if word.casefold() in names else name[:3]
        name = name.upper() if word.isupper() else name.title() if word[0].isupper() else name
        told = f"{day.day}{_ordinal(day.day)}" if match["th"] else str(day.day)
        order = (name, match["mid"], told) if month_first else (told, match["mid"], name)
        return f"{match['head']}{''.join(order)}{match['glue'] or ''}{day.year if match['year'] else ''}"

    return int(match["year"]) if match["year"] else None, number, int(match["day"]), write


def _month(word: str) -> tuple[int, list[str]] | None:
    key = word.casefold()
    for names in _LANGUAGES:
        for number, name in enumerate(names, start=1):
            if name == key or (len(key) in (3, 4) and name.startswith(key)):
                return number, names
    return None


def _ordinal(day: int) -> str:
    return "th" if 10 <= day <= 20 else {1: "st", 2: "nd", 3: "rd"}.get(day % 10, "th")
