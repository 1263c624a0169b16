"""Dates (typed, written, spelled, English and Spanish). Durations, times of day, scores and fractions are kept."""

from __future__ import annotations

from collections.abc import Callable

import regex

from app.redaction.lexicon import Lexicon
from app.redaction.recognizers.ages import age_rules
from app.redaction.recognizers.measures import UNIT
from app.redaction.recognizers.rules import Match, Rule, compile_rule
from app.redaction.recognizers.spoken import (
    ORDINAL,
    TEENS,
    TEENS_ES,
    TENS,
    TENS_ES,
    TWO_DIGITS,
    TWO_DIGITS_ES,
    UNITS,
    UNITS_ES,
    YEAR_WORDS,
    YEAR_WORDS_ES,
    run,
)

_MONTH = (
    r"(?:jan(?:uary)?|feb(?:r?uary)?|mar(?:ch)?|apr(?:il)?|may|june?|july?|aug(?:ust)?|sept?(?:ember)?|oct(?:ober)?|"
    r"nov(?:ember)?|dec(?:ember)?|enero|febrero|marzo|abril|mayo|junio|julio|agosto|sep?tiembre|octubre|noviembre|"
    r"diciembre)\b\.?"
)
_MONTH_ES = (
    r"(?:ene(?:ro)?|feb(?:rero)?|mar(?:zo)?|abr(?:il)?|mayo?|jun(?:io)?|jul(?:io)?|ago(?:sto)?|set|sep(?:tiembre)?|"
    r"setiembre|oct(?:ubre)?|nov(?:iembre)?|dic(?:iembre)?)\b\.?"
)
_YEAR = r"(?:(?:19|20)\d{2}|'\d{2})"
_DAY = r"(?:0?[1-9]|[12]\d|3[01])"
_M = r"(?:0?[1-9]|1[0-2])"
_WHEN = (
    r"(?:on|since|until|till|by|from|dated?|appointment|appt|scheduled|before|after|due|started|surgery|visit|was|is|"
    r"for|between|through|thru|seen|last|to|and|around|about|again|fell|came|went|born|admitted|discharged|starting|"
    r"ended|happened|delivered|stopped|began|returning|return|note|letter|week\sof|the|effective|saw|had|filled|"
    r"refilled|out|desde|hasta|cita|del|el|fecha|para|d[íi]a)"
)
_SURE_WHEN = regex.compile(
    r"\b(?:dated?|appointment|appt|scheduled|due|surgery|visit|born|birth|birthday|bday|dob|since|until|till|"
    r"week\sof|effective|cita|fecha|desde|hasta|nac\w{0,6}|cirug[íi]a|admitted|discharged|delivered)\W{1,3}(?:(?:for|"
    r"is|was|on|the|es|el|para|del)\W{1,2}){0,3}\Z",
    regex.IGNORECASE,
)
_NOT_UNIT = (
    r"(?!\s?(?:mg|mcg|ml|g|tabs?|tablets?|pills?|doses?|cups?|of\s+a|inch|hours?|hrs|minutes|percent|%|cc|tsp|"
    r"teaspoons?|strength|times|puffs?|nodes?|lymph|cores?|teeth|pain)(?![a-z]))"
)
_PAIN = regex.compile(
    r"(?:pain|scale|scor(?:e|ed)|level|rate|rated|hurts?|severity|out\sof|vision|eyes?|snellen|bp|pressure|dose|"
    r"strength|phq|gad|moca|mmse|gcs|glasgow|apgar|bishop|epworth|epds|edinburgh|audit|nihss|mini-?cog|test|quiz|"
    r"bi-?pap|cpap|settings?|fasting|mix|insulin|nodes?|cores?|presi[óo]n|dolor|diet|ratio|fraction|intensity|"
    r"reflex(?:es)?|motor|grip)\b[^.]{0,40}\Z",
    regex.I,
)
_PLAIN_WHEN = regex.compile(r"\b(?:on|by|before|after)\s(?:the\s)?\Z", regex.I)
_PARTS = regex.compile(r"[\p{L}\-]+")
_DAY_AFTER = regex.compile(
    r"\s(?:(?:was|is)\s(?:my|the|his|her|our|when|mi|la)\s(?:last|first|next|appointment|appt|visit|surgery|birthday|"
    r"day|date|chemo|final)|appointment|appt|visit|surgery|cita|procedure)\b",
    regex.IGNORECASE,
)
_EYES = regex.compile(r"[^.!?\n]{0,25}\b(?:eyes?|vision|ojos?|nodes?|lymph|pain|score|scale)\b", regex.I)
_LAST_WORDS = regex.compile(r"([\p{L}\-]{3,})\W{1,2}(?:[\p{L}\-]{1,6}\W{1,2})?\Z")

_MODAL = regex.compile(
    r"\b(?:i|you|we|he|she|it|they|that|this|who|which|what|doctor|nurse|dr|patients?|dose|doses|pain|"
    r"there)\s(?:also\s|only\s)?\Z",
    regex.I,
)
"""Before these "may" is a verb."""
_SMALL_MONTHS = ("may", "mar", "dec", "march", "set", "ago")


def _real_day(match: Match) -> bool:
    """May, March and Mar. are words too: in small letters they need a year, an ordinal or "on" before them."""
    value = match["v"]
    month = regex.search(r"[A-Za-z]+", value)
    if month is None or month.group() not in _SMALL_MONTHS:
        return True
    if month.group() in ("march", "dec"):
        return not regex.search(r"\d\s+(?:mg|ml|times)", match.string[match.start() : match.end() + 6])
    if month.group() == "may" and regex.search(r"may\s\d", value):
        return not _MODAL.search(match.string[max(0, match.start("v") - 24) : match.start("v")]) and not UNIT.match(
            match.string, match.end("v")
        )
    before = match.string[max(0, match.start("v") - 8) : match.start("v")].lower()
    return bool(regex.search(r"(?:st|nd|rd|th|of|\d{4})\b", value)) or before.rstrip().endswith(
        ("on", "since", "by", "until", "born", "before", "after", "el", "de", "between", "and", "from")
    )


def _clear_of_scores(match: Match) -> bool:
    """Two numbers with a slash after "on", "is", "and": no score ("pain 8/10 since") and no fraction.

    Ten, five and four at the bottom are scores unless the cue speaks of a day.
    """
    before = match.string[max(0, match.start("v") - 60) : match.start("v")]
    month, day = match["v"].split("/")
    score = (day in ("10", "5", "4", "3", "2") and int(month) <= int(day)) or (int(month), int(day)) in _NO_DAYS
    if score and not _SURE_WHEN.search(before) and not _PLAIN_WHEN.search(before):
        return False
    return not _PAIN.search(before)


def _sure_day(match: Match) -> bool:
    if _DAY_AFTER.match(match.string, match.end("v")):
        return True
    return bool(_SURE_WHEN.search(match.string[max(0, match.start("v") - 40) : match.start("v")]))


def _medicine(words: regex.Match[str] | None, drugs: frozenset[str]) -> bool:
    """Whether one of the words before a number is a drug, of several parts perhaps ("alka-seltzer", "retin-a")."""
    return words is not None and any(part.lower() in drugs for part in _PARTS.findall(words.group()))


def _calendar(drugs: frozenset[str]) -> Callable[[Match], bool]:
    """Accepts two numbers with a slash and no cue that can be no fraction, score, strength or blood pressure.

    "11/25" and "02/05" can, and so can "9/3": no part is larger than its whole.
    """

    def accept(match: Match) -> bool:
        text, start = match.string, match.start("v")
        month, day = match["v"].split("/")
        before = text[max(0, start - 60) : start]
        word = _LAST_WORDS.search(before)
        if (
            _medicine(word, drugs)
            or _PAIN.search(before)
            or _EYES.match(text, match.end("v"))
            or UNIT.match(text, match.end("v"))
        ):
            return False
        if (
            _SURE_WHEN.search(before)
            or _DAY_AFTER.match(text, match.end("v"))
            or month.startswith("0")
            or day.startswith("0")
            or int(day) > 10
        ):
            return True
        return int(month) > int(day) and (int(month), int(day)) not in _NO_DAYS

    return accept


def _no_doses(drugs: frozenset[str]) -> Callable[[Match], bool]:
    """Refuses three doses with hyphens after a drug or before a unit ("lispro 8-10-12 units")."""

    def accept(match: Match) -> bool:
        before = match.string[max(0, match.start("v") - 40) : match.start("v")]
        word = _LAST_WORDS.search(before)
        return "/" in match["v"] or not (_medicine(word, drugs) or UNIT.match(match.string, match.end("v")))

    return accept


_NO_DAYS = frozenset({(9, 5), (12, 8), (12, 7), (11, 7), (8, 2), (4, 1), (10, 5)})
"""Night calls, shifts, blood pressures as told in Spanish, film strengths, ratios."""


def date_rules(lexicon: Lexicon | None = None) -> list[Rule]:
    """DATE and AGE (90 and over only)."""
    drugs = (lexicon or Lexicon.load()).drugs
    return [*_written(), *_numeric(drugs), *_births(), *age_rules()]


def _written() -> list[Rule]:
    day = rf"{_DAY}(?:st|nd|rd|th)?"
    week = r"(?:(?:mon|tues?|wed(?:nes)?|thu(?:rs)?|fri|sat(?:ur)?|sun)(?:day)?\.?,?\s+)?"
    until = rf"(?:\s?(?:-|to|thru|through|until)\s?{day}(?!\w|[./:\-]\d))?"
    day_es = rf"(?:primero|{TENS_ES}\sy\s{UNITS_ES}|{TEENS_ES}|{UNITS_ES})"
    return [
        compile_rule(
            "DATE",
            rf"\b(?P<v>{week}{_MONTH}(?:\s{{0,2}}|[/\-])(?:the\s+)?{day}{until}(?:,?\s+(?:of\s+)?{_YEAR}|"
            rf"[/\-]\d{{2,4}})?)(?![\w%/]|[.:]\d|-\d){_NOT_UNIT}",
            0.9,
            accept=_real_day,
            needs="digit",
        ),
        compile_rule(
            "DATE",
            rf"(?<![\w.])(?P<v>{week}{day}(?:\s{{0,2}}(?:of\s+|de\s+)?|-|/){_MONTH}(?:(?:,?\s+(?:del?\s+)?|-|"
            rf"/){_YEAR})?)(?!\w)",
            0.9,
            accept=_real_day,
            needs="digit",
        ),
        compile_rule(
            "DATE",
            rf"(?<![\w.])(?P<v>(?:{_DAY}|1(?:ro|ero|°|º))(?:\s(?:de\s)?|-|/){_MONTH_ES}(?:(?:\s(?:del?\s)?|-|"
            rf"/)(?:{_YEAR}|\d{{2}}(?!\w)))?)"
            r"(?!\w)",
            0.9,
            accept=_real_day,
            needs="digit",
        ),
        compile_rule("DATE", rf"\b(?P<v>{_MONTH},?\s+(?:of\s+|del?\s+)?{_YEAR})(?!\w)", 0.9, needs="digit"),
        compile_rule(
            "DATE", rf"\b(?P<v>{_MONTH}\s+(?:of\s+)?(?:nineteen|twenty|two\sthousand)[\s\-]{TWO_DIGITS})\b", 0.9
        ),
        compile_rule(
            "DATE",
            rf"\b(?P<v>(?:the\s+)?(?:{ORDINAL}|{TENS}[\s\-]{UNITS}|"
            rf"{TEENS})\s+(?:day\s+)?of\s+{_MONTH}(?:,?\s+(?:in\s)?(?:{_YEAR}|{YEAR_WORDS}))?)\b",
            0.9,
        ),
        compile_rule(
            "DATE",
            rf"\b(?P<v>{_MONTH}\s+(?:the\s+)?(?:{ORDINAL}|{TENS}[\s\-]{UNITS}|{TENS}|{TEENS}|{UNITS})(?:,?\s+(?:of\s|"
            rf"in\s)?(?:{_YEAR}|{YEAR_WORDS}|{TENS}(?:[\s\-]{UNITS})?))?)\b(?!\s(?:mg|pills?|tablets?|units?|of|days?|"
            r"weeks?|hours?|times|people)\b)",
            0.9,
            accept=_spelled,
        ),
        compile_rule(
            "DATE",
            rf"\b(?P<v>{ORDINAL}\s{_MONTH}(?:,?\s(?:{_YEAR}|{YEAR_WORDS}))?)(?!\w)",
            0.88,
            accept=_spelled,
        ),
        compile_rule(
            "DATE",
            rf"\b(?P<v>{day_es}\s(?:de\s)?{_MONTH_ES}(?:\s(?:del?\s)?(?:a[ñn]o\s)?(?:{YEAR_WORDS_ES}|{_YEAR}|"
            rf"{TWO_DIGITS_ES}))?)(?!\w)",
            0.9,
            accept=_spelled_es,
        ),
    ]


def _spelled(match: Match) -> bool:
    """ "May one" and "march two" are no dates unless an ordinal or a year follows; "may first" needs "on" before it."""
    words = match["v"].split()
    lower = {word.strip(".,").lower(): word for word in words}
    month = next((lower[name] for name in ("may", "mar", "march", "dec") if name in lower), None)
    if month is None:
        return True
    ordinal = regex.search(ORDINAL, match["v"], regex.IGNORECASE)
    if month.islower() and month == "may":
        before = match.string[max(0, match.start("v") - 8) : match.start("v")].rstrip().lower()
        early = ordinal is not None and ordinal.group().lower() in ("first", "second", "third")
        dated = before.endswith(("on", "since", "by", "until", "born", "before", "after", "for", "the", "of"))
        return bool(regex.search(r"\d|nineteen|thousand", match["v"])) or (ordinal is not None and (dated or not early))
    return bool(ordinal or regex.search(r"\d|nineteen|thousand", match["v"], regex.IGNORECASE))


def _spelled_es(match: Match) -> bool:
    """ "Tres mar" is no date: the short months need "de"."""
    return " de " in match["v"].lower() or len(match["v"].split()[-1]) > 3


def _numeric(drugs: frozenset[str]) -> list[Rule]:
    return [
        compile_rule(
            "DATE",
            r"(?<![\w./\-])(?P<v>(?:19|20)\d{2}([\-/. ])(?:0?[1-9]|1[0-2])\2(?:0?[1-9]|[12]\d|3[01]))(?!\d|[\-/]\d)",
            0.95,
            needs="digit",
        ),
        compile_rule(
            "DATE",
            rf"(?<![\w./\-])(?P<v>(?:{_M}\s?([/\-])\s?{_DAY}|{_DAY}([/\-]){_M})\s?[/\-]\s?(?:(?:19|20)\d{{2}}|"
            rf"\d{{2}}))(?![\w%]|[\-/]\d)",
            0.95,
            accept=_no_doses(drugs),
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
            accept=_clear_of_scores,
            needs="digit",
        ),
        compile_rule(
            "DATE",
            rf"(?<![\w./,:\-])(?P<v>{_M}/{_DAY})(?![\w%/]|[\-.]\d){_NOT_UNIT}",
            0.75,
            accept=_calendar(drugs),
            needs="digit",
        ),
        compile_rule(
            "DATE",
            rf"(?<![\w./,:\-])(?P<v>(?:1[3-9]|2\d|3[01])/0[1-9])(?![\w%/]|[\-.]\d){_NOT_UNIT}",
            0.75,
            accept=_clear_of_scores,
            needs="digit",
        ),
        compile_rule(
            "DATE",
            rf"(?<![\w./\-])(?P<v>{_M}-{_DAY})(?![\w%/]|[\-.]\d){_NOT_UNIT}",
            0.75,
            accept=_sure_day,
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
        r"(?:d\.?\s?o\.?\s?b\.?|(?:date\s+of\s+)?birth(?:\s?(?:day|date))?|birthdate|b-?day|born(?:\s+(?:on|in))?|"
        r"cumplea[ñn]os|nac(?:i[óo]|í|imiento|ida?|ido)|fecha\sde\snac\w{0,9}|f\.?\s?de\s?n\.?)"
    )
    glue = r"[\s:=\-]{0,3}(?:(?:is|was|on|in|the|it's|es|el|en|fue|of|his|her|my)\b[\s:]{0,2}){0,3}"
    spoken = rf"(?P<v>{run(3, 8)})"
    return [
        compile_rule(
            "DATE",
            rf"\b{cue}{glue}(?P<v>\d{{1,2}}[\s./\-]{{1,2}}\d{{1,2}}[\s./\-]{{1,2}}\d{{2,4}}|\d{{8}}|\d{{6}}|(?:18|19|"
            rf"20)\d{{2}}|'\d{{2}})(?!\w)",
            0.96,
            needs="digit",
        ),
        compile_rule(
            "DATE",
            rf"\b{cue}{glue}(?P<v>{_MONTH}\s+\d{{1,2}}\w{{0,2}},?\s+\d{{2,4}}|{_M}[/\-]{_DAY})(?!\w)",
            0.96,
            needs="digit",
        ),
        compile_rule("DATE", rf"\b{cue}{glue}(?P<v>(?:nineteen|twenty)[\s\-]{TWO_DIGITS})\b", 0.9),
        compile_rule("DATE", rf"\b{cue}{glue}{spoken}", 0.9),
        compile_rule(
            "DATE",
            rf"{spoken}[\s,.\-]{{1,3}}(?:(?:that's|thats|that\sis|is|was|my|the|his|her|es|mi|su)\s){{1,3}}{cue}\b",
            0.9,
        ),
        compile_rule(
            "DATE",
            rf"(?<![\w.,/\-])(?P<v>\d{{1,2}}[ .]\d{{1,2}}[ .]\d{{2,4}}|\d{{8}}|\d{{6}})\s(?:(?:that's|thats|is|was|"
            rf"my|the|his|her|es|mi|su)\s){{0,3}}{cue}\b",
            0.9,
            needs="digit",
        ),
    ]
