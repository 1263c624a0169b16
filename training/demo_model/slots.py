"""What stands in the slots of written facts: numbers, times, names and places, drawn anew for each exercise.

A value can then only be right by being copied. All randomness comes from the ``random.Random`` that is passed.
"""

from __future__ import annotations

import re
from random import Random

_SYLLABLES = tuple(consonant + vowel for consonant in "bdfghklmnprstvwz" for vowel in "aeiou")
_BUILDINGS = ("East", "West", "Main", "Oak", "Pine", "Cedar", "Lake")
_PLACES = ("level {n} of the {name} Building", "the ground floor by the {name} entrance", "floor {n}, room {n}{n}{n}",
           "the first floor of {name} Hall", "level {n}, across from the {name} elevators")  # fmt: skip
_DESKS = ("the billing office", "the {name} clinic", "the pharmacy", "the nurse line", "medical records", "the lab",
          "the help desk", "the surgery center", "patient support", "the {name} desk", "the imaging department",
          "the front desk", "guest services", "the heart clinic", "the scheduling team")  # fmt: skip
_CLINICS = ("heart", "eye", "skin", "bone", "sleep", "diabetes", "kidney", "family", "children's", "women's")
_DAYS = ("Monday to Friday", "every day", "Monday to Saturday", "weekdays", "Saturday and Sunday",
         "Tuesday to Thursday", "Monday through Friday", "seven days a week")  # fmt: skip
_FOODS = ("nuts", "seeds", "red meat", "dairy", "popcorn", "raw fruit", "corn", "beans", "cheese", "salad")
_THINGS = ("your date of birth", "your record number", "the email that we have for you", "your member number",
           "a photo ID", "the form from your doctor", "a list of your medicines")  # fmt: skip
_MONTHS = ("January", "February", "March", "April", "May", "June", "July", "August", "September", "October",
           "November", "December")  # fmt: skip
_ENDINGS = ("in", "ol", "ide", "ex", "ine", "ara", "ium", "ax")
_SLOT = re.compile(r"\{(\w+)\}")


def invented_word(rng: Random) -> str:
    """A pronounceable word that no text holds."""
    return "".join(rng.choice(_SYLLABLES) for _ in range(rng.randint(2, 4)))


def redraw_digits(text: str, rng: Random) -> str:
    """Draw every digit anew, so that a number can only be right by being copied."""
    return re.sub(r"\d", lambda _: str(rng.randint(0, 9)), text)


def phone_number(rng: Random) -> str:
    """A number in the range that is kept for fiction, in one of the usual forms; now and then toll-free or short."""
    last = f"555-{rng.randint(100, 199):04d}"
    area = f"{rng.randint(201, 989)}"
    return rng.choice(
        (f"{area}-{last}",) * 6 + (f"({area}) {last}", last, f"1-8{rng.randint(0, 8)}{rng.randint(0, 9)}-{last}")
    )


def slot_values(rng: Random) -> dict[str, str]:
    """One value for every slot that a fact may have."""

    def clock(half: str) -> str:
        return f"{rng.randint(1, 12)}{rng.choice(('', '', ':30', ':15', ':45'))} {half}"

    word = invented_word(rng)
    name = rng.choice((word.capitalize(), word.capitalize(), *_BUILDINGS))
    inner = {"name": name, "n": str(rng.randint(1, 9))}
    return {
        "name": name,
        "n": str(rng.randint(2, 30)),
        "n2": str(rng.randint(2, 12)),
        "phone": phone_number(rng),
        "time": clock("a.m."),
        "time2": clock("p.m."),
        "days": rng.choice(_DAYS),
        "weeks": f"{rng.randint(2, 12)} weeks",
        "month": rng.choice(_MONTHS),
        "place": fill(rng.choice(_PLACES), inner),
        "desk": fill(rng.choice(_DESKS), inner),
        "clinic": f"the {name} {rng.choice(_CLINICS)} clinic",
        "doctor": f"Dr. {invented_word(rng).capitalize()}",
        "drug": invented_word(rng) + rng.choice(_ENDINGS),
        "dose": f"{rng.choice((5, 10, 20, 25, 50, 75, 100, 200, 250, 500, rng.randint(2, 999)))} milligrams",
        "temp": f"{rng.randint(97, 104)}.{rng.randint(0, 9)}",
        "age": str(rng.randint(2, 89)),
        "percent": f"{rng.randint(2, 99)} percent",
        "money": f"${rng.randint(1, 400)}" + rng.choice(("", "", f".{rng.randint(10, 99)}", ",000")),
        "minutes": str(rng.choice((5, 10, 15, 20, 30, 40, 45, 60, 90, rng.randint(2, 99)))),
        "url": f"{word}.example/{rng.choice(('pay', 'help', 'records', 'visit', 'forms'))}",
        "email": f"{rng.choice(('help', 'records', 'care', 'billing'))}@{word}.example",
        "food": rng.choice(_FOODS),
        "thing": rng.choice(_THINGS),
    }


def fill(text: str, values: dict[str, str]) -> str:
    """Put the values into the slots of a fact or a question. Raises KeyError for an unknown slot."""
    return _SLOT.sub(lambda match: values[match.group(1)], text)


def sentence(text: str, values: dict[str, str]) -> str:
    """A fact with its slots filled, beginning with a capital and ending with one full stop."""
    filled = fill(text, values).replace("a.m..", "a.m.").replace("p.m..", "p.m.")
    return filled[:1].upper() + filled[1:]
