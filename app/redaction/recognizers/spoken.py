"""Numbers in words, English and Spanish: parts of regular expressions, case aside."""

from __future__ import annotations

import regex

from app.redaction.recognizers.measures import UNIT
from app.redaction.recognizers.rules import Match

UNITS = r"(?:one|two|three|four|five|six|seven|eight|nine)"
TEENS = r"(?:ten|eleven|twelve|thirteen|fourteen|fifteen|sixteen|seventeen|eighteen|nineteen)"
TENS = r"(?:twenty|thirty|forty|fourty|fifty|sixty|seventy|eighty|ninety)"
TWO_DIGITS = rf"(?:{TENS}(?:[\s\-]{UNITS})?|{TEENS}|(?:oh|o|zero)[\s\-]{UNITS}|{UNITS})"
ORDINAL = (
    r"(?:first|second|third|fourth|fifth|sixth|seventh|eighth|ninth|tenth|eleventh|twelfth|thirteenth|fourteenth|"
    r"fifteenth|sixteenth|seventeenth|eighteenth|nineteenth|twentieth|thirtieth|twenty[\s\-]?(?:first|second|third|"
    r"fourth|fifth|sixth|seventh|eighth|ninth)|thirty[\s\-]?first)"
)

UNITS_ES = r"(?:un|uno|una|dos|tres|cuatro|cinco|seis|siete|ocho|nueve)"
TEENS_ES = r"(?:diez|once|doce|trece|catorce|quince|dieci\p{L}{3,6}|veint(?:e|i\p{L}{3,6})|treinta|cuarenta)"
TENS_ES = r"(?:treinta|cuarenta|cincuenta|sesenta|setenta|ochenta|noventa)"
TWO_DIGITS_ES = rf"(?:{TENS_ES}(?:\sy\s{UNITS_ES})?|{TEENS_ES}|{UNITS_ES})"

YEAR_WORDS = (
    rf"(?:(?:nineteen|twenty)(?:[\s\-]hundred)?(?:[\s\-](?:and\s)?{TWO_DIGITS})?|"
    rf"two\sthousand(?:\s(?:and\s)?{TWO_DIGITS})?)"
)
YEAR_WORDS_ES = rf"(?:(?:mil\snovecientos|dos\smil)(?:\s{TWO_DIGITS_ES})?)"

NUMBER_WORD = (
    r"(?:zero|oh|o|nought|one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|thirteen|fourteen|fifteen|"
    r"sixteen|seventeen|eighteen|nineteen|twenty|thirty|forty|fifty|sixty|seventy|eighty|ninety|hundred|(?:double|"
    r"triple)\s\w{1,5}|cero|uno|dos|tres|cuatro|cinco|seis|siete|ocho|nueve|diez|once|doce|trece|catorce|quince|"
    r"dieci\p{L}{3,6}|veint(?:e|i\p{L}{3,6})|treinta|cuarenta|cincuenta|sesenta|setenta|ochenta|noventa|(?:dos|tres|"
    r"cuatro|seis|sete|ocho|nove)?cient[oa]s?|quinient[oa]s|doble\s\w{1,6})"
)
_GAP = r"(?:[\s,.\-/]{1,3}|\s(?:dash|hyphen|minus|space|slash|y|guion|guión|raya|then|and\sthen)\s)"


_LETTER_NAME = r"(?:ay|bee|cee|dee|ee|eff|gee|aitch|jay|kay|ell|em|en|pee|cue|ess|tee|vee|ex|zee)"


def run(least: int, most: int = 24) -> str:
    """A run of ``least`` to ``most`` number words, digits or single letters that begins with a number word."""
    more = rf"(?:{NUMBER_WORD}|\d{{1,4}}|[a-z](?:\sas\sin\s\p{{L}}{{2,10}})?)"
    return rf"\b{NUMBER_WORD}\b(?:{_GAP}{more}\b){{{least - 1},{most - 1}}}"


def lettered_run(least: int, most: int = 24) -> str:
    """Like ``run``, but it may begin with a letter that is said alone ("P as in Paul")."""
    item = rf"(?:{NUMBER_WORD}|\d{{1,4}}|{_LETTER_NAME}|[a-z](?:\s(?:as\sin|for|like)\s\p{{L}}{{2,10}})?)\b"
    return rf"\b{item}(?:{_GAP}{item}){{{least - 1},{most - 1}}}"


_SAID = regex.compile(rf"\d|\b{NUMBER_WORD}\b", regex.IGNORECASE)


def says_digits(match: Match) -> bool:
    """Whether more than half of the run in group ``v`` are numbers, and no unit follows it."""
    words = len(match["v"].split())
    return len(_SAID.findall(match["v"])) * 2 > words and not UNIT.match(match.string, match.end("v"))
