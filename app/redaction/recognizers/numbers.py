"""Record, plan, account, licence, vehicle and device numbers by their cues, Social Security and card numbers.

A cue with "number", "is", "#" or ":" after it takes any value that is no measurement; a cue alone, or with a few words
between ("the serial on the neb"), takes only a value that could hardly be anything else. Numbers
without any cue: shapes.
"""

from __future__ import annotations

from collections.abc import Callable

import regex

from app.redaction.lexicon import Lexicon
from app.redaction.recognizers.measures import UNIT, measured
from app.redaction.recognizers.rules import Match, Rule, compile_rule
from app.redaction.recognizers.shapes import is_code, is_range, shape_rules
from app.redaction.recognizers.spoken import lettered_run, says_digits

# What may stand between a cue and its number: "is", ":", "#", "number", at most six such words.
_GLUE = (
    r"[\s:,\#=.\-]{0,4}(?:(?:is|was|are|number|numbers|nbr|num|no|nr|id|ids|code|its|it's|ending|ends|in|with|of|"
    r"reads|says|shows|on|file|mine|card|as|the|new|old|current|es|número|numero|núm|termina|en|del|de|"
    r"letters?)\b[\s:\#=.,\-]{0,4}){0,6}[\#\"'(]?"
)
# A group of digits that goes on with a number, and no dose after it ("K22 7719 004").
_MORE = r"(?:[ ]\d{2,6}(?-i:[A-Z]{0,2})(?![\w/%]|[.,]\d|[ ]?(?:mg|ml|mcg|units?|times|days?|weeks?|hours?|pills?|tab)))"
_LETTERS_FIRST = r"(?:(?-i:(?!(?:AND|ARE|BUT|CAN|FOR|FROM|HAS|IS|MY|NO|NOT|OF|ON|THE|TO|WAS|WITH)\b)[A-Z]{1,5})[ ])?"
_VALUE = (
    rf"(?P<v>{_LETTERS_FIRST}(?=[A-Za-z\-/]{{0,12}}\d)[A-Za-z0-9](?:[A-Za-z0-9]|"
    rf"[\-/.](?=[A-Za-z0-9])){{2,34}}{_MORE}{{0,4}}|{_LETTERS_FIRST}\d{{2,6}}{_MORE}{{1,5}})(?![A-Za-z0-9])"
)
_LONG = (
    rf"(?P<v>{_LETTERS_FIRST}(?=(?:[A-Za-z\-/.]{{0,8}}\d){{4}})[A-Za-z0-9](?:[A-Za-z0-9]|"
    rf"[\-/.](?=[A-Za-z0-9])){{3,34}}{_MORE}{{0,4}}|{_LETTERS_FIRST}(?=(?:\d[ ]?){{5}})\d{{2,6}}{_MORE}{{1,5}})"
    rf"(?![A-Za-z0-9])"
)
_FREE = r"(?:[^\w\n]{1,3}[\p{L}'\#]{1,14}){1,5}?[^\w\n]{1,3}"

_MEASURE = regex.compile(
    r"\d+(?:\.\d+)?(?:mg|mcg|g|kg|ml|iu|units?|mm|cm|lbs?|%|am|pm|x|h|hr|hrs|d|st|nd|rd|th|yo|y|k|u)?", regex.I
)
_NUMBERED = regex.compile(r"number|n[úu]mero|\bids?\b|code|\#|\bn[or]\b|mrn", regex.IGNORECASE)
_YEAR = regex.compile(r"(?:19|20)\d{2}")
_MONEY = regex.compile(
    r"(?:bill|billing|balance|payment|statement|check|cheque|plan|coverage|order|group|case|pago|cuenta|savings|"
    r"checking|grupo|orden|caso)\b",
    regex.IGNORECASE,
)
"""Cues beside which four or five digits are rather a sum, a size or a count."""
_CUE_MARK = (
    r"(?=\s{0,3}(?:is\b|es\b|[:\#=]|(?:card\s|policy\s|account\s|plan\s)?(?:number|no\b|num\b|nr\b|nbr\b|ids?\b|code|"
    r"\#|número|numero|núm)))"
)

_MRN = (
    r"(?:mrn|m\.r\.n\.|med(?:ical)?\s?rec(?:ord)?s?|medrec|charts?|(?:patient|pt)(?:'s)?\s(?:id|identifier|number|no|"
    r"nr|account)|(?:patient|pt)\s?\#|hospital\s(?:number|id)|record\s(?:number|no|id)|encounter|bracelet|"
    r"wrist\s?band|arm\s?band|visit\s(?:number|no|id)|visit\s?\#|csn|fin(?:\snumber)?|health\srecord|stud(?:y|ies)|"
    r"subject|participant|trial|enrollment|case|specimen|accession|sample|biopsy|slide|requisition|lab\s(?:number|id|"
    r"no)|expediente|historia(?:\scl[íi]nica)?|folio|pulsera|caso|paciente|muestra|estudio)"
)
_PLAN = (
    r"(?:member(?:ship)?|subscriber|beneficiary|policy|policyholder|group|grp|insurance(?:\spolicy)?|health\splan|"
    r"plan|medicaid|medicare|medi-?cal|hicn?|mbi|rx\s?bin|rx\s?pcn|rx\s?grp|bin|pcn|coverage|tricare|chip|aetna|"
    r"cigna|humana|anthem|blue\scross|bcbs|united\s?health(?:care)?|kaiser|claim|prescription|script|rx|refill|"
    r"(?:prior\s|pre-?)?auth(?:orization)?|prior\sauth|pre-?cert|referral|order|tracking|p[óo]liza|afiliad[oa]|"
    r"miembro|membres[íi]a|receta|reclamo|autorizaci[óo]n|grupo|seguro|aseguranza|pedido|orden)"
)
_ACCOUNT = (
    r"(?:acc(?:oun)?ts?|acct|bank\saccount|checking|savings|routing|invoice|bill|billing|statement|reference|ref|"
    r"conf(?:irmation)?|ticket|iban|tax\sid|tin|ein|atin|itin|pan(?:\scard)?|payment|balance|employee|badge|swift|"
    r"ifsc|guarantor|receipt|transaction|check|cheque|cuenta|factura|recibo|confirmaci[óo]n|referencia|pago)"
)
_LICENSE = (
    r"(?:driver'?s?'?\slicen[cs]e|driving\slicen[cs]e|licen[cs]es?|dl|state\sid|dea|npi|permit|certificate|"
    r"passports?|green\scard|visa\snumber|alien|uscis|i-?94|tribal(?:\sid)?|matr[íi]cula\sconsular|military\sid|"
    r"dod\sid|id\scard|student\sid|voter\sid|aadh?ar|curp|dni|rfc|c[ée]dula|licencia|pasaporte|identificaci[óo]n|"
    r"permiso|credencial)"
)
_VEHICLE = (
    r"(?:licen[cs]e\splates?|number\splates?|plates?|vin|vehicle(?:\s(?:identification|id))?|registration|tags?|"
    r"placas?|matr[íi]cula)"
)
_DEVICE = (
    r"(?:serials?|s/n|sn|ser|device|pacemaker|implants?|imei|udi|meid|mac\saddress|icd|defib(?:rillator)?|pump|"
    r"concentrator|cpap|bipap|meter|glucometer|monitor|nebulizer|neb|vent(?:ilator)?|wheelchair|scooter|walker|"
    r"sensor|transmitter|receiver|hearing\said|implante|marcapasos|serie|aparato|dispositivo|bomba|lvad|stimulator|"
    r"stent|valve|lens|catheter|port|prosthesis|machine|m[áa]quina|tablet)"
)


def number_rules(lexicon: Lexicon | None = None) -> list[Rule]:
    """SSN, MRN, MEMBER_ID, MBI, ACCOUNT, CARD, LICENSE, VEHICLE, DEVICE."""
    words = lexicon or Lexicon.load()
    shapes = shape_rules(words.labs | words.drugs)
    return [*_social_security(), *_cards(), *_medicare(), *_by_cue(), *_spelled(), *shapes]


def _not_measure(match: Match) -> bool:
    """Whether the number after a cue is more than a dose, a time or an age."""
    if UNIT.match(match.string, match.end("v")):
        return False
    value: str = match["v"]
    if len(value) >= 3 and _NUMBERED.search(match.string, match.start(), match.start("v")):
        return True
    return not _MEASURE.fullmatch(value) or (
        len(value) >= 5 and value.isdigit() and not _MONEY.match(match.string, match.start())
    )


def _certain(match: Match) -> bool:
    """A value that words part from its cue: five digits, or four with letters or hyphens; no code, range or year."""
    value: str = match["v"]
    digits = sum(c.isdigit() for c in value)
    mixed = any(c.isalpha() for c in value) or ("-" in value and not is_range(value))
    if measured(match) or is_code(value) or _YEAR.fullmatch(value) or (_MEASURE.fullmatch(value) and digits < 5):
        return False
    if not mixed:
        return digits >= 5 and not (digits == 5 and value.endswith("00"))
    return digits >= 4


def _direct(match: Match) -> bool:
    """A value right after its cue: like ``_certain``, but four digits do if they are no year and no round figure."""
    value = match["v"]
    if measured(match) or is_code(value) or _YEAR.fullmatch(value) or is_range(value):
        return False
    if value.isdigit() and len(value) < 6 and not _NUMBERED.search(match.string, match.start(), match.start("v")):
        return not value.endswith("00") and not _MONEY.match(match.string, match.start())
    return True


def _mixed_code(match: Match) -> bool:
    """A code of letters and digits ("activation code XJ4-PP2-99K"): digits alone are a code of billing."""
    value = match["v"]
    error = match.string[max(0, match.start() - 8) : match.start()].lower().endswith("error ")
    return not error and any(c.isalpha() for c in value) and _certain(match)


def _by_cue() -> list[Rule]:
    classes = (
        ("MRN", _MRN),
        ("MEMBER_ID", _PLAN),
        ("ACCOUNT", _ACCOUNT),
        ("LICENSE", _LICENSE),
        ("VEHICLE", _VEHICLE),
        ("DEVICE", _DEVICE),
    )
    rules = [
        _rule("ACCOUNT", rf"\b(?:ids?|number|n[úu]mero|nbr)\b{_GLUE}\s?{_LONG}", _direct, 0.62),
        _rule("MRN", rf"\b(?:mrn\b|m\.r\.n\.){_GLUE}\s?{_VALUE}", _not_measure),
    ]
    for entity_type, cue in classes:
        rules += [
            _rule(entity_type, rf"\b{cue}\b{_CUE_MARK}{_GLUE}\s?{_VALUE}", _not_measure),
            _rule(entity_type, rf"\b{cue}\b{_GLUE}\s?{_LONG}", _direct),
            _rule(entity_type, rf"\b{cue}\b{_FREE}{_LONG}", _certain, 0.88),
        ]
    every = "|".join(cue for _, cue in classes)
    rules.append(
        compile_rule(
            "ACCOUNT",
            rf"(?<![\w\-]){_LONG}[\s,=]{{1,3}}(?:is|was|es)\s(?:(?:my|the|his|her|our|their|mi|su|el|la|"
            rf"what)\s){{0,2}}(?:{every})\b",
            0.9,
            accept=_certain,
            needs="number is",
        )
    )
    rules.append(
        compile_rule(
            "ACCOUNT",
            rf"\b(?:{every})s?\b{_GLUE}\s?[A-Z0-9][A-Z0-9\-/]{{3,20}},?\s(?:and|or|not|y|o|no|plus)\s{_LONG}",
            0.85,
            accept=_certain,
            needs="digit",
        )
    )
    rules.append(_rule("ACCOUNT", rf"\b(?:codes?|c[óo]digo)\b{_GLUE}\s?{_LONG}", _mixed_code, 0.85))
    plate = (
        r"(?P<v>(?=[A-Za-z \-]{0,4}\d)(?-i:[A-Z0-9]{1,4}(?:[ \-]?[A-Z0-9]{2,4}){1,2}|[a-z]{1,3}[ \-]?\d{2,5})|"
        r"(?-i:[A-Z]{2,3}[ \-]\d{3,4}|[A-Z]{2}[ ][A-Z]{2}[ ]?\d{3,4}))(?![A-Za-z0-9])"
    )
    cue = r"(?:licen[cs]e\splates?|plates?|tags?|placas?|matr[íi]cula)"
    rules.append(_rule("VEHICLE", rf"\b{cue}\b{_GLUE}\s?{plate}", score=0.94))
    rules.append(_rule("VEHICLE", rf"\b{cue}\b{_FREE}{plate}", _plate_in_sentence, 0.88))
    return rules


def _rule(entity_type: str, pattern: str, accept: Callable[[Match], bool] | None = None, score: float = 0.93) -> Rule:
    if accept is None:
        return compile_rule(entity_type, pattern, score, needs="digit")
    return compile_rule(entity_type, pattern, score, accept=accept, needs="digit")


def _plate_in_sentence(match: Match) -> bool:
    value = match["v"].upper()
    letters = sum(c.isalpha() for c in value)
    digits = sum(c.isdigit() for c in value)
    return letters >= 2 and digits >= 3 and not measured(match) and not is_code(match["v"])


def _social_security() -> list[Rule]:
    cue = r"(?:ssn|ss\s?number|social(?:\ssecurity)?|soc\ssec|ss\s?\#|seguro\ssocial|n[úu]mero\sde\sseguro|itin)"
    four = r"(?P<v>\d{4})(?![\w/]|[.,:\-]\d)"
    return [
        compile_rule(
            "SSN",
            r"(?<![\w\-.])(?P<v>(?:\d{3}|[Xx*]{3})[\-.\s/]{1,2}(?:\d{2}|[Xx*]{2})[\-.\s/]{1,2}\d{4})(?!\w|-\d)",
            0.97,
            needs="digit",
        ),
        compile_rule("SSN", rf"\b{cue}\b{_GLUE}\s?(?P<v>[\dXx*][\dXx*\s\-.]{{2,13}}\d)(?!\w)", 0.97, needs="digit"),
        compile_rule("SSN", rf"\b{cue}\b[^.\d]{{0,40}}{four}", 0.96, accept=_no_year, needs="digit"),
        compile_rule(
            "SSN",
            rf"\b(?:last|final|[úu]ltimos|ending|ends|termina)\s(?:(?:4|four|cuatro)\b|in\b|with\b|"
            rf"en\b)[^.!\d]{{0,45}}{four}",
            0.9,
            needs="digit",
        ),
        compile_rule("CARD", rf"\b(?:ends?|ending)\s(?:in\s|with\s)?{four}", 0.85, accept=_no_year, needs="digit"),
        compile_rule(
            "SSN",
            rf"(?<![\w.,/$\-]){four}[\s,]{{1,3}}(?:is|are|were|was|son)\s(?:the\s|my\s|los\s)?(?:last|[úu]ltimos)",
            0.9,
            needs="digit",
        ),
    ]


def _no_year(match: Match) -> bool:
    return not _YEAR.fullmatch(match["v"]) and not UNIT.match(match.string, match.end("v"))


def _cards() -> list[Rule]:
    brand = r"(?:visa|master\s?card|amex|american\sexpress|discover|debit|credit\scard|card|tarjeta)"
    return [
        compile_rule("CARD", r"(?<![\w.\-])(?P<v>\d(?:[ \-.]{0,2}\d){11,18})(?![\w\-])", 0.85, needs="digit"),
        compile_rule(
            "CARD",
            r"(?<![\w.\-])(?P<v>(?:\d{4}[ \-]?)?(?:[Xx*.•]{2,4}[ \-]?){1,4}\d{3,5})(?!\w)",
            0.9,
            accept=_hidden_digits,
            needs="digit",
        ),
        compile_rule(
            "CARD",
            rf"\b{brand}\b(?:[^\w\n]{{1,3}}[\p{{L}}']{{1,12}}){{0,5}}?[^\w\n]{{1,6}}(?P<v>[xX*]{{0,4}}\d{{4}})"
            rf"(?![\w/]|[.,:\-]\d)",
            0.9,
            accept=_no_year,
            needs="digit",
        ),
        compile_rule(
            "CARD", r"\b(?:cvv|cvc|cvv2|security\scode)\b\W{0,3}(?:is\s)?(?P<v>\d{3,4})(?!\w)", 0.9, needs="digit"
        ),
    ]


def _hidden_digits(match: Match) -> bool:
    """Digits behind a mask of x, * or dots, at least three of them together ("xxxx4417", "***-1120")."""
    mask = sum(c in "xX*•." for c in match["v"])
    return bool(mask >= 3) and not set(match["v"]) <= set(".0123456789")


def _medicare() -> list[Rule]:
    slip = r"[\dOolI]"
    part = rf"[A-Z][A-Z0-9]{slip}"
    # Letters that a Medicare number never has are taken too: people read S for 5 and O for 0.
    return [
        compile_rule(
            "MBI",
            rf"(?<![\w\-])(?P<v>[1-9Il]{part}[ \-]{{0,2}}{part}[ \-]{{0,2}}[A-Z]{{2}}{slip}{{2}})(?![\w\-])",
            0.98,
            accept=_mostly_digits,
            needs="digit",
        ),
        compile_rule(
            "MBI",
            r"\b(?:medicare|mbi)\b[^\n\d]{0,20}(?P<v>\d[A-Z][A-Z0-9]{2}[ \-]{0,2}[A-Z0-9]{3}[ \-]{0,2}[A-Z0-9]{3,5})"
            r"(?!\w)",
            0.96,
            needs="digit",
        ),
    ]


def _mostly_digits(match: Match) -> bool:
    digits: int = sum(c.isdigit() for c in match["v"])
    return digits >= 4


def _spelled() -> list[Rule]:
    classes = (
        ("SSN", r"(?:ssn|social(?:\ssecurity)?|seguro\ssocial|last\sfour)"),
        ("CARD", r"(?:visa|master\s?card|amex|discover|card|tarjeta)"),
        ("MBI", r"(?:medicare|mbi)"),
        ("MRN", _MRN),
        ("MEMBER_ID", _PLAN),
        ("ACCOUNT", _ACCOUNT),
        ("LICENSE", _LICENSE),
        ("VEHICLE", _VEHICLE),
        ("DEVICE", r"(?:serials?|s/n|device|pacemaker|implant|pump|serie)"),
    )
    return [
        compile_rule(
            entity_type,
            rf"\b{cue}\b(?:[^\w\n]{{1,3}}[\p{{L}}']{{1,12}}){{0,4}}?[^\w\n]{{1,3}}(?P<v>{lettered_run(4)})",
            0.9,
            accept=says_digits,
        )
        for entity_type, cue in classes
    ]
