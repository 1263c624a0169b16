"""Static files held in memory: compacted, compressed once, and answered with an entity tag."""

from __future__ import annotations

import gzip
import hashlib
import re
from dataclasses import dataclass
from pathlib import Path

MEDIA_TYPES = {
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".svg": "image/svg+xml",
    ".webp": "image/webp",
    ".png": "image/png",
    ".ico": "image/x-icon",
}
"""What may be served, by suffix; other files of a folder are not."""

_BLOCK_COMMENT = re.compile(r"^[ \t]*/\*(?:(?!\*/).)*\*/[ \t]*\n|/\*\*(?:(?!\*/).)*\*/[ ]?", re.DOTALL | re.MULTILINE)
_LINE_COMMENT = re.compile(r"^[ \t]*//.*\n", re.MULTILINE)
_IMPORT = re.compile(r'^import \{[^}\n]*\} from "\./([\w.]+)";\n', re.MULTILINE)
_EXPORT = re.compile(r"^export (?=(?:async )?function|class|const)", re.MULTILINE)
_ASSIGNMENT = re.compile(r"""^([^="'`\n]*) = """, re.MULTILINE)
_STYLE_SPACE = re.compile(r"\s*([{};,])\s*")
_INDENT = re.compile(r"^[ \t]+|^\n", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Asset:
    """A file as it is sent: ``plain`` and ``packed`` (gzip) are the same content, ``etag`` is quoted."""

    plain: bytes
    packed: bytes
    etag: str
    media_type: str


def compact(source: str) -> str:
    """``source`` without comments that fill lines, JSDoc and indentation; names and statements are not touched."""
    return _INDENT.sub("", _LINE_COMMENT.sub("", _BLOCK_COMMENT.sub("", source)))


def compact_script(source: str) -> str:
    """A script without comments and indentation, and without spaces around an ``=`` that no string can hold."""
    return _ASSIGNMENT.sub(r"\1=", compact(source))


def compact_style(source: str) -> str:
    """A style sheet without comments and without the spaces that nobody needs."""
    return _STYLE_SPACE.sub(r"\1", compact(source)).replace(": ", ":").replace(";}", "}")


def asset(name: str, content: bytes) -> Asset:
    """Prepare one file; ``name`` decides the media type. Raises KeyError for a suffix that is not served."""
    suffix = Path(name).suffix
    media_type = MEDIA_TYPES[suffix]
    if suffix == ".js":
        content = compact_script(content.decode("utf-8")).encode("utf-8")
    elif suffix == ".css":
        content = compact_style(content.decode("utf-8")).encode("utf-8")
    elif suffix == ".html":
        content = _INDENT.sub("", content.decode("utf-8")).encode("utf-8")
    digest = hashlib.sha256(content).hexdigest()
    return Asset(content, gzip.compress(content, 9, mtime=0), f'"{digest[:24]}"', media_type)


def join_modules(sources: dict[str, str], entry: str) -> str:
    """``entry`` and every module that it imports as one module, dependencies first: one request, and one compression.

    Our modules import by ``import { … } from "./name.js";`` on one line and use no top-level name twice.
    Raises KeyError for an import that is not among ``sources``.
    """
    order: list[str] = []

    def visit(name: str) -> None:
        for needed in _IMPORT.findall(sources[name]):
            if needed not in order:
                visit(needed)
        order.append(name)

    visit(entry)
    return "".join(_EXPORT.sub("", _IMPORT.sub("", sources[name])) for name in dict.fromkeys(order))


def load_assets(folder: Path) -> dict[str, Asset]:
    """Every servable file of ``folder`` (not of its subfolders) by its name."""
    files = sorted(path for path in folder.iterdir() if path.is_file() and path.suffix in MEDIA_TYPES)
    return {path.name: asset(path.name, path.read_bytes()) for path in files}
