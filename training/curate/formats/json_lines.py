"""JSONL: one record a line. FHIR resources one a line (bulk export) are set aside: what one of them says of consent
would be lost on the others.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from training.curate.formats.contract import Refused, SourceRule
from training.curate.formats.drafts import Draft, Fault
from training.curate.formats.facts import facts, whose
from training.curate.formats.fhir import ONE_A_LINE
from training.curate.formats.field_names import told_inside
from training.curate.formats.json_text import loaded
from training.curate.formats.reading import Line, SourceFile, shown
from training.curate.formats.speech import spoken


def read(file: SourceFile, rule: SourceRule) -> Iterator[Draft | Fault]:
    """See Format. The place is the line."""
    for line in file.lines():
        if isinstance(line, Fault):
            yield line
        elif line.text.strip():
            yield _piece(line, rule)


def _piece(line: Line, rule: SourceRule) -> Draft | Fault:
    get: dict[str, Any] | None = None
    try:
        get = told_inside(_object(line.text), rule)
        turns, names = spoken(get, rule)
        return Draft(line.number, turns, facts(get, rule, names), line.repaired)
    except Refused as refused:
        reason = "cut off at the end of the file" if line.cut and "JSON" in refused.reason else refused.reason
        told = None if get is None else whose(get, rule)
        return Fault(line.number, reason, refused.detail, shown(line.text), told)


def _object(text: str) -> dict[str, Any]:
    item = loaded(text)
    if not isinstance(item, dict):
        raise Refused("a line is no JSON object")
    if "resourceType" in item:
        raise Refused(ONE_A_LINE)
    return item
