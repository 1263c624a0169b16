"""Parts of a sentence that say something by themselves."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from training.curate.figures import read_figures
from training.curate.truth import Statement, stems

BREAK = re.compile(
    r"(?<![ap]\.m)[;:.]\s|,\s(?:and|but|or|so|because|which|just)\s|,\s(?=[a-z])"
    r"(?!(?:[\w'’-]+\s)?[\w'’-]+(?:,|\s(?:and|or|nor)\s))|\s-\s|\sbut\s|\sbecause\s"
)
"""Not in a list: "tea, juice or soda" is no two things said."""


def clauses(sentence: str) -> list[str]:
    """The parts of a sentence that say something by themselves."""
    return [part.strip() for part in BREAK.split(sentence) if part and len(stems(part)) >= 2]


def with_clauses(statements: Sequence[Statement]) -> Iterator[Statement]:
    """Each statement, and each of its clauses as a statement of its own; none twice."""
    seen = set()
    for statement in statements:
        for text in (statement.text, *clauses(statement.text)):
            key = text.rstrip(".").lower()
            if key not in seen:
                seen.add(key)
                yield Statement(statement.source, text, stems(text), read_figures(text), statement.about)
