"""Figures in a text, in one canonical form each: numbers with units, phones, times, dates, weekdays, links.

"two tablets" and "2 tablets", "9 a.m." and "9:00 AM", "(515) 555-0100" and "515.555.0100" come out equal.
"""

from __future__ import annotations

import re
from collections.abc import Callable

ONES = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen "
    "seventeen eighteen nineteen"
).split()
_TENS = {"twenty": 20, "thirty": 30, "forty": 40, "fifty": 50, "sixty": 60, "seventy": 70, "eighty": 80, "ninety": 90}
_WORDS = {**{w: i for i, w in enumerate(ONES)}, **_TENS}
_DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_NOON, _MIDNIGHT = re.compile(r"\bnoon\b", re.I), re.compile(r"\bmidnight\b", re.I)
_MONTHS = (
    "january",
    "february",
    "march",
    "april",
    "may",
    "june",
    "july",
    "august",
    "september",
    "october",
    "november",
    "december",
)
_UNITS = {
    "mg": "mg",
    "milligram": "mg",
    "mcg": "mcg",
    "microgram": "mcg",
    "g": "g",
    "gram": "g",
    "kg": "kg",
    "kilogram": "kg",
    "ml": "ml",
    "milliliter": "ml",
    "cc": "ml",
    "l": "l",
    "liter": "l",
    "oz": "oz",
    "ounce": "oz",
    "cup": "cup",
    "glass": "glass",
    "teaspoon": "tsp",
    "tsp": "tsp",
    "tablespoon": "tbsp",
    "tbsp": "tbsp",
    "unit": "unit",
    "tablet": "tablet",
    "pill": "pill",
    "capsule": "capsule",
    "puff": "puff",
    "drop": "drop",
    "dose": "dose",
    "minute": "minute",
    "min": "minute",
    "hour": "hour",
    "hr": "hour",
    "day": "day",
    "week": "week",
    "wk": "week",
    "month": "month",
    "year": "year",
    "yr": "year",
    "second": "second",
    "%": "%",
    "percent": "%",
    "f": "f",
    "c": "c",
    "degree": "degree",
    "lb": "lb",
    "pound": "lb",
    "inch": "inch",
    "foot": "foot",
    "feet": "foot",
    "mile": "mile",
    "meter": "meter",
    "time": "time",
    "visitor": "visitor",
    "dollar": "$",
}

_URL = re.compile(
    r"\b(?:https?://|www\.)[^\s<>\"')\]]+|\b[a-z0-9-]+(?:\.[a-z0-9-]+)*\.(?:com|org|gov|net|edu|example|io|info|us)\b(?:/[^\s<>\"')\]]*)?",
    re.I,
)
_EMAIL = re.compile(r"\b[\w.+-]+@[\w-]+(?:\.[\w-]+)+\b")
_PHONE = re.compile(
    r"(?<![\d.])(?:\+?1[\s.-]?)?(?:\(\d{3}\)\s?|\d{3}[\s.-])\d{3}[\s.-]\d{4}(?!\d)|(?<![\d.])\d{3}-\d{4}(?!\d)"
)
_MERIDIEM = r"(a\.?\s?m\.?|p\.?\s?m\.?)(?![a-z])"
_TIME_RANGE = re.compile(
    rf"\b(\d{{1,2}})(?::(\d\d))?\s?(?:-|–|to|until|through|and)\s?(?=\d{{1,2}}(?::\d\d)?\s?{_MERIDIEM})", re.I
)
_TIME = re.compile(rf"\b(\d{{1,2}})(?::(\d\d))?\s?{_MERIDIEM}|\b([01]?\d|2[0-3]):([0-5]\d)\b", re.I)
_DATE = re.compile(
    rf"\b({'|'.join(_MONTHS)}|jan|feb|mar|apr|jun|jul|aug|sept?|oct|nov|dec)\.?\s+(\d{{1,2}})(?:st|nd|rd|th)?\b(?:,?\s+(\d{{4}}))?",
    re.I,
)
_SLASH_DATE = re.compile(r"\b(\d{1,2})/(\d{1,2})(?:/(\d{2,4}))\b")
_DAY = re.compile(r"\b(mon|tue|tues|wed|thu|thur|thurs|fri|sat|sun)(?:day|nesday|sday|rsday|urday)?s?\b", re.I)
_DAY_RANGE = re.compile(r"\b(\w{3})\w*?\s?(?:-|–|to|through)\s?(\w{3})\w*", re.I)
_NUMBER = re.compile(
    r"(?<![\w.])\$?(\d{1,3}(?:,\d{3})+|\d+)(\.\d+)?(?:\s?(?:-|–)\s?(\d+(?:\.\d+)?))?\s?(%|[a-zµ]+)?", re.I
)


def figures(text: str) -> set[str]:
    """All figures of ``text``, canonical. A number with a unit gives ``n:2 hour``; without one ``n:2``."""
    found: set[str] = set()
    text = text.replace("\u2019", "'").replace("\u00b0", " degrees ")
    text = _take(text, _EMAIL, lambda m: found.add("mail:" + m.group().lower()))
    text = _take(text, _URL, lambda m: found.add("url:" + _link(m.group())))
    text = _take(text, _PHONE, lambda m: found.add("tel:" + re.sub(r"\D", "", m.group())[-10:]))
    text = _TIME_RANGE.sub(lambda m: f"{m[1]}:{m[2] or '00'} {m[3]} to ", text)
    text = _take(text, _TIME, lambda m: found.add("t:" + _clock(m)))
    text = _take(text, _NOON, lambda _: found.add("t:12:00"))
    text = _take(text, _MIDNIGHT, lambda _: found.add("t:00:00"))
    text = _take(text, _DATE, lambda m: found.add(_date(m)))
    text = _take(text, _SLASH_DATE, lambda m: found.add(f"d:{int(m[1])}-{int(m[2])}"))
    found |= {"day:" + d for d in weekdays(text)}
    return found | _numbers(text)


def _take(text: str, pattern: re.Pattern[str], use: Callable[[re.Match[str]], None]) -> str:
    def one(match: re.Match[str]) -> str:
        use(match)
        return " ; "

    return pattern.sub(one, text)


def _link(url: str) -> str:
    return re.sub(r"^(https?://)", "", url.lower()).rstrip("/.,;:!?")


def host(url: str) -> str:
    """The host of a canonical link."""
    return url.removeprefix("url:").split("/")[0]


def _clock(match: re.Match[str]) -> str:
    if match[4] is not None:
        return f"{int(match[4]):02d}:{match[5]}"
    hour = int(match[1]) % 12
    if match[3].lower().startswith("p"):
        hour += 12
    return f"{hour:02d}:{match[2] or '00'}"


def _date(match: re.Match[str]) -> str:
    month = next(i for i, name in enumerate(_MONTHS, start=1) if name.startswith(match[1].lower()[:3]))
    return f"d:{month}-{int(match[2])}" + (f"-{match[3]}" if match[3] else "")


def weekdays(text: str) -> set[str]:
    """Weekdays named, ranges opened: "Monday to Wednesday" gives three."""
    days: set[str] = set()
    for match in _DAY_RANGE.finditer(text):
        ends = [i for part in match.groups() for i, d in enumerate(_DAYS) if d.startswith(part.lower())]
        if len(ends) == 2 and _DAY.match(match.group()):
            first, last = ends
            days |= {_DAYS[i % 7] for i in range(first, (last if last >= first else last + 7) + 1)}
    for match in _DAY.finditer(text):
        name = match.group().lower()
        if len(name) > 3 or match.group()[0].isupper():
            days |= {
                d
                for d in _DAYS
                if d.startswith(name.rstrip("s")[:3]) and (name.rstrip("s") == d or len(name.rstrip("s")) <= 5)
            }
    return days


def _numbers(text: str) -> set[str]:
    text = re.sub(r"\b[a-z]+(?:[- ][a-z]+)?\b", _spelled, text, flags=re.I)
    text = re.sub(r"(\d)\s(?:to|and|or)\s(?=\d)", r"\1-", text)
    found: set[str] = set()
    for match in _NUMBER.finditer(text):
        unit = _unit(match[4] or "")
        if match.group().startswith("$"):
            unit = "$"
        values = [match[1].replace(",", "") + (match[2] or "")] + ([match[3]] if match[3] else [])
        for value in values:
            plain = f"{float(value):g}"
            found.add(f"n:{plain} {unit}".strip())
    return found


def _spelled(match: re.Match[str]) -> str:
    words = re.split(r"[- ]", match.group().lower())
    if len(words) == 2 and words[0] in _TENS and 0 < _WORDS.get(words[1], 0) < 10:
        return str(_TENS[words[0]] + _WORDS[words[1]])
    return re.sub(r"[a-z]+", lambda m: _digit(m.group()), match.group(), flags=re.I)


def _digit(word: str) -> str:
    return str(_WORDS[word.lower()]) if word.lower() in _WORDS and word.lower() != "one" else word


def _unit(word: str) -> str:
    word = word.lower()
    return _UNITS.get(word) or _UNITS.get(word.removesuffix("s")) or ""
