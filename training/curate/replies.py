"""Which side an answer takes on what was asked: "Oh sure, hon" to "Can I wear deodorant?" allows it.

A short answer says little by itself. Its yes or no, laid on what the question asks for (a permission, a duty, a
charge), is a side that can be compared with a statement of the truth; so are the words of everyday speech by which a
side is taken ("steer clear of it", "on the house"). The statement is found by its meaning, whatever its words.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import yaml

from training.curate.meaning import Meanings
from training.curate.stance import AXES, SIDE_WORDS, Axis, denied, stance
from training.curate.truth import Statement, Truth, stems
from training.sentences import split_sentences

ALIKE = 0.44
"""From here on, as a cosine, a statement may mean the same thing."""
LESS = 0.16
"""And not so much less alike than the best."""
EACH = 0.01
"""What each unit of weight of shared words adds to the cosine, up to ``MOST`` of them."""
MOST, LEAST = 20.0, 4.0
ENOUGH = 0.56
"""From here on, words counted in, a statement speaks of what is said."""
ENOUGH_BARE, LEAST_BARE = 0.62, 8.0
"""The same where no side is taken: the answer only affirms what the statement denies."""
BACKS = 0.02
"""A statement on the answer's side counts if it is at most so much less alike."""
AMONG = 16
LONGEST = 30
"""Words; of a longer sentence it cannot be told which part answers."""
_SHORTEST = 4
_LISTS: dict[str, Any] = yaml.safe_load(Path(__file__).with_suffix(".yaml").read_text(encoding="utf-8"))


def _pattern(text: str) -> re.Pattern[str]:
    return re.compile(text, re.IGNORECASE)


_FILLERS = _pattern(rf"^\W*(?:{_LISTS['fillers']}\b[\s,.;:!…-]+)+(?=\w)")
_END = r"(?=\s*(?:[,.;:!…-]|$))"
_YES, _NO = _pattern(rf"^\W*{_LISTS['yes']}\b{_END}"), _pattern(rf"^\W*{_LISTS['no']}\b{_END}")
_SAID: tuple[tuple[Axis, int, re.Pattern[str]], ...] = tuple(
    (axis, sign, _pattern("|".join(patterns)))
    for axis in AXES
    for sign, patterns in zip((-1, 1), _LISTS["said"][axis].values(), strict=True)
)
_ASKED: tuple[tuple[Axis, int, re.Pattern[str]], ...] = (
    ("duty", 1, _pattern(_LISTS["asked"]["duty"])),
    ("money", -1, _pattern(_LISTS["asked"]["free"])),
    ("money", 1, _pattern(_LISTS["asked"]["money"])),
    ("permission", 1, _pattern(_LISTS["asked"]["permission"])),
)
_ORDERS = _pattern(rf"^(?:(?:but|and|so|then)\s)?{_LISTS['orders']}\b")
_OPEN = _pattern(r"^\W*(?:(?:and|so|okay|but|well|then)\W+)*(?:what|when|where|how|who|which|why|whose)\b")
_ERRAND = _pattern(
    r"\b(?:can|could|would|will) (?:you|somebody|someone) (?:please |just )?"
    r"(?:tell|help|check|explain|give|say|look|walk|remind|send me|transfer|connect)\b"
)
"""A yes to this tells nothing about what is wanted."""
_ADVICE = _pattern(r"\bshould\b")
_PART = _pattern(r"[,;:…]\s|\s-\s|\s(?:but|because|so)\s")
_DESCRIBES = _pattern(r"\b(?:does(?:n't| not)|it's not that)\b")
"""What a thing does not do is neither allowed nor forbidden."""
_UNLESS = _pattern(r"\b(?:unless|except)\b|\bit's not that\b")
_LIMITS = _pattern(
    r"\b(?:not|no|never|nothing|without|only|unless|until|till|except|other than|but|before|after|if|when|instead)\b|"
    r"n't\b|<"
)
_COMPARES = _pattern(r"\b(?:younger|older|more than|less than|at least|at most|for example)\b")
"""Whom such a statement is about, the answer need not say."""
OF_THE_CALL = _pattern(
    r"\b(?:i(?!'d\b| would\b)|i'm|i'll|i've|i'd need|my)\b|<PHONE|^\W*(?:but|same)\b|\b(?:transfer|connect) you\b"
)
"""What the staff says of itself, offers, or says of something else."""
_BARE = _pattern(
    r"^\W*(?:sure|of course|absolutely|definitely|right|okay|great|perfect|certainly|you bet|true|correct)\W*$"
)
"""May only say that the question was heard."""
_DENIES = _pattern(r"\b(?:not|no|never|nothing|cannot)\b|n't\b")
_NEGATED = _pattern(r"(?:\b(?:no|not|never|without|nobody)|n't)(?:\s+[\w']+){0,2}\s+$")
_OTHERWISE = _pattern(r"\bor\b")


def last_question(text: str) -> str:
    """What is asked in the end: the last sentence that ends with a question mark; "" if none does."""
    asked = [sentence for sentence in split_sentences(text) if sentence.endswith("?")]
    return asked[-1] if asked else ""


@lru_cache(maxsize=20_000)
def asked_for(question: str) -> Mapping[Axis, int]:
    """The sides of a yes to a question; none if they cannot be told, or if yes or no is no answer to it."""
    asked = last_question(question)
    if not asked or _OPEN.search(asked) or _DENIES.search(asked) or _OTHERWISE.search(asked) or _ERRAND.search(asked):
        return {}
    if _ADVICE.search(asked):
        return {"duty": 1, "permission": 1}
    return next(({axis: sign} for axis, sign, pattern in _ASKED if pattern.search(asked)), {})


@lru_cache(maxsize=20_000)
def polarity(sentence: str) -> int:
    """+1 if a sentence begins with a yes, -1 with a no, 0 with neither."""
    text = _FILLERS.sub("", sentence.replace("’", "'"))
    return 1 if _YES.search(text) else -1 if _NO.search(text) else 0


@lru_cache(maxsize=20_000)
def replied(question: str, sentence: str) -> Mapping[Axis, int]:
    """The sides that a sentence takes as an answer: by its yes or no, and by the words of its parts. No side on an axis
    on which two of them differ.
    """
    yes = polarity(sentence)
    taken = [(axis, yes * sign) for axis, sign in asked_for(question).items()] if yes else []
    for part in _PART.split(sentence.replace("’", "'")):
        taken += _side_of(part).items()
    found = _agreed(taken)
    if _UNLESS.search(sentence):
        found.pop("permission", None)
    return found


def _side_of(part: str) -> dict[Axis, int]:
    """The sides of a part of a sentence: the words of everyday speech tell more than those of stance.yaml."""
    found = dict(stance(part))
    if found.get("permission") == -1 and stance(_DESCRIBES.sub(" ", part)).get("permission") != -1:
        found.pop("permission")
    return found | dict(reversed(list(_spoken(part))))


@lru_cache(maxsize=20_000)
def affirms(question: str, sentence: str) -> bool:
    """Whether a sentence answers a question for yes or no, and denies or limits nothing."""
    asked = last_question(question)
    yes_or_no = bool(asked) and not (_OPEN.search(asked) or _DENIES.search(asked) or _OTHERWISE.search(asked))
    return yes_or_no and polarity(sentence) >= 0 and not _LIMITS.search(sentence) and not denied(sentence)[0]


def _agreed(taken: Iterable[tuple[Axis, int]]) -> dict[Axis, int]:
    signs: defaultdict[Axis, set[int]] = defaultdict(set)
    for axis, sign in taken:
        signs[axis].add(sign)
    return {axis: next(iter(both)) for axis, both in signs.items() if len(both) == 1}


@lru_cache(maxsize=20_000)
def stated(statement: str) -> Mapping[Axis, int]:
    """The sides of a statement; a part of it that tells what to do requires it."""
    taken: list[tuple[Axis, int]] = []
    for part in _PART.split(statement):
        sides = dict(stance(part))
        if _ORDERS.match(part):
            sides.setdefault("duty", 1)
        taken += sides.items()
    return _agreed(taken)


def against(reply: Mapping[Axis, int], statement: Mapping[Axis, int]) -> Axis | None:
    """The axis on which a reply goes against a statement; None if it does not, or agrees on another axis."""
    if any(statement.get(axis) == side for axis, side in reply.items()):
        return None
    return next((axis for axis, side in reply.items() if statement.get(axis) == -side), None)


@dataclass(frozen=True, slots=True)
class _Near:
    """A statement, how alike it is with the words counted in, and the weight of the words shared."""

    statement: Statement
    alike: float
    shared: float
    near: bool


class Replies:
    """Lays answers beside the statements that mean the same thing. For one thread, as :class:`Meanings` is."""

    def __init__(self, truth: Truth, meanings: Meanings) -> None:
        self._truth, self._meanings = truth, meanings

    def check(self, sentence: str, question: str) -> tuple[Statement, str] | None:
        """The statement that a sentence, said to ``question``, goes against, and the axis; None if there is none."""
        length = len(sentence.split())
        if OF_THE_CALL.search(sentence) or _BARE.search(sentence) or length > LONGEST:
            return None
        reply = replied(question, sentence) if length >= _SHORTEST or polarity(sentence) else {}
        affirming = length >= _SHORTEST and affirms(question, sentence)
        if not reply and not affirming:
            return None
        near = self._near(question, sentence)
        for one in near:
            if reply and (axis := self._against(sentence, reply, one, near)):
                return one.statement, axis
        if affirming and near and self._denies(sentence, near[0]):
            return near[0].statement, "negation"
        return None

    def _near(self, question: str, sentence: str) -> list[_Near]:
        """The statements beside a sentence, those first that speak most of it."""
        words = (stems(last_question(question) or question) | stems(sentence)) - SIDE_WORDS
        meant = self._meanings.beside(question, sentence, AMONG)
        floor = max(ALIKE, meant[0].likeness - LESS) if meant else 0.0
        found = []
        for one in meant:
            shared = self._truth.weight(words & one.statement.stems)
            alike = one.likeness + EACH * min(shared, MOST)
            found.append(_Near(one.statement, alike, shared, one.likeness >= floor))
        return sorted(found, key=lambda one: -one.alike)

    @staticmethod
    def _against(sentence: str, reply: Mapping[Axis, int], one: _Near, near: Iterable[_Near]) -> Axis | None:
        """The axis on which the reply goes against a statement, unless another one backs it."""
        text = one.statement.text
        if not one.near or one.alike < ENOUGH or one.shared < LEAST or _COMPARES.search(text):
            return None
        axis = against(reply, stated(text))
        if axis is None or (axis == "money" and one.statement.figures):
            return None
        speaks = polarity(sentence) or any(_spoken(sentence))
        if not speaks and not (stems(sentence) - SIDE_WORDS) & one.statement.stems:
            return None
        backed = any(
            stance(other.statement.text).get(name) == side
            for other in near
            if other.alike >= one.alike - BACKS
            for name, side in reply.items()
        )
        return None if backed else axis

    @staticmethod
    def _denies(sentence: str, one: _Near) -> bool:
        """Whether a statement denies a word that the sentence affirms."""
        under, free = denied(one.statement.text)
        return (
            one.near
            and one.alike >= ENOUGH_BARE
            and one.shared >= LEAST_BARE
            and not _COMPARES.search(one.statement.text)
            and bool(_DENIES.search(one.statement.text) and (under - free) & stems(sentence))
        )


def _spoken(text: str) -> Iterator[tuple[Axis, int]]:
    """The sides that the words of everyday speech take in a text; what stands under a negator takes none."""
    text = text.replace("’", "'")
    for axis, sign, pattern in _SAID:
        if (match := pattern.search(text)) and not _NEGATED.search(text, 0, match.start()):
            yield axis, sign
