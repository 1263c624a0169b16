"""Figures in a text with their places: phones, times, weekdays, dates, prices, doses and other numbers.

What a figure means is told by :func:`app.guardrails.figures.figures`, as for the answers of the model in service; here
each is found in its place, so that it can be put right.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

from app.guardrails.figures import ONES, figures
from training.curate.spoken import EITHER, LASTING, Spoken, spoken

Kind = Literal["phone", "time", "days", "date", "number", "link", "state"]

_TENS = "twenty|thirty|forty|fifty|sixty|seventy|eighty|ninety|hundred"
_SPELLED = rf"(?:(?:{_TENS})(?:[- ](?:{'|'.join(ONES[1:10])}))?|{'|'.join(ONES[1:])})"
_DAY = r"(?:mon|tues|wednes|thurs|fri|satur|sun)days?|\b(?:mon|tues?|wed|thu|thurs?|fri|sat|sun)\b"
_UNIT = r"[\s-]?(?:%|°\s?[FC]\b|[a-zµ]+(?:/[a-z]+)?\b)"
_PIECE = re.compile(
    rf"""
    (?P<skipped><(?!PHONE)[A-Z_]+(?:_\d+)?>|\b\d{{1,2}}[-/.]\d{{1,2}}[-/.]\d{{2,4}}\b|\b\d{{4}}-\d\d-\d\d\b)
    |(?P<state>(?:\bnot\s|n['’]t\s)?\b(?:open|closed)(?=\s(?:on\s)?(?P<on>{_DAY})))
    |(?P<link>https?://\S+|www\.\S+|\b[\w.+-]+@[\w-]+(?:\.[\w-]+)+\b)
    |(?P<phone>(?<![\d.])(?:\+?1[\s.-]?)?(?:\(\d{{3}}\)\s?|\d{{3}}[\s.-])\d{{3}}[\s.-]\d{{4}}(?!\d)|<PHONE(?:_\d+)?>)
    |(?P<time>(?<![\d:.])\d{{1,2}}(?::\d\d)?\s?[ap]\.?\s?m\b\.?|\b(?:[01]?\d|2[0-3]):[0-5]\d\b|\bnoon\b|\bmidnight\b)
    |(?P<days>\b(?:{_DAY})\s?(?:-|–|to|through)\s?(?:{_DAY})|\b(?:{_DAY})
        |\bevery\sday\b|\bseven\sdays\sa\sweek\b|\bweekdays\b)
    |(?P<number>\$?\d+(?:,\d{{3}})*(?:\.\d+)?(?:{_UNIT})?|\b{_SPELLED}\b(?:{_UNIT})?)
    """,
    re.IGNORECASE | re.VERBOSE,
)
_KINDS = ("skipped", "state", "link", "phone", "time", "days", "number")
_ALL_WEEK = frozenset(f"day:{day}day" for day in ("mon", "tues", "wednes", "thurs", "fri", "satur", "sun"))
_WORKING = _ALL_WEEK - {"day:saturday", "day:sunday"}


@dataclass(frozen=True, slots=True)
class Figure:
    """``value`` is canonical (the same for "9 a.m." and "9:00 AM"), ``unit`` of numbers only ("mg", "" if none).

    A state is "open" or "closed" with the weekday behind it.
    """

    kind: Kind
    value: str
    unit: str
    text: str
    start: int
    end: int

    @property
    def removed(self) -> bool:
        """Whether de-identification took it out: it was no number of the hospital's."""
        return self.text.startswith("<")

    def says(self, other: Figure) -> bool:
        """Whether both say the same: 24 hours are a day, half past four may be 4:30 p.m., a phone may leave out the
        area.
        """
        if self.kind != other.kind:
            return False
        if self.kind == "time" and EITHER in self.value + other.value:
            return _twelve(self.value) == _twelve(other.value)
        if self.kind == "phone" and not self.removed and not other.removed:
            return self.value.endswith(other.value) or other.value.endswith(self.value)
        if self.unit in LASTING and other.unit in LASTING:
            return float(self.value) * LASTING[self.unit] == float(other.value) * LASTING[other.unit]
        return (self.value, self.unit) == (other.value, other.unit)


def _twelve(value: str) -> tuple[int, str]:
    hour, _, minutes = value.removeprefix(EITHER).partition(":")
    return int(hour) % 12, minutes


@lru_cache(maxsize=20_000)
def read_figures(text: str) -> tuple[Figure, ...]:
    """All figures, left to right."""
    found = [_said(one, text) for one in spoken(text)]
    rest = list(text)
    for said in found:
        rest[said.start : said.end] = "|" * (said.end - said.start)
    found += _written("".join(rest))
    return tuple(sorted(found, key=lambda figure: figure.start))


def _said(one: Spoken, text: str) -> Figure:
    kind: Kind = "time" if one.kind == "time" else "phone" if one.kind == "phone" else "number"
    return Figure(kind, one.value, one.unit, text[one.start : one.end], one.start, one.end)


def _written(text: str) -> list[Figure]:
    found: list[Figure] = []
    for match in _PIECE.finditer(text):
        kind = next(name for name in _KINDS if match[name])
        piece = match.group()
        if kind == "skipped":
            continue
        if kind == "state":
            shut = piece.lower().endswith("closed") != piece.lower().startswith("n")
            value = f"{'closed' if shut else 'open'} {' '.join(sorted(_days(match['on'])))}"
            found.append(Figure("state", value, "", piece, *match.span()))
        elif kind == "phone" and piece.startswith("<"):
            found.append(Figure("phone", piece, "", piece, *match.span()))
        elif kind == "days":
            found.append(Figure("days", " ".join(sorted(_days(piece))), "", piece, *match.span()))
        else:
            found += _figure(match)
    return found


def _days(piece: str) -> frozenset[str]:
    lower = " ".join(piece.lower().split())
    if lower in ("every day", "seven days a week"):
        return _ALL_WEEK
    if lower == "weekdays":
        return _WORKING
    return frozenset(figure for figure in figures(piece[:1].upper() + piece[1:]) if figure.startswith("day:"))


def _figure(match: re.Match[str]) -> list[Figure]:
    piece, (start, end) = match.group(), match.span()
    read = sorted(figures(piece))
    if len(read) != 1 or read[0].startswith("day:"):
        return []
    kind, _, rest = read[0].partition(":")
    value, _, unit = rest.partition(" ")
    if kind == "n":
        if not unit or piece.startswith("$"):
            # The word after a number is no unit that is known: it is no part of the figure.
            number = re.match(rf"\$?\d+(?:,\d{{3}})*(?:\.\d+)?|{_SPELLED}\b", piece, re.IGNORECASE)
            end = start + (number.end() if number else len(piece))
        return [Figure("number", value, unit, match.string[start:end], start, end)]
    kinds: dict[str, Kind] = {"tel": "phone", "t": "time", "d": "date", "url": "link", "mail": "link"}
    return [Figure(kinds[kind], value, "", piece, start, end)] if kind in kinds else []
