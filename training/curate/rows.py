"""What every record that leaves the check must be (pydantic), and what all of them together must be (pandera)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Literal, Protocol, cast

import pandas as pd
import pandera.pandas as pa
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from training.curate.records import Record

Problem = str
_FOREIGN = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ufffd\ufffe\uffff]")
LONGEST = 100_000
"""Characters of a record."""


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
    text: str = Field(min_length=1, max_length=LONGEST)

    @field_validator("text")
    @classmethod
    def _readable(cls, value: str) -> str:
        if found := _FOREIGN.search(value):
            raise ValueError(f"holds the character U+{ord(found.group()):04X}, which is no text")
        return value

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
    """What is wrong with a record as a row; "" if nothing is. Names fields, never their content."""
    try:
        Row.of(record)
    except ValidationError as error:
        return "; ".join(sorted({f"{fault['loc'][0]}: {fault['type']}" for fault in error.errors()}))
    return ""


class _Schema(Protocol):
    def validate(self, table: pd.DataFrame, *, lazy: bool) -> pd.DataFrame: ...


def schema() -> _Schema:
    """What a table of rows must be: ids are unique, a FAQ entry has both sides, a note has the staff's alone."""
    checks = {
        "faq_has_both_sides": pa.Check(lambda table: (table["kind"] != "faq") | (table["patient_turns"] >= 1)),
        "note_is_the_staffs": pa.Check(lambda table: (table["kind"] != "note") | (table["patient_turns"] == 0)),
        "turns_add_up": pa.Check(lambda table: table["turns"] == table["staff_turns"] + table["patient_turns"]),
    }
    for name, check in checks.items():
        check.name = name
    return cast(
        "_Schema",
        pa.DataFrameSchema(
            {
                "id": pa.Column(str, unique=True),
                "kind": pa.Column(str, pa.Check.isin(["transcript", "note", "faq"])),
                "language": pa.Column(str, pa.Check.isin(["en", "es", "mixed", ""])),
                "turns": pa.Column(int, pa.Check.ge(1)),
                "staff_turns": pa.Column(int, pa.Check.ge(1)),
                "patient_turns": pa.Column(int, pa.Check.ge(0)),
                "words": pa.Column(int, pa.Check.ge(1)),
            },
            checks=list(checks.values()),
            strict=True,
        ),
    )


class Table:
    """Collects rows and checks them in blocks, so that memory does not grow with their number; ids are kept as numbers,
    so that the same one is found in another block too.
    """

    def __init__(self, block: int = 5_000) -> None:
        self._block = block
        self._schema = schema()
        self._rows: list[dict[str, Any]] = []
        self._ids: set[int] = set()
        self._failures: dict[str, int] = {}

    def add(self, record: Record) -> None:
        """Take in a record that is a valid row."""
        row = Row.of(record).model_dump(exclude={"text", "date"})
        number = int(row["id"], 16)
        if number in self._ids:
            self._fail("id unique", 1)
        self._ids.add(number)
        self._rows.append(row)
        if len(self._rows) >= self._block:
            self._check()

    def failures(self) -> Iterator[tuple[str, int]]:
        """Checks that failed, with the number of rows, after all rows."""
        self._check()
        yield from sorted(self._failures.items())

    def _check(self) -> None:
        if not self._rows:
            return
        table = pd.DataFrame(self._rows).astype({"id": "str", "kind": "str", "language": "str"})
        table = table.drop_duplicates("id")  # counted by add(), across blocks
        self._rows = []
        try:
            self._schema.validate(table, lazy=True)
        except pa.errors.SchemaErrors as errors:
            for name, cases in errors.failure_cases.groupby("check"):
                self._fail(str(name), cases["index"].nunique())

    def _fail(self, name: str, rows: int) -> None:
        self._failures[name] = self._failures.get(name, 0) + rows
