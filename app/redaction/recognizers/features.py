"""What the learned recognizer sees of a word beside the encoder's states: its shape, the lists it is on, its letters.

The encoder reads small letters only, so how a word is written is told here. Training and service use the same code:
raise :data:`VERSION` when a feature changes, and the weights must be trained again.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import regex
from numpy.typing import NDArray

from app.redaction.lexicon import Lexicon
from app.redaction.recognizers.names import STRONG_CUE

VERSION = 1
BUCKETS = 4096
"""Letter groups of words are told by their hash, modulo this."""

_WORD = regex.compile(r"[\p{L}\p{M}\p{N}]++(?:(?:['\-&_]|(?<=\p{N})[/.,:](?=\p{N}))[\p{L}\p{M}\p{N}]++)*+")
_STEMS = regex.compile(
    r"(?:mab|nib|pril|sartan|statin|olol|azole|cillin|mycin|floxacin|gliptin|gliflozin|glutide|parin|xaban|setron|triptan|"
    r"prazole|tidine|zepam|zolam|caine|vir|oxetine|pine|tide|ciclib|kinra|gepant|lukast|terol|sone|olone|thiazide|emia|itis|"
    r"osis|oma|ectomy|ostomy|otomy|plasty|scopy|graphy|pathy|algia|uria|plegia|ology|ologist)\Z"
)
_SENTENCE_END = frozenset(".!?:\n")
_MARKS = ".,:;-/()\"'#@&?!"

_MONTHS = frozenset(
    "january february march april may june july august september october november december jan feb mar apr jun jul "
    "aug sep sept oct nov dec enero febrero marzo abril mayo junio julio agosto septiembre octubre noviembre "
    "diciembre".split()
)
_WEEKDAYS = frozenset(
    "monday tuesday wednesday thursday friday saturday sunday mon tue tues wed thu thurs fri sat sun lunes martes "
    "miércoles jueves viernes sábado domingo".split()
)
_RELATIONS = frozenset(
    "husband wife son daughter mother mom mum mama father dad papa sister brother aunt uncle cousin niece nephew "
    "grandmother grandma grandfather grandpa grandson granddaughter partner boyfriend girlfriend friend neighbor "
    "roommate caregiver baby child kid boss coworker esposo esposa hijo hija mamá papá abuela abuelo hermano hermana "
    "tía tío niño niña bebé".split()
)
_TITLES = frozenset(
    "dr doctor mr mrs ms miss prof professor nurse sister father pastor rev rabbi imam coach officer señor señora sr "
    "sra dra don doña doctora enfermera enfermero rn md np pa".split()
)
_PARTICLES = frozenset(
    "al bin da das de del della den der di dos du el ibn la las le los mac san st ten van von y".split()
)
_STREETS = frozenset(
    "street st avenue ave road rd drive dr lane ln boulevard blvd court ct circle cir place pl terrace way trail "
    "parkway pkwy highway hwy loop calle avenida carrera colonia apt apartment unit suite lot box".split()
)
_STATES = frozenset(
    "iowa nebraska illinois texas california ohio georgia virginia florida montana arizona nevada oregon kansas "
    "maine utah minnesota wisconsin missouri pennsylvania michigan tennessee ia ne il tx ca oh ga va fl mt az nv ks "
    "ut nm ny nc mn wi mo pa nj ma wa co mi tn al ok sc sd nd".split()
)
_HOUSES = frozenset(
    "hospital clinic center centre medical health care pharmacy school elementary high middle academy college "
    "university inc llc corp company manor home hospice rehab associates church bank farms foods clínica centro "
    "escuela montessori".split()
)
_UNITS = frozenset(
    "mg mcg ml g kg iu unit units meq mmol l cc mm cm lb lbs pounds degrees percent tablets tablet pills pill puffs "
    "doses dose weeks week days day months month years year hours hour minutes yo am pm times x liters miles dollars "
    "bpm".split()
)
_CALLS = frozenset(
    "tell ask call text see saw with for from by to with thanks thank hi hello hey dear hola gracias per and "
    "sincerely regards attn re cc soy habla con para named called name is".split()
)
_PLACES = frozenset("in near from at to en live lives moved vivo born town city outside around".split())
_NUMBER_WORDS = frozenset(
    "one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen "
    "eighteen nineteen twenty thirty forty fifty sixty seventy eighty ninety hundred thousand first second third "
    "fourth fifth sixth seventh eighth ninth tenth twelfth fifteenth twentieth thirtieth".split()
)


@dataclass(frozen=True, slots=True)
class Word:
    """A word and where it stands; a possessive "'s" is left outside."""

    text: str
    start: int
    end: int

    @property
    def lower(self) -> str:
        """In small letters."""
        return self.text.lower()


@dataclass(frozen=True, slots=True)
class Page:
    """A text in words; ``shapes`` (words, features), ``letters`` the buckets of each word's letter groups."""

    words: list[Word]
    shapes: NDArray[np.float32]
    letters: list[list[int]]


def split(text: str) -> list[Word]:
    """The words of a text; dates, numbers with separators and names with hyphens are one word."""
    words = []
    for match in _WORD.finditer(text):
        value = match.group()
        if len(value) > 3 and value[-2:] in ("'s", "'S"):
            value = value[:-2]
        words.append(Word(value, match.start(), match.start() + len(value)))
    return words


class Reader:
    """Makes features. Safe under concurrent use. What it remembers is everyday words in small letters, never a name."""

    def __init__(self, lexicon: Lexicon) -> None:
        self._lexicon = lexicon
        self._plain: dict[str, tuple[list[float], list[int]]] = {}

    def read(self, text: str, words: Sequence[Word]) -> Page:
        """Features of all words of a text. Linear in its length."""
        capitals = [word.text[0].isupper() for word in words if word.text[0].isalpha()]
        shouted = [word.text.isupper() for word in words if len(word.text) > 1 and word.text[0].isalpha()]
        whole = [
            float(bool(capitals) and not any(capitals)),
            float(len(shouted) > 1 and all(shouted)),
            float(len(capitals) > 3 and sum(capitals) > 0.7 * len(capitals)),
            float(len(words) < 4),
        ]
        cued = _after_cues(text)
        rows, letters = [], []
        for index, word in enumerate(words):
            gap = text[words[index - 1].end : word.start] if index else "\n"
            after = text[word.end : word.end + 2]
            place = [
                float(not index or bool(_SENTENCE_END & set(gap))),
                float("\n" in gap),
                float(any(start <= word.start < end for start, end in cued)),
                float(after.startswith("'s") or after.startswith("'S")),
                *(float(mark in gap) for mark in ",(:-#@"),
                *(float(after.startswith(mark)) for mark in ",.:)-"),
            ]
            own, groups = self._own(word.text)
            rows.append([*own, *place, *whole])
            letters.append(groups)
        return Page(list(words), np.array(rows, dtype=np.float32).reshape(len(words), WIDTH), letters)

    def _own(self, word: str) -> tuple[list[float], list[int]]:
        """What a word is by itself, and its letter groups."""
        if word in self._plain:
            return self._plain[word]
        lower = word.lower()
        made = [*_shape(word), *_listed(lower, self._lexicon)], _letters(lower)
        if word in self._lexicon.ordinary:  # its words are in small letters
            self._plain[word] = made
        return made


def _shape(text: str) -> list[float]:
    letters = sum(c.isalpha() for c in text)
    digits = sum(c.isdigit() for c in text)
    size = len(text)
    return [
        float(letters > 0 and text.islower()),
        float(text[0].isupper() and size > 1 and text[1:].islower()),
        float(letters > 1 and text.isupper()),
        float(letters > 1 and not text.islower() and not text.isupper() and not text[1:].islower()),
        float(letters == 1 and size == 1),
        float(letters == 0),
        float(letters > 0 and digits > 0),
        *(float(digits == n) for n in range(1, 7)),
        float(7 <= digits <= 8),
        float(digits > 8),
        float("-" in text),
        float("/" in text),
        float("." in text),
        float("," in text or ":" in text),
        float("'" in text),
        float(size <= 2),
        float(3 <= size <= 4),
        float(8 <= size <= 11),
        float(size > 11),
        float(text.isascii()),
        float(text[0].isdigit()),
        float(digits > 0 and text[0] == "0"),
    ]


def _listed(lower: str, lexicon: Lexicon) -> list[float]:
    first = lower.split("-")[0]
    return [
        float(lower in lexicon.given or first in lexicon.given),
        float(lower in lexicon.ambiguous_given),
        float(lower in lexicon.surnames or first in lexicon.surnames),
        float(lower in lexicon.ambiguous_surnames),
        float(lower in lexicon.cities),
        float(lower in lexicon.ordinary),
        float(lower in lexicon.drugs),
        float(lower in lexicon.labs),
        float(lower in lexicon.eponym_words),
        float(lower in lexicon.after_eponym),
        float(lower in lexicon.brands),
        float(bool(_STEMS.search(lower))),
        float(lower in _MONTHS),
        float(lower in _WEEKDAYS),
        float(lower in _RELATIONS),
        float(lower in _TITLES),
        float(lower in _PARTICLES),
        float(lower in _STREETS),
        float(lower in _STATES),
        float(lower in _HOUSES),
        float(lower in _UNITS),
        float(lower in _CALLS),
        float(lower in _PLACES),
        float(lower in _NUMBER_WORDS),
    ]


_PLACE_AND_WHOLE = 4 + 6 + 5 + 4
WIDTH = len(_shape("Word")) + 24 + _PLACE_AND_WHOLE
"""Features of one word."""
NAME_FLAGS = slice(len(_shape("Word")), len(_shape("Word")) + 5)
"""Where the flags of the name and town lists are: training hides them from some words, since no list is complete."""
PIECE_WIDTH = 4 + len(_MARKS)
"""Features of one piece of a word."""


def pieces(text: str, offsets: Sequence[tuple[int, int]], owners: Sequence[int]) -> NDArray[np.float32]:
    """Features (pieces, :data:`PIECE_WIDTH`) of the tokenizer's pieces; ``owners``: the word of each piece, or -1."""
    rows = np.zeros((len(offsets), PIECE_WIDTH), dtype=np.float32)
    counts: dict[int, int] = {}
    for owner in owners:
        counts[owner] = counts.get(owner, 0) + 1
    for index, (owner, (start, end)) in enumerate(zip(owners, offsets, strict=True)):
        row = rows[index]
        if start == end:
            continue
        if owner < 0:
            at = _MARKS.find(text[start])
            if at >= 0:
                row[4 + at] = 1
            continue
        row[0] = owner != owners[index - 1]
        row[1] = counts[owner] == 1
        row[2] = counts[owner] == 2
        row[3] = counts[owner] > 3
    return rows


def owners(words: Sequence[Word], offsets: Sequence[tuple[int, int]]) -> list[int]:
    """The index of the word that each piece of the tokenizer is a part of, or -1: punctuation and the model's marks."""
    found = []
    at = 0
    for start, end in offsets:
        while at < len(words) and words[at].end <= start:
            at += 1
        inside = at < len(words) and start < end and words[at].start < end
        found.append(at if inside else -1)
    return found


def _after_cues(text: str) -> list[tuple[int, int]]:
    """Where a name follows a strong cue such as "my name is": up to thirty characters."""
    return [(match.start("v"), match.start("v") + 30) for match in STRONG_CUE.finditer(text)]


def _letters(lower: str) -> list[int]:
    marked = f"<{lower[:24]}>"
    groups = [marked[at : at + 3] for at in range(len(marked) - 2)]
    groups += [marked[:5], marked[-5:]]
    return [zlib.crc32(group.encode()) % BUCKETS for group in groups]
