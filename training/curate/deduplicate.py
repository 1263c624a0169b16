"""Deduplicate: of records that are copies of one another, only the best goes on.

Exact copies have the same words by the same speakers; near ones were edited: words replaced, dropped, moved, misspelt.
They are looked for by MinHash over pairs of words and then compared word by word (:mod:`training.curate.copies`). Two
records that are alike but state different things (another dose, weekday, drug, a "not") are no copies: both stay, and
so do records that are only rather alike. All of these are one *cluster*, which :mod:`training.curate.split` keeps on
one side.

The copy that stays: resolved before unknown before unresolved; then the one with most known words, a misspelt one
counting as two lost; then the smallest id. Every dropped record was compared with the one that stays, so that no chain
of small edits makes two different calls one.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from app.errors import ConfigurationError
from training.curate.components import Components
from training.curate.copies import Part, compare, parts
from training.curate.lines import Lines
from training.curate.records import Record, read_records, record_line
from training.curate.signatures import Signature, candidates, signatures
from training.curate.stages import RECORDS, Context, StageReport
from training.curate.statements import Names

CLUSTERS = "clusters.jsonl"
"""One :class:`Member` a line: records that are alike, dropped ones too, ordered by cluster and record."""

Relation = Literal["best", "exact", "near", "kin"]
_REMEMBERED = 1024
_EXAMPLES = 6
_EXCERPT = 300


class Options(BaseModel):
    """``near``: the share of words with a counterpart from which records are copies. ``kin``: the share from which they
    are one cluster, though none is dropped.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    near: float = Field(default=0.76, ge=0.6, le=1)
    kin: float = Field(default=0.68, ge=0.5, le=1)


class Member(BaseModel):
    """A record of a cluster. ``copy_of`` names the record that stays in place of a dropped one, else ''. ``patient``
    and ``conversation`` are there because a dropped copy still ties its patient to the cluster.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    cluster: str
    record: str
    relation: Relation
    copy_of: str = ""
    patient: str | None = None
    conversation: str | None = None


@dataclass(slots=True)
class Found:
    """``members`` of all clusters; ``reasons``: how often two alike records state different things, by kind."""

    members: list[Member]
    reasons: Counter[str]


Fetch = Callable[[int], Record]
"""The record at a place of the list of signatures."""


def find(signed: Sequence[Signature], fetch: Fetch, names: Names, options: Options) -> Found:
    """Clusters of records that are alike, and which of them are copies; the order of ``signed`` does not matter."""
    order = sorted(range(len(signed)), key=lambda place: signed[place].rank)
    exact: dict[str, int] = {}
    copy_of: dict[int, tuple[int, Relation]] = {}
    for place in order:
        best = exact.setdefault(signed[place].exact, place)
        if best != place:
            copy_of[place] = (best, "exact")
    distinct = [place for place in order if place not in copy_of]
    clusters = Components()
    for place, (best, _) in copy_of.items():
        clusters.join(signed[place].id, signed[best].id)

    @lru_cache(_REMEMBERED)
    def read(place: int) -> tuple[Part, ...]:
        return parts(fetch(place), names)

    reasons: Counter[str] = Counter()
    for better, worse in candidates([signed[place] for place in distinct]):
        one, other = distinct[better], distinct[worse]
        if one in copy_of or other in copy_of:
            continue
        likeness = compare(read(one), read(other), options.near, names)
        if likeness.share >= min(options.kin, options.near):
            clusters.join(signed[one].id, signed[other].id)
        if likeness.share >= options.near and likeness.even:
            if likeness.states:
                reasons[likeness.states] += 1
            else:
                copy_of[other] = (one, "near")
    return Found(_members(signed, copy_of, clusters), reasons)


def _members(
    signed: Sequence[Signature], copy_of: dict[int, tuple[int, Relation]], clusters: Components
) -> list[Member]:
    kept = {place for place, _ in copy_of.values()} - copy_of.keys()
    final = {place: _last(place, copy_of) for place in copy_of}
    members = []
    for place, item in enumerate(signed):
        if item.id not in clusters:
            continue
        relation: Relation = copy_of[place][1] if place in copy_of else "best" if place in kept else "kin"
        of = signed[final[place]].id if place in copy_of else ""
        members.append(
            Member(
                cluster=clusters.smallest(item.id), record=item.id, relation=relation, copy_of=of,
                patient=item.patient, conversation=item.conversation,
            )
        )  # fmt: skip
    return sorted(members, key=lambda member: (member.cluster, member.record))


def _last(place: int, copy_of: dict[int, tuple[int, Relation]]) -> int:
    """The record that stays: an exact copy's best one may itself be a near copy."""
    while place in copy_of:
        place = copy_of[place][0]
    return place


class Deduplicate:
    """The stage."""

    name = "deduplicate"

    def run(self, source: Path, out: Path, context: Context) -> StageReport:
        """Drop copies; write records and clusters. Raises ConfigurationError for two records of one id."""
        options = context.options or Options()
        records = source / RECORDS
        signed = self._signed(records, context)
        names = Names.load(context.site)
        lines = Lines(records)
        found = find(signed, lines.record, names, options)
        with (out / CLUSTERS).open("w", encoding="utf-8") as file:
            file.writelines(json.dumps(m.model_dump(), sort_keys=True) + "\n" for m in found.members)
        dropped = {member.record for member in found.members if member.copy_of}
        with (out / RECORDS).open("w", encoding="utf-8") as file:
            for record in read_records(records):
                if record.id not in dropped:
                    file.write(record_line(record))
        return _report(found, len(signed), len(dropped), _examples(found, signed, lines))

    def _signed(self, records: Path, context: Context) -> list[Signature]:
        signed = []
        seen: set[str] = set()
        for item in signatures(records, context.articles, context.workers):
            if item.id in seen:
                # Both would go as the copy of each other.
                raise ConfigurationError(f"{records}: two records have the id {item.id}; remove its folder, run again")
            seen.add(item.id)
            signed.append(item)
            context.progress(len(signed), None)
        return signed


def _examples(found: Found, signed: Sequence[Signature], lines: Lines) -> list[dict[str, str]]:
    """Some near copies beside what stays in their place."""
    places = {item.id: place for place, item in enumerate(signed)}
    near = [member for member in found.members if member.relation == "near"]
    return [
        {
            "what": "near copy left out",
            "dropped": _excerpt(lines.record(places[member.record])),
            "kept": _excerpt(lines.record(places[member.copy_of])),
        }
        for member in near[:: max(1, len(near) // _EXAMPLES)][:_EXAMPLES]
    ]


def _excerpt(record: Record) -> str:
    return " | ".join(f"{turn.speaker}: {turn.text}" for turn in record.turns)[:_EXCERPT]


def _report(found: Found, read: int, dropped: int, examples: list[dict[str, str]]) -> StageReport:
    relations = Counter(member.relation for member in found.members)
    sizes = Counter(Counter(member.cluster for member in found.members).values())
    counts = {
        "exact_copies_dropped": relations["exact"],
        "near_copies_dropped": relations["near"],
        "alike_and_kept": relations["kin"],
        "clusters": sizes.total(),
    }
    differ = [{"states_different": reason, "pairs": number} for reason, number in sorted(found.reasons.items())]
    return StageReport(
        stage="deduplicate",
        records_in=read,
        records_out=read - dropped,
        counts=counts,
        tables={
            "cluster_sizes": [{"records": size, "clusters": number} for size, number in sorted(sizes.items())],
            "alike_but_no_copies": differ,
        },
        examples=examples,
    )
