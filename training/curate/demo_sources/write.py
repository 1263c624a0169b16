"""Write the demonstration hospital's sources: :func:`write_sources` is the whole path, top to bottom."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

from app.contracts.site import Site
from training.curate.demo_sources import formats
from training.curate.demo_sources.broken import broken_files
from training.curate.demo_sources.drafts import Draft
from training.curate.demo_sources.facts import read_facts
from training.curate.demo_sources.family import drafts_of
from training.curate.demo_sources.marks import unmark
from training.curate.demo_sources.phrases import Family

KEY = "key.jsonl"
FAMILIES: tuple[Family, Family] = ("a", "b")
_FOLDERS = ("calls", "notes", "faq", "broken")
_TEXTS, _CUES, _TABLE, _BUNDLE = 80, 60, 60, 20
"""How many calls become text files and WebVTT files, and how many stand in one table and in one bundle."""
_BUNDLES = 4
_NAMES = {"transcript": "C-{:05d}", "note": "N-{:04d}", "faq": "F-{:04d}"}


def write_sources(out: Path, articles: Path, site: Site, seed: int = 7) -> dict[str, int]:
    """Write calls, notes, FAQ entries, broken files and ``key.jsonl`` into ``out``; returns counts by kind and defect.

    What an earlier run wrote there is removed first; a README stays. The same articles and seed give the same bytes.
    Raises ConfigurationError if an article that a question stands on has changed.
    """
    facts = read_facts(articles)
    drafts = [draft for family in FAMILIES for draft in drafts_of(family, facts, site, seed)]
    for folder in _FOLDERS:
        shutil.rmtree(out / folder, ignore_errors=True)
        (out / folder).mkdir(parents=True)
    files = _Files(out)
    _write_calls(files, [draft for draft in drafts if draft.kind == "transcript"], Random(f"{seed}-files"))
    _write_others(files, drafts)
    key = [line for draft in files.drafts for line in _key_lines(draft, files.places)] + _write_broken(out)
    key.sort(key=lambda line: (line["source"], line["place"], -1 if line["turn"] is None else line["turn"]))
    (out / KEY).write_text(
        "".join(json.dumps(line, ensure_ascii=False, separators=(",", ":")) + "\n" for line in key), encoding="utf-8"
    )
    counts = Counter([draft.kind for draft in files.drafts] + [line["defect"] for line in key])
    return dict(sorted(counts.items()))


@dataclass(slots=True)
class _Files:
    """The files written so far, and where each draft stands."""

    out: Path
    places: dict[int, tuple[str, int]] = field(default_factory=dict)
    drafts: list[Draft] = field(default_factory=list)

    def write(self, source: str, data: bytes, drafts: list[Draft], places: list[int] | None = None) -> None:
        """Write one file that holds these drafts at these places (1, 2, 3 ... if none are given)."""
        path = self.out / source
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        for draft, place in zip(drafts, places or range(1, len(drafts) + 1), strict=True):
            self.places[id(draft)] = (source, place)
            self.drafts.append(draft)


def _write_calls(files: _Files, calls: list[Draft], rng: Random) -> None:
    """Deal the calls to files of all formats."""
    _number(sorted(calls, key=lambda draft: draft.date))
    rng.shuffle(calls)
    rest = iter(calls)

    def take(count: int) -> list[Draft]:
        return [draft for _, draft in zip(range(count), rest, strict=False)]

    for draft in take(_TEXTS):
        files.write(f"calls/text/{draft.number}.txt", formats.text_file(draft, rng).encode(), [draft])
    for draft in take(_CUES):
        files.write(f"calls/vtt/{draft.number}.vtt", formats.vtt_file(draft, rng).encode(), [draft])
    table = take(_TABLE)
    files.write("calls/export-east.csv", formats.csv_text(formats.csv_rows(table)).encode(), table)
    for number in range(1, _BUNDLES + 1):
        bundle = take(_BUNDLE)
        data, places = formats.fhir_bundle(bundle)
        files.write(f"calls/fhir-{number}.json", data, bundle, places)
    left = list(rest)
    windows = [draft for draft in left if formats.encodable(draft, "cp1252")][:_TABLE]
    for draft in windows:
        draft.encoding = "cp1252"
    files.write("calls/export-west.csv", formats.csv_text(formats.csv_rows(windows)).encode("cp1252"), windows)
    months: dict[str, list[Draft]] = {}
    for draft in sorted((one for one in left if one not in windows), key=lambda one: one.number):
        months.setdefault(f"{draft.date:%Y-%m}", []).append(draft)
    for month, found in months.items():
        for draft in found:
            if draft.language == "es" and rng.random() < 0.5 and formats.encodable(draft, "cp1252"):
                draft.encoding = "cp1252"
        files.write(f"calls/{month}.jsonl", formats.jsonl(found), found)


def _write_others(files: _Files, drafts: list[Draft]) -> None:
    notes = [draft for draft in drafts if draft.kind == "note"]
    entries = [draft for draft in drafts if draft.kind == "faq"]
    _number(notes)
    _number(entries)
    data, places = formats.fhir_bundle(notes[:70])
    files.write("notes/documents.json", data, notes[:70], places)
    files.write("notes/notes.csv", formats.csv_text(formats.csv_rows(notes[70:120])).encode(), notes[70:120])
    files.write("notes/notes.jsonl", formats.jsonl(notes[120:]), notes[120:])
    table = formats.csv_text(formats.csv_rows(entries[:110]))
    files.write("faq/faq.csv", table.encode("utf-8-sig"), entries[:110])
    files.write("faq/faq.jsonl", formats.jsonl(entries[110:]), entries[110:])


def _number(drafts: list[Draft]) -> None:
    for number, draft in enumerate(drafts, start=1):
        draft.number = _NAMES[draft.kind].format(number)


def _write_broken(out: Path) -> list[dict[str, Any]]:
    key = []
    for broken in broken_files():
        (out / broken.path).write_bytes(broken.data)
        for place, defect, wrong, note in broken.key:
            key.append(_line(broken.path, place, None, defect, wrong, "", note, family=""))
    return key


def _line(
    source: str, place: int, turn: int | None, defect: str, wrong: str, right: str, note: str, **more: object
) -> dict[str, Any]:
    return {"source": source, "place": place, "turn": turn, "defect": defect, "wrong": wrong, "right": right,
            "note": note, **more}  # fmt: skip


def _key_lines(draft: Draft, places: dict[int, tuple[str, int]]) -> Iterator[dict[str, Any]]:
    source, place = places[id(draft)]
    more: dict[str, object] = {"family": draft.family}
    for label in draft.labels:
        note = ":".join(map(str, places[id(label.other)])) if label.other else label.note
        edited = {"edited": label.edited} if label.defect == "near_duplicate" else {}
        yield _line(source, place, label.turn, label.defect, label.wrong, label.right, note, **more, **edited)
    if draft.encoding != "utf-8" and formats.beyond_ascii(draft):
        yield _line(source, place, None, "encoding", "", "", draft.encoding, **more)
    for turn, (_, text) in enumerate(draft.turns):
        for found in unmark(text)[1]:
            kind = {"safe_harbor": found.kind} if found.kind else {}
            yield _line(source, place, turn, found.defect, found.wrong, found.right, found.note, **more, **kind)
