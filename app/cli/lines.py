"""JSON lines: one object a line in, one object a line out, in the same order, whatever happens to single lines."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

from app.errors import BedsideError, InvalidContent

MAX_LINE_BYTES = 1_000_000
EXAMPLE = '{"id": 1, "text": "my message"}'
"""A line of input, as errors show it."""


@dataclass(frozen=True, slots=True)
class Line:
    """One line of input: ``turns`` are the patient's messages, the last one is the one that counts.

    ``item`` is the whole object, ``number`` its place in the input, from 1, blank lines counted.
    """

    id: Any
    turns: list[str]
    item: dict[str, Any] = field(default_factory=dict)
    number: int = 0

    @property
    def text(self) -> str:
        """The message that counts."""
        return self.turns[-1]


@dataclass(frozen=True, slots=True)
class BadLine:
    """A line that cannot be used, and why."""

    id: Any
    number: int
    error: str

    def as_json(self) -> dict[str, Any]:
        """The object that stands for it in the output."""
        return {"id": self.id, "line": self.number, "error": self.error}


def read_lines(source: BinaryIO) -> Iterator[Line | BadLine]:
    """Parse ``{"id", "text"}`` or ``{"id", "turns": [...]}`` a line, blank ones skipped. Never raises for content."""
    for number, raw in enumerate(source, start=1):
        if raw.strip():
            yield parse_line(raw, number)


def parse_line(raw: bytes, number: int) -> Line | BadLine:
    """One line of input."""
    if len(raw) > MAX_LINE_BYTES:
        return BadLine(None, number, f"the line has more than {MAX_LINE_BYTES} bytes")
    try:
        item = json.loads(raw.decode("utf-8"))
    except UnicodeDecodeError:
        return BadLine(None, number, "the line is not UTF-8")
    except (ValueError, RecursionError) as error:
        return BadLine(None, number, f"the line is not JSON: {str(error)[:120]}")
    if not isinstance(item, dict):
        return BadLine(None, number, 'the line must be an object with "id" and "text" or "turns"')
    name = item.get("id")
    if fault := _fault(item):
        return BadLine(None if _fault(name) else name, number, fault)
    turns = item.get("turns", [item.get("text")])
    if not isinstance(turns, list) or not turns or not all(isinstance(turn, str) for turn in turns):
        return BadLine(name, number, '"text" must be a string, or "turns" a list of strings that is not empty')
    return Line(name, turns, item, number)


def _fault(value: Any) -> str:
    """Why what was parsed could not be written out again; '' if it could."""
    try:
        json.dumps(value, ensure_ascii=False, allow_nan=False).encode("utf-8")
    except UnicodeEncodeError:
        return "the line holds half of a surrogate pair (a cut emoji): write it whole or leave it out"
    except ValueError:
        return "the line is not JSON: NaN, Infinity and numbers as large have no place in it"
    except RecursionError:
        return "the line is nested too deeply"
    return ""


def open_source(path: str) -> BinaryIO:
    """Standard input for ``-`` (said to whoever sits before it), else the file. Raises InvalidContent."""
    if path == "-":
        if sys.stdin.isatty():
            print(f"reading JSON lines such as {EXAMPLE} from the terminal; end with Ctrl-D", file=sys.stderr)
        return sys.stdin.buffer
    try:
        return Path(path).open("rb")
    except OSError as error:
        raise InvalidContent(
            f"{path} cannot be read: {error.strerror}; give a file of JSON lines such as {EXAMPLE}, or pipe them in"
        ) from error


def write(item: dict[str, Any]) -> None:
    """One object to standard output, at once."""
    sys.stdout.write(json.dumps(item, ensure_ascii=False) + "\n")
    sys.stdout.flush()


def convert(lines: Iterable[Line | BadLine], work: Callable[[Line], dict[str, Any]]) -> bool:
    """Write ``work(line)`` for each line; errors of the tree become an ``error`` field. True if no line had one."""
    clean = True
    for line in lines:
        if isinstance(line, Line):
            try:
                write(work(line))
                continue
            except BedsideError as error:
                line = BadLine(line.id, line.number, str(error))
        clean = False
        write(line.as_json())
    return clean


async def convert_together(
    lines: Iterable[Line | BadLine], work: Callable[[Line], Awaitable[dict[str, Any]]], at_once: int
) -> bool:
    """The same for coroutines, ``at_once`` of them running together; the output keeps the input's order."""
    clean = True
    async for line, result in _in_order(lines, work, at_once):
        if isinstance(result, BedsideError):
            result = {"id": line.id, "error": str(result)}
        clean = clean and "error" not in result
        write(result)
    return clean


async def _in_order(
    lines: Iterable[Line | BadLine], work: Callable[[Line], Awaitable[dict[str, Any]]], at_once: int
) -> AsyncIterator[tuple[Line | BadLine, dict[str, Any] | BedsideError]]:
    async def one(line: Line | BadLine) -> dict[str, Any] | BedsideError:
        if isinstance(line, BadLine):
            return line.as_json()
        try:
            return await work(line)
        except BedsideError as error:
            return error

    pending: list[tuple[Line | BadLine, asyncio.Task[dict[str, Any] | BedsideError]]] = []
    source = iter(lines)
    ended = False
    while not ended or pending:
        while not ended and len(pending) < at_once:
            line = await asyncio.to_thread(next, source, None)
            if line is None:
                ended = True
            else:
                pending.append((line, asyncio.create_task(one(line))))
        if pending:
            first, task = pending.pop(0)
            yield first, await task
