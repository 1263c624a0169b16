"""Street addresses, post boxes, ZIP codes, towns after a cue, employers and schools after a cue."""

from __future__ import annotations

from collections.abc import Callable

import regex

from app.redaction.lexicon import Lexicon
from app.redaction.recognizers.rules import Match, Rule, compile_rule

_STATE = (
    r"(?:AL|AK|AZ|AR|CA|CO|CT|DE|FL|GA|HI|ID|IL|IN|IA|KS|KY|LA|ME|MD|MA|MI|MN|MS|MO|MT|NE|NV|NH|NJ|NM|"
    r"NY|NC|ND|OH|OK|OR|PA|RI|SC|SD|TN|TX|UT|VT|VA|WA|WV|WI|WY|DC|PR)"
)
_STATE_NAME = (
    r"(?:Alabama|Alaska|Arizona|Arkansas|California|Colorado|Connecticut|Delaware|Florida|Georgia|"
    r"Hawaii|Idaho|Illinois|Indiana|Iowa|Kansas|Kentucky|Louisiana|Maine|Maryland|Massachusetts|"
    r"Michigan|Minnesota|Mississippi|Missouri|Montana|Nebraska|Nevada|New\s+(?:Hampshire|Jersey|"
    r"Mexico|York)|North\s+(?:Carolina|Dakota)|Ohio|Oklahoma|Oregon|Pennsylvania|Rhode\s+Island|"
    r"South\s+(?:Carolina|Dakota)|Tennessee|Texas|Utah|Vermont|(?:West\s+)?Virginia|Washington|"
    r"Wisconsin|Wyoming)"
)
_CITY_WORD = r"(?:(?:St|Ft|Mt)\.\s)?[A-Z]\p{L}[\p{L}'.\-]*+"
_CITY = rf"{_CITY_WORD}(?:[ ]{_CITY_WORD}){{0,2}}"
_ZIP = r"\d{5}(?:-\d{4})?"
_CLEAR = r"(?:street|avenue|ave|road|rd|boulevard|blvd|lane|ln|parkway|pkwy|highway|hwy|terrace|turnpike)"
_VAGUE = (
    r"(?:St|Dr|Drive|Court|Ct|Circle|Cir|Way|Place|Pl|Ter|Trail|Trl|Loop|Square|Sq|Pike|Crescent|"
    r"Close|Row|Plaza|Alley|Run|Path|Ridge|Hill|Grove|Crossing)"
)
_UNIT = (
    r"(?:,?\s{1,2}(?:apt|apartment|unit|suite|ste|rm|room|bldg|building|floor|fl|lot)"
    r"\.?\s?\#?\s?[A-Z0-9\-]{1,6}|,?\s?\#\s?\w{1,5})?"
)
_TAIL = (
    rf"(?:,?\s{{1,2}}{_CITY},?\s{{1,2}}(?:{_STATE}|{_STATE_NAME})\b(?:,?\s{{1,2}}{_ZIP})?|"
    rf",\s{{1,2}}{_CITY}(?:,?\s{{1,2}}{_ZIP})?|,?\s{{1,2}}{_ZIP})?"
)
_NUMBER = r"(?<![\w.,:$/\-])\d{1,6}(?:[A-Za-z]|-\d{1,4}|\s1/2)?"
_DIRECTION = r"(?:\s(?:North|South|East|West|[NSEW]{1,2}\.?|NE|NW|SE|SW))?"

_WORD = regex.compile(r"[\p{L}'\-]++")
_WHOLE_STATE = regex.compile(rf"{_STATE}|{_STATE_NAME}")
"""A state alone identifies nobody (45 CFR 164.514(b)(2)(i)(B))."""

_STOP = frozenset(
    "mg ml mcg day days week weeks hour hours hr hrs minute minutes min mins month months year years "
    "time times of the and or am "
    "pm a.m p.m mile miles block blocks to from in on my a an by for more other is are at per pills "
    "tablets doses with until "
    "different people patients nurses doctors degrees pounds lbs feet steps percent".split()
)


def _street(match: Match) -> bool:
    return not any(word.lower().strip(".,") in _STOP for word in match["words"].split())


def _proper(lexicon: Lexicon) -> Callable[[Match], bool]:
    """Accepts what holds a word of its own ("West Liberty") and is no mere state, weekday or department."""

    def accept(match: Match) -> bool:
        value = match["v"].rstrip(".,")
        own = any(word.lower() not in lexicon.ordinary for word in _WORD.findall(value))
        return own and not _WHOLE_STATE.fullmatch(value)

    return accept


def place_rules(lexicon: Lexicon) -> list[Rule]:
    """ADDRESS, ZIP, CITY, ORGANIZATION."""
    return [*_streets(), *_zips(), *_towns(lexicon), *_organizations(lexicon)]


def _streets() -> list[Rule]:
    words = r"(?P<words>(?:\s[\w'.\-]{1,24}){1,4}?)"
    proper = r"(?P<words>(?:\s(?:[A-Z][\w'.\-]{0,24}|\d{1,3}(?:st|nd|rd|th)|de|la|el|del|of)){1,4}?)"
    return [
        compile_rule(
            "ADDRESS",
            rf"(?P<v>{_NUMBER}{_DIRECTION}{words}\s(?i:{_CLEAR})\b\.?{_DIRECTION}(?i:{_UNIT}){_TAIL})",
            0.92,
            accept=_street,
            needs="digit",
            exact_case=True,
        ),
        compile_rule(
            "ADDRESS",
            rf"(?P<v>{_NUMBER}{_DIRECTION}{proper}\s{_VAGUE}\b\.?{_DIRECTION}(?i:{_UNIT}){_TAIL})",
            0.9,
            accept=_street,
            needs="digit",
            exact_case=True,
        ),
        compile_rule(
            "ADDRESS",
            rf"(?P<v>\b(?i:p\.?\s?o\.?\s?box|post\s+office\s+box)\s+\#?\d{{1,7}}{_TAIL})",
            0.95,
            needs="digit",
            exact_case=True,
        ),
        compile_rule(
            "ADDRESS", r"\b(?P<v>(?:apt|apartment)\.?\s?\#?\s?(?=\w{0,2}\d)[A-Z0-9\-]{1,5})(?!\w)", 0.8, needs="digit"
        ),
        compile_rule(
            "ADDRESS",
            rf"\b(?i:live|lives|living|address|home|mail(?:ed)?|staying|moved)\b[\s:,]{{1,2}}(?i:(?:at|is|to|"
            rf"on|it|in|me)[\s:]{{1,2}}){{0,4}}(?P<v>\d{{1,6}}\s(?P<words>[A-Z][\p{{L}}'.\-]+(?:\s[A-Z]"
            rf"[\p{{L}}'.\-]+){{0,3}}){_UNIT}{_TAIL})",
            0.8,
            accept=_street,
            needs="digit",
            exact_case=True,
        ),
        compile_rule(
            "ADDRESS",
            rf"\b(?i:live|lives|living|stay|staying|house|home)\s(?:on|at)\s(?P<v>{_CITY}\s(?:Street|St|Avenue|"
            r"Ave|Road|Rd|Boulevard|Blvd|Lane|Ln|Drive|Dr|Court|Ct|Way)\b\.?)",
            0.85,
            exact_case=True,
        ),
    ]


def _zips() -> list[Rule]:
    cue = r"(?:zip(?:\s?code)?|postal\s+code|post\s?code)"
    return [
        compile_rule(
            "ZIP",
            rf"\b{cue}[\s:]{{0,2}}(?:is|of|was|=|:)?\s?(?P<v>[A-Z]{{0,2}}\d[\dA-Z]{{1,5}}(?:[ \-]\d[A-Z0-9]"
            rf"{{1,4}})?)(?!\w)",
            0.95,
            needs="digit",
        ),
        compile_rule(
            "ZIP", rf"\b(?:{_STATE}|{_STATE_NAME}),?\s{{1,2}}(?P<v>{_ZIP})(?!\w)", 0.9, needs="digit", exact_case=True
        ),
        compile_rule("ZIP", r"(?<![\w.\-])(?P<v>\d{5}-\d{4})(?![\w\-])", 0.9, needs="digit"),
        compile_rule(
            "ZIP",
            rf"\b(?:live|lives|living|located|based|moved|area)\s(?:in|to|near|code)\s(?P<v>{_ZIP})(?![\w\-]|[.,]\d)",
            0.85,
            needs="digit",
        ),
        compile_rule(
            "ZIP",
            r"(?<!\w)(?P<v>[A-Z]\d[A-Z]\s\d[A-Z]\d|[A-Z]{1,2}\d[A-Z\d]?\s\d[A-Z]{2})(?!\w)",
            0.85,
            needs="digit",
            exact_case=True,
        ),
    ]


def _towns(lexicon: Lexicon) -> list[Rule]:
    cue = (
        r"(?:live|lives|lived|living|reside|resides|residing|stay|staying|moved|relocated|born|based|"
        r"located|grew\s+up|raised|home|vivo|vivimos)\s+(?:out\s+|over\s+|back\s+|here\s+|up\s+|down\s+)?(?:in|en|to|near|"
        r"outside(?:\s+of)?)"
    )
    come = (
        r"(?:i'm|i\s+am|we're|we\s+are|coming|come|comes|drive|driving|travel|traveling|originally|he's|"
        r"she's|is)\s+(?:all\s+the\s+way\s+)?(?:in\s+)?from"
    )
    town = r"(?:town|city|village|suburb)\s+(?:of|is|:)|city\s*:|resident\s+of|hometown(?:\s+is)?|visiting\s+from"
    listed = "|".join(sorted(lexicon.cities))
    return [
        compile_rule(
            "CITY",
            rf"\b(?i:{cue}|{come}|{town})\s+(?P<v>{_CITY}(?:,\s?(?:{_STATE}|{_STATE_NAME})\b)?)",
            0.8,
            accept=_proper(lexicon),
            exact_case=True,
        ),
        compile_rule(
            "CITY",
            rf"\b(?:{cue}|{come}|{town})\s+(?P<v>(?:{listed}|des\s+moines|new\s+york(?:\s+city)?|los\s+angeles|"
            rf"san\s+\p{{L}}+|santa\s+\p{{L}}+|las\s+vegas|el\s+paso|st\.?\s+\p{{L}}+|fort\s+\p{{L}}+|"
            r"cedar\s+(?:rapids|falls)|iowa\s+city|kansas\s+city|salt\s+lake\s+city|(?:new|north|south|east|"
            rf"west|port|lake|mount)\s+\p{{L}}{{4,}})(?:,?\s+(?:{_STATE}|{_STATE_NAME})\b)?)\b",
            0.75,
        ),
        compile_rule(
            "CITY", rf"(?<![\w.'\-])(?P<v>{_CITY},\s(?:{_STATE}))(?!\w)", 0.75, accept=_proper(lexicon), exact_case=True
        ),
        compile_rule(
            "CITY",
            rf"(?<![\w.'\-])(?P<v>{_CITY}),?\s(?:{_STATE}|{_STATE_NAME}),?\s{_ZIP}(?!\w)",
            0.8,
            accept=_proper(lexicon),
            needs="digit",
            exact_case=True,
        ),
    ]


def _organizations(lexicon: Lexicon) -> list[Rule]:
    name = r"[A-Z][\p{L}\d'&.\-]*+(?:\s(?:[A-Z&][\p{L}\d'&.\-]*+|of|and|the)){0,4}(?<![.])(?<!\sof)(?<!\sand)(?<!\sthe)"
    return [
        compile_rule(
            "ORGANIZATION",
            r"\b(?i:(?:i|he|she|husband|wife|we|they)\s+works?(?:ed)?\s+(?:at|for)|working\s+(?:at|for)|"
            rf"employed\s+(?:at|by|with)|employer(?:\s+is|'s|:)|job\s+(?:at|with))\s+(?:the\s+)?(?P<v>{name})",
            0.75,
            accept=_proper(lexicon),
            exact_case=True,
        ),
        compile_rule(
            "ORGANIZATION",
            r"(?<![\w.'&\-])(?P<v>[A-Z][\p{L}'&\-]*+(?:\s[A-Z&][\p{L}'&\-]*+){0,3}?,?\s(?:Inc|LLC|Corp|"
            r"Corporation|Ltd|GmbH|Elementary(?:\sSchool)?|High\sSchool|Middle\sSchool|Academy|University|"
            r"College))\b",
            0.75,
            accept=_proper(lexicon),
            exact_case=True,
        ),
    ]
