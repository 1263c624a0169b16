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

In memory are a few numbers of each record; texts of keys and runs of words lie on disk.
"""

from __future__ import annotations

import hashlib
from array import array
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from heapq import nlargest
from pathlib import Path
from typing import Literal, cast

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from app.errors import ConfigurationError
from training.curate.deduplicate import CLUSTERS, Member
from training.curate.grams import ROW, Spill
from training.curate.lines import Lines
from training.curate.overlap import Ints, counted, patient_runs, spelled, spill
from training.curate.publish import SIDES, Side, article_votes
from training.curate.records import Record, read_records, record_line
from training.curate.stages import RECORDS, Context, StageReport
from training.curate.ties import Ties
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
        ties, own = _tied(source)
        before = ties.roots()[own]
        with Spill(out / "runs") as spilt:
            # 2. Join what shares a run of words.
            spill(records, context.articles, options.run, context.workers, spilt)
            seen = _join(spilt, before, own, ties, options)
            # 3. Draw the sides, and look whether they are apart.
            roots, component = np.unique(ties.roots()[own], return_inverse=True)
            sizes = np.bincount(component)
            large = sizes > max(_LEAST_LARGE, options.largest * len(own))
            votes = _votes(records, component, context, options)
            sides = np.where(large, SIDES.index("train"), _chosen(_drawn(ties, context.seed, options)[roots], votes))
            side = sides[component]
            _require_apart(spilt, before, side, options)
            # 4. A patient's standard sentence ties nobody; but who is measured must not say what was trained on.
            left_out = _said_elsewhere(records, side, options.run, out / "said")
        # 5. Write.
        tally = _Tally(ties)
        with (out / RECORDS).open("w", encoding="utf-8") as file:
            for at, record in enumerate(read_records(records)):
                sided = record.model_copy(update={"side": SIDES[side[at]]})
                if tally.take(sided, written=not left_out[at]):
                    file.write(record_line(sided))
                context.progress(at + 1, len(own))
        return StageReport(
            stage=self.name,
            records_in=len(own),
            records_out=len(own) - int(left_out.sum()),
            counts={
                "components": len(sizes),
                "joined_by_shared_runs": len(np.unique(before)) - len(sizes),
                "largest_component": int(sizes.max(initial=0)),
                "kept_in_training_for_their_size": int(sizes[large].sum()),
                "standard_runs_not_counted": seen.standard_runs,
                "dropped_for_words_of_another_side": int(left_out.sum()),
                "dialogues_about_articles_of_another_side": int(
                    votes.sum() - votes[np.arange(len(sides)), sides].sum()
                ),
            },
            tables=tally.tables(np.bincount(sides, minlength=len(SIDES))),
            examples=_examples(records, seen, options),
        )


def _votes(records: Path, component: Ints, context: Context, options: Options) -> Ints:
    """How many dialogues of each component are about articles of each side; none where ``articles`` are shared."""
    found = np.zeros((int(component.max(initial=-1)) + 1, len(SIDES)), dtype=np.int64)
    if options.articles == "apart":
        for at, their in enumerate(article_votes(records, context, context.others.get("publish"))):
            for side, number in their.items():
                found[component[at], SIDES.index(side)] += number
    return found


def _drawn(ties: Ties, seed: int, options: Options) -> Ints:
    """The side, as its place in SIDES, that each component's name draws; at the component's root."""
    drawn = np.zeros(len(ties), dtype=np.int64)
    for name, root in ties.names():
        drawn[root] = SIDES.index(side_of(name, seed, options))
    return drawn


def _chosen(drawn: Ints, votes: Ints) -> Ints:
    """The side of most votes of each component, the one drawn if that is among them."""
    mine = votes[np.arange(len(drawn)), drawn]
    return np.where(mine == votes.max(axis=1), drawn, votes.argmax(axis=1))


def _tied(source: Path) -> tuple[Ties, Ints]:
    """Components by what records are tied by, and the number of each record's own key in the order of the file."""
    ties = Ties()
    for member in clusters(source):
        ties.join(*map(ties.number, member_keys(member)))
    own = array("q")
    for record in read_records(source / RECORDS):
        tied = list(map(ties.number, keys(record)))
        ties.join(*tied)
        own.append(tied[0])
    return ties, np.array(own, dtype=np.int64)


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


Run = tuple[int, int, int]
"""(how often, a run, a record in which it stands)"""


@dataclass(slots=True)
class _Seen:
    """The runs that joined most, those that most components have, and the number of standard sentences."""

    joining: list[Run] = field(default_factory=list)
    standard: list[Run] = field(default_factory=list)
    standard_runs: int = 0


def _join(spilt: Spill, before: Ints, own: Ints, ties: Ties, options: Options) -> _Seen:
    """Join components that share runs."""
    seen = _Seen()
    for bucket in counted(spilt, before, options.standard):
        seen.standard_runs += len(bucket.standard)
        common = [(times, run, record) for run, record, times in bucket.standard]
        seen.standard = nlargest(_EXAMPLES, [*seen.standard, *common])
        links = bucket.links(before)
        for one, other, _ in links:
            ties.join(int(own[one]), int(own[other]))
        where = {run: one for one, _, run in links}
        often = Counter(run for _, _, run in links)
        seen.joining = nlargest(_EXAMPLES, [*seen.joining, *((often[run], run, at) for run, at in where.items())])
    return seen


def _require_apart(spilt: Spill, before: Ints, side: Ints, options: Options) -> None:
    """Look at every run once more. Raises AssertionError if two sides share one: the joining is then at fault."""
    for bucket in counted(spilt, before, options.standard):
        if found := bucket.links(side):
            raise AssertionError(f"{len(found)} runs of {options.run} words lie on two sides")


def _said_elsewhere(records: Path, side: Ints, length: int, folder: Path) -> npt.NDArray[np.bool_]:
    """The records in which a patient says a run that one says on a side before theirs too (training first):
    what is left of them is a standard sentence, which joined no components.
    """
    found = np.zeros(len(side), dtype=np.bool_)
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
            found[rows["record"][mine > first[run]]] = True
    return found


class _Tally:
    """Counts the records of each side, and sees that nothing lies on two."""

    _DIMENSIONS = ("kind", "topic", "language")

    def __init__(self, ties: Ties) -> None:
        self._ties = ties
        self._numbers: dict[tuple[str, str], Counter[str]] = {}
        self._records: Counter[str] = Counter()
        self._patients: Counter[str] = Counter()
        self._side_of = np.full(len(ties), -1, dtype=np.int8)
        self._counted = np.zeros(len(ties), dtype=np.bool_)

    def take(self, record: Record, *, written: bool) -> bool:
        """Count a record if it is written; whether it is. Raises AssertionError if something that it is tied by lies on
        another side.
        """
        side = SIDES.index(cast("Side", record.side))
        for key in keys(record):
            number = self._ties.number(key)
            if self._side_of[number] not in (-1, side):
                raise AssertionError(f"record {record.id} is tied to another side")
            self._side_of[number] = side
            if written and key.startswith("0 ") and not self._counted[number]:
                self._counted[number] = True
                self._patients[record.side] += 1
        if written:
            self._records[record.side] += 1
            values = [(name, str(getattr(record, name))) for name in self._DIMENSIONS]
            for dimension, value in [*values, *sorted(record.groups.items())]:
                self._numbers.setdefault((dimension, value or "unknown"), Counter())[record.side] += 1
        return written

    def tables(self, components: Ints) -> dict[str, list[dict[str, object]]]:
        """Records, patients and components by side; records by side for each topic, language, group and kind."""
        total = max(1, self._records.total())
        return {
            "sides": [
                {
                    "side": side,
                    "records": self._records[side],
                    "share": round(self._records[side] / total, 4),
                    "patients": self._patients[side],
                    "components": int(components[place]),
                }
                for place, side in enumerate(SIDES)
            ],
            "by_group": [
                {"dimension": dimension, "group": value, **{side: numbers[side] for side in SIDES}}
                for (dimension, value), numbers in sorted(self._numbers.items())
            ],
        }


def _examples(path: Path, seen: _Seen, options: Options) -> list[dict[str, str]]:
    """The runs that joined most components, and the standard sentences that most components have."""
    lines = Lines(path)
    return [
        {"what": what, "words": spelled(lines.record(record), run, options.run), "times": str(times)}
        for what, runs in (("joins components", seen.joining), ("standard sentence", seen.standard))
        for times, run, record in runs
    ]
