"""Dates (typed, written, spelled) and ages of 90 and over. Durations, times of day and younger ages are kept."""

from __future__ import annotations

import regex

from app.redaction.recognizers.rules import Match, Rule, compile_rule

_MONTH = (
    r"(?:jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|may|june?|july?|aug(?:ust)?|sept?(?:ember)?|"
    r"oct(?:ober)?|nov(?:ember)?|dec(?:ember)?|enero|febrero|marzo|abril|mayo|junio|julio|agosto|"
    r"septiembre|octubre|noviembre|diciembre)\b\.?"
)
_YEAR = r"(?:(?:19|20)\d{2}|'\d{2})"
_DAY = r"(?:0?[1-9]|[12]\d|3[01])"
_M = r"(?:0?[1-9]|1[0-2])"
_ORDINAL = (
    r"(?:first|second|third|fourth|fifth|sixth|seventh|eighth|ninth|tenth|eleventh|twelfth|thirteenth|"
    r"fourteenth|fifteenth|sixteenth|seventeenth|eighteenth|nineteenth|twentieth|thirtieth|"
    r"twenty[\s\-](?:first|second|third|fourth|fifth|sixth|seventh|eighth|ninth)|thirty[\s\-]first)"
)
_UNITS = r"(?:one|two|three|four|five|six|seven|eight|nine)"
_TEENS = r"(?:ten|eleven|twelve|thirteen|fourteen|fifteen|sixteen|seventeen|eighteen|nineteen)"
_TENS = r"(?:twenty|thirty|forty|fifty|sixty|seventy|eighty|ninety)"
_TWO = rf"(?:{_TENS}(?:[\s\-]{_UNITS})?|{_TEENS}|(?:oh|o)[\s\-]{_UNITS}|{_UNITS})"
_SPELLED_TAIL = rf"(?:[\s\-](?:hundred[\s\-])?(?:and\s+)?{_TWO})?"
_WHEN = (
    r"(?:on|since|until|till|by|from|dated?|appointment|appt|scheduled|before|after|due|started|"
    r"surgery|visit|was|is|for|between|through|thru|seen|last|to|and|around|about)"
)
_NOT_UNIT = (
    r"(?!\s?(?:mg|mcg|ml|g|tabs?|tablets?|pills?|doses?|cups?|of\s+a|inch|hours?|hrs|minutes|percent|"
    r"%|cc|tsp|teaspoons?|strength|times|puffs?)(?![a-z]))"
)
_PAIN = regex.compile(
    r"(?:pain|scale|score|level|rate|rated|hurts?|severity|out|vision|bp|pressure|dose|strength)\b[^.]{0,40}\Z", regex.I
)

_OLD = r"(?:[\s\-]*(?:years?|yrs?)[\s\-]*(?:old|of\s+age|young)|[\s\-]*y[/.]?o\b|[\s\-]*años|[\s\-]*year[\s\-]olds?)"
_DIGIT_AGE = r"(?:9\d|1[01]\d)"
_WORD_AGE = rf"(?:ninety(?:[\s\-]{_UNITS})?|(?:a|one)[\s\-]hundred(?:[\s\-](?:and[\s\-])?(?:{_UNITS}|{_TEENS}))?)"
_WHO = (
    r"(?:i\s+am|i'm|im|(?:she|he|who|they)(?:'s|\s+is|\s+was|\s+are)|(?:mom|mother|mum|dad|father|"
    r"grand\w+|nana|aunt|uncle|husband|wife|patient|neighbor|friend|sister|brother)(?:'s|\s+is|\s+was|"
    r"\s+who\s+is|,|\s+just\s+turned|\s+turned)|turned|turns|turning|aged?(?:\s+is|\s+of|:)?)"
)
_AGE_END = (
    r"(?![\d.:/%]\d|\d|%|\w|\s?(?:lbs?|pounds?|kg|kilos?|degrees?|percent|mg|ml|over|/|beats|bpm|"
    r"minutes?|hours?|days?|weeks?|months?|miles?|°|f\b|cm|on\s+oxygen|systolic))"
)


def _real_day(match: Match) -> bool:
    """May, March and Mar. are words too: in small letters they need a year, an ordinal or "on" before them."""
    value = match["v"]
    month = regex.search(r"[A-Za-z]+", value)
    if month is None or month.group() not in ("may", "mar", "dec", "march"):
        return True
    if month.group() in ("march", "dec"):
        return not regex.search(r"\d\s+(?:mg|ml|times)", match.string[match.start() : match.end() + 6])
    before = match.string[max(0, match.start("v") - 8) : match.start("v")].lower()
    return bool(regex.search(r"(?:st|nd|rd|th|of|\d{4})\b", value)) or before.rstrip().endswith(
        ("on", "since", "by", "until", "born", "before", "after")
    )


def _month_before_day(match: Match) -> bool:
    """Two numbers with a slash: no score ("pain 8/10 since") and no fraction."""
    return not _PAIN.search(match.string[max(0, match.start("v") - 60) : match.start("v")])


def date_rules() -> list[Rule]:
    """DATE and AGE (90 and over only)."""
    return [*_written(), *_numeric(), *_births(), *_ages()]


def _written() -> list[Rule]:
    day = rf"{_DAY}(?:st|nd|rd|th)?"
    week = r"(?:(?:mon|tues?|wed(?:nes)?|thu(?:rs)?|fri|sat(?:ur)?|sun)(?:day)?\.?,?\s+)?"
    return [
        compile_rule(
            "DATE",
            rf"\b(?P<v>{week}{_MONTH}\s+(?:the\s+)?{day}(?:,?\s+(?:of\s+)?{_YEAR})?)(?![\w%/]|[.:\-]\d){_NOT_UNIT}",
            0.9,
            accept=_real_day,
            needs="digit",
        ),
        compile_rule(
            "DATE",
            rf"(?<![\w.])(?P<v>{week}{day}(?:\s+(?:of\s+|de\s+)?|-){_MONTH}(?:(?:,?\s+(?:de\s+)?|-){_YEAR})?)(?!\w)",
            0.9,
            accept=_real_day,
            needs="digit",
        ),
        compile_rule("DATE", rf"\b(?P<v>{_MONTH},?\s+(?:of\s+)?{_YEAR})(?!\w)", 0.9, needs="digit"),
        compile_rule(
            "DATE",
            rf"\b(?P<v>(?:the\s+)?{_ORDINAL}\s+(?:day\s+)?of\s+{_MONTH}(?:,?\s+(?:{_YEAR}|(?:nineteen|twenty|"
            rf"two\s+thousand){_SPELLED_TAIL}))?)\b",
            0.9,
        ),
        compile_rule(
            "DATE",
            rf"\b(?P<v>{_MONTH}\s+(?:the\s+)?(?:{_ORDINAL}|{_TENS}[\s\-]{_UNITS}|{_TEENS}|{_UNITS})"
            rf"(?:,?\s+(?:{_YEAR}|(?:nineteen|twenty|two\s+thousand){_SPELLED_TAIL}))?)\b",
            0.9,
            accept=_spelled,
        ),
    ]


def _spelled(match: Match) -> bool:
    """ "May one" and "march two" are no dates unless an ordinal or a year follows."""
    word = match["v"].split()[0]
    if word.lower() in ("may", "mar", "march", "dec"):
        marks = r"\d|nineteen|thousand" if word.islower() else _ORDINAL + r"|\d|nineteen|thousand"
        return bool(regex.search(marks, match["v"], regex.IGNORECASE))
    return True


def _numeric() -> list[Rule]:
    return [
        compile_rule(
            "DATE",
            r"(?<![\w./\-])(?P<v>(?:19|20)\d{2}([\-/.])(?:0?[1-9]|1[0-2])\2(?:0?[1-9]|[12]\d|3[01]))(?!\d|[\-/]\d)",
            0.95,
            needs="digit",
        ),
        compile_rule(
            "DATE",
            rf"(?<![\w./\-])(?P<v>(?:{_M}\s?([/\-])\s?{_DAY}|{_DAY}([/\-]){_M})\s?[/\-]\s?(?:(?:19|20)\d{{2}}|"
            rf"\d{{2}}))(?![\w%]|[\-/]\d)",
            0.95,
            needs="digit",
        ),
        compile_rule(
            "DATE",
            rf"(?<![\w./\-])(?P<v>(?:{_M}\.{_DAY}|{_DAY}\.{_M})\.(?:(?:19|20)\d{{2}}|\d{{2}}(?=\D|$)))(?![\w%]|"
            r"[.\-/]\d)",
            0.9,
            needs="digit",
        ),
        compile_rule(
            "DATE",
            rf"\b{_WHEN}\b\W{{1,3}}(?:the\s+)?(?P<v>{_M}/{_DAY})(?![\w%/]|[\-.]\d){_NOT_UNIT}",
            0.8,
            accept=_month_before_day,
            needs="digit",
        ),
        compile_rule(
            "DATE",
            r"(?<![\w./\-])(?P<v>(?:0?[1-9]|1[0-2])[/\-](?:19|20)\d{2})(?![\w%]|[\-/]\d)",
            0.85,
            needs="digit",
        ),
    ]


def _births() -> list[Rule]:
    cue = (
        r"(?:d\.?\s?o\.?\s?b\.?|(?:date\s+of\s+)?birth(?:\s?(?:day|date))?|birthdate|born(?:\s+(?:on|in))?|cumpleaños)"
    )
    glue = r"[\s:=\-]{0,3}(?:(?:is|was|on|in|the|it's)\b[\s:]{0,2}){0,3}"
    return [
        compile_rule(
            "DATE",
            rf"\b{cue}{glue}(?P<v>\d{{1,2}}[\s./\-]\d{{1,2}}[\s./\-]\d{{2,4}}|\d{{8}}|\d{{6}}|(?:18|19|20)"
            rf"\d{{2}})(?!\w)",
            0.96,
            needs="digit",
        ),
        compile_rule(
            "DATE",
            rf"\b{cue}{glue}(?P<v>{_MONTH}\s+\d{{1,2}}\w{{0,2}},?\s+\d{{2,4}}|{_M}/{_DAY})(?!\w)",
            0.96,
            needs="digit",
        ),
        compile_rule("DATE", rf"\b{cue}{glue}(?P<v>(?:nineteen|twenty)[\s\-]{_TWO})\b", 0.9),
    ]


def _ages() -> list[Rule]:
    soft = r"(?:now\s+|almost\s+|nearly\s+|about\s+|just\s+|already\s+|over\s+)?"
    return [
        compile_rule("AGE", rf"(?<![\w.\-/])(?P<v>{_DIGIT_AGE}{_OLD})", 0.9, needs="digit"),
        compile_rule("AGE", rf"\b{_WHO}\s+{soft}(?P<v>{_DIGIT_AGE}){_AGE_END}", 0.85, needs="digit"),
        compile_rule("AGE", rf"\b(?P<v>{_WORD_AGE}{_OLD})", 0.9),
        compile_rule(
            "AGE",
            rf"\b{_WHO}\s+{soft}(?P<v>ninety(?:[\s\-]{_UNITS})?|(?:a|one)[\s\-]hundred[\s\-](?:and[\s\-])"
            rf"?{_UNITS}){_AGE_END}(?!\s+(?:times|years?\s+ago))",
            0.85,
        ),
    ]
