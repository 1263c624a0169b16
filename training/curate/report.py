"""The report of a run: one page for people, the same as JSON for programs.

The page loads nothing, runs nothing and shows only what stages reported, escaped; figures stand in tables, so that it
can be read aloud and printed. Neither file tells a time: the same run gives the same bytes.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from difflib import SequenceMatcher
from pathlib import Path
from typing import Any, Literal

from jinja2 import Environment, StrictUndefined

from training.curate import findings as words
from training.curate import plots
from training.curate.bias import UNKNOWN
from training.curate.stages import ReviewItem, StageReport
from training.handouts import csp_hash

HTML_NAME, JSON_NAME = "report.html", "report.json"
_TEMPLATE = Path(__file__).with_name("report.html.jinja")
_ROWS = 40
_OF_ONE_KIND, _OF_NO_KIND = 3, 12
_NOT_SHOWN = ("order", "record")
_CHARACTERS = 400
_PAIRS = (("before", "after"), ("wrong", "right"), ("dropped", "kept"))
_OWN_SECTION = {"bias_before", "bias_after", "mitigation", "overall", "representation", "lengths"}
_TELLS_KIND = ("kind", "what", "defect")

_STAGES = {
    "ingest": "Reads the sources; sets aside what cannot be read, leaves out what has no consent or licence.",
    "deidentify": "Replaces everything that could tell who a patient is, then looks a second time.",
    "correct": "Mends misspelled medicines; asks where it is not sure.",
    "check": "Compares what staff said with the hospital's own facts and articles, and with each other.",
    "deduplicate": "Leaves out what repeats another record.",
    "balance": "Compares how groups of patients are answered; evens out what differs by weights and copies.",
    "split": "Parts the records so that no patient, call or copy is on two sides.",
    "augment": "Adds rewordings to the training side.",
    "publish": "Writes the dialogues that a model is trained on.",
}


@dataclass(frozen=True, slots=True)
class Step:
    """A stage in the flow of records."""

    name: str
    before: int
    after: int
    change: str
    picture: plots.Bar


@dataclass(frozen=True, slots=True)
class Piece:
    """A stretch of an example's text: the same before and after, taken ``out``, or ``new``."""

    change: Literal["same", "out", "new"]
    text: str


def write_report(
    folder: Path,
    stages: Sequence[StageReport],
    manifest: Mapping[str, Any],
    queue: Iterable[ReviewItem] = (),
) -> None:
    """Write ``report.html`` and ``report.json``. ``queue`` are the open questions: they are counted, never shown,
    because a suspected leak is one. Tables that no section is made for are shown as they are.
    """
    waiting = Counter((item.stage, item.kind) for item in queue)
    found = words.findings(stages, waiting)
    folder.mkdir(parents=True, exist_ok=True)
    content = {
        "format": 1,
        "summary": words.summary(found).text,
        "findings": [asdict(finding) for finding in found],
        "queue": [{"stage": stage, "kind": kind, "open": count} for (stage, kind), count in sorted(waiting.items())],
        "stages": [stage.model_dump(mode="json") for stage in stages],
        "manifest": dict(manifest),
    }
    text = json.dumps(content, indent=1, ensure_ascii=False, default=str) + "\n"
    (folder / JSON_NAME).write_text(text, encoding="utf-8")
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters |= {
        "label": words.label, "measure": words.title, "figure": figure, "csp_hash": csp_hash
    }  # fmt: skip
    page = environment.from_string(_TEMPLATE.read_text(encoding="utf-8")).render(
        summary=words.summary(found),
        findings=found,
        flow=_flow(stages),
        queue=content["queue"],
        stages=[_section(stage) for stage in stages],
        manifest=_facts(manifest),
    )
    (folder / HTML_NAME).write_text(page, encoding="utf-8")


def figure(value: Any) -> str:
    """A cell of a table as text."""
    match value:
        case None | "":
            return "–"
        case bool():
            return "yes" if value else "no"
        case int():
            return f"{value:,}"
        case float():
            return f"{value:,.4g}"
        case str():
            return value
        case _:
            return json.dumps(value, ensure_ascii=False, default=str)


def _flow(stages: Sequence[StageReport]) -> list[Step]:
    most = max((max(stage.records_in, stage.records_out) for stage in stages), default=0)
    return [
        Step(
            stage.stage,
            stage.records_in,
            stage.records_out,
            f"{stage.records_out - stage.records_in:+,}".replace("-", "−").replace("+0", "0"),
            plots.bar(stage.records_out, most, rest=max(0, stage.records_in - stage.records_out)),
        )
        for stage in stages
    ]


def _section(stage: StageReport) -> dict[str, Any]:
    special = _OWN_SECTION if stage.stage == "balance" else set()
    return {
        "name": stage.stage,
        "about": _STAGES.get(stage.stage, ""),
        "records_in": stage.records_in,
        "records_out": stage.records_out,
        "counts": stage.counts,
        "tables": [_table(name, rows) for name, rows in stage.tables.items() if name not in special and rows],
        "representation": _representation(stage.tables.get("representation", [])) if special else [],
        "bias": _bias(stage.tables) if special else [],
        "overall": _overall(stage.tables.get("overall", [])) if special else [],
        "lengths": _lengths(stage.tables.get("lengths", [])) if special else [],
        "examples": _examples(stage.examples),
    }


def _table(name: str, rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Any table: the union of its columns, and a bar where one column counts."""
    columns = list(dict.fromkeys(key for row in rows for key in row))
    numeric = [key for key in columns if all(_is_number(row.get(key)) for row in rows)]
    counted = numeric[0] if len(numeric) == 1 and len(columns) > 1 and len(rows) > 1 else ""
    if counted:
        rows = sorted(rows, key=lambda row: -float(row[counted]))
    most = max((float(row[counted]) for row in rows), default=0.0) if counted else 0.0
    return {
        "name": name,
        "columns": columns,
        "numeric": set(numeric),
        "rows": [
            {
                "cells": [row.get(key) for key in columns],
                "picture": plots.bar(float(row[counted]), most) if counted else None,
            }
            for row in rows[:_ROWS]
        ],
        "bars": bool(counted),
        "narrow": not counted and len(columns) < 4,
        "more": max(0, len(rows) - _ROWS),
    }


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _representation(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    found = []
    for dimension in dict.fromkeys(str(row["dimension"]) for row in rows):
        own = [row for row in rows if row["dimension"] == dimension]
        shares = [row[name] for row in own for name in ("share", "reference", "weighted") if row[name] is not None]
        most = max(shares, default=0.0)
        known = [row for row in own if row["group"] != UNKNOWN]
        found.append(
            {
                "dimension": dimension,
                "given": any(row["given"] for row in known),
                "unknown": sum(row["records"] for row in own if row["group"] == UNKNOWN),
                "rows": [
                    {
                        **row,
                        "picture": plots.bar(row["share"], most, mark=row["reference"]),
                        "shares": [_percent(row[name]) for name in ("share", "reference", "weighted")],
                    }
                    for row in known
                ],
            }
        )
    return found


def _percent(share: float | None) -> str:
    return "–" if share is None else f"{share * 100:.1f} %" if share < 0.1 else f"{share * 100:.0f} %"


def _bias(tables: Mapping[str, Sequence[Mapping[str, Any]]]) -> list[dict[str, Any]]:
    """By measure: the gaps of every group in a dimension in which one was found, before and after."""
    before, after = tables.get("bias_before", []), tables.get("bias_after", [])
    later = {_key(row): row for row in after}
    dimensions = {row["dimension"] for row in before if row["alarm"]}
    shown = [row for row in before if row["dimension"] in dimensions]
    found = []
    for measure in dict.fromkeys(str(row["measure"]) for row in shown):
        own = [row for row in shown if row["measure"] == measure]
        most = max(abs(row[end]) for row in own for end in ("low", "high", "gap")) or 1.0
        unit = "points of 100" if words.in_percent(measure) else "as measured"
        found.append({"measure": measure, "unit": unit, "rows": [_gap(row, later.get(_key(row)), most) for row in own]})
    return found


def _gap(row: Mapping[str, Any], later: Mapping[str, Any] | None, most: float) -> dict[str, Any]:
    measure = str(row["measure"])
    return {
        "group": f"{words.label(str(row['dimension']))}: {row['group']}",
        "records": row["records"],
        "means": [words.level(row[name], measure) for name in ("group_mean", "rest_mean")],
        "before": words.amount(row["gap"], measure, unit=False),
        "interval": words.interval(row, measure, unit=False),
        "after": words.amount(later["gap"], measure, unit=False) if later else "–",
        "later": words.interval(later, measure, unit=False) if later else "–",
        "effect": f"{row['effect']:.2f}".replace("-", "−"),
        "p": "< 0.001" if row["p_holm"] < 0.001 else f"{row['p_holm']:.3f}",
        "alarm": row["alarm"],
        "pictures": [_interval(row, most), _interval(later, most) if later else None],
    }


def _interval(row: Mapping[str, Any], most: float) -> plots.Interval:
    return plots.interval(row["low"], row["gap"], row["high"], most)


def _key(row: Mapping[str, Any]) -> tuple[Any, ...]:
    return row["dimension"], row["group"], row["measure"]


def _overall(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    return [
        {
            "measure": row["measure"],
            "values": [
                words.level(row[name], str(row["measure"])) for name in ("before", "after", "on_other_patients")
            ],
            "fell": row["fell"],
        }
        for row in rows
    ]


def _lengths(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    found = []
    for kind in dict.fromkeys(str(row["kind"]) for row in rows):
        own = [row for row in rows if row["kind"] == kind]
        most = max(row["records"] for row in own)
        found.append({"kind": kind, "rows": [{**row, "picture": plots.bar(row["records"], most)} for row in own]})
    return found


def _examples(examples: Sequence[Mapping[str, str]]) -> list[dict[str, Any]]:
    """A few of each kind; of a text before and after, with the words that differ marked."""
    seen: Counter[str] = Counter()
    found = []
    for example in examples:
        named = next((name for name in _TELLS_KIND if name in example), "")
        kind = example.get(named, "")
        seen[kind] += 1
        if seen[kind] > (_OF_ONE_KIND if kind else _OF_NO_KIND):
            continue
        pair = next((pair for pair in _PAIRS if pair[0] in example and pair[1] in example), None)
        shown = {name: text for name, text in example.items() if name != named and name not in _NOT_SHOWN}
        fields = {name: [Piece("same", _cut(text))] for name, text in shown.items()}
        if pair:
            fields |= dict(zip(pair, _marked(*(_cut(example[name]) for name in pair)), strict=True))
        found.append({"kind": kind, "fields": fields})
    return found


def _cut(text: str) -> str:
    return text if len(text) <= _CHARACTERS else text[:_CHARACTERS] + " …"


def _marked(before: str, after: str) -> tuple[list[Piece], list[Piece]]:
    """Both texts in pieces, with what was taken out and what was put in marked."""
    first, second = before.split(" "), after.split(" ")
    out: list[Piece] = []
    new: list[Piece] = []
    for what, a, b, c, d in SequenceMatcher(None, first, second, autojunk=False).get_opcodes():
        if b > a:
            out.append(Piece("same" if what == "equal" else "out", " ".join(first[a:b])))
        if d > c:
            new.append(Piece("same" if what == "equal" else "new", " ".join(second[c:d])))
    return out, new


def _facts(manifest: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The plain entries of a manifest; lists and tables are counted."""
    facts = []
    for name, value in manifest.items():
        match value:
            case Mapping() if value and all(isinstance(item, int) for item in value.values()):
                facts.append((words.label(name), ", ".join(f"{key} {count:,}" for key, count in value.items())))
            case Mapping() | list() | tuple():
                facts.append((words.label(name), f"{len(value):,} in {JSON_NAME}" if value else "none"))
            case _:
                facts.append((words.label(name), figure(value)))
    return facts
