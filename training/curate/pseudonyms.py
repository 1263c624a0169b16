"""The records of one conversation without identifiers: the part of de-identification that runs in many processes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import regex
from pydantic import BaseModel, ConfigDict, Field

from app.encoder.encoder import Encoder
from app.errors import RedactionFailed
from app.redaction.entities import Span
from app.redaction.lexicon import Lexicon
from app.redaction.redactor import Redactor, build_detector
from app.redaction.vault import MemoryVault, lookup_key
from training.curate.fields import TOPIC, PlainFields
from training.curate.keys import keyed_hash, keyed_number
from training.curate.leak_rules import SuspectKind
from training.curate.leaks import StrictLook, excerpt
from training.curate.pieces import told_in_pieces
from training.curate.public import TIMEOUT_S, Public
from training.curate.records import Record, record_line
from training.curate.shifting import Shift, shift_of
from training.curate.stages import ReviewItem, Verdict, review_key

NAME = "deidentify"
TAKEN_OUT = "taken out until it is rejected"
"""The reason of a question whose answer changes nothing for the worse while it is open."""
_BETWEEN = "\n\x01\n"
"""Stands between turns while they are read together; ingest lets no such character in."""
_LOOKS = 3
_SHARES = 10_000
_LEAST_KNOWN = 5
"""Characters of a value that is looked for again wherever it stands."""
_LONGEST_EXAMPLE = 300
_LANGUAGE = regex.compile(r"[a-z]{2,3}(?:-[a-z]{2,8})?")
_DATE = regex.compile(r"<DATE_\d+>")
_TOKEN_OF: dict[str, str] = {
    "number": "ACCOUNT",
    "code": "ACCOUNT",
    "address": "ADDRESS",
    "date": "DATE",
    "name": "PERSON",
}


class Options(BaseModel):
    """``dates``: ``shift`` moves them by whole weeks for each patient, ``token`` takes them out. ``audit_share`` is the
    share of records that the stricter look reads, ``take_out`` what it takes out at once; people are asked about at
    most ``questions`` of these, and about all others. ``allowed`` are names and numbers of the hospital beside those in
    site.yaml and the articles.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    dates: Literal["shift", "token"] = "shift"
    audit_share: float = Field(default=1.0, ge=0, le=1)
    take_out: tuple[SuspectKind, ...] = ("number", "code", "address", "date", "age", "name")
    questions: int = Field(default=200, ge=0)
    allowed: tuple[str, ...] = ()


@dataclass(slots=True)
class Outcome:
    """What became of the records of one conversation."""

    seen: int
    lines: list[str] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    identifiers: Counter[str] = field(default_factory=Counter)
    suspects: Counter[tuple[str, str]] = field(default_factory=Counter)
    items: list[ReviewItem] = field(default_factory=list)
    examples: list[dict[str, str]] = field(default_factory=list)


class Dropped(Exception):
    """A person decided that this record is not to be used."""


class Pseudonyms:
    """De-identifies conversations. Built once in each process; holds nothing between calls."""

    def __init__(
        self,
        *,
        secret: bytes,
        encoder: Path,
        public: Public,
        options: Options,
        decisions: Mapping[str, Verdict],
        forgotten: frozenset[str] = frozenset(),
    ) -> None:
        detector = build_detector(public.details, TIMEOUT_S, Encoder.load(encoder))
        self._redactor = Redactor(detector, "training")
        self._plain = PlainFields(secret, build_detector(public.details, TIMEOUT_S), detector)
        self._look = StrictLook(detector, Lexicon.load(), public)
        self._days = public.days
        self._secret = secret
        self._options = options
        self._decisions = decisions
        self._forgotten = forgotten

    def __call__(self, lines: list[str]) -> Outcome:
        """From the records of one conversation, as lines, to what is written of them."""
        outcome = Outcome(seen=len(lines))
        records = [Record.model_validate_json(line) for line in lines]
        if any(self._hashed("patient", record.patient) in self._forgotten for record in records):
            # What another person says in her conversation is about her too.
            outcome.counts["forgotten"] += len(records)
            return outcome
        vault = self._vault(records)
        if len(records) > 1:
            # What a later record makes known is then found in an earlier one.
            for record in records:
                with suppress(RedactionFailed):
                    self._redacted([turn.text for turn in record.turns], vault, set(), Outcome(seen=0))
        for record in records:
            if made := self._attempt(record, vault, outcome):
                outcome.lines.append(record_line(made))
        return outcome

    def _vault(self, records: Sequence[Record]) -> MemoryVault:
        """A vault that knows what the sources tell beside the text."""
        vault = MemoryVault()
        for record in records:
            for name in record.names:
                if sum(map(str.isalpha, name)) > 1:
                    vault.token("PERSON", name)
            for value in (record.patient, record.conversation):
                if value and len(value) >= _LEAST_KNOWN and any(map(str.isdigit, value)):
                    vault.token("MRN", value)
        return vault

    def _attempt(self, record: Record, vault: MemoryVault, outcome: Outcome) -> Record | None:
        """The record, or None with the reason counted; a text that cannot be read to the end goes nowhere."""
        try:
            return self._record(record, vault, outcome)
        except RedactionFailed:
            outcome.counts["redaction_failed"] += 1
        except Dropped:
            outcome.counts["dropped_by_decision"] += 1
        return None

    def _record(self, record: Record, vault: MemoryVault, outcome: Outcome) -> Record:
        # 1. pseudonyms for identifiers
        put: set[str] = set()
        texts = self._redacted([turn.text for turn in record.turns], vault, put, outcome)
        # 2. dates moved, public ones as they were
        person = record.patient or record.conversation
        shift = shift_of(self._secret, person, record.date) if person and self._options.dates == "shift" else None
        public = self._public_days(record, texts, vault)
        texts = [
            _dated(text, vault, shift, put, public if turn.speaker == "staff" else frozenset())
            for text, turn in zip(texts, record.turns, strict=True)
        ]
        # 3. the stricter look
        key = keyed_hash(self._secret, "record", record.id)
        if keyed_number(self._secret, "audit", key, _SHARES) < self._options.audit_share * _SHARES:
            texts = self._looked_at(key, texts, vault, put, outcome)
        # 4. numbers told over several turns, of which none is suspect alone
        texts = self._without_pieces(key, record, texts, vault, put, outcome)
        # 5. the fields beside the text
        made = record.with_turns(texts).model_copy(update=self._facts(record, key, shift, outcome))
        outcome.counts["messages"] += len(texts)
        outcome.counts["messages_changed"] += sum(a != turn.text for a, turn in zip(texts, record.turns, strict=True))
        self._show(key, texts, outcome)
        return made

    def _redacted(self, texts: list[str], vault: MemoryVault, put: set[str], outcome: Outcome) -> list[str]:
        """All turns with pseudonyms. They are read together, so that what one tells is known in the others.

        ``put`` gets what is written in place of identifiers and is no token.
        """
        whole = _BETWEEN.join(text.replace("\x01", "") for text in texts)
        redacted = self._redactor.redact(whole, vault)
        outcome.identifiers.update(entity.type for entity in redacted.entities)
        put.update(entity.replacement for entity in redacted.entities if entity.type == "ZIP")
        values = {value: token for token, value in vault.tokens().items() if _is_exact(token, value)}
        found = _without(redacted.text, values, outcome).split(_BETWEEN)
        if len(found) != len(texts):
            # An identifier was seen across the border of two turns.
            found = [_without(self._redactor.redact(text, vault).text, values, outcome) for text in texts]
        return found

    def _looked_at(
        self, key: str, texts: list[str], vault: MemoryVault, put: Collection[str], outcome: Outcome
    ) -> list[str]:
        """Texts after the stricter look. Raises Dropped."""
        whole = _BETWEEN.join(texts)
        touched: set[int] = set()
        # What was taken out is a cue for its neighbours ("Ruiz, <PERSON_1>").
        for look in range(_LOOKS):
            gone: list[Span] = []
            suspects = self._look.suspects(whole, put, again=look > 0)
            found = [span for span in suspects if "\x01" not in whole[span.start : span.end]]
            for span in found:
                touched.add(whole.count("\x01", 0, span.start))
                if self._is_out(key, whole, span, found, outcome):
                    gone.append(span)
            for span in reversed(gone):
                value = whole[span.start : span.end]
                token = "90+" if span.type == "age" else vault.token(_TOKEN_OF[span.type], value)
                whole = f"{whole[: span.start]}{token}{whole[span.end :]}"
            if not gone:
                break
        outcome.counts["audited_messages"] += len(texts)
        outcome.counts["messages_with_suspects"] += len(touched)
        return whole.split(_BETWEEN)

    def _without_pieces(
        self,
        key: str,
        record: Record,
        texts: Sequence[str],
        vault: MemoryVault,
        put: Collection[str],
        outcome: Outcome,
    ) -> list[str]:
        """Texts without numbers that are told in pieces. Raises Dropped."""
        found = told_in_pieces([(turn.speaker, text) for turn, text in zip(record.turns, texts, strict=True)])
        plain = []
        for text, ranges in zip(texts, found, strict=True):
            spans = [Span("number", start, end, 1.0) for start, end in ranges if text[start:end] not in put]
            gone = [span for span in spans if self._is_out(key, text, span, spans, outcome)]
            for span in reversed(gone):
                token = vault.token(_TOKEN_OF[span.type], text[span.start : span.end])
                text = f"{text[: span.start]}{token}{text[span.end :]}"
            plain.append(text)
        return plain

    def _is_out(self, key: str, text: str, span: Span, found: Sequence[Span], outcome: Outcome) -> bool:
        """Whether a suspect is taken out: as people decided, else as the options say, and people are asked."""
        known = keyed_hash(self._secret, "suspect", lookup_key(text[span.start : span.end]))
        question = review_key(NAME, span.type, known)
        if decided := self._decisions.get(question):
            if decided == "drop":
                raise Dropped
            outcome.suspects[(span.type, decided)] += 1
            return decided == "accept"
        out = span.type in self._options.take_out
        outcome.suspects[(span.type, "taken_out" if out else "asked")] += 1
        outcome.items.append(
            ReviewItem(
                key=question,
                stage=NAME,
                kind=span.type,
                record=key,
                excerpt=excerpt(text, span, found).replace("\x01", "|"),
                proposal="90+" if span.type == "age" else f"<{_TOKEN_OF[span.type]}>",
                reason=TAKEN_OUT if out else "may be an identifier",
            )
        )
        return out

    def _public_days(self, record: Record, texts: Sequence[str], vault: MemoryVault) -> frozenset[str]:
        """Tokens of days that the hospital's articles name too ("from December 1"), unless the patient said them."""
        if record.kind == "note":
            return frozenset()
        asked = [text for text, turn in zip(texts, record.turns, strict=True) if turn.speaker == "patient"]
        said = set(_DATE.findall("\n".join(asked))) if record.kind == "transcript" else set()
        return frozenset(
            token
            for token, value in vault.tokens().items()
            if token.startswith("<DATE_") and token not in said and lookup_key(value) in self._days
        )

    def _facts(self, record: Record, key: str, shift: Shift | None, outcome: Outcome) -> dict[str, Any]:
        """The fields beside the text without identifiers. Without a shift only the year of a person's date is told."""
        groups = {
            name: self._plain.field(f"{name}: {value}")
            if self._plain.field(f"column: {name.replace('_', ' ')}")
            else ""
            for name, value in record.groups.items()
        }
        topic = self._plain.field(f"{TOPIC}: {record.topic}") if record.topic else ""
        licence = self._plain.field(f"terms: {record.licence}") if record.licence else ""
        cleared = [*(not value for value in groups.values()), topic != record.topic, licence != record.licence]
        outcome.counts["fields_cleared"] += sum(cleared)
        nobodys = record.kind == "faq" and not (record.patient or record.conversation)
        return {
            "id": key,
            "source": self._plain.file(record.source),
            "patient": self._hashed("patient", record.patient),
            "conversation": self._hashed("conversation", record.conversation),
            "topic": topic,
            "licence": licence,
            "language": record.language if _LANGUAGE.fullmatch(record.language) else "",
            "date": shift.iso(record.date) if shift else record.date if nobodys else record.date[:4],
            "groups": {name: value for name, value in groups.items() if value},
            "names": (),
        }

    def _hashed(self, purpose: str, value: str | None) -> str | None:
        return keyed_hash(self._secret, purpose, value) if value else None

    def _show(self, key: str, texts: list[str], outcome: Outcome) -> None:
        """An example now and then; which ones depends on the records alone. None from a text that people are asked
        about.
        """
        if any(item.record == key and item.kind not in self._options.take_out for item in outcome.items):
            return
        shown = next((text for text in texts if text.count("<") > 1 and len(text) < _LONGEST_EXAMPLE), None)
        if shown:
            order = keyed_number(self._secret, "example", key, 1 << 30)
            outcome.examples.append({"order": f"{order:010}", "kind": "redacted", "record": key, "after": shown})


def _is_exact(token: str, value: str) -> bool:
    """Whether a value is so much of its own that it can be taken out wherever it stands."""
    return _kind(token) not in ("PERSON", "AGE", "CITY", "ORGANIZATION", "DATE") and len(value) >= _LEAST_KNOWN


def _kind(token: str) -> str:
    return token.strip("<>").rpartition("_")[0]


def _without(text: str, values: Mapping[str, str], outcome: Outcome) -> str:
    for value, token in sorted(values.items(), key=lambda item: (-len(item[0]), item[1])):
        if value in text:
            text, count = regex.subn(rf"(?<![\w<]){regex.escape(value)}(?![\w>])", token, text)
            outcome.identifiers[_kind(token)] += count
    return text


def _dated(text: str, vault: MemoryVault, shift: Shift | None, put: set[str], public: Collection[str]) -> str:
    """The text with tokens of dates replaced by public dates as they were, others moved where their form is known.

    ``put`` gets the dates that now stand in it.
    """
    if "<DATE_" not in text:
        return text

    def date(match: regex.Match[str]) -> str:
        value = vault.value(match.group()) or ""
        there = value if match.group() in public else shift.text(value) if shift else None
        put.update({there} if there else ())
        return there or match.group()

    return _DATE.sub(date, text)
