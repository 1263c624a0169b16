"""The file formats of the sources. Each writer returns bytes; records stand in it in the order in which they came.

A record's place counts from 1: lines of JSONL, data rows of CSV (the header is none), entries of a FHIR bundle, and 1
for a file that holds a single call.
"""

from __future__ import annotations

import base64
import csv
import io
import json
from collections.abc import Sequence
from random import Random
from typing import Any

from training.curate.demo_sources.drafts import Draft
from training.curate.demo_sources.marks import unmark
from training.sentences import split_sentences

LICENCE = "internal"
_SYSTEM = "https://www.cedarvalley.example/fhir"


def plain_turns(draft: Draft) -> list[tuple[str, str]]:
    """The turns without marks."""
    return [(side, unmark(text)[0]) for side, text in draft.turns]


def _fields(draft: Draft) -> dict[str, Any]:
    person = draft.person
    groups = person.groups if person else {}
    return {
        "id": draft.number,
        "date": draft.date.isoformat(),
        "patient": person.key if person else None,
        "department": draft.department,
        "topic": draft.topic,
        **groups,
        "language": draft.language,
        "resolved": draft.resolved,
        "consent": draft.consent,
        "licence": LICENCE,
    }


def jsonl_line(draft: Draft) -> str:
    """A call (turns), note (text) or FAQ entry (question, answer) as one JSON object."""
    fields = _fields(draft)
    turns = plain_turns(draft)
    if draft.kind == "transcript":
        fields = {"type": "call", **fields, "turns": [{"speaker": side, "text": text} for side, text in turns]}
    elif draft.kind == "note":
        fields = {"type": "note", **fields, "text": turns[0][1]}
    else:
        fields = {"type": "faq", **fields, "question": turns[0][1], "answer": turns[1][1]}
    return json.dumps({key: value for key, value in fields.items() if value is not None}, ensure_ascii=False) + "\n"


def jsonl(drafts: Sequence[Draft]) -> bytes:
    """One JSON object a line, each in its draft's encoding."""
    return b"".join(jsonl_line(draft).encode(draft.encoding) for draft in drafts)


def encodable(draft: Draft, encoding: str) -> bool:
    """Whether an encoding has all letters of a draft, and the draft is not garbled already."""
    if any(found.defect == "encoding" for _, text in draft.turns for found in unmark(text)[1]):
        return False
    try:
        jsonl_line(draft).encode(encoding)
    except UnicodeEncodeError:
        return False
    return True


def beyond_ascii(draft: Draft) -> bool:
    """Whether a draft has letters that are no ASCII."""
    return not jsonl_line(draft).isascii()


_COLUMNS = {"transcript": ("transcript",), "note": ("text",), "faq": ("question", "answer")}
_LABELS = {"patient": "Caller", "staff": "Agent"}


def csv_rows(drafts: Sequence[Draft]) -> list[list[str]]:
    """Header and rows: one record a row; a call's turns are lines ``Caller: ...`` / ``Agent: ...`` in one cell."""
    kind = drafts[0].kind
    names = ["id", "date", "patient", "department", "topic", "language", "age_band", "sex", "insurance", "resolved",
             "consent", "licence"]  # fmt: skip
    rows = [[*names, *_COLUMNS[kind]]]
    for draft in drafts:
        fields, turns = _fields(draft), plain_turns(draft)
        said = [text for _, text in turns]
        if kind == "transcript":
            said = ["\n".join(f"{_LABELS[side]}: {text}" for side, text in turns)]
        rows.append([_cell(fields.get(name)) for name in names] + said)
    return rows


def _cell(value: object) -> str:
    return "" if value is None else str(value).lower() if isinstance(value, bool) else str(value)


def csv_text(rows: Sequence[Sequence[str]], delimiter: str = ",") -> str:
    """Rows as RFC 4180 text."""
    out = io.StringIO()
    csv.writer(out, delimiter=delimiter, lineterminator="\r\n").writerows(rows)
    return out.getvalue()


_STYLES = (("Agent", "Caller"), ("STAFF", "PATIENT"), ("Nurse", "Patient"), ("[Rep]", "[Customer]"))


def text_file(draft: Draft, rng: Random) -> str:
    """One call as text: lines ``Name: value``, an empty line, then turns with speaker labels.

    A turn's later sentences may stand on lines of their own, without a label.
    """
    staff, patient = rng.choice(_STYLES)
    head = {**_fields(draft), "consent": "yes" if draft.consent else "no"}
    head["resolved"] = {True: "yes", False: "no", None: None}[draft.resolved]
    lines = [f"{name.replace('_', ' ').capitalize()}: {value}" for name, value in head.items() if value is not None]
    lines.append("")
    for side, text in plain_turns(draft):
        label = staff if side == "staff" else patient
        sentences = split_sentences(text)
        if len(text) > 160 and " ".join(sentences) == text and rng.random() < 0.6:
            lines += [f"{label}: {sentences[0]}", *(f"    {line}" for line in sentences[1:])]
        else:
            lines.append(f"{label}: {text}")
    return "\n".join(lines) + "\n"


def vtt_file(draft: Draft, rng: Random) -> str:
    """One call as WebVTT: a NOTE with the fields, then cues with voice tags; a long turn takes several cues."""
    head = {**_fields(draft), "consent": "yes" if draft.consent else "no"}
    lines = ["WEBVTT", "", "NOTE", *(f"{key}: {_cell(value)}" for key, value in head.items() if value is not None), ""]
    clock, number = rng.randint(400, 2500), 0
    for side, text in plain_turns(draft):
        sentences = split_sentences(text)
        cues = sentences if len(text) > 140 and " ".join(sentences) == text else [text]
        for cue in cues:
            number += 1
            end = clock + 900 + 55 * len(cue)
            lines += [str(number), f"{_time(clock)} --> {_time(end)}", f"<v {_LABELS[side]}>{_escaped(cue)}</v>", ""]
            clock = end + rng.randint(100, 1400)
    return "\n".join(lines)


def _time(milliseconds: int) -> str:
    seconds, rest = divmod(milliseconds, 1000)
    return f"{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}.{rest:03d}"


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def fhir_bundle(drafts: Sequence[Draft]) -> tuple[bytes, list[int]]:
    """A FHIR R4 Bundle of Communication (calls) and DocumentReference (notes), each after its Patient; and places."""
    entries: list[dict[str, Any]] = []
    places = []
    known = set()
    for draft in drafts:
        person = draft.person
        if person and person.key not in known:
            known.add(person.key)
            entries.append(_entry("Patient", person.key, _patient(draft)))
        resource = _communication(draft) if draft.kind == "transcript" else _document(draft)
        entries.append(_entry(resource["resourceType"], draft.number, resource))
        places.append(len(entries))
    bundle = {"resourceType": "Bundle", "type": "collection", "entry": entries}
    return json.dumps(bundle, ensure_ascii=False, separators=(",", ":")).encode() + b"\n", places


def _entry(kind: str, name: str, resource: dict[str, Any]) -> dict[str, Any]:
    return {"fullUrl": f"{_SYSTEM}/{kind}/{name}", "resource": resource}


def _patient(draft: Draft) -> dict[str, Any]:
    person = draft.person
    assert person is not None
    return {
        "resourceType": "Patient",
        "id": person.key,
        "name": [{"family": person.surname, "given": [person.given]}],
        "gender": person.sex,
        "birthDate": person.birth.isoformat(),
        "telecom": [{"system": "phone", "value": person.phone}],
        "communication": [{"language": {"coding": [{"system": "urn:ietf:bcp:47", "code": person.language}]}}],
    }


def _shared(draft: Draft) -> dict[str, Any]:
    fields = _fields(draft)
    extensions: list[dict[str, Any]] = []
    for name in ("topic", "language", "age_band", "sex", "insurance", "licence"):
        if fields.get(name):
            extensions.append({"url": f"{_SYSTEM}/{name}", "valueString": fields[name]})
    for name in ("resolved", "consent"):
        if fields[name] is not None:
            extensions.append({"url": f"{_SYSTEM}/{name}", "valueBoolean": fields[name]})
    found: dict[str, Any] = {"id": draft.number, "extension": extensions}
    if draft.person:
        found["subject"] = {"reference": f"Patient/{draft.person.key}"}
    return found


def _communication(draft: Draft) -> dict[str, Any]:
    payload = [{"contentString": f"{_LABELS[side]}: {text}"} for side, text in plain_turns(draft)]
    shared = {"resourceType": "Communication", **_shared(draft), "status": "completed"}
    return {**shared, "sent": f"{draft.date.isoformat()}T15:00:00Z", "payload": payload}


def _document(draft: Draft) -> dict[str, Any]:
    data = base64.b64encode(plain_turns(draft)[0][1].encode()).decode()
    return {
        "resourceType": "DocumentReference",
        **_shared(draft),
        "status": "current",
        "type": {"text": "Telephone encounter note"},
        "date": f"{draft.date.isoformat()}T15:00:00Z",
        "content": [{"attachment": {"contentType": "text/plain; charset=utf-8", "data": data}}],
    }
