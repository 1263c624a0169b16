"""The contract of a stage: a folder in, a folder and a report out."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol

from pydantic import BaseModel, ConfigDict, Field

from app.contracts.site import Site

RECORDS = "records.jsonl"
"""Each stage reads the records of the stage before and writes its own under this name."""
REPORT = "report.json"
"""The stage's :class:`StageReport`, beside its records."""
CORRECTIONS = "corrections"
"""The table of a report that lists what was corrected without asking: each row has its ``key`` and ``kind``, by which
a person may reject it.
"""
REVIEW = "review.jsonl"
"""What a stage wants a person to decide, one :class:`ReviewItem` a line; absent when there is nothing."""

Verdict = Literal["accept", "reject", "drop"]


class ReviewItem(BaseModel):
    """A question to a person. ``key`` is the hash of what is asked (:func:`review_key`), so that a decision is found
    again in any later run over the same content. ``excerpt`` shows the place, ``proposal`` what accepting would do.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    key: str
    stage: str
    kind: str
    record: str
    excerpt: str
    proposal: str = ""
    reason: str


def review_key(stage: str, kind: str, *content: str) -> str:
    """16 hexadecimal digits of SHA-256 over a question's content: not over the record or run it came up in."""
    return hashlib.sha256("\x1f".join([stage, kind, *content]).encode()).hexdigest()[:16]


class StageReport(BaseModel):
    """What a stage did: ``records_in`` and ``records_out``, ``counts`` by name, ``tables`` (name -> rows) and
    ``examples`` for the human-readable report. Holds no identifier and no time, so that it is the same in each run.
    """

    model_config = ConfigDict(extra="forbid")

    stage: str
    records_in: int = Field(ge=0)
    records_out: int = Field(ge=0)
    counts: dict[str, int] = Field(default_factory=dict)
    tables: dict[str, list[dict[str, Any]]] = Field(default_factory=dict)
    examples: list[dict[str, str]] = Field(default_factory=list)


def silent(done: int, total: int | None) -> None:
    """Progress that nobody sees."""


@dataclass(frozen=True, slots=True)
class Context:
    """What every stage may use.

    ``site`` and ``articles`` (a folder) are the hospital's truth; ``options`` the stage's own settings, already
    validated, and ``others`` those of stages that it has to agree with, by name; ``decisions`` what people decided, by
    review key; ``secret`` keys the hashes of patients; ``workers`` processes; ``shard`` the part (counted from 1, of
    how many) that the first stage takes; ``forgotten`` the keyed hashes of patients whose records may not be used any
    more; ``progress`` is called with (records done, records in all or None). ``encoder`` is the folder of the encoder's
    ONNX files, by which redaction finds names.
    """

    site: Site
    articles: Path
    options: Any = None
    others: Mapping[str, Any] = field(default_factory=dict)
    decisions: Mapping[str, Verdict] = field(default_factory=dict)
    secret: bytes = b""
    seed: int = 7
    workers: int = 1
    shard: tuple[int, int] = (1, 1)
    forgotten: frozenset[str] = frozenset()
    encoder: Path = Path("var/encoder")
    progress: Callable[[int, int | None], None] = silent


class Stage(Protocol):
    """Reads ``source`` (a folder of raw files for the first stage, else one with :data:`RECORDS`), writes
    :data:`RECORDS`, perhaps :data:`REVIEW` and files of its own into the empty folder ``out``, and reports.

    The same source, options, decisions, secret and seed give byte-identical output, whatever ``workers`` is.
    """

    name: str

    def run(self, source: Path, out: Path, context: Context) -> StageReport:
        """Do the whole stage. Raises ConfigurationError for what the operator has to mend."""
        ...
