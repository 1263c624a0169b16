"""Reads one approved article: YAML front matter, then Markdown without HTML. Every error names file and line."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Annotated, Literal

import yaml
from markdown_it import MarkdownIt
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError, model_validator

from app.errors import ConfigurationError

MAX_BYTES = 256 * 1024
_HTML = re.compile(r"<\s*/?\s*[A-Za-z!?][^>]*>|<\s*script|javascript:", re.IGNORECASE)
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f]")


Phrase = Annotated[str, StringConstraints(strip_whitespace=True, min_length=3, max_length=140, pattern=r"^[^\n\t]+$")]


class ArticleHead(BaseModel):
    """The front matter. ``review_by`` is the last day on which the article may be cited.

    ``asked`` are up to 12 ways in which patients ask for this article; they are searched and never shown.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: str = Field(pattern=r"^[a-z0-9][a-z0-9-]{1,80}$")
    title: str = Field(min_length=3, max_length=140)
    topic: str = Field(min_length=2, max_length=60)
    audience: Literal["patients", "caregivers", "parents"]
    owner: str = Field(min_length=2)
    reviewed: date
    review_by: date
    sources: list[str] = Field(min_length=1)
    asked: list[Phrase] = Field(default=[], max_length=12)

    @model_validator(mode="after")
    def _dates_in_order(self) -> ArticleHead:
        if self.review_by <= self.reviewed:
            raise ValueError("review_by must be after reviewed")
        return self


@dataclass(frozen=True, slots=True)
class ArticleSource:
    """A parsed article. ``sha256`` is over the whole file, so that any change makes a new version."""

    head: ArticleHead
    markdown: str
    sha256: str


def parse_article(data: bytes, name: str) -> ArticleSource:
    """Parse a file's bytes; ``name`` is what errors call it.

    Raises ConfigurationError: too large, not UTF-8, binary, broken front matter, HTML or script in the text.
    """
    if len(data) > MAX_BYTES:
        raise ConfigurationError(f"{name}: {len(data)} bytes; an article may have at most {MAX_BYTES}")
    try:
        text = data.decode("utf-8-sig").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise ConfigurationError(f"{name}:{line}: not UTF-8; save the file as UTF-8 text") from error
    for pattern, fault in (
        (_CONTROL, "control character; is this a binary file?"),
        (_HTML, "HTML or script; use Markdown only"),
    ):
        if found := pattern.search(text):
            raise ConfigurationError(f"{name}:{text[: found.start()].count(chr(10)) + 1}: {fault}")
    parts = text.split("---\n", 2)
    if len(parts) != 3 or parts[0].strip():
        raise ConfigurationError(f"{name}:1: the file must begin with front matter between two lines of ---")
    head = _head(parts[1], name)
    if not parts[2].strip():
        raise ConfigurationError(f"{name}: there is no text after the front matter")
    return ArticleSource(head, parts[2].strip() + "\n", hashlib.sha256(data).hexdigest())


def _head(text: str, name: str) -> ArticleHead:
    try:
        fields = yaml.safe_load(text)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = mark.line + 2 if mark else 2
        raise ConfigurationError(
            f"{name}:{line}: the front matter is not valid YAML: {getattr(error, 'problem', error)}"
        ) from error
    if not isinstance(fields, dict):
        raise ConfigurationError(f"{name}:2: the front matter must be a list of `field: value` lines")
    try:
        return ArticleHead.model_validate(fields)
    except ValidationError as error:
        faults = []
        for fault in error.errors():
            field = str(fault["loc"][0]) if fault["loc"] else "front matter"
            lines = [n for n, line in enumerate(text.split("\n"), start=2) if line.startswith(f"{field}:")]
            faults.append(f"{name}:{lines[0] if lines else 2}: {field}: {fault['msg']}")
        raise ConfigurationError("; ".join(faults)) from error


def read_folder(folder: Path) -> tuple[list[ArticleSource], list[str]]:
    """All ``*.md`` files of a folder, sorted by name: the articles that parse, and a fault per one that does not.

    Ids must be unique and equal the file name. Raises ConfigurationError if the folder itself is missing.
    """
    if not folder.is_dir():
        raise ConfigurationError(f"{folder} is not a folder; a site needs articles/ with at least one .md file")
    articles: list[ArticleSource] = []
    faults: list[str] = []
    for path in sorted(folder.glob("*.md")):
        try:
            article = parse_article(path.read_bytes(), path.name)
            if article.head.id != path.stem:
                raise ConfigurationError(f"{path.name}:2: id {article.head.id!r} must equal the file name")
            articles.append(article)
        except (ConfigurationError, OSError) as error:
            faults.append(str(error))
    return articles, faults


def to_html(markdown: str) -> str:
    """Render an article for its page; raw HTML is escaped."""
    return str(MarkdownIt("commonmark", {"html": False}).render(markdown))
