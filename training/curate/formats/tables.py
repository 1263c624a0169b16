"""CSV and TSV: a row is a record, or, with a conversation's and a speaker's column, one turn of it."""

from __future__ import annotations

import csv
import re
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from training.curate.formats.contract import Draft, Refused, SourceRule
from training.curate.formats.facts import facts
from training.curate.formats.reading import Fault, Line, SourceFile, shown
from training.curate.formats.speech import listed_turns, spoken

_FORMULA = re.compile(r"\s*(?:=|@\s*\w+\s*\(|[+\-]\s*[A-Za-z][\w.]*\s*\(|[+\-@][^\s]*[|!])")
"""What a spreadsheet would run. A leading dash, plus or at sign in plain words is none."""
_MOST_LINES = 200
"""Lines of one row: an open quotation mark swallows no more than these."""
_MOST_ROWS = 5000
"""Rows of one conversation."""


@dataclass(frozen=True, slots=True)
class _Row:
    line: int
    place: int
    cells: list[str]
    repaired: bool


class _TooManyLines(Exception):
    """A row goes on and on."""


class _Table:
    """Rows and faults. After a broken row, reading goes on with the line after the one where it began."""

    def __init__(self, file: SourceFile) -> None:
        self._lines = file.lines()
        self._again: deque[Line] = deque()
        self._faults: list[Fault] = []
        self._delimiter = "\t" if file.name.casefold().endswith(".tsv") else ","
        self._width = 0
        self._place = -1
        csv.field_size_limit(file.limits.line_bytes)

    def __iter__(self) -> Iterator[_Row | Fault]:
        while True:
            taken: list[Line] = []
            cells, fault = None, ""
            try:
                cells = next(csv.reader(self._feed(taken), delimiter=self._delimiter, strict=True))
            except StopIteration:
                yield from self._faults
                return
            except csv.Error:
                fault = "cut off at the end of the file" if len(taken) == 1 and taken[0].cut else "broken CSV"
            except _TooManyLines:
                fault = "broken CSV"
            if not fault and self._faults and len(taken) > 1:
                fault = "a line inside the row cannot be read"
            yield from self._faults
            self._faults.clear()
            if cells and not fault:
                self._width = self._width or len(cells)
                if len(cells) != self._width:
                    fault = "wrong number of cells"
                elif any(map(_FORMULA.match, cells)):
                    fault = "formula in a cell"
            self._place += bool(cells or fault)
            if fault:
                yield Fault(taken[0].number, fault, raw=shown(taken[0].text))
                if fault != "formula in a cell":
                    self._again.extendleft(reversed(taken[1:]))
            elif cells:
                yield _Row(taken[0].number, self._place, cells, any(line.repaired for line in taken))

    def _feed(self, taken: list[Line]) -> Iterator[str]:
        while True:
            line = self._again.popleft() if self._again else next(self._lines, None)
            if line is None:
                return
            if isinstance(line, Fault):
                self._faults.append(line)
                continue
            if len(taken) == _MOST_LINES:
                self._again.appendleft(line)
                raise _TooManyLines
            taken.append(line)
            yield line.text + "\n"


def read(file: SourceFile, rule: SourceRule) -> Iterator[Draft | Fault]:
    """See Format. The place is the number of the record's (first) row, the header not counted."""
    rows = iter(_Table(file))
    header: list[str] = []
    for row in rows:
        if isinstance(row, Fault):
            yield row
            continue
        header = [cell.strip() for cell in row.cells]
        break
    if header and (len(set(header)) < len(header) or not _readable(header, rule)):
        yield Fault(0, "no header that names the columns", ", ".join(header)[:200])
        return
    if rule.kind == "transcript" and {rule.key("speaker"), rule.key("conversation")} <= set(header):
        yield from _by_conversation(rows, header, rule)
        return
    for row in rows:
        yield row if isinstance(row, Fault) else _single(row, header, rule)


def _readable(header: list[str], rule: SourceRule) -> bool:
    pair = rule.key("question") in header and rule.key("answer") in header
    return pair or rule.key("text") in header or rule.key("turns") in header


def _single(row: _Row, header: list[str], rule: SourceRule) -> Draft | Fault:
    get = dict(zip(header, row.cells, strict=True))
    try:
        turns, names = spoken(get, rule)
        return Draft(row.place, turns, facts(get, rule, names), row.repaired)
    except Refused as refused:
        return Fault(row.line, refused.reason, refused.detail, shown(" | ".join(row.cells)))


def _by_conversation(rows: Iterator[_Row | Fault], header: list[str], rule: SourceRule) -> Iterator[Draft | Fault]:
    """Neighbouring rows of one conversation as one record."""
    column = header.index(rule.key("conversation"))
    members: list[_Row] = []
    gap = broken = False
    for row in rows:
        if isinstance(row, Fault):
            gap = True
            yield row
            continue
        conversation = row.cells[column].strip()
        if members and (not conversation or conversation != members[0].cells[column].strip()):
            yield _together(members, header, rule, broken)
            members, broken = [], False
        broken |= bool(members) and (gap or len(members) >= _MOST_ROWS)
        gap = False
        if not broken:
            members.append(row)
    if members:
        yield _together(members, header, rule, broken)


def _together(rows: list[_Row], header: list[str], rule: SourceRule, broken: bool) -> Draft | Fault:
    first = rows[0]
    gets: list[dict[str, Any]] = [dict(zip(header, row.cells, strict=True)) for row in rows]
    try:
        if broken:
            raise Refused("a row inside the conversation cannot be read")
        turns, names = listed_turns(gets, rule)
        if not turns:
            raise Refused("no text")
        return Draft(first.place, turns, facts(gets[0], rule, names), any(row.repaired for row in rows))
    except Refused as refused:
        return Fault(first.line, refused.reason, refused.detail, shown(" | ".join(first.cells)))
