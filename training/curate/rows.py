"""What every record that leaves the check must be (pydantic), and what all of them together must be (pandera)."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Literal, Protocol, cast

import pandas as pd
import pandera.pandas as pa
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from training.curate.records import Record

Problem = str
_FOREIGN = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ufffd\ufffe\uffff]")


class Row(BaseModel):
    """One record as a row. Raises ValidationError that names what is wrong."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: str = Field(pattern=r"^[0-9a-f]{8,64}$")
    kind: Literal["transcript", "note", "faq"]
    language: Literal["en", "es", "mixed", ""]
    date: str = Field(pattern=r"^(?:\d{4}(?:-\d{2}(?:-\d{2})?)?.{0,20})?$")
    turns: int = Field(ge=1)
    staff_turns: int = Field(ge=1)
    patient_turns: int = Field(ge=0)
    words: int = Field(ge=1)
    text: str = Field(min_length=1)

    @field_validator("text")
    @classmethod
    def _readable(cls, value: str) -> str:
        if found := _FOREIGN.search(value):
            raise ValueError(f"holds the character U+{ord(found.group()):04X}, which is no text")
        return value

    @model_validator(mode="after")
    def _sides_of_its_kind(self) -> Row:
        if self.kind == "faq" and not self.patient_turns:
            raise ValueError("a FAQ entry without a question")
        if self.kind == "note" and self.patient_turns:
            raise ValueError("a note in which a patient speaks")
        return self

    @classmethod
    def of(cls, record: Record) -> Row:
        """The row of a record. Raises ValidationError."""
        staff = sum(turn.speaker == "staff" for turn in record.turns)
        return cls(
            id=record.id,
            kind=record.kind,
            language=cast(Any, record.language),
            date=record.date,
            turns=len(record.turns),
            staff_turns=staff,
            patient_turns=len(record.turns) - staff,
            words=len(record.text.split()),
            text=record.text,
        )


def problem(record: Record) -> Problem:
    """What is wrong with a record as a row; "" if nothing is. Names fields and rules, never their content."""
    try:
        Row.of(record)
    except ValidationError as error:
        return "; ".join(sorted({_named(fault) for fault in error.errors()}))
    return ""


def _named(fault: Mapping[str, Any]) -> str:
    if not fault["loc"]:
        return str(fault["msg"]).removeprefix("Value error, ")
    return f"{fault['loc'][0]}: {fault['type']}"


class Table:
    """Takes in rows one by one; what only all of them together can tell is looked at in the end. Of each row the id is
    held.
    """

    def __init__(self) -> None:
        self._ids: list[str] = []

    def add(self, record: Record) -> None:
        """Take in a record that is a valid row."""
        self._ids.append(record.id)

    def failures(self) -> Iterator[tuple[str, int]]:
        """Checks that failed, with the number of rows, after all rows."""
        table = pd.DataFrame({"id": self._ids}, dtype="str")
        try:
            _schema().validate(table, lazy=True)
        except pa.errors.SchemaErrors as errors:
            for name, cases in errors.failure_cases.groupby("check"):
                yield str(name), cases["index"].nunique()


class _Schema(Protocol):
    def validate(self, table: pd.DataFrame, *, lazy: bool) -> pd.DataFrame: ...


def _schema() -> _Schema:
    """What a table of rows must be: no two have the same id."""
    unique = pa.Check(lambda ids: ~ids.duplicated())
    unique.name = "id unique"
    return cast("_Schema", pa.DataFrameSchema({"id": pa.Column(str, unique)}, strict=True))
