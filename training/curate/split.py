"""Split: each record gets its side, and nothing of a patient, call or wording lies on two sides.

Records are one component if they share a patient, a conversation, a cluster of alike records (with the patients and
conversations of copies that were left out) or a source (a counterfactual copy and its record), directly or by way of
others; then components are joined that share a run of 13 words that counts (:mod:`training.curate.overlap`). A hash of
the component's name gives the side. The name is the smallest of its patients' keyed hashes; without patients, of its
conversations'; without these, of its contents'. So what is added for known patients changes no side, and what is added
otherwise changes the side of a component only where it joins two of them or brings a smaller name; the seed and the key
of the hashes must stay the same.

Articles have sides too (:func:`training.curate.publish.article_side`): publish leaves out a dialogue about an article
of another side than its record's, so that an adapter is measured on articles that it never saw. With ``articles:
apart`` a component therefore takes the side that most of its dialogues are about, and the hash decides where none or as
many are; then an added record can move a component that it makes ask mostly about other things.

Standard sentences ("is there anything else ...") join nobody. Where a patient says one of 13 words, though, and another
says it on a side before hers (training first), her record is left out: no run of patients' words lies on two sides.

A component of more than the share ``largest`` of all records is always training data: drawn by chance it would decide
the shares. The report names it, and what joined it.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from app.errors import ConfigurationError
from training.curate.components import Components
from training.curate.deduplicate import CLUSTERS, Member
from training.curate.grams import ROW, Spill
from training.curate.lines import Lines
from training.curate.overlap import Ints, counted, patient_runs, spelled, spill
from training.curate.publish import SIDES, Side, article_votes
from training.curate.records import Record, read_records, record_line
from training.curate.stages import RECORDS, Context, StageReport
from training.curate.words import words

_EXAMPLES = 5
_LEAST_LARGE = 20
"""Records; a smaller component is never called large."""


class Options(BaseModel):
    """``validation`` and ``held_out``: the shares aimed at, of the components that a hash decides about. ``run``: words
    in a row that two sides may not share. ``standard``: runs that so many components have in common are standard
    sentences. ``articles``: see the module; ``shared`` looks at hashes only, and belongs to the same setting of
    publish. ``largest``: the share of records from which a component is kept in training.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    validation: float = Field(default=0.1, ge=0, lt=1)
    held_out: float = Field(default=0.1, ge=0, lt=1)
    run: int = Field(default=13, ge=5, le=50)
    standard: int = Field(default=3, ge=2)
    articles: Literal["apart", "shared"] = "apart"
    largest: float = Field(default=0.1, gt=0, le=1)

    @model_validator(mode="after")
    def _something_to_train_on(self) -> Options:
        if self.validation + self.held_out >= 1:
            raise ValueError("validation and held_out leave nothing to train on")
        return self


def keys(record: Record) -> list[str]:
    """What a record is tied by, the name of its component first among them when sorted."""
    found = [f"3 record {record.id}"]
    if record.origin:
        found.append(f"3 record {record.origin}")
    if record.patient:
        found.append(f"0 patient {record.patient}")
    if record.conversation:
        found.append(f"1 conversation {record.conversation}")
    if not record.patient and not record.conversation:
        said = "\x1f".join(f"{turn.speaker} {' '.join(words(turn.text))}" for turn in record.turns)
        found.append(f"2 content {hashlib.blake2b(said.encode(), digest_size=12).hexdigest()}")
    return found


def member_keys(member: Member) -> list[str]:
    """What a record of a cluster is tied by, whether it was left out or not."""
    found = [f"3 record {member.record}", f"4 cluster {member.cluster}"]
    if member.patient:
        found.append(f"0 patient {member.patient}")
    if member.conversation:
        found.append(f"1 conversation {member.conversation}")
    return found


def side_of(name: str, seed: int, options: Options) -> Side:
    """The side of a component by its name alone."""
    digest = hashlib.blake2b(f"{seed}\x1f{name}".encode(), digest_size=8).digest()
    drawn = int.from_bytes(digest, "big") / 2**64
    if drawn < options.held_out:
        return "held_out"
    return "validation" if drawn < options.held_out + options.validation else "train"


class Split:
    """The stage."""

    name = "split"

    def run(self, source: Path, out: Path, context: Context) -> StageReport:
        """Raises ConfigurationError where the clusters of deduplication are missing."""
        options: Options = context.options or Options()
        records = source / RECORDS
        # 1. Join what belongs together by patient, conversation, cluster and source.
        components, own = _tied(source)
        numbers = {name: number for number, name in enumerate(dict.fromkeys(map(components.smallest, own)))}
        before = np.array([numbers[components.smallest(key)] for key in own], dtype=np.int64)
        with Spill(out / "runs") as spilt:
            # 2. Join what shares a run of words.
            spill(records, context.articles, options.run, context.workers, spilt)
            joined, standard = _join(spilt, before, own, components, options)
            # 3. Draw the sides, and look whether they are apart.
            names = [components.smallest(key) for key in own]
            sizes = Counter(names)
            large = {name for name, size in sizes.items() if size > max(_LEAST_LARGE, options.largest * len(own))}
            votes = _votes(records, names, context, options)
            sides = {
                name: "train" if name in large else _chosen(name, votes.get(name, Counter()), context.seed, options)
                for name in sizes
            }
            side = np.array([SIDES.index(sides[name]) for name in names], dtype=np.int64)
            _require_apart(spilt, before, side, options)
            # 4. A patient's standard sentence ties nobody; but who is measured must not say what was trained on.
            left_out = _said_elsewhere(records, side, options.run, out / "said")
        # 5. Write.
        tally = _Tally()
        with (out / RECORDS).open("w", encoding="utf-8") as file:
            for done, (record, name) in enumerate(zip(read_records(records), names, strict=True), start=1):
                taken = tally.take(record.model_copy(update={"side": sides[name]}), written=done - 1 not in left_out)
                if taken:
                    file.write(record_line(taken))
                context.progress(done, len(own))
        return StageReport(
            stage=self.name,
            records_in=len(own),
            records_out=len(own) - len(left_out),
            counts={
                "components": len(sizes),
                "joined_by_shared_runs": len(numbers) - len(sizes),
                "largest_component": max(sizes.values(), default=0),
                "kept_in_training_for_their_size": sum(sizes[name] for name in large),
                "standard_runs_not_counted": len(standard),
                "dropped_for_words_of_another_side": len(left_out),
                "dialogues_about_articles_of_another_side": sum(
                    cast.total() - cast[sides[name]] for name, cast in votes.items()
                ),
            },
            tables=tally.tables(Counter(sides.values())),
            examples=_examples(records, joined, standard, options),
        )


def _votes(records: Path, names: list[str], context: Context, options: Options) -> dict[str, Counter[Side]]:
    """How many dialogues of each component are about articles of each side; without those that have none."""
    found: dict[str, Counter[Side]] = {}
    if options.articles == "apart":
        for name, cast in zip(names, article_votes(records, context), strict=True):
            if cast:
                found.setdefault(name, Counter()).update(cast)
    return found


def _chosen(name: str, votes: Counter[Side], seed: int, options: Options) -> Side:
    drawn = side_of(name, seed, options)
    most = [side for side in SIDES if votes[side] == max(votes.values(), default=0)]
    return drawn if drawn in most else most[0]


def _tied(source: Path) -> tuple[Components, list[str]]:
    """Components by what records are tied by, and each record's own key in the order of the file."""
    components = Components()
    for member in clusters(source):
        components.join(*member_keys(member))
    own = []
    for record in read_records(source / RECORDS):
        tied = keys(record)
        components.join(*tied)
        own.append(tied[0])
    return components, own


def clusters(source: Path) -> Iterator[Member]:
    """The clusters that deduplication wrote, from this folder or the one of its stage beside it.

    Raises ConfigurationError if there is none.
    """
    paths = [source / CLUSTERS, *sorted(source.parent.glob(f"*/{CLUSTERS}"))]
    path = next((path for path in paths if path.exists()), None)
    if path is None:
        raise ConfigurationError(f"{CLUSTERS} is neither in {source} nor beside it; run the stage deduplicate first")
    with path.open(encoding="utf-8") as lines:
        for number, line in enumerate(lines, start=1):
            try:
                yield Member.model_validate_json(line)
            except ValidationError:
                raise ConfigurationError(f"{path}:{number}: no member of a cluster; run deduplicate again") from None


Seen = tuple[int, int, int]
"""(how often, a run, a record in which it stands)"""


def _join(
    spilt: Spill, before: Ints, own: list[str], components: Components, options: Options
) -> tuple[list[Seen], list[Seen]]:
    """Join components that share runs; what joined most, and all standard sentences."""
    joined: Counter[int] = Counter()
    where: dict[int, int] = {}
    standard: list[Seen] = []
    for bucket in counted(spilt, before, options.standard):
        standard += [(times, run, record) for run, record, times in bucket.standard]
        for one, other, run in bucket.links(before):
            components.join(own[one], own[other])
            joined[run] += 1
            where[run] = one
    return [(times, run, where[run]) for run, times in joined.items()], standard


def _require_apart(spilt: Spill, before: Ints, side: Ints, options: Options) -> None:
    """Look at every run once more. Raises AssertionError if two sides share one: the joining is then at fault."""
    for bucket in counted(spilt, before, options.standard):
        if found := bucket.links(side):
            raise AssertionError(f"{len(found)} runs of {options.run} words lie on two sides")


def _said_elsewhere(records: Path, side: Ints, length: int, folder: Path) -> set[int]:
    """The records, by number, in which a patient says a run that one says on a side before theirs too (training first):
    what is left of them is a standard sentence, which joined no components.
    """
    found: set[int] = set()
    with Spill(folder) as spilt:
        for number, record in enumerate(read_records(records)):
            runs = np.unique(patient_runs(record, length))
            rows = np.empty(len(runs), dtype=ROW)
            rows["gram"], rows["record"] = runs, number
            spilt.add(rows)
        for rows in spilt.buckets():
            if not len(rows):
                continue
            mine = side[rows["record"]]
            _, starts, run = np.unique(rows["gram"], return_index=True, return_inverse=True)
            first = np.minimum.reduceat(mine, starts)
            found.update(rows["record"][mine > first[run]].tolist())
    return found


class _Tally:
    """Counts the records of each side, and sees that nothing lies on two."""

    def __init__(self, dimensions: Iterable[str] = ("kind", "topic", "language")) -> None:
        self._dimensions = tuple(dimensions)
        self._numbers: dict[tuple[str, str], Counter[str]] = {}
        self._records: Counter[str] = Counter()
        self._patients: Counter[str] = Counter()
        self._side_of: dict[int, str] = {}
        self._seen: set[int] = set()

    def take(self, record: Record, *, written: bool) -> Record | None:
        """Count a record, and give it back if it is written. Raises AssertionError if something that it is tied by lies
        on another side.
        """
        self._records[record.side] += written
        for key in keys(record):
            known = hash(key)
            if written and key.startswith("0 ") and known not in self._seen:
                self._seen.add(known)
                self._patients[record.side] += 1
            if self._side_of.setdefault(known, record.side) != record.side:
                raise AssertionError(f"record {record.id} is tied to another side")
        if not written:
            return None
        values = [(name, str(getattr(record, name))) for name in self._dimensions]
        for dimension, value in [*values, *sorted(record.groups.items())]:
            self._numbers.setdefault((dimension, value or "unknown"), Counter())[record.side] += 1
        return record

    def tables(self, components: Counter[str]) -> dict[str, list[dict[str, object]]]:
        """Records, patients and components by side; records by side for each topic, language, group and kind."""
        total = max(1, self._records.total())
        return {
            "sides": [
                {
                    "side": side,
                    "records": self._records[side],
                    "share": round(self._records[side] / total, 4),
                    "patients": self._patients[side],
                    "components": components[side],
                }
                for side in SIDES
            ],
            "by_group": [
                {"dimension": dimension, "group": value, **{side: numbers[side] for side in SIDES}}
                for (dimension, value), numbers in sorted(self._numbers.items())
            ],
        }


def _examples(path: Path, joined: list[Seen], standard: list[Seen], options: Options) -> list[dict[str, str]]:
    """The runs that joined most components, and the standard sentences that most components have."""
    lines = Lines(path)
    return [
        {"what": what, "words": spelled(lines.record(record), run, options.run), "times": str(times)}
        for what, seen in (("joins components", joined), ("standard sentence", standard))
        for times, run, record in sorted(seen, reverse=True)[:_EXAMPLES]
    ]
