"""Questions that are asked elsewhere and must not be trained on: those of an evaluation set."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import yaml

from app.errors import ConfigurationError
from training.curate.words import words

RUN_OF_WORDS = 13
"""Words in a row that an evaluation item and a training text may not share."""
TELLING = 3
"""A turn of fewer words than a run may not be a training text either; one of fewer than these says nothing."""
_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def runs(text: Sequence[str], length: int = RUN_OF_WORDS) -> set[tuple[str, ...]]:
    """All runs of ``length`` words; a shorter text is a run by itself."""
    if TELLING <= len(text) < length:
        return {tuple(text)}
    return {tuple(text[at : at + length]) for at in range(len(text) - length + 1)}


class Elsewhere:
    """What the items of evaluation sets ask. Folders of YAML files as ``bedside-train gate`` takes them."""

    def __init__(self, folders: Sequence[Path]) -> None:
        """Raises ConfigurationError where a folder holds none, or a file cannot be read."""
        self._runs = frozenset(run for folder in folders for turn in _turns(folder) for run in runs(words(turn)))

    def asks(self, question: str) -> bool:
        """Whether an item asks this, or shares a run of words with it."""
        return not self._runs.isdisjoint(runs(words(question)))


def _turns(folder: Path) -> Iterator[str]:
    files = sorted(folder.glob("*.yaml"))
    if not files:
        raise ConfigurationError(f"{folder} holds no evaluation items; mend publish.keep_out")
    for path in files:
        try:
            items = yaml.load(path.read_text(encoding="utf-8"), _LOADER)["items"]
            yield from (str(turn) for item in items for turn in item["turns"])
        except (OSError, ValueError, yaml.YAMLError, KeyError, TypeError) as error:
            raise ConfigurationError(f"{path} holds no evaluation items: {type(error).__name__}") from None
