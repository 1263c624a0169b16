"""Record, plan, account, licence, vehicle and device numbers, by cue and by shape."""

from __future__ import annotations

import regex

from app.redaction.recognizers.rules import Match, Rule, compile_rule

# What may stand between a cue and its number: "is", ":", "#", "number", at most four such words.
_GLUE = (
    r"[\s:\#=.\-]{0,4}(?:(?:is|was|are|number|numbers|no|num|nr|id|code|it's|its|ending|ends|in|with|of|reads|on|file|"
    r"mine|card)\b[\s:\#=.,\-]{0,4}){0,4}[\#\"'(]?"
)
_VALUE = (
    r"(?P<v>(?=[A-Za-z\-/]{0,12}\d)[A-Za-z0-9](?:[A-Za-z0-9]|[\-/.](?=[A-Za-z0-9])){2,34}"
    r"(?:[ ]\d{3,6}(?![\w.,/]|[ ](?:mg|ml|mcg))){0,3}|\d{2,6}(?:[ ]\d{2,6}){1,5})(?![A-Za-z0-9])"
)
_LONG = r"(?P<v>(?=(?:[A-Za-z\-/]{0,6}\d){4})[A-Za-z0-9](?:[A-Za-z0-9]|[\-/](?=[A-Za-z0-9])){3,34})(?![A-Za-z0-9])"

_UNIT = regex.compile(
    r"[\s\-]*(?:mg|mcg|µg|g|kg|ml|l|iu|units?|u|cal\w*|cells|k|feet|ft|lbs?|dollars|percent|%|mm\w*|ng|pg|meq|mmol|"
    r"days?|weeks?|months?|years?|hours?|hrs?|minutes?|mins?|times|tablets?|tabs?|pills?|capsules?|"
    r"doses?|am|pm|a\.m|p\.m)"
    r"(?![A-Za-z])",
    regex.IGNORECASE,
)
_MEASURE = regex.compile(
    r"\d+(?:\.\d+)?(?:mg|mcg|g|kg|ml|iu|units?|mm|cm|lbs?|%|am|pm|x|h|hr|hrs|d|st|nd|rd|th|yo|y)?", regex.I
)

_NUMBERED = regex.compile(r"number|\bid\b|code|\#|\bno\b|mrn", regex.IGNORECASE)
_LOT = regex.compile(r"\b(?:lot|ndc|batch|model|upc)\W{0,3}(?:number|no|\#)?\W{0,3}\Z", regex.IGNORECASE)

_MRN = (
    r"(?:mrn|m\.r\.n\.|med(?:ical)?\s+rec(?:ord)?s?|chart|patient\s+(?:id|identifier|number|no|"
    r"account)|patient\s*\#|hospital\s+(?:number|id)|record\s+(?:number|no|id)|encounter|"
    r"visit\s+(?:number|id)|csn|fin\s+number|health\s+record)"
)
_PLAN = (
    r"(?:member(?:ship)?|subscriber|beneficiary|policy|policyholder|group|insurance(?:\s+policy)?|"
    r"health\s+plan|plan|medicaid|medicare|hicn?|mbi|rx\s?bin|rx\s?pcn|rx\s?grp|bin|pcn|coverage|"
    r"aetna|cigna|humana|blue\s+cross|bcbs|united\s*health(?:care)?)"
)
_ACCOUNT = (
    r"(?:acc(?:oun)?t|bank\s+account|routing|invoice|bill|billing|statement|claim|reference|ref|"
    r"confirmation|case|ticket|prescription|rx|order|tracking|authorization|auth|referral|"
    r"passport(?:\s+id)?|iban|tax\s+id|tin|ein|atin|itin|aadh?ar|pan(?:\s+card)?|voter\s+id|"
    r"student\s+id|employee|badge|id\s+card|swift|ifsc|guarantor|receipt|transaction|check|tribal)"
)
_LICENSE = r"(?:driver'?s?'?\s+licen[cs]e|driving\s+licen[cs]e|licen[cs]e|dl|state\s+id|dea|npi|permit|certificate)"
_VEHICLE = (
    r"(?:licen[cs]e\s+plates?|number\s+plates?|plates?|vin|vehicle(?:\s+(?:identification|id))?|registration|tag)"
)
_DEVICE = r"(?:serial|s/n|sn|device|pacemaker|implant|imei|udi|meid|mac\s+address)"


def _not_measure(match: Match) -> bool:
    """Whether the number after a cue is more than a dose, a time or an age."""
    if _UNIT.match(match.string, match.end("v")):
        return False
    value = match["v"]
    if len(value) >= 3 and _NUMBERED.search(match.string, match.start(), match.start("v")):
        return True
    return not _MEASURE.fullmatch(value) or (len(value) >= 5 and value.isdigit())


def _identifying(match: Match) -> bool:
    """A number without a cue: too long for a measurement, and no round figure."""
    text, (start, end) = match.string, match.span("v")
    product = _LOT.search(text[max(0, start - 20) : start])
    return not product and not _UNIT.match(text, end) and not match["v"].endswith("00000")


def number_rules() -> list[Rule]:
    """SSN, MRN, MEMBER_ID, ACCOUNT, CARD, LICENSE, VEHICLE, DEVICE."""
    return [*_social_security(), *_by_cue(), *_by_shape()]


def _cued(entity_type: str, cue: str, *, explicit: bool = False, long: bool = False) -> Rule:
    """``explicit``: the cue needs "number", "id", "#" or ":" after it, since it is an everyday word."""
    marked = (
        r"(?=\s*(?:is\b|[:\#=]|(?:card\s+|policy\s+|account\s+|plan\s+)?(?:number|no\b|num\b|nr\b|id\b|code|\#)))"
        if explicit
        else ""
    )
    value = _LONG if long else _VALUE
    return compile_rule(entity_type, rf"\b{cue}\b{marked}{_GLUE}\s?{value}", 0.93, accept=_not_measure, needs="digit")


def _by_cue() -> list[Rule]:
    classes = (
        ("MRN", _MRN),
        ("MEMBER_ID", _PLAN),
        ("ACCOUNT", _ACCOUNT),
        ("LICENSE", _LICENSE),
        ("VEHICLE", _VEHICLE),
        ("DEVICE", _DEVICE),
    )
    rules = [_cued("MRN", r"(?:mrn|m\.r\.n\.)")]
    for entity_type, cue in classes:
        rules.append(_cued(entity_type, cue, explicit=True))
        rules.append(_cued(entity_type, cue, long=True))
        rules.append(
            compile_rule(
                entity_type, rf"(?<![\w\-]){_LONG}\s+is\s+(?:my|the|his|her|our)\s+{cue}\b", 0.93, needs="digit"
            )
        )
    rules.append(
        compile_rule(
            "VEHICLE",
            rf"\b(?:licen[cs]e\s+plates?|plates?)\b{_GLUE}\s?(?P<v>(?=[A-Za-z \-]{{0,4}}\d)"
            rf"(?-i:[A-Z0-9]{{1,4}}(?:[ \-]?[A-Z0-9]{{2,4}}){{1,2}}|[a-z]{{1,3}}[ \-]?\d{{2,5}}))(?![A-Za-z0-9])",
            0.94,
            needs="digit",
        )
    )
    return rules


def _social_security() -> list[Rule]:
    cue = r"(?:ssn|social(?:\s+security)?|soc\s+sec|ss\s?\#)"
    return [
        compile_rule(
            "SSN",
            r"(?<![\w\-.])(?P<v>(?:\d{3}|[Xx*]{3})[\-.\s](?:\d{2}|[Xx*]{2})[\-.\s]\d{4})(?!\w|-\d)",
            0.97,
            needs="digit",
        ),
        compile_rule("SSN", rf"\b{cue}\b{_GLUE}\s?(?P<v>\d[\d\s\-]{{2,13}}\d)(?!\w)", 0.97, needs="digit"),
        compile_rule("SSN", rf"\b{cue}\b[^.\d]{{0,30}}(?P<v>\d{{4}})(?!\w)", 0.96, needs="digit"),
        compile_rule("SSN", r"\blast\s+(?:4|four)\b[^.\d]{0,40}(?P<v>\d{4})(?!\w)", 0.9, needs="digit"),
    ]


def _by_shape() -> list[Rule]:
    return [
        compile_rule(
            "VEHICLE",
            r"(?<!\w)(?P<v>(?=[A-Z]*\d)(?=\d*[A-Z])[A-HJ-NPR-Z0-9]{11}\d{6})(?!\w)",
            0.9,
            needs="digit",
            exact_case=True,
        ),
        compile_rule("DEVICE", r"(?<![\w:])(?P<v>[0-9A-F]{2}(?:[:\-][0-9A-F]{2}){5})(?![\w:])", 0.95),
        compile_rule(
            "ACCOUNT",
            r"(?<!\w)(?P<v>[A-Z]{2}\d{2}(?:[ \-]?[A-Z0-9]{4}){2,7}(?:[ \-]?[A-Z0-9]{1,3})?)(?!\w)",
            0.85,
            needs="digit",
            exact_case=True,
        ),
        compile_rule("CARD", r"(?<![\w.\-])(?P<v>\d(?:[ \-]?\d){11,18})(?![\w\-])", 0.85, needs="digit"),
        compile_rule(
            "CARD", r"(?<![\w.\-])(?P<v>\d{4}[ \-]?(?:[Xx*]{2,4}[ \-]?){1,4}\d{3,4})(?!\w)", 0.9, needs="digit"
        ),
        compile_rule(
            "ACCOUNT", r"(?<![\w.,\-/$])(?P<v>\d{7,11})(?![\w\-]|[.,]\d)", 0.6, accept=_identifying, needs="digit"
        ),
        compile_rule(
            "ACCOUNT",
            r"(?<![\w\-])(?P<v>(?!(?:JNJ|RO|SB|GSK|BMS|MK|PF|LY|AZD|ABT|BAY|CP)-)[A-Z]{1,5}-?\d{6,14}[A-Z]"
            r"{0,2})(?![\w\-])",
            0.7,
            needs="digit",
            exact_case=True,
        ),
        compile_rule(
            "ACCOUNT",
            r"(?<![\w\-])(?P<v>[A-Z]{1,4}\d{2,5}(?:-\d{3,5}){1,3})(?![\w\-])",
            0.7,
            needs="digit",
            exact_case=True,
        ),
        compile_rule("ACCOUNT", r"(?<![\w\-])(?P<v>\d{6,12}[A-Z])(?![\w\-])", 0.7, needs="digit", exact_case=True),
    ]
