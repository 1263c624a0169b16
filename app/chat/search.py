"""What is searched for a message, and the passages that come of it: follow-ups, several questions, a chosen article.

A message costs at most three searches, and up to three more where what a patient chose is gone or the article spoken
of is not among what was found; those that do not wait for each other run together.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import Enum

from app.chat.clarify import chosen, meant, refused
from app.chat.protocols import Retriever, Turn
from app.chat.questions import MOST, bare, split
from app.chat.words import content, fold
from app.contracts.passages import Passage
from app.contracts.replies import Choice, Clarification

_LONGEST = 600
_WIDE = 24
"""Passages looked at for those of a chosen article."""

_FOLLOW_UP = re.compile(r"^\s*(and|what about|how about|also|but|or|y|también|qué hay)\b", re.IGNORECASE)
_OPENS = re.compile(
    r"[\s¿,]*(?:what if|then|same for|y|e|pero|o|tambien|que hay|qu[eé] tal|qu[eé] pasa (?:con|si)|en ese caso)\b",
    re.IGNORECASE,
)
"""More beginnings of a follow-up; curated training data knows those of ``may_lean`` alone."""
_POINTS_BACK = frozenset(
    """it its that this those these they them their theirs she he her him his there then
    ese esa eso esos esas esto ella ellos ellas alli ahi entonces""".split()
)
_EXPLETIVE = re.compile(
    r"\b(?:is|was|would|will)\s+(?:it|that|there)\s+(?:be\s+)?(?:also\s+)?(?:ok|okay|fine|alright|possible|safe|normal"
    r"|allowed|true|necessary|free|better|bad|too|a|an|any)\b|\b(?:are|is)\s+there\b|\bdoes\s+it\s+(?:take|matter|cost)"
    r"\s+\w+\s+\w+|\bit\s+(?:takes?|is\s+(?:ok|okay|possible|safe|normal|allowed))\b|\bthat\s+(?:i|you|we|they)\b"
    r"|\b(?:the|this|that|these|those)\s+(?:chat|hospital|morning|week|weekend|year|month|afternoon|evening)\b"
    r"|\b(?:esta|este)\s+(?:semana|mañana|noche|tarde|mes|año|hospital|abiert[oa]|permitid[oa]|bien|cerrad[oa])\b",
    re.IGNORECASE,
)
"""Words that look like pronouns and point at nothing: "is it ok to …", "are there …"."""
_FEW_WORDS = 3

_TOKEN = re.compile(r"<[A-Z_]+_\d+>")
_INTRODUCTION = re.compile(
    r"\b(my name is|i am|i'm|this is|me llamo|mi nombre es|soy|my (phone|cell|number|e-?mail|address|card|account)"
    r"( number)?( is)?|(call|text|e-?mail|reach) me( at| on)?|ssn|social security( number)?|mrn|dob|date of birth"
    r"|born( on)?|card|account|member|policy)( number| id)?( is)?[\s:#]*<[A-Z_]+_\d+>[\s,.;!]*((and|y)\b)?",
    re.IGNORECASE,
)


class Lean(Enum):
    """Whether a question needs the one before it: surely, perhaps (both are tried), or not."""

    NO = "no"
    PERHAPS = "perhaps"
    SURELY = "surely"


@dataclass(frozen=True, slots=True)
class Found:
    """Passages for a message, best first.

    ``question`` is what the model is asked: the patient's words, or after a clarifying question what she had asked
    before. ``searched`` are the words that found the passages, those of an earlier question among them. The first
    ``leading`` passages are the best ones of as many questions; 1 for a single one. ``settled``: which of near articles
    is meant is known, from the reply before. ``undecided``: it is not, though it was asked; each has its best passage.
    ``partly``: one of several questions found nothing.
    """

    question: str
    searched: str
    passages: tuple[Passage, ...]
    leading: int = 1
    single: bool = True
    settled: bool = False
    undecided: bool = False
    partly: bool = False


async def search(retriever: Retriever, question: str, turn: Turn, *, limit: int, bound: float, sure: float) -> Found:
    """Search for a redacted question of a turn.

    ``limit`` is a number of passages. Only those of at least ``bound`` likeness are given; from ``sure`` on a question
    needs nothing of the one before it. Raises what the retriever raises.
    """
    if turn.offered is not None:
        choices = chosen(turn.text, turn.offered.choices)
        if choices and (found := await _chosen(retriever, turn.offered, choices, question, limit, bound)):
            return found
        if choices or refused(turn.text):  # the others are not what she means
            retriever = _Without(retriever, frozenset(choice.article_id for choice in turn.offered.choices))
    spoken_of = [choice.title for choice in turn.about[:1] if not content(question) & content(choice.title)]
    earlier = " ".join(filter(None, (*spoken_of, context(turn.earlier_redacted))))
    if len(parts := split(question)) > 1:
        return await _several(retriever, question, parts, earlier, limit, bound, sure)
    searched, passages = await _one(retriever, search_text(question), earlier, limit, sure, turn.offered is not None)
    above = _above(passages, bound)
    if each := await _of_each(retriever, turn, question, above, limit, bound):
        return each
    led = await _led_by(retriever, turn.about, question, above, limit, bound)
    return Found(question, searched, led or above, settled=bool(led))


async def _of_each(
    retriever: Retriever, turn: Turn, question: str, found: Sequence[Passage], limit: int, bound: float
) -> Found | None:
    """What each of the near articles says that a question may be about; None where it is about something else.

    "Can I drink water?" under the question which of two preparations is meant, or after an answer from both: the one
    that is a little likelier would be a guess. "Is the pelvic one painful?" is about one.
    """
    between = turn.offered.choices if turn.offered is not None else tuple(turn.about)
    about = meant(question, between)
    if not about or (found and found[0].article_id not in {choice.article_id for choice in between}):
        return None
    if not found and about == between:
        return None
    asked = search_text(question)
    if turn.offered is not None and not content(asked):  # "I don't know"
        asked = search_text(turn.offered.question)
    each = await _chosen(retriever, Clarification(asked, between), about, question, limit, bound)
    return replace(each, question=question, undecided=each.leading > 1) if each else None


async def _led_by(
    retriever: Retriever, about: Sequence[Choice], question: str, found: Sequence[Passage], limit: int, bound: float
) -> tuple[Passage, ...]:
    """Passages with those of the articles spoken of before the others; empty if something else is meant.

    The best one may be a near neighbour of theirs, whose title shares a word: "can I drink water?" after one of two
    preparations. Something else is meant where it is not, and where the question names the subject of any of them.
    """
    names = {choice.article_id for choice in about}
    titles = frozenset[str]().union(*(content(choice.title) for choice in about))
    if not found or not (found[0].article_id in names or content(found[0].title) & titles):
        return ()
    if content(question) & titles.union(*(content(passage.title) for passage in found)):
        return ()
    own = [passage for passage in found if passage.article_id in names]
    if not own:  # the question alone is too far from it
        with_title = f"{about[0].title} {search_text(question)}"[:_LONGEST]
        again = _above(await _ask(retriever, with_title, limit), bound)
        own = [passage for passage in again if passage.article_id in names]
    return (*own, *(passage for passage in found if passage.article_id not in names)) if own else ()


async def _one(
    retriever: Retriever, alone: str, earlier: str, limit: int, sure: float, answers: bool
) -> tuple[str, list[Passage]]:
    """The words searched for and what they find. ``answers``: a reply to a question of ours, which may lean too."""
    lean = leaning(alone) if earlier else Lean.NO
    if lean is Lean.NO and answers and earlier:
        lean = Lean.PERHAPS
    both = f"{earlier} {alone}"[:_LONGEST]
    if lean is Lean.NO:
        return alone, await _ask(retriever, alone, limit)
    if lean is Lean.SURELY:
        return both, await _ask(retriever, both, limit)
    own = bare(alone) or alone
    by_itself, together = await asyncio.gather(_ask(retriever, own, limit), _ask(retriever, both, limit))
    likeness = _likeness(by_itself)
    if likeness >= sure and _likeness(together) < likeness:
        return alone, by_itself  # the topic has changed
    return both, together


async def _several(
    retriever: Retriever, question: str, parts: Sequence[str], earlier: str, limit: int, bound: float, sure: float
) -> Found:
    """Each question by itself, with what stands before it where it leans; beside two the whole message too."""
    texts = []
    before = earlier
    for part in map(search_text, parts):
        leans = before and leaning(part) is Lean.SURELY
        texts.append((f"{before} {part}" if leans else bare(part) or part)[-_LONGEST:])
        before = part if not leans else texts[-1]
    if len(texts) < MOST:
        texts.append(search_text(question))
    lists = [_above(found, bound) for found in await asyncio.gather(*(_ask(retriever, text, limit) for text in texts))]
    # A part that finds something surely stands before one that does not.
    best = sorted(lists[: len(parts)], key=lambda found: _likeness(found) < sure)
    leading = {found[0].passage_id for found in best if found}
    passages = interleave([*best, *lists[len(parts) :]], max(limit, len(parts)))
    partly = not all(best)
    return Found(question, texts[-1], passages, leading=max(1, len(leading)), single=False, partly=partly)


class _Without:
    """A retriever that passes over some articles."""

    def __init__(self, retriever: Retriever, articles: frozenset[str]) -> None:
        self._retriever, self._articles = retriever, articles

    async def search(self, question: str, *, limit: int = 4) -> list[Passage]:
        found = await self._retriever.search(question, limit=limit + _WIDE)
        return [passage for passage in found if passage.article_id not in self._articles][:limit]


async def _chosen(
    retriever: Retriever, offered: Clarification, choices: Sequence[Choice], question: str, limit: int, bound: float
) -> Found | None:
    """The passages of the articles that the patient chose; None if they are no longer there."""
    asked = search_text(offered.question)
    texts = [f"{choice.title} {asked}".strip()[:_LONGEST] for choice in choices]
    lists = await asyncio.gather(*(_ask(retriever, text, max(limit, _WIDE)) for text in texts))
    of_each = [
        [passage for passage in _above(found, bound) if passage.article_id == choice.article_id]
        for choice, found in zip(choices, lists, strict=True)
    ]
    leading = sum(map(bool, of_each))
    if not leading:
        return None
    return Found(offered.question or question, texts[0], interleave(of_each, limit), leading=leading, single=False)


async def _ask(retriever: Retriever, text: str, limit: int) -> list[Passage]:
    return list(await retriever.search(text, limit=limit))


def _likeness(passages: Sequence[Passage]) -> float:
    """That of the most alike article, which need not be the first; 0 if nothing is there."""
    return max((passage.similarity for passage in passages), default=0.0)


def _above(passages: Sequence[Passage], bound: float) -> tuple[Passage, ...]:
    return tuple(passage for passage in passages if passage.similarity >= bound)


def interleave(lists: Sequence[Sequence[Passage]], limit: int) -> tuple[Passage, ...]:
    """The first of each list in turn, then the second of each, and so on: at most ``limit``, each passage once."""
    longest = max(map(len, lists), default=0)
    in_turn = [found[place] for place in range(longest) for found in lists if place < len(found)]
    return tuple({passage.passage_id: passage for passage in reversed(in_turn)}[p] for p in _ids(in_turn)[:limit])


def _ids(passages: Sequence[Passage]) -> list[str]:
    return list(dict.fromkeys(passage.passage_id for passage in passages))


def context(earlier: Sequence[str]) -> str:
    """The words of the patient's last question, and of the one before where that leans on it; '' if there is none."""
    asked = [text for text in map(search_text, earlier) if content(text)]
    if len(asked) > 1 and leaning(asked[-1]) is not Lean.NO:
        asked[-1] = f"{asked[-2]} {asked[-1]}"
    return asked[-1][-_LONGEST:] if asked else ""


def search_text(question: str) -> str:
    """What is searched for: the question without pseudonyms and without the words that introduce a name."""
    return " ".join(_TOKEN.sub(" ", _INTRODUCTION.sub(" ", question)).split())[:_LONGEST]


def may_lean(question: str) -> bool:
    """Whether a question may need the one before it: it begins like a follow-up ("and for kids?") or is very short."""
    return bool(_FOLLOW_UP.match(question)) or len(question.split()) <= _FEW_WORDS


def leaning(question: str) -> Lean:
    """How much a question needs the one before it.

    Surely: "how much is it", "where is that", "y cuánto cuesta eso". Perhaps: "and for kids?", "on weekends?", "and
    where do I park?", "can she eat before it?". Not: what has a topic of its own and points at nothing.
    """
    topic = content(question)
    points = not _POINTS_BACK.isdisjoint(fold(_EXPLETIVE.sub(" ", question)))
    if (points and len(topic) <= 1) or not topic:
        return Lean.SURELY
    return Lean.PERHAPS if points or may_lean(question) or _OPENS.match(question) else Lean.NO
