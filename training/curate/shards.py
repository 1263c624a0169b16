"""Join what shards of a corpus made, so that the result is that of one run, byte for byte.

A shard has taken some of the conversations through ingest and deidentify, the stages that look at one conversation
at a time. All later stages need the whole corpus and run after the join.
"""

from __future__ import annotations

import heapq
import json
import os
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from app.errors import ConfigurationError
from training.curate.deidentify import MOST_EXAMPLES, Questions, write_questions
from training.curate.ingest import QUARANTINE
from training.curate.keys import keyed_hash
from training.curate.stages import RECORDS, REVIEW, ReviewItem, StageReport

SHARDED = ("ingest", "deidentify")


def join_ingest(parts: Sequence[Path], out: Path) -> None:
    """Records and quarantine of all shards, in the order of their sources."""
    for name, place in ((RECORDS, "place"), (QUARANTINE, "piece")):
        with ExitStack() as files:
            target = os.fdopen(os.open(out / name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb")
            files.enter_context(target)
            for _, _, _, line in heapq.merge(*(_placed(part / name, place, files, n) for n, part in enumerate(parts))):
                target.write(line)


def join_deidentify(before: Sequence[Path], parts: Sequence[Path], out: Path, secret: bytes, most: int) -> None:
    """Records and questions of all shards; ``before`` are the shards' folders of ingest, whose order rules; ``most``
    is the option ``questions``.

    Raises ConfigurationError if the folders do not belong together.
    """
    with ExitStack() as files:
        heads = [_Head(files.enter_context((part / RECORDS).open("rb"))) for part in parts]
        target = files.enter_context((out / RECORDS).open("wb"))
        raw = [_placed(folder / RECORDS, "place", files, n) for n, folder in enumerate(before)]
        for _, _, number, line in heapq.merge(*raw):
            record = json.loads(line)
            conversation = record["conversation"]
            key = keyed_hash(secret, *(("conversation", conversation) if conversation else ("record", record["id"])))
            # All of a conversation stands at the place of its first record; later ones find it written.
            while heads[number].key == key:
                target.write(heads[number].line)
                heads[number].advance()
        if any(head.line for head in heads):
            raise ConfigurationError("the shards' deidentify does not belong to their ingest; run the shards again")
    questions = Questions(most)
    for asked in (line for part in parts for line in _lines(part / REVIEW)):
        questions.add(ReviewItem.model_validate_json(asked))
    write_questions(questions, out)


def join_reports(reports: Sequence[StageReport]) -> StageReport:
    """Reports whose tables are counts by name, added up."""
    tables: dict[str, list[dict[str, Any]]] = {}
    for name in reports[0].tables:
        sums: defaultdict[tuple[tuple[str, Any], ...], defaultdict[str, int]] = defaultdict(lambda: defaultdict(int))
        for row in (row for report in reports for row in report.tables[name]):
            named = tuple((column, value) for column, value in row.items() if not isinstance(value, int))
            for column, value in row.items():
                if isinstance(value, int):
                    sums[named][column] += value
        tables[name] = [dict(named) | dict(sums[named]) for named in sorted(sums)]
    examples = sorted((example for report in reports for example in report.examples), key=lambda one: one["order"])
    return StageReport(
        stage=reports[0].stage,
        records_in=sum(report.records_in for report in reports),
        records_out=sum(report.records_out for report in reports),
        counts={name: sum(report.counts[name] for report in reports) for name in reports[0].counts},
        tables=tables,
        examples=examples[:MOST_EXAMPLES],
    )


class _Head:
    """The next line of a file of records and the key of its conversation (else of itself); both empty at the end."""

    def __init__(self, lines: Iterator[bytes]) -> None:
        self._lines = lines
        self.line, self.key = b"", ""
        self.advance()

    def advance(self) -> None:
        """Go to the next line."""
        self.line = next(self._lines, b"")
        record = json.loads(self.line) if self.line else {}
        self.key = record.get("conversation") or record.get("id", "")


def _placed(path: Path, place: str, files: ExitStack, number: int) -> Iterator[tuple[str, int, int, bytes]]:
    lines = files.enter_context(path.open("rb"))
    for line in lines:
        fields = json.loads(line)
        yield fields["source"], fields[place], number, line


def _lines(path: Path) -> Iterator[str]:
    if path.exists():
        with path.open(encoding="utf-8") as lines:
            yield from lines
