"""Augment: more wordings of what patients ask, in the training data only.

A variant is a record in which the patient's turns are said otherwise (:mod:`training.curate.rephrase`) and the staff's
are the same, to the letter. ``origin`` names the record it was made from; patient, groups and side are that record's.

Weights: where reweighting asks for more of a record than there is, variants stand in for repetition. A record of weight
2.4 gets weight 1 and, on average, 1.4 variants, besides those that ``share`` asks for; a record of weight 0.5 keeps it,
and so do its variants. So groups weigh together what they weighed before, all by 1 + ``share``. What no variant could
be made for stays in the record's weight.

A variant is thrown away if it comes near another side: if it shares a run of words (as many as split keeps apart, 13)
or a whole turn with one of its records that its own record does not share, or is as alike to one as a cluster of
deduplication.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field

from app.contracts.site import Site
from training.curate.copies import compare, parts
from training.curate.deduplicate import Options as Likeness
from training.curate.grams import ROW, Hashes, Spill, known, text_hash
from training.curate.lines import Lines
from training.curate.overlap import patient_runs
from training.curate.records import Record, read_records, record_line
from training.curate.rephrase import Language, Rates, Rephraser
from training.curate.signatures import FLOOR, SLOTS, sketch
from training.curate.split import Options as Sides
from training.curate.stages import RECORDS, Context, StageReport
from training.curate.statements import Names
from training.curate.streams import mapped
from training.curate.words import words

_TRIES = 4
_EXAMPLES = 8
_SAID, _NUMBERS, _SKETCHES, _BRIEF = "said", "numbers", "sketches", "brief"
_CHUNK = 4096
"""Records of other sides that a variant is compared with at once."""
_LANGUAGES: dict[str, Language] = {"": "english", "en": "english", "es": "spanish"}


class Options(BaseModel):
    """``share``: variants for each training record, on average. ``spread``: whether weights above 1 become variants.
    The other fields are how often a change is made (:class:`training.curate.rephrase.Rates`).
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    share: float = Field(default=0.3, ge=0, le=5)
    spread: bool = True
    phrases: float = Field(default=0.6, ge=0, le=1)
    typos: float = Field(default=0.04, ge=0, le=0.2)


@dataclass(slots=True)
class Made:
    """A record and its variants, ready to be written, and what is counted."""

    records: list[Record]
    counts: Counter[str] = field(default_factory=Counter)


class OtherSides:
    """What no variant may come near: the records of validation and held-out data.

    What is known of them lies in files that :meth:`gather` writes once and all processes map: the system keeps of them
    in memory what it has room for, and once for all.
    """

    def __init__(self, folder: Path, path: Path, run: int, names: Names, limits: Likeness | None = None) -> None:
        """``folder`` is what :meth:`gather` wrote of the records in ``path`` for the same ``run``; ``limits`` say what
        is alike.
        """
        self._run, self._names, self._lines, self._limits = run, names, Lines(path), limits or Likeness()
        self._said = _mapped(folder / _SAID, "<u8")
        self._numbers = _mapped(folder / _NUMBERS, "<u4")
        self._sketches = _mapped(folder / _SKETCHES, "<u4").reshape(-1, SLOTS)
        self._brief = _mapped(folder / _BRIEF, "u1").reshape(-1, SLOTS)

    @staticmethod
    def gather(path: Path, run: int, folder: Path) -> None:
        """Write into a folder what variants are compared with: runs and turns as sorted numbers, and by record its
        place, its sketch and of that the low bytes, by which one sees quickly how few are alike.
        """
        with Spill(folder / "sorted") as spilt, ExitStack() as files:
            numbers, sketches, brief = (
                files.enter_context((folder / name).open("wb")) for name in (_NUMBERS, _SKETCHES, _BRIEF)
            )
            for number, record in enumerate(read_records(path)):
                if record.side != "train":
                    said = np.concatenate([patient_runs(record, run), _turns(record)])
                    rows = np.zeros(len(said), dtype=ROW)
                    rows["gram"] = said
                    spilt.add(rows)
                    own = sketch(record)
                    numbers.write(np.array([number], dtype="<u4").tobytes())
                    sketches.write(own)
                    brief.write(own[::4])
            with (folder / _SAID).open("wb") as sorted_numbers:
                for rows in spilt.buckets():
                    sorted_numbers.write(np.unique(rows["gram"]).tobytes())

    def near(self, variant: Record, source: Record) -> str:
        """Why a variant is too near ('' if it is not)."""
        if self._anew(patient_runs(variant, self._run), patient_runs(source, self._run)):
            return "shared_run"
        if self._anew(_turns(variant), _turns(source)):
            return "shared_turn"
        return "alike" if self._alike(variant) else ""

    def _anew(self, variants: Hashes, sources: Hashes) -> bool:
        """Whether another side says anything that a variant says and its source does not."""
        return bool(known(np.setdiff1d(variants, sources), self._said).any())

    def _alike(self, variant: Record) -> bool:
        limits, said = self._limits, parts(variant, self._names)
        return any(
            compare(said, parts(self._lines.record(number), self._names), limits.near, self._names).share >= limits.kin
            for number in self._likely(np.frombuffer(sketch(variant), dtype="<u4"))
        )

    def _likely(self, own: npt.NDArray[np.uint32]) -> Iterator[int]:
        """The records that are similar to one by their sketches."""
        brief = own.astype(np.uint8)
        for start in range(0, len(self._numbers), _CHUNK):
            equal = self._brief[start : start + _CHUNK] == brief
            maybe = start + np.flatnonzero(equal.sum(axis=1) >= FLOOR * SLOTS)
            alike = maybe[(self._sketches[maybe] == own).mean(axis=1) >= FLOOR]
            yield from self._numbers[alike].tolist()


def _mapped(path: Path, kind: str) -> npt.NDArray[Any]:
    """The numbers in a file, read when they are looked at."""
    return np.memmap(path, dtype=kind, mode="r") if path.stat().st_size else np.empty(0, dtype=kind)


def _turns(record: Record) -> Hashes:
    """The patient's turns of three words and more, as numbers."""
    said = (words(turn.text) for turn in record.turns if turn.speaker == "patient")
    return np.array([text_hash(" ".join(turn)) for turn in said if len(turn) > 2], dtype=np.uint64)


class Augmenter:
    """Makes the variants of one record; build it once in each process."""

    def __init__(self, rephraser: Rephraser, others: OtherSides, options: Options, seed: int) -> None:
        self._rephraser, self._others, self._options, self._seed = rephraser, others, options, seed

    def __call__(self, record: Record) -> Made:
        """The record, with the weight that is left to it, and its variants."""
        language = _LANGUAGES.get(record.language.lower().split("-")[0])
        asks = any(turn.speaker == "patient" for turn in record.turns)
        if record.side != "train" or not asks or language is None:
            return Made([record])
        made = Made([])
        unit = min(record.weight, 1.0) if self._options.spread else record.weight
        wanted = (record.weight * (1 + self._options.share) - unit) / unit
        seen = {_said(record)}
        for number in range(int(wanted + _drawn(self._seed, record.id))):
            if variant := self._variant(record, number, language, seen, made.counts):
                made.records.append(variant.model_copy(update={"weight": unit}))
        owed = record.weight / unit - 1
        kept = unit * max(1.0, 1 + owed - len(made.records))
        made.records.insert(0, record.model_copy(update={"weight": kept}))
        return made

    def _variant(
        self, record: Record, number: int, language: Language, seen: set[str], counts: Counter[str]
    ) -> Record | None:
        rng = Random(f"{self._seed} {record.id} {number}")
        for _ in range(_TRIES):
            texts = [
                self._rephraser.turn(turn.text, language, rng) if turn.speaker == "patient" else turn.text
                for turn in record.turns
            ]
            variant = record.with_turns(texts)
            if _said(variant) in seen:
                counts["rejected_same_words"] += 1
                continue
            if reason := self._others.near(variant, record):
                counts[f"rejected_{reason}"] += 1
                continue
            seen.add(_said(variant))
            counts["variants"] += 1
            name = hashlib.blake2b(f"variant {record.id} {number}".encode(), digest_size=10).hexdigest()
            return variant.model_copy(update={"id": name, "origin": record.id})
        counts["without_variant"] += 1
        return None


def _said(record: Record) -> str:
    return "\n".join(" ".join(words(turn.text)) for turn in record.turns)


def _drawn(seed: int, name: str) -> float:
    digest = hashlib.blake2b(f"augment {seed} {name}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") / 2**64


class Augment:
    """The stage."""

    name = "augment"

    def run(self, source: Path, out: Path, context: Context) -> StageReport:
        """Write each record and, after it, its variants."""
        options: Options = context.options or Options()
        counts: Counter[str] = Counter()
        sides: Counter[str] = Counter()
        examples: list[dict[str, str]] = []
        read = written = 0
        with TemporaryDirectory(dir=out) as folder, (out / RECORDS).open("w", encoding="utf-8") as file:
            likeness = context.others.get("deduplicate")
            run: int = context.others.get("split", Sides()).run
            OtherSides.gather(source / RECORDS, run, Path(folder))
            prepare = partial(
                _augmenter, Path(folder), source / RECORDS, run, context.site, options, likeness, context.seed
            )
            for made in mapped(read_records(source / RECORDS), prepare, context.workers):
                read += 1
                counts += made.counts
                for record in made.records:
                    written += 1
                    sides[record.side] += 1
                    file.write(record_line(record))
                if len(made.records) > 1 and len(examples) < _EXAMPLES:
                    examples.append(_example(made.records[0], made.records[1]))
                context.progress(read, None)
        return StageReport(
            stage=self.name,
            records_in=read,
            records_out=written,
            counts=dict(sorted(counts.items())),
            tables={"sides": [{"side": side, "records": number} for side, number in sorted(sides.items())]},
            examples=examples,
        )


def _augmenter(
    others: Path, path: Path, run: int, site: Site, options: Options, likeness: Likeness | None, seed: int
) -> Augmenter:
    names = Names.load(site)
    rephraser = Rephraser(names, Rates(phrases=options.phrases, typos=options.typos))
    return Augmenter(rephraser, OtherSides(others, path, run, names, likeness), options, seed)


def _example(record: Record, variant: Record) -> dict[str, str]:
    changed = ((a.text, b.text) for a, b in zip(record.turns, variant.turns, strict=True) if a.text != b.text)
    before, after = next(changed, ("", ""))
    return {"what": "variant", "before": before, "after": after}
