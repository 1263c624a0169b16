"""The shapes and places that the stricter look suspects (:mod:`training.curate.leaks`)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import regex

from training.curate.formats.encoding import INVISIBLE

SuspectKind = Literal["number", "code", "address", "date", "age", "name"]
Cue = Literal["", "capital", "weak", "strong"]
_UNITS = (
    r"(?!\s?(?:mg|mcg|ml|g|kg|units?|iu|cells?|steps?|calories|kcal|dollars?|people|beds?|patients|%|percent|"
    r"milligrams?|micrograms?|milliliters?|feet|square|over|beats|days?|hours?|minutes?|lbs?|pounds|degrees)\b)"
)
_FILL = r"(?:(?:uh|um|er|well|like|so|okay|right|just|you\sknow),?\s+)*"
_NAME = r"(?-i:\p{Lu}[\p{L}\p{M}]*+(?:['’\-]\p{L}[\p{L}\p{M}]*+){0,4}+)"
_NAMES = rf"(?P<v>(?:(?:de|la|del|van|von|der|el|al|bin|da|dos)[ \-]){{0,3}}{_NAME}(?:[ ]{_NAME}){{0,2}})"
_RELATIVES = (
    r"(?:wife|husband|son|daughter|mother|father|mom|mum|dad|sister|brother|aunt|uncle|cousin|niece|nephew|grandson|"
    r"granddaughter|grandma|grandpa|partner|fianc[eé]e?|friend|neighbor|caregiver|aide|surgeon|therapist|patient|pt)"
)
_STREETS = (
    r"(?:street|st|avenue|ave|road|rd|lane|ln|drive|dr|court|ct|boulevard|blvd|place|pl|parkway|pkwy|way|terrace|"
    r"circle|trail|highway(?:\s\d+)?|route(?:\s\d+)?)"
)
_OFFICES = (
    r"(?:mayor|sheriff|superintendent|fire\schief|police\schief|principal|pastor|priest|rabbi|imam|judge|coroner|senator|"
    r"congress(?:man|woman)|governor|postmaster|anchor|weatherman)"
)
_DOOR = r"(?:apt|apartment|suite|ste|unit|trailer|lot|no|room)\b\.?\s?(?:\d+\w?|[A-Z]\b)"
_CARS = (
    r"(?:car|truck|van|suv|sedan|jeep|plates?|parked|vehicle|tag|ticket|windshield|camioneta|carro|auto|placas?|"
    r"subaru|ford|honda|toyota|chevy|nissan)"
)
_DIGIT = (
    r"(?:zero|oh|one|two|three|four|five|six|seven|eight|nine|cero|uno|dos|tres|cuatro|cinco|seis|siete|ocho|nueve)"
)
_SAID = (
    rf"(?:{_DIGIT}|ten|eleven|twelve|thirteen|fourteen|fifteen|sixteen|seventeen|eighteen|nineteen|(?:twenty|thirty|"
    rf"forty|fifty|sixty|seventy|eighty|ninety)(?:[\s\-]{_DIGIT})?|(?:double|triple)\s{_DIGIT})\b"
)
_NINETIETH = (
    r"9\dth|9[123](?:st|nd|rd)|1[01]\d(?:th|st|nd|rd)|ninetieth|ninety[\s\-](?:first|second|third|fourth|fifth|sixth|"
    r"seventh|eighth|ninth)|(?:one\s)?hundred(?:th|\sand\s\w+(?:th|st|nd|rd))"
)
_NUMBERED = (
    r"(?:ssn|social(?:\ssecurity)?(?:\snumber)?|mrn|chart|(?:medical\s)?record|member(?:ship)?|account|acct|policy|"
    r"claim|case|card|phone|telephone|cell|mobile|fax|id|zip(?:\s?code)?|postal\scode|pin|plate|bracelet|wristband|"
    r"(?:my|your|his|her|the|our)\snumber)\b"
)
"""What has a number of its own."""
_IS = r"\W{0,3}(?:(?:is|are|was|it's|its|of|my|number|no|id|um|uh|on\sfile|'?s)\b\W{1,3}){0,5}"
_AND = r"(?:,?\s(?:and\sthen|then|next|dash|slash|and)[\s,]\s?)"
_PART = rf"(?:\s?[:;/|·–—]\s?|{_AND})"
_APART = rf"(?:{_PART}|\s?[,.\-]\s?|\s)"
"""What stands between the parts of one number: where its shape alone tells it, and where a cue does."""
_WHOLE_PHONE = r"(?!\(?\d{3}\)?[\s.\-]{0,2}\d{3}[\s.\-]?\d{4}|\d{1,2}/\d{1,2}/\d{2,4}\b)"
_SIX = rf"(?=(?:{_APART}?\d){{6}})"
_MAIL = r"(?:g-?mail|hotmail|yahoo|outlook|icloud|aol|proton\s?mail|ymail|msn|comcast|sbcglobal|gmx)"
_NO_LOCAL = (
    r"(?!(?:account|address|am|are|available|be|been|call|email|e-mail|from|here|him|her|is|it|job|log|logged|look|"
    r"looked|looking|mail|me|one|or|and|people|reach|see|someone|sign|signed|stuff|support|that|them|there|these|this|"
    r"those|us|was|were|work|worked|working|works|you|yours|mine|team|engineer|in|on|up|down|only|just|not)\s)"
)
"""Words before "at Yahoo" that are nobody's name there."""


@dataclass(frozen=True, slots=True)
class Rule:
    """Suspects the group ``v`` of a pattern.

    ``cue`` says how plainly its place tells a name: ``strong`` (any word that the hospital's articles do not use),
    ``weak`` (nor everyday English, nor a drug with a slip), ``capital`` (the same, and the capital has to be written),
    '' where the shape is enough. ``again`` if something taken out before is part of the place.
    """

    kind: SuspectKind
    pattern: regex.Pattern[str]
    cue: Cue
    again: bool


def _rule(kind: SuspectKind, pattern: str, cue: Cue = "") -> Rule:
    compiled = regex.compile(pattern, regex.IGNORECASE | regex.MULTILINE)
    return Rule(kind, compiled, cue, again="_" + r"\d+>" in pattern)


_NUMBERS = (
    _rule("number", rf"(?<![\w$.,])(?P<v>\+?\(?\d(?:[\-. ()/]*+\d){{6,}})(?![\w%]){_UNITS}"),
    _rule("number", rf"(?<![\w$.,/\-])(?P<v>\d{{5,}})(?![\w%]|[.,/\-]\d){_UNITS}"),
    # Two short numbers are a range of lab values.
    _rule("number", r"(?<![\w$.,/\-])(?!\d{2,3}-\d{2,3}(?![\d\-]))(?P<v>(?=(?:-?\d){6,})\d+(?:-\d+)+)(?![\w%/\-])"),
    # An answer that is only digits: the last four of a number, a code.
    _rule("number", rf"^[^\w\n]*+{_FILL}(?P<v>\d[\d \-]{{2,}}\d)[^\w\n]*+$|^[^\w\n]*+{_FILL}(?P<v>\d{{4}})\.(?=\s)"),
    _rule(
        "number",
        r"\b(?:numbers?|no\.|subject|record|chart|case|claim|digits|four|ids?|pin|ssn|social)\b\W{0,3}"
        r"(?:(?:is|are|was|it's|its|of|my|number|um|uh)\W{1,2})*(?P<v>[A-Z]{0,3}\d[\d\-]{2,}\d)"
        rf"(?![\w%]){_UNITS}",
    ),
    _rule("number", rf"\b(?P<v>{_DIGIT}(?:(?:{_AND}|[,\s\-]{{1,4}}){_DIGIT}){{6,}})\b"),
    # The shape of a phone or Social Security number with other signs or words between; no round doses, no readings.
    _rule(
        "number",
        rf"(?<![\w$.,:/\-])(?!\d+0\D{{1,10}}\d+0\D{{1,10}}\d+00\b)(?!\d+\sand\s\d+\sand\s[1-9])"
        rf"(?P<v>\(?\d{{3}}\)?{_PART}\d{{2,3}}{_PART}\d{{4}})(?![\w%]|[:/.,\-]\d){_UNITS}",
    ),
    _rule(
        "number",
        rf"\b{_NUMBERED}{_IS}(?P<v>{_WHOLE_PHONE}{_SIX}\d{{1,5}}(?:{_APART}\d{{1,5}}){{1,8}})(?![\w%]|[:/]\d){_UNITS}",
    ),
    _rule(
        "number",
        rf"(?<![\w$.,:/\-])(?P<v>{_WHOLE_PHONE}{_SIX}\d{{1,5}}(?:{_APART}\d{{1,5}}){{1,8}})[\s,]{{1,3}}"
        rf"(?:is|are|was|that's|for)\s(?:(?:my|his|her|our|the|your)\s)?(?:\w{{2,12}}\s)?{_NUMBERED}",
    ),
    _rule("number", rf"\b{_NUMBERED}{_IS}(?P<v>{_SAID}(?:(?:{_AND}|[,\s\-]{{1,3}}){_SAID}){{2,12}}){_UNITS}"),
    _rule(
        "number",
        rf"\b(?P<v>{_SAID}(?:(?:{_AND}|[,\s\-]{{1,3}}){_SAID}){{2,12}})[\s,]{{1,3}}"
        rf"(?:is|are|was|that's)\s(?:(?:my|his|her|our|the|your)\s)(?:\w{{2,12}}\s)?{_NUMBERED}",
    ),
    _rule(
        "number", rf"\b(?:pin|passcode|last\s(?:four|part|digits))\b{_IS}(?P<v>\d(?:[ \-]?\d){{3,}})(?![\w%]){_UNITS}"
    ),
    # "starts with 123, the middle is 45 and it ends with 6789"
    _rule(
        "number",
        rf"\b{_NUMBERED}[^.?!\n]{{0,30}}?\b(?:starts?|begins?|starting|beginning)\s(?:with|as)\s"
        rf"(?=[^.?!\n]{{0,80}}?\b(?:ends?|ending|last|then|middle|next|followed|finish\w*)\b)"
        rf"(?P<v>(?=(?:[^\d.?!\n]{{0,30}}\d){{6}})\d++(?>[^\d.?!\n]{{1,30}}\d++){{1,8}}|"
        rf"{_SAID}(?>[^.?!\n]{{1,30}}?\b{_SAID}){{3,10}}){_UNITS}",
    ),
)
_CODES = (
    _rule(
        "code",
        r"(?<![\w/<.])(?P<v>(?=(?:[a-z\-]{0,40}\d){3})(?=[\d\-]{0,40}[a-z])[a-z\d]++(?:-[a-z\d]++){0,12}+)"
        r"(?<=[\w\-]{6})(?![\w/>])",
    ),
    _rule("code", rf"\b{_CARS}\b[^.?!\n]{{0,40}}?\b(?P<v>[A-Z]{{2,3}}[ \-]?\d{{3,4}}|\d{{3}}[ \-]?[A-Z]{{3}})\b"),
    _rule(
        "code",
        r"\b(?:log(?:ged|s)?\s?(?:in|on)\s(?:as|with)|user\s?(?:name|id)?(?:\sis)?|login(?:\sis)?|handle)\b\W{1,3}"
        r"(?P<v>(?=[\w.\-]*[\d_.\-])[\w.\-]*\w)",
    ),
    _rule("code", r"\b(?P<v>[a-z]{3,}\d{1,4}|[a-z\d]+_[a-z\d_]+)\b", "weak"),
    # A word or a number in whose middle something invisible stands is read whole by nobody but a person.
    _rule("code", rf"(?V1)(?<![^\s\x01])(?P<v>[^\s\x01]*?(?!\x01){INVISIBLE}[^\s\x01]*+)"),
    _rule("code", r"(?P<v>(?<!\S)[^\s<>]+\.(?:png|jpe?g|heic|gif|bmp|pdf|tiff?|mp4|mov|wav|docx?))\b"),
)
_ADDRESSES = (
    _rule(
        "address",
        r"(?P<v>(?<!\S)(?=\S+@\S)\S++|\b(?:https?://|www\.)\S++|"
        r"\b\w++\s(?:at|dot)\s\w++\sdot\s(?:com|net|org|edu|gov)\b)",
    ),
    _rule(
        "address",
        rf"(?<![\w.+\-@]){_NO_LOCAL}(?P<v>\w[\w.+\-]{{1,40}}(?:\s(?:dot|punto|underscore|dash)\s[\w\-]{{1,40}}){{0,3}}\s"
        rf"(?:at|arroba)\s{_MAIL})\b(?!['’]s)",
    ),
    _rule(
        "address",
        rf"\b(?P<v>\d{{1,5}}\s(?:[NSEW]\.?\s)?(?:(?-i:\p{{Lu}}|\d)[\p{{L}}\d]*\s){{0,3}}{_STREETS}\b\.?"
        rf"(?:\s(?:[NSEW]|north|south|east|west)\b)?(?:,?\s{_DOOR})?)",
    ),
    _rule("address", rf"\b(?P<v>\d{{1,5}}\s(?-i:\p{{Lu}}\p{{L}}+\s?){{1,3}},?\s?{_DOOR})"),
    _rule(
        "address",
        r"\b(?:address\W{1,3}(?:is\s|it's\s)?|lives?\s(?:alone\s)?at\s|living\sat\s)(?P<v>\d{1,5}\s[^,.?!\n<]{3,40})",
    ),
    _rule("address", rf"<ADDRESS_\d+>,?\s(?P<v>{_DOOR})"),
    _rule("address", r"\b(?P<v>\d{1,3}(?:\s(?:dot|point|punto)\s\d{1,3}){3})\b"),
)
_DATES = (
    _rule("date", r"(?<![\w/.\-])(?P<v>\d{1,4}[/\-.]\d{1,2}[/\-.]\d{2,4})(?![\w/\-])"),
    # No fraction, no score of pain.
    _rule(
        "date",
        r"(?<!\b(?:pain|scale|score|rate[ds]?|level)\b[^.\n]{0,25})(?<![\w/.\-])(?P<v>(?:0?[1-9]|1[0-2])/"
        r"(?!(?:[2-5]|8|10)\b)(?:0?[1-9]|[12]\d|3[01]))(?![\w/%.\-]\d|[\w/%])(?!\s?(?:pain|mg|tab))",
    ),
    _rule("date", r"(?<=_\d+>\.?\s)(?P<v>\d{1,2}/\d{1,2})(?![\w/%])"),
    _rule("date", r"\b(?:on|from|since|until|till|by|before|after)\s(?P<v>(?:0?[1-9]|1[0-2])/\d{1,2})(?![\w/%])"),
    _rule(
        "age",
        rf"\b(?:turned|turns|turning|is|was|aged?|am|i'm|\w+'s|pt|y/o)\W{{1,2}}{_FILL}"
        rf"(?P<v>9\d|1[01]\d|(?:a|one)\shundred(?:\sand\s\w+)?(?!\s(?:percent|dollars?|times|and\b)))\b"
        rf"(?![.:/%\-+]\d|\+|\sa\b){_UNITS}",
    ),
)
_OLD = (
    _rule("age", rf"\b(?P<v>{_NINETIETH})\s(?:birthday|year\b(?!\sof\s(?:the|our)))"),
    _rule("age", r"\b(?:a|an|is|was|our)\s(?P<v>(?:super)?centenarian|nonagenarian)\b"),
    # A year that tells an age of 90 or more, no hour of the day.
    _rule(
        "age", r"\b(?:born|from|since)\s(?:back\s)?(?:in\s)?(?P<v>19(?:[0-2]\d|3[0-6]))\b(?!\s?(?:to|until|hours?|-|–))"
    ),
)
_PEOPLE = (
    _rule(
        "name",
        rf"\b(?:this\sis|my\sname\sis|my\sname's|name's|i'm|i\sam|it's|speaking\s(?:with|to)|called|named|soy|"
        rf"habla|me\sllamo|le\satiende)\s{_FILL}{_NAMES}",
        "strong",
    ),
    _rule(
        "name",
        rf"(?<!\p{{L}}\s){_NAMES}(?=\s(?:speaking|here\b|calling|reports|called|says))|"
        rf"{_NAMES}(?=\s(?:speaking|al\shabla|on\sthe\sline|at\syour|with\sthe|is\sthe\sname)\b)",
        "strong",
    ),
    _rule("name", rf"\b(?:dr|doctor|mr|mrs|ms|miss|nurse|sra?|señora?|dra?)\b\.?\s{_FILL}{_NAMES}", "strong"),
    _rule(
        "name",
        rf"\b(?:bye|goodbye|thanks|thank\syou|hi|hello|hey|okay|ok|sure|yes|no|welcome|morning|afternoon|evening),\s"
        rf"{_FILL}{_NAMES}(?=[.,!?])",
        "strong",
    ),
    _rule("name", rf"\b{_RELATIVES},?\s{_FILL}{_NAMES}", "weak"),
    _rule("name", rf"<PERSON_\d+>,?\s{_NAMES}|\b{_NAMES},?\s(?=<PERSON_\d+>)", "weak"),
    _rule("name", rf"(?<=[^.?!:;\"“>\s\x01]\s){_NAMES}", "capital"),
    # Who is the only one of a kind, or holds an office, is known by it.
    _rule(
        "name",
        rf"\b(?:i'm|i\sam|she's|he's|she\sis|he\sis|wife's|husband's|and)\s{_FILL}(?P<v>(?:the\s(?:only|first)|the\s\w+'s\s"
        rf"(?:only|first))\s(?!one\b|thing|way|time|person\b)\p{{L}}+(?:\s(?!in\b|at\b|of\b|here\b)\p{{L}}+){{0,2}}|"
        rf"the\s(?:\w+\s)?{_OFFICES})\b",
    ),
    _rule("name", r"(?<![\w\-])(?P<v>(?-i:\p{Lu}(?:-\p{Lu}){2,}))(?![\w\-])"),
)
_PLACES = (
    _rule("name", rf"<ADDRESS_\d+>[, ]\s?(?:(?:in|now|near|over\sin|en),?\s)*{_NAMES}"),
    _rule("name", rf"(?:^|(?<=[\w,>]\s)){_NAMES},?\s(?=<(?:ACCOUNT|ZIP)_\d+>)", "strong"),
    _rule(
        "name",
        rf"\b(?:lives?|living|moved?|from)\s(?:alone\s)?(?:(?:in|to|at|near|by)\s)?{_FILL}{_NAMES}",
        "weak",
    ),
    _rule(
        "name",
        rf"\b(?:boss|works?|working|job|teller|cashier|coach|employer|manager)\s(?:{_FILL}till\s\w+\s)?(?:at|for|is)\s"
        rf"(?:the\s)?{_FILL}{_NAMES}(?:\s(?:and|of|&)\s{_NAME})*",
        "strong",
    ),
)
RULES = (*_NUMBERS, *_CODES, *_ADDRESSES, *_DATES, *_OLD, *_PEOPLE, *_PLACES)
