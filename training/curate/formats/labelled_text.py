"""Plain text: a header of ``Key: value`` lines, then speakers' lines; records are set apart by lines of dashes."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from training.curate.formats.contract import FIELDS, FieldName, Refused, SourceRule
from training.curate.formats.drafts import Draft, Fault
from training.curate.formats.facts import facts, whose
from training.curate.formats.field_names import folded, told
from training.curate.formats.reading import TOO_LONG, Line, SourceFile, shown
from training.curate.formats.speech import labelled, labels_turns, merged
from training.curate.records import Turn

_BORDER = re.compile(r"\s*([-=*_#])\1{2,}\s*\Z")
_HEADER = re.compile(r"\s*(?P<key>[^\W\d_][\w .\-/]{0,40}?)\s{0,9}:\s*(?P<value>.*)\Z")
_MOST_LINES = 5000
_LONGEST_TITLE = 80


def read(file: SourceFile, rule: SourceRule) -> Iterator[Draft | Fault]:
    """See Format. The place is the line where the record begins."""
    piece = _Piece(rule, file.limits.source_characters)
    for line in file.lines():
        if isinstance(line, Fault):
            yield line
            piece.breaks("a line inside the record cannot be read")
            if line.line == 0:
                return
        elif not _BORDER.match(line.text):
            piece.add(line)
        elif piece.ends:
            yield from piece.record()
            piece = _Piece(rule, file.limits.source_characters)
    yield from piece.record()


def _keys(rule: SourceRule) -> list[str]:
    """What the source calls our fields and groups."""
    fields: list[FieldName] = [name for name in FIELDS if name not in ("text", "turns", "speaker")]
    return [*(rule.key(name) for name in fields), *rule.groups.values()]


class _Piece:
    """Lines between borders as they come: the header's known keys, case and spaces aside, and the lines after it.

    Other keys of a transcript's header are left out, each once and before the first empty line: else it is a speaker.
    Whose it is counts down to the first words, also below a line that is no header; what it says of consent, between
    the words of a call as well.
    """

    def __init__(self, rule: SourceRule, most_characters: int) -> None:
        self._rule = rule
        self._known = {folded(key) for key in _keys(rule)}
        self._consent = {folded(rule.key("consent"))}
        self._whose = self._consent | {folded(rule.key("patient")), folded(rule.key("conversation"))}
        self._left = most_characters
        self._lines: list[Line] = []
        self._told: list[tuple[str, str]] = []
        self._body: list[str] = []
        self._others: set[str] = set()
        self._spaced = self._full = self._begun = False
        self._broken = ""

    @property
    def ends(self) -> bool:
        """Whether a border ends the piece: it does not between a header and what follows it."""
        return bool(self._body) or self._full

    def breaks(self, reason: str) -> None:
        """The piece is no record any more, for the first such reason."""
        self._broken = self._broken or reason

    def add(self, line: Line) -> None:
        """Take the next line in; over the limits nothing is held."""
        self._left -= len(line.text)
        if len(self._lines) >= _MOST_LINES or self._left < 0:
            self.breaks(TOO_LONG if self._left < 0 else "too many lines in one record")
            self._full = True
            return
        self._lines.append(line)
        if self._body or not self._of_header(line.text):
            self._body.append(line.text)
            self._look_for_whose(line.text)

    def _of_header(self, text: str) -> bool:
        if not text.strip():
            self._spaced = True
            return True
        match = _HEADER.match(text)
        key = folded(match["key"]) if match else ""
        if match and key in self._known and not self._speaks_already(key, text):
            self._told.append((match["key"], match["value"].strip()))
            return True
        if match is None and self._is_title(text):
            return True
        if not match or self._rule.kind != "transcript" or self._spaced or key in self._others:
            return False
        if labelled(text, self._rule):
            return False
        self._others.add(key)
        return True

    def _speaks_already(self, key: str, text: str) -> bool:
        """Whether a header of ours, told before, is somebody's label now: ``Patient: P7``, then ``Patient: Hello``."""
        labels = self._rule.kind == "transcript" and self._spaced and labelled(text, self._rule) is not None
        return labels and any(folded(name) == key for name, _ in self._told)

    def _is_title(self, text: str) -> bool:
        """Whether the first line of a call is nobody's words; one that stays alone is no record all the same."""
        first = self._rule.kind == "transcript" and len(self._lines) == 1 and len(text) <= _LONGEST_TITLE
        return first and labelled(text, self._rule) is None

    def _look_for_whose(self, text: str) -> None:
        match = _HEADER.match(text)
        calls = self._rule.kind == "transcript"
        if calls and labelled(text, self._rule):
            self._begun = True
        elif match is None:
            # A title is no words of a note.
            self._begun |= not calls and (len(text) > _LONGEST_TITLE or text.rstrip().endswith((".", "?", "!")))
        elif folded(match["key"]) in (self._whose if not self._begun else self._consent if calls else ()):
            self._told.append((match["key"], match["value"].strip()))

    def record(self) -> Iterator[Draft | Fault]:
        """The record, or why it is none; nothing of empty lines alone."""
        first = next((line for line in self._lines if line.text.strip()), None)
        if first is None:
            return
        get = told(self._told, self._rule)
        try:
            if self._broken:
                raise Refused(self._broken)
            turns, names = _turns(self._body, get, self._rule)
            found = facts(get, self._rule, names)
            yield Draft(first.number, turns, found, any(line.repaired for line in self._lines))
        except Refused as refused:
            raw = shown("\n".join(line.text for line in self._lines))
            yield Fault(first.number, refused.reason, refused.detail, raw, whose(get, self._rule))


def _turns(body: list[str], get: dict[str, Any], rule: SourceRule) -> tuple[tuple[Turn, ...], tuple[str, ...]]:
    question, answer = get.get(rule.key("question"), ""), get.get(rule.key("answer"), "")
    if rule.kind == "faq" and question:
        # An answer goes on over the lines below it.
        return merged([("patient", question), ("staff", "\n".join([answer, *body]))]), ()
    if rule.kind == "transcript":
        return labels_turns(body, rule)
    if not body:
        raise Refused("no text")
    if rule.kind == "faq":
        return labels_turns(body, rule)
    return merged([("staff", "\n".join(body))]), ()
