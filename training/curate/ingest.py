"""Read what a hospital has into records. What cannot be read is set aside with its reason, and reading goes on.

The quarantine (:data:`QUARANTINE`) names file, line, reason and the beginning of the piece; like the records of this
stage it holds identifiers, so both are readable by their owner only. Records without consent or licence are dropped.

The sources are read twice: what one record says of consent, or of whose its conversation is, holds for others that may
stand before it (:mod:`training.curate.belonging`).
"""

from __future__ import annotations

import hashlib
import json
import os
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, TextIO

from pydantic import BaseModel, ConfigDict, Field

from app.errors import ConfigurationError
from training.curate.belonging import Belonging, Refusal
from training.curate.formats import fhir, json_lines, labelled_text, tables, webvtt
from training.curate.formats.consents import Refusals
from training.curate.formats.contract import Format, FormatName, SourceRule
from training.curate.formats.drafts import Draft, Facts, Fault
from training.curate.formats.encoding import cleaned, undone
from training.curate.formats.reading import TOO_LONG, Limits, SourceFile, shown
from training.curate.records import Kind, Record, Turn, record_id, record_line
from training.curate.stages import RECORDS, Context, StageReport

QUARANTINE = "quarantine.jsonl"
FORMATS: dict[FormatName, Format] = {
    "jsonl": json_lines.read,
    "csv": tables.read,
    "text": labelled_text.read,
    "vtt": webvtt.read,
    "fhir": fhir.read,
}
_ENDINGS: dict[str, FormatName] = {
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".csv": "csv",
    ".tsv": "csv",
    ".txt": "text",
    ".vtt": "vtt",
    ".json": "fhir",
}
NOBODYS = "names no patient in a conversation that names several"
"""The reason for a record that nobody could have forgotten, or of which two could."""
_OF_PATIENTS: tuple[Kind, ...] = ("transcript", "note")
_COUNTED = (
    "files",
    "quarantined",
    "without_consent",
    "without_licence",
    "without_patient",
    "encoding_repaired",
    "encoding_undone",
    "control_characters_removed",
)


class Options(BaseModel):
    """``exclude`` are patterns of files that are no sources; ``max_*`` bound what hostile input can cost."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    sources: list[SourceRule] = Field(min_length=1)
    exclude: list[str] = Field(default_factory=list)
    max_line_bytes: int = Field(default=1_000_000, ge=1000)
    max_file_bytes: int = Field(default=32_000_000, ge=1000)
    max_turns: int = Field(default=1000, ge=1)
    max_record_characters: int = Field(default=100_000, ge=100)

    @property
    def limits(self) -> Limits:
        """What formats have to keep to."""
        return Limits(self.max_line_bytes, self.max_file_bytes, self.max_record_characters)


class Ingest:
    """The first stage: a folder of files in, records and a quarantine out."""

    name = "ingest"

    def run(self, source: Path, out: Path, context: Context) -> StageReport:
        """See Stage. Raises ConfigurationError if ``source`` is no folder."""
        options: Options = context.options
        tally = _Tally(context.shard)
        with _private(out / RECORDS) as records, _private(out / QUARANTINE) as quarantine:
            for done, item in enumerate(_everything(source, options, tally), start=1):
                if isinstance(item, _Made):
                    if tally.keeps(item):
                        records.write(record_line(item.record))
                elif tally.sets_aside(item):
                    quarantine.write(_quarantine_line(item))
                if done % 500 == 0:
                    context.progress(done, None)
            context.progress(tally.records_in, tally.records_in)
        return tally.report()


def source_files(root: Path, exclude: list[str]) -> Iterator[tuple[str, Path, str]]:
    """Relative name, path and why it may not be read ('' if it may), sorted by name. Hidden files are left out; a
    folder that cannot be read is named in the place of its files.

    Raises ConfigurationError if ``root`` is no folder or cannot be read. Links are never followed.
    """
    if not root.is_dir():
        raise ConfigurationError(f"{root}, the folder of sources, does not exist")
    found: list[Path] = []
    closed: list[Path] = []
    for folder, subfolders, names in os.walk(root, onerror=lambda error: closed.append(Path(error.filename))):
        subfolders[:] = [name for name in subfolders if not name.startswith(".")]
        links = [name for name in subfolders if os.path.islink(Path(folder) / name)]
        found += [Path(folder) / name for name in (*names, *links) if not name.startswith(".")]
    if root in closed:
        raise ConfigurationError(f"{root}, the folder of sources, cannot be read; let who runs this read it")
    # The whole name, however long: it is the key of the file.
    named = [(_name(path, root), path, "") for path in found]
    named += [(f"{_name(path, root)}/", path, "a folder that cannot be read") for path in closed]
    home = root.resolve()
    for relative, path, reason in sorted(named):
        if not any(fnmatchcase(relative, pattern) for pattern in exclude):
            yield relative, path, reason or _unsafe(path, home)


def _name(path: Path, root: Path) -> str:
    """A name that no other file has: what is no text in it becomes an escape, and so does the sign of escapes."""
    name = path.relative_to(root).as_posix().replace("\\", r"\\")
    return shown(name, len(name))


def _unsafe(path: Path, home: Path) -> str:
    if os.path.islink(path):
        # Not Path.resolve: it raises for links that lead to themselves.
        inside = Path(os.path.realpath(path)).is_relative_to(home)
        return "a link to another source" if inside else "a link out of the sources' folder"
    try:
        return "" if path.is_file() else "no regular file"
    except OSError:  # in a folder whose names may be read and nothing else
        return "cannot be read"


@dataclass(frozen=True, slots=True)
class _Made:
    """A record, the format that it came in, and what had to be mended."""

    record: Record
    format: str
    repairs: frozenset[str]
    refusal: Refusal = ""


@dataclass(frozen=True, slots=True)
class _Aside:
    """What is set aside: ``piece`` counts what came out of the file before it, from 1. ``patients`` are those whom it
    names, as the fault may show words that do not.
    """

    source: str
    piece: int
    fault: Fault
    patients: tuple[str, ...] = ()


def _everything(root: Path, options: Options, tally: _Tally) -> Iterator[_Made | _Aside]:
    sources = list(_sources(root, options))
    belonging = _belonging(sources, tally)
    for source in sources:
        tally.file(source.file.name)
        if source.fault is not None:
            yield _Aside(source.file.name, 1, source.fault)
            continue
        for piece, item in enumerate(source.pieces(), start=1):
            made = item if isinstance(item, Fault) else _made(source, item, options, belonging)
            named = () if isinstance(item, Fault) else item.facts.patients
            if item.facts is not None:
                tally.reads(source.rule, f"{source.file.name}\n{piece}")
            yield _Aside(source.file.name, piece, made, named) if isinstance(made, Fault) else made


@dataclass(frozen=True, slots=True)
class _Source:
    """A file with the rule and the format by which it is read, or why it is not."""

    file: SourceFile
    rule: SourceRule
    format: FormatName
    fault: Fault | None = None

    def pieces(self) -> Iterator[Draft | Fault]:
        """What the file gives."""
        return _read(self.file, FORMATS[self.format], self.rule)

    def consents(self, facts: Facts) -> bool:
        """Whether a record may be used, by what it says, else by the rule."""
        return self.rule.consent if facts.consent is None else facts.consent


_NO_RULE = SourceRule(files="*", kind="note")


def _sources(root: Path, options: Options) -> Iterator[_Source]:
    for relative, path, unsafe in source_files(root, options.exclude):
        rule = next((rule for rule in options.sources if fnmatchcase(relative, rule.files)), None)
        name = rule.format or _ENDINGS.get(path.suffix.casefold()) if rule else None
        fault = None
        if unsafe:
            fault = Fault(0, unsafe)
        elif rule is None:
            fault = Fault(0, "no rule for this file", "name it in ingest.sources or ingest.exclude")
        elif name is None:
            fault = Fault(0, "unknown format", f"{path.suffix}: name its format in ingest.sources")
        yield _Source(SourceFile(path, relative, options.limits), rule or _NO_RULE, name or "jsonl", fault)


def _belonging(sources: Sequence[_Source], tally: _Tally) -> Belonging:
    """What all that can be read says of consent and of whose a conversation is, also what is then set aside."""
    readable = [source for source in sources if source.fault is None]
    refusals = Refusals()
    for source in readable:
        # What cannot be read is told when its records are.
        with suppress(OSError):
            refusals.read(source.file, source.format)
    belonging = Belonging(refusals.numbers())
    for source in readable:
        for facts in (piece.facts for piece in source.pieces()):
            if facts is not None:
                tally.sees(source.rule, facts)
                belonging.add(facts, source.consents(facts))
    return belonging


def _read(file: SourceFile, read: Format, rule: SourceRule) -> Iterator[Draft | Fault]:
    """What a format gives; a file that cannot be opened or holds nothing is one fault."""
    some = False
    try:
        if file.path.stat().st_size == 0:
            yield Fault(0, "empty file")
            return
        for item in read(file, rule):
            some = True
            yield item
    except OSError as error:
        yield Fault(0, "cannot be read", error.strerror or "")
        return
    if not some:
        yield Fault(0, "no records in the file")


def _made(source: _Source, draft: Draft, options: Options, belonging: Belonging) -> _Made | Fault:
    if sum(len(turn.text) for turn in draft.turns) > options.limits.source_characters:
        return Fault(draft.place, TOO_LONG, raw=shown(draft.turns[0].text))
    turns = []
    repairs = {"encoding_repaired"} if draft.repaired else set()
    for turn in draft.turns:
        text = undone(turn.text)
        plain, removed = cleaned(text)
        if plain:
            turns.append(Turn(speaker=turn.speaker, text=plain))
        repairs |= {"encoding_undone"} if text != turn.text else set()
        repairs |= {"control_characters_removed"} if removed else set()
    if not turns:
        return Fault(draft.place, "no text")
    if len(turns) > options.max_turns:
        return Fault(draft.place, "too many turns", f"{len(turns)}, at most {options.max_turns}", shown(turns[0].text))
    if sum(len(turn.text) for turn in turns) > options.max_record_characters:
        return Fault(draft.place, TOO_LONG, raw=shown(turns[0].text))
    facts, consent = draft.facts, source.consents(draft.facts)
    refusal = belonging.refusal(facts, consent)
    try:
        owner = facts.patient if refusal else belonging.owner(facts)
        record = _record(source, draft, turns).model_copy(update={"patient": owner, "consent": not refusal})
        return _Made(record, source.format, frozenset(repairs), refusal)
    except LookupError:
        return Fault(draft.place, NOBODYS, raw=shown(turns[0].text))
    except ValueError as error:
        # No value is known that comes here; one that does must not end the run. The message may quote it.
        return Fault(draft.place, "a value that no record can hold", type(error).__name__)


def _record(source: _Source, draft: Draft, turns: list[Turn]) -> Record:
    facts = draft.facts
    return Record(
        id=record_id(source.file.name, draft.place, turns),
        kind=source.rule.kind,
        source=source.file.name,
        place=draft.place,
        patient=facts.patient,
        conversation=facts.conversation,
        topic=facts.topic,
        language=facts.language,
        date=facts.date,
        groups=dict(facts.groups),
        licence=facts.licence,
        consent=source.consents(facts),
        resolved=facts.resolved,
        names=facts.names,
        turns=tuple(turns),
    )


class _Tally:
    """Counts of one shard. A record is in the shard of its conversation, else its patient, else itself, so that what
    has to be seen together is; a fault in that of its file and line.
    """

    def __init__(self, shard: tuple[int, int]) -> None:
        self._part, self._parts = shard
        self.records_in = 0
        self._kept = 0
        self._counts: Counter[str] = Counter()
        self._formats: Counter[tuple[str, str]] = Counter()
        self._reasons: Counter[str] = Counter()
        self._refusals: Counter[str] = Counter()
        self._rules: dict[int, SourceRule] = {}
        self._seen: defaultdict[int, set[str]] = defaultdict(set)
        self._read: Counter[int] = Counter()

    def _mine(self, key: str) -> bool:
        digest = hashlib.sha256(key.encode(errors="surrogatepass")).digest()
        return int.from_bytes(digest[:8], "big") % self._parts == self._part - 1

    def file(self, name: str) -> None:
        """A file begins."""
        self._counts["files"] += self._mine(name)

    def sees(self, rule: SourceRule, facts: Facts) -> None:
        """What a piece of any shard tells by the keys of its rule: what none has is known before the first is kept."""
        self._rules[id(rule)] = rule
        self._seen[id(rule)] |= facts.seen

    def reads(self, rule: SourceRule, key: str) -> None:
        """A piece that tells something is read by a rule."""
        self._read[id(rule)] += self._mine(key)

    def keeps(self, made: _Made) -> bool:
        """Whether a record is of this shard and may be used; counts it, and what was mended in it."""
        record = made.record
        if not self._mine(record.conversation or record.patient or record.id):
            return False
        self.records_in += 1
        if not record.consent or not record.licence:
            self._counts["without_licence" if record.consent else "without_consent"] += 1
            self._refusals.update([made.refusal] if made.refusal else [])
            return False
        self._counts.update(made.repairs)
        self._formats[(made.format, record.kind)] += 1
        self._counts["without_patient"] += record.kind in _OF_PATIENTS and not record.patient
        self._kept += 1
        return True

    def sets_aside(self, aside: _Aside) -> bool:
        """Whether a fault is this shard's; counts it."""
        if not self._mine(f"{aside.source}\n{aside.piece}"):
            return False
        self.records_in += 1
        self._counts["quarantined"] += 1
        self._reasons[aside.fault.reason] += 1
        return True

    def _never_seen(self) -> list[dict[str, Any]]:
        """What a rule looks for and no record of its files has: a key that is mistyped, or not there."""
        rows = [
            {"rule": rule.files, "named_under": under, "field": name, "key": key, "records": self._read[one]}
            for one, rule in self._rules.items()
            for under, named in (("fields", rule.fields), ("groups", rule.groups))
            for name, key in named.items()
            if key not in self._seen[one]
        ]
        return sorted(rows, key=lambda row: [str(value) for value in row.values()][:-1])

    def report(self) -> StageReport:
        """Rows are sorted and hold counts alone, so that the shards' reports add up."""
        formats = [
            {"format": name, "kind": kind, "records": count} for (name, kind), count in sorted(self._formats.items())
        ]
        refusals = [{"refused_by": who, "records": count} for who, count in sorted(self._refusals.items())]
        reasons = [{"reason": reason, "pieces": count} for reason, count in sorted(self._reasons.items())]
        return StageReport(
            stage=Ingest.name,
            records_in=self.records_in,
            records_out=self._kept,
            counts={name: self._counts[name] for name in _COUNTED},
            tables={
                "sources": formats,
                "without_consent": refusals,
                "quarantine": reasons,
                "fields_never_seen": self._never_seen(),
            },
        )


def _private(path: Path) -> TextIO:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    return os.fdopen(descriptor, "w", encoding="utf-8")


def _quarantine_line(aside: _Aside) -> str:
    fault = aside.fault
    fields = {
        "source": aside.source,
        "piece": aside.piece,
        "line": fault.line,
        "reason": fault.reason,
        # Labels and endings as the source has them, which may be no text.
        "detail": shown(fault.detail),
        "raw": fault.raw,
        "patients": aside.patients,
    }
    told = {name: value for name, value in fields.items() if value not in ("", ())}
    return json.dumps(told, ensure_ascii=False) + "\n"
