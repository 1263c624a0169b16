"""What people decide: the stages' questions as one CSV and one HTML page, and their verdicts read back.

Verdicts are kept in a file of their own, one a line, by the key of what was asked: the same question in a later run
is not asked again. That file holds no text of a record; the exported ones do (a suspected leak must be seen to be
decided), so they are readable by their owner only.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from jinja2 import Environment, StrictUndefined
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from app.errors import ConfigurationError
from training.curate.locks import changing
from training.curate.stages import CORRECTIONS, REPORT, REVIEW, ReviewItem, StageReport, Verdict
from training.files import write_text
from training.handouts import csp_hash, inert, unmarked, write_private

CSV_NAME, HTML_NAME = "review.csv", "review.html"
COLUMNS = ("key", "stage", "kind", "record", "reason", "excerpt", "proposal", "verdict", "reviewer")
VERDICTS: dict[str, Verdict] = {"accept": "accept", "reject": "reject", "drop": "drop"}
_KEY = r"^[0-9a-f]{16}$"
_TEMPLATE = Path(__file__).with_name("review.html.jinja")
_FAULTS_SHOWN = 20


class Decision(BaseModel):
    """A line of the decisions file."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    key: str = Field(pattern=_KEY)
    verdict: Verdict
    reviewer: str = Field(min_length=1, max_length=80)
    date: date
    stage: str = ""
    kind: str = ""


@dataclass(frozen=True, slots=True)
class Exported:
    """The two files, how many questions are in them, and how many were left out because they are decided."""

    csv: Path
    html: Path
    questions: int
    decided: int


@dataclass(frozen=True, slots=True)
class Imported:
    """New decisions, those that were known already, changed ones, and rows without a verdict."""

    new: int
    known: int
    changed: int
    undecided: int


def questions(work: Path) -> list[ReviewItem]:
    """All stages' questions under a work folder, stage by stage, each key once: a stage asks by what is asked, however
    many records raise it.

    Raises ConfigurationError that names file and line, or when there is no such folder.
    """
    if not work.is_dir():
        raise ConfigurationError(f"{work} is not a folder; run `bedside-train curate` first")
    first: dict[str, ReviewItem] = {}
    for path in sorted(work.rglob(REVIEW)):
        if any(part.startswith(".") for part in path.relative_to(work).parts):
            continue  # what a run that was cut off has left
        for number, line in _lines(path):
            try:
                item = ReviewItem.model_validate_json(line)
            except ValidationError as error:
                raise ConfigurationError(f"{path}:{number}: {_first_fault(error)}") from None
            first.setdefault(item.key, item)
    return list(first.values())


@dataclass(frozen=True, slots=True)
class Correction:
    """A correction that a stage has made without asking; a person may reject it by the key in the stage's report."""

    stage: str
    kind: str


def corrections(work: Path) -> dict[str, Correction]:
    """What the reports of the stages under a work folder list as corrected, by key.

    Raises ConfigurationError that names the file.
    """
    found: dict[str, Correction] = {}
    for path in sorted(work.rglob(REPORT)):
        if any(part.startswith(".") for part in path.relative_to(work).parts):
            continue
        try:
            report = StageReport.model_validate_json(path.read_bytes())
        except OSError as error:
            raise ConfigurationError(f"{path} cannot be read: {error.strerror}") from None
        except ValidationError:
            continue  # that of the whole run
        found |= {row["key"]: Correction(report.stage, row["kind"]) for row in report.tables.get(CORRECTIONS, ())}
    return found


def load_decisions(path: Path) -> dict[str, Decision]:
    """The decisions by key; none if the file does not exist. Raises ConfigurationError that names file and line."""
    found: dict[str, Decision] = {}
    for number, line in _lines(path) if path.exists() else ():
        try:
            decision = Decision.model_validate_json(line)
        except ValidationError as error:
            raise ConfigurationError(f"{path}:{number}: {_first_fault(error)}") from None
        if decision.key in found:
            raise ConfigurationError(f"{path}:{number}: {decision.key} is decided twice; remove one line")
        found[decision.key] = decision
    return found


def verdicts(path: Path) -> dict[str, Verdict]:
    """What :class:`training.curate.stages.Context` takes as ``decisions``."""
    return {key: decision.verdict for key, decision in load_decisions(path).items()}


def export(work: Path, out: Path, decisions: Path) -> Exported:
    """Write the open questions of a work folder to ``review.csv`` and ``review.html`` in ``out``.

    Raises ConfigurationError where a file cannot be read or written.
    """
    known = load_decisions(decisions)
    asked = questions(work)
    still_open = [item for item in asked if item.key not in known]
    exported = Exported(out / CSV_NAME, out / HTML_NAME, len(still_open), len(asked) - len(still_open))
    write_private(exported.csv, "\ufeff" + _csv(still_open))
    write_private(exported.html, _html(still_open))
    return exported


def import_decisions(
    path: Path, work: Path, decisions: Path, *, on: date, reviewer: str = "", replace: bool = False
) -> Imported:
    """Add the verdicts of a CSV (the exported one filled in, or what the page gives) to the decisions file.

    Rows without a verdict stay open. A correction that a stage's report lists may be rejected by its key. ``reviewer``
    stands in where a row names nobody. Who imports at the same time waits, so that no verdict is lost.

    Raises ConfigurationError with every fault by its line, and then changes nothing: a column is missing or there
    twice, a row has other cells than the head, a key was never asked, is decided twice or stands beside another
    question's words, a verdict is none of accept, reject, drop, nobody is named, or the decisions file says otherwise
    already (``replace`` then takes the new verdict).
    """
    try:
        reviewer.encode()
    except UnicodeEncodeError:
        raise ConfigurationError("the reviewer's name is no UTF-8 text; write it again") from None
    asked = {item.key: item for item in questions(work)}
    made = corrections(work)
    given, faults, undecided = _rows(path, reviewer)
    with changing(decisions):
        known = load_decisions(decisions)
        fresh = _fresh(path, given, faults, asked, made, known, on=on, replace=replace)
        same = {key for key, decision in fresh.items() if key in known and known[key].verdict == decision.verdict}
        changed = {key for key in fresh if key in known} - same
        kept = known | {key: decision for key, decision in fresh.items() if key not in same}
        save_decisions(kept, decisions)
    return Imported(len(fresh) - len(same) - len(changed), len(same), len(changed), undecided)


def _fresh(
    path: Path,
    given: Sequence[_Given],
    faults: Sequence[tuple[int, str]],
    asked: Mapping[str, ReviewItem],
    corrections: Mapping[str, Correction],
    known: Mapping[str, Decision],
    *,
    on: date,
    replace: bool,
) -> dict[str, Decision]:
    """What the rows of a file decide. Raises ConfigurationError with every fault, also those found before."""
    faults = list(faults)
    placed: defaultdict[tuple[str, ...], set[str]] = defaultdict(set)
    for item in asked.values():
        for beside in ((), (item.proposal,)):
            placed[_place(item.record, item.excerpt, *beside)].add(item.key)
    fresh: dict[str, Decision] = {}
    lines: dict[str, int] = {}
    for line, key, verdict, who, place in given:
        if key not in asked and key not in known and key not in corrections:
            faults.append((line, f"{_named(key)} was never asked; is the file from another run?"))
        elif key in corrections and key not in asked and verdict != "reject":
            faults.append((line, f"{_named(key)} is a correction that was made; it can only be rejected"))
        elif key not in placed.get(place, {key}):
            faults.append(
                (line, f"the words beside {_named(key)} are those of another question; was one column sorted?")
            )
        elif key in lines:
            faults.append((line, f"{_named(key)} is decided twice, first on line {lines[key]}"))
        elif key in known and known[key].verdict != verdict and not replace:
            old = known[key]
            said = f"{old.verdict} by {old.reviewer} on {old.date}"
            faults.append((line, f"{_named(key)} was decided before ({said}); import with replace to change it"))
        else:
            lines[key] = line
            source: ReviewItem | Decision | Correction = asked.get(key) or known.get(key) or corrections[key]
            fresh[key] = Decision(key=key, verdict=verdict, reviewer=who, date=on, stage=source.stage, kind=source.kind)
    if faults:
        raise ConfigurationError(_listed(path, faults))
    return fresh


def _named(key: str) -> str:
    """A key for a message; what is none may be anything of the file, a patient's number too."""
    return f"key {key!r}" if re.match(_KEY, key) else "what stands as key"


def save_decisions(decisions: Mapping[str, Decision], path: Path) -> None:
    """Write the decisions file, sorted by key, replacing it in one step. Raises ConfigurationError."""
    rows = [json.dumps(decisions[key].model_dump(mode="json"), ensure_ascii=False) for key in sorted(decisions)]
    write_text(path, "".join(f"{row}\n" for row in rows))


_Given = tuple[int, str, Verdict, str, tuple[str, ...]]
"""A decided row: line, key, verdict, reviewer, place."""


def _rows(path: Path, reviewer: str) -> tuple[list[_Given], list[tuple[int, str]], int]:
    """The decided rows; faults by line; the number of undecided rows."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be read: {error.strerror}; name the file with the verdicts") from None
    except UnicodeDecodeError as error:
        raise ConfigurationError(f"{path} cannot be read: {error}; save it as CSV in UTF-8") from None
    head = text.partition("\n")[0]
    reader = csv.reader(
        io.StringIO(text, newline=""), delimiter=";" if head.count(";") > head.count(",") else ",", strict=True
    )
    rows: list[_Given] = []
    faults: list[tuple[int, str]] = []
    undecided = 0
    try:
        names = next(reader, [])
        if missing := [name for name in ("key", "verdict") if name not in names]:
            raise ConfigurationError(f"{path}:1: there is no column {' or '.join(missing)}")
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ConfigurationError(f"{path}:1: column {' and '.join(twice)} is there twice; remove one")
        end = reader.line_num
        for cells in reader:
            # A cell may hold line breaks: the row begins after the end of the one before.
            line, end = end + 1, reader.line_num
            if not cells:
                continue
            row = dict(zip(names, cells, strict=False))
            if len(cells) != len(names):
                faults.append((line, "this row has more or fewer cells than the head"))
                continue
            said = row["verdict"].strip().lower()
            who = _plain(row.get("reviewer") or "") or reviewer
            if not said:
                undecided += 1
            elif said not in VERDICTS:
                faults.append((line, "the verdict is none of accept, reject, drop"))
            elif not who:
                faults.append((line, "nobody is named as reviewer; fill the column or give the name"))
            elif len(who) > 80:
                faults.append((line, "the reviewer's name is longer than 80 characters"))
            else:
                beside = (row["proposal"],) if "proposal" in row else ()
                place = _place(_plain(row.get("record", "")), row.get("excerpt", ""), *beside)
                rows.append((line, _plain(row["key"]).removeprefix("k"), VERDICTS[said], who, place))
    except csv.Error as error:
        raise ConfigurationError(f"{path}:{reader.line_num}: not CSV: {error}") from None
    return rows, faults, undecided


def _listed(path: Path, faults: Sequence[tuple[int, str]]) -> str:
    shown = [f"{path}:{line}: {fault}" for line, fault in sorted(faults)[:_FAULTS_SHOWN]]
    more = len(faults) - len(shown)
    return "\n".join([*shown, *([f"and {more} more"] if more else []), "Nothing was imported."])


def _csv(asked: Sequence[ReviewItem]) -> str:
    text = io.StringIO(newline="")
    writer = csv.writer(text, quoting=csv.QUOTE_ALL)
    writer.writerow(COLUMNS)
    for item in asked:
        # The letter keeps spreadsheets from reading a key such as 12e4567890123456 as a number.
        cells = (f"k{item.key}", item.stage, item.kind, item.record, item.reason, item.excerpt, item.proposal, "", "")
        writer.writerow([inert(cell) for cell in cells])
    return text.getvalue()


def _place(record: str, *words: str) -> tuple[str, ...]:
    """What tells questions apart for a person (excerpt, proposal), whatever a spreadsheet does to blanks and ends of
    lines, and without the marks that keep formulas from being run.
    """
    return record, *(" ".join(unmarked(_plain(text)).split()) for text in words)


def _plain(cell: str) -> str:
    return cell.strip().removeprefix("'").strip()


def _html(asked: Sequence[ReviewItem]) -> str:
    items = [
        {
            **item.model_dump(),
            "key": f"k{item.key}",
            "group": f"{item.stage}: {item.kind.replace('_', ' ')}",
        }
        for item in asked
    ]
    queue = hashlib.sha256("".join(item["key"] for item in items).encode()).hexdigest()[:12]
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True)
    environment.filters["csp_hash"] = csp_hash
    template = environment.from_string(_TEMPLATE.read_text(encoding="utf-8"))
    groups = sorted({item["group"] for item in items})
    return template.render(items=items, groups=groups, queue=queue)


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    """The lines that are not empty, each with its number."""
    try:
        lines = path.read_text(encoding="utf-8").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{path} cannot be read: {error}") from None
    yield from ((number, line) for number, line in enumerate(lines, start=1) if line.strip())


def _first_fault(error: ValidationError) -> str:
    fault = error.errors()[0]
    return f"{'.'.join(map(str, fault['loc'])) or 'line'}: {fault['msg']}"
