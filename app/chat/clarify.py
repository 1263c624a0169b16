"""The clarifying question: whether to ask which of near articles a patient means, and what her reply chooses.

Rules over words and scores, no model. :func:`offered` decides, :func:`chosen` reads the reply.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from difflib import get_close_matches
from itertools import pairwise

from app.chat.questions import is_question
from app.chat.words import content, fold, stem
from app.contracts.passages import Passage
from app.contracts.replies import Choice

MOST_CHOICES = 3
_SAME_ANSWER = 0.8
"""Share of the shorter passage's words that the other has too, from which on both give the same answer."""
_FEW_WORDS = 8
"""A longer reply is a message of its own, not the choice of an article."""

_TYPED = 0.75
"""How alike, 0 to 1, a mistyped word is to one of the titles."""

_FILLER = r"(?:the|that|it|its|is|s|option|choice|number|article|la|el|lo|opcion|numero|es|please|por|favor|one|ones)"
_ORDINALS = (
    r"(?:1|1st|one|first|former|uno|primera|primero|primer)",
    r"(?:2|2nd|two|second|dos|segunda|segundo)",
    r"(?:3|3rd|three|third|tres|tercera|tercero|tercer)",
)
_PLACES = [re.compile(rf"(?:{_FILLER} )*{ordinal}(?: {_FILLER})*") for ordinal in _ORDINALS]
_LAST = re.compile(rf"(?:{_FILLER} )*(?:last|latter|ultima|ultimo)(?: {_FILLER})*")
_ALL = re.compile(r"(?:all|both)(?: (?:of|them|please|two|three))*|ambas|ambos|todas|todos|(?:las|los) (?:dos|tres)")
_NEITHER = re.compile(
    r"(?:no )?(?:none|neither|not? (?:either|any))(?: one)?(?: of (?:them|these|those|the two))?"
    r"|ningun[oa]?(?: de (?:ell[oa]s|es[oa]s|est[oa]s|l[oa]s dos))?|ni un[oa] ni otr[oa]|something else|otra cosa"
)
_NOT = frozenset(
    """without not non sin never cannot cant dont doesnt didnt isnt wasnt wont shouldnt couldnt havent hasnt
    nunca tampoco""".split()
)
_NO_SPANISH = frozenset("quiero quieren necesito necesita tengo tiene hay es era llevo lleva me le se lo".split())
"""Words after which "no" denies a Spanish sentence: "no quiero contraste"."""
_REACH = 4
"""So many words after it a "not" or "without" takes back; a bare "no" only the next one: "no, with contrast"."""
_ASKS = frozenset(
    "is are will does did can could should would may why how when where who what puede hay como cuando".split()
)
"""A reply that begins so asks something: "is contrast safe?" chooses nothing."""
_SAYS_NOTHING = frozenset(
    "creo doctor dr guess hello hi hola maam perdon probably right senor sir sorry sure today".split()
)
_PLAIN = frozenset(
    {"plain", "regular", "normal", "ordinary", "standard", "basic", "simple", "just", "only", "sola", "solo"}
)
_IGNORED = _PLAIN | _NOT | _NO_SPANISH | _SAYS_NOTHING


def offered(question: str, passages: Sequence[Passage], *, bound: float, margin: float) -> tuple[Passage, ...]:
    """The best passage of each of two or three articles between which the patient is asked; empty: do not ask.

    ``passages`` are those found, of any number of articles; an article's ``similarity`` is its score. It is asked
    where the best two articles are found (``bound``) within ``margin`` of each other, their titles share a word and
    differ in words, none of those that differ is in the question, and the articles would not give the same answer.
    """
    best: dict[str, Passage] = {}
    for passage in passages:
        best.setdefault(passage.article_id, passage)
    ranked = sorted(best.values(), key=lambda passage: -passage.similarity)
    close = [p for p in ranked if p.similarity >= bound and ranked[0].similarity - p.similarity <= margin]
    near = [p for p in close[:MOST_CHOICES] if content(p.title) & content(close[0].title)]
    if len(near) < 2 or near[1] is not close[1] or _same_answer(near[0], near[1]):
        return ()
    own = _own_words([passage.title for passage in near])
    if len({" ".join(fold(passage.title)) for passage in near}) < len(near) or not any(own):
        return ()
    return () if content(question) & frozenset[str]().union(*own) else tuple(near)


def chosen(reply: str, choices: Sequence[Choice]) -> tuple[Choice, ...]:
    """What the reply to a clarifying question chooses: one of the choices, all of them ("both"), or none.

    Understood are a title, a place ("2", "the first one", "la segunda"), a few words of one title alone ("con
    contraste"), and what one does not have ("without", "the regular one").
    """
    words = fold(reply)
    said = " ".join(words)
    titles = [" ".join(fold(choice.title)) for choice in choices]
    named = [n for n, title in enumerate(titles) if title and re.fullmatch(rf"(?:\d )?{re.escape(title)}", said)]
    if named:
        return (choices[named[0]],)
    for place, pattern in enumerate(_PLACES[: len(choices)]):
        if pattern.fullmatch(said):
            return (choices[place],)
    if choices and _LAST.fullmatch(said):
        return (choices[-1],)
    if _ALL.fullmatch(said):
        return tuple(choices)
    if len(words) > _FEW_WORDS or _ASKS.intersection(words[:1]) or is_question(reply):
        return ()
    meant = _by_words(reply, choices)
    return () if meant is None else (choices[meant],)


def refused(reply: str) -> bool:
    """Whether the reply to a clarifying question turns all choices down: "neither", "ninguna de las dos"."""
    return bool(_NEITHER.fullmatch(" ".join(word for word in fold(reply) if word not in ("please", "thanks"))))


def meant(question: str, choices: Sequence[Choice]) -> tuple[Choice, ...]:
    """Which of near articles a question may be about: those whose telling words it holds, all if it holds none.

    Empty where they are not near: titles that share no word, or that are alike in all.
    """
    titles = [choice.title for choice in choices]
    own = _own_words(titles)
    if len(titles) < 2 or not any(own) or not frozenset[str].intersection(*map(content, titles)):
        return ()
    said = content(question)
    named = tuple(choice for choice, words in zip(choices, own, strict=True) if said & words)
    return named or tuple(choices)


def _by_words(reply: str, choices: Sequence[Choice]) -> int | None:
    """The place of the choice that the words of a short reply mean; None if they mean none or more than one."""
    own = _own_words([choice.title for choice in choices])
    said = content(reply)
    known = {form for choice in choices for word in fold(choice.title) for form in (word, stem(word))}
    more = [word for word in said - known - _IGNORED if not word.isdigit()]
    if not all(get_close_matches(word, known, n=1, cutoff=_TYPED) for word in more):
        return None  # it says something else, which must be read and not be lost: "I'm allergic to contrast"
    shares = [len(said & words) for words in own]
    if not any(shares):
        without = [n for n, words in enumerate(own) if not words]
        return without[0] if len(without) == 1 and _PLAIN.intersection(fold(reply)) else None
    negated = _negated(reply, frozenset[str]().union(*own))
    best = [n for n, share in enumerate(shares) if (share == 0 if negated else share == max(shares))]
    return best[0] if len(best) == 1 else None


def _negated(reply: str, telling: frozenset[str]) -> bool:
    """Whether a word that tells the choices apart is taken back: "without contrast", "no contrast"."""
    words = fold(reply)
    for at, word in enumerate(words):
        if stem(word) in telling:
            before = words[max(0, at - _REACH) : at]
            denied = any(one == "no" and two in _NO_SPANISH for one, two in pairwise(before))
            return denied or bool(_NOT.intersection(before)) or before[-1:] == ["no"]
    return False


def _own_words(titles: Sequence[str]) -> list[frozenset[str]]:
    """Of each title the words that not all of them have."""
    of_each = [content(title) for title in titles]
    shared = frozenset[str].intersection(*of_each) if of_each else frozenset[str]()
    return [words - shared for words in of_each]


def _same_answer(one: Passage, other: Passage) -> bool:
    words = content(one.text), content(other.text)
    shorter = min(len(words[0]), len(words[1]))
    return shorter == 0 or len(words[0] & words[1]) >= _SAME_ANSWER * shorter
