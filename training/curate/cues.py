"""What around a word speaks for its being a drug."""

from __future__ import annotations

import re
from collections.abc import Callable
from enum import IntEnum


class Cue(IntEnum):
    """Nothing; a word such as "pharmacy" somewhere in the record; what stands beside the word ("take", "refill of",
    "tablets", another drug in a list); a dose beside it ("40 mg"). ``NEVER`` is more than anything that can be found.
    """

    NONE = 0
    SENTENCE = 1
    BESIDE = 2
    DOSE = 3
    NEVER = 4


_UNIT = (
    r"(?:mgs?|mcgs?|mls?|g|gm|grams?|milligrams?|micrograms?|milliliters?|units?|iu|%|percent|puffs?|"
    r"miligramos?|unidades|gotas)"
)
_FIGURE = r"(?:\d+(?:[.,/-]\d+)*|half|one|two|three|five|ten|twenty|forty|fifty|hundred)"
_FORM = (
    r"(?:tablets?|tabs?|pills?|capsules?|caps|refills?|prescriptions?|rx|scripts?|doses?|dosage|inhalers?|patch(?:es)?|"
    r"ointment|syrup|injections?|shots?|pens?|drops|spray|suspension|infusions?|pastillas?|tabletas?|"
    r"c[áa]psulas?|recetas?|dosis|inyecci[óo]n(?:es)?|jarabe|inhalador)"
)
_RELEASE = r"(?:(?:xr|er|sr|cr|xl|hcl|la|pm|hfa|odt)\s+)?"
_FILLER = (
    r"(?:(?:my|the|her|his|their|our|your|some|any|this|that|of|on|more|daily|generic|brand|extra|old|new|mom's|dad's|"
    r"el|la|los|las|mi|su|de|del|a|an)\s+){0,2}"
)
_VERB = (
    r"(?:tak(?:e|es|ing|en)|took|prescribed|prescribes|refill(?:s|ed|ing)?|renew(?:ed|ing)?|swallow(?:ed)?|"
    r"allergic\s+to|allergy\s+to|reaction\s+to|started|stopped|starting|stopping|switch(?:ed)?\s+(?:to|from)|"
    r"(?:side\s+)?effects?\s+of|out\s+of|tolerated|reports?\s+reaction\s+to|tom(?:o|ar|a|an|ando|e|é|aba)|recet(?:ó|aron|an)|alérgic[oa]\s+al?)"
)
_DOSE_AFTER = re.compile(rf"\s*,?\s*{_RELEASE}{_FIGURE}[\s-]?{_UNIT}\b", re.IGNORECASE)
_DOSE_BEFORE = re.compile(rf"\b{_FIGURE}[\s-]?{_UNIT}\s+(?:of|de|tablets?\s+of|pills?\s+of)?\s*$", re.IGNORECASE)
_BESIDE_AFTER = re.compile(rf"\s+{_RELEASE}{_FORM}\b", re.IGNORECASE)
_BESIDE_BEFORE = re.compile(rf"\b(?:{_VERB}|{_FORM}\s+(?:of|de|del))\s+{_FILLER}$", re.IGNORECASE)
_ANYWHERE = re.compile(
    rf"\b(?:{_FIGURE}[\s-]?{_UNIT}|{_FORM}|tak(?:e|es|ing|en)|took|prescribed?|pharmac(?:y|ist)|medicines?|"
    r"medications?|meds|drugs?|allerg(?:y|ic)|hives|side\s+effects?|antibiotics?|painkillers?|over\s+the\s+counter|"
    r"medicamentos?|medicinas?|farmac(?:ia|éutico)|tom(?:o|ar|a|an|ando|e|é))\b",
    re.IGNORECASE,
)
_LISTED_BEFORE = re.compile(r"([^\W\d_]{4,})(?:,|,?\s+(?:and|or|with|plus|y|o|con))\s+(?:my\s+|mi\s+)?$", re.IGNORECASE)
_LISTED_AFTER = re.compile(r"(?:,|,?\s+(?:and|or|with|plus|y|o|con))\s+(?:my\s+|mi\s+)?([^\W\d_]{4,})", re.IGNORECASE)
_REACH = 60
"""Characters before and after a word that are looked at for what stands beside it."""


def speaks_of_drugs(text: str) -> bool:
    """Whether medicines are spoken of at all."""
    return bool(_ANYWHERE.search(text))


def cue(text: str, start: int, end: int, *, spoken_of: bool = False, drug: Callable[[str], bool] = bool) -> Cue:
    """How much speaks for a drug at ``text[start:end]``. ``spoken_of``: medicines are, elsewhere in the record.
    ``drug`` tells of a word beside it in a list ("warfarin, dijoxin and") whether that is one.
    """
    ahead = text[max(0, start - _REACH) : start]
    if _DOSE_AFTER.match(text, end, end + _REACH) or _DOSE_BEFORE.search(ahead):
        return Cue.DOSE
    if _BESIDE_AFTER.match(text, end, end + _REACH) or _BESIDE_BEFORE.search(ahead):
        return Cue.BESIDE
    listed = [match[1] for match in (_LISTED_BEFORE.search(ahead), _LISTED_AFTER.match(text, end)) if match]
    if any(drug(word) for word in listed):
        return Cue.BESIDE
    # What is left of the text is searched without the word itself, which may look like one of the cues.
    if spoken_of or _ANYWHERE.search(text, 0, start) or _ANYWHERE.search(text, end):
        return Cue.SENTENCE
    return Cue.NONE
