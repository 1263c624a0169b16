"""Numbers that look like identifiers and like nothing in medicine, wherever they stand.

Kept: doses, ranges ("5000-8000"), years, ICD and HCPCS codes, gene variants, trial and drug codes (``is_code``), and
whatever has a unit after it or the name of a test before it.
"""

from __future__ import annotations

from collections.abc import Callable

import regex

from app.redaction.recognizers.measures import UNIT, measured, one_of_readings, value_before
from app.redaction.recognizers.rules import Match, Rule, compile_rule
from app.redaction.recognizers.spoken import run

_CODE = regex.compile(
    r"[A-TV-Z]\d[\dAB](?:\.\w{1,4})?"  # ICD-10
    r"|[A-CE-HJ-MP-V]\d{4}|D\d{4}|\d{4}[FTU]"  # HCPCS, dental and category codes
    r"|\d{5}-(?:25|26|50|59|76|9\d|[A-Z]{2})"  # a procedure code with its modifier
    r"|(?i:rs)\d{3,10}|(?i:nct)\d{8}|[ACGT]\d{2,6}[ACGT]|[A-Z]\d{2,4}[A-Z*]|(?i:cyp)\w{3,8}|(?i:hla)[\-\w*:]*|"
    r"BNT162[bB]2|(?:JNJ|BMS|GSK|LY|PF|AZD|ABT|BAY|INCB|mRNA)-?\d+[A-Z]?|(?:RO|RG|SB|MK|CP|AMG|ABBV|SCH|ONO|TAK|REGN|"
    r"MEDI|SAR|ACZ|BI|CT|TMC|VX|LDK)(?:-\d+|\d{3,5})[A-Z]?"
    r"|(?:19|20)\d{2}-(?:\d{2}|(?:19|20)\d{2})"  # a season or a school year
    r"|\d{1,6}(?:IU|U|MG|MCG|ML|MEQ|CC|G|KG|K|LB|LBS|CAL|MM|CM|AM|PM|X|H|HR|HRS|D|ND|RD|ST|TH|YO|PPM|HZ|OZ|FR)",
    regex.IGNORECASE,
)
_UPPER_CODE = regex.compile(r"[A-Z]\d{4,5}")
_WORD = regex.compile(r"[a-z]{3,}")
_NAMES = regex.compile(r"[\p{L}][\p{L}\d]*+(?=[\s:=,]|\Z)")
_PLAIN = regex.compile(r"(?:^|[\s\-])[\d\-]+\Z")
_LONG_WORD = regex.compile(r"[A-Za-z]{6,}")


_CAPITALS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"


def is_code(value: str) -> bool:
    """Whether a token is a code of medicine rather than of a person."""
    return bool(_CODE.fullmatch(value))


def is_range(value: str) -> bool:
    """Whether a token is two numbers that go up ("5000-8000"); a leading zero makes it an identifier."""
    low, hyphen, high = value.partition("-")
    if not hyphen or not (low.isdigit() and high.isdigit()) or low.startswith("0") or high.startswith("0"):
        return False
    return int(low) < int(high) and len(high) - len(low) in (0, 1)


def shape_rules(medical: frozenset[str]) -> list[Rule]:
    """ACCOUNT (any number of an unknown kind), VEHICLE, DEVICE.

    ``medical`` are names of tests and drugs: a number right after one is its value.
    """
    lead = r"(?<![\w.,/$£€+\-])"
    prefix = (
        r"(?:(?!(?:MRN|SSN|RX|DL|ID|VIN|SN|NO|ER|OR|AM|PM|TEL|PH|FAX|CELL|ZIP|DOB|MBI|NPI|DEA|BIN|PCN|GRP|ACCT|CALL|"
        r"TEXT|IS|MY|AND|THE|FOR|TO|AT|ON|IN)\b)[A-Z]{1,4}[ ])?"
    )
    return [
        compile_rule(
            "VEHICLE",
            r"(?<!\w)(?P<v>(?=[A-Z]*\d)(?=\d*[A-Z])[A-HJ-NPR-Z0-9]{17})(?!\w)",
            0.9,
            accept=_identification_number,
            needs="digit",
        ),
        compile_rule("DEVICE", r"(?<![\w:])(?P<v>[0-9A-F]{2}(?:[:\-][0-9A-F]{2}){5})(?![\w:])", 0.95),
        compile_rule(
            "ACCOUNT",
            r"(?<!\w)(?P<v>[A-Z]{2}\d{2}(?:[ \-]?[A-Z0-9]{4}){2,7}(?:[ \-]?[A-Z0-9]{1,3})?)(?!\w)",
            0.85,
            accept=_many_digits,
            needs="digit",
            exact_case=True,
        ),
        compile_rule(
            "ACCOUNT",
            rf"{lead}(?P<v>{prefix}(?P<n>(?=[A-Za-z\-]{{0,12}}\d)[A-Za-z0-9]++(?:-[A-Za-z0-9]++){{0,6}}+))(?![\w%@]|"
            rf"[\-./:,]\w)",
            0.65,
            accept=_no_value_of(medical, _identifying),
            needs="digit",
            exact_case=True,
        ),
        compile_rule(
            "ACCOUNT",
            rf"{lead}(?P<v>(?:(?-i:[A-Z]{{1,3}})[ ]?)?\d{{2,5}}(?:[ ]\d{{2,5}}){{1,4}})(?![\w%/]|[.,:\-]\d)",
            0.6,
            accept=_no_value_of(medical, _groups),
            needs="digit",
        ),
        compile_rule(
            "ACCOUNT",
            r"(?<![\w.,/$£€])\#\s?(?P<v>(?=[A-Z\-]{0,6}\d)[A-Z0-9\-]{5,20})(?!\w)",
            0.65,
            accept=_tagged,
            needs="digit",
        ),
        compile_rule(
            "ACCOUNT", r"(?<![\w.,/])(?P<v>\d(?:[ \-]\d){6,18})(?!\w|[ \-]\d)", 0.6, accept=_no_readings, needs="digit"
        ),
        compile_rule(
            "VEHICLE",
            r"(?<![\w\-])(?P<v>[A-Z]{2,3}[ \-]\d{3,4}|[A-Z]{3}\d{3,4}|\d{3,4}[ \-]?[A-Z]{2,3}|\d[A-Z]{3}\d{2,3}|"
            r"[A-Z]{2}\d{2}[A-Z]{2,3})(?![\w\-])",
            0.7,
            accept=_not_measured,
            needs="car",
            exact_case=True,
        ),
        compile_rule("PHONE", rf"(?P<v>{run(6)})", 0.7, accept=_no_unit),
    ]


def _digits(match: Match) -> int:
    return sum(c.isdigit() for c in match["v"])


def _identification_number(match: Match) -> bool:
    return _digits(match) >= 5


def _many_digits(match: Match) -> bool:
    return _digits(match) >= 8


def _no_unit(match: Match) -> bool:
    return not UNIT.match(match.string, match.end("v"))


def _no_readings(match: Match) -> bool:
    return not measured(match) and not one_of_readings(match)


def _tagged(match: Match) -> bool:
    return _digits(match) >= 4 and not measured(match) and not is_code(match["v"])


def _not_measured(match: Match) -> bool:
    return not measured(match)


def _groups(match: Match) -> bool:
    """Groups of digits with spaces: eight digits or more, one group long, none a year or a round figure."""
    groups = [group.lstrip(_CAPITALS) for group in match["v"].split() if not group.isalpha()]
    lettered = match["v"][0].isalpha()
    plain = all(len(group) != 4 or group[:2] not in ("19", "20") for group in groups) and not any(
        g.endswith("00") for g in groups
    )
    long = lettered or max(map(len, groups)) >= 4
    least = 6 if lettered and max(map(len, groups)) >= 4 else 8
    return plain and long and sum(map(len, groups)) >= least and _no_readings(match)


def _identifying(match: Match) -> bool:
    """Whether a token is an identifier by its shape alone."""
    value = match["n"]
    digits = sum(c.isdigit() for c in value)
    prefixed = match["v"] != value
    if (prefixed and digits < 5) or UNIT.match(match.string, match.end("v")):
        return False
    if digits < 4 or value_before(match.string, match.start("n")) or is_code(value):
        return False
    groups = value.split("-")
    if len(groups) > 1:
        return _hyphenated(match, value, groups, digits)
    return (digits >= 6 or prefixed) and not _round(value) if value.isdigit() else _mixed(value, digits)


_PARTED = regex.compile(r"([\p{L}]++(?:-[\p{L}]++)+)\W{1,2}\Z")
"""A name of several parts ("alka-seltzer") right before a number."""


def _no_value_of(medical: frozenset[str], accept: Callable[[Match], bool]) -> Callable[[Match], bool]:
    """``accept``, but no digits (with hyphens or blanks) after, or led by, the name of a test or drug."""

    def refuse(match: Match) -> bool:
        start = match.start("v")
        words = _NAMES.findall(match.string[max(0, start - 24) : start])
        parted = _PARTED.search(match.string[max(0, start - 24) : start])
        last = (
            words[-1:]
            + ([parted[1]] if parted else [])
            + _NAMES.findall(match["v"].split()[0] if " " in match["v"] else "")
        )
        if regex.fullmatch(r"[A-Z]+-\d+", match["v"]):
            last += _NAMES.findall(match["v"].split("-")[0])
        few = sum(c.isdigit() for c in match["v"]) <= 6 or "-" in match["v"]
        return few and any(word.lower() in medical for word in last) and bool(_PLAIN.search(match["v"]))

    return lambda match: accept(match) and not refuse(match)


def _round(value: str) -> bool:
    return value.endswith("000") and len(value) < 10


def _hyphenated(match: Match, value: str, groups: list[str], digits: int) -> bool:
    if any(_WORD.fullmatch(group) or _LONG_WORD.search(group) for group in groups):
        return False
    if not any(c.isalpha() for c in value):
        return digits >= 6 and not is_range(value) and not one_of_readings(match)
    if regex.fullmatch(r"[A-Z]{3}-\d{4}", value):
        return True
    return digits >= 5 and not (groups[-1].isalpha() and groups[-1].islower())


def _mixed(value: str, digits: int) -> bool:
    """Letters and digits in one piece."""
    head = value.rstrip("0123456789")
    letters = [group for group in regex.split(r"\d+", value) if group]
    if _LONG_WORD.search(value) or not value.isalnum():
        return False
    if head.isalpha() and len(head) <= 5:
        least = 6 if len(head) == 1 or not head.isupper() else 5
        return digits >= least
    if regex.fullmatch(r"\d[A-Z]{3}\d{3}", value):
        return True
    if len(letters) == 1 and value[0].isdigit():
        return digits >= 6 and len(letters[0]) <= 3
    return value.isupper() and len(value) >= 8 and len(letters) > 1
