"""Reads a rater's filled-in sheet: the CSV that the page gives, or the exported one filled in by hand.

A sheet is taken whole or not at all: every fault is told with its line and its mend, and nothing is stored until there
is none. Files that were read are left as they are.
"""

from __future__ import annotations

import csv
import hashlib
import io
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from app.errors import ConfigurationError
from training.evaluation.panel import TEXTS, Better, Key, Rated, Rating, Row, load_key, load_ratings, text_check
from training.handouts import write_private

_GIVEN = ("better", "correct_a", "correct_b", "harm_a", "harm_b")
_NEEDED = ("pack", "rater", "row", "check", *_GIVEN)
_BETTER: dict[str, Better] = {"a": "A", "b": "B", "equal": "equal"}
_HARM = {"yes": True, "no": False}
_FAULTS_SHOWN = 20
_COMMENT_LENGTH = 4_000
_LETTERS = {"answer_a": "answer A", "answer_b": "answer B", "question": "the question", "passages": "the passages"}


@dataclass(frozen=True, slots=True)
class Imported:
    """Whose ratings were read, how many rows, how many she left open; ``known``: the store held just these already."""

    rater: str
    rows: int
    open: int
    known: bool
    raters: int


def import_ratings(
    path: Path, key: Path, store: Path, *, on: date, partial: bool = False, replace: bool = False
) -> Imported:
    """Add one rater's sheet to the store of a pack's ratings.

    Every row must be rated; with ``partial``, rows without any rating are left open. A rater who is stored already is
    refused (the same sheet again changes nothing), unless ``replace``. Raises ConfigurationError with every fault by
    its line, and then stores nothing: a column or a row is missing, a row is of another pack or rater or stands twice,
    a text was edited, a value is out of range, the rater is not one of the pack's, the store cannot be written.
    """
    pack = load_key(key)
    ratings = load_ratings(store, pack.pack)
    data, table = _table(path)
    rater = _rater(path, table, pack)
    rated, still_open, faults = _read(table, pack, rater, partial=partial)
    if faults:
        raise ConfigurationError(_listed(path, faults))
    if not rated:
        raise ConfigurationError(f"{path}: no row is rated yet; nothing was imported")
    found = Rated(on=on, file_sha256=hashlib.sha256(data).hexdigest(), rows=rated)
    before = ratings.raters.get(rater)
    known = before is not None and before.rows == found.rows
    if before is not None and not known and not replace:
        raise ConfigurationError(
            f"{path}: {rater}'s ratings were imported on {before.on} and differ from these; nothing was imported. "
            "Import with replace if these are to stand instead"
        )
    if not known:
        kept = ratings.model_copy(update={"raters": {**ratings.raters, rater: found}})
        write_private(store, kept.model_dump_json(indent=1) + "\n")
    return Imported(rater, len(rated), still_open, known, len({*ratings.raters, rater}))


_Line = tuple[int, Mapping[str, str]]


def _table(path: Path) -> tuple[bytes, list[_Line]]:
    """The file's bytes, and its rows with their line; empty lines left out."""
    try:
        data = path.read_bytes()
        text = data.decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{path} cannot be read: {error}; save it as CSV in UTF-8") from None
    head = text.partition("\n")[0]
    mark = max(",;\t", key=head.count)
    reader = csv.DictReader(io.StringIO(text, newline=""), delimiter=mark, strict=True)
    rows: list[_Line] = []
    try:
        names = [(name or "").strip().lower() for name in reader.fieldnames or ()]
        missing = [name for name in _NEEDED if name not in names]
        if missing:
            raise ConfigurationError(
                f"{path}:1: there is no column {', '.join(missing)}; keep the first line as it was exported"
            )
        reader.fieldnames = names
        end = reader.line_num
        for row in reader:
            # A cell may hold line breaks: the row begins after the end of the one before.
            line, end = end + 1, reader.line_num
            cells = {name: value or "" for name, value in row.items() if isinstance(name, str)}
            if any(value.strip() for value in cells.values()):
                rows.append((line, cells))
    except csv.Error as error:
        raise ConfigurationError(f"{path}:{reader.line_num}: not CSV: {error}; save it as CSV in UTF-8") from None
    return data, rows


def _rater(path: Path, table: Sequence[_Line], pack: Key) -> str:
    """The one rater of a sheet, who must be one of the pack's."""
    named: dict[str, int] = {}
    for line, cells in table:
        named.setdefault(_plain(cells["rater"]), line)
    if not named:
        raise ConfigurationError(f"{path} has no rows; take the exported sheet again")
    for name, line in named.items():
        if name not in pack.raters:
            told = f"{name!r} is no rater of this pack" if name else "the rater is missing"
            raise ConfigurationError(
                f"{path}:{line}: {told} ({', '.join(sorted(pack.raters))} are); keep the column as it was exported, or "
                "export a pack that names this rater"
            )
    if len(named) > 1:
        (first, _), (second, line) = list(named.items())[:2]
        raise ConfigurationError(
            f"{path}:{line}: rows of {second} stand below rows of {first}; import one file for each rater"
        )
    return next(iter(named))


def _read(
    table: Sequence[_Line], pack: Key, rater: str, *, partial: bool
) -> tuple[list[Rating], int, list[tuple[int, str]]]:
    """The ratings in the order of the rater's sheet, the number of open rows, and faults by line."""
    rows = {row.code: row for row in pack.raters[rater]}
    owners = {row.code: who for who, own in pack.raters.items() for row in own}
    lines: dict[str, int] = {}
    found: dict[str, Rating] = {}
    faults: list[tuple[int, str]] = []
    for line, cells in table:
        code = _plain(cells["row"])
        fault = _wrong_place(cells, code, pack, rater, owners)
        if not fault and code in lines:
            fault = f"row {code} stands twice, first on line {lines[code]}; keep one of them"
        if fault:
            faults.append((line, fault))
            continue
        lines[code] = line
        wrong = _edited(cells, rows[code], pack.salt)
        blank = [name for name in _GIVEN if not _plain(cells[name])]
        if len(blank) == len(_GIVEN):
            if not partial:
                wrong.append(f"row {code} is not rated; rate it, or import with partial")
        else:
            values, more = _values(cells, code, blank)
            wrong += more
            if not wrong:
                found[code] = Rating(row=code, **values)
        faults += [(line, one) for one in wrong]
    # What is missing is told below the last line, where it would be added.
    last = table[-1][0] + 1
    numbers = {row.code: number for number, row in enumerate(pack.raters[rater], 1)}
    faults += [
        (last, f"row {code} (question {numbers[code]} of {len(rows)}) is missing; copy it from the exported sheet")
        for code in rows
        if code not in lines
    ]
    return [found[code] for code in rows if code in found], len(rows) - len(found), faults


def _wrong_place(cells: Mapping[str, str], code: str, pack: Key, rater: str, owners: Mapping[str, str]) -> str:
    if _plain(cells["pack"]) != pack.pack:
        return f"this row is of the pack {_plain(cells['pack'])!r}, the key of {pack.pack}; give the key of that pack"
    if code not in owners:
        return f"there is no row {code!r} in this pack; copy the column from the exported sheet"
    if owners[code] != rater:
        return f"row {code} is from the sheet of {owners[code]}, not of {rater}; each rater fills in her own"
    return ""


def _edited(cells: Mapping[str, str], row: Row, salt: str) -> list[str]:
    """Faults of texts that are not what was exported. The page's file holds no texts, only their hash."""
    found = [
        f"row {row.code}: {_LETTERS[name]} was edited; ratings must be of the text that was exported, copy it back"
        for name in TEXTS
        if name in cells and text_check(salt, cells[name]) != row.checks[name]
    ]
    if not found and _plain(cells["check"]) != row.check:
        found.append(f"row {row.code}: the column check was edited; copy it from the exported sheet")
    return found


def _values(cells: Mapping[str, str], code: str, blank: Sequence[str]) -> tuple[dict[str, Any], list[str]]:
    """The values of a rated row, and what is wrong with them."""
    faults = [f"row {code}: {name} is empty; a row is rated wholly or not at all" for name in blank]
    values: dict[str, Any] = {"comment": _plain(cells.get("comment", ""))}
    if len(values["comment"]) > _COMMENT_LENGTH:
        faults.append(f"row {code}: the comment is longer than {_COMMENT_LENGTH} characters; shorten it")
    for name in _GIVEN:
        said = _plain(cells[name]).lower()
        if name in blank:
            continue
        if name == "better":
            values[name], wanted = _BETTER.get(said), "A, B, equal"
        elif name.startswith("harm"):
            values[name], wanted = _HARM.get(said), "yes, no"
        else:
            whole = re.fullmatch(r"([1-5])([.,]0+)?", said)
            values[name], wanted = int(whole[1]) if whole else None, "1, 2, 3, 4, 5"
        if values[name] is None:
            faults.append(f"row {code}: {name} {said[:20]!r} is none of {wanted}")
    return values, faults


def _listed(path: Path, faults: Sequence[tuple[int, str]]) -> str:
    shown = [f"{path}:{line}: {fault}" for line, fault in sorted(faults, key=lambda fault: fault[0])[:_FAULTS_SHOWN]]
    more = len(faults) - len(shown)
    return "\n".join([*shown, *([f"and {more} more"] if more else []), "Nothing was imported."])


def _plain(cell: str) -> str:
    return cell.strip().removeprefix("'").strip()
