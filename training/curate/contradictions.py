"""Answers of the staff that say the opposite of what the hospital says, or of what another answer says.

Against the truth: a clause of the answer takes the other side (:mod:`training.curate.stance`) than the statement that
speaks of the same thing, and no statement that speaks of it more takes its side. Between two answers: nearly the same
was asked, and their clauses take opposite sides or name other figures for it.
"""

from __future__ import annotations

import hashlib
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations

from training.curate.figures import read_figures
from training.curate.stance import agree, opposed, stance
from training.curate.truth import Beside, Statement, Truth, stems
from training.finetune.sentences import split_sentences

ALIKE = 0.36
"""From here on a statement may speak of the same thing as a clause; what decides is the weight of what they share."""
NEARLY = 0.15
"""A statement on the clause's side counts if it is at most so much less alike than the one against it."""
SUPPORTED = 0.85
"""From here on a whole sentence is one of the truth."""
LEAST_SHARED = 9.5
"""The least weight of the words that clause, question and opposite statement share: about two rare ones."""
LEAST_OF_SHORT = 7.0
"""The same where the statement is so short that the clause holds all of its words ("You do not need a lawyer")."""
SAME_QUESTION = 0.6
"""Two questions are nearly the same if they share so much of their words' weight."""
EQUAL_QUESTION = 0.9
"""From here on they are the same."""
COMMON = 0.6
"""Two answers with a smaller share of common words say different things."""
SAME_WORDS = 0.75
"""With a larger share of common words two answers are one but for their figures."""
SHORTEST, LONGEST = 4, 45
"""Words; a longer sentence is speech that was written down without marks: its clauses cannot be told apart."""
UNMARKED = 18
"""And so is a shorter one without any mark in it."""
_MARK = re.compile(r"[,.;:]")
_OWN = re.compile(
    r"\b(?:i|i'm|i'll|i'd|i've|my pleasure|take care|we (?:can't|cannot|couldn't) (?:open|see|tell|hear|look|read))\b|"
    r"^(?:\W*(?:so|and|okay|well)\W+)?(?:(?:can|could|would|will|do|did|are|have) you|may i|what's|who's|which)\b",
    re.IGNORECASE,
)
"""What the staff says of itself, or asks, is no answer that holds for others."""
_BREAK = re.compile(r"[;:.]\s|,\s(?:and|but|or|so|because|which|just)\s|,\s(?=[a-z])|\s-\s|\sbut\s|\sbecause\s")
_COMPARES = re.compile(
    r"\b(?:more than|less than|at least|at most|over|under|before|until|unless|up to|limit|top|most|lower|higher|"
    r"younger|older|within|even if|so that|so you)\b",
    re.IGNORECASE,
)
_KEYS = 3
_BUCKET = 40


@dataclass(frozen=True, slots=True)
class Conflict:
    """``sentence`` says the opposite of ``other``, which stands at ``source``; ``reason`` names the axis."""

    sentence: str
    other: str
    source: str
    reason: str


class Contradictions:
    """Checks sentences against the truth. Build it once in each process."""

    def __init__(self, truth: Truth) -> None:
        self._sentences = truth
        self._clauses = Truth(list(_with_clauses(truth.statements)))

    def check(self, sentence: str, question: str = "") -> Conflict | None:
        """What of the truth the sentence, said to ``question``, contradicts."""
        said, asked = stems(sentence), stems(question)
        length = len(sentence.split())
        if len(said) < 2 or sentence.endswith("?") or _OWN.search(sentence) or not SHORTEST <= length <= LONGEST:
            return None
        if length > UNMARKED and not _MARK.search(sentence[:-1]):
            return None
        if self.supported(sentence, question):
            return None
        worst: tuple[float, Conflict] | None = None
        for clause in dict.fromkeys((sentence, *clauses(sentence))):
            found = self._opposite(clause, said, asked, whole=clause == sentence)
            if found and (worst is None or found[0] > worst[0]):
                statement = found[1].statement
                worst = found[0], Conflict(sentence, statement.text, statement.source, found[2])
        return worst[1] if worst else None

    def supported(self, sentence: str, question: str = "") -> bool:
        """Whether the truth says this sentence, nearly word for word."""
        near = self._sentences.beside(stems(sentence), [(stems(question), 0.7)], read_figures(sentence), limit=1)
        return bool(near) and near[0].alike >= SUPPORTED and not opposed(sentence, near[0].statement.text)

    def _opposite(
        self, clause: str, said: frozenset[str], asked: frozenset[str], *, whole: bool
    ) -> tuple[float, Beside, str] | None:
        """The statement against the clause that shares most with it, unless one on its side shares as much."""
        words = stems(clause)
        if len(words) < 2:
            return None
        against: tuple[float, Beside, str] | None = None
        with_it: list[tuple[float, float]] = []
        for beside in self._clauses.beside(words, [(said, 0.5), (asked, 0.7)], read_figures(clause), limit=12):
            theirs = beside.statement.stems
            shared = self._clauses.weight(words & theirs) + 0.7 * self._clauses.weight((asked - words) & theirs)
            if agree(clause, beside.statement.text):
                with_it.append((beside.alike, shared))
            reason = opposed(clause, beside.statement.text)
            whole_statement = theirs <= words
            least = LEAST_OF_SHORT if whole_statement else LEAST_SHARED
            if not reason or shared < least or beside.alike < ALIKE:
                continue
            if len(words & theirs) < 2 and not whole_statement:
                continue
            if reason == "negation" and not _plain(clause, words, beside, whole):
                continue
            if against is None or shared > against[0]:
                against = shared, beside, reason
        if against is None:
            return None
        least = against[1].alike - NEARLY
        return None if any(alike >= least and 1.05 * shared >= against[0] for alike, shared in with_it) else against


def clauses(sentence: str) -> list[str]:
    """The parts of a sentence that say something by themselves."""
    return [part.strip() for part in _BREAK.split(sentence) if part and len(stems(part)) >= 2]


@dataclass(frozen=True, slots=True)
class Said:
    """An answer to a question, as the search for opposite answers needs it. ``supported``: the truth says it;
    ``doubted``: it goes against the truth already.
    """

    record: int
    turn: int
    question: str
    answer: str
    supported: bool
    doubted: bool = False

    @property
    def tells(self) -> bool:
        """Whether it says something that another answer could contradict."""
        return bool(read_figures(self.answer)) or any(stance(clause) for clause in clauses(self.answer))


class Answers:
    """Finds opposite answers to nearly the same question among those that are handed in one after another.

    In memory are, for each distinct answer, three words of its question and where it can be read again.
    """

    def __init__(self, weight: Callable[[Iterable[str]], float], read: Callable[[int], Said]) -> None:
        """``weight`` of words as :meth:`Truth.weight`; ``read`` gives an earlier answer back by its place."""
        self._weight, self._read = weight, read
        self._places: defaultdict[tuple[str, ...], list[int]] = defaultdict(list)
        self._seen: set[int] = set()

    def opposite(self, said: Said, place: int) -> Iterator[tuple[Said, str]]:
        """The earlier answers that contradict this one, with the reason; ``place`` is where this one can be read."""
        asked = stems(_last_question(said.question))
        if len(asked) < 2 or not said.tells or _OWN.search(said.answer):
            return
        same = hash_of(said.question + "\x1f" + said.answer)
        if same in self._seen:
            return
        self._seen.add(same)
        rare = sorted(asked, key=lambda term: (-self._weight([term]), term))[:_KEYS]
        keys = list(combinations(sorted(rare), 2))
        for other in sorted({place for key in keys for place in self._places[key]}):
            earlier = self._read(other)
            theirs = stems(_last_question(earlier.question))
            share = self._weight(asked & theirs) / self._weight(asked | theirs)
            if share < SAME_QUESTION or (said.supported and earlier.supported):
                continue
            if reason := _differ(said.answer, earlier.answer):
                yield earlier, reason
            elif share >= EQUAL_QUESTION and said.supported != earlier.supported and self._apart(said, earlier):
                yield earlier, "unsupported"
        for key in keys:
            bucket = self._places[key]
            bucket.append(place)
            del bucket[:-_BUCKET]

    def _apart(self, one: Said, other: Said) -> bool:
        """Whether two answers to one question, of which the truth says only one, have little in common."""
        unsaid = other if one.supported else one
        if _OWN.search(unsaid.answer) or unsaid.answer.endswith("?") or len(unsaid.answer.split()) > LONGEST:
            return False
        a, b = stems(one.answer), stems(other.answer)
        least = min(self._weight(a), self._weight(b))
        return len(stems(unsaid.answer)) >= 3 and self._weight(a & b) < COMMON * least


def _last_question(text: str) -> str:
    """What is asked in the end: what comes before it is seldom part of it."""
    asked = [sentence for sentence in split_sentences(text) if sentence.endswith("?")]
    return asked[-1] if asked and len(stems(asked[-1])) >= 2 else text


def hash_of(text: str) -> int:
    """A number of 64 bits for a text, the same in every run."""
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big")


def _differ(one: str, other: str) -> str:
    """Why two answers to one question cannot both be right; "" if they can."""
    if len(stems(one) & stems(other)) >= SAME_WORDS * len(stems(one) | stems(other)):
        return "figures" if _other_figures(one, other) else ""
    mine, theirs = [one, *clauses(one)], [other, *clauses(other)]
    if any(agree(a, b) and len(stems(a) & stems(b)) >= 2 for a in mine for b in theirs if stance(a)):
        return ""
    for a in mine:
        for b in theirs:
            reason = opposed(a, b)
            if reason in ("permission", "duty", "money") and len(stems(a) & stems(b)) >= 2:
                return reason
    return ""


def _other_figures(one: str, other: str) -> bool:
    """Whether two answers in nearly the same words name other figures of one kind."""
    mine = {(figure.kind, figure.unit): figure.value for figure in read_figures(one) if figure.kind != "phone"}
    theirs = {(figure.kind, figure.unit): figure.value for figure in read_figures(other) if figure.kind != "phone"}
    return any(mine[key] != theirs[key] for key in mine.keys() & theirs.keys())


def _plain(clause: str, words: frozenset[str], beside: Beside, whole: bool) -> bool:
    """Whether a bare negation can be trusted: in one clause, much alike, without a comparison."""
    return (
        not (whole and len(clauses(clause)) > 1)
        and beside.alike >= 0.6
        and len(words & beside.statement.stems) >= 3
        and not _COMPARES.search(clause)
        and not _COMPARES.search(beside.statement.text)
    )


def _with_clauses(statements: Sequence[Statement]) -> Iterator[Statement]:
    seen = set()
    for statement in statements:
        for text in (statement.text, *clauses(statement.text)):
            key = text.rstrip(".").lower()
            if key not in seen:
                seen.add(key)
                yield Statement(statement.source, text, stems(text), read_figures(text))
