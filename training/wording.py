"""How patients write: rules that turn a plain question into lay wording, slips of the keyboard and short forms.

Every rule keeps the meaning. Names, numbers and words with digits are never touched, because an answer is checked
against them. All randomness comes from the ``random.Random`` that the caller passes, so that a data set can be
built again from its seed.
"""

from __future__ import annotations

import re
from collections.abc import Container
from random import Random

SYNONYMS: dict[str, tuple[str, ...]] = {
    "antibiotic": ("antibiotics", "the antibiotic pills"),
    "appointment": ("appt", "visit", "booking"),
    "appointments": ("appts", "visits"),
    "arrive": ("come", "get there", "show up"),
    "assistance": ("help",),
    "bandage": ("dressing", "plaster"),
    "begin": ("start",),
    "billing": ("bills", "the bill"),
    "breathing": ("my breathing", "breath"),
    "cancel": ("call off", "drop"),
    "caregiver": ("carer", "the person who looks after me"),
    "caregivers": ("carers", "family"),
    "charge": ("cost", "bill"),
    "clothing": ("clothes",),
    "contact": ("call", "reach", "phone"),
    "cost": ("price", "how much", "charge"),
    "costs": ("prices", "charges"),
    "discharge": ("going home", "leaving the hospital"),
    "discomfort": ("pain", "soreness"),
    "documents": ("papers", "paperwork"),
    "drive": ("drive myself", "take the car"),
    "drowsy": ("sleepy", "tired"),
    "eat": ("have food", "eat something"),
    "emergency": ("er", "emergency room"),
    "examination": ("exam", "check up"),
    "fasting": ("not eating", "empty stomach"),
    "fee": ("charge", "cost"),
    "fever": ("temperature", "temp"),
    "follow-up": ("next visit", "follow up"),
    "form": ("paper", "sheet"),
    "hours": ("opening times", "open", "times"),
    "identification": ("id", "license"),
    "imaging": ("scan", "xray place"),
    "incision": ("cut", "wound"),
    "injection": ("shot", "jab"),
    "inpatient": ("staying overnight", "in the hospital"),
    "insurance": ("coverage", "my plan", "insurer"),
    "interpreter": ("translator",),
    "interpreters": ("translators",),
    "laboratory": ("lab",),
    "located": ("where",),
    "medication": ("medicine", "meds", "pill"),
    "medications": ("medicines", "meds", "pills"),
    "medicine": ("meds", "pills", "medication"),
    "medicines": ("meds", "pills", "medications"),
    "mother": ("mom", "mum"),
    "nausea": ("feeling sick", "throwing up"),
    "obtain": ("get",),
    "parking": ("park", "car park", "parking lot"),
    "password": ("login", "pass word"),
    "patients": ("people", "me"),
    "payment": ("paying", "pay"),
    "permit": ("allow", "let"),
    "permitted": ("allowed", "ok"),
    "pharmacist": ("pharmacy", "drugstore person"),
    "pharmacy": ("drugstore", "chemist"),
    "phone": ("number", "telephone"),
    "physician": ("doctor", "doc"),
    "portal": ("website", "online account"),
    "prescription": ("script", "rx", "meds"),
    "procedure": ("operation", "test"),
    "provider": ("doctor", "doc"),
    "receive": ("get",),
    "records": ("chart", "file", "my papers"),
    "refill": ("more pills", "renew", "re-fill"),
    "refills": ("more meds", "renewals"),
    "request": ("ask for", "get"),
    "required": ("needed", "must"),
    "reschedule": ("move", "change"),
    "results": ("test results", "what they found"),
    "schedule": ("book", "make"),
    "shower": ("wash", "bathe"),
    "stairs": ("steps",),
    "surgery": ("operation", "op", "surgery"),
    "swelling": ("swollen", "puffy"),
    "symptoms": ("signs", "how it feels"),
    "telephone": ("phone", "call"),
    "translate": ("put in my language",),
    "transportation": ("a ride", "getting there"),
    "vaccination": ("shot", "vaccine"),
    "vaccine": ("shot", "jab"),
    "vaccines": ("shots", "jabs"),
    "visitors": ("family", "people visiting", "guests"),
    "vomiting": ("throwing up", "being sick"),
    "wheelchair": ("wheel chair",),
}
"""Plain word -> what patients write instead."""

_OPENERS = (
    "hi, ", "hello ", "hey ", "quick question: ", "can you tell me ", "please help, ", "excuse me, ", "um ",
    "i was wondering, ", "sorry to bother you but ", "question. ", "ok so ", "good morning, ", "i need to know ",
    "my mom asks: ",
)  # fmt: skip
_CLOSERS = (" thanks", " please", " thank you", " pls", " thx", "??", " please help", " any idea", " for me", " ty")
_SHORT = {"you": "u", "are": "r", "please": "pls", "because": "bc", "tomorrow": "tmrw", "appointment": "appt"}
_WORD = re.compile(r"[A-Za-z][A-Za-z'-]*")


def with_synonyms(text: str, rng: Random, rate: float = 0.5) -> str:
    """Replace each known word by a lay one with probability ``rate``."""

    def swap(match: re.Match[str]) -> str:
        found = SYNONYMS.get(match.group(0).lower())
        return rng.choice(found) if found and rng.random() < rate else match.group(0)

    return _WORD.sub(swap, text)


def with_typos(text: str, rng: Random, rate: float = 0.08, *keep: Container[str]) -> str:
    """Put one keyboard slip into a share ``rate`` of the words of four letters and more, except those that a collection
    in ``keep`` holds in lower case.
    """

    def slip(match: re.Match[str]) -> str:
        word = match.group(0)
        if len(word) < 4 or any(word.lower() in kept for kept in keep) or rng.random() >= rate:
            return word
        return _slip(word, rng)

    return _WORD.sub(slip, text)


def _slip(word: str, rng: Random) -> str:
    at = rng.randrange(1, len(word) - 1)
    match rng.randrange(3):
        case 0:
            return word[:at] + word[at + 1 :]
        case 1:
            return word[:at] + word[at] + word[at:]
        case _:
            return word[:at] + word[at + 1] + word[at] + word[at + 2 :]


def casual(text: str, rng: Random) -> str:
    """Return the question as someone in a hurry would type it: openers, closers, no capitals, no mark, short forms."""
    text = text.strip()
    if rng.random() < 0.55:
        text = text[:1].lower() + text[1:]
        if rng.random() < 0.5:
            text = text.lower()
    if rng.random() < 0.35:
        text = text.rstrip("?") or text
    if rng.random() < 0.08:
        text = " ".join(_SHORT.get(word, word) for word in text.split())
    if rng.random() < 0.15:
        text = rng.choice(_OPENERS) + text
    if rng.random() < 0.1:
        text += rng.choice(_CLOSERS)
    return text


def as_patient(text: str, rng: Random) -> str:
    """All rules together, at the rates that are used for training data."""
    text = with_synonyms(text, rng, 0.25)
    if rng.random() < 0.3:
        text = with_typos(text, rng)
    return casual(text, rng)
