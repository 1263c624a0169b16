"""Groups of like questions: pure arithmetic over unit vectors, the same whatever the order of the input.

English questions are compared by the encoder's vectors. The encoder has read little Spanish, and any two Spanish
questions are near to it; those are compared by the words that they share. Both measures and their thresholds were
chosen on tests/data/knowledge/unanswered.yaml and on the questions of other sets there that differ: no pair of
different questions may fall into one group, since a group is what a content owner acts on.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Vectors = npt.NDArray[np.float32]

THRESHOLDS = {"en": 0.60, "es": 0.40}
"""Least cosine of a question with the leader of its group, by language."""

WORD_VECTOR = "words/1"
"""Names what :func:`word_vectors` gives; raise the number when that changes."""

DIMENSION = 384
_BLOCK = 512
_DIGITS = 5
"""Of a likeness: in what is beyond, float32 sums of equal likenesses differ."""
_STEM = 5
_WORD = re.compile(r"[^\W\d_]{3,}")
_COMMON = frozenset(
    """
    algo alguien algun alguna ahi ahora antes aqui como con cual cuales cuando cuanta cuantas cuanto cuantos debe debo
    del desde donde ella ellos ese eso esta estan estar este esto estoy favor fue gracias hace hacer hago hasta hay
    hola hospital las los mas mia mio mis muy necesita necesito nos nuestro otra otro para pero por porque puede pueden
    podemos puedo que quien quiero quisiera ser sin sobre son soy sus tener tengo tiene tienen una unas uno unos usted
    ustedes
    """.split()
)


@dataclass(frozen=True, slots=True)
class Point:
    """A question to be grouped: ``id`` is unique, ``text`` decides the order, ``vector`` has length 1, shape (384,)."""

    id: str
    text: str
    vector: Vectors


def groups(points: Sequence[Point], threshold: float) -> list[list[str]]:
    """Ids in groups, the leader first, then by falling likeness to it; the largest group first.

    Of the questions that are in no group the one with the most others at ``threshold`` or above leads the next group,
    of several the shortest, which tells least of one patient; at the end each question joins the leader that is most
    like it. Every id is in exactly one group. Equal texts stay together: they are one point with a weight. Takes 25 MB
    and about half a second for 5,000 different texts.
    """
    same: dict[str, list[Point]] = {}
    for point in sorted(points, key=lambda p: (len(p.text), p.text, p.id)):
        same.setdefault(point.text, []).append(point)
    if not same:
        return []
    stacks = list(same.values())
    vectors = np.stack([stack[0].vector for stack in stacks])
    leaders = _leaders(_alike(vectors, threshold), np.array([len(stack) for stack in stacks]))
    likeness = vectors @ vectors[leaders].T
    chosen, best = likeness.argmax(axis=1), likeness.max(axis=1)
    found = []
    for place, leader in enumerate(leaders):
        members = [m for m in np.flatnonzero(chosen == place).tolist() if m != leader]
        members.sort(key=lambda m: (-round(float(best[m]), _DIGITS), stacks[m][0].text))
        found.append([point.id for member in [leader, *members] for point in stacks[member]])
    return sorted(found, key=lambda ids: (-len(ids), ids[0]))


def _alike(vectors: Vectors, threshold: float) -> npt.NDArray[np.bool_]:
    """Which pairs reach the threshold, by blocks: the cosines themselves would take four times the memory."""
    alike = np.empty((len(vectors), len(vectors)), dtype=np.bool_)
    for start in range(0, len(vectors), _BLOCK):
        alike[start : start + _BLOCK] = vectors[start : start + _BLOCK] @ vectors.T >= threshold
    alike |= alike.T
    np.fill_diagonal(alike, True)
    return alike


def _leaders(alike: npt.NDArray[np.bool_], weights: npt.NDArray[np.int_]) -> list[int]:
    """Places of the leaders: each time the one with most weight around it that is still free."""
    around = np.array([weights[row].sum() for row in alike])
    free = np.ones(len(alike), dtype=np.bool_)
    leaders = []
    while free.any():
        leader = int(np.where(free, around, -1).argmax())
        taken = np.flatnonzero(alike[leader] & free)
        leaders.append(leader)
        free[taken] = False
        for member in taken.tolist():
            around -= weights[member] * alike[member]
    return leaders


def word_vectors(texts: Sequence[str]) -> Vectors:
    """Unit vectors, float32 (len(texts), 384): added up, one vector for the beginning of each word that says much.

    Accents and case do not count, nor do common words; a text without any other word gets a vector of its own. The
    vectors of two beginnings are as good as at right angles (cosine 0 +- 0.05).
    """
    result = np.zeros((len(texts), DIMENSION), dtype=np.float32)
    for row, text in zip(result, texts, strict=True):
        plain = "".join(c for c in unicodedata.normalize("NFD", text.casefold()) if not unicodedata.combining(c))
        stems = {word[:_STEM] for word in _WORD.findall(plain) if word not in _COMMON} or {plain}
        for stem in sorted(stems):
            row += _signs(stem)
        row /= max(float(np.linalg.norm(row)), 1.0)
    return result


def _signs(stem: str) -> Vectors:
    """A vector of +1 and -1, float32 (384,), from the hash of a beginning."""
    bits = np.unpackbits(np.frombuffer(hashlib.shake_128(stem.encode()).digest(DIMENSION // 8), dtype=np.uint8))
    return bits.astype(np.float32) * 2 - 1
