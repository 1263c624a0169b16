"""How identifiers and calm medical details look in messages: the values that fill the slots of frames.

Every value is invented. Phone numbers are of the 555-01xx range.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from random import Random

from app.redaction.lexicon import Lexicon
from training.encoder.names_lists import Invented, Lists

Segment = tuple[str, str]
"""A piece of text and the type of identifier it is, '' if none."""

_MONTHS = "January February March April May June July August September October November December".split()
_SHORT_MONTHS = "Jan Feb Mar Apr May Jun Jul Aug Sept Oct Nov Dec".split()
_MESES = "enero febrero marzo abril mayo junio julio agosto septiembre octubre noviembre diciembre".split()
_ORDINALS = (
    "first second third fourth fifth sixth seventh eighth ninth tenth eleventh twelfth thirteenth fourteenth fifteenth "
    "sixteenth seventeenth eighteenth nineteenth twentieth"
).split()
_TENS = "ten twelve fifteen twenty thirty thirty-two forty fifty one sixty seventy-five eighty ninety".split(" ")
_TEENS = "ten eleven twelve thirteen fourteen fifteen sixteen forty two oh five hundred".split(" ")
_YEARS = ("nineteen fifty-eight", "nineteen sixty two", "twenty twenty-four", "two thousand six", "twenty nineteen")
_SOUNDS = (
    "ab ac al am ax bel bri cal cor dal dap el em fal gal ibr ix jal kal lam lor mav mir nal nov ol oz pal pra quin "
    "ral ril sar sol tal tir ub val vel xel zan zep zol"
).split()
_STEMS = (
    "mab nib pril sartan statin olol azole cillin mycin floxacin gliptin gliflozin glutide parin xaban setron triptan "
    "prazole tidine zepam caine vir oxetine pine done tide ciclib rafenib tinib zumab limab ximab kinra gepant lukast "
    "terol sone olone dipine thiazide"
).split()
_ENDS = ("va xa ia io yx iq eva ent ara ista ify ance uza enta zia ivo aq ris tro lix zo qua vance").split()
_UNITS = ("mg", "mcg", "ml", "units", "mg/ml", "g", "IU", "mEq", "mg", "mg", "mg")
_INITIALS = "ABCDEFGHJKLMPRSTW"
_HANDLES = (
    "sunny blue crazy big lil mama papa nurse fish dog cat bear star moon rider gamer knitter trucker baker coach sox "
    "tiger lady queen king happy old red river hill corn hawk"
).split()
_AVENUES = ("Calle", "Avenida", "Calle", "Av.", "Carrera", "Colonia")


class Forms:
    """Fills slots from one side of the lists. ``share_invented`` of the names stand on no list."""

    def __init__(self, lists: Lists, lexicon: Lexicon, share_invented: float = 0.25) -> None:
        self._lists, self._share = lists, share_invented
        self._values = {**lists.values, "drug": sorted(lexicon.drugs), "lab": sorted(lexicon.labs)}
        self._common = lexicon.ordinary | lexicon.drugs | lexicon.labs | lexicon.eponyms
        self._given = {origin: Invented(words) for origin, words in lists.given.items()}
        self._family = {origin: Invented(words) for origin, words in lists.surnames.items()}
        self._origins = [*sorted(lists.given), *["wordlike"] * 4]
        self._makers: dict[str, Callable[[Random], list[Segment]]] = {
            "name": self._name, "full": lambda r: _person(self.full(r)), "given": lambda r: _person(self.given(r)),
            "surname": lambda r: _person(self.surname(r)), "formal": self._formal, "upper": self._upper,
            "spelled": self._spelled, "town": lambda r: [(self._town(r), "CITY")], "towns": self._town_state,
            "zip": lambda r: [(_zip(r), "ZIP")], "street": lambda r: [(self._street(r), "ADDRESS")],
            "streetonly": lambda r: [(self._street(r, number=False), "ADDRESS")],
            "facility": lambda r: [(self._joined(r, "facilityheads", "facilitytails"), "ORGANIZATION")],
            "employer": self._employer, "school": lambda r: [(self._joined(r, "schoolheads", "schooltails"),
                                                              "ORGANIZATION")],
            "date": lambda r: [(_date(r), "DATE")], "dob": lambda r: [(_birth(r), "DATE")],
            "monthyear": lambda r: [(f"{r.choice(_MONTHS + _SHORT_MONTHS)} {_year(r)}", "DATE")],
            "fecha": lambda r: [(_fecha(r), "DATE")], "id": lambda r: [(_bare_id(r), "ACCOUNT")],
            "phone": lambda r: [(_phone(r), "PHONE")],
        }  # fmt: skip
        self._calm: dict[str, Callable[[Random], str]] = {
            "dose": _dose, "newdrug": lambda r: _invented_drug(r, generic=True),
            "labvalue": lambda r: r.choice((f"{r.uniform(0.1, 15):.1f}", str(r.randint(2, 400)), "negative", "high")),
            "vital": lambda r: r.choice((f"{r.uniform(97, 104.5):.1f}", f"{r.uniform(36, 40.5):.1f}", "103")),
            "bp": lambda r: r.choice(("{}/{}", "{} over {}")).format(r.randint(88, 210), r.randint(48, 119)),
            "pain": lambda r: r.choice(("{}/10", "{} out of 10", "a {}")).format(r.randint(1, 10)),
            "time": _time, "hora": lambda r: r.choice(("{}:30", "{} de la tarde", "{} am",
            "{}")).format(r.randint(1, 12)),
            "duration": lambda r: f"{r.choice((2, 3, 4, 6, 10, 'two', 'a few', 'a couple'))} "
                                  f"{r.choice(('days', 'weeks', 'months', 'years', 'hours', 'wks', 'yrs'))}",
            "age": lambda r: str(r.randint(18, 89)), "smallage": lambda r: str(r.randint(2, 17)),
            "number": lambda r: str(r.randint(12, 480)), "smallnumber": lambda r: str(r.randint(1, 9)),
            "amount": lambda r: r.choice(("{}", "{}.50", "{},000", "{}.00")).format(r.randint(5, 900)),
            "room": lambda r: r.choice(("{}", "{}B", "A{}")).format(r.randint(100, 799)),
            "letter": lambda r: r.choice("ABCDEGHKLMNRSTW"), "spine": _spine, "code": _code,
            "cpt": _billing_code,
            "lot": lambda r: f"{r.choice(('', 'EK', 'FA'))}{r.randint(1000000, 9999999)}",
            "ndc": lambda r: f"{r.randint(10000, 69999)}-{r.randint(100, 999)}-{r.randint(10, 99)}",
            "year": lambda r: str(r.randint(1962, 2026)), "n90": lambda r: str(r.randint(88, 118)),
            "state": lambda r: r.choice(self._values["states"]),
        }  # fmt: skip

    def fill(self, frame: str, rng: Random) -> list[Segment]:
        """The frame with its slots filled, in pieces. KeyError names an unknown slot."""
        pieces: list[Segment] = []
        rest = frame
        while "{" in rest:
            before, _, rest = rest.partition("{")
            slot, _, rest = rest.partition("}")
            pieces.append((before, ""))
            pieces.extend(self.slot(slot, rng))
        pieces.append((rest, ""))
        return [piece for piece in pieces if piece[0]]

    def slot(self, slot: str, rng: Random) -> list[Segment]:
        """The pieces of one slot. A calm slot with a capital (``Drug``, ``LAB``) is written so."""
        if slot in self._makers:
            return self._makers[slot](rng)
        kind = slot.lower()
        value = self._calm[kind](rng) if kind in self._calm else rng.choice(self._values[kind])
        if slot.isupper() and len(slot) > 1:
            value = value.upper()
        elif slot[0].isupper():
            value = value[:1].upper() + value[1:]
        return [(value, "")]

    def given(self, rng: Random, origin: str = "") -> str:
        """A given name of some origin, one in four times invented."""
        origin = origin or rng.choice(self._origins)
        invented = self._given[origin].word(rng, self._new) if rng.random() < self._share else None
        return invented or rng.choice(self._lists.given[origin])

    def surname(self, rng: Random, origin: str = "") -> str:
        """A surname, like :meth:`given`."""
        origin = origin or rng.choice(self._origins)
        invented = self._family[origin].word(rng, self._new) if rng.random() < self._share else None
        return invented or rng.choice(self._lists.surnames[origin])

    def full(self, rng: Random) -> str:
        """Given name and surname, mostly of one origin; some with initials, a second surname or a hyphen."""
        origin = rng.choice(self._origins)
        other = origin if rng.random() < 0.8 else rng.choice(self._origins)
        given, family = self.given(rng, origin), self.surname(rng, other)
        draw = rng.random()
        if draw < 0.06:
            return f"{given} {rng.choice(_INITIALS)}{rng.choice(('.', ''))} {family}"
        if draw < 0.08:
            dot = rng.choice((".", ".", ". ", ""))
            return f"{rng.choice(_INITIALS)}{dot}{rng.choice(_INITIALS)}{dot.strip()} {family}"
        if draw < 0.14:
            return f"{given} {self.given(rng, origin)} {family}"
        if draw < 0.2 and origin in ("hispanic", "filipino", "brazilian"):
            return f"{given} {family} {self.surname(rng, origin)}"
        if draw < 0.24 and origin in ("hispanic", "filipino", "brazilian", "dutch", "french"):
            return f"{given} {rng.choice(('de la', 'de', 'del', 'van', 'da', 'le'))} {family}"
        if draw < 0.27:
            return f"{given} {family}-{self.surname(rng, other)}"
        if draw < 0.29:
            return f"{given} {family} {rng.choice(('Jr', 'Jr.', 'III', 'Sr.'))}"
        return f"{given} {family}"

    def _new(self, word: str) -> bool:
        return word.lower() not in self._common

    def _name(self, rng: Random) -> list[Segment]:
        return _person(self.full(rng) if rng.random() < 0.65 else self.given(rng))

    def _formal(self, rng: Random) -> list[Segment]:
        given, family = self.given(rng), self.surname(rng)
        return _person(rng.choice((f"{given[0]}. {family}", f"{given} {family}", f"{given[0]} {family}",
                                   f"{given[0]}. {rng.choice('ABCDEJLMR')}. {family}")))  # fmt: skip

    def _upper(self, rng: Random) -> list[Segment]:
        given, family = self.given(rng).upper(), self.surname(rng).upper()
        return _person(rng.choice((f"{given} {family}", f"{family} {given}", f"{family}, {given}")))

    def _spelled(self, rng: Random) -> list[Segment]:
        return _person(rng.choice((" ", "-", " - ", ", ")).join(rng.choice((self.given, self.surname))(rng).upper()))

    def _town(self, rng: Random) -> str:
        return rng.choice(self._values["oddtowns" if rng.random() < 0.35 else "towns"])

    def _town_state(self, rng: Random) -> list[Segment]:
        glue = rng.choice((", ", ", ", " "))
        return [(f"{self._town(rng)}{glue}{rng.choice(self._values['states'])}", "CITY")]

    def _street(self, rng: Random, *, number: bool = True) -> str:
        name = rng.choice(self._values["streetnames"])
        if rng.random() < 0.2:
            name = self.surname(rng)
        street = f"{name} {rng.choice(self._values['streettypes'])}"
        if rng.random() < 0.08:
            street = f"{rng.choice(_AVENUES)} {name}"
        if rng.random() < 0.12:
            street = f"{rng.choice(('N', 'S', 'E', 'W', 'North', 'SW', 'NE', 'West'))} {street}"
        if not number:
            crossing = f"{name} and {rng.choice(self._values['streetnames'])}"
            return crossing if rng.random() < 0.2 else street
        unit = rng.choice(
            (
                "",
                "",
                "",
                f" apt {rng.randint(1, 40)}",
                f", Apt {rng.randint(1, 9)}{rng.choice('ABCD')}",
                f" #{rng.randint(1, 300)}",
                f", Unit {rng.randint(1, 60)}",
                f" lot {rng.randint(1, 90)}",
            )
        )
        draw = rng.random()
        if draw < 0.04:
            return f"{rng.choice(('HC', 'RR', 'Rural Route', 'Route'))} {rng.randint(1, 9)} Box {rng.randint(2, 400)}"
        if draw < 0.08:
            return f"{rng.choice(('PO Box', 'P.O. Box', 'po box', 'P O Box'))} {rng.randint(2, 9999)}"
        if draw < 0.12:
            return f"{rng.choice(_TENS)} {rng.choice(_TEENS)} {street}"
        if street.startswith(_AVENUES) and rng.random() < 0.7:
            return f"{street} {rng.choice(('', '#', 'no. '))}{rng.randint(2, 2400)}"
        return f"{rng.choice((rng.randint(2, 99), rng.randint(100, 9999), rng.randint(10000, 29999)))} {street}{unit}"

    def _joined(self, rng: Random, heads: str, tails: str) -> str:
        draw = rng.random()
        head = rng.choice(self._values[heads])
        if draw < 0.12:
            head = self._town(rng)
        elif draw < 0.2:
            head = self.surname(rng)
        return f"{head} {rng.choice(self._values[tails])}"

    def _employer(self, rng: Random) -> list[Segment]:
        if rng.random() < 0.3:
            return [(rng.choice(self._values["employers"]), "ORGANIZATION")]
        return [(self._joined(rng, "employerheads", "employertails"), "ORGANIZATION")]


def _person(value: str) -> list[Segment]:
    return [(value, "PERSON")]


def _year(rng: Random) -> int:
    return rng.choice((rng.randint(1931, 1999), rng.randint(2000, 2027)))


def _date(rng: Random) -> str:
    month, day, year = rng.randrange(12), rng.randint(1, 28), _year(rng)
    end = {1: "st", 2: "nd", 3: "rd", 21: "st", 22: "nd", 23: "rd"}.get(day, "th")
    names = _MONTHS if rng.random() < 0.6 else _SHORT_MONTHS
    ordinal = _ORDINALS[day % 20]
    return rng.choice((
        f"{month + 1}/{day}", f"{month + 1}/{day}/{year}", f"{month + 1}/{day}/{year % 100:02}",
        f"{names[month]} {day}", f"{names[month]} {day}{end}", f"{names[month]} {day}, {year}", f"{day} {names[month]}",
        f"{day} {names[month]} {year}", f"the {day}{end} of {names[month]}", f"{names[month]} the {day}{end}",
        f"{year}-{month + 1:02}-{day:02}", f"{month + 1}-{day}-{year % 100:02}", f"{day}.{month + 1}.{year}",
        f"{day:02}-{names[month]}-{year}", f"{names[month]} {ordinal}", f"the {ordinal} of {names[month]}",
        f"{names[month]} {day} {year}", f"{names[month]}. {day}", f"{day}th {names[month]}",
    ))  # fmt: skip


def _birth(rng: Random) -> str:
    if rng.random() < 0.15:
        return f"{rng.choice(_MONTHS)} {rng.choice(_ORDINALS)} {rng.choice(_YEARS)}"
    month, day, year = rng.randint(1, 12), rng.randint(1, 28), rng.randint(1926, 2020)
    return rng.choice((
        f"{month}/{day}/{year}", f"{month:02}/{day:02}/{year}", f"{month}-{day}-{year % 100:02}",
        f"{month}/{day}/{year % 100:02}", f"{_MONTHS[month - 1]} {day}, {year}",
        f"{day} {_SHORT_MONTHS[month - 1]} {year}",
        f"{month:02}{day:02}{year}", f"{month} {day} {year}", f"{_SHORT_MONTHS[month - 1]} {day} {year}",
        f"{month}/{day}",
        f"{day:02}.{month:02}.{year}", f"{year}/{month:02}/{day:02}",
    ))  # fmt: skip


def _fecha(rng: Random) -> str:
    day, mes, year = rng.randint(1, 28), rng.choice(_MESES), _year(rng)
    return rng.choice((f"{day} de {mes}", f"{day} de {mes} de {year}", f"{day}/{rng.randint(1, 12)}/{year}",
                       f"{day} {mes}", f"{mes} {day}", f"{day} de {mes} del {year}",
                       f"{day}-{rng.randint(1, 12)}"))  # fmt: skip


def _zip(rng: Random) -> str:
    digits = f"{rng.randint(601, 99950):05}"
    return digits if rng.random() < 0.85 else f"{digits}-{rng.randint(1000, 9999)}"


def _phone(rng: Random) -> str:
    last = f"01{rng.randint(0, 99):02}"
    area = rng.randint(201, 989)
    return rng.choice((f"{area}-555-{last}", f"({area}) 555-{last}", f"{area} 555 {last}", f"{area}.555.{last}",
                       f"555-{last}", f"{area}555{last}", f"+1 {area} 555 {last}", f"555 {last}"))  # fmt: skip


def _bare_id(rng: Random) -> str:
    letters = "ABCDEFGHJKLMNPQRSTVWXYZ"
    two, three = "".join(rng.choices(letters, k=2)), "".join(rng.choices(letters, k=3))
    n = rng.randint
    return rng.choice((
        f"{two}{n(10000, 9999999)}", f"{two}-{n(1000, 999999)}", f"{three}{n(1000, 99999999)}",
        f"{n(1000000, 99999999)}",
        f"00{n(100000, 9999999)}", f"{n(100, 999)}-{n(100, 999)}-{n(10, 99)}",
        f"{rng.choice(letters)}{n(1000000, 9999999)}",
        f"{rng.choice(letters)}-{n(10000, 999999)}", f"{n(10, 99)}-{n(10000, 9999999)}", f"{n(100000, 999999)}{two[0]}",
        f"{three}-{n(100, 999)}-{n(1000, 9999)}", f"{two}{n(10, 99)}{three}{n(100, 999)}",
        f"{n(1000, 9999)}-{two}-{n(10, 99)}",
        f"{n(2019, 2027)}-{n(1000, 99999)}", f"{three.lower()}{n(1000, 999999)}",
        f"{n(1000, 9999)} {n(1000, 9999)} {n(10, 99)}",
        f"{three}{n(1, 99)}-{n(1000, 9999)}-{two[0]}", f"{n(1000, 9999)}-{three}-{n(10, 99)}",
        f"{two}-{n(10, 99)}-{n(1000, 99999)}",
        f"{two[0]}-{n(1000, 9999)}-{n(100, 999)}-{n(1, 9)}", f"{n(100, 999)}-{n(10, 99)}-{n(1000, 9999)}",
        f"{three} {n(1000, 9999)}",
        f"{n(1, 9)}{three}{n(100, 999)}", f"{two}{n(10, 99)} {three}", _vin(rng), _handle(rng), _handle(rng),
    ))  # fmt: skip


def _vin(rng: Random) -> str:
    return "".join(rng.choices("0123456789ABCDEFGHJKLMNPRSTUVWXYZ", k=11)) + f"{rng.randint(0, 999999):06}"


def _handle(rng: Random) -> str:
    """A user name: words with underscores, points or digits."""
    words = rng.sample(_HANDLES, k=2)
    return rng.choice(("{}_{}", "{}.{}{n}", "{}{}{n}", "@{}{}", "{}_{}_{n}", "@{}_{}{n}", "{}{n}")).format(
        *words, n=rng.choice((rng.randint(1, 99), rng.randint(1940, 2015)))
    )


def _dose(rng: Random) -> str:
    amount = rng.choice(
        (1, 2, 5, 10, 20, 25, 40, 50, 75, 80, 81, 100, 125, 250, 500, 600, 800, 1000, "0.5", "2.5", "1,000")
    )
    return f"{amount}{rng.choice((' ', ' ', ''))}{rng.choice(_UNITS)}"


def _time(rng: Random) -> str:
    return rng.choice(("{}:30", "{} am", "{}pm", "{}:15 p.m.", "{}", "{}:00", "half past {}")).format(
        rng.randint(1, 12)
    )


def _spine(rng: Random) -> str:
    part, first = rng.choice((("L", 4), ("C", 6), ("T", 11)))
    at = rng.randint(1, first)
    return rng.choice((f"{part}{at}-{part}{at + 1}", f"{part}{at}/{at + 1}", f"{part}{at}", "L5-S1"))


def _code(rng: Random) -> str:
    return f"{rng.choice('ABCEFGHIJKLMNRSTZ')}{rng.randint(10, 99)}{rng.choice(('', f'.{rng.randint(0, 99)}', '.9'))}"


def _billing_code(rng: Random) -> str:
    if rng.random() < 0.2:
        return f"{rng.choice('GJAQ')}{rng.randint(101, 9999):04}"
    return str(rng.choice((rng.randint(99201, 99499), rng.randint(70010, 79999), rng.randint(80047, 89398),
                           rng.randint(10021, 69990), rng.randint(90281, 99199))))  # fmt: skip


def _invented_drug(rng: Random, *, generic: bool) -> str:
    sounds: Sequence[str] = rng.choices(_SOUNDS, k=rng.choice((1, 2, 2)))
    return "".join(sounds) + rng.choice(_STEMS if generic and rng.random() < 0.6 else _ENDS)
