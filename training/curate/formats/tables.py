"""CSV and TSV: a row is a record, or, with a conversation's and a speaker's column, one turn of it."""

from __future__ import annotations

import csv
import re
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from training.curate.formats.contract import FieldName, Refused, SourceRule
from training.curate.formats.drafts import Draft, Fault
from training.curate.formats.facts import Gathered, facts, whose
from training.curate.formats.field_names import column, told
from training.curate.formats.reading import TOO_LONG, Line, SourceFile, shown
from training.curate.formats.speech import listed_turns, spoken

_FORMULA = re.compile(r"\s*(?:=|@\s*\w+\s*\(|[+\-]\s*[A-Za-z][\w.]*\s*\(|[+\-@][^\s]*[|!])")
"""What a spreadsheet would run. A leading dash, plus or at sign in plain words is none."""
_RUNS = "formula in a cell"
_MOST_LINES = 200
"""Lines of one row: an open quotation mark swallows no more than these, and no more characters than a line may have."""
_MOST_ROWS = 5000
"""Rows of one conversation."""
_SPOKEN: tuple[FieldName, ...] = ("speaker", "text")

_BESIDE = "a row in or beside the conversation cannot be read"
"""Whose the row is that cannot be read, nobody knows, nor what it says of consent."""


@dataclass(frozen=True, slots=True)
class _Row:
    """``fault``: why a row may not be used; it has ``cells`` all the same if they could be read."""

    line: int
    place: int
    cells: list[str]
    repaired: bool = False
    fault: Fault | None = None

    def told(self, header: list[str], rule: SourceRule) -> dict[str, Any]:
        """The cells by the rule's keys."""
        return told(zip(header, self.cells, strict=True), rule)

    def aside(self, header: list[str], rule: SourceRule) -> Fault | None:
        """The fault with what the cells tell; None for a row that may be used."""
        if self.fault is None or not self.cells:
            return self.fault
        return replace(self.fault, facts=whose(self.told(header, rule), rule))


class _TooLong(Exception):
    """A row goes on and on."""


class _Table:
    """All rows, also those that may not be used. After a broken row, reading goes on with the line after the one where
    it began.
    """

    def __init__(self, file: SourceFile) -> None:
        self._lines = file.lines()
        self._again: deque[Line] = deque()
        self._faults: list[Fault] = []
        self._delimiter = "\t" if file.name.casefold().endswith(".tsv") else ","
        self._width = 0
        self._place = -1
        self._longest = file.limits.line_bytes
        csv.field_size_limit(file.limits.line_bytes)

    def __iter__(self) -> Iterator[_Row]:
        while True:
            taken: list[Line] = []
            cells, fault = None, ""
            try:
                cells = next(csv.reader(self._feed(taken), delimiter=self._delimiter, strict=True))
            except StopIteration:
                yield from self._unread()
                return
            except csv.Error:
                fault = "cut off at the end of the file" if len(taken) == 1 and taken[0].cut else "broken CSV"
            except _TooLong:
                fault = "broken CSV"
            if not fault and self._faults and len(taken) > 1:
                fault = "a line inside the row cannot be read"
            yield from self._unread()
            if cells and not fault:
                self._width = self._width or len(cells)
                if len(cells) != self._width:
                    fault = "wrong number of cells"
                elif any(map(_FORMULA.match, cells)):
                    fault = _RUNS
            self._place += bool(cells or fault)
            if fault:
                whole = cells if cells and fault == _RUNS else []
                told = Fault(taken[0].number, fault, raw=shown(taken[0].text))
                yield _Row(taken[0].number, self._place, whole, fault=told)
                if not whole:
                    self._again.extendleft(reversed(taken[1:]))
            elif cells:
                yield _Row(taken[0].number, self._place, cells, any(line.repaired for line in taken))

    def _unread(self) -> Iterator[_Row]:
        """The lines that could not be read."""
        yield from (_Row(fault.line, self._place, [], fault=fault) for fault in self._faults)
        self._faults.clear()

    def _feed(self, taken: list[Line]) -> Iterator[str]:
        characters = 0
        while True:
            line = self._again.popleft() if self._again else next(self._lines, None)
            if line is None:
                return
            if isinstance(line, Fault):
                self._faults.append(line)
                continue
            characters += len(line.text)
            if len(taken) == _MOST_LINES or (taken and characters > self._longest):
                self._again.appendleft(line)
                raise _TooLong
            taken.append(line)
            yield line.text + "\n"


def read(file: SourceFile, rule: SourceRule) -> Iterator[Draft | Fault]:
    """See Format. The place is the number of the record's (first) row, the header not counted."""
    rows = iter(_Table(file))
    header: list[str] = []
    for row in rows:
        if row.fault:
            yield row.fault
            continue
        header = [cell.strip() for cell in row.cells]
        break
    if header and (len(set(header)) < len(header) or not _readable(header, rule)):
        yield Fault(0, "no header that names the columns", ", ".join(header)[:200])
        return
    if rule.kind == "transcript" and _has(header, rule, "speaker", "conversation"):
        yield from _by_conversation(rows, header, rule, file.limits.source_characters)
        return
    for row in rows:
        yield row.aside(header, rule) or _single(row, header, rule)


def _readable(header: list[str], rule: SourceRule) -> bool:
    return _has(header, rule, "question", "answer") or _has(header, rule, "text") or _has(header, rule, "turns")


def _has(header: list[str], rule: SourceRule, *names: FieldName) -> bool:
    return all(column(header, rule, name) is not None for name in names)


def _single(row: _Row, header: list[str], rule: SourceRule) -> Draft | Fault:
    get = row.told(header, rule)
    try:
        turns, names = spoken(get, rule)
        return Draft(row.place, turns, facts(get, rule, names), row.repaired)
    except Refused as refused:
        return Fault(row.line, refused.reason, refused.detail, shown(" | ".join(row.cells)), whose(get, rule))


@dataclass(slots=True)
class _Call:
    """Neighbouring rows of one conversation: its name, the first of them, and what each says and tells."""

    conversation: str
    first: _Row
    told: Gathered = field(default_factory=Gathered)
    said: list[dict[str, Any]] = field(default_factory=list)
    characters: int = 0
    repaired: bool = False
    broken: Refused | None = None

    def breaks(self, refused: Refused) -> None:
        """The call is no record any more, for the first such reason."""
        self.broken = self.broken or refused


def _by_conversation(
    rows: Iterator[_Row], header: list[str], rule: SourceRule, most_characters: int
) -> Iterator[Draft | Fault]:
    """Neighbouring rows of one conversation as one record. It is none if a row in it may not be used, nor if one beside
    it could not be read, which may be its own.
    """
    place = column(header, rule, "conversation") or 0
    spoken_in = {rule.key(name): at for name in _SPOKEN if (at := column(header, rule, name)) is not None}
    call: _Call | None = None
    bad: _Row | None = None
    for row in rows:
        if fault := row.aside(header, rule):
            bad = row
            if call and _may_be_of(call.conversation, row, place):
                call.breaks(Refused(_BESIDE))
            yield fault
            continue
        conversation = row.cells[place].strip()
        if call is None or not conversation or conversation != call.conversation:
            if call:
                yield _together(call, rule)
            call = _Call(conversation, row)
        elif len(call.said) >= _MOST_ROWS:
            call.breaks(Refused("too many rows in one conversation"))
        if bad and _may_be_of(conversation, bad, place):
            call.breaks(Refused(_BESIDE))
        bad = None
        _take_in(call, row, header, spoken_in, most_characters, rule)
    if call:
        yield _together(call, rule)


def _may_be_of(conversation: str, row: _Row, place: int) -> bool:
    """Whether a row that may not be used may be one of a conversation. A row that names none is a record by itself."""
    return conversation != "" and (not row.cells or conversation == row.cells[place].strip())


def _take_in(
    call: _Call, row: _Row, header: list[str], spoken_in: dict[str, int], most_characters: int, rule: SourceRule
) -> None:
    """The next row of a call; no words are held of one that is broken."""
    get = row.told(header, rule)
    call.characters += sum(len(row.cells[index]) for index in spoken_in.values())
    if call.characters > most_characters:
        call.breaks(Refused(TOO_LONG))
    if call.broken:
        call.told.add(whose(get, rule))
        return
    call.said.append({key: row.cells[index] for key, index in spoken_in.items()})
    call.repaired |= row.repaired
    try:
        call.told.add(facts(get, rule))
    except Refused as refused:
        call.breaks(refused)
        call.told.add(whose(get, rule))


def _together(call: _Call, rule: SourceRule) -> Draft | Fault:
    first = call.first
    try:
        if call.broken:
            raise call.broken
        turns, names = listed_turns(call.said, rule)
        if not turns:
            raise Refused("no text")
        return Draft(first.place, turns, call.told.facts(names), call.repaired)
    except Refused as refused:
        return Fault(first.line, refused.reason, refused.detail, shown(" | ".join(first.cells)), call.told.whose())
