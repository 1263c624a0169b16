"""Learning curves of a training run as the numbers of a picture, which the report's page draws as SVG."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from pathlib import Path
from typing import Any

from app.errors import ConfigurationError

SERIES = {"loss": "training loss", "eval_loss": "held-out loss"}
_ROWS = 40


@dataclass(frozen=True, slots=True)
class Curve:
    """One line; ``points`` for an SVG polyline of 100 x 100, y downwards."""

    name: str
    points: str


@dataclass(frozen=True, slots=True)
class Picture:
    """All lines on one scale, with the ends of the axes; ``best``: place of the lowest held-out loss in percent."""

    curves: tuple[Curve, ...]
    low: float
    high: float
    first: int
    last: int
    best: float | None


def read_metrics(path: Path) -> list[dict[str, Any]]:
    """The rows of a run's metrics.jsonl. Raises ConfigurationError that names file and line."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{path} cannot be read: {error}") from None
    rows = []
    for number, line in enumerate(lines, start=1):
        if line.strip():
            try:
                row = json.loads(line)
            except ValueError:
                row = None
            if not isinstance(row, dict) or "step" not in row:
                raise ConfigurationError(f"{path}:{number}: not a row of training metrics; it needs a step")
            rows.append(row)
    return rows


def losses(rows: Iterable[Mapping[str, Any]]) -> list[dict[str, float]]:
    """Step and losses by step, those of a resumed run in place of the earlier; values that are no numbers left out."""
    found: dict[int, dict[str, float]] = {}
    for row in rows:
        step = int(row["step"])
        for name in SERIES:
            try:
                value = float(row[name])
            except (KeyError, TypeError, ValueError):
                continue
            if isfinite(value):
                found.setdefault(step, {"step": step})[name] = value
    return [found[step] for step in sorted(found)]


def best(points: Sequence[Mapping[str, float]]) -> Mapping[str, float] | None:
    """The point of the lowest held-out loss, the first of several."""
    held_out = [point for point in points if "eval_loss" in point]
    return min(held_out, key=lambda point: point["eval_loss"], default=None)


def picture(points: Sequence[Mapping[str, float]]) -> Picture | None:
    """The lines; None where there are fewer than two steps."""
    values = [point[name] for point in points for name in SERIES if name in point]
    if len(points) < 2 or not values:
        return None
    low, high = min(values), max(values)
    first, last = points[0]["step"], points[-1]["step"]

    def x(step: float) -> float:
        return round(100 * (step - first) / (last - first), 2)

    def y(value: float) -> float:
        return round(100 * (high - value) / (high - low), 2) if high > low else 50.0

    drawn = []
    for name, said in SERIES.items():
        own = [f"{x(point['step'])},{y(point[name])}" for point in points if name in point]
        if own:
            drawn.append(Curve(said, " ".join(own)))
    lowest = best(points)
    return Picture(tuple(drawn), low, high, int(first), int(last), x(lowest["step"]) if lowest else None)


def thinned(points: Sequence[Mapping[str, float]]) -> list[Mapping[str, float]]:
    """At most 40 rows for a table: evenly chosen, with the last and the best."""
    if len(points) <= _ROWS:
        return list(points)
    places = {round(place * (len(points) - 1) / (_ROWS - 2)) for place in range(_ROWS - 1)}
    if lowest := best(points):
        places.add(points.index(lowest))
    return [points[place] for place in sorted(places)]
