"""WebVTT captions of a recorded call: one record a file, facts in NOTE blocks, speakers in voice tags or labels."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from training.curate.formats.contract import Refused, SourceRule
from training.curate.formats.drafts import Draft, Fault
from training.curate.formats.facts import facts, whose
from training.curate.formats.field_names import told
from training.curate.formats.reading import TOO_LONG, Line, SourceFile, shown
from training.curate.formats.speech import Strangers, labelled, merged, speaker
from training.curate.records import Speaker, Turn

_TIMES = re.compile(r"\s*(?:\d+:)?\d\d:\d\d[.,]\d{3}\s+-->\s+(?:\d+:)?\d\d:\d\d[.,]\d{3}(?:\s.*)?\Z")
# A tag ends before the next one begins, so that unclosed ones are not each read to the end of the text.
_VOICE = re.compile(r"<v(?:\.[^ \t<>]+)?[ \t]+(?P<who>[^<>]+)>")
_END = re.compile(r"</v[^<>]*>")
_TAG = re.compile(r"</?[a-z0-9:.][^<>]*>|</[^<>]*>", re.IGNORECASE)
_FACT = re.compile(r"\s*(?P<key>[^\W\d_][\w .\-/]{0,40}?)\s{0,9}:\s*(?P<value>.+)\Z")
_DASH = re.compile(r"\A[-–—]\s+")
"""In front of each of several people in one cue."""
_NOTES = ("NOTE", "WEBVTT")
_MOST_LINES = 20_000


def read(file: SourceFile, rule: SourceRule) -> Iterator[Draft | Fault]:
    """See Format. The place is 1. A file that ends inside a cue is refused."""
    lines: list[Line] = []
    characters = 0
    for line in file.lines():
        if isinstance(line, Fault):
            yield line
            if line.line:
                yield Fault(0, "a line inside the record cannot be read", facts=whose(_told(lines, rule), rule))
            return
        if len(lines) >= _MOST_LINES:
            yield Fault(0, "too many lines in one record", facts=whose(_told(lines, rule), rule))
            return
        characters += len(line.text)
        if characters > file.limits.source_characters:
            yield Fault(0, TOO_LONG, raw=shown((lines or [line])[0].text), facts=whose(_told(lines, rule), rule))
            return
        lines.append(line)
    get = _told(lines, rule)
    try:
        if not lines or not lines[0].text.startswith("WEBVTT"):
            raise Refused("no WEBVTT header")
        talk = _Talk(rule)
        for block in _blocks(lines):
            if not block[0].startswith((*_NOTES, "STYLE", "REGION")):
                talk.cue(block)
        turns = talk.turns()
        if not turns:
            raise Refused("no text")
        yield Draft(1, turns, facts(get, rule, dict.fromkeys(talk.names)), any(line.repaired for line in lines))
    except Refused as refused:
        raw = shown("\n".join(line.text for line in lines))
        yield Fault(0, refused.reason, refused.detail, raw, whose(get, rule))


def _told(lines: list[Line], rule: SourceRule) -> dict[str, Any]:
    """What the notes say, whatever becomes of the cues."""
    notes = (block for block in _blocks(lines) if block[0].startswith(_NOTES))
    found = (_FACT.match(text.removeprefix("NOTE")) for block in notes for text in block)
    return told(((match["key"], match["value"]) for match in found if match), rule)


def _blocks(lines: list[Line]) -> Iterator[list[str]]:
    block: list[str] = []
    for line in [*lines, Line(0, "")]:
        if line.text.strip():
            block.append(line.text)
        elif block:
            yield block
            block = []


@dataclass(slots=True)
class _Talk:
    """What was said, cue by cue. All of its methods raise Refused."""

    rule: SourceRule
    names: list[str] = field(default_factory=list)
    _said: list[tuple[Speaker, str]] = field(default_factory=list)
    _strangers: Strangers = field(default_factory=Strangers)

    def cue(self, block: list[str]) -> None:
        """Take in a cue. A voice tag or a label begins another's words; what follows neither goes on with the words
        before it.
        """
        times = next((index for index, text in enumerate(block[:2]) if _TIMES.match(text)), None)
        if times is None:
            raise Refused("a cue without times")
        spoken = "\n".join(block[times + 1 :])
        if not spoken.strip():
            raise Refused("the file ends inside a cue" if times + 1 == len(block) else "an empty cue")
        before, *voices = _VOICE.split(spoken)
        self._lines(before)
        for who, words in zip(voices[::2], voices[1::2], strict=True):
            found = speaker(who, self.rule)
            if found is None:
                raise Refused("unknown speaker", who[:80])
            inside, *after = _END.split(words, maxsplit=1)
            first, _, others = _TAG.sub("", inside).partition("\n")
            self._add(*found, _plain(first))
            self._lines(others, of_voice=True)
            self._lines("".join(after))

    def _lines(self, text: str, *, of_voice: bool = False) -> None:
        lines = [*filter(None, map(_plain, _TAG.sub("", text).split("\n")))]
        dashed = sum(bool(_DASH.match(line)) for line in lines)
        for line in lines:
            undashed = _DASH.sub("", line)
            if found := labelled(undashed, self.rule):
                self._add(*found)
                continue
            if dashed > 1 and undashed != line and not of_voice:
                raise Refused("several speak in one cue, and it is not said who")
            if not self._said:
                raise Refused("no speaker labels")
            if not of_voice:
                self._strangers.see(undashed)
            self._add(self._said[-1][0], (), line)

    def _add(self, side: Speaker, named: tuple[str, ...], words: str) -> None:
        self._said.append((side, words))
        self.names += named

    def turns(self) -> tuple[Turn, ...]:
        """Neighbouring words of one side are one turn."""
        self._strangers.refuse()
        return merged(self._said)


def _plain(text: str) -> str:
    """The words without tags and with plain characters. Raises Refused."""
    try:
        return html.unescape(_TAG.sub("", text)).strip()
    except ValueError:  # Python reads no number of more than 4300 digits, and no character has one.
        raise Refused("a character's number that is none") from None
