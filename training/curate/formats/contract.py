"""What a format reads and gives: the contract of the modules in this folder."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal, Protocol, get_args

from pydantic import BaseModel, ConfigDict, Field, field_validator

from training.curate.formats.drafts import Draft, Fault
from training.curate.formats.reading import SourceFile
from training.curate.records import Kind, Speaker

FormatName = Literal["jsonl", "csv", "text", "vtt", "fhir"]
FieldName = Literal[
    "patient",
    "conversation",
    "topic",
    "language",
    "date",
    "licence",
    "consent",
    "resolved",
    "name",
    "age",
    "birth_date",
    "turns",
    "speaker",
    "text",
    "question",
    "answer",
]
FIELDS: tuple[FieldName, ...] = get_args(FieldName)


class SourceRule(BaseModel):
    """How to read some of the files.

    ``files`` is a pattern over paths relative to the sources' folder (``*`` also crosses folders); the first rule that
    fits a file is used. ``format`` is told by the file's ending if left out. ``fields`` names, for a field of ours, the
    source's own key, column or header; a field that is not named is looked for under its own name. Keys of nested JSON
    are joined by dots. ``groups`` does the same for what bias is examined by. ``speakers`` adds labels of speakers.
    ``licence``, ``consent``, ``language`` and ``topic`` hold where a record does not say.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    files: str = Field(min_length=1)
    kind: Kind
    format: FormatName | None = None
    licence: str = ""
    consent: bool = False
    language: str = ""
    topic: str = ""
    fields: dict[FieldName, str] = Field(default_factory=dict)
    groups: dict[str, str] = Field(default_factory=dict)
    speakers: dict[str, Speaker] = Field(default_factory=dict)

    @field_validator("speakers")
    @classmethod
    def _any_case(cls, value: dict[str, Speaker]) -> dict[str, Speaker]:
        return {label.casefold().strip(): speaker for label, speaker in value.items()}

    def key(self, name: FieldName) -> str:
        """What the source calls a field."""
        return self.fields.get(name, name)


class Refused(Exception):
    """Raised inside a format where a piece cannot become a record. ``reason`` is a fixed phrase without the source's
    words, as it is counted in reports; ``detail`` goes to the quarantine only.
    """

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(reason)
        self.reason = reason
        self.detail = detail


class Format(Protocol):
    """Reads a file piece by piece. Places grow; whatever cannot be read is a Fault, never an exception."""

    def __call__(self, file: SourceFile, rule: SourceRule) -> Iterator[Draft | Fault]:
        """Drafts and faults in the order of the file. Holds one record at a time, or a file under the size limit."""
        ...
