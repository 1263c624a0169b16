"""The development and blind sets for the redaction detector: marked-up text in, JSON lines with offsets out.

`python -m tests.privacy_sets` rebuilds `tests/data/privacy/*.jsonl` from the `*.txt` beside them and prints the counts.

A source line is one message; `\\n` in it is a line break. `[[TYPE kind origin|text]]` marks an identifier; only PERSON
has an origin.
A line `== slice=NAME language=en|es|mixed` opens a slice; lines that start with `# ` are remarks.
"""

import json
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import TypedDict

FOLDER = Path(__file__).parent / "data" / "privacy"
SETS = ("blind", "blind_clean", "dev", "dev_clean")
TYPES = frozenset(
    "PERSON EMAIL PHONE SSN MRN MEMBER_ID MBI ACCOUNT CARD LICENSE VEHICLE DEVICE USERNAME URL IP DATE AGE ADDRESS ZIP "
    "CITY ORGANIZATION".split()
)
LANGUAGES = frozenset({"en", "es", "mixed"})

_HEADER = re.compile(r"== slice=(?P<slice>[a-z-]+) language=(?P<language>[a-z]+)")
_MARK = re.compile(r"\[\[(?P<type>[A-Z_]+) (?P<kind>[a-z_]+)(?: (?P<origin>[a-z_]+))?\|(?P<text>[^\[\]|]+)\]\]")


class Span(TypedDict, total=False):
    """Half-open character offsets into the message; `origin` stands on PERSON spans alone."""

    start: int
    end: int
    type: str
    kind: str
    origin: str


class Message(TypedDict):
    id: str
    text: str
    spans: list[Span]
    language: str
    slice: str


def build(name: str) -> list[Message]:
    """The messages of one set, read from its marked-up source. Raises ValueError on a line that breaks the notation."""
    messages: list[Message] = []
    for slice_name, language, line in _lines(name):
        text, spans = _parse(line)
        messages.append(
            Message(
                id=f"{name.replace('_', '-')}-{len(messages) + 1:04d}",
                text=text,
                spans=spans,
                language=language,
                slice=slice_name,
            )
        )
    return messages


def load(name: str) -> list[Message]:
    """The committed messages of one set."""
    lines = (FOLDER / f"{name}.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


def render(messages: list[Message]) -> str:
    return "".join(json.dumps(message, ensure_ascii=False) + "\n" for message in messages)


def frame(message: Message) -> str:
    """The sentence around the identifiers: each span replaced by its type, case and digits levelled."""
    text = message["text"]
    for span in reversed(message["spans"]):
        text = f"{text[: span['start']]}<{span['type']}>{text[span['end'] :]}"
    return re.sub(r"\s+", " ", re.sub(r"\d", "0", text.lower())).strip()


def _lines(name: str) -> Iterator[tuple[str, str, str]]:
    slice_name = language = ""
    for number, line in enumerate((FOLDER / f"{name}.txt").read_text(encoding="utf-8").splitlines(), start=1):
        if not line or line.startswith("# "):
            continue
        if line.startswith("== "):
            header = _HEADER.fullmatch(line)
            if header is None or header["language"] not in LANGUAGES:
                raise ValueError(f"{name}.txt:{number}: not a slice header: {line}")
            slice_name, language = header["slice"], header["language"]
            continue
        if not slice_name:
            raise ValueError(f"{name}.txt:{number}: a message before the first slice")
        yield slice_name, language, line


def _parse(line: str) -> tuple[str, list[Span]]:
    line = line.replace("\\n", "\n")
    text, spans, at = "", list[Span](), 0
    for mark in _MARK.finditer(line):
        if mark["type"] not in TYPES:
            raise ValueError(f"unknown type {mark['type']} in: {line}")
        if (mark["origin"] is not None) != (mark["type"] == "PERSON"):
            raise ValueError(f"an origin belongs on PERSON, and only there: {line}")
        text += line[at : mark.start()]
        span = Span(start=len(text), end=len(text) + len(mark["text"]), type=mark["type"], kind=mark["kind"])
        if mark["origin"] is not None:
            span["origin"] = mark["origin"]
        text += mark["text"]
        spans.append(span)
        at = mark.end()
    text += line[at:]
    if "[[" in text or "]]" in text:
        raise ValueError(f"a mark left open in: {line}")
    return text, spans


def main() -> None:
    for name in SETS:
        messages = build(name)
        (FOLDER / f"{name}.jsonl").write_text(render(messages), encoding="utf-8")
        spans = Counter(span["type"] for message in messages for span in message["spans"])
        print(f"{name}: {len(messages)} messages, {spans.total()} spans, {len(set(map(frame, messages)))} frames")
        for label, count in spans.most_common():
            print(f"  {label:13} {count}")


if __name__ == "__main__":
    main()
