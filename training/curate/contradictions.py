"""Answers of the staff that say the opposite of what the hospital says, or of what another answer says.

Against the truth: a clause of the answer takes the other side (:mod:`training.curate.stance`) than the statement that
speaks of the same thing, and no statement that speaks of it more takes its side. Between two answers: nearly the same
was asked, and their clauses take opposite sides or name other figures for it.
"""

from __future__ import annotations

import hashlib
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import combinations, product

from training.curate.figures import read_figures
from training.curate.meaning import Meanings
from training.curate.replies import OF_THE_CALL, Replies, last_question
from training.curate.stance import SIDE_WORDS, TIMES, agree, denied, opposed, plain, stance, with_it
from training.curate.truth import Beside, Statement, Truth, stems
from training.finetune.sentences import split_sentences

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
SAME_QUESTION = 0.6
"""Two questions are nearly the same if they share so much of their words' weight."""
EQUAL_QUESTION = 0.9
"""From here on they are the same."""
COMMON = 0.6
"""Two answers with a smaller share of common words say different things."""
SAME_WORDS = 0.75
"""With a larger share of common words two answers are one but for their figures."""
MOST_WORDS = 0.6
"""A bare negation sets two answers against each other if they share so many of the shorter one's words."""
SHORTEST, LONGEST = 4, 45
"""Words; a longer sentence is speech that was written down without marks: its clauses cannot be told apart."""
UNMARKED, UNENDED = 18, 12
"""And so is a shorter one without any mark in it, a still shorter one if not even its end is marked."""
_MARK, _END = re.compile(r"[,.;:]"), re.compile(r"[.!]\W*$")
_OWN = re.compile(
    r"\b(?:i|i'm|i'll|i'd|i've|my pleasure|take care|we (?:can't|cannot|couldn't) (?:open|see|tell|hear|look|read))\b|"
    r"^(?:\W*(?:so|and|okay|well)\W+)?(?:(?:can|could|would|will|do|did|are|have) you|may i|what's|who's|which)\b|"
    r"\b(?:can|could|would|will) you (?:please |just )?(?:call|hold|wait|tell|spell|give|say)\b",
    re.IGNORECASE,
)
"""What the staff says of itself, or asks, is no answer that holds for others."""
_BREAK = re.compile(
    r"(?<![ap]\.m)[;:.]\s|,\s(?:and|but|or|so|because|which|just)\s|,\s(?=[a-z])"
    r"(?!(?:[\w'’-]+\s)?[\w'’-]+(?:,|\s(?:and|or|nor)\s))|\s-\s|\sbut\s|\sbecause\s"
)
"""Not in a list: "tea, juice or soda" is no two things said."""
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
_KEYS = 3
_BUCKET = 40
_TOPIC_KEYS = 7
_TOPIC_BUCKET = 10
SAME_TOPIC, SAME_SENTENCE = 10.0, 6.0
"""The least weight of the words that two answers with their questions share, and the sentences that differ."""
OPEN = 0.62
"""Below this, as a cosine, no statement speaks of what an answer says."""


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
        if len(said) < 2 or _OWN.search(sentence) or len(sentence.split()) < SHORTEST:
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
        parts = [part for part in _BREAK.split(sentence) if part]
        if len(parts) < 2:
            return True
        both = self._clauses.weight(stems(sentence) & statement.stems)
        return any(
            opposed(part, statement.text) == reason
            and len(told := stems(part) & statement.stems) >= 2
            and 3 * self._clauses.weight(told) >= both
            for part in parts
        )


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
        return len(stems(self.answer)) >= 2 or bool(read_figures(self.answer))

    @property
    def decides(self) -> bool:
        """Whether it names a figure, allows or forbids, requires or waives, charges or gives for free."""
        return bool(read_figures(self.answer)) or any(stance(clause) for clause in clauses(self.answer))


class Answers:
    """Finds opposite answers to nearly the same question among those that are handed in one after another.

    In memory are, for each distinct answer, three words of its question, seven of both and where it can be read again.
    """

    def __init__(
        self,
        weight: Callable[[Iterable[str]], float],
        read: Callable[[int], Said],
        meanings: Meanings | None = None,
    ) -> None:
        """``weight`` of words as :meth:`Truth.weight`; ``read`` gives an earlier answer back by its place. Without
        ``meanings`` questions in quite other words are not compared.
        """
        self._weight, self._read, self._meanings = weight, read, meanings
        self._topics: defaultdict[tuple[str, ...], list[int]] = defaultdict(list)
        self._places: defaultdict[tuple[str, ...], list[int]] = defaultdict(list)
        self._seen: set[int] = set()

    def opposite(self, said: Said, place: int) -> Iterator[tuple[Said, str]]:
        """The earlier answers that contradict this one, with the reason; ``place`` is where this one can be read."""
        same = hash_of(said.question + "\x1f" + said.answer)
        if not said.tells or same in self._seen:
            return
        self._seen.add(same)
        found = set()
        for earlier, reason in self._of_one_question(said, place):
            found.add((earlier.record, earlier.turn))
            yield earlier, reason
        for earlier in self._of_one_topic(said, place) if self._meanings is not None else ():
            if (earlier.record, earlier.turn) not in found:
                yield earlier, "negation"

    def _of_one_question(self, said: Said, place: int) -> Iterator[tuple[Said, str]]:
        """As :meth:`opposite`, of answers to nearly the same question."""
        asked = stems(_last_question(said.question))
        if len(asked) < 2 or _OWN.search(said.answer):
            return
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
            elif share >= EQUAL_QUESTION and said.supported != earlier.supported and self._apart(said, earlier, asked):
                yield earlier, "unsupported"
        for key in keys:
            bucket = self._places[key]
            bucket.append(place)
            del bucket[:-_BUCKET]

    def _of_one_topic(self, said: Said, place: int) -> Iterator[Said]:
        """The earlier answers of which one denies what the other affirms, to questions that may share few words; only
        about what no statement speaks of.
        """
        words = _topic(said)
        rare = sorted(words, key=lambda term: (-self._weight([term]), term))[:_TOPIC_KEYS]
        keys = list(combinations(sorted(rare), 2))
        for other in sorted({place for key in keys for place in self._topics[key]}):
            earlier = self._read(other)
            shared = words & _topic(earlier)
            if earlier.record == said.record or said.supported or earlier.supported:
                continue
            if self._weight(shared) < SAME_TOPIC or not self._denied(said.answer, earlier.answer, shared):
                continue
            if not _agreeing(said.answer, earlier.answer) and self._open(said) and self._open(earlier):
                yield earlier
        for key in keys:
            bucket = self._topics[key]
            bucket.append(place)
            del bucket[:-_TOPIC_BUCKET]

    def _denied(self, one: str, other: str, shared: frozenset[str]) -> bool:
        """Whether a sentence of one answer denies a word of what both speak of that a sentence of the other affirms."""
        for mine, theirs in product(_telling(one), _telling(other)):
            under, free = denied(mine)
            their_under, their_free = denied(theirs)
            apart = under & their_free - their_under - free - TIMES
            back = their_under & free - under - their_free - TIMES
            both = stems(mine) & stems(theirs)
            if bool(apart) != bool(back) and (apart | back) & shared and self._weight(both) >= SAME_SENTENCE:
                return len(both) >= 2
        return False

    def _open(self, said: Said) -> bool:
        """Whether no statement of the truth speaks of what an answer says."""
        meant = self._meanings.beside(said.question, said.answer, 1) if self._meanings is not None else []
        return bool(meant) and meant[0].likeness < OPEN

    def _apart(self, one: Said, other: Said, asked: frozenset[str]) -> bool:
        """Whether two answers to one question, of which the truth says only one, have little in common; that one must
        speak of what is ``asked``.
        """
        unsaid, told = (other, one) if one.supported else (one, other)
        if not unsaid.decides or not told.decides or not asked & stems(told.answer):
            return False
        if _OWN.search(unsaid.answer) or unsaid.answer.endswith("?") or len(unsaid.answer.split()) > LONGEST:
            return False
        a, b = stems(one.answer), stems(other.answer)
        least = min(self._weight(a), self._weight(b))
        return len(stems(unsaid.answer)) >= 3 and self._weight(a & b) < COMMON * least


def _topic(said: Said) -> frozenset[str]:
    return stems(last_question(said.question) or said.question) | stems(said.answer)


def _telling(answer: str) -> list[str]:
    """The sentences of an answer that tell something of the hospital."""
    return [one for one in split_sentences(answer) if not one.endswith("?") and not OF_THE_CALL.search(one)]


def _last_question(text: str) -> str:
    """What is asked in the end: what comes before it is seldom part of it."""
    asked = [sentence for sentence in split_sentences(text) if sentence.endswith("?")]
    return asked[-1] if asked and len(stems(asked[-1])) >= 2 else text


def hash_of(text: str) -> int:
    """A number of 64 bits for a text, the same in every run."""
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big")


def _differ(one: str, other: str) -> str:
    """Why two answers to one question cannot both be right; "" if they can."""
    alike = len(stems(one) & stems(other)) >= SAME_WORDS * len(stems(one) | stems(other))
    if alike and _other_figures(one, other):
        return "figures"
    if _agreeing(one, other):
        return ""
    mine, theirs = [one, *clauses(one)], [other, *clauses(other)]
    for a in mine:
        for b in theirs:
            reason, both = opposed(a, b), stems(a) & stems(b)
            least = min(len(stems(a)), len(stems(b)))
            if len(both) >= 2 and (reason not in (*IN_WORDS, "") or (reason and len(both) >= MOST_WORDS * least)):
                return reason
    return ""


def _agreeing(one: str, other: str) -> bool:
    """Whether parts of two answers that speak of the same thing take the same side."""
    mine, theirs = [one, *clauses(one)], [other, *clauses(other)]
    return any(agree(a, b) and len(stems(a) & stems(b)) >= 2 for a in mine for b in theirs if stance(a))


def _other_figures(one: str, other: str) -> bool:
    """Whether two answers in nearly the same words name other figures of one kind."""
    mine, theirs = _by_kind(one), _by_kind(other)
    return any(mine[key] - theirs[key] and theirs[key] - mine[key] for key in mine.keys() & theirs.keys())


def _by_kind(text: str) -> Mapping[tuple[str, str], set[str]]:
    found: defaultdict[tuple[str, str], set[str]] = defaultdict(set)
    for figure in read_figures(text):
        if figure.kind != "phone":
            found[figure.kind, figure.unit] |= set(figure.value.split())
    return found


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


def with_clauses(statements: Sequence[Statement]) -> Iterator[Statement]:
    """Each statement, and each of its clauses as a statement of its own; none twice."""
    seen = set()
    for statement in statements:
        for text in (statement.text, *clauses(statement.text)):
            key = text.rstrip(".").lower()
            if key not in seen:
                seen.add(key)
                yield Statement(statement.source, text, stems(text), read_figures(text), statement.about)
