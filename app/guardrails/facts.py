"""Numbers that matter to triage, read from words: age, temperature, glucose, blood pressure, oxygen, weeks, counts.

Units: ``age_days`` days; ``temp_f`` degrees Fahrenheit (Celsius is converted); ``glucose`` mg/dL (mmol/L is converted);
``systolic``/``diastolic`` mmHg; ``spo2`` percent; ``pulse`` beats a minute; ``gest_weeks`` weeks of pregnancy;
``pills`` a count; ``minutes`` a duration (hours are converted).
"""

from __future__ import annotations

from dataclasses import dataclass

from app.guardrails.tokens import TURN, Words

NUMBER_WORDS = {
    "zero": 0,
    "one": 1,
    "two": 2,
    "three": 3,
    "four": 4,
    "five": 5,
    "six": 6,
    "seven": 7,
    "eight": 8,
    "nine": 9,
    "ten": 10,
    "eleven": 11,
    "twelve": 12,
    "thirteen": 13,
    "fourteen": 14,
    "fifteen": 15,
    "sixteen": 16,
    "seventeen": 17,
    "eighteen": 18,
    "nineteen": 19,
    "twenty": 20,
    "thirty": 30,
    "forty": 40,
    "fifty": 50,
    "sixty": 60,
    "seventy": 70,
    "eighty": 80,
    "ninety": 90,
    "un": 1,
    "una": 1,
    "uno": 1,
    "dos": 2,
    "tres": 3,
    "cuatro": 4,
    "cinco": 5,
    "seis": 6,
    "siete": 7,
    "ocho": 8,
    "nueve": 9,
    "diez": 10,
    "once": 11,
    "doce": 12,
    "quince": 15,
    "veinte": 20,
    "treinta": 30,
    "couple": 2,
    "dozen": 12,
}
_DAYS = {
    "day": 1,
    "days": 1,
    "dia": 1,
    "dias": 1,
    "week": 7,
    "weeks": 7,
    "wk": 7,
    "wks": 7,
    "semana": 7,
    "semanas": 7,
    "month": 30,
    "months": 30,
    "mo": 30,
    "mos": 30,
    "mth": 30,
    "mths": 30,
    "mes": 30,
    "meses": 30,
    "year": 365,
    "years": 365,
    "yr": 365,
    "yrs": 365,
    "y": 365,
    "yo": 365,
    "ano": 365,
    "anos": 365,
}
_MINUTES = {
    "min": 1,
    "mins": 1,
    "minute": 1,
    "minutes": 1,
    "minuto": 1,
    "minutos": 1,
    "hour": 60,
    "hours": 60,
    "hr": 60,
    "hrs": 60,
    "hora": 60,
    "horas": 60,
}
_AGE_AFTER = {
    "old",
    "o",
    "yo",
    "baby",
    "infant",
    "newborn",
    "son",
    "daughter",
    "girl",
    "boy",
    "kid",
    "child",
    "preemie",
    "edad",
}
_NOT_AGE_BEFORE = {
    "for",
    "past",
    "last",
    "in",
    "since",
    "over",
    "every",
    "within",
    "por",
    "desde",
    "hace",
    "after",
    "another",
    "next",
}
_NOT_AGE_AFTER = {
    "ago",
    "late",
    "pregnant",
    "along",
    "postpartum",
    "pp",
    "later",
    "now",
    "embarazada",
    "after",
    "post",
    "apart",
}
_BABY = {
    "baby",
    "bebe",
    "infant",
    "newborn",
    "bebito",
    "bebita",
    "nino",
    "nina",
    "hijo",
    "hija",
    "son",
    "daughter",
    "she",
    "he",
    "grandson",
    "granddaughter",
}
_FEVER = {
    "fever",
    "temp",
    "temperature",
    "fiebre",
    "calentura",
    "temperatura",
    "thermometer",
    "fevers",
    "termometro",
    "degrees",
    "grados",
    "running",
}
_SUGAR = {
    "sugar",
    "sugars",
    "glucose",
    "bg",
    "azucar",
    "glucosa",
    "meter",
    "dexcom",
    "libre",
    "glucometer",
    "bgl",
    "glucometro",
}
_OXYGEN = {"oxygen", "spo", "o2", "sat", "sats", "ox", "oximeter", "saturation", "oxigeno", "saturacion", "spo2"}
_PULSE = {"heart", "beating", "pulse", "bpm", "hr", "heartrate", "pulso", "rate", "beats"}
_PREGNANT = {"pregnant", "along", "embarazada", "gestation", "embarazo", "pregnancy", "preg", "prego"}
_PILLS = {
    "pills",
    "pill",
    "tablets",
    "tabs",
    "capsules",
    "caps",
    "pastillas",
    "tabletas",
    "gummies",
    "tylenol",
    "tylenols",
    "advil",
    "advils",
    "ibuprofen",
    "ibuprofens",
    "xanax",
    "benadryl",
    "aspirin",
    "acetaminophen",
    "sleeping",
    "oxy",
    "oxys",
    "percocet",
    "percocets",
    "norco",
    "norcos",
    "vicodin",
    "melatonin",
    "klonopin",
    "ativan",
    "adderall",
    "doses",
    "ambien",
    "motrin",
    "aleve",
}


FACTS = frozenset({
    "age_days", "temp_f", "glucose", "systolic", "diastolic", "spo2", "pulse", "gest_weeks", "pills", "minutes",
})  # fmt: skip
"""The names that a fact may have."""


@dataclass(frozen=True, slots=True)
class Fact:
    """One number with its meaning; ``start`` and ``end`` are word positions (end exclusive)."""

    name: str
    value: float
    start: int
    end: int


def read_facts(words: Words) -> list[Fact]:
    """All facts in reading order. Linear in the number of words."""
    found: list[Fact] = []
    for i, word in enumerate(words.words):
        if word in {"newborn", "neonate", "recien"}:
            found.append(Fact("age_days", 14, i, i + 1))
        if "/" in word:
            found.extend(_pressure(word.split("/")[0], word.split("/")[1], i, i + 1))
            continue
        value = _number(word)
        if value is not None:
            found.extend(_read_one(words, i, value))
    return found


def _number(word: str) -> float | None:
    if word in NUMBER_WORDS:
        return float(NUMBER_WORDS[word])
    if not word[0].isdigit():
        return None
    try:
        return (
            float(word.replace(",", "."))
            if word.count(",") == 1 and len(word.split(",")[1]) < 3
            else float(word.replace(",", ""))
        )
    except ValueError:
        return None


def _read_one(words: Words, i: int, value: float) -> list[Fact]:
    w = words.words
    after = [w[j] for j in range(i + 1, min(i + 5, len(w))) if words.breaks[j] < TURN]
    before = [w[j] for j in range(max(0, i - 6), i)]
    around = set(before) | set(after)
    one = after[0] if after else ""
    two = after[1] if len(after) > 1 else ""
    digits = w[i][0].isdigit()
    found: list[Fact] = []
    if one in _DAYS:
        found += _period(value, one, after[1:], before, i)
    elif one in {"over", "sobre"} and two and two[0].isdigit():
        found += _pressure(w[i], two, i, i + 3)
    if one in _MINUTES:
        found.append(Fact("minutes", value * _MINUTES[one], i, i + 2))
    if set(after[:3]) & _PILLS:
        found.append(Fact("pills", value, i, i + 2))
    if digits and one not in _DAYS and one not in _MINUTES:
        found += _vital(value, one, around, i)
    return found


def _period(value: float, unit: str, rest: list[str], before: list[str], i: int) -> list[Fact]:
    if set(rest[:2]) & _PREGNANT or (set(before[-3:]) & _PREGNANT and unit not in {"day", "days"}):
        weeks = value * _DAYS[unit] / 7
        return [Fact("gest_weeks", weeks, i, i + 2)] if 3 <= weeks <= 44 else []
    follow = rest[0] if rest else ""
    lead = before[-1] if before else ""
    if follow in _NOT_AGE_AFTER:
        return []
    if (
        unit in {"weeks", "wks", "semanas"}
        and 12 <= value <= 42
        and lead in {"", "am", "at", "currently", "only", "almost", "tengo"}
        and follow not in _AGE_AFTER
    ):
        return [Fact("gest_weeks", value, i, i + 2)]
    stated = (
        follow in _AGE_AFTER
        or unit in {"yo"}
        or lead in {"age", "aged", "edad", "tiene", "cumplio"}
        or (lead == "de" and bool(set(before) & _BABY))
    )
    bare = (
        bool(set(before[-3:]) & {"my", "our", "is", "baby", "bebe"})
        and bool(set(before + rest) & _BABY)
        and lead not in _NOT_AGE_BEFORE
    )
    spoken = lead in {"he", "she", "is"} and _DAYS[unit] < 365 and value * _DAYS[unit] <= 720
    return [Fact("age_days", value * _DAYS[unit], i, i + 2)] if stated or bare or spoken else []


def _pressure(high: str, low: str, start: int, end: int) -> list[Fact]:
    try:
        top, bottom = float(high), float(low)
    except ValueError:
        return []
    if 70 <= top <= 280 and 30 <= bottom <= 180 and top > bottom:
        return [Fact("systolic", top, start, end), Fact("diastolic", bottom, start, end)]
    return []


def _vital(value: float, unit: str, around: set[str], i: int) -> list[Fact]:
    found: list[Fact] = []
    fever = bool(around & _FEVER)
    if 95 <= value <= 110 and (unit in {"f", "fahrenheit", "degrees"} or fever):
        found.append(Fact("temp_f", value, i, i + 1))
    elif 34 <= value <= 43 and (unit in {"c", "celsius", "centigrados", "grados"} or fever):
        found.append(Fact("temp_f", value * 9 / 5 + 32, i, i + 1))
    if around & _SUGAR and 15 <= value <= 1200:
        found.append(Fact("glucose", value, i, i + 1))
    if ("mmol" in around or around & _SUGAR) and ("mmol" in around or value != int(value)) and value <= 45:
        found.append(Fact("glucose", value * 18, i, i + 1))
    if around & _OXYGEN and 40 <= value <= 100:
        found.append(Fact("spo2", value, i, i + 1))
    if around & _PULSE and 20 <= value <= 300:
        found.append(Fact("pulse", value, i, i + 1))
    return found
