"""Reads the demonstration sources as plainly as can be, without any stage of curation."""

from __future__ import annotations

import base64
import csv
import html
import io
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_SPEAKERS = {"Agent": "staff", "STAFF": "staff", "Nurse": "staff", "[Rep]": "staff"} | dict.fromkeys(
    ("Caller", "PATIENT", "Patient", "[Customer]"), "patient"
)
_LINE = re.compile("(" + "|".join(map(re.escape, _SPEAKERS)) + r"): ?(.*)")


@dataclass(frozen=True, slots=True)
class Read:
    """One record: its kind, its turns (speaker, text) and whatever fields it has."""

    kind: str
    turns: list[tuple[str, str]]
    fields: dict[str, Any]

    @property
    def text(self) -> str:
        """All turns, one a line."""
        return "\n".join(text for _, text in self.turns)


def read_all(root: Path) -> dict[tuple[str, int], Read]:
    """Every sound record by source and place."""
    readers = {".txt": _text, ".vtt": _vtt, ".csv": _csv, ".jsonl": _jsonl, ".json": _fhir}
    found: dict[tuple[str, int], Read] = {}
    for folder in ("calls", "notes", "faq"):
        for path in sorted((root / folder).rglob("*.*")):
            for place, record in readers[path.suffix](path.read_bytes()).items():
                found[str(path.relative_to(root)), place] = record
    return found


def decoded(data: bytes) -> str:
    """UTF-8, or Windows-1252 where it is none."""
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return data.decode("cp1252")


def _joined(pairs: list[tuple[str, str]]) -> list[tuple[str, str]]:
    turns: list[tuple[str, str]] = []
    for speaker, text in pairs:
        if turns and turns[-1][0] == speaker:
            turns[-1] = (speaker, f"{turns[-1][1]} {text}")
        else:
            turns.append((speaker, text))
    return turns


def _labelled(lines: list[str]) -> list[tuple[str, str]]:
    pairs: list[tuple[str, str]] = []
    for line in lines:
        if found := _LINE.match(line):
            pairs.append((_SPEAKERS[found.group(1)], found.group(2)))
        else:
            pairs.append((pairs[-1][0], line.strip()))
    return _joined(pairs)


def _text(data: bytes) -> dict[int, Read]:
    head, body = decoded(data).split("\n\n", 1)
    fields = dict(line.split(": ", 1) for line in head.splitlines())
    return {1: Read("transcript", _labelled(body.splitlines()), fields)}


def _vtt(data: bytes) -> dict[int, Read]:
    text = decoded(data)
    cues = [(_SPEAKERS[who], html.unescape(said)) for who, said in re.findall(r"<v (\w+)>(.*)</v>", text)]
    fields = dict(line.split(": ", 1) for line in text.split("\n\n")[1].splitlines()[1:])
    return {1: Read("transcript", _joined(cues), fields)}


def _csv(data: bytes) -> dict[int, Read]:
    rows = csv.DictReader(io.StringIO(decoded(data), newline=""))
    return {place: _from_fields(dict(row)) for place, row in enumerate(rows, start=1)}


def _jsonl(data: bytes) -> dict[int, Read]:
    lines = data.split(b"\n")[:-1]
    return {place: _from_fields(json.loads(decoded(line))) for place, line in enumerate(lines, start=1)}


def _from_fields(row: dict[str, Any]) -> Read:
    if "turns" in row:
        return Read("transcript", [(turn["speaker"], turn["text"]) for turn in row["turns"]], row)
    if "transcript" in row:
        return Read("transcript", _labelled(row["transcript"].split("\n")), row)
    if "text" in row:
        return Read("note", [("staff", row["text"])], row)
    return Read("faq", [("patient", row["question"]), ("staff", row["answer"])], row)


def _fhir(data: bytes) -> dict[int, Read]:
    found = {}
    for place, entry in enumerate(json.loads(data)["entry"], start=1):
        resource = entry["resource"]
        fields = {
            extension["url"].rsplit("/", 1)[1]: extension.get("valueString", extension.get("valueBoolean"))
            for extension in resource.get("extension", ())
        }
        if resource["resourceType"] == "Communication":
            said = [part["contentString"] for part in resource["payload"]]
            found[place] = Read("transcript", _labelled(said), fields)
        elif resource["resourceType"] == "DocumentReference":
            text = base64.b64decode(resource["content"][0]["attachment"]["data"]).decode()
            found[place] = Read("note", [("staff", text)], fields)
    return found
