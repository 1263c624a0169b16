"""Sentences of the staff that say the opposite of what the hospital says.

A clause of the sentence takes the other side (:mod:`training.curate.stance`) than the statement that speaks of the same
thing, and no statement that speaks of it more takes its side.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

from training.curate.clauses import BREAK, clauses, with_clauses
from training.curate.figures import read_figures
from training.curate.meaning import Meanings
from training.curate.replies import Replies
from training.curate.stance import SIDE_WORDS, agree, denied, opposed, plain, stance, with_it
from training.curate.truth import Beside, Statement, Truth, stems
from training.sentences import split_sentences

ALIKE = 0.33
"""From here on a statement may speak of the same thing as a clause; what decides is the weight of what they share."""
NEARLY = 0.15
"""A statement on the clause's side counts if it is at most so much less alike than the one against it."""
SAME_THING = 0.7
"""And only if it speaks of so much of what the clause shares with the one against it."""
FAR_MORE = 1.8
"""A statement that shares so much more is what the clause speaks of."""
SUPPORTED = 0.85
"""From here on a whole sentence is one of the truth."""
IN_ITS_WORDS = 0.6
"""From here on a sentence speaks the truth's words: other words for the same need not be looked for."""
SAYS_ITSELF = 4
"""If it has so many words of its own: the words of a shorter one are the question's."""
ALIKE_IN_WORDS = 0.5
"""The same where the sides are told by a bare negation, or by "before" and "after"."""
ALIKE_SHORT = 0.55
"""The same of a statement of two words."""
IN_WORDS = frozenset({"negation", "order"})
ASKED, ABOUT = 0.7, 0.5
"""So much of a word's weight counts that only the question says, or only the heading over the statement."""
LEAST_SHARED = 8.8
"""The least weight of the words that clause, question and opposite statement share: about two rare ones."""
LEAST_OF_SHORT = 7.0
"""The same where the statement is so short that the clause holds all of its words ("You do not need a lawyer")."""
SHORTEST, LONGEST = 4, 45
"""Words; a longer sentence is speech that was written down without marks: its clauses cannot be told apart."""
UNMARKED, UNENDED = 18, 12
"""And so is a shorter one without any mark in it, a still shorter one if not even its end is marked."""
_MARK, _END = re.compile(r"[,.;:]"), re.compile(r"[.!]\W*$")
OWN = re.compile(
    r"\b(?:i|i'm|i'll|i'd|i've|my pleasure|take care|we (?:can't|cannot|couldn't) (?:open|see|tell|hear|look|read))\b|"
    r"^(?:\W*(?:so|and|okay|well)\W+)?(?:(?:can|could|would|will|do|did|are|have) you|may i|what's|who's|which)\b|"
    r"\b(?:can|could|would|will) you (?:please |just )?(?:call|hold|wait|tell|spell|give|say)\b",
    re.IGNORECASE,
)
"""What the staff says of itself, or asks, is no answer that holds for others."""
_COMPARES = re.compile(
    r"\b(?:more than|less than|at least|at most|over|under|before|until|unless|up to|limit|most|lower|higher|"
    r"younger|older|within|even if)\b",
    re.IGNORECASE,
)
_UNLESS = re.compile(r"\bunless\b", re.IGNORECASE)
_ONLY = re.compile(r"\bonly (?:with|if|when|after|once|by)\b", re.IGNORECASE)
"""What is forbidden unless something holds is what is allowed only then."""
LIGHT = stems("take put use have get go come keep give try help against usually still also early often always")
"""Words that say little of what is done."""


@dataclass(frozen=True, slots=True)
class Conflict:
    """``sentence`` says the opposite of ``other``, which stands at ``source``; ``reason`` names the axis."""

    sentence: str
    other: str
    source: str
    reason: str


@dataclass(frozen=True, slots=True)
class _Near:
    """A statement beside a clause: the stems ``told`` by both, how ``alike`` they are with the heading's help, the
    weight of what they share, and the ``reason`` why they are opposed ("" if they are not).
    """

    statement: Statement
    told: frozenset[str]
    alike: float
    shared: float
    reason: str


class Contradictions:
    """Checks sentences against the truth. Build it once in each process."""

    def __init__(self, truth: Truth, meanings: Meanings | None = None) -> None:
        """Without ``meanings`` only statements that share words with a sentence are found."""
        self._sentences = truth
        self._clauses = Truth(list(with_clauses(truth.statements)))
        self._replies = Replies(truth, meanings) if meanings is not None else None

    def check(self, sentence: str, question: str = "") -> Conflict | None:
        """What of the truth the sentence, said to ``question``, contradicts."""
        length = len(sentence.split())
        if sentence.endswith("?") or length > LONGEST:
            return None
        if length > (UNMARKED if _END.search(sentence) else UNENDED) and not _MARK.search(sentence[:-1]):
            return None
        alike = self._backed(sentence, question)
        if alike >= SUPPORTED:
            return None
        if found := self._in_its_words(sentence, question):
            return found
        in_its_words = alike >= IN_ITS_WORDS and len(stems(sentence)) >= SAYS_ITSELF
        if self._replies is None or not question or in_its_words:
            return None
        if meant := self._replies.check(sentence, question):
            statement, reason = meant
            return Conflict(sentence, statement.text, statement.source, reason)
        return None

    def _in_its_words(self, sentence: str, question: str) -> Conflict | None:
        """As :meth:`check`, of statements that share words with the sentence."""
        said, asked = stems(sentence), stems(question)
        if len(said) < 2 or OWN.search(sentence) or len(sentence.split()) < SHORTEST:
            return None
        found = [
            near
            for clause in dict.fromkeys((sentence, *clauses(sentence)))
            if (near := self._opposite(clause, said, asked, whole=clause == sentence))
        ]
        if not found:
            return None
        worst = max(found, key=lambda near: near.shared)
        return Conflict(sentence, worst.statement.text, worst.statement.source, worst.reason)

    def answered(self, answer: str, question: str = "") -> bool:
        """Whether the truth says each sentence of an answer that tells something."""
        told = [sentence for sentence in split_sentences(answer) if len(stems(sentence)) >= 2]
        return self.supported(answer, question) or (
            bool(told) and all(self.supported(sentence, question) for sentence in told)
        )

    def supported(self, sentence: str, question: str = "") -> bool:
        """Whether the truth says this sentence, nearly word for word."""
        return self._backed(sentence, question) >= SUPPORTED

    def _backed(self, sentence: str, question: str) -> float:
        """How much a sentence is like the statement that shares most words with it; 0 if they are opposed."""
        near = self._sentences.beside(stems(sentence), [(stems(question), 0.7)], read_figures(sentence), limit=1)
        return near[0].alike if near and not opposed(sentence, near[0].statement.text) else 0.0

    def _opposite(self, clause: str, said: frozenset[str], asked: frozenset[str], *, whole: bool) -> _Near | None:
        """The statement against the clause that shares most with it, unless one on its side shares as much."""
        words = stems(clause)
        if len(words) < 2:
            return None
        near = [
            self._near(clause, words, asked, beside)
            for beside in self._clauses.beside(words, [(said, 0.5), (asked, ASKED)], read_figures(clause), limit=12)
        ]
        for one in sorted(near, key=lambda one: -one.shared):
            if self._goes_against(clause, one, whole) and not any(self._backs(clause, other, one) for other in near):
                return one
        return None

    def _near(self, clause: str, words: frozenset[str], asked: frozenset[str], beside: Beside) -> _Near:
        statement, weight = beside.statement, self._clauses.weight
        told = words & statement.stems
        lent = weight((words - told) & statement.about)
        shared = weight(told - SIDE_WORDS) + ASKED * weight((asked - words) & statement.stems) + ABOUT * lent
        alike = beside.alike + 0.5 * ABOUT * lent / weight(words)
        return _Near(statement, told, alike, shared, opposed(clause, statement.text))

    def _goes_against(self, clause: str, one: _Near, whole: bool) -> bool:
        all_told = one.statement.stems <= one.told
        return (
            bool(one.reason)
            and one.shared >= (LEAST_OF_SHORT if all_told else LEAST_SHARED)
            and one.alike >= (ALIKE_IN_WORDS if one.reason in IN_WORDS else ALIKE)
            and (len(one.told - LIGHT) >= 2 or all_told)
            and (not whole or self._says(clause, one.statement, one.reason))
            and (one.reason not in IN_WORDS or _plain(clause, one, whole))
            and not _of_two_minds(one.statement.text, one.reason)
            and not (_UNLESS.search(clause) and _ONLY.search(one.statement.text))
        )

    def _backs(self, clause: str, other: _Near, one: _Near) -> bool:
        """Whether another statement, about the same words, is on the clause's side where ``one`` is against it, or is
        so much nearer to the clause that it is what this speaks of.
        """
        if 1.05 * other.shared < one.shared:
            return False
        weight, text = self._clauses.weight, other.statement.text
        if other.alike >= one.alike + NEARLY or other.shared >= FAR_MORE * one.shared:
            return agree(clause, text)
        same = weight(other.told & one.told) >= SAME_THING * weight(one.told)
        return same and other.alike >= one.alike - NEARLY and with_it(clause, text, one.reason)

    def _says(self, sentence: str, statement: Statement, reason: str) -> bool:
        """Whether what takes the other side in a sentence of several clauses is what speaks of the same thing: a third
        of the words that sentence and statement share.
        """
        parts = [part for part in BREAK.split(sentence) if part]
        if len(parts) < 2:
            return True
        both = self._clauses.weight(stems(sentence) & statement.stems)
        return any(
            opposed(part, statement.text) == reason
            and len(told := stems(part) & statement.stems) >= 2
            and 3 * self._clauses.weight(told) >= both
            for part in parts
        )


def _plain(clause: str, one: _Near, whole: bool) -> bool:
    """Whether a bare negation can be trusted: in one clause, much alike, without a comparison of only one side."""
    text = one.statement.text
    told = one.told & stems(plain(clause)) & stems(plain(text))
    short = len(told) == 2 and one.statement.stems - LIGHT <= told and one.alike >= ALIKE_SHORT and denied(text)[0]
    return (
        not (whole and len(clauses(clause)) > 1)
        and (len(told) >= 3 or bool(short))
        and _compared(plain(clause)) == _compared(plain(text))
    )


@lru_cache(maxsize=20_000)
def _of_two_minds(text: str, axis: str) -> bool:
    """Whether a statement's clauses take both sides on an axis: then each of them speaks for itself."""
    return len({side for part in clauses(text) for name, side in stance(part).items() if name == axis}) > 1


def _compared(text: str) -> list[str]:
    return sorted(match.lower() for match in _COMPARES.findall(text))
