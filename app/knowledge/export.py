"""Writes articles back into a folder."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from app.errors import ConfigurationError
from app.files import replace_file

_MODE = 0o644


def refuse_used(folder: Path) -> None:
    """Raises ConfigurationError if ``folder`` holds anything or is none; a missing one is right."""
    try:
        used = folder.exists() and any(folder.iterdir())
    except OSError as error:
        raise ConfigurationError(f"{folder} cannot be read ({error.strerror})") from error
    if used:
        raise ConfigurationError(
            f"{folder} is not empty; name a new folder, or give --force to replace files of the same names in it"
        )


def write_folder(folder: Path, files: Mapping[str, bytes], *, force: bool = False) -> list[str]:
    """Write ``files`` (content by name) into ``folder``, which is made if it is missing.

    A folder that holds anything is refused unless ``force``; then files of the same names are replaced and others stay.
    Each file is written whole or not at all. Returns the names of other articles in the folder, which an import of it
    would take too. Raises ConfigurationError.
    """
    if not force:
        refuse_used(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        present = {path.name for path in folder.iterdir()}
        for name, data in files.items():
            replace_file(folder / name, data, _MODE)
    except OSError as error:
        raise ConfigurationError(f"{error.filename or folder} cannot be written ({error.strerror})") from error
    return sorted(name for name in present - files.keys() if name.lower().endswith(".md") and name[0] != ".")
