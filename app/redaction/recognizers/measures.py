"""What makes a number a measurement, a dose, a time or a product's code and no identifier: the words around it."""

from __future__ import annotations

import regex

from app.redaction.recognizers.rules import Match

_BEFORE = 36
"""Characters before a number that are looked at."""

UNIT = regex.compile(
    r"[\s\-]{0,2}(?:mg|mcg|µg|ug|g|gm|kg|ml|cc|dl|l|iu|i\.u|units?|u|meq|mmol|mosm|ng|pg|mm\w{0,3}|cm|nm|hz|"
    r"cal\w{0,6}|kcal\w{0,3}|cells?|copies|cfu|k|feet|ft|inch(?:es)?|lbs?|pounds?|kilos?|oz|ounces?|dollars?|bucks|"
    r"usd|cents|percent\w{0,4}|%|x|hours?|hrs?|minutes?|mins?|seconds?|secs?|days?|weeks?|wks?|months?|mos?|years?|"
    r"yrs?|times|tablets?|tabs?|pills?|capsules?|caps?|doses?|puffs?|drops|sprays|patch(?:es)?|am|pm|a\.m|p\.m|"
    r"o'?clock|bpm|beats|breaths|degrees?|steps|miles?|people|patients|words|grams?|milligrams?|micrograms?|lit(?:er|"
    r"re)s?|gauge|french|fr|ppm|psi|watts?|mah|unidades|pastillas?|tabletas?|cápsulas?|gotas|semanas?|días?|meses|"
    r"mes|años?|veces|horas?|minutos?|libras|kilos?|grados|miligramos|gramos|pesos|dólares|por\sciento|per|"
    r"/\s?(?:day|week|month|hr|hour|min|dl|ml|l|kg))(?![\p{L}\d])",
    regex.IGNORECASE,
)

_VALUE_OF = regex.compile(
    r"(?:\b(?:hcg|beta|platelets?|plt|wbc|rbc|anc|viral\s?load|copies|counts?|ferritin|ck|cpk|ldh|bnp|nt-?pro-?bnp|"
    r"tsh|psa|cea|afp|ca|ig[aegm]|steps|calories|dos(?:e|es|age)|units|glucose|sugars?|readings?|bp|pressure|pulse|"
    r"hr|rate|lots?|ndc|batch|upc|cpt|hcpcs|icd|loinc|snomed|model|range|normal|between|goal|target|presión|azúcar|"
    r"glucosa|triglycerides?|trigs|cholesterol|hdl|ldl|vitamin|oxygen|o2|sats?|spo2|temp(?:erature)?|fever|weight|"
    r"room|procedure|billing\scodes?|diagnosis|dx|lote|modelo|trial\snct|nct)\b|[$£€])\W{0,3}(?:(?:of|is|was|were|at|"
    r"to|about|around|over|under|above|below|level|levels|number|no|code|came|back|up|down|from|now|today|at|hit|"
    r"went|and|es|de|era|en|fue)\b\W{0,3}|[\d.,]{1,9}\s?(?:-|to|then|and|,|/)\s?){0,4}\Z",
    regex.IGNORECASE,
)
_READINGS = regex.compile(
    r"\b(?:glucose|sugars?|bp|pressures?|pulse|readings?|numbers\s(?:are|were)|glucosa|azúcar|presión|weights?|"
    r"temps?|scores?)\b[^.!?\n]{0,30}\Z",
    regex.IGNORECASE,
)


def measured(match: Match) -> bool:
    """Whether a unit stands after the number in group ``v``, or what it measures before it."""
    return bool(UNIT.match(match.string, match.end("v"))) or value_of_something(match)


def value_of_something(match: Match) -> bool:
    """Whether a laboratory test, a vital sign, a dose or a product's code stands right before group ``v``."""
    return value_before(match.string, match.start("v"))


def value_before(text: str, start: int) -> bool:
    """Whether what is at ``start`` is the value of a test, a vital sign or a dose, or a product's code."""
    return bool(_VALUE_OF.search(text[max(0, start - _BEFORE) : start]))


def one_of_readings(match: Match) -> bool:
    """Whether the sentence before group ``v`` lists readings ("my sugars are 110-140-180")."""
    start = match.start("v")
    return bool(_READINGS.search(match.string[max(0, start - 2 * _BEFORE) : start]))
