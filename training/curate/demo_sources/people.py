"""Invented people: patients with what identifies them, and the town whose names they bear."""

from __future__ import annotations

import string
import unicodedata
from dataclasses import dataclass
from datetime import date, timedelta
from random import Random

from training.curate.demo_sources.phrases import Deck, Family, phrases

TODAY = date(2026, 11, 20)
"""The last day of the sources."""


@dataclass(frozen=True, slots=True)
class Person:
    """A patient. ``key`` is what systems call them; the rest is what a person may say aloud."""

    key: str
    family: Family
    given: str
    surname: str
    sex: str
    birth: date
    language: str
    insurance: str
    phone: str
    email: str
    street: str
    city: str
    zip: str
    employer: str

    @property
    def age(self) -> int:
        """In whole years, on the last day of the sources."""
        before = (TODAY.month, TODAY.day) < (self.birth.month, self.birth.day)
        return TODAY.year - self.birth.year - before

    @property
    def groups(self) -> dict[str, str]:
        """What bias is examined by."""
        bands = ((18, "0-17"), (40, "18-39"), (65, "40-64"), (80, "65-79"), (200, "80+"))
        band = next(name for limit, name in bands if self.age < limit)
        return {"language": self.language, "age_band": band, "sex": self.sex, "insurance": self.insurance}


class Town:
    """Draws the people of one family: names dealt from decks, so that few come twice."""

    def __init__(self, family: Family, rng: Random) -> None:
        names, places = phrases("names")[family], phrases("names")["places"][family]
        self.family, self._rng = family, rng
        self._names = {kind: Deck[str](found, rng) for kind, found in names.items()}
        self._streets = Deck[str](places["streets"], rng)
        self._cities = Deck[list[str]](places["cities"], rng)
        self._units = Deck[str](places["units"], rng)
        self._employers = Deck[str](places["employers"], rng)
        self._number = 0

    def given(self, sex: str = "", language: str = "en") -> str:
        """A given name, of either sex if none is asked for."""
        sex = sex or self._rng.choice(("female", "male"))
        return self._names[f"{sex}_es" if language == "es" else sex].deal()

    def surname(self, language: str = "en") -> str:
        """A surname."""
        return self._names["surname_es" if language == "es" else "surname"].deal()

    def person(self, language: str, insurance: str) -> Person:
        """A new patient."""
        rng = self._rng
        self._number += 1
        sex = rng.choice(("female", "female", "male"))
        given, surname = self.given(sex, language), self.surname(language)
        low, high = (65, 97) if insurance == "medicare" else (1, 64) if insurance == "medicaid" else (18, 64)
        if insurance == "medicare" and rng.random() < 0.25:
            low = 90
        birth = TODAY - timedelta(days=rng.randint(low * 366, high * 365 + 300))
        city, code = self._cities.deal()
        unit = self._units.deal()
        street = f"{rng.randint(2, 98) * rng.choice((1, 10, 101))} {self._streets.deal()}" + (
            f", {unit}" if unit else ""
        )
        return Person(
            key=f"P{'1' if self.family == 'a' else '2'}{self._number:04d}", family=self.family, given=given,
            surname=surname, sex=sex, birth=birth, language=language, insurance=insurance,
            phone=f"{rng.choice(('319', '563', '641', '712'))}-555-01{rng.randint(0, 99):02d}",
            email=_email(given, surname, birth, rng), street=street, city=city, zip=code,
            employer=self._employers.deal(),
        )  # fmt: skip


def _email(given: str, surname: str, birth: date, rng: Random) -> str:
    first, last = (plain(part) for part in (given, surname))
    local = rng.choice(
        (
            f"{first}.{last}",
            f"{first[0]}{last}{birth.year % 100:02d}",
            f"{last}_{first}",
            f"{first}{rng.randint(3, 99)}",
        )
    )
    return f"{local}@{rng.choice(('example.com', 'example.org', 'mail.example.net', 'example.net'))}"


def plain(name: str) -> str:
    """The name as it stands in an address: small ASCII letters only."""
    folded = unicodedata.normalize("NFKD", name.replace("ł", "l")).encode("ascii", "ignore").decode().lower()
    return "".join(letter for letter in folded if letter in string.ascii_lowercase) or "x"
