"""What flows through curation: one record for each call, note or FAQ entry, as a line of a JSONL file."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from app.errors import ConfigurationError

Kind = Literal["transcript", "note", "faq"]
Speaker = Literal["patient", "staff"]


class Turn(BaseModel):
    """What one side said. A FAQ entry is a patient's turn and a staff turn; a note is one staff turn."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    speaker: Speaker
    text: str


class Record(BaseModel):
    """One call, note or FAQ entry.

    ``id`` is the hash of source, place and content (:func:`record_id`), keyed by de-identification so that nobody can
    try texts until one fits; ``source`` the file's path relative to the sources' folder, ``place`` the line, row or
    entry in it, counted from 1. ``patient`` and ``conversation`` link records that belong together (None: unknown);
    after de-identification they are keyed hashes. ``groups`` holds what bias is examined by (``language``,
    ``age_band``, ``sex`` ...), ``licence`` and ``consent`` what may be done with it. ``resolved`` says whether the
    question was answered, where the source tells. ``names`` are people whom the source names beside the text (none once
    de-identification, which looks for them, has run). ``origin`` names the record that an augmented one was made from.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: str
    kind: Kind
    source: str
    place: int = Field(ge=1)
    patient: str | None = None
    conversation: str | None = None
    topic: str = ""
    language: str = ""
    date: str = ""
    groups: dict[str, str] = Field(default_factory=dict)
    licence: str = ""
    consent: bool = True
    resolved: bool | None = None
    names: tuple[str, ...] = ()
    turns: tuple[Turn, ...] = Field(min_length=1)
    side: Literal["", "train", "validation", "held_out"] = ""
    weight: float = Field(default=1.0, gt=0)
    origin: str = ""

    @property
    def text(self) -> str:
        """All turns, one a line."""
        return "\n".join(turn.text for turn in self.turns)

    def with_turns(self, texts: Iterable[str]) -> Record:
        """The same record with other words, turn by turn. Raises ValueError if their number differs."""
        turns = tuple(turn.model_copy(update={"text": text}) for turn, text in zip(self.turns, texts, strict=True))
        return self.model_copy(update={"turns": turns})


def record_id(source: str, place: int, turns: Iterable[Turn]) -> str:
    """20 hexadecimal digits of SHA-256 over where a record stands and what it says."""
    content = json.dumps([source, place, [[turn.speaker, turn.text] for turn in turns]], ensure_ascii=False)
    return hashlib.sha256(content.encode()).hexdigest()[:20]


def read_records(path: Path) -> Iterator[Record]:
    """The records of a file, one at a time. Raises ConfigurationError that names file and line."""
    try:
        with path.open(encoding="utf-8") as lines:
            for number, line in enumerate(lines, start=1):
                try:
                    yield Record.model_validate_json(line)
                except ValidationError as error:
                    first = error.errors()[0]
                    where = ".".join(map(str, first["loc"])) or "line"
                    raise ConfigurationError(f"{path}:{number}: {where}: {first['msg']}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{path} cannot be read: {error}") from None


def record_line(record: Record) -> str:
    """A record as a line of JSON; the same record always gives the same bytes."""
    return json.dumps(record.model_dump(mode="json"), ensure_ascii=False, sort_keys=True) + "\n"
