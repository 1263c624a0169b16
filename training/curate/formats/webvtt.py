"""WebVTT captions of a recorded call: one record a file, facts in NOTE blocks, speakers in voice tags or labels."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator

from training.curate.formats.contract import Draft, Refused, SourceRule
from training.curate.formats.facts import facts
from training.curate.formats.reading import TOO_LONG, Fault, Line, SourceFile, shown
from training.curate.formats.speech import labelled, merged, speaker
from training.curate.records import Speaker, Turn

_TIMES = re.compile(r"\s*(?:\d+:)?\d\d:\d\d[.,]\d{3}\s+-->\s+(?:\d+:)?\d\d:\d\d[.,]\d{3}(?:\s.*)?\Z")
# A tag ends before the next one begins, so that unclosed ones are not each read to the end of the text.
_VOICE = re.compile(r"<v(?:\.[^ \t<>]+)?[ \t]+(?P<who>[^<>]+)>")
_TAG = re.compile(r"</?[a-z0-9:.][^<>]*>|</[^<>]*>", re.IGNORECASE)
_FACT = re.compile(r"\s*(?P<key>[^\W\d_][\w .\-/]{0,40}?)\s{0,9}:\s*(?P<value>.+)\Z")
_MOST_LINES = 20_000


def read(file: SourceFile, rule: SourceRule) -> Iterator[Draft | Fault]:
    """See Format. The place is 1. A file that ends inside a cue is refused."""
    lines: list[Line] = []
    characters = 0
    for line in file.lines():
        if isinstance(line, Fault):
            yield line
            if line.line:
                yield Fault(0, "a line inside the record cannot be read")
            return
        if len(lines) >= _MOST_LINES:
            yield Fault(0, "too many lines in one record")
            return
        characters += len(line.text)
        if characters > file.limits.source_characters:
            yield Fault(0, TOO_LONG, raw=shown((lines or [line])[0].text))
            return
        lines.append(line)
    try:
        if not lines or not lines[0].text.startswith("WEBVTT"):
            raise Refused("no WEBVTT header")
        get: dict[str, str] = {}
        said: list[tuple[Speaker, str]] = []
        names: list[str] = []
        for block in _blocks(lines):
            if block[0].startswith(("NOTE", "WEBVTT")):
                get |= {m["key"]: m["value"] for text in block if (m := _FACT.match(text.removeprefix("NOTE")))}
            elif not block[0].startswith(("STYLE", "REGION")):
                side, name, words = _cue(block, said, rule)
                said.append((side, words))
                names += [name] if name else []
        turns: tuple[Turn, ...] = merged(said)
        if not turns:
            raise Refused("no text")
        yield Draft(1, turns, facts(get, rule, dict.fromkeys(names)), any(line.repaired for line in lines))
    except Refused as refused:
        yield Fault(0, refused.reason, refused.detail, shown("\n".join(line.text for line in lines)))


def _blocks(lines: list[Line]) -> Iterator[list[str]]:
    block: list[str] = []
    for line in [*lines, Line(0, "")]:
        if line.text.strip():
            block.append(line.text)
        elif block:
            yield block
            block = []


def _cue(block: list[str], said: list[tuple[Speaker, str]], rule: SourceRule) -> tuple[Speaker, str, str]:
    """Side, name and words of a cue; one without a speaker goes on with the speaker before. Raises Refused."""
    times = next((index for index, text in enumerate(block[:2]) if _TIMES.match(text)), None)
    if times is None:
        raise Refused("a cue without times")
    spoken = " ".join(block[times + 1 :])
    if not spoken.strip():
        raise Refused("the file ends inside a cue" if times + 1 == len(block) else "an empty cue")
    if voice := _VOICE.search(spoken):
        found = speaker(voice["who"], rule)
        if found is None:
            raise Refused("unknown speaker", voice["who"][:80])
        return *found, _plain(spoken)
    plain = _plain(spoken)
    if parts := labelled(plain, rule):
        return parts
    if not said:
        raise Refused("no speaker labels")
    return said[-1][0], "", plain


def _plain(text: str) -> str:
    """The words without tags and with plain characters. Raises Refused."""
    try:
        return html.unescape(_TAG.sub("", text)).strip()
    except ValueError:  # Python reads no number of more than 4300 digits, and no character has one.
        raise Refused("a character's number that is none") from None
