"""Stage *check*: what the staff said against what the hospital says and against what others of the staff said.

Found are wrong phones, hours, doses and other numbers, contradictions, rude answers and calls that are no matter of the
hospital. None of it is changed or thrown away on its own: each is asked about once, and until somebody decides the
answer is left out of the output (:func:`training.curate.doubts.decide`). Records also get their language here, too
short ones are dropped, and each row and the table of them are validated.

    truth      what the hospital says, sentence by sentence; figures, spoken: the numbers in it
    doubts     one record: facts (figures), contradictions (sides), tone; then its answers (exchanges) for disagreements
      facts, contradictions   find the statement by words; where they give no verdict, by meaning (meaning, replies)
      stance, clauses         which side a part of a sentence takes, and where parts end
    disagreements   answers against those of other records
    rows       validation of each record and of the table
"""

from __future__ import annotations

import json
from array import array
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping
from dataclasses import asdict
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, BinaryIO, TextIO

from pydantic import BaseModel, ConfigDict, Field

from app.contracts.site import Site
from training.curate.disagreements import Disagreements, Said
from training.curate.doubts import STAGE, Decided, Doubt, Inspector, Seen, decide, opposite
from training.curate.meaning import Meanings, Vectors, vectors_of
from training.curate.records import Record, read_records, record_line
from training.curate.stages import RECORDS, REVIEW, Context, StageReport, Verdict
from training.curate.streams import mapped
from training.curate.truth import Truth

DOUBTS = "doubts.jsonl"
"""All doubts with their places, decided or not, one a line: for those who measure."""
_MOST_ROWS = 200


if TYPE_CHECKING:
    from training.curate.rows import Table


class Options(BaseModel):
    """``least_words`` and ``most_words``: of the staff in a record; a shorter or longer one is dropped. ``examples``:
    doubts that the report shows.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    least_words: int = Field(default=3, ge=0)
    most_words: int = Field(default=5000, ge=1)
    examples: int = Field(default=25, ge=0, le=200)


class Check:
    """The stage. It reads the records once; the doubts wait in a file until all answers have been compared."""

    name = STAGE

    def run(self, source: Path, out: Path, context: Context) -> StageReport:
        """See :class:`training.curate.stages.Stage`."""
        # Loads pandas, which takes seconds: neither a command's help nor the other processes need it.
        from training.curate.rows import Table, problem

        options: Options = context.options or Options()
        with TemporaryDirectory(dir=out) as folder:
            seen = Path(folder) / "seen.jsonl"
            found, records_in = self._inspect(source / RECORDS, seen, Path(folder) / "said.jsonl", context)
            with (
                seen.open(encoding="utf-8") as lines,
                (out / RECORDS).open("w", encoding="utf-8") as records,
                (out / REVIEW).open("w", encoding="utf-8") as queue,
                (out / DOUBTS).open("w", encoding="utf-8") as places,
            ):
                writer = _Writer(records, queue, places, options, context.decisions, Table(), problem)
                for number, line in enumerate(lines):
                    record, own = _read_seen(line)
                    writer.write(record, list(dict.fromkeys([*own, *found.get(number, ())])))
            report = writer.report(records_in)
        if not report.counts["questions"]:
            (out / REVIEW).unlink()
        return report

    def _inspect(self, source: Path, seen: Path, said: Path, context: Context) -> tuple[dict[int, list[Doubt]], int]:
        """First pass: each record by itself, then its answers against those before. Returns the doubts that answers of
        other records raise, by the number of the record, and how many records there are.
        """
        found: defaultdict[int, list[Doubt]] = defaultdict(list)
        truth = Truth.load(context.site, context.articles)
        vectors = vectors_of(truth, context.encoder)
        number = -1
        with seen.open("w", encoding="utf-8") as out, said.open("w+b") as kept:
            places = array("Q")
            meanings = Meanings(truth, vectors, context.encoder)
            answers = Disagreements(truth.weight, partial(_said_at, kept, places), meanings)
            prepare = partial(inspector, context.site, context.articles, context.encoder, vectors)
            for number, one in enumerate(mapped(read_records(source), prepare, context.workers)):
                out.write(_seen_line(one))
                context.progress(number + 1, None)
                for turn, question, answer, supported, doubted in one.said:
                    new = Said(number, turn, question, answer, supported, doubted)
                    if not new.tells:
                        continue
                    _keep(kept, places, new)
                    for earlier, reason in answers.opposite(new, len(places) - 1):
                        for record, doubt in opposite(new, earlier, reason):
                            found[record].append(doubt)
        return found, number + 1


def inspector(site: Site, articles: Path, encoder: Path, vectors: Vectors) -> Callable[[Record], Seen]:
    """The function that inspects one record."""
    return Inspector(site, articles, encoder, vectors).inspect


class _Writer:
    """Second pass: applies decisions, validates, writes and counts."""

    def __init__(
        self,
        records: TextIO,
        queue: TextIO,
        places: TextIO,
        options: Options,
        decisions: Mapping[str, Verdict],
        table: Table,
        problem: Callable[[Record], str],
    ) -> None:
        self._records, self._queue, self._places = records, queue, places
        self._options, self._decisions = options, decisions
        self._counts: Counter[str] = Counter()
        self._languages: Counter[str] = Counter()
        self._problems: Counter[str] = Counter()
        self._wrong: Counter[tuple[str, str, str]] = Counter()
        self._examples: list[dict[str, str]] = []
        self._asked: set[str] = set()
        self._table, self._problem = table, problem

    def write(self, record: Record, doubts: list[Doubt]) -> None:
        """Take in one record with all that is doubtful in it."""
        self._languages[record.language or "unknown"] += 1
        self._tell(record, doubts)
        done = decide(record, doubts, self._decisions)
        self._counts.update(done.counts)
        self._ask(record, done)
        if done.record is None:
            return
        if reason := self._unfit(done.record):
            self._counts[reason] += 1
            return
        self._table.add(done.record)
        self._counts["records_out"] += 1
        self._records.write(record_line(done.record))

    def report(self, records_in: int) -> StageReport:
        """What was done."""
        report = StageReport(stage=STAGE, records_in=records_in, records_out=self._counts.pop("records_out", 0))
        self._counts["questions"] = len(self._asked)
        failures = list(self._table.failures())
        report.counts = dict(sorted(self._counts.items()))
        report.tables = {
            "languages": [{"language": name, "records": n} for name, n in sorted(self._languages.items())],
            "doubts": [
                {"kind": kind, "proposal": proposal, "against": against, "count": count}
                for (kind, proposal, against), count in sorted(
                    self._wrong.items(), key=lambda item: (-item[1], item[0])
                )[:_MOST_ROWS]
            ],
            "invalid_rows": [{"problem": name, "records": n} for name, n in sorted(self._problems.items())],
            "table_checks_failed": [{"check": name, "rows": rows} for name, rows in failures],
        }
        report.examples = self._examples
        return report

    def _tell(self, record: Record, doubts: list[Doubt]) -> None:
        for doubt in doubts:
            where = {"record": record.id, "source": record.source, "place": record.place, "key": doubt.key}
            self._places.write(json.dumps(where | asdict(doubt), ensure_ascii=False, sort_keys=True) + "\n")
            self._counts[f"found_{doubt.kind}"] += 1
            about = doubt.against[:120] if doubt.kind != "off_topic" else ""
            self._wrong[doubt.kind, doubt.proposal, about] += 1
            if len(self._examples) < self._options.examples and doubt.kind != "off_topic":
                self._examples.append({"kind": doubt.kind, "said": doubt.sentence[:300], "reason": doubt.reason[:300]})

    def _ask(self, record: Record, done: Decided) -> None:
        for doubt in done.open:
            if doubt.key not in self._asked:
                self._asked.add(doubt.key)
                self._queue.write(doubt.item(record).model_dump_json() + "\n")

    def _unfit(self, record: Record) -> str:
        words = sum(len(turn.text.split()) for turn in record.turns if turn.speaker == "staff")
        if words < self._options.least_words:
            return "dropped_too_short"
        if words > self._options.most_words:
            return "dropped_too_long"
        if fault := self._problem(record):
            self._problems[fault] += 1
            return "dropped_invalid"
        return ""


def _seen_line(seen: Seen) -> str:
    fields = {"record": seen.record.model_dump(mode="json"), "doubts": [asdict(doubt) for doubt in seen.doubts]}
    return json.dumps(fields, ensure_ascii=False) + "\n"


def _read_seen(line: str) -> tuple[Record, list[Doubt]]:
    fields = json.loads(line)
    return Record.model_validate(fields["record"]), [Doubt(**doubt) for doubt in fields["doubts"]]


def _keep(file: BinaryIO, places: array[int], said: Said) -> None:
    """Write an answer to the end of a file and note where it begins."""
    places.append(file.seek(0, 2))
    file.write(json.dumps(asdict(said), ensure_ascii=False).encode() + b"\n")


def _said_at(file: BinaryIO, places: array[int], place: int) -> Said:
    file.seek(places[place])
    return Said(**json.loads(file.readline()))
