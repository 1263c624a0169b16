"""Reads and writes approved articles: YAML front matter, then Markdown without HTML. Faults name file and line."""

from __future__ import annotations

import hashlib
import re
from bisect import bisect_left
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from html import unescape
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, ValidationError, model_validator

from app.errors import ConfigurationError

MAX_BYTES = 256 * 1024
_RULE = "---"
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")
_REPLACED = re.compile("\ufffd")
_HIDDEN = re.compile("[\u202a-\u202e\u2066-\u2069]")
_ENTITY = re.compile(r"&#\w{1,8};")
_NO_LINE = re.compile("[\t\n\r\u2028\u2029\ud800-\udfff]")
_TAG = re.compile(r"</?[A-Za-z]")
_ALWAYS_HTML = re.compile(r"<\s{0,20}/?\s{0,20}script|<[!?]|javascript:", re.IGNORECASE)
_BLANK = re.compile(r"\n[ \t]*\n")
_DEPTH = 4
"""Lists in the front matter's own mapping are the second level."""
_HTML_FAULT = "HTML or script; use Markdown only"
_HIDDEN_FAULT = "a hidden character that turns the order of letters round; delete it"
_TEXT_FAULTS = (
    (_CONTROL, "control character; is this a binary file?"),
    (_REPLACED, "the character U+FFFD stands for one that was lost; the file was saved in a wrong encoding before"),
    (_HIDDEN, _HIDDEN_FAULT),
)
_UNREADABLE = (yaml.YAMLError, ValueError, TypeError, LookupError, AttributeError, ArithmeticError)
"""What PyYAML raises for a value that does not fit its tag, such as the 30th of February."""


def _plain(value: str) -> str:
    """Raises ValueError for a value of the front matter that is not one line of plain words."""
    if _NO_LINE.search(value):
        raise ValueError("must be one line of text, without tabs")
    for pattern, fault in _TEXT_FAULTS:
        if pattern.search(value):
            raise ValueError(fault)
    if _TAG.search(value) or _ALWAYS_HTML.search(value):
        raise ValueError(_HTML_FAULT)
    return value


Words = Annotated[str, AfterValidator(_plain)]
Phrase = Annotated[Words, StringConstraints(strip_whitespace=True, min_length=3, max_length=140)]


class ArticleHead(BaseModel):
    """The front matter. ``review_by`` is the last day on which the article may be cited.

    ``asked`` are up to 12 ways in which patients ask for this article; they are searched and never shown.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: str = Field(pattern=r"^[a-z0-9][a-z0-9-]{1,80}$")
    title: Words = Field(min_length=3, max_length=140)
    topic: Words = Field(min_length=2, max_length=60)
    audience: Literal["patients", "caregivers", "parents"]
    owner: Words = Field(min_length=2, max_length=200)
    reviewed: date
    review_by: date
    sources: list[Annotated[Words, Field(min_length=1, max_length=500)]] = Field(min_length=1, max_length=50)
    asked: list[Phrase] = Field(default=[], max_length=12)

    @model_validator(mode="after")
    def _dates_in_order(self) -> ArticleHead:
        if self.review_by <= self.reviewed:
            raise ValueError("review_by must be after reviewed")
        return self


@dataclass(frozen=True, slots=True)
class Finding:
    """Something in an article's file that its owner has to see. ``line`` counts from 1; 0 is the whole file."""

    file: str
    line: int
    text: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.text}" if self.line else f"{self.file}: {self.text}"


@dataclass(frozen=True, slots=True)
class ArticleSource:
    """A parsed article. ``sha256`` is over the whole file ``data``, so that any change makes a new version.

    ``line`` is the line of the file on which ``markdown`` begins, ``fields`` that of each field; both count from 1.
    """

    head: ArticleHead
    markdown: str
    sha256: str
    data: bytes
    line: int
    fields: Mapping[str, int]


def parse_article(data: bytes, name: str) -> ArticleSource:
    """Parse a file's bytes; ``name`` is what errors call it.

    Raises ConfigurationError with every fault: too large, not UTF-8, binary, broken front matter, HTML or script.
    """
    found = _examine(data, name)
    if isinstance(found, ArticleSource):
        return found
    raise ConfigurationError("; ".join(map(str, found)))


def render_article(head: ArticleHead, markdown: str) -> bytes:
    """The file of an article: :func:`parse_article` reads the same ``head`` and ``markdown`` from it."""
    fields = head.model_dump(exclude={"asked"} if not head.asked else None)
    front = yaml.safe_dump(fields, allow_unicode=True, sort_keys=False, width=10**6)
    return f"{_RULE}\n{front}{_RULE}\n\n{markdown.strip()}\n".encode()


def read_folder(folder: Path) -> tuple[list[ArticleSource], list[str]]:
    """All articles of a folder that parse, by name, and the faults of the others; see :func:`scan`."""
    articles, faults = scan(folder)
    return articles, [str(fault) for fault in faults]


def scan(folder: Path) -> tuple[list[ArticleSource], list[Finding]]:
    """All ``*.md`` files of a folder, by name: the articles that parse, and what is wrong with the others.

    Ids must be unique and equal the file name; names that differ in case only cannot lie together on every machine. A
    link must stay in the folder. Hidden files are passed over. Raises ConfigurationError if the folder cannot be read.
    """
    if not folder.is_dir():
        raise ConfigurationError(f"{folder} is not a folder; a site needs articles/ with at least one .md file")
    try:
        paths = sorted(path for path in folder.iterdir() if path.suffix.lower() == ".md" and path.name[0] != ".")
    except OSError as error:
        raise ConfigurationError(f"{folder} cannot be read ({error.strerror})") from error
    articles: list[ArticleSource] = []
    faults: list[Finding] = []
    names = {path.name for path in paths}
    for path in paths:
        found = _read(path, folder, names)
        if isinstance(found, ArticleSource):
            articles.append(found)
        else:
            faults += found
    return articles, faults


def _read(path: Path, folder: Path, names: set[str]) -> ArticleSource | list[Finding]:
    lower = path.name.lower()
    if path.name != lower and lower in names:
        return [Finding(path.name, 0, f"differs from {lower} in case only; give it another name and id")]
    if path.suffix != ".md":
        return [Finding(path.name, 0, "the name must end in .md, in small letters")]
    try:
        if not path.resolve(strict=True).is_relative_to(folder.resolve()):
            return [Finding(path.name, 0, "is a link that leads out of the folder; copy the file here")]
        if not path.is_file():
            return [Finding(path.name, 0, "is not a file")]
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
        size = max(len(data), path.stat().st_size)
    except (OSError, RuntimeError) as error:  # RuntimeError: a circle of links
        return [Finding(path.name, 0, f"cannot be read ({getattr(error, 'strerror', None) or error})")]
    if size > MAX_BYTES:
        return [Finding(path.name, 0, _too_large(size))]
    found = _examine(data, path.name)
    if isinstance(found, ArticleSource) and found.head.id != path.stem:
        taken = f"; {found.head.id}.md is there already" if f"{found.head.id}.md" in names else ""
        return [Finding(path.name, found.fields["id"], f"id {found.head.id!r} must equal the file name{taken}")]
    return found


def _too_large(size: int) -> str:
    return f"{size} bytes; an article may have at most {MAX_BYTES}"


def _examine(data: bytes, name: str) -> ArticleSource | list[Finding]:
    if len(data) > MAX_BYTES:
        return [Finding(name, 0, _too_large(len(data)))]
    try:
        text = data.decode("utf-8-sig").replace("\r\n", "\n").replace("\r", "\n")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        return [Finding(name, line, "not UTF-8; save the file as UTF-8 text")]
    faults = [
        Finding(name, line, fault)
        for pattern, fault in _TEXT_FAULTS
        for line in _lines_of(text, (found.start() for found in pattern.finditer(text)))
    ]
    if faults:
        return faults
    lines = text.split("\n")
    first = next((n for n, line in enumerate(lines) if line.strip()), 0)
    last = next((n for n in range(first + 1, len(lines)) if lines[n].rstrip() == _RULE), 0)
    if lines[first].rstrip() != _RULE or not last:
        return [Finding(name, 1, "the file must begin with front matter between two lines of ---")]
    head = _head("\n".join(lines[first + 1 : last]), first + 2, name)
    body = "\n".join(lines[last + 1 :])
    begin = last + 2 + body[: len(body) - len(body.lstrip())].count("\n")
    faults = [Finding(name, begin + line, _HTML_FAULT) for line in _html(body.strip())]
    written = (found.start() for found in _ENTITY.finditer(body.strip()) if _HIDDEN.search(unescape(found[0])))
    faults += [Finding(name, begin + line - 1, _HIDDEN_FAULT) for line in _lines_of(body.strip(), written)]
    if not body.strip():
        faults.append(Finding(name, 0, "there is no text after the front matter"))
    if isinstance(head, list) or faults:
        return [*head, *faults] if isinstance(head, list) else faults
    digest = hashlib.sha256(data).hexdigest()
    return ArticleSource(head[0], body.strip() + "\n", digest, data, begin, head[1])


def _lines_of(text: str, positions: Iterable[int]) -> list[int]:
    """The lines, from 1, on which ``positions`` lie: each once, in order. In time that grows with the text alone."""
    ends = [end.start() for end in re.finditer("\n", text)]
    return sorted({bisect_left(ends, position) + 1 for position in positions})


def _html(body: str) -> list[int]:
    """Lines, from 0, on which HTML or script begins; a tag ends in the paragraph in which it begins."""
    found = [match.start() for match in _ALWAYS_HTML.finditer(body)]
    ends = [match.start() for match in _BLANK.finditer(body)]
    for begin, end in zip([0, *ends], [*ends, len(body)], strict=True):
        closing = body.rfind(">", begin, end)
        found += [match.start() for match in _TAG.finditer(body, begin, max(begin, closing))]
    return [line - 1 for line in _lines_of(body, found)]


def _head(text: str, first: int, name: str) -> tuple[ArticleHead, dict[str, int]] | list[Finding]:
    """The head and the line of each field, or what is wrong; ``first`` is the line on which ``text`` begins."""
    try:
        if odd := _oddity(text):
            return [Finding(name, first, odd)]
        loader = yaml.SafeLoader(text)
        node = loader.get_single_node()
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        problem = getattr(error, "problem", None) or getattr(error, "reason", None) or error
        return [Finding(name, first + (mark.line if mark else 0), f"the front matter is not valid YAML: {problem}")]
    if not isinstance(node, yaml.MappingNode):
        return [Finding(name, first, "the front matter must be a list of `field: value` lines")]
    values: dict[str, Any] = {}
    places: dict[str, int] = {}
    faults: list[Finding] = []
    for key, value in node.value:
        field, line = str(key.value) if isinstance(key, yaml.ScalarNode) else "?", first + key.start_mark.line
        if field in places:
            faults.append(Finding(name, line, f"{field}: stands a second time; it is in line {places[field]} already"))
            continue
        places[field] = line
        try:
            values[field] = loader.construct_object(value, deep=True)
        except _UNREADABLE as error:
            known = getattr(error, "problem", None) or (error if isinstance(error, ValueError) else None)
            faults.append(Finding(name, line, f"{field}: {known or 'not a value that can be read'}"))
    if faults:
        return faults
    try:
        return ArticleHead.model_validate(values), places
    except ValidationError as error:
        return [_fault(name, first, places, fault) for fault in error.errors(include_input=False, include_url=False)]


def _oddity(text: str) -> str | None:
    """What in the YAML could take minutes or gigabytes to read, if anything. Reads no further than that."""
    depth = 0
    for event in yaml.parse(text, yaml.SafeLoader):
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > _DEPTH:
            return "the front matter is nested too deeply"
        if isinstance(event, yaml.AliasEvent):
            return "the front matter may not use * for a value from elsewhere; write it out"
    return None


def _fault(name: str, first: int, places: Mapping[str, int], fault: Mapping[str, Any]) -> Finding:
    field = str(fault["loc"][0]) if fault["loc"] else "front matter"
    said = str(fault["msg"]).removeprefix("Value error, ")
    if fault["type"] == "extra_forbidden":
        said = f"unknown field; an article has {', '.join(ArticleHead.model_fields)}"
    elif fault["type"] == "string_type":
        said += "; write it in quotes"
    return Finding(name, places.get(field, first), f"{field}: {said}")
