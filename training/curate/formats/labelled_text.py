"""Plain text: a header of ``Key: value`` lines, then speakers' lines; records are set apart by lines of dashes."""

from __future__ import annotations

import re
from collections.abc import Iterator

from training.curate.formats.contract import FIELDS, Draft, FieldName, Refused, SourceRule
from training.curate.formats.facts import facts
from training.curate.formats.reading import Fault, Line, SourceFile, shown
from training.curate.formats.speech import labelled, labels_turns, merged
from training.curate.records import Turn

_BORDER = re.compile(r"\s*([-=*_#])\1{2,}\s*\Z")
_HEADER = re.compile(r"\s*(?P<key>[^\W\d_][\w .\-/]{0,40}?)\s*:\s*(?P<value>.*)\Z")
_MOST_LINES = 5000


def read(file: SourceFile, rule: SourceRule) -> Iterator[Draft | Fault]:
    """See Format. The place is the line where the record begins."""
    lines: list[Line] = []
    broken = ""
    for line in file.lines():
        if isinstance(line, Fault):
            yield line
            broken = broken or "a line inside the record cannot be read"
            if line.line == 0:
                return
        elif _BORDER.match(line.text) and not _only_header(lines, rule):
            yield from _record(lines, rule, broken)
            lines, broken = [], ""
        elif len(lines) >= _MOST_LINES:
            broken = "too many lines in one record"
        elif not _BORDER.match(line.text):
            lines.append(line)
    yield from _record(lines, rule, broken)


def _keys(rule: SourceRule) -> list[str]:
    """What the source calls our fields and groups."""
    fields: list[FieldName] = [name for name in FIELDS if name not in ("text", "turns", "speaker")]
    return [*(rule.key(name) for name in fields), *rule.groups.values()]


def _plain(key: str) -> str:
    return re.sub(r"[\s_.\-]+", " ", key.casefold()).strip()


def _split(lines: list[Line], rule: SourceRule) -> tuple[dict[str, str], list[str]]:
    """The header's known keys, case and spaces aside, and the lines after it.

    Other keys of a transcript's header are left out, each once and before the first empty line: else it is a speaker.
    """
    known = {_plain(key): key for key in _keys(rule)}
    found: dict[str, str] = {}
    others: set[str] = set()
    for index, line in enumerate(lines):
        if not line.text.strip():
            continue
        match = _HEADER.match(line.text)
        key = _plain(match["key"]) if match else ""
        spaced = any(not before.text.strip() for before in lines[:index])
        if match and key in known:
            found.setdefault(known[key], match["value"].strip())
        elif match and rule.kind == "transcript" and not (spaced or key in others or labelled(line.text, rule)):
            others.add(key)
        else:
            return found, [rest.text for rest in lines[index:]]
    return found, []


def _only_header(lines: list[Line], rule: SourceRule) -> bool:
    return not _split(lines, rule)[1]


def _record(lines: list[Line], rule: SourceRule, broken: str) -> Iterator[Draft | Fault]:
    if not any(line.text.strip() for line in lines):
        return
    first = next(line for line in lines if line.text.strip())
    get, body = _split(lines, rule)
    try:
        if broken:
            raise Refused(broken)
        turns, names = _turns(body, get, rule)
        yield Draft(first.number, turns, facts(get, rule, names), any(line.repaired for line in lines))
    except Refused as refused:
        yield Fault(first.number, refused.reason, refused.detail, shown("\n".join(line.text for line in lines)))


def _turns(body: list[str], get: dict[str, str], rule: SourceRule) -> tuple[tuple[Turn, ...], tuple[str, ...]]:
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
