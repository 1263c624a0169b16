"""The list of forgotten patients, which every run reads: keyed hashes, and the day of each."""

from __future__ import annotations

import stat
from datetime import date
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from app.errors import ConfigurationError
from app.files import replace_file
from training.curate.dataset import fingerprint

TOMBSTONES = "forgotten.jsonl"
"""The name of the list; it lies in the folder of the versions."""


class Tombstone(BaseModel):
    """A line of the list of forgotten patients."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    patient: str = Field(pattern=r"^[0-9a-f]{20}$")
    secret_fingerprint: str
    on: date


def forgotten(path: Path, secret: bytes | None = None) -> frozenset[str]:
    """Keyed hashes of the patients whom no run may take in; none if the list does not exist.

    With ``secret`` the list must have been made with it: under another one nobody in it would be recognised. Raises
    ConfigurationError.
    """
    stones = _tombstones(path)
    for number, stone in enumerate(stones, start=1):
        if secret is not None and stone.secret_fingerprint != fingerprint(secret):
            raise ConfigurationError(
                f"{path}:{number}: written with another secret; curate with that one, or these patients come back"
            )
    return frozenset(stone.patient for stone in stones)


def bury(path: Path, stone: Tombstone) -> None:
    """Add to the list, which is there whole whatever happens. ConfigurationError if it cannot be written."""
    stones = _tombstones(path)
    if any(stone.patient == known.patient for known in stones):
        return
    text = "".join(f"{known.model_dump_json()}\n" for known in [*stones, stone])
    try:
        mode = stat.S_IMODE(path.stat().st_mode) if stones else 0o600
        replace_file(path, text.encode(), mode)
    except OSError as error:
        raise ConfigurationError(
            f"{path} cannot be written: {error.strerror}; mend it and run it again: nobody was forgotten"
        ) from None


def _tombstones(path: Path) -> list[Tombstone]:
    """The list; ConfigurationError that names the line and the mend: whom a broken line names would come back."""
    try:
        lines = path.read_bytes().splitlines()
    except FileNotFoundError:
        return []
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be read: {error.strerror}") from None
    stones = []
    for number, line in enumerate(lines, start=1):
        try:
            stones.append(Tombstone.model_validate_json(line))
        except ValidationError as error:
            raise ConfigurationError(
                f"{path}:{number}: {error.errors()[0]['msg']}; take the list from a backup, or remove this line and "
                "forget the patient again: `bedside-train data forget`"
            ) from None
    return stones
