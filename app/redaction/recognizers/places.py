"""ZIP codes and towns; streets and organizations are in modules of their own."""

from __future__ import annotations

from collections.abc import Callable

import regex

from app.redaction.lexicon import Lexicon
from app.redaction.recognizers.measures import measured
from app.redaction.recognizers.organizations import organization_rules
from app.redaction.recognizers.rules import Match, Rule, compile_rule
from app.redaction.recognizers.streets import CITY, CLEAR, SHORT, STATE, STATE_NAME, ZIP, street_rules
from app.redaction.recognizers.towns import any_of, listed_towns

_WORD = regex.compile(r"[\p{L}'\-]++")
_WHOLE_STATE = regex.compile(rf"{STATE}|{STATE_NAME}")
"""A state alone identifies nobody (45 CFR 164.514(b)(2)(i)(B))."""

_MEDICAL_AFTER = regex.compile(
    r"(?:'s)?(?:[\s\-](?:ankle|knee|heart|coma|head|mutual|ear))?[\s\-](?:criteria|classification|score|scale|grade|"
    r"brace|shunt|virus|flu|strain|encephalitis|fever|chromosome|rules?|category|hump|risk|protocol|guidelines?|"
    r"market|scientific|cream|wings|terrier|disease|syndrome|sign|test|study|method|knee|plaster|(?:life|mutual|"
    r"blue)\b)",
    regex.IGNORECASE,
)
_NO_TOWN = frozenset(
    "spanish english french german chinese mandarin cantonese vietnamese korean tagalog russian arabic hindi urdu "
    "portuguese creole polish mexico china india vietnam philippines korea japan iraq iran syria russia ukraine "
    "poland germany france italy spain england ireland canada cuba haiti guatemala honduras salvador nicaragua "
    "colombia venezuela peru ecuador brazil nigeria ghana kenya ethiopia somalia sudan egypt morocco pakistan "
    "bangladesh nepal afghanistan turkey israel africa asia europe america usa ramadan lent easter thanksgiving "
    "hanukkah passover diwali heaven god jesus allah christ monday tuesday wednesday thursday friday saturday sunday "
    "january february march april may june july august september october november december medicare medicaid mychart "
    "zoom epic".split()
)


def _proper(lexicon: Lexicon) -> Callable[[Match], bool]:
    """Accepts what holds a word of its own ("West Liberty") and is no mere state, weekday, medicine or department."""
    known = lexicon.drugs | lexicon.labs | lexicon.brands | _NO_TOWN

    def accept(match: Match) -> bool:
        value = match["v"].rstrip(".,")
        words = [word.lower() for word in _WORD.findall(value)]
        own = any(word not in lexicon.ordinary and word not in known for word in words)
        branded = any(" ".join(words[:size]) in lexicon.brands for size in range(1, len(words) + 1))
        return (
            own
            and not branded
            and not _WHOLE_STATE.fullmatch(value)
            and not _MEDICAL_AFTER.match(match.string, match.end("v"))
        )

    return accept


def place_rules(lexicon: Lexicon) -> list[Rule]:
    """ADDRESS, ZIP, CITY, ORGANIZATION."""
    return [*street_rules(lexicon), *_zips(lexicon), *_towns(lexicon), *organization_rules(lexicon)]


def _zips(lexicon: Lexicon) -> list[Rule]:
    cue = r"(?:zip(?:\s?code)?|postal\s+code|post\s?code|c[óo]digo\spostal|c\.?p\.?)"
    known = lexicon.drugs | lexicon.labs | lexicon.brands | lexicon.ordinary

    def after_town(match: Match) -> bool:
        words = [word.lower() for word in _WORD.findall(match["words"])]
        named = not any(word in known or word in _BEFORE_CODE for word in words[-1:])
        return named and not measured(match) and not match["v"].endswith("000")

    return [
        compile_rule(
            "ZIP",
            rf"\b{cue}[\s:]{{0,2}}(?:(?:code|is|of|was|=|:|es|now|to|changed|my|"
            rf"new)\s?){{0,3}}(?P<v>[A-Z]{{0,2}}\d[\dA-Z]{{1,5}}(?:[ \-]\d[A-Z0-9]{{1,4}})?)(?!\w)",
            0.95,
            needs="digit",
        ),
        compile_rule(
            "ZIP",
            rf"(?<![\w.,/$\-])(?P<v>{ZIP})\s(?:is\s)?(?:(?:my|the|our|her|his)\s)?(?:zip|postal)",
            0.95,
            needs="digit",
        ),
        compile_rule(
            "ZIP", rf"\b(?:{STATE}|{STATE_NAME}),?\s{{1,2}}(?P<v>{ZIP})(?!\w)", 0.9, needs="digit", exact_case=True
        ),
        compile_rule("ZIP", r"(?<![\w.\-])(?P<v>\d{5}-\d{4})(?![\w\-])", 0.9, needs="digit"),
        compile_rule(
            "ZIP",
            rf"\b(?:live|lives|living|located|based|moved|area|vivo|vive)\s(?:in|to|near|code|"
            rf"en)\s(?P<v>{ZIP})(?![\w\-]|[.,]\d)",
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
        compile_rule("ZIP", rf"\b{cue}\b[^\d\n]{{0,24}}(?P<v>{ZIP})(?![\w/%]|[.,:]\d)", 0.9, needs="digit"),
        compile_rule(
            "ZIP", r"(?<![\w.,/$\-])(?P<v>0[0-9]\d{3})(?![\w%/\-]|[.,:]\d)", 0.7, accept=_no_value, needs="digit"
        ),
        compile_rule("ZIP", rf"\A\s{{0,3}}(?P<v>{ZIP})[\s.!?]{{0,3}}\Z", 0.8, needs="digit"),
        compile_rule(
            "ZIP",
            rf"(?<![\w.'\-])(?P<words>[A-Z]\p{{L}}[\p{{L}}'.\-]*+(?:\s[A-Z]\p{{L}}[\p{{L}}'.\-]*+)?)[\s,]{{1,2}}"
            rf"(?P<v>{ZIP})(?![\w\-/%]|[.,:]\d)",
            0.8,
            accept=after_town,
            needs="digit",
            exact_case=True,
        ),
        compile_rule(
            "ZIP",
            rf"(?:\d{{3}}[\-. ]\d{{4}}|\d/\d{{1,2}}/\d{{2,4}}|\b{CLEAR}|\b{SHORT}|\bapt\b\.?\s?\w{{1,4}}|"
            rf"\#\s?\w{{1,4}})[\s,;]{{1,3}}(?P<v>{ZIP})(?![\w\-/%]|[.,:]\d)",
            0.8,
            accept=_after_digits,
            needs="digit",
        ),
    ]


_BEFORE_CODE = frozenset(
    "code codes cpt hcpcs icd procedure charge billed bill item part form model lot ndc platelets count steps "
    "calories version copyright invoice amount total fee price balance units".split()
)


def _no_value(match: Match) -> bool:
    return not measured(match)


def _after_digits(match: Match) -> bool:
    """A ZIP code after a street, a telephone number or a date: these hold digits ("12 Elm Ct 50315", no "CT 503")."""
    before = match.string[max(0, match.start("v") - 45) : match.start("v")]
    return any(c.isdigit() for c in before) and not measured(match)


def _towns(lexicon: Lexicon) -> list[Rule]:
    cue = (
        r"(?:live|lives|lived|living|reside|resides|residing|stay|staying|moved|moving|relocated|born|based|retired|"
        r"located|grew\s+up|raised|home|stationed|vivo|vivimos|vive|viven|nac[íi]|naci[óo]|got\s+sick|was\s+admitted|"
        r"fell|fainted|accident|altitude|work(?:s|ed|ing)?|i'm|im|we're|stuck|down|up|out|here|office|clinic|shop|"
        r"family|relatives|funeral|wedding|mi\s+casa|trabajo)\s+(?:out\s+|over\s+|back\s+|here\s+|up\s+|"
        r"down\s+)?(?:in|en|to|near|outside(?:\s+of)?|a|cerca\s+de)"
    )
    come = (
        r"(?:i'm|i\s+am|we're|we\s+are|coming|come|comes|came|drive|drives|driving|drove|travel|traveling|travels|"
        r"originally|he's|she's|is|back|flew|fly|flying|visiting|visit|bus|train|flight|"
        r"trip)\s+(?:all\s+the\s+way\s+|over\s+|here\s+|in\s+|back\s+|out\s+)?(?:from|to|into|through|via)|(?:viajo|"
        r"viajamos|vengo|viene|venimos|soy|somos|de\s+regreso|manejo|manejamos|desde|voy|vamos)\s+(?:de|desde|a)"
    )
    home = (
        r"(?:live|lives|lived|living|reside|resides|stay|staying|moved|vivo|vivimos|vive|viven)\s+(?:out\s+|over\s+|"
        r"back\s+|here\s+|up\s+|down\s+)?(?:in|en|to|near|outside(?:\s+of)?)|(?:i'm|i\s+am|we're|we\s+are|come|came|"
        r"coming|drive|drove|originally|he's|she's)\s+(?:all\s+the\s+way\s+)?from"
    )
    town = (
        r"(?:town|city|village|suburb|ciudad|pueblo)\s+(?:of|is|:|de)|city\s*:|resident\s+of|hometown(?:\s+is)?|"
        r"visiting\s+from|visit(?:ing)?|mail\s+to|closer\s+to|close\s+to|somewhere\s+in"
    )
    free, cued = listed_towns("towns.txt"), listed_towns("towns_cued.txt")
    certain, capitals = (
        any_of({*free, *lexicon.cities}),
        any_of(" ".join(map(str.capitalize, name.split())) for name in cued),
    )
    free_town, cued_town = any_of(free), any_of(cued)
    after_state = rf"(?:,\s?|\s)(?:(?-i:{STATE})|{STATE_NAME})\b"
    proper = _proper(lexicon)

    def no_medicine(match: Match) -> bool:
        return not _MEDICAL_AFTER.match(match.string, match.end("v"))

    return [
        compile_rule(
            "CITY",
            rf"\b(?i:{cue}|{come}|{town})\s+(?P<v>{CITY}(?:,\s?(?:{STATE}|{STATE_NAME})\b)?)",
            0.8,
            accept=proper,
            needs="capital",
            exact_case=True,
        ),
        compile_rule(
            "CITY",
            rf"\b(?:{cue}|{come}|{town}|in|near|from|to|outside|around|at|de|en|desde)\s+(?P<v>{certain}|"
            rf"(?-i:{capitals}))(?![\w\-])",
            0.75,
            accept=no_medicine,
        ),
        compile_rule(
            "CITY",
            rf"\b(?:{home})\s+(?P<v>(?:{cued_town}|san\s+\p{{L}}+|santa\s+\p{{L}}+|st\.?\s+\p{{L}}+|fort\s+\p{{L}}+|"
            rf"(?:new|north|south|east|west|port|lake|mount)\s+\p{{L}}{{4,}})(?:,?\s+(?:{STATE}|{STATE_NAME})\b)?)\b",
            0.75,
        ),
        compile_rule(
            "CITY",
            rf"\bfrom\s(?P<v>{CITY})(?=\sto\s[A-Z]\p{{L}})",
            0.75,
            accept=proper,
            needs="capital",
            exact_case=True,
        ),
        compile_rule(
            "CITY",
            r"(?<![\w'\-])(?P<v>[A-Z]\p{L}{2,14}(?:\s[A-Z]\p{L}{2,14})?\s(?:City|Springs|Falls|Rapids|Bluffs|"
            r"Junction|Township|County))(?!\w)",
            0.7,
            accept=proper,
            needs="capital",
            exact_case=True,
        ),
        compile_rule("CITY", rf"(?<![\w'\-])(?P<v>{free_town})(?![\w\-])", 0.7, accept=no_medicine),
        compile_rule(
            "CITY",
            rf"(?<![\w.'\-])(?P<v>{CITY},\s(?:{STATE}))(?!\w)",
            0.75,
            accept=proper,
            needs="capital",
            exact_case=True,
        ),
        compile_rule("CITY", rf"(?<![\w'\-])(?P<v>{cued_town}){after_state}", 0.75),
        compile_rule(
            "CITY",
            rf"(?<![\w.'\-])(?P<v>{CITY})[\s,]{{1,2}}(?:{_SURE_STATE}|(?i:{STATE_NAME}))(?![\w\-])",
            0.75,
            accept=proper,
            needs="capital",
            exact_case=True,
        ),
        compile_rule(
            "CITY",
            rf"(?<![\w.'\-])(?P<v>{CITY})(?:,?\s(?:{STATE}|{STATE_NAME}))?[\s,]{{1,2}}{ZIP}(?![\w\-/%]|[.,:]\d)",
            0.8,
            accept=_before_zip(proper),
            needs="digit",
            exact_case=True,
        ),
        compile_rule(
            "CITY",
            rf"(?:\b{CLEAR}|\b{SHORT}|\bbox\s\d{{1,5}}|\bapt\b\.?\s?\w{{1,4}}|\d{{5}}|"
            rf"\#\s?\w{{1,4}})\.?,?\s(?:in\s)?(?P<v>(?-i:{CITY}))(?=[\s,]{{0,2}}(?:\Z|[.,;!?\n]|\d{{5}}|(?:{STATE}|"
            rf"{STATE_NAME})\b|and\b|is\b|for\b))",
            0.7,
            accept=_after_number(proper),
        ),
    ]


_SURE_STATE = r"(?:AK|AZ|AR|CA|FL|GA|IL|IA|KS|KY|MN|MO|MT|NE|NV|NH|NJ|NM|NY|NC|ND|RI|SC|SD|TN|TX|UT|VT|VA|WA|WV|WI|WY)"
"""Abbreviations of states that are no words and no degrees: they follow a town without a comma too."""


def _after_number(proper: Callable[[Match], bool]) -> Callable[[Match], bool]:
    """A town after a street needs the number of the house before it: "Dr Pepper" has none."""

    def accept(match: Match) -> bool:
        return proper(match) and any(
            c.isdigit() for c in match.string[max(0, match.start("v") - 45) : match.start("v")]
        )

    return accept


def _before_zip(proper: Callable[[Match], bool]) -> Callable[[Match], bool]:
    def accept(match: Match) -> bool:
        words = [word.lower() for word in _WORD.findall(match["v"])]
        return proper(match) and not any(word in _BEFORE_CODE for word in words)

    return accept
