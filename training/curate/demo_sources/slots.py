"""The slots of phrases: identifiers of a call's people, written in the many ways in which people write such things."""

from __future__ import annotations

import string
from collections.abc import Callable, Iterator, Mapping
from datetime import date, timedelta
from random import Random

from training.curate.demo_sources.marks import mark
from training.curate.demo_sources.people import Person, Town, plain

_MONTHS = (
    "January February March April May June July August September October November December".split()
)  # fmt: skip
_MESES = "enero febrero marzo abril mayo junio julio agosto septiembre octubre noviembre diciembre".split()
_DIGITS = "zero one two three four five six seven eight nine".split()
_CIFRAS = "cero uno dos tres cuatro cinco seis siete ocho nueve".split()
_TEENS = "ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen nineteen".split()
_TENS = "twenty thirty forty fifty sixty seventy eighty ninety".split()
_ORDINALS = (
    "first second third fourth fifth sixth seventh eighth ninth tenth eleventh twelfth thirteenth fourteenth fifteenth "
    "sixteenth seventeenth eighteenth nineteenth twentieth twenty-first twenty-second twenty-third twenty-fourth "
    "twenty-fifth twenty-sixth twenty-seventh twenty-eighth twenty-ninth thirtieth thirty-first"
).split()
_LETTERS = "ABCDEFGHJKLMNPRSTUVWXYZ"
_POOLS = {"9": string.digits, "#": _LETTERS, "*": _LETTERS + string.digits}
_WORDS = {
    "son": ("son", "daughter"), "he": ("he", "she"), "He": ("He", "She"), "his": ("his", "her"),
    "him": ("him", "her"), "man": ("man", "woman"), "M": ("M", "F"),
}  # fmt: skip
"""Words that go with the patient's sex: (male, female)."""


class Slots(Mapping[str, str]):
    """The slots of one call or note: a look-up writes an identifier in one of its forms, marked.

    ``{given}``, ``{dob}``, ``{phone}`` ... are the patient's; ``{agent}`` and ``{doctor}`` staff; ``{kin}``,
    ``{kin_f}``, ``{kin_m}`` relatives. Values stay the same within a call, and the patient's in all calls. ``plain``
    holds slots that are no identifiers and may be changed at any time.
    """

    def __init__(
        self, person: Person, town: Town, rng: Random, called: date, plain: Mapping[str, str] | None = None
    ) -> None:
        self.person, self._rng = person, rng
        self.plain = dict(plain or {})
        self.agent, self.doctor = town.given(), f"{town.given()} {town.surname()}"
        tongue = person.language
        self.kin = {sex[:1]: town.given(sex, tongue) for sex in ("", "female", "male")}
        self.kin_surname = town.surname(tongue)
        self.called = called
        self.visit = called - timedelta(days=rng.choice((2, 3, 5, 9, 16, 21, 40, 61)))
        self.next = called + timedelta(days=rng.choice((2, 5, 6, 12, 19, 33)))
        self._seed = rng.getrandbits(32)

    @property
    def fitting(self) -> frozenset[str]:
        """The conditions of phrases that fit this patient."""
        return frozenset({"child"} if self.person.age < 18 else {"", self.person.sex[0]})

    def __getitem__(self, name: str) -> str:
        if name in self.plain:
            return self.plain[name]
        if name == "age" and self.person.age < 90:
            return str(self.person.age)
        if name in _WORDS:
            return _WORDS[name][self.person.sex == "female"]
        note, kind, write = _SLOTS[name]
        return mark("identifier", write(self), "", note, kind)

    def __iter__(self) -> Iterator[str]:
        return iter([*self.plain, *_WORDS, *_SLOTS])

    def __len__(self) -> int:
        return len(self.plain) + len(_WORDS) + len(_SLOTS)

    def fixed(self, name: str) -> Random:
        """Chance that is the same whenever ``name`` is drawn for this patient."""
        return Random(f"{self.person.key}-{name}")

    def of_call(self, name: str) -> Random:
        """Chance that is the same within this call."""
        return Random(f"{self._seed}-{name}")

    def choice(self, *forms: str) -> str:
        """One of several ways to write the same."""
        return self._rng.choice(forms)


def _filled(rng: Random, *patterns: str) -> str:
    """One of the patterns, its 9, # and * filled with digits, letters and either."""
    return "".join(rng.choice(_POOLS[sign]) if sign in _POOLS else sign for sign in rng.choice(patterns))


def _of(name: str, *patterns: str) -> Callable[[Slots], str]:
    return lambda slots: _filled(slots.fixed(name), *patterns)


def _phone(slots: Slots, number: str) -> str:
    area, middle, last = number.split("-")
    return slots.choice(
        number, number, f"({area}) {middle}-{last}", f"{area}.{middle}.{last}", f"{area} {middle} {last}",
        f"{middle}-{last}", f"{area}{middle}{last}",
    )  # fmt: skip


def _other_phone(name: str, area: str) -> Callable[[Slots], str]:
    return lambda slots: _phone(slots, f"{area}-555-01{slots.fixed(name).randint(0, 99):02d}")


def _spoken_phone(slots: Slots) -> str:
    words = _CIFRAS if slots.person.language == "es" else _DIGITS
    parts = slots.person.phone.split("-")
    return ", ".join(" ".join(words[int(digit)] for digit in part) for part in parts)


def _date(day: date, slots: Slots) -> str:
    month = _MONTHS[day.month - 1]
    return slots.choice(
        f"{month} {day.day}, {day.year}", f"{day.month}/{day.day}/{day.year % 100:02d}", f"{day:%m/%d/%Y}",
        f"{month[:3]} {day.day} {day.year}", f"{day.month}-{day.day}-{day.year}",
    )  # fmt: skip


def _day(day: date, slots: Slots) -> str:
    month = _MONTHS[day.month - 1]
    return slots.choice(f"{month} {day.day}", f"{day.month}/{day.day}", f"{month[:3]} {day.day}")


def _spoken_date(day: date) -> str:
    century, rest = divmod(day.year, 100)
    tens, ones = divmod(rest, 10)
    if century == 20 and tens == 0:
        year = "two thousand" + (f" {_DIGITS[ones]}" if ones else "")
    else:
        last = f" {_DIGITS[ones]}" if ones else ""
        low = f"oh{last}" if tens == 0 else _TEENS[ones] if tens == 1 else _TENS[tens - 2] + last
        year = f"{'nineteen' if century == 19 else 'twenty'} {low}"
    return f"{_MONTHS[day.month - 1]} {_ORDINALS[day.day - 1]}, {year}"


def _fecha(day: date) -> str:
    return f"{day.day} de {_MESES[day.month - 1]}"


def _ssn(slots: Slots) -> str:
    """A number of a range that is never issued: area 000, 666 or 900 to 999."""
    rng = slots.fixed("ssn")
    area = rng.choice(("000", "666", f"{rng.randint(900, 999)}"))
    group, serial = f"{rng.randint(1, 99):02d}", f"{rng.randint(1, 9999):04d}"
    dashed = f"{area}-{group}-{serial}"
    return slots.choice(dashed, dashed, f"{area} {group} {serial}", area + group + serial)


def _age90(slots: Slots) -> str:
    age = slots.of_call("age").randint(90, 101)
    ninety = "ninety" + (f"-{_DIGITS[age - 90]}" if 90 < age < 100 else "")
    words = {100: "a hundred", 101: "a hundred and one"}.get(age, ninety)
    return slots.choice(str(age), str(age), words)


def _spoken_email(slots: Slots) -> str:
    return slots.person.email.replace(".", " dot ").replace("@", " at ").replace("_", " underscore ")


def _ip(slots: Slots) -> str:
    rng = slots.fixed("ip")
    last = rng.randint(2, 250)
    return rng.choice((f"203.0.113.{last}", f"198.51.100.{last}", f"192.0.2.{last}", f"2001:db8::{last:x}"))


def _url(slots: Slots) -> str:
    given, surname = plain(slots.person.given), plain(slots.person.surname)
    year = slots.person.birth.year
    return slots.fixed("url").choice(
        (
            f"https://photos.example.com/{given}{year}",
            f"www.example.org/~{surname}",
            f"pictures.example/{given}.{surname}",
        )
    )


def _username(slots: Slots) -> str:
    rng = slots.fixed("user")
    given, surname = plain(slots.person.given), plain(slots.person.surname)
    return rng.choice(
        (f"{given}{rng.randint(10, 99)}", f"{surname}_{given[0]}", f"cubsfan{rng.randint(100, 999)}",
         f"{given[0]}{surname}{rng.randint(1, 9)}")
    )  # fmt: skip


def _photo(slots: Slots) -> str:
    rng = slots.fixed("photo")
    given, surname = plain(slots.person.given), plain(slots.person.surname)
    return rng.choice(
        (f"IMG_{rng.randint(1000, 9999)}_face_{surname}.jpg", f"{given}_{surname}_front.png",
         f"selfie-{given}-{slots.person.birth.year}.heic")
    )  # fmt: skip


def _card(slots: Slots) -> str:
    return slots.fixed("card").choice(
        ("4000 0000 0000 0002", "4000-0000-0000-0069", "5200 0000 0000 0007", "4000000000000127")
    )


def _only(slots: Slots, *titles: str) -> str:
    return slots.of_call("unique").choice(titles)


_SLOTS: dict[str, tuple[str, str, Callable[[Slots], str]]] = {
    "name": ("PERSON", "name", lambda s: f"{s.person.given} {s.person.surname}"),
    "given": ("PERSON", "name", lambda s: s.person.given),
    "surname": ("PERSON", "name", lambda s: s.person.surname),
    "reversed": ("PERSON", "name", lambda s: f"{s.person.surname}, {s.person.given}"),
    "capitals": ("PERSON", "name", lambda s: f"{s.person.given} {s.person.surname}".upper()),
    "spelled": ("PERSON", "name", lambda s: "-".join(sign for sign in s.person.surname.upper() if sign.isalpha())),
    "agent": ("PERSON", "name", lambda s: s.agent),
    "doctor": ("PERSON", "name", lambda s: s.doctor.split(" ", 1)[1]),
    "doctor_full": ("PERSON", "name", lambda s: s.doctor),
    "kin": ("PERSON", "name", lambda s: s.kin[""]),
    "kin_f": ("PERSON", "name", lambda s: s.kin["f"]),
    "kin_m": ("PERSON", "name", lambda s: s.kin["m"]),
    "kin_full": ("PERSON", "name", lambda s: f"{s.kin['']} {s.person.surname}"),
    "kin_other": ("PERSON", "name", lambda s: f"{s.kin['']} {s.kin_surname}"),
    "dob": ("DATE", "date", lambda s: _date(s.person.birth, s)),
    "dob_spoken": ("DATE", "date", lambda s: _spoken_date(s.person.birth)),
    "nacimiento": ("DATE", "date", lambda s: f"{_fecha(s.person.birth)} de {s.person.birth.year}"),
    "visit": ("DATE", "date", lambda s: _day(s.visit, s)),
    "next": ("DATE", "date", lambda s: _day(s.next, s)),
    "fecha": ("DATE", "date", lambda s: _fecha(s.visit)),
    "cita": ("DATE", "date", lambda s: _fecha(s.next)),
    "visit_full": ("DATE", "date", lambda s: _date(s.visit, s)),
    "today": ("DATE", "date", lambda s: _date(s.called, s)),
    "age": ("AGE", "date", lambda s: str(s.person.age)),
    "age90": ("AGE", "date", _age90),
    "phone": ("PHONE", "phone", lambda s: _phone(s, s.person.phone)),
    "phone_spoken": ("PHONE", "phone", _spoken_phone),
    "phone2": ("PHONE", "phone", _other_phone("phone2", "641")),
    "fax": ("PHONE", "fax", _other_phone("fax", "563")),
    "email": ("EMAIL", "email", lambda s: s.person.email),
    "email_spoken": ("EMAIL", "email", _spoken_email),
    "ssn": ("SSN", "ssn", _ssn),
    "ssn4": ("SSN", "ssn", _of("ssn4", "9999")),
    "mrn": ("MRN", "mrn", _of("mrn", "00999999", "A-999999", "CV9999999", "77-9999")),
    "member": ("MEMBER_ID", "health_plan", _of("member", "XGH999999999", "W99999999901", "IA9999999-01", "H99999999")),
    "group": ("MEMBER_ID", "health_plan", _of("group", "99999-A", "GRP-99999", "07999")),
    "mbi": ("MBI", "health_plan", _of("mbi", "1EG9-TE9-MK99", "4#9*-#9*-##99")),
    "account": ("ACCOUNT", "account", _of("account", "4099999999", "H-99999999", "99-999999-9")),
    "claim": ("ACCOUNT", "account", _of("claim", "CLM99999999", "2026-9999999", "E99999")),
    "card": ("CARD", "account", _card),
    "license": ("LICENSE", "license", _of("license", "999AA9999", "A999-9999-99", "99AA99999")),
    "certificate": ("LICENSE", "license", _of("cert", "RN-999999", "A99999", "IA-099999")),
    "plate": ("VEHICLE", "vehicle", _of("plate", "### 999", "###999", "999 ###")),
    "vin": ("VEHICLE", "vehicle", _of("vin", "1F***99*9#A999999", "2G***99*9#9999999", "5N***99*9#H999999")),
    "device": ("DEVICE", "device", _of("device", "PJN999999S", "RLA999999H", "SN 99-##-99999", "DX7-9999-9999")),
    "ip": ("IP", "ip", _ip),
    "url": ("URL", "url", _url),
    "username": ("USERNAME", "other", _username),
    "employer": ("ORGANIZATION", "other", lambda s: s.person.employer),
    "street": ("ADDRESS", "geography", lambda s: s.person.street),
    "city": ("CITY", "geography", lambda s: s.person.city),
    "zip": ("ZIP", "geography", lambda s: s.person.zip),
    "biometric": ("BIOMETRIC", "biometric", _of("bio", "PALM-99#9-999", "VP-9999999", "FPT 99999-R", "IRIS 99*#-9*99")),
    "photo": ("PHOTO", "photo", _photo),
    "study": ("OTHER", "other", _of("study", "CV-ONC-99-9999", "subject 9999-99", "REG-99999")),
    "unique_a": (
        "OTHER", "other",
        lambda s: _only(s, "the county's only glass blower", "the woman who won the lottery in May", "the mayor"),
    ),
    "unique_b": (
        "OTHER", "other",
        lambda s: _only(s, "the only left-handed organist", "the only woman fire chief", "the school superintendent"),
    ),
}  # fmt: skip
"""Slot -> (entity type, Safe Harbor kind, how it is written)."""
