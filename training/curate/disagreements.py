"""Answers of the staff that say the opposite of another answer.

Nearly the same was asked, and their clauses take opposite sides or name other figures for it; or both speak of the same
thing, of which the hospital says nothing, and one denies what the other affirms.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import combinations, product

from training.curate.clauses import clauses
from training.curate.contradictions import IN_WORDS, LONGEST, OWN
from training.curate.figures import read_figures
from training.curate.meaning import Meanings
from training.curate.replies import OF_THE_CALL, last_question
from training.curate.scratch import scratch
from training.curate.stance import TIMES, agree, denied, opposed, stance
from training.curate.truth import stems
from training.sentences import split_sentences

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
_KEYS = 3
_BUCKET = 40
_TOPIC_KEYS = 7
_TOPIC_BUCKET = 10
SAME_TOPIC, SAME_SENTENCE = 10.0, 6.0
"""The least weight of the words that two answers with their questions share, and the sentences that differ."""
OPEN = 0.62
"""Below this, as a cosine, no statement speaks of what an answer says."""
_CACHE_KB = 16_000


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


class Disagreements:
    """Finds opposite answers to nearly the same question among those that are handed in one after another.

    Answers are looked up by pairs of the rarest words of their question, and of question and answer, in a file of which
    a small part is in memory.
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
        self._index = _Index()

    def opposite(self, said: Said, place: int) -> Iterator[tuple[Said, str]]:
        """The earlier answers that contradict this one, with the reason; ``place`` is where this one can be read."""
        if not said.tells or not self._index.add([_hash("same", said.question, said.answer)], 0):
            return
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
        if len(asked) < 2 or OWN.search(said.answer):
            return
        keys = self._pairs("question", asked, _KEYS)
        for other in self._index.last(keys, _BUCKET):
            earlier = self._read(other)
            theirs = stems(_last_question(earlier.question))
            share = self._weight(asked & theirs) / self._weight(asked | theirs)
            if share < SAME_QUESTION or (said.supported and earlier.supported):
                continue
            if reason := _differ(said.answer, earlier.answer):
                yield earlier, reason
            elif share >= EQUAL_QUESTION and said.supported != earlier.supported and self._apart(said, earlier, asked):
                yield earlier, "unsupported"
        self._index.add(keys, place)

    def _of_one_topic(self, said: Said, place: int) -> Iterator[Said]:
        """The earlier answers of which one denies what the other affirms, to questions that may share few words; only
        about what no statement speaks of.
        """
        if said.supported:
            return
        words = _topic(said)
        keys = self._pairs("topic", words, _TOPIC_KEYS)
        for other in self._index.last(keys, _TOPIC_BUCKET):
            earlier = self._read(other)
            shared = words & _topic(earlier)
            if earlier.record == said.record:
                continue
            if self._weight(shared) < SAME_TOPIC or not self._denied(said.answer, earlier.answer, shared):
                continue
            if not _agreeing(said.answer, earlier.answer) and self._open(said) and self._open(earlier):
                yield earlier
        self._index.add(keys, place)

    def _pairs(self, kind: str, words: frozenset[str], most: int) -> list[int]:
        """Keys for the pairs of the rarest words."""
        rare = sorted(words, key=lambda term: (-self._weight([term]), term))[:most]
        return [_hash(kind, *pair) for pair in combinations(sorted(rare), 2)]

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
        if OWN.search(unsaid.answer) or unsaid.answer.endswith("?") or len(unsaid.answer.split()) > LONGEST:
            return False
        a, b = stems(one.answer), stems(other.answer)
        least = min(self._weight(a), self._weight(b))
        return len(stems(unsaid.answer)) >= 3 and self._weight(a & b) < COMMON * least


class _Index:
    """Places by keys of 64 bits, in a nameless file of SQLite's that goes with the process."""

    def __init__(self) -> None:
        self._file = scratch("key INTEGER, place INTEGER, PRIMARY KEY (key, place)", _CACHE_KB)

    def add(self, keys: Iterable[int], place: int) -> bool:
        """Note a place under each key; whether any of that is new."""
        rows = ((key, place) for key in keys)
        return self._file.executemany("INSERT OR IGNORE INTO held VALUES (?, ?)", rows).rowcount > 0

    def last(self, keys: Iterable[int], most: int) -> list[int]:
        """The last ``most`` places under each key, in order, each once."""
        query = "SELECT place FROM held WHERE key = ? ORDER BY place DESC LIMIT ?"
        return sorted({place for key in keys for (place,) in self._file.execute(query, (key, most))})


def _hash(*parts: str) -> int:
    """A number of 64 bits for texts, the same in every run."""
    return int.from_bytes(hashlib.blake2b("\x1f".join(parts).encode(), digest_size=8).digest(), "big", signed=True)


def _topic(said: Said) -> frozenset[str]:
    return stems(last_question(said.question) or said.question) | stems(said.answer)


def _telling(answer: str) -> list[str]:
    """The sentences of an answer that tell something of the hospital."""
    return [one for one in split_sentences(answer) if not one.endswith("?") and not OF_THE_CALL.search(one)]


def _last_question(text: str) -> str:
    """What is asked in the end: what comes before it is seldom part of it."""
    asked = [sentence for sentence in split_sentences(text) if sentence.endswith("?")]
    return asked[-1] if asked and len(stems(asked[-1])) >= 2 else text


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
