"""Whether a clause allows or forbids, requires or waives, charges or gives for free, affirms or denies: and whether two
clauses about the same thing say the opposite.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

import yaml

from training.curate.truth import stems

Axis = Literal["permission", "duty", "money"]
AXES: tuple[Axis, ...] = ("duty", "money", "permission")

_NOT = r"(?:\bnot|\bnever|\bcannot|n't)"
_LISTS: dict[str, Any] = yaml.safe_load(Path(__file__).with_suffix(".yaml").read_text(encoding="utf-8"))


def _pattern(text: str) -> re.Pattern[str]:
    return re.compile(text.replace("NOT", _NOT).replace(" ", r"\s+"), re.IGNORECASE)


_SIDES: tuple[tuple[Axis, int, re.Pattern[str]], ...] = tuple(
    (axis, sign, _pattern("|".join(patterns)))
    for axis in AXES
    for sign, patterns in zip((-1, 1), _LISTS[axis].values(), strict=True)
)
_ANTONYMS = tuple((_pattern(one), _pattern(other)) for one, other in _LISTS["antonyms"])
_IDIOM = re.compile(r"\bno (?:such thing as|problem|worries|trouble|doubt)\b[\w ]*?(?:question|,|$)", re.IGNORECASE)
_CONDITION = re.compile(
    r"(?<=\w)\s(?:when|if|unless|because|since|as far as|even though)\b.*$|^(?:when|if|unless|because|since)\b[^,]*,",
    re.IGNORECASE,
)
"""What a clause depends on is not what it says."""
_DOUBLE = re.compile(
    rf"{_NOT}\s+(?:\w+\s+){{0,5}}(?:unsafe|forbidden|prohibited|wrong|harmful|a\s+problem)", re.IGNORECASE
)
_NEGATOR = re.compile(r"^(?:not|no|never|cannot|without|nor|neither|none|nobody|nothing|avoid|\w+n't|dont|cant)$")
_WORD = re.compile(r"[a-z]+(?:'[a-z]+)?|,")
_REACH = 4
"""So many content words after a negator are denied by it."""


@lru_cache(maxsize=20_000)
def stance(clause: str) -> Mapping[Axis, int]:
    """+1 or -1 on each axis on which the clause takes a side."""
    found: dict[Axis, int] = {}
    text = _CONDITION.sub(" ", _IDIOM.sub(" ", clause.replace("’", "'")))
    for axis, sign, pattern in _SIDES:
        if axis not in found and pattern.search(text):
            found[axis] = sign
    if _DOUBLE.search(text):
        found["permission"] = 1
    if found.get("duty") == -1:
        # "You do not need to fast" forbids nothing.
        found.pop("permission", None)
    return found


@lru_cache(maxsize=20_000)
def denied(clause: str) -> tuple[frozenset[str], frozenset[str]]:
    """The stems that stand under a negator, and those that stand free."""
    under: set[str] = set()
    free: set[str] = set()
    left = 0
    for word in _WORD.findall(clause.lower().replace("’", "'")):
        if _NEGATOR.match(word):
            left = _REACH
            continue
        if word in {"but", "if", "until", "unless", "because"}:
            left = 0
        for term in stems(word):
            (under if left > 0 else free).add(term)
            left -= 1
    return frozenset(under), frozenset(free)


def opposed(one: str, other: str) -> str:
    """On which axis two clauses about the same thing say the opposite; "antonym" if one keeps what the other ends;
    "negation" if one denies a word that the other affirms; "" if they do not differ so.
    """
    mine, theirs = stance(one), stance(other)
    common = [axis for axis in mine if axis in theirs]
    differing = [axis for axis in common if mine[axis] != theirs[axis]]
    agreeing = [axis for axis in common if mine[axis] == theirs[axis]]
    if differing and not agreeing:
        return differing[0]
    for left, right in _ANTONYMS:
        sides = [(bool(left.search(text)), bool(right.search(text))) for text in (one, other)]
        if sorted(sides) == [(False, True), (True, False)]:
            return "antonym"
    under, free = denied(one)
    their_under, their_free = denied(other)
    flipped = (under & their_free - their_under - free) | (their_under & free - under - their_free)
    return "negation" if flipped and not agreeing else ""


def agree(one: str, other: str) -> bool:
    """Whether both take the same side, or neither takes any and none denies what the other affirms."""
    return not opposed(one, other) and (
        any(stance(one).get(axis) == side for axis, side in stance(other).items()) or not stance(one)
    )
