"""Ages of 90 and over, in digits and words, English and Spanish.

Younger ages are kept, and so are vital signs of the same size.
"""

from __future__ import annotations

import regex

from app.redaction.recognizers.rules import Match, Rule, compile_rule
from app.redaction.recognizers.spoken import TEENS, UNITS, UNITS_ES

_OLD = (
    r"(?:[\s\-]{0,2}(?:years?|yrs?)[\s\-]{0,2}(?:olds?|of\s+age|young)|[\s\-]{0,2}y[/.]?\s?o\b|"
    r"[\s\-]{0,2}yrs?\b(?!\s(?:ago|of))|[\s\-]{0,2}años|[\s\-]{0,2}year[\s\-]olds?|[\s\-]year\b(?=\sold))"
)
_DIGITS = r"(?:9\d|1[01]\d)"
_HUNDRED = rf"(?:(?:a|one)[\s\-])?hundred(?:[\s\-](?:and[\s\-])?(?:{UNITS}|{TEENS}))?"
_WORDS = rf"(?:ninety(?:[\s\-]{UNITS})?|(?:a|one)[\s\-]hundred(?:[\s\-](?:and[\s\-])?(?:{UNITS}|{TEENS}))?)"
_WORDS_ES = rf"(?:noventa(?:\sy\s{UNITS_ES})?|cien(?:to\s{UNITS_ES})?)"

_KIN = (
    r"(?:gma|gpa|grma|don|doña|mr|mrs|(?-i:[Mm]s)|mom|mum|mommy|momma|mama|mamma|ma|mother|dad|daddy|papa|pop|pops|"
    r"father|grand\s?\w{2,8}|great[\s\-]gran\w{0,9}|gran|granny|grannie|nan|nana|nanna|gramps|grams|grammy|memaw|"
    r"mawmaw|papaw|pawpaw|meemaw|oma|opa|lola|lolo|bubbe|zayde|babcia|nonna|nonno|yiayia|(?:great[\s\-])?(?:aunt|"
    r"auntie|uncle)|husband|wife|spouse|partner|patient|(?-i:[Pp]t)|resident|client|neighbor|neighbour|friend|sister|"
    r"brother|(?:mother|father|sister|brother)[\s\-]in[\s\-]law|mil|fil|lady|man|woman|gentleman|veteran|widow|"
    r"widower|abuel(?:a|o|it[ao])|bisabuel[ao]|mam[áa]|pap[áa]|am[áa]|ap[áa]|madre|padre|suegr[ao]|"
    r"(?-i:[Tt][íi])[ao]|espos[ao]|marido|señora?|viejit[ao]|anciano?a?|hermano?a?|vecin[ao]|pacient[ea])"
)
_IS = (
    r"(?:'s|\s+is|\s+was|\s+are|\s+who\s+is|\s+who's|s|,|\s*:|\s+at|\s+age|\s+aged|\s*\(|\s+de|\s+tiene|\s+con|\s+es|"
    r"\s+cumple|\s+cumplió)"
)
_WHO = (
    r"(?:i\s+am|i'm|(?-i:[Ii]m)|i'll\s+be|(?:she|he|who|they)(?:'s|s|\s+is|\s+was|\s+are|\s+will\s+be|'ll\s+be)?|"
    r"shes|hes|(?:will|gonna|going\s+to)\s+be|turned|turns|turning|turn|reached|hit|pushing|going\s+on|almost|nearly|"
    r"aged?(?:\s+is|\s+of|:)?|(?:just\s+)?celebrated|made\s+it\s+to|liv(?:e|ed)\s+to(?:\s+be)?|tiene|tengo|cumple|"
    r"cumpli[óo]|cumpl[íi]|edad(?:\s+es|:)?|ya\s+tiene|anda\s+en)"
)
_SOFT = (
    r"(?:(?:now|almost|nearly|about|just|already|over|only|a|an|well|past|still|around|turned|turns|turning|is|was|"
    r"ya|casi|m[áa]s\s+de|como|pt|year|be|her|his|my|going\s+on|pushing|like)\s+){0,3}"
)
_END = (
    r"(?![\d.:/%]\d|\d|%|\w|\s?(?:lbs?|pounds?|kg|kilos?|degrees?|percent|mg|mcg|ml|units?|over|/|beats|bpm|minutes?|"
    r"mins?|hours?|days?|weeks?|months?|miles?|°|f(?:ever)?\b(?=\s*(?:fever|temp|this|last|$))|fever|temp|cm|"
    r"on\s+(?:oxygen|room|ra|o2|the)|systolic|sats?\b|pulse|percentile|people|times|steps|pills?|tablets?|"
    r"years?\s+ago|de\s+(?:az|pres|ox|gluc|temp)|grados|libras|kilos|por\s+ciento|miligramos|feet|ft|dollars|pesos|"
    r"bucks))"
)
_VITAL = regex.compile(
    r"\b(?:fever|temp(?:erature)?|o2|oxygen|sats?|spo2|pulse|heart|hr|rate|bp|pressure|systolic|diastolic|sugars?|"
    r"glucose|weigh\w{0,3}|weight|a1c|lbs|score|percent|dose|mg|ldl|hdl|tsh|egfr|gfr|creatinine|fiebre|presi[óo]n|"
    r"az[úu]car|ox[íi]geno|pes[ao]|resting|reading|platelets|ferritin|level|room|bed|degrees)\b[^.;!?\n]{0,25}\Z",
    regex.IGNORECASE,
)
_PERSON = regex.compile(rf"\b(?:{_KIN}|she|he|her|his|him|shes|hes|él|ella)\b", regex.IGNORECASE)


def age_rules() -> list[Rule]:
    """AGE."""
    half = r"(?:\s+(?:and|y)\s+(?:a\s+half|medio))?"
    digits_or_words = rf"(?:{_DIGITS}|{_WORDS}|{_WORDS_ES})"
    lively = (
        r"(?:refuses|forgetful|bed\s?ridden|uses|hates|loves|smokes|gardens|knits|dances|swims|cranky|stubborn|still|"
        r"drives?|driving|lives?|sharp|counting|going|doing|walks?|cooks?|eats?|plays?|healthy|strong|kicking|frail|"
        r"bed\s?bound|demented|deaf|blind|fell|fallen|alone|independent|todav[íi]a|sigue|camina|come|vive|maneja|"
        r"no\s+oye|diabetic|dementia|hospice|widow(?:ed|er)?|male|female)"
    )
    return [
        compile_rule("AGE", rf"(?<![\w.\-/])(?P<v>{_DIGITS}{half}{_OLD})", 0.9, accept=_no_vital, needs="digit"),
        compile_rule("AGE", rf"\b(?P<v>(?:{_WORDS}|{_WORDS_ES}){half}{_OLD})", 0.9),
        compile_rule("AGE", rf"\b{_WHO}\s+{_SOFT}(?P<v>{digits_or_words}){_END}", 0.85, accept=_no_vital),
        compile_rule(
            "AGE", rf"\b{_WHO}\s+(?:over|past|m[áa]s\sde)\s+(?:a\s+)?(?P<v>hundred|cien){_END}", 0.85, accept=_no_vital
        ),
        compile_rule(
            "AGE",
            rf"\b{_KIN}s?\b(?:\s(?-i:[A-Z]\p{{L}}++)){{0,2}}(?:\s(?:mr|mrs|ms|"
            rf"miss)\.?\s\p{{L}}++)?{_IS}?\s{{0,2}}{_SOFT}(?P<v>{digits_or_words}){_END}",
            0.85,
            accept=_no_vital,
        ),
        compile_rule(
            "AGE",
            rf"\b{_KIN}s?\b{_IS}?\s{{0,2}}{_SOFT}(?:over|past)\s+(?:a\s+)?(?P<v>{_HUNDRED}){_END}",
            0.85,
            accept=_no_vital,
        ),
        compile_rule(
            "AGE",
            rf"(?<![\w.,/\-])(?P<v>{_DIGITS})\s?(?:[mf]\b|male\b|female\b|lady\b|woman\b|man\b)(?!\s?(?:ever|emp))",
            0.85,
            accept=_about_person,
            needs="digit",
        ),
        compile_rule(
            "AGE",
            rf"\b(?:at|age|aged|edad|a\slos)\s+(?P<v>{digits_or_words}){_END}(?=[\s,]+(?:he|she|i|his|her|my|years|"
            rf"años|and|con|y|le)\b)",
            0.8,
            accept=_no_vital,
        ),
        compile_rule(
            "AGE",
            rf"(?:\A|\n\s?|[.!?]\s{{1,2}})(?P<v>{digits_or_words})(?=,?\s(?:and|y|but|pero|with|con)\s{lively})",
            0.8,
        ),
        compile_rule("AGE", rf"\A\s?(?P<v>{digits_or_words})(?=,\s(?:[a-z\s]{{1,25}},\s)?{lively}\b)", 0.8),
        compile_rule("AGE", rf"(?<![\w.,/\-])(?P<v>{_DIGITS})(?=\s(?:is\s)?too\sold\b)", 0.8, needs="digit"),
        compile_rule(
            "AGE",
            rf"\bat\s(?P<v>{digits_or_words})(?=\s(?:do|should|can|could)\s(?:i|he|she|we|they)\b)",
            0.8,
            accept=_no_vital,
        ),
        compile_rule(
            "AGE",
            rf"(?:\A|\n\s?|\(\s?|[.!?,;]\s{{1,2}})(?P<v>{digits_or_words})(?=\s{{0,2}}(?:[.!?,;)\n]|\Z))",
            0.75,
            accept=_about_elder,
        ),
        compile_rule(
            "AGE",
            rf"\b(?:over|hundred|cien)[\w\s]{{0,10}},\s(?P<v>{_DIGITS})\s(?:last|next|this|in|on|la)\b",
            0.75,
            accept=_about_person,
        ),
    ]


def _no_vital(match: Match) -> bool:
    start = match.start("v")
    return not _VITAL.search(match.string[max(0, start - 45) : start])


def _about_person(match: Match) -> bool:
    near = match.string[max(0, match.start() - 150) : match.end() + 80]
    return _no_vital(match) and bool(_PERSON.search(near))


def _about_elder(match: Match) -> bool:
    """A number that is a sentence or an aside of its own, after words about a person and about no vital sign."""
    before = match.string[max(0, match.start("v") - 70) : match.start("v")]
    return bool(_PERSON.search(before)) and not _VITAL_WORD.search(before)


_VITAL_WORD = regex.compile(
    r"\b(?:fever|temp\w*|o2|oxygen|sats?|spo2|pulse|heart|hr|bp|pressure|sugars?|glucose|weigh\w*|score|level|"
    r"reading|numbers?|lab|labs|fiebre|presi[óo]n|az[úu]car|ox[íi]geno|result)\b",
    regex.IGNORECASE,
)
