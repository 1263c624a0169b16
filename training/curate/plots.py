"""The numbers of small pictures, which the report's page draws as SVG: one bar or interval a table row, so that words
and figures stay text that can be read aloud, enlarged and copied. All places are percent of the picture's width.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Bar:
    """A bar from 0 to ``end``, another from there to ``rest``, and a line across at ``mark``."""

    end: float
    rest: float | None = None
    mark: float | None = None


@dataclass(frozen=True, slots=True)
class Interval:
    """From ``low`` to ``high``, its middle at ``at``; 50 is no difference."""

    low: float
    at: float
    high: float


def bar(value: float, most: float, *, mark: float | None = None, rest: float = 0.0) -> Bar:
    """A bar of ``value`` on a scale to ``most``; ``rest`` goes on after it."""
    return Bar(
        end=_part(value, most),
        rest=_part(value + rest, most) if rest > 0 else None,
        mark=None if mark is None else _part(mark, most),
    )


def interval(low: float, middle: float, high: float, most: float) -> Interval:
    """On a scale from -``most`` to ``most``."""
    return Interval(*(50 + _part(value, most) / 2 for value in (low, middle, high)))


def _part(value: float, most: float) -> float:
    """Percent of the scale, kept on it."""
    return round(max(-100.0, min(100.0, 100 * value / most)), 2) if most > 0 else 0.0
