"""What a text states and no editing may change: figures, names, negations.

Two texts that differ here are two statements, however alike they are in all other words.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from rapidfuzz.distance import OSA

from app.contracts.site import Site
from app.guardrails.figures import figures
from training.curate.druglist import DrugList
from training.curate.words import words
from training.sentences import split_sentences

Difference = Literal["", "figures", "drugs", "places", "sides", "negations"]

NEGATIONS = frozenset(
    "no not never none nothing nobody neither nor without cannot nunca ni sin nada nadie tampoco jamas ningun ninguno "
    "ninguna".split()
)
AMONG = 8
"""See :func:`difference`."""
SIDES = frozenset("left right upper lower izquierdo izquierda derecho derecha".split())
_COMMON = frozenset(
    "department center centre services service urgent emergency care health family unit clinic desk office lost found "
    "relations counseling".split()
)
_SLIPS = 2


@dataclass(frozen=True, slots=True)
class Names:
    """Words of which one cannot stand for another: ``drugs``, each name with the one it is another writing of
    (ibuprofeno is ibuprofen; a brand is a name of its own), and ``places``, what departments are told apart by.
    """

    drugs: Mapping[str, str] = field(default_factory=dict)
    places: frozenset[str] = frozenset()

    @classmethod
    def load(cls, site: Site) -> Names:
        """The drugs of the shipped list and the site's departments."""
        departments = {word for department in site.departments for word in words(department.name)}
        return cls(DrugList.load().drug_of, frozenset(word for word in departments - _COMMON if len(word) > 3))


@dataclass(frozen=True, slots=True)
class Statement:
    """What a text states: how often each figure stands, by kind, and with which units; drugs, departments, left and
    right; how often each negation stands.
    """

    figures: dict[str, Counter[str]]
    units: dict[str, set[str]]
    drugs: frozenset[str]
    places: frozenset[str]
    sides: frozenset[str]
    negations: Counter[str]


def state(text: str, names: Names, said: Collection[str] | None = None, *, dates: bool = True) -> Statement:
    """What ``text`` states; ``said`` are its words, where the caller has them. Without ``dates``, none is looked at:
    de-identification moves those of a patient, for each by another number of weeks.
    """
    found: dict[str, Counter[str]] = defaultdict(Counter)
    units: dict[str, set[str]] = defaultdict(set)
    for line in text.splitlines():
        for sentence in split_sentences(line):
            for figure in figures(sentence):
                kind, _, value = figure.partition(":")
                number, _, unit = value.partition(" ")
                if dates or kind != "d":
                    found[kind][number] += 1
                    units[number] |= {unit} - {""}
    said = words(text) if said is None else said
    kinds = frozenset(said)
    return Statement(
        dict(found),
        dict(units),
        kinds & names.drugs.keys(),
        kinds & names.places,
        kinds & SIDES,
        Counter(word for word in said if word in NEGATIONS),
    )


def difference(
    first: Statement,
    second: Statement,
    first_words: Iterable[str],
    second_words: Iterable[str],
    names: Names,
    edited: int = 0,
) -> Difference:
    """In what two edited copies of one text would state different things; '' if they do not.

    Drugs must be the same on both sides, perhaps misspelt. Of figures, places and sides each text must have one that
    the other lacks: where only one has more, words were lost, and nothing says otherwise. Negations must be the same,
    unless they are at most one in :data:`AMONG` of ``edited``, the words that only one of the texts has: a single
    "not" makes another statement, one of twenty words that a hasty copy lost does not.
    """
    negations = (first.negations - second.negations).total() + (second.negations - first.negations).total()
    if negations * AMONG > edited:
        return "negations"
    if _missing(first, second, second_words, names) or _missing(second, first, first_words, names):
        return "drugs"
    if _figures_differ(first, second):
        return "figures"
    if first.places - second.places and second.places - first.places:
        return "places"
    if first.sides - second.sides and second.sides - first.sides:
        return "sides"
    return ""


def _missing(one: Statement, other: Statement, other_words: Iterable[str], names: Names) -> bool:
    """Whether one text names a drug that the other does not, not even misspelt."""
    there = {names.drugs[name] for name in other.drugs}
    lost = [name for name in one.drugs if names.drugs[name] not in there]
    unknown = [word for word in set(other_words) - names.drugs.keys() if len(word) > 4] if lost else []
    return any(all(OSA.distance(name, word, score_cutoff=_SLIPS) > _SLIPS for word in unknown) for name in lost)


def _figures_differ(one: Statement, other: Statement) -> bool:
    for kind in one.figures.keys() & other.figures.keys():
        if one.figures[kind] - other.figures[kind] and other.figures[kind] - one.figures[kind]:
            return True
    return any(
        one.units[number] and other.units[number] and not one.units[number] & other.units[number]
        for number in one.units.keys() & other.units.keys()
    )
