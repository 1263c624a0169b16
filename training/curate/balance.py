"""Balance: who is in the data, whether groups of patients are answered alike, and what is done where they are not.

Two passes over the records. The first measures every call (and the counterfactual copies it could have) and keeps some
numbers of each, about two hundred bytes; then gaps are tested and weights fitted; the second writes the records with
their weights, each copy after its source. A source and its copies weigh together what the source alone would. Nothing
is left out.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import groupby, pairwise
from operator import itemgetter
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, field_validator

from app.contracts.site import Site
from app.errors import ConfigurationError
from training.curate.answers import MEASURES, Rater
from training.curate.bias import UNKNOWN, Effort, Floats, Gap, Labels
from training.curate.columns import MOST_GROUPS, Columns, Signature, signer
from training.curate.counterfactual import AXES, Axis, Mirror
from training.curate.mitigation import HALVED, Mended, Mitigation, Overall, mitigate
from training.curate.records import Kind, Record, read_records, record_line
from training.curate.representation import Reference, representation
from training.curate.stages import RECORDS, Context, StageReport
from training.curate.streams import mapped

_EXAMPLES, _REASONS = 12, 15
_EXCERPT = 220
_WORDS = (25, 50, 100, 150, 200, 300, 500, 1000)
"""Bounds between which lengths are counted."""


class Options(BaseModel):
    """Settings of the stage.

    ``reference`` gives the population that the hospital serves: {dimension: {group: share}}. A dimension that is given
    is brought to its shares by weights; one that is not is only compared with equal shares (uniform).
    ``kinds``: records whose answers are compared and weighted. ``cap``: no factor above it, none below 1/cap.
    ``mended``: the measures whose gaps weights are fitted to; length and reading grade are only described unless named.
    ``copies``: at most so many counterfactual copies, as a share of the compared records; 0: none.
    ``smallest_group``: patients below which a group is not compared. ``most_tested``: gaps are tested and weights
    fitted on about so many records (patients drawn by hash); all are weighted.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    reference: Reference = Field(default_factory=dict)
    kinds: tuple[Kind, ...] = ("transcript",)
    alpha: float = Field(default=0.05, gt=0, lt=1)
    smallest_group: int = Field(default=20, ge=5)
    permutations: int = Field(default=4999, ge=199)
    resamples: int = Field(default=1000, ge=100)
    reweight: bool = True
    mended: tuple[str, ...] = tuple(measure.name for measure in MEASURES if measure.good)
    cap: float = Field(default=4.0, gt=1)
    copies: float = Field(default=0.15, ge=0, le=1)
    most_tested: int = Field(default=5000, ge=100)

    @field_validator("mended")
    @classmethod
    def _measured(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        known = [measure.name for measure in MEASURES]
        if strange := sorted(set(value) - set(known)):
            raise ValueError(f"nothing measures {', '.join(strange)}; there are {', '.join(known)}")
        return value


class Balance:
    """The stage."""

    name = "balance"

    def run(self, source: Path, out: Path, context: Context) -> StageReport:
        """Measure, weigh, copy, write. Raises ConfigurationError for unreadable records and for a reference of what the
        records do not tell.
        """
        options: Options = context.options or Options()
        path = source / RECORDS
        bands = sorted({band for record in read_records(path) if (band := record.groups.get("age_band"))})
        collected = _Collected(path, bands, options, context)
        collected.require(options.reference)
        done = mitigate(
            collected.rows,
            Effort(options.alpha, options.smallest_group, options.permutations, options.resamples),
            context.seed,
            cap=options.cap,
            most=options.most_tested,
            mended=options.mended,
            reweight=options.reweight,
            reference=options.reference,
            topics=collected.topics.names,
        )
        examples = _write(path, out / RECORDS, done, Mirror(bands), options)
        return StageReport(
            stage=self.name,
            records_in=collected.records,
            records_out=collected.records + int((done.rows.axes >= 0).sum()),
            counts=_counts(collected, done, options),
            tables=_tables(collected, done, options),
            examples=examples,
        )


class _Collected:
    """The first pass."""

    def __init__(self, path: Path, bands: Sequence[str], options: Options, context: Context) -> None:
        self.records = 0
        self.refused: Counter[tuple[Axis, str]] = Counter()
        self._lengths: Counter[tuple[Kind, int]] = Counter()
        columns = Columns()
        prepare = partial(_signing, context.site, context.articles, tuple(bands))
        for signature in mapped(self._compared(path, options.kinds), prepare, context.workers):
            columns.add(signature)
            self.refused.update(signature.refused)
            context.progress(columns.calls, None)
        self.rows = columns.rows(options.copies)
        self.topics = columns.topics(self.rows)

    def _compared(self, path: Path, kinds: Sequence[Kind]) -> Iterator[Record]:
        for record in read_records(path):
            self.records += 1
            self._lengths[record.kind, bisect_right(_WORDS, len(record.text.split()))] += 1
            if record.kind in kinds:
                yield record

    def dimensions(self) -> dict[str, Labels]:
        """By what calls are told apart: topic and groups."""
        return {"topic": self.topics, **self.rows.answers.dimensions}

    def require(self, reference: Reference) -> None:
        """Raises ConfigurationError for a dimension of the reference that no calls can be weighted by."""
        known = self.dimensions() if len(self.rows.owners) else {}
        for name, groups in reference.items() if known else ():
            if name not in known:
                raise ConfigurationError(
                    f"balance.reference: {name} is no dimension of these records (of 2 to {MOST_GROUPS} groups); there "
                    f"are {', '.join(known)}"
                )
            if groups.keys().isdisjoint(known[name].names):
                raise ConfigurationError(
                    f"balance.reference.{name}: no record is of {', '.join(groups)}; there are "
                    f"{', '.join(known[name].names)}"
                )

    def lengths(self) -> list[dict[str, Any]]:
        """How many records of each kind have how many words."""
        ends = [f"{low}-{high - 1}" for low, high in pairwise((0, *_WORDS))] + [f"{_WORDS[-1]} and more"]
        return [
            {"kind": kind, "words": ends[place], "records": self._lengths[kind, place]}
            for kind in sorted({kind for kind, _ in self._lengths})
            for place in range(len(ends))
        ]


def _signing(site: Site, articles: Path, bands: tuple[str, ...]) -> Callable[[Record], Signature]:
    return signer(Rater(site, articles), Mirror(bands))


def _write(path: Path, out: Path, done: Mitigation, mirror: Mirror, options: Options) -> list[dict[str, str]]:
    """The second pass; returns examples of copies."""
    weights = _by_call(done)
    examples: list[dict[str, str]] = []
    with out.open("w", encoding="utf-8") as lines:
        for record in read_records(path):
            if record.kind not in options.kinds:
                lines.write(record_line(record))
                continue
            own = next(weights)
            lines.write(record_line(record.model_copy(update={"weight": own[None]})))
            for axis in AXES:
                copy = mirror.copy(record, axis).copy if axis in own else None
                if copy is not None:
                    lines.write(record_line(copy.model_copy(update={"weight": own[axis]})))
                    if len(examples) < _EXAMPLES:
                        examples.append(_example(record, copy, axis))
    return examples


def _by_call(done: Mitigation) -> Iterator[dict[Axis | None, float]]:
    """For each call, the weight of itself (None) and of its copies by axis."""
    rows = zip(done.rows.owners, done.rows.axes, done.weights, strict=True)
    for _, own in groupby(rows, key=itemgetter(0)):
        yield {None if axis < 0 else AXES[axis]: round(float(weight), 4) for _, axis, weight in own}


def _example(record: Record, copy: Record, axis: Axis) -> dict[str, str]:
    """The first place that differs, with the words around it."""
    pairs = zip(record.turns, copy.turns, strict=True)
    before, after = next((one.text, other.text) for one, other in pairs if one.text != other.text)
    differs = next((at for at, (one, other) in enumerate(zip(before, after, strict=False)) if one != other), 0)
    start = before.rfind(" ", 0, max(0, differs - _EXCERPT // 2)) + 1
    return {
        "kind": f"counterfactual copy ({axis})",
        "before": before[start : start + _EXCERPT],
        "after": after[start : start + _EXCERPT],
    }


def _counts(collected: _Collected, done: Mitigation, options: Options) -> dict[str, int]:
    factors = done.weights / done.rows.answers.weights
    alarms = [gap for gap in done.before if gap.alarm]
    found = {
        "compared": int((done.rows.axes < 0).sum()),
        "not_compared": collected.records - int((done.rows.axes < 0).sum()),
        "gaps_tested": len(done.before),
        "records_tested": done.tested,
        "gaps_found": len(alarms),
        "gaps_to_mend": len(done.mended),
        "gaps_halved": sum(item.left <= HALVED for item in done.mended),
        "gaps_halved_on_other_patients": sum(item.left_crossed <= HALVED for item in done.mended),
        "overall_measures_fallen": sum(item.fell for item in done.overall),
        "weights_at_cap": int((factors > options.cap * 0.999).sum() + (factors < 1.001 / options.cap).sum()),
        "effective_records": round(done.effective),
    }
    return found | {f"copies_{axis}": int((done.rows.axes == place).sum()) for place, axis in enumerate(AXES)}


def _tables(collected: _Collected, done: Mitigation, options: Options) -> dict[str, list[dict[str, Any]]]:
    dimensions = collected.dimensions()
    originals = collected.rows.axes < 0
    counts = {name: _shares(labels, originals.astype(np.float64)) for name, labels in dimensions.items()}
    weights = {name: _shares(labels, done.weights) for name, labels in dimensions.items()}
    whole = {name: {group: int(count) for group, count in found.items()} for name, found in counts.items()}
    return {
        "representation": [row.model_dump() for row in representation(whole, weights, options.reference)],
        "bias_before": [_gap_row(gap) for gap in done.before],
        "bias_after": [_gap_row(gap) for gap in done.after],
        "mitigation": [
            {**_mended_row(item), "fitted_to": item.before.dimension in done.fitted} for item in done.mended
        ],
        "overall": [_overall_row(item) for item in done.overall],
        "lengths": collected.lengths(),
        "copies_refused": _refused(collected.refused),
    }


def _refused(found: Counter[tuple[Axis, str]]) -> list[dict[str, Any]]:
    """Why calls have no copy, the commonest reasons first; the rest in one row."""
    ranked = sorted(found.items(), key=lambda item: (-item[1], item[0]))
    rows = [{"axis": axis, "reason": reason, "records": count} for (axis, reason), count in ranked[:_REASONS]]
    rest = sum(count for _, count in ranked[_REASONS:])
    return [*rows, {"axis": "any", "reason": "other", "records": rest}] if rest else rows


def _shares(labels: Labels, weights: Floats) -> dict[str, float]:
    found = {name: float(weights[labels.codes == code].sum()) for code, name in enumerate(labels.names)}
    return {**found, UNKNOWN: float(weights[labels.codes < 0].sum())}


def _gap_row(gap: Gap) -> dict[str, Any]:
    row: dict[str, Any] = {
        "dimension": gap.dimension, "group": gap.group, "measure": gap.measure, "records": gap.records
    }  # fmt: skip
    row |= {
        name: round(getattr(gap, name), 4)
        for name in ("group_mean", "rest_mean", "gap", "low", "high", "effect")
    }  # fmt: skip
    if gap.p is None or gap.p_holm is None:
        return row
    return row | {"p": round(gap.p, 5), "p_holm": round(gap.p_holm, 5), "alarm": gap.alarm}


def _mended_row(item: Mended) -> dict[str, Any]:
    return {
        "dimension": item.before.dimension,
        "group": item.before.group,
        "measure": item.before.measure,
        "before": round(item.before.gap, 4),
        "after": round(item.after.gap, 4),
        "left": round(item.left, 3),
        "on_other_patients": round(item.crossed.gap, 4),
        "left_on_other_patients": round(item.left_crossed, 3),
        "halved": item.left <= HALVED,
        "halved_on_other_patients": item.left_crossed <= HALVED,
    }


def _overall_row(item: Overall) -> dict[str, Any]:
    return {
        "measure": item.measure,
        "before": round(item.before, 4),
        "after": round(item.after, 4),
        "on_other_patients": round(item.crossed, 4),
        "fell": item.fell,
    }
