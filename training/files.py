"""Files that commands write: whole or not at all, and a failure that says what to do."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryFile

from app.errors import ConfigurationError
from app.files import replace_file


def write_text(path: Path, text: str, *, mode: int = 0o644) -> None:
    """Put ``text`` at ``path`` in one step, readable for all by default, and make the folders above it.

    Raises ConfigurationError, and then leaves what was there as it was.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        replace_file(path, text.encode(), mode=mode)
    except OSError as error:
        raise ConfigurationError(
            f"{path} cannot be written ({error.strerror}): make its folder writable, or make room on the disk"
        ) from error


def require_writable(folder: Path) -> None:
    """Make ``folder`` and try to write into it. Raises ConfigurationError: before long work, not after it."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise ConfigurationError(
            f"{folder} cannot be written into ({error.strerror}): make it writable, or name another folder"
        ) from error


def file_hash(path: Path) -> str:
    """SHA-256 (hex) of a file's bytes. Raises OSError."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def lines_of(path: Path) -> Iterator[str]:
    """The lines of a file in UTF-8, with their ends, one at a time. Raises OSError, UnicodeDecodeError."""
    with path.open(encoding="utf-8") as lines:
        yield from lines
