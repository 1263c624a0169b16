"""Which words tell of what is long over: dated, of childhood, of an earlier turn, or looked at by a doctor since.

A clause is past only where nothing in it says that it goes on: "I had a stroke in 2015 and now my face droops".
"""

from __future__ import annotations

from itertools import pairwise

from app.guardrails.cues import AND, Cues
from app.guardrails.facts import NUMBER_WORDS
from app.guardrails.tokens import COMMA, SENTENCE

_YEARS = range(1930, 2026)
_WHO = {"i", "he", "she", "they"}
_BACK = {"that", "eso"}
_WAS = {"was", "happened", "fue", "paso"}
_AGAIN = {"again", "otra", "de"}
_PREGNANT = {"pregnant", "expecting", "embarazada"}
_NEVER = {"never", "not", "nunca", "jamas"}
_TODAY = {"today", "tonight", "hoy"}
_RETURNS = {
    ("having", "one"),
    ("having", "another"),
    ("one", "again"),
    ("another", "one"),
    ("happening", "again"),
    ("otra", "vez"),
}
_AFTERTHOUGHT = 9
_VERDICT = 10


class Past:
    """The past of one conversation."""

    def __init__(self, cues: Cues) -> None:
        self._cues = cues
        self._times = self._dated()
        self._present = {p for p in cues.members("present") if not self._of_the_past(p)}

    def words(self) -> set[int]:
        """Every word that tells of the past."""
        found: set[int] = set()
        before = 0
        starts = {a for a, _ in self._times}
        for a, b in self._cues.clauses():
            past = any(a <= c < b for c in starts) and not self._now(a, b)
            if past and not self._returns(b):
                found.update(range(self._told_of(a, before), b))
            before = a
        return found | self._afterthoughts() | self._grown() | self._cleared()

    def _now(self, a: int, b: int) -> bool:
        return any(a <= p < b for p in self._present)

    def _past_tense(self, a: int, b: int) -> bool:
        verbs = self._cues.members("past_verb")
        words = [self._cues.word(i) for i in range(a, b)]
        return any(i in verbs for i in range(a, b)) or any(len(w) > 4 and w.endswith("ed") for w in words)

    def _dated(self) -> list[tuple[int, int]]:
        cues = self._cues
        times = list(cues.ranges("history"))
        times += [(i, i + 1) for i in range(cues.count) if self._year(i)]
        times += [(i, end) for i in range(cues.count) if (end := self._young(i))]
        times += [(b, b + 2) for _, b in cues.ranges("named") if cues.word(b) == "at" and self._age(b + 1)]
        return times

    def _clause(self, i: int) -> tuple[int, int]:
        return next((a, b) for a, b in self._cues.clauses() if a <= i < b)

    def _year(self, i: int) -> bool:
        word = self._cues.word(i)
        return len(word) == 4 and word.isdigit() and int(word) in _YEARS

    def _age(self, i: int) -> int:
        """The number at word ``i``, in figures or words, if a person can be so old; otherwise 0."""
        word = self._cues.word(i)
        number = int(word) if word.isdigit() else NUMBER_WORDS.get(word, 0)
        return int(number) if 2 <= number <= 99 else 0

    def _young(self, i: int) -> int:
        """The end of an age that begins at word ``i``: "when she was 30", "cuando tenia ocho", "tuvo ... de nino"."""
        word, last = self._cues.word, 0
        if word(i) == "when" and word(i + 1) in _WHO and word(i + 2) in {"was", "were"}:
            last = i + 3
        elif word(i) == "cuando" and word(i + 1) in {"tenia", "tenian"}:
            last = i + 2
        elif word(i) == "cuando" and word(i + 2) == "tenia":
            last = i + 3
        if last:
            return last + 1 if 0 < self._age(last) <= 60 else 0
        suffered = self._cues.members("suffered")
        childhood = word(i) == "de" and i + 1 in self._cues.members("childhood")
        return i + 2 if childhood and any(w in suffered for w in range(i - 6, i)) else 0

    def _of_the_past(self, p: int) -> bool:
        """Whether a word of the present is none: "never again", "ten years ago today", "today is five years since"."""
        word, breaks = self._cues.word, self._cues.words.breaks
        if word(p) == "again":
            return word(p - 1) in _NEVER
        if word(p) not in _TODAY:
            return False
        ends = p + 1 >= self._cues.count or breaks[p + 1] >= COMMA or p + 1 in self._cues.members("subject")
        ends = (ends or word(p + 1) in {"you", "your"}) and self._past_tense(*self._clause(p))
        if ends and any(b == p for _, b in self._times):
            return True
        later = {word(i) for i in range(p + 2, p + 5)}
        return word(p + 1) in {"is", "marks", "makes"} and bool(later & {"years", "yrs", "year", "anniversary"})

    def _returns(self, b: int) -> bool:
        """Whether the sentence goes on to say that the past is back: "... and now he is having one again"."""
        if b >= self._cues.count or self._cues.words.breaks[b] >= SENTENCE:
            return False
        end = self._cues.sentence(b)[1]
        again = (p for p in self._present if b <= p < end and self._cues.word(p) in _AGAIN and not self._asked(p))
        if any(self._cues.word(p - 1) not in _PREGNANT for p in again):
            return True
        return any(pair in _RETURNS for pair in pairwise(self._cues.words.words[b:end]))

    def _told_of(self, a: int, before: int) -> int:
        """Where the past begins: with the clause before, when this one speaks of it ("..., that was years ago")."""
        first = a + 1 if self._cues.word(a) in AND else a
        told = self._cues.word(first) in _BACK and self._cues.word(first + 1) in _WAS
        told = told and self._cues.words.breaks[a] < SENTENCE
        return before if told and not self._now(before, a) else a

    def _afterthoughts(self) -> set[int]:
        """Words in the past tense that the next clause or turn dates: "he fainted // no i mean in 2009"."""
        found: set[int] = set()
        for (before, _), (a, b) in pairwise(self._cues.clauses()):
            told = self._past_tense(before, a) or "old" in self._cues.words.words[before:a]
            if self._cues.words.breaks[a] == SENTENCE or not told or self._now(before, b) or self._goes_on(before):
                continue
            if b - a <= _AFTERTHOUGHT and self._tells_the_time(a, b):
                found.update(range(before, b))
                if self._cues.word(b) == "when" and not self._now(*self._clause(b)):
                    found.update(range(*self._clause(b)))
        return found

    def _tells_the_time(self, a: int, b: int) -> bool:
        """Whether a clause is a time and no more: "years ago", "that was 12 years ago", "no i mean in 2009"."""
        time = {i for c, d in self._times for i in range(c, d)}
        spare = {i for c, d in self._cues.ranges("time_word") for i in range(c, d)}
        dated = any(i in time for i in range(a, b))
        return dated and all(i in time or i in spare or self._age(i) for i in range(a, b))

    def _grown(self) -> set[int]:
        """Words of what began at an age or a date, where the turn tells that it is long over: "at 14 months, hes 9".

        The clauses that go on in the past tense belong to it: "wrecked the car in 2011, broke a hip, all healed".
        """
        found: set[int] = set()
        over = [*self._ages_now(), *self._cues.members("later"), *self._cues.members("healed")]
        for a, b in self._clauses_of_age() if over else ():
            begin, end = self._cues.turn(a)
            if not any(begin <= i < end for i in over) or self._goes_on(begin):
                continue
            found.update(range(a, b))
            for c, d in self._cues.clauses():
                if b <= c < self._cues.sentence(a)[1]:
                    if self._now(c, d) or not self._past_tense(c, d):
                        break
                    found.update(range(c, d))
        return found

    def _clauses_of_age(self) -> list[tuple[int, int]]:
        word = self._cues.word
        dated = {i for i in range(self._cues.count) if word(i) in {"at", "a"} and self._age(i + 1)}
        dated |= {a for a, _ in self._times} | self._cues.members("dated")
        clauses = sorted({self._clause(i) for i in dated})
        return [(a, b) for a, b in clauses if self._past_tense(a, b) and not self._now(a, b)]

    def _ages_now(self) -> list[int]:
        """Where somebody's age in years stands: "he is 9", "she 11 now", "now 41", "turned five", "in 9th grade"."""
        found = []
        for i in range(self._cues.count):
            if i in self._cues.members("age_now") and self._cues.word(i + 1) not in _TODAY:
                after = i + 2 if self._cues.word(i + 1) in {"is", "am", "now", "ya"} else i + 1
                if self._age(after) and after + 1 not in self._cues.members("unit"):
                    found.append(i)
        return found

    def _cleared(self) -> set[int]:
        """Words in the past tense about what a doctor has looked at since, where nothing tells of a return.

        They stand in the turn of the doctor or in the turn before it: "she fainted on tuesday // the er checked her".
        """
        found: set[int] = set()
        for c in self._cues.members("cleared") | self._judged():
            begin = self._cues.turn(c)[0]
            begin = self._cues.turn(begin - 1)[0] if begin else 0
            if self._goes_on(begin):
                continue
            for a, b in self._cues.clauses():
                if begin <= a <= c and not self._now(a, b) and self._past_tense(a, b):
                    found.update(range(a, b))
        return found

    def _judged(self) -> set[int]:
        """Where somebody of the profession says that it is no danger: "poison control said that is nothing"."""
        found, verdicts = set(), self._cues.members("verdict")
        for a, b in self._cues.ranges("expert"):
            end = min(self._cues.turn(a)[1], b + _VERDICT)
            if any(b <= v < end for v in verdicts):
                found.add(a)
        return found

    def _goes_on(self, begin: int) -> bool:
        """Whether anything from word ``begin`` on tells that it is back or not over."""
        return any(p >= begin for p in self._cues.members("returned") if not (self._of_the_past(p) or self._asked(p)))

    def _asked(self, p: int) -> bool:
        """Whether "again" is part of a question only: "how do i get that paper again"."""
        a, b = self._clause(p)
        return self._cues.word(p) == "again" and any(a <= i < b for i in self._cues.members("asks"))
