"""A file of records that is read in any order."""

from __future__ import annotations

from array import array
from pathlib import Path

from app.errors import ConfigurationError
from training.curate.records import Record


class Lines:
    """The records of a file by their number, from 0: only where each line begins is in memory."""

    def __init__(self, path: Path) -> None:
        """Raises ConfigurationError for a file that cannot be read."""
        self._path = path
        self._starts = array("Q")
        start = 0
        try:
            with path.open("rb") as lines:
                for line in lines:
                    self._starts.append(start)
                    start += len(line)
        except OSError as error:
            raise ConfigurationError(f"{path} cannot be read: {error}") from None

    def __len__(self) -> int:
        return len(self._starts)

    def record(self, number: int) -> Record:
        """Read one record again."""
        with self._path.open("rb") as lines:
            lines.seek(self._starts[number])
            return Record.model_validate_json(lines.readline())
