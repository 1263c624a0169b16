"""Who is in the data: shares of topics and groups, against a reference population."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from training.curate.bias import UNKNOWN

Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Reference = dict[str, Annotated[dict[str, Positive], Field(min_length=1)]]
"""Dimension -> group -> share. Shares are scaled to sum to 1 over the groups given."""

UNDER, OVER = 0.8, 1.25


class Share(BaseModel):
    """A row of the table: how many records, which share of those whose group is known, and which it ought to be.

    ``reference`` is a uniform one unless ``given``; ``ratio`` is share by reference; ``weighted`` the share after
    weighting.
    """

    model_config = ConfigDict(frozen=True)

    dimension: str
    group: str
    records: int
    share: float | None
    reference: float | None
    given: bool
    ratio: float | None
    weighted: float | None
    verdict: Literal["under", "over", "as expected", ""]


def representation(
    counts: Mapping[str, Mapping[str, int]], weights: Mapping[str, Mapping[str, float]], reference: Reference
) -> list[Share]:
    """Rows by dimension, largest group first; a group of the reference that nobody belongs to has a row too.

    Records of unknown group are counted in a row of their own and in no share.
    """
    rows = []
    for dimension, found in counts.items():
        given = reference.get(dimension, {})
        known = {group: count for group, count in found.items() if group != UNKNOWN}
        groups = sorted({*known, *given}, key=lambda group: (-known.get(group, 0), group))
        rows += _rows(dimension, groups, known, weights.get(dimension, {}), given)
        if count := found.get(UNKNOWN, 0):
            rows.append(
                Share(
                    dimension=dimension,
                    group=UNKNOWN,
                    records=count,
                    share=None,
                    reference=None,
                    given=False,
                    ratio=None,
                    weighted=None,
                    verdict="",
                )
            )
    return rows


def _rows(
    dimension: str,
    groups: Sequence[str],
    counts: Mapping[str, int],
    weights: Mapping[str, float],
    given: Mapping[str, float],
) -> list[Share]:
    whole, weighted = sum(counts.values()), sum(weights.get(group, 0.0) for group in groups)
    wanted = sum(given.values())
    rows = []
    for group in groups:
        reference = given.get(group, 0.0) / wanted if wanted else 1 / len(groups)
        share = counts.get(group, 0) / whole if whole else 0.0
        ratio = share / reference if reference else None
        rows.append(
            Share(
                dimension=dimension,
                group=group,
                records=counts.get(group, 0),
                share=round(share, 4),
                reference=round(reference, 4),
                given=bool(given),
                ratio=None if ratio is None else round(ratio, 2),
                weighted=round(weights.get(group, 0.0) / weighted, 4) if weighted else None,
                verdict=_verdict(ratio),
            )
        )
    return rows


def _verdict(ratio: float | None) -> Literal["under", "over", "as expected"]:
    if ratio is None or ratio > OVER:
        return "over"
    return "under" if ratio < UNDER else "as expected"
