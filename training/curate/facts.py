"""Wrong figures in what the staff said: phones, hours, doses, prices, rooms and other numbers against the truth.

A figure is wrong where the sentence of the truth that speaks of the same thing has another one of its kind in its place
and no sentence that speaks of it has this one. A phone that de-identification took out of "call Imaging at ..." is
wrong too: the hospital's own phones stay.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from app.guardrails.output import stem
from training.curate.clauses import with_clauses
from training.curate.figures import Figure, read_figures
from training.curate.meaning import Meanings, Meant
from training.curate.spoken import EITHER, LASTING
from training.curate.truth import SITE, Beside, Statement, Truth, stems

Wrong = Literal["wrong_phone", "wrong_hours", "wrong_number", "wrong_dose"]

ALIKE = 0.62
"""From here on a statement of the truth speaks of the same thing as a sentence."""
ALIKE_DOSE = 0.5
"""The same for a dose, where another figure of the sentence stands in the statement too ("in 24 hours")."""
CLAUSE = 0.78
"""From here on a clause of a statement does so, which the others of its clauses say nothing about."""
WORD_FOR_WORD = 0.95
"""From here on a statement says the same as a sentence in nearly the same words."""
SUPPORTS = 0.5
"""From here on it is looked at whether it holds the figure."""
SPREAD = 0.2
"""And no further below the best."""
LEAST_SAID = 0.3
"""So much of the statement the sentence itself must hold; the question may lend the rest."""
FROM_QUESTION, FROM_SENTENCE, FROM_AROUND = 0.7, 0.7, 0.4
"""How much of a word's weight the patient's question, the rest of a sentence and the rest of the record lend."""
MEANS = 0.45
"""From here on, as a cosine, a statement means the same thing as a sentence in other words."""
MEANS_MUCH = 0.57
"""And from here on also a figure of it without its unit, or with another: "at least ten", "till six"."""
MEANS_LESS = 0.1
"""A statement that is so much less alike than the best may still hold the figure."""
_ENDING = re.compile(r"\b(?:until|till|to|clos\w+|ends?|last|quits?|late)\b[^.;]*$", re.IGNORECASE)
_ASKS = re.compile(
    r"\?\W*$|^(?:\W*(?:and|okay|so|all right)\b)*\W*(?:is|was|are|do|did|can|could|may)\b", re.IGNORECASE
)
_LEAST_WORDS = 3
_NAMELESS = re.compile(r"<(?:ORGANIZATION|PERSON|ADDRESS)(?:_\d+)?>")
_LAST, _NEXT = re.compile(r"([A-Za-z]+)[^A-Za-z]*$"), re.compile(r"[^A-Za-z]*([A-Za-z]+)")
_WINDOW = 9
_FROM_NAME = 40
"""Characters between a department's name and its phone, at most."""
_BREAK = re.compile(r"[;:]\s|,\s(?:and|but|or|so|because|which)\s|,\s(?=[a-z])|\s-\s")
_DOSES = frozenset({"mg", "mcg", "g", "ml", "l", "oz", "cup", "glass", "tsp", "tbsp", "unit", "tablet", "pill",
                    "capsule", "puff", "drop", "dose", "kg"})  # fmt: skip


@dataclass(frozen=True, slots=True)
class Fault:
    """``figure`` of a sentence should be ``right``, as ``statement`` says."""

    kind: Wrong
    figure: Figure
    right: str
    sentence: str
    statement: Statement

    @property
    def corrected(self) -> str:
        """The sentence with the right figure in it."""
        return self.sentence[: self.figure.start] + self.right + self.sentence[self.figure.end :]


class Facts:
    """Checks sentences. Build it once in each process."""

    def __init__(self, truth: Truth, phones: Mapping[str, str], meanings: Meanings | None = None) -> None:
        """``phones``: the phone of each department or contact, by its name in lower case. Without ``meanings`` only
        statements that share words with a sentence are found.
        """
        self._meanings = meanings
        self._numbers = [one for statement in truth.statements for one in statement.figures if one.kind == "phone"]
        self._truth = truth
        whole = frozenset(statement.text for statement in truth.statements)
        self._clauses = Truth([one for one in with_clauses(truth.statements) if one.figures and one.text not in whole])
        self._phones = dict(sorted(phones.items(), key=lambda item: -len(item[0])))

    def check(
        self, sentence: str, question: str = "", around: str = "", *, given: frozenset[str] = frozenset()
    ) -> list[Fault]:
        """The wrong figures of a sentence of the staff, said to ``question`` with ``around`` it in the record.

        ``given``: phones that the patient said, which are hers. Notes have no question, and speak of the patient's own
        figures: there only statements that share words count.
        """
        figures = [figure for figure in read_figures(sentence) if figure.text not in given and figure.kind != "link"]
        if not figures:
            return []
        said = stems(_without_times(sentence, figures))
        if len(said) < _LEAST_WORDS and _NAMELESS.search(sentence):
            return []
        lent = [(stems(question), FROM_QUESTION), (stems(around), FROM_AROUND)]
        whole = self._truth.beside(said, lent, figures)
        clauses = self._clauses.beside(said, lent, figures)
        in_place = _in_place(figures, whole)
        meant: list[Meant] | None = None
        faults = []
        for number, figure in enumerate(figures):
            if figure.kind != "phone" and in_place and not (right := in_place.statement.figures[number]).says(figure):
                faults.append(Fault(_kind(figure, right), figure, right.text, sentence, in_place.statement))
                continue
            # A clause, or what stands next to the figure, is nearer to what it says than a sentence that says more.
            near = list(whole)
            if figure.kind in ("time", "number"):
                near += [beside for beside in clauses if beside.alike >= CLAUSE]
            for part in dict.fromkeys((_clause(sentence, figure), _window(sentence, figure))):
                words = stems(part)
                if _LEAST_WORDS <= len(words) < len(said):
                    near += self._truth.beside(words, [(said, FROM_SENTENCE), *lent], read_figures(part))
            if figure.kind == "phone" and (named := self._named(sentence, figure)):
                fault = self._phone(sentence, figure, named)
            elif _supported(figure, near):
                fault = None
            else:
                fault = self._fault(sentence, figure, figures, near)
                if fault is None and self._meanings is not None and question and self._tells(sentence, figure):
                    meant = self._meanings.beside(question, sentence, with_figure=True) if meant is None else meant
                    fault = _in_other_words(sentence, figure, figures, meant)
            if fault:
                faults.append(fault)
        return faults

    def _tells(self, sentence: str, figure: Figure) -> bool:
        """Whether a figure is one to be looked up by meaning: no question's, none that de-identification wrote ("90+"),
        and no phone of the hospital's, for whose it is hangs on more than a sentence.
        """
        known = figure.kind == "phone" and any(map(figure.says, self._numbers))
        return not known and not _ASKS.search(sentence) and sentence[figure.end : figure.end + 1] != "+"

    @staticmethod
    def _fault(sentence: str, figure: Figure, figures: Sequence[Figure], near: Sequence[Beside]) -> Fault | None:
        for beside in sorted(near, key=lambda item: -item.alike):
            agreeing = any(_holds(beside.statement, other) for other in figures)
            least = ALIKE_DOSE if figure.unit in _DOSES and agreeing else ALIKE
            if beside.alike < least or beside.said < LEAST_SAID:
                continue
            right = _instead(figure, figures, beside.statement)
            if right is not None and _counts_alike(sentence, figure, beside.statement, right):
                return Fault(_kind(figure, right), figure, right.text, sentence, beside.statement)
        return None

    def _named(self, sentence: str, figure: Figure) -> str:
        """The department or contact that stands right before a phone; "" if none does."""
        before = sentence[: figure.start].lower()
        named = [(before.rfind(name), name) for name in self._phones if name in before]
        if not named:
            return ""
        place, name = max(named, key=lambda item: (item[0] + len(item[1]), len(item[1])))
        between = before[place + len(name) :]
        return "" if len(between) > _FROM_NAME or any(mark in between for mark in ".;?!") else name

    def _phone(self, sentence: str, figure: Figure, name: str) -> Fault | None:
        """A phone beside a department's name is that department's."""
        right = self._phones[name]
        if any(map(figure.says, read_figures(right))):
            return None
        statement = Statement(SITE, f"{name}: {right}", frozenset(), ())
        return Fault("wrong_phone", figure, right, sentence, statement)


def _supported(figure: Figure, near: Sequence[Beside]) -> bool:
    """Whether a statement that speaks of the same thing holds the figure."""
    floor = max(SUPPORTS, max((beside.alike for beside in near), default=0.0) - SPREAD)
    return any(
        _holds(beside.statement, figure) for beside in near if beside.alike >= floor and beside.said >= LEAST_SAID
    )


def _in_other_words(sentence: str, figure: Figure, figures: Sequence[Figure], meant: Sequence[Meant]) -> Fault | None:
    """As :meth:`Facts._fault`, of statements that mean the same thing."""
    near = [one for one in meant if one.likeness >= max(MEANS, meant[0].likeness) - MEANS_LESS]
    if any(_holds(one.statement, figure) or _same_number(one.statement, figure) for one in near):
        return None
    for one in near:
        if one.likeness < MEANS:
            break
        right = _opposite_number(sentence, figure, figures, one.statement)
        if right is not None and (one.likeness >= MEANS_MUCH or _same_unit(figure, right)):
            return Fault(_kind(figure, right), figure, right.text, sentence, one.statement)
    return None


def _same_number(statement: Statement, figure: Figure) -> bool:
    """Whether a number said without its unit stands in the statement: "twelve and up", "till six"."""
    return not figure.unit and any(
        (one.kind, one.value) == (figure.kind, figure.value) or _same_hour(figure, one) for one in statement.figures
    )


def _opposite_number(sentence: str, figure: Figure, figures: Sequence[Figure], statement: Statement) -> Figure | None:
    """The figure of a statement that the sentence gives otherwise: of what each says alone, one that may be compared.

    They pair off in order; of more opening hours those of the day count, the last after "until" or "close".
    """

    def said(one: Figure) -> bool:
        return _holds(statement, one) or _same_number(statement, one)

    mine = [one for one in figures if _comparable(figure, one) and not said(one)]
    theirs = [
        one
        for one in statement.figures
        if _comparable(figure, one) and not any(one.says(other) or _same_hour(other, one) for other in figures)
    ]
    if figure not in mine or not theirs or len(mine) > len(theirs):
        return None
    if len(theirs) == len(mine):
        return theirs[mine.index(figure)]
    hours = [one for one in _hours_of(figures, statement) if one in theirs]
    return (hours[-1] if _ENDING.search(sentence[: figure.start]) else hours[0]) if hours else None


def _hours_of(figures: Sequence[Figure], statement: Statement) -> list[Figure]:
    """The times of a statement that belong to the day that the sentence speaks of, else to the days that come first."""
    spoken_of = {day for one in figures if one.kind == "days" for day in one.value.split()}
    groups: list[tuple[set[str], list[Figure]]] = []
    for one in statement.figures:
        if one.kind == "days" and (not groups or groups[-1][1]):
            groups.append((set(), []))
        if groups and one.kind == "days":
            groups[-1][0].update(one.value.split())
        elif groups and one.kind == "time":
            groups[-1][1].append(one)
    named = [times for days, times in groups if days & spoken_of]
    return named[0] if named else groups[0][1] if groups else []


def _comparable(figure: Figure, other: Figure) -> bool:
    """Whether ``figure`` may be of the same thing: times, lengths of time, numbers with one unit or said without it."""
    if figure.kind == other.kind == "number":
        lasting = figure.unit in LASTING and other.unit in LASTING
        return lasting or not figure.unit or figure.unit == other.unit
    if {figure.kind, other.kind} == {"number", "time"}:
        return _hour(figure) or _hour(other)
    return figure.kind == other.kind and figure.kind in ("time", "days", "phone")


def _same_unit(figure: Figure, other: Figure) -> bool:
    return figure.kind == other.kind and (figure.kind != "number" or bool(figure.unit and other.unit))


def _hour(figure: Figure) -> bool:
    """Whether a number may be an hour: "till six"."""
    return figure.kind == "number" and not figure.unit and figure.value.isdigit() and 1 <= int(figure.value) <= 12


def _same_hour(figure: Figure, time: Figure) -> bool:
    return (
        time.kind == "time"
        and _hour(figure)
        and time.says(replace(figure, kind="time", value=f"{EITHER}{int(figure.value) % 12:02d}:00"))
    )


def _without_times(sentence: str, figures: Sequence[Figure]) -> str:
    """The sentence without its times: "half past five" is not what it speaks of."""
    for figure in figures:
        if figure.kind == "time":
            sentence = sentence[: figure.start] + " " * len(figure.text) + sentence[figure.end :]
    return sentence


def _in_place(figures: Sequence[Figure], near: Sequence[Beside]) -> Beside | None:
    """The statement that says the same as the sentence, word for word and figure for figure but for some values: then
    each figure has its place, and is wrong even where another place has its value. None if there is no such statement,
    or if it has the same figures in another order.
    """
    for beside in near:
        theirs = beside.statement.figures
        if (
            beside.alike < WORD_FOR_WORD
            or len(theirs) < 2
            or [(f.kind, f.unit) for f in theirs] != [(f.kind, f.unit) for f in figures]
        ):
            continue
        return None if sorted(f.value for f in theirs) == sorted(f.value for f in figures) else beside
    return None


def _clause(sentence: str, figure: Figure) -> str:
    """The part of a sentence around a figure, between marks."""
    starts = [match.end() for match in _BREAK.finditer(sentence) if match.end() <= figure.start]
    ends = [match.start() for match in _BREAK.finditer(sentence) if match.start() >= figure.end]
    return sentence[starts[-1] if starts else 0 : ends[0] if ends else len(sentence)]


def _window(sentence: str, figure: Figure) -> str:
    """The words next to a figure: speech that was written down without marks has no clauses."""
    before = sentence[: figure.start].split()
    after = sentence[figure.end :].split()
    return " ".join([*before[-_WINDOW:], figure.text, *after[:_WINDOW]])


def _holds(statement: Statement, figure: Figure) -> bool:
    if figure.kind == "days" and " " not in figure.value:
        # One day of those that are named, or of a range.
        return any(figure.value in other.value.split() for other in statement.figures if other.kind == "days")
    return any(map(figure.says, statement.figures))


def _instead(figure: Figure, figures: Sequence[Figure], statement: Statement) -> Figure | None:
    """The figure of the statement that stands in the place of this one: of its kind, and not said otherwise.

    Its place is told by the figure before it or behind it that both have, or by there being no other.
    """
    theirs = [other for other in statement.figures if _fits(figure, other) and not any(map(other.says, figures))]
    if not theirs:
        return None
    at = figures.index(figure)
    for step, beside in ((1, figures[at - 1 : at]), (-1, figures[at + 1 : at + 2])):
        for place, other in enumerate(statement.figures):
            if beside and other.says(beside[0]) and 0 <= place + step < len(statement.figures):
                found = statement.figures[place + step]
                if found in theirs:
                    return found
    mine = [other for other in figures if _fits(figure, other) and not any(map(other.says, statement.figures))]
    if figure not in mine or (len(theirs) != len(mine) and len(theirs) != 1):
        return None
    return theirs[min(mine.index(figure), len(theirs) - 1)]


def _fits(figure: Figure, other: Figure) -> bool:
    """Whether one may stand for the other: figures of one kind, that count the same thing or speak of the same day."""
    if figure.kind != other.kind:
        return False
    if figure.kind == "state":
        return figure.value.split()[1:] == other.value.split()[1:]
    return figure.kind != "number" or _like(figure, other)


def _like(figure: Figure, other: Figure) -> bool:
    """Whether two numbers count the same thing, or one number stands with two units of it ("15 mg", "15 g")."""
    if figure.unit == other.unit:
        return ("." in figure.value) == ("." in other.value) or bool(figure.unit)
    if figure.unit in LASTING and other.unit in LASTING:
        lengths = list(LASTING)
        return abs(lengths.index(figure.unit) - lengths.index(other.unit)) == 1
    return figure.value == other.value and {figure.unit, other.unit} <= _DOSES


def _counts_alike(sentence: str, figure: Figure, statement: Statement, right: Figure) -> bool:
    """Whether two numbers without a unit stand by the same word: "session 11" is no "36 sessions"."""
    if figure.kind != "number" or figure.unit or right.unit:
        return True
    mine, theirs = _neighbours(sentence, figure), _neighbours(statement.text, right)
    return any(one and one == other for one, other in zip(mine, theirs, strict=True))


def _neighbours(text: str, figure: Figure) -> tuple[str, str]:
    before, after = _LAST.search(text[: figure.start]), _NEXT.match(text[figure.end :])
    return stem(before[1].lower()) if before else "", stem(after[1].lower()) if after else ""


def _kind(figure: Figure, right: Figure) -> Wrong:
    if figure.kind == "phone":
        return "wrong_phone"
    if figure.kind in ("time", "days", "state"):
        return "wrong_hours"
    return "wrong_dose" if figure.unit in _DOSES or right.unit in _DOSES else "wrong_number"
