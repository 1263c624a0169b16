"""Small dataset versions for tests of them, of their differences and of forgetting."""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import date
from pathlib import Path

from training.curate.dataset import FILES, Provenance, StageEntry, fingerprint
from training.curate.keys import keyed_hash
from training.curate.records import Record, Turn, record_line
from training.curate.stages import RECORDS
from training.finetune.data import Dialogue

SECRET = b"a secret of the hospital"
DAY = date(2026, 11, 26)


def patient(name: str) -> str:
    return keyed_hash(SECRET, "patient", name)


def record(number: int, who: str | None = "P1", text: str = "Where is it?", **fields: object) -> Record:
    turns = (Turn(speaker="patient", text=text), Turn(speaker="staff", text="In the lobby."))
    values = {
        "id": f"{number:020x}",
        "kind": "transcript",
        "source": "calls.jsonl",
        "place": number + 1,
        "patient": patient(who) if who else None,
        "side": "train" if number % 4 else "held_out",
        "turns": turns,
        "licence": "internal",
    }
    return Record.model_validate({**values, **fields})


def provenance(**fields: object) -> Provenance:
    stage = StageEntry(name="correct", options={"margin": 2, "lists": {"own": []}}, records_in=6, records_out=6)
    values = {"site": "Cedar Valley Health", "stages": [stage], "secret_fingerprint": fingerprint(SECRET)}
    return Provenance.model_validate({**values, **fields})


def content(folder: Path, records: Iterable[Record]) -> Path:
    """A folder as the stage publish leaves it, one dialogue a record."""
    folder.mkdir(parents=True)
    files = {name: (folder / name).open("w", encoding="utf-8") for name in FILES}
    for one in records:
        files[RECORDS].write(record_line(one))
        dialogue = Dialogue(
            id=f"{one.id}-1", article_id="maps", passages=["It is in the lobby."], question=one.turns[0].text,
            answer="It is in the lobby. [1]", origin="curated",
        )  # fmt: skip
        files[f"{one.side}.jsonl"].write(json.dumps(dialogue.model_dump()) + "\n")
    for file in files.values():
        file.close()
    return folder


SIX = [
    record(0, "P1", conversation="c" * 20),
    record(1, "P1"),
    record(2, None, conversation="c" * 20),
    record(3, "P2", origin=f"{1:020x}"),
    record(4, "P2", origin=f"{3:020x}"),
    record(5, "P3"),
    record(6, None),
]
