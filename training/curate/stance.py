"""Which side a clause takes: whether it allows or forbids, requires or waives, charges or gives for free, keeps or
ends, affirms or denies, says before or after; and whether two clauses about the same thing say the opposite.
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
SIDE_WORDS = stems("welcome allowed permitted fine safe forbidden prohibited necessary required sure free")
"""By these a side is taken: they are not what is spoken of."""

_NOT = r"(?:\bnot|\bnever|\bcannot|n't)"
_WHO = (
    r"\b(?:you|we|they|he|she|i|who|people|person|patients?|visitors?|guests?|families|family|parents?|mothers?|"
    r"child|children|kids?|teens?|teenagers?|adults?|relatives?|spouses?|husbands?|wife|wives|partners?|staff|"
    r"doctors?|nurses?|driver|helpers?|someone|anyone|anybody|everyone|member|members|brothers|sisters)"
)
_LISTS: dict[str, Any] = yaml.safe_load(Path(__file__).with_suffix(".yaml").read_text(encoding="utf-8"))


def _pattern(text: str) -> re.Pattern[str]:
    return re.compile(text.replace("NOT", _NOT).replace("WHO", _WHO).replace(" ", r"\s+"), re.IGNORECASE)


_REWRITES = tuple((_pattern(wrong), right) for wrong, right in _LISTS["rewrites"])
_SIDES: tuple[tuple[Axis, int, re.Pattern[str]], ...] = tuple(
    (axis, sign, _pattern("|".join(patterns)))
    for axis in AXES
    for sign, patterns in zip((-1, 1), _LISTS[axis].values(), strict=True)
)
_PAIRS = tuple((name, _pattern(left), _pattern(right)) for name, (left, right) in _LISTS["pairs"].items())
_ENDING = re.compile(rf"{_LISTS['endings']}(?:[pt]?ing)?", re.IGNORECASE)
_ENDED = _pattern(
    rf"(?:{_NOT}|\b(?:can|may|could|(?:fine|okay|ok|free|safe|right) to)) (?:\w+ ){{0,3}}"
    rf"{_LISTS['endings']}(?:[pt]?ing|[pt]?ed)?\b(?! (?:at|in|near|by|every|about)\b)"
)
"""The ending is what is allowed or forbidden: "do not stop", "you can skip"."""
_IDIOM = re.compile(r"\bno (?:such thing as|problem|worries|trouble|doubt)\b[\w ]*?(?:question|,|$)", re.IGNORECASE)
_CONDITION = re.compile(
    r"(?<=\w)\s(?:when|if|unless|because|since|as far as|even though|so (?:that )?(?:you|they|we|the|it))\b.*$|"
    rf"^(?:when|if|unless|because|since)\b[^,]*,|\b(?:that|who|which)\s(?:\w+\s?)?{_NOT}.*$",
    re.IGNORECASE,
)
"""What a clause depends on is not what it says."""
_DOUBLE = re.compile(
    rf"{_NOT}\s+(?:\w+\s+){{0,5}}(?:unsafe|forbidden|prohibited|wrong|harmful|a\s+problem|matter|a\s+reason)",
    re.IGNORECASE,
)
_NEGATOR = re.compile(
    r"^(?:not|no|never|cannot|without|nor|neither|none|nobody|nothing|whatever|regardless|\w+n't|dont|cant)$"
)
_BEFORE_PAIR = re.compile(rf"(?:{_NOT}|\b(?:no|without|nothing))(?:\s+\w+){{0,3}}\s+$", re.IGNORECASE)
_WORD = re.compile(r"[a-z]+(?:'[a-z]+)?|,")
_PREPOSITIONS = frozenset("in at on to with from by".split())
_ADJUNCTS = frozenset("but if until unless because before after during while for since".split())
"""What follows one of these is no longer under a negator; of what follows a preposition it cannot be told."""
_STOPS_AT = frozenset("at in near by every about".split())
_AFRESH = frozenset("but and so because just it you they we please that which if until unless".split())
"""A comma before one of these begins another thought."""
_LISTS_ON = frozenset({"and", "or", "nor", ","})
_ORDER = re.compile(
    r"\b(?P<side>before|ahead of|prior to|until|after|following|once)\s+(?:\w+ing\s+)?"
    r"(?:(?:the|a|an|your|her|his|my|their|you|we|any)\s+)?(?P<what>[a-z]+)",
    re.IGNORECASE,
)
_LATER = frozenset({"after", "following", "once"})
TIMES = stems("day week month year hour minute morning evening night today tomorrow time")
"""Words for when something is so, which no negation is about."""
_REACH = 4
"""So many content words after a negator are denied by it."""


@lru_cache(maxsize=20_000)
def plain(clause: str) -> str:
    """A clause in the words that the lists know, without what it depends on."""
    text = clause.replace("’", "'")
    for wrong, right in _REWRITES:
        text = wrong.sub(right, text)
    return _CONDITION.sub(" ", _IDIOM.sub(" ", text))


@lru_cache(maxsize=20_000)
def stance(clause: str) -> Mapping[Axis, int]:
    """+1 or -1 on each axis on which the clause takes a side."""
    found: dict[Axis, int] = {}
    text = plain(clause)
    for axis, sign, pattern in _SIDES:
        if axis not in found and pattern.search(text):
            found[axis] = sign
    if _DOUBLE.search(text):
        found["permission"] = 1
    elif "permission" in found and (ended := _ENDED.search(text)):
        found["permission"] = 1 if re.search(_NOT, ended.group(), re.IGNORECASE) else -1
    if found.get("duty") == -1 and found.get("permission") == -1:
        # "You do not need to fast" forbids nothing.
        found.pop("permission", None)
    return found


@lru_cache(maxsize=20_000)
def sides(clause: str) -> Mapping[str, int]:
    """+1 for the left, -1 for the right of each pair of which the clause names one; a negator before it turns it."""
    found: dict[str, int] = {}
    text = plain(clause)
    for name, left, right in _PAIRS:
        signs = {
            -sign if _BEFORE_PAIR.search(text, 0, match.start()) else sign
            for sign, pattern in ((1, left), (-1, right))
            for match in pattern.finditer(text)
        }
        if len(signs) == 1:
            found[name] = signs.pop()
    return found


@lru_cache(maxsize=20_000)
def denied(clause: str) -> tuple[frozenset[str], frozenset[str]]:
    """The stems that stand under a negator, and those that stand free. An ending ("stop", "skip") denies as well, and
    under a negator it affirms: what is not to be stopped goes on.
    """
    under: set[str] = set()
    free: set[str] = set()
    left, vague, under_negator = 0, False, False
    said = _WORD.findall(plain(clause).lower())
    for place, word in enumerate(said):
        following = said[place + 1] if place + 1 < len(said) else ""
        ends = bool(_ENDING.fullmatch(word)) and following not in _STOPS_AT and following != ""
        if ends or _NEGATOR.match(word):
            listed = place > 0 and said[place - 1] in _LISTS_ON
            under_negator = not under_negator if left > 0 and not listed else True
            left, vague = (0 if following == "," else _REACH), False
            continue
        if word == "," and left > 0:
            left = 0 if following in _AFRESH else _REACH
        if word in _ADJUNCTS:
            left = 0
        vague = left > 0 and (vague or (word in _PREPOSITIONS and left < _REACH))
        for term in stems(word):
            if not vague:
                (under if left > 0 and under_negator else free).add(term)
            left -= 1
    return frozenset(under), frozenset(free)


@lru_cache(maxsize=20_000)
def _order(clause: str) -> Mapping[str, bool]:
    """Of each word that stands right behind "before" or "after": whether something comes after it."""
    found: dict[str, bool] = {}
    for match in _ORDER.finditer(clause):
        for term in stems(match["what"]):
            found[term] = match["side"].lower() in _LATER
    return found


def opposed(one: str, other: str) -> str:
    """On which axis two clauses about the same thing say the opposite, or the name of the pair of which each takes
    another side; "order" if one says before what the other says after; "negation" if one denies a word that the other
    affirms; "" if they do not differ so.
    """
    mine, theirs = stance(one), stance(other)
    common = [axis for axis in mine if axis in theirs]
    differing = [axis for axis in common if mine[axis] != theirs[axis]]
    agreeing = [axis for axis in common if mine[axis] == theirs[axis]]
    if differing and not agreeing:
        return differing[0]
    my_sides, their_sides = sides(one), sides(other)
    apart = [name for name in my_sides if their_sides.get(name, my_sides[name]) != my_sides[name]]
    together = any(their_sides.get(name) == side for name, side in my_sides.items())
    if apart and not together:
        return apart[0]
    my_order, their_order = _order(one), _order(other)
    if any(their_order.get(term, later) != later for term, later in my_order.items()):
        return "order"
    under, free = denied(one)
    their_under, their_free = denied(other)
    # Where each denies what the other affirms, one of them denies the thing and the other what is said of it.
    flipped = bool(under & their_free - their_under - free - TIMES) != bool(
        their_under & free - under - their_free - TIMES
    )
    return "negation" if flipped and not together and set(agreeing) <= {"money"} else ""


def with_it(one: str, other: str, reason: str) -> bool:
    """Whether two clauses agree in that for which, as :func:`opposed` told, a third one goes against the first."""
    if reason in AXES:
        return reason in stance(one) and stance(one)[reason] == stance(other).get(reason)
    if reason in sides(one):
        return sides(one)[reason] == sides(other).get(reason)
    return agree(one, other)


def agree(one: str, other: str) -> bool:
    """Whether both take the same side, or neither takes any and none denies what the other affirms."""
    return not opposed(one, other) and (
        any(stance(one).get(axis) == side for axis, side in stance(other).items()) or not stance(one)
    )
