"""Bounded reading of files that nobody has vouched for."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from training.curate.formats.drafts import Fault
from training.curate.formats.encoding import decoded

_CHUNK = 65_536
_HEAD = 4096
_MAGIC = {
    b"\x1f\x8b": "compressed file",
    b"PK\x03\x04": "compressed file",
    b"BZh": "compressed file",
    b"\xfd7zXZ": "compressed file",
    b"(\xb5/\xfd": "compressed file",
    b"%PDF": "binary file",
    b"\x89PNG": "binary file",
    b"GIF8": "binary file",
    b"\xff\xd8\xff": "binary file",
    b"\x7fELF": "binary file",
    b"SQLite format 3": "binary file",
    b"\xd0\xcf\x11\xe0": "binary file",
    b"\xff\xfe": "UTF-16 or UTF-32 text",
    b"\xfe\xff": "UTF-16 or UTF-32 text",
    b"\x00\x00\xfe\xff": "UTF-16 or UTF-32 text",
}
_BINARY_SHARE = 0.1
TOO_LONG = "record too long"
"""The reason of a fault, also where only a part was read."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Bytes of the longest line that is read, and of the largest file where a format needs the whole; characters of
    one record's words.
    """

    line_bytes: int = 1_000_000
    file_bytes: int = 32_000_000
    record_characters: int = 100_000

    @property
    def source_characters(self) -> int:
        """Characters that a format holds for one record: with labels, times and markup, four times its words."""
        return 4 * self.record_characters


@dataclass(frozen=True, slots=True)
class Line:
    """A line without its end; ``repaired`` if its bytes were Windows-1252. ``cut`` if the file ended inside it."""

    number: int
    text: str
    repaired: bool = False
    cut: bool = False


@dataclass(frozen=True, slots=True)
class SourceFile:
    """A file and its limits. ``name`` is its path relative to the sources' folder."""

    path: Path
    name: str
    limits: Limits

    def lines(self) -> Iterator[Line | Fault]:
        """Line by line in bounded memory; a line that is too long, holds NUL bytes or is no text is a Fault.

        OSError where the file cannot be read.
        """
        with self.path.open("rb") as stream:
            head = stream.read(_HEAD)
            if reason := unreadable(head):
                yield Fault(0, reason)
                return
            stream.seek(3 if head.startswith(b"\xef\xbb\xbf") else 0)
            limit = self.limits.line_bytes
            number = 0
            while data := stream.readline(limit + 1):
                number += 1
                ended = data.endswith(b"\n")
                if len(data) > limit and not ended:
                    length = len(data)
                    while not ended and (rest := stream.readline(_CHUNK)):
                        length += len(rest)
                        ended = rest.endswith(b"\n")
                    yield Fault(number, "line too long", f"{length} bytes, at most {limit} are read", shown(data))
                    continue
                yield _line(number, data.rstrip(b"\r\n"), cut=not ended)

    def whole(self) -> tuple[str, bool] | Fault:
        """The text of a file under the size limit, and whether it had to be repaired; else a Fault.

        OSError where the file cannot be read.
        """
        size = self.path.stat().st_size
        limit = self.limits.file_bytes
        with self.path.open("rb") as stream:
            data = stream.read(limit + 1)
        if len(data) > limit:
            return Fault(0, "file too large", f"{size} bytes, at most {limit} are read; split it")
        if reason := unreadable(data[:_HEAD]):
            return Fault(0, reason)
        if b"\0" in data:
            return Fault(data[: data.index(b"\0")].count(b"\n") + 1, "NUL bytes")
        found = decoded(data.removeprefix(b"\xef\xbb\xbf"))
        return Fault(0, "neither UTF-8 nor Windows-1252") if found is None else found


def unreadable(head: bytes) -> str:
    """Why a file that begins so is no text of ours; '' if it may be."""
    for magic, reason in _MAGIC.items():
        if head.startswith(magic):
            return reason
    strange = sum(byte < 9 or 13 < byte < 27 for byte in head)
    return "binary file" if strange > _BINARY_SHARE * len(head) else ""


def shown(data: bytes | str, limit: int = 300) -> str:
    """The beginning of what was refused, for the quarantine."""
    text = data[:limit].decode("utf-8", errors="backslashreplace") if isinstance(data, bytes) else data[:limit]
    return text.encode("utf-8", errors="backslashreplace").decode()


def _line(number: int, data: bytes, *, cut: bool) -> Line | Fault:
    if b"\0" in data:
        return Fault(number, "NUL bytes", raw=shown(data))
    found = decoded(data)
    if found is None:
        return Fault(number, "neither UTF-8 nor Windows-1252", raw=shown(data))
    return Line(number, found[0], repaired=found[1], cut=cut)
