"""Street addresses, crossings, post boxes and roads by number."""

from __future__ import annotations

from collections.abc import Callable

import regex

from app.redaction.lexicon import Lexicon
from app.redaction.recognizers.measures import UNIT
from app.redaction.recognizers.rules import Match, Rule, compile_rule
from app.redaction.recognizers.spoken import TEENS, TENS, UNITS

STATE = (
    r"(?:AL|AK|AZ|AR|CA|CO|CT|DE|FL|GA|HI|ID|IL|IN|IA|KS|KY|LA|ME|MD|MA|MI|MN|MS|MO|MT|NE|NV|NH|NJ|NM|NY|NC|ND|OH|OK|"
    r"OR|PA|RI|SC|SD|TN|TX|UT|VT|VA|WA|WV|WI|WY|DC|PR)"
)
STATE_NAME = (
    r"(?:Alabama|Alaska|Arizona|Arkansas|California|Colorado|Connecticut|Delaware|Florida|Georgia|Hawaii|Idaho|"
    r"Illinois|Indiana|Iowa|Kansas|Kentucky|Louisiana|Maine|Maryland|Massachusetts|Michigan|Minnesota|Mississippi|"
    r"Missouri|Montana|Nebraska|Nevada|New\s+(?:Hampshire|Jersey|Mexico|York)|North\s+(?:Carolina|Dakota)|Ohio|"
    r"Oklahoma|Oregon|Pennsylvania|Rhode\s+Island|South\s+(?:Carolina|Dakota)|Tennessee|Texas|Utah|Vermont|"
    r"(?:West\s+)?Virginia|Washington|Wisconsin|Wyoming)"
)
_CITY_WORD = r"(?:(?:St|Ft|Mt)\.\s)?[A-Z]\p{L}[\p{L}'.\-]*+"
CITY = rf"{_CITY_WORD}(?:[ ]{_CITY_WORD}){{0,2}}"
ZIP = r"\d{5}(?:-\d{4})?"
CLEAR = (
    r"(?:street|avenue|ave|av|road|rd|boulevard|blvd|lane|ln|parkway|pkwy|highway|hwy|terrace|turnpike|tpke|"
    r"expressway|expy|freeway|fwy|causeway)"
)
_VAGUE = (
    r"(?:St|Str|Dr|Drive|Court|Ct|Circle|Cir|Way|Place|Pl|Ter|Trail|Trl|Tr|Loop|Square|Sq|Pike|Crescent|Cres|Close|"
    r"Row|Plaza|Plz|Alley|Aly|Run|Path|Ridge|Rdg|Hill|Hills|Hl|Hls|Grove|Crossing|Xing|Cove|Cv|Bend|Bnd|Trace|Trce|"
    r"Point|Pt|Hollow|Holw|Glen|Landing|Lndg|Meadows?|Commons?|Walk|Heights|Hts|Manor|Mnr|Mews|Park|View|Creek|"
    r"Branch|Bluff|Pass|Cutoff|Spur|Extension|Ext|Vista|Gardens?|Estates?|Village|Green|Field|Fields|Canyon|Mesa|"
    r"Ridgeway|Broadway)"
)
SHORT = r"(?:st|str|dr|ct|cir|pl|ter|trl|ln|sq|cv|rdg|court|circle|drive|way|place|trail|loop|alley)"
_UNIT_WORD = (
    r"(?:apt|apartment|unit|suite|ste|rm|room|bldg|building|floor|fl|lot|trailer|space|spc|no|apto|depto|int|casa)"
)
_UNIT_OF_HOUSE = rf"(?:,?\s{{1,2}}{_UNIT_WORD}\.?\s?\#?\s?[A-Z0-9\-]{{1,6}}|,?\s?\#\s?\w{{1,5}})?"
_TAIL = (
    rf"(?:,?\s{{1,2}}{CITY},?\s{{1,2}}(?:{STATE}|{STATE_NAME})\b(?:,?\s{{1,2}}{ZIP})?|"
    rf",\s{{1,2}}{CITY}(?:,?\s{{1,2}}{ZIP})?|,?\s{{1,2}}{ZIP})?"
)
_NUMBER = r"(?<![\w.,:$/\-])\d{1,6}(?:[A-Za-z]|-\d{1,4}|\s1/2)?"
_DIRECTION = r"(?:\s(?:North|South|East|West|[NSEW]{1,2}\.?|NE|NW|SE|SW))?"
_LIVE = (
    r"(?:live|lives|lived|living|stay|stays|staying|house|home|reside|resides|moved|wandered|walking|parked|"
    r"picked\sup|accident|crash|wreck|deliver(?:ed)?|send|ship|mail|come|came|drive|corner|address|found|over|clinic|"
    r"office|lab|store|place|vivo|vive|vivimos|direcci[óo]n|domicilio)"
)

_WORD = regex.compile(r"[\p{L}'\-]++")
_STOP = frozenset(
    "slice low dose contrast head chest abdomen abdominal pelvic brain sinus cardiac pet "
    "mg ml mcg day days week weeks hour hours hr hrs minute minutes min mins month months year years time times of "
    "the and or am pm a.m p.m mile miles block blocks to from in on my a an by for more other is are at per pills "
    "tablets doses with until different people patients nurses doctors degrees pounds lbs feet steps percent visits "
    "shots refills more kids sessions stitches blood my her his their our your i we he she it was were had has have "
    "need not no but so".split()
)


def street_rules(lexicon: Lexicon) -> list[Rule]:
    """ADDRESS."""
    return [*_streets(lexicon), *_crossings(lexicon)]


def _street(match: Match) -> bool:
    return not any(word.lower().strip(".,") in _STOP for word in match["words"].split())


def _streets(lexicon: Lexicon) -> list[Rule]:
    words = r"(?P<words>(?:\s[\w'.\-]{1,24}){1,4}?)"
    proper = r"(?P<words>(?:\s(?:[A-Z][\w'.\-]{0,24}|\d{1,3}(?:st|nd|rd|th)|de|la|el|del|of)){1,4}?)"
    front = rf"(?:(?i:{_UNIT_WORD})\.?\s?\#?\s?[A-Z0-9\-]{{1,5}},?\s)?"
    two = rf"(?:{TENS}(?:[\s\-]{UNITS})?|{TEENS}|(?:oh|o)[\s\-]{UNITS}|{UNITS}(?:\shundred)?)"
    return [
        compile_rule(
            "ADDRESS",
            rf"(?P<v>{front}{_NUMBER}{_DIRECTION}{words}\s(?i:{CLEAR})\b\.?{_DIRECTION}(?i:{_UNIT_OF_HOUSE}){_TAIL})",
            0.92,
            accept=_street,
            needs="digit",
            exact_case=True,
        ),
        compile_rule(
            "ADDRESS",
            rf"(?P<v>{front}{_NUMBER}{_DIRECTION}{proper}\s{_VAGUE}\b\.?{_DIRECTION}(?i:{_UNIT_OF_HOUSE}){_TAIL})",
            0.9,
            accept=_street,
            needs="digit",
            exact_case=True,
        ),
        compile_rule(
            "ADDRESS",
            rf"(?P<v>{_NUMBER}(?:\s[nsew]{{1,2}}\.?)?(?P<words>(?:\s[a-z][a-z'.\-]{{2,20}}|\s\d{{1,3}}(?:st|nd|rd|"
            rf"th)){{1,3}}?)\s{SHORT}\b\.?{_UNIT_OF_HOUSE})(?=\s{{0,2}}(?:[,.;!?\n)]|\Z|and\b|in\b|"
            rf"\p{{L}}+\s+\d{{5}}))",
            0.85,
            accept=_street,
            needs="digit",
        ),
        compile_rule(
            "ADDRESS",
            rf"(?P<v>\b(?i:p\.?\s?o\.?\s?box|post\s+office\s+box|p\.?\s?o\.?\s?drawer|pmb|"
            rf"star\sroute\s\d{1, 3},?\sbox|apartado(?:\spostal)?|h\.?c\.?\s\d{{1,3}},?\sbox|"
            rf"r\.?r\.?\s\d{{1,3}},?\sbox|rural\sroute\s\d{{1,3}},?\sbox|(?:psc|cmr|"
            rf"unit)\s\d{{2,5}},?\sbox)\s+\#?\d{{1,7}}{_TAIL})",
            0.95,
            needs="digit",
            exact_case=True,
        ),
        compile_rule(
            "ADDRESS",
            r"\b(?P<v>(?:apt|apartment|apto)\.?\s?\#?\s?(?=\w{0,2}\d)[A-Z0-9\-]{1,5})(?!\w)",
            0.8,
            needs="digit",
        ),
        compile_rule(
            "ADDRESS",
            rf"(?P<v>{_NUMBER}\s(?:North|South|East|West|[NSEW]\.?)\s(?P<words>[A-Z][\p{{L}}'\-]{{2,24}}"
            rf"(?:\s[A-Z][\p{{L}}'\-]{{2,24}})?)(?i:{_UNIT_OF_HOUSE}){_TAIL})",
            0.8,
            accept=_own_street(lexicon),
            needs="digit",
            exact_case=True,
        ),
        compile_rule(
            "ADDRESS",
            rf"(?P<v>{_NUMBER}{_DIRECTION}\s(?P<words>[A-Z][\p{{L}}'\-]{{2,24}}"
            rf"(?:\s[A-Z][\p{{L}}'\-]{{2,24}}){{0,2}}),?\s(?i:apt|apartment|unit|suite|ste|lot|trailer|spc|"
            rf"\#)\.?\s?\#?\s?[A-Za-z]?\d{{1,5}}[A-Za-z]?{_TAIL})(?!\w)",
            0.85,
            accept=_own_street(lexicon),
            needs="digit",
            exact_case=True,
        ),
        compile_rule(
            "ADDRESS",
            rf"(?P<v>(?<![\w.,/$\-])\d{{3,5}}{_DIRECTION}\s\d{{1,3}}(?:st|nd|rd|"
            rf"th)\b{_DIRECTION}(?i:{_UNIT_OF_HOUSE}))(?=\s{{0,2}}(?:[.,;!?\n]|\Z))",
            0.75,
            needs="digit",
            exact_case=True,
        ),
        compile_rule("ADDRESS", r"(?P<v>\bBox\s\d{1,6})(?=,\s[A-Z])", 0.75, needs="digit", exact_case=True),
        compile_rule(
            "ADDRESS",
            rf"\b(?i:live|lives|living|address|home|mail(?:ed)?|staying|moved|street|house|place|block|deliver|send|"
            rf"ship|bring|number|vivo|vive|direcci[óo]n|domicilio)\b[\s:,]{{1,2}}(?i:(?:at|is|to|on|it|in|me|en|es|"
            rf"of|changed|now)[\s:]{{1,2}}){{0,4}}(?P<v>\d{{1,6}}(?:-?[A-Z])?\s(?P<words>[A-Z][\p{{L}}'.\-]+"
            rf"(?:\s[A-Z][\p{{L}}'.\-]+){{0,3}}){_UNIT_OF_HOUSE}{_TAIL})",
            0.8,
            accept=_street,
            needs="digit",
            exact_case=True,
        ),
        compile_rule(
            "ADDRESS",
            r"(?<![\w'])(?P<v>(?:[NSEW]\.?\s|(?:North|South|East|West|"
            r"Old)\s)?(?P<words>[A-Z][\p{L}'.\-]{1,24}(?:\s[A-Z][\p{L}'.\-]{1,24}){0,2}?)\s(?:Street|Avenue|Ave|Road|"
            r"Rd|Boulevard|Blvd|Lane|Ln|Parkway|Pkwy|Highway|Hwy)\b\.?)",
            0.8,
            accept=_own_street(lexicon),
            needs="capital",
            exact_case=True,
        ),
        compile_rule(
            "ADDRESS",
            rf"\b(?i:{_LIVE})\s(?i:(?:on|at|by|near|down|off|from|of|to|along|en|in|"
            rf"past)\s){{1,2}}(?:the\s)?(?P<v>(?P<words>{CITY})\s{_VAGUE}\b\.?)",
            0.85,
            accept=_own_street(lexicon),
            needs="capital",
            exact_case=True,
        ),
        compile_rule(
            "ADDRESS",
            rf"\b(?i:street|road|avenue|address)\s(?i:is|was|name\sis|called)\s(?P<v>(?P<words>{CITY}))",
            0.8,
            accept=_own_street(lexicon),
            needs="capital",
            exact_case=True,
        ),
        compile_rule(
            "ADDRESS",
            rf"\b{_LIVE}\s(?:(?:on|at|by|near|down|off|from|to|along)\s){{1,2}}(?P<v>(?P<words>[a-z'\-]{{3,20}}"
            rf"(?:\s[a-z'\-]{{3,20}}){{0,1}})\s"
            r"(?:street|st|avenue|ave|road|rd|boulevard|blvd|lane|ln|drive|dr|court|ct))\b",
            0.8,
            accept=_street,
        ),
        compile_rule(
            "ADDRESS",
            rf"(?P<v>(?:(?<![\w.,/\-])\d{{1,6}}\s)?\b(?:calle|avenida|av\.|carrera|cra\.?|calzada|bulevar|boulevard|"
            rf"camino|callej[óo]n|privada|pasaje|paseo|blvd\.?|prolongaci[óo]n|colonia|col\.|fraccionamiento|barrio|"
            rf"urbanizaci[óo]n|urb\.)\s(?P<words>(?:(?:de|la|el|los|las|del|\d{{1,2}}\sde)\s){{0,3}}(?-i:[A-ZÁÉÍÓÚÑ]|"
            rf"\d)[\p{{L}}\d]{{0,20}}(?:\s(?!no\b|n[úu]m)(?-i:[A-ZÁÉÍÓÚÑ])\p{{L}}{{1,20}}){{0,3}})(?:,?\s(?:\#|"
            rf"n[úu]m\.?\s|no\.?\s|n[úu]mero\s)?\d{{1,5}}(?![\w/%]|[.,]\d))?{_UNIT_OF_HOUSE})",
            0.88,
        ),
        compile_rule(
            "ADDRESS",
            r"\b(?P<v>(?:(?<![\w.,/\-])\d{1,6}\s)?(?:\d{1,6}\s(?:rd|road)|county\s(?:road|rd|highway|line)|co\.?\srd|"
            r"cr|state\s(?:road|route|highway)|fm|us\s(?:hwy|route|highway)|rural\sroute|rr|route|rte|rt|hwy|highway|"
            r"interstate|i)[\s\-]\#?\d{1,4}[A-Z]?)(?![\w%/]|[.,]\d)",
            0.75,
            accept=_road_number,
            needs="digit",
        ),
        compile_rule(
            "ADDRESS",
            r"\b(?P<v>(?:mile(?:\s?(?:post|marker))?|mm|exit)\s\#?\d{1,4}[A-Z]?)(?![\w%/]|[.,]\d)",
            0.75,
            accept=_on_road,
            needs="digit",
        ),
        compile_rule(
            "ADDRESS",
            rf"\b(?P<v>{two}(?:[\s\-]{two}){{1,3}}\s(?P<words>(?-i:[A-Z])\p{{L}}{{2,20}})(?:\s(?-i:[A-Z])"
            rf"\p{{L}}{{1,20}}){{0,2}})",
            0.75,
            accept=_own_street(lexicon),
        ),
        compile_rule(
            "ADDRESS",
            rf"\b(?P<v>{two}(?:[\s\-]{two}){{0,3}}(?P<words>(?:\s[\p{{L}}'\-]{{2,20}}){{1,3}}?)\s(?:{CLEAR}|street|"
            rf"drive|court|circle|place)\b)",
            0.8,
            accept=_street,
        ),
    ]


def _own_street(lexicon: Lexicon) -> Callable[[Match], bool]:
    """Accepts words of which one is neither medicine nor a word that stands before "road" anyway."""
    known = lexicon.drugs | lexicon.labs | frozenset("the this every each wrong right same new long hard".split())

    def accept(match: Match) -> bool:
        words = [word.lower() for word in _WORD.findall(match["words"])]
        return bool(words) and not any(word in known for word in words) and not UNIT.match(match.string, match.end("v"))

    return accept


_ROAD = regex.compile(
    r"\b(?:road|rd|route|rte|hwy|highway|county|interstate|live|lives|house|home|address|accident|crash|wreck|drive|"
    r"driving|stuck|traffic|mile|exit|farm|trailer|ranch|mailbox|broke\sdown|ambulance)\b",
    regex.IGNORECASE,
)


_ALONG = regex.compile(r"\b(?:on|off|near|along|down)\s(?:old\s)?\Z", regex.IGNORECASE)


def _road_number(match: Match) -> bool:
    """ "CR 12" and "route 3" are roads where the message speaks of roads or houses; spelled out they always are."""
    value = match["v"].lower()
    named = regex.search(r"county|state|us\s|rural|hwy|highway|interstate|\d\s(?:rd|road)", value) is not None
    before = match.string[max(0, match.start("v") - 120) : match.start("v")]
    rest = f"{before}|{match.string[match.end('v') : match.end('v') + 80]}"
    return named or bool(_ROAD.search(rest)) or bool(_ALONG.search(before))


def _on_road(match: Match) -> bool:
    return "mile" in match["v"].lower() or _road_number(match)


def _crossings(lexicon: Lexicon) -> list[Rule]:
    ordinal = r"(?:First|Second|Third|Fourth|Fifth|Sixth|Seventh|Eighth|Ninth|Tenth)\b"
    one = rf"(?:(?:[NSEW]\.?\s)?(?:\d{{1,3}}(?:st|nd|rd|th)|{ordinal}))"
    named = r"[A-Z][\p{L}'\-]{2,20}(?:\s(?:St|Street|Ave|Avenue|Rd|Road|Blvd|Ln|Lane|Dr|Drive|Pkwy|Hwy))?\b\.?"
    return [
        compile_rule(
            "ADDRESS",
            rf"(?<![\w.,/\-])(?P<v>{one}(?:\s(?:St|Street|Ave|Avenue))?\s(?:and|&|y|at)\s(?P<words>{named}))",
            0.8,
            accept=_own_street(lexicon),
            needs="capital",
            exact_case=True,
        ),
        compile_rule(
            "ADDRESS",
            rf"(?<![\w.,/\-])(?P<v>(?P<words>{named})\s(?:and|&|y|at)\s{one}(?:\s(?:St|Street|Ave|Avenue))?)(?!\w)",
            0.8,
            accept=_own_street(lexicon),
            needs="capital",
            exact_case=True,
        ),
        compile_rule(
            "ADDRESS",
            rf"\b(?i:corner\sof|intersection\sof|esquina\sde|between|"
            rf"cross\sstreets?(?:\sare)?)\s(?P<v>(?P<words>{named})\s(?:and|&|y|con)\s{named})",
            0.8,
            accept=_own_street(lexicon),
            needs="capital",
            exact_case=True,
        ),
        compile_rule(
            "ADDRESS",
            r"\b(?:corner\sof|intersection\sof|esquina\sde)\s(?P<v>[\w'\-]{2,20}(?:\s[\w'\-]{2,20})?\s(?:and|&|y|"
            r"con)\s[\w'\-]{2,20}(?:\s(?:st|street|ave|avenue|rd|road|blvd|ln|dr))?)",
            0.75,
            accept=_streets_meet,
        ),
        compile_rule(
            "ADDRESS",
            rf"(?<![\w])(?P<v>(?P<words>{named})\s(?:and|&)\s[A-Z][\p{{L}}'\-]{{2,20}}\s(?:St|Street|Ave|Avenue|Rd|"
            rf"Road|Blvd|Streets|Roads)\b\.?)",
            0.8,
            accept=_own_street(lexicon),
            needs="capital",
            exact_case=True,
        ),
    ]


def _streets_meet(match: Match) -> bool:
    """ "Corner of oak and 5th" and no "corner of his mouth and chin"."""
    return bool(
        regex.search(
            r"\d(?:st|nd|rd|th)\b|\b(?:st|street|ave|avenue|rd|road|blvd|ln|dr|calle|main)\b", match["v"], regex.I
        )
    )
