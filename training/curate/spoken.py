"""Figures as people say them: "half past four", "from nine to three", "an hour and a half", "a dozen", "half off",
"room one oh eight", a phone digit by digit.

A time without morning or evening is either of two: its value begins with :data:`EITHER`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from app.guardrails.figures import ONES

EITHER = "?"
"""In front of a time that may be before or after noon."""
LASTING = {"minute": 1, "hour": 60, "day": 1440, "week": 10080, "month": 43200, "year": 518400}
"""Minutes; a month is 30 days and a year twelve of them."""

_TENS = {"twenty": 20, "thirty": 30, "forty": 40, "fifty": 50, "sixty": 60, "seventy": 70, "eighty": 80, "ninety": 90}
_ONE_TO_NINE = "|".join(ONES[1:10])
_BELOW_HUNDRED = rf"(?:(?:{'|'.join(_TENS)})(?:[- ](?:{_ONE_TO_NINE}))?|{'|'.join(ONES[1:])})"
_HOUR = rf"(?:{'|'.join(ONES[1:13])}|1[0-2]|[1-9])"
_LONG = "hour|day|week|month|year"
_COUNTED = "minute|hour|day|week|month|year|milli|dollar|percent|mile|pound"
_DIGIT = rf"(?:oh|{'|'.join(ONES[:10])})"
_ENDS = r"(?=\s*(?:[.,;?!]|$)|\s(?:on|every|each|daily|weekdays|(?:mon|tues|wednes|thurs|fri|satur|sun)days?)\b)"
"""What follows two bare hours; behind other words they are numbers of something."""


@dataclass(frozen=True, slots=True)
class Spoken:
    """One figure: its kind, value and unit as in :class:`training.curate.figures.Figure`, and where it stands."""

    kind: str
    value: str
    unit: str
    start: int
    end: int


def spoken(text: str) -> Iterator[Spoken]:
    """The figures of ``text`` that are said in words, pattern by pattern; none lies on another."""
    taken = bytearray(len(text))
    for pattern, read in _PATTERNS:
        for match in pattern.finditer(text):
            start, end = match.span()
            if not any(taken[start:end]) and (found := list(read(match))):
                taken[start:end] = b"\1" * (end - start)
                yield from found


def whole(words: str) -> int:
    """The number that words below a thousand say, or that digits write."""
    total = 0
    for word in re.split(r"[\s-]+", words.lower()):
        if word.isdigit():
            total += int(word)
        elif word == "hundred":
            total = 100 * (total or 1)
        elif word in _TENS:
            total += _TENS[word]
        elif word in ONES:
            total += ONES.index(word)
        elif word in ("a", "an"):
            total += 1
    return total


def _clock(hour: int, minutes: int, part: str | None) -> str:
    if not part:
        return f"{EITHER}{hour % 12:02d}:{minutes:02d}"
    return f"{hour % 12 + (0 if 'morning' in part.lower() else 12):02d}:{minutes:02d}"


def _past(match: re.Match[str]) -> Iterator[Spoken]:
    hour, how = whole(match["hour"]), match["past"].lower()
    minutes = {"half past": 30}.get(" ".join(how.split()), 45 if how.endswith(("to", "till")) else 15)
    yield _time(match, hour - 1 if minutes == 45 else hour, minutes)


def _plain_hour(match: re.Match[str]) -> Iterator[Spoken]:
    yield _time(match, whole(match["hour"]), whole(match["minutes"] or "") % 60)


def _time(match: re.Match[str], hour: int, minutes: int) -> Spoken:
    return Spoken("time", _clock(hour, minutes, match["part"]), "", *match.span())


def _span(match: re.Match[str]) -> Iterator[Spoken]:
    for name in ("first", "last"):
        yield Spoken("time", _clock(whole(match[name]), 0, None), "", *match.span(name))


def _phone(match: re.Match[str]) -> Iterator[Spoken]:
    digits = [str(max(0, ONES.index(word)) if word in ONES else 0) for word in re.findall(r"[a-z]+", match[0].lower())]
    if len(digits) in (4, 7, 10):
        yield Spoken("phone", "".join(digits), "", *match.span())


def _last_four(match: re.Match[str]) -> Iterator[Spoken]:
    yield Spoken("phone", match[0], "", *match.span())


def _counted(match: re.Match[str]) -> Iterator[Spoken]:
    yield Spoken("number", str(whole(match["many"])), match["long"].lower(), *match.span())


def _cents(match: re.Match[str]) -> Iterator[Spoken]:
    yield Spoken("number", str(whole(match["many"]) / 100), "$", *match.span())


def _thousand(match: re.Match[str]) -> Iterator[Spoken]:
    yield Spoken("number", "1000", "$", *match.span())


def _half(match: re.Match[str]) -> Iterator[Spoken]:
    smaller = {"hour": ("30", "minute"), "day": ("12", "hour"), "month": ("15", "day"), "year": ("6", "month")}
    if found := smaller.get(match["long"].lower()):
        yield Spoken("number", *found, *match.span())


def _and_a_half(match: re.Match[str]) -> Iterator[Spoken]:
    many = whole(match["many"] or "a")
    smaller = {"hour": (60, "minute"), "day": (24, "hour"), "year": (12, "month")}
    if found := smaller.get(match["long"].lower()):
        yield Spoken("number", str(found[0] * many + found[0] // 2), found[1], *match.span())


def _quarters(match: re.Match[str]) -> Iterator[Spoken]:
    yield Spoken("number", "45" if match[0].lower().startswith("three") else "15", "minute", *match.span())


def _one(match: re.Match[str]) -> Iterator[Spoken]:
    yield Spoken("number", "1", match["long"].lower(), *match.span())


def _dozen(match: re.Match[str]) -> Iterator[Spoken]:
    yield Spoken("number", str(12 * whole(match["many"] or "a")), "", *match.span())


def _hundred(match: re.Match[str]) -> Iterator[Spoken]:
    unit = _UNITS.get((match["unit"] or "").lower(), "")
    yield Spoken("number", str(whole(match["many"].replace(" and ", " "))), unit, match.start(), match.end("many"))


def _bucks(match: re.Match[str]) -> Iterator[Spoken]:
    yield Spoken("number", str(whole(match["many"])), "$", *match.span())


def _room(match: re.Match[str]) -> Iterator[Spoken]:
    first, rest = match["first"], match["rest"]
    yield Spoken("number", str(100 * whole(first) + whole(rest)), "", match.start("first"), match.end())


def _half_off(match: re.Match[str]) -> Iterator[Spoken]:
    yield Spoken("number", "50", "%", *match.span())


_UNITS: Mapping[str, str] = {
    "percent": "%", "dollars": "$", "pounds": "lb", "miles": "mile", "milligrams": "mg", "days": "day", "degrees": "",
}  # fmt: skip
_PART = r"(?:\s(?P<part>in\s(?:the\s)?(?:morning|afternoon|evening)|at\snight))"
_Reader = Callable[[re.Match[str]], Iterator[Spoken]]
_PATTERNS: tuple[tuple[re.Pattern[str], _Reader], ...] = tuple(
    (re.compile(text.replace(" ", r"\s"), re.IGNORECASE), read)
    for text, read in (
        (rf"\b{_DIGIT}(?:(?:, ?| |-){_DIGIT}){{6,9}}\b", _phone),
        (rf"\b(?:oh|zero)(?:(?:, ?| |-){_DIGIT}){{3}}\b", _phone),
        (r"(?<=\bcall )0\d{3}\b", _last_four),
        (rf"\b(?P<many>{_BELOW_HUNDRED}|\d+) (?:business|working) (?P<long>day)s?\b", _counted),
        (rf"\b(?P<many>{_BELOW_HUNDRED}|\d+) cents\b", _cents),
        (r"\ba thousand dollars\b", _thousand),
        (rf"\b(?P<past>half past|(?:a )?quarter (?:past|after|to|till)) (?P<hour>{_HOUR})\b{_PART}?", _past),
        (rf"\b(?P<hour>{_HOUR})(?P<minutes>)(?: o['’]?clock)\b{_PART}?", _plain_hour),
        (rf"\b(?P<hour>{_HOUR}) (?P<minutes>fifteen|thirty|forty-five)\b(?![- ](?:{_COUNTED})){_PART}?", _plain_hour),
        (rf"(?<![\d:.,$])\b(?P<hour>{_HOUR})(?::(?P<minutes>[0-5]\d))?{_PART}", _plain_hour),
        (rf"\b(?:from|between) (?P<first>{_HOUR}) (?:to|and|until|till) (?P<last>{_HOUR})\b{_ENDS}", _span),
        (rf"\b(?:an?|(?P<many>one|two|three)) (?P<long>{_LONG})s? and a half\b", _and_a_half),
        (r"\b(?:a|three) quarters? of an hour\b", _quarters),
        (rf"\bhalf (?:an? )?(?P<long>{_LONG})\b", _half),
        (rf"\b(?:one|a (?:full|whole)) (?P<long>{_LONG})\b", _one),
        (rf"\ban? (?P<long>{_LONG})\b(?= (?:before|ahead|earlier|in advance|of notice))", _one),
        (rf"(?<=\bwithin )an? (?P<long>{_LONG})\b", _one),
        (r"\b(?:an?|(?P<many>one|two|three|four|five)) dozens?\b", _dozen),
        (rf"\b(?P<many>(?:an?|{_ONE_TO_NINE}) hundred(?:(?: and)? {_BELOW_HUNDRED})?)\b(?: (?P<unit>\w+))?", _hundred),
        (rf"\b(?P<many>{_BELOW_HUNDRED}|\d+) bucks?\b", _bucks),
        (rf"\b(?:room|suite) (?P<first>{_ONE_TO_NINE}) (?:oh )?(?P<rest>{_BELOW_HUNDRED})\b", _room),
        (r"\bhalf (?:off|price)\b", _half_off),
    )
)  # fmt: skip
