"""Folders in which one process at a time works, what a killed one has left in them, and files that are replaced."""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from app.errors import ConfigurationError

WRITING, FORGETTING, GOING = ".version-", ".forget-", ".going-"
"""How hidden folders begin in which a version is written, copied without a patient, or on its way out."""
PART = ".part"
"""How hidden folders end in which a stage writes."""


@contextmanager
def alone(folder: Path, *, wait: bool = False) -> Iterator[None]:
    """Hold a folder, made if it is not there, against other processes. ConfigurationError if another holds it, unless
    this one is to ``wait``, and where the folder cannot be written.

    Who holds a work folder and the folder of the versions takes the work folder first.
    """
    with _locked(folder / ".lock", wait=wait):
        yield


@contextmanager
def changing(file: Path) -> Iterator[None]:
    """Hold a file from reading to replacing it; waits for others. The lock stands beside it, hidden, as the file itself
    is another one each time. ConfigurationError where its folder cannot be made or written.
    """
    with _locked(file.with_name(f".{file.name}.lock"), wait=True):
        yield


@contextmanager
def _locked(path: Path, *, wait: bool) -> Iterator[None]:
    folder = path.parent
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        lock = path.open("w")
    except OSError as error:
        raise ConfigurationError(
            f"{error.filename or folder} cannot be written: {error.strerror}; make its folder writable, or name another"
        ) from None
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ConfigurationError(f"{folder}: another run is working here; wait for it") from None
        except OSError as error:
            raise ConfigurationError(f"{path} cannot be locked: {error.strerror}") from None
        yield


def sweep(folder: Path) -> list[Path]:
    """Remove the hidden folders that a killed run has left right in ``folder``, as they hold records; those removed.

    Only for who holds ``folder`` (:func:`alone`): what another process writes looks the same. Links are left alone.
    Raises OSError where the disk refuses.
    """
    found = sorted(path for path in folder.iterdir() if _is_unfinished(path))
    for path in found:
        shutil.rmtree(path)
    return found


def discard(folder: Path) -> None:
    """Remove a version. Of one that is removed in part only, by a kill or a refusal, :func:`sweep` takes the rest.

    Raises OSError where the disk refuses, and for a link, whose records would stay where they are.
    """
    if folder.is_symlink():
        raise OSError(errno.ELOOP, "a link; remove what it leads to, and the link", str(folder))
    going = folder.with_name(f"{GOING}{folder.name}")
    os.rename(folder, going)
    shutil.rmtree(going)


def _is_unfinished(path: Path) -> bool:
    hidden = path.name.startswith((WRITING, FORGETTING, GOING)) or (path.name[0] == "." and path.suffix == PART)
    return hidden and path.is_dir() and not path.is_symlink()
