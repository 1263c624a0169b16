"""What is doubtful about one record, and the record as people decided."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import takewhile
from pathlib import Path
from typing import Literal

from app.contracts.site import Site
from training.curate.contradictions import Contradictions
from training.curate.disagreements import Said
from training.curate.druglist import drug_names
from training.curate.exchanges import exchanges
from training.curate.facts import Facts, Fault
from training.curate.language import detect_turns
from training.curate.meaning import Meanings, Vectors
from training.curate.records import Record
from training.curate.stages import ReviewItem, Verdict, review_key
from training.curate.tone import off_topic, rude
from training.curate.truth import Truth, entities, stems
from training.sentences import split_sentences

STAGE = "check"
DoubtKind = Literal["wrong_phone", "wrong_hours", "wrong_number", "wrong_dose", "contradiction", "tone", "off_topic"]
_REMOVED = re.compile(r"<PHONE(?:_\d+)?>")
_ASKED = re.compile(r"\?|^(?:\W*(?:and|okay|so|all right|great|perfect)\b)*\W*(?:is|was) <PHONE", re.IGNORECASE)
"""The staff asks whether a phone is the patient's."""
_BULLET = re.compile(r"^- ")
_EXCERPT, _ASKED_LENGTH = 300, 200
_FEW = 3
"""A sentence of so few words of its own does not tell what it speaks of."""


@dataclass(frozen=True, slots=True)
class Doubt:
    """A question about the staff's ``turn`` (from 0; -1: the whole record). ``sentence`` stands in it; ``right``, if
    not empty, is how it should read, ``proposal`` says so shortly. ``against`` is what it goes against.
    """

    kind: DoubtKind
    turn: int
    sentence: str
    proposal: str
    reason: str
    right: str = ""
    against: str = ""

    @property
    def key(self) -> str:
        """The review key: over what is asked, so that one answer settles the same sentence everywhere."""
        return review_key(STAGE, self.kind, self.sentence, self.right, self.against)

    def item(self, record: Record) -> ReviewItem:
        """The question to a person."""
        return ReviewItem(
            key=self.key, stage=STAGE, kind=self.kind, record=record.id, excerpt=self.sentence[:_EXCERPT],
            proposal=self.proposal, reason=self.reason,
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Seen:
    """A record with its language set, what is doubtful in it, and its answers for comparison with others'."""

    record: Record
    doubts: tuple[Doubt, ...]
    said: tuple[tuple[int, str, str, bool, bool], ...]


class Inspector:
    """Looks at one record at a time. Build it once in each process."""

    def __init__(self, site: Site, articles: Path, encoder: Path, vectors: Vectors) -> None:
        """``encoder`` is the folder of the encoder's files; ``vectors`` those of :func:`meaning.vectors_of`."""
        self._truth, self._asked = Truth.load(site, articles), Truth.asked(articles)
        self._phones, self._hospital = entities(site), site.short_name
        self._names = drug_names().union(self._phones)
        self._meanings = meanings = Meanings(self._truth, vectors, encoder)
        self._facts = Facts(self._truth, self._phones, meanings)
        self._contradictions = Contradictions(self._truth, meanings)

    def inspect(self, record: Record) -> Seen:
        """What is doubtful in a record, taken by itself."""
        record = record.model_copy(update={"language": detect_turns(turn.text for turn in record.turns)})
        doubts = [doubt for doubt in self._doubts(record) if record.language != "es" or doubt.kind == "tone"]
        if not doubts and self._is_off_topic(record):
            doubt = Doubt("off_topic", -1, record.text, "leave this call out", "seems no matter of the hospital")
            return Seen(record, (doubt,), ())
        said: tuple[tuple[int, str, str, bool, bool], ...] = ()
        if record.kind != "note" and record.language != "es":
            wrong = {doubt.turn for doubt in doubts}
            said = tuple(
                (
                    one.turn,
                    one.question,
                    one.said,
                    self._contradictions.answered(one.said, one.question),
                    one.turn in wrong,
                )
                for one in exchanges(record)
                if one.question and not one.declined
            )
        return Seen(record, tuple(dict.fromkeys(doubts)), said)

    def _is_off_topic(self, record: Record) -> bool:
        return off_topic(record, self._truth, self._asked, self._names, self._hospital, self._meanings)

    def _doubts(self, record: Record) -> Iterator[Doubt]:
        note = record.kind == "note"
        patient = " ".join(turn.text for turn in record.turns if turn.speaker == "patient")
        given = frozenset(_REMOVED.findall(patient))
        around = "" if note else record.text
        question = ""
        removed: dict[str, Doubt] = {}
        for place, turn in enumerate(record.turns):
            if turn.speaker == "patient":
                question = turn.text
                continue
            for sentence in sentences(turn.text):
                if rude(sentence):
                    yield Doubt("tone", place, sentence, "leave this answer out", "rude or dismissive")
                faults = self._facts.check(sentence, question, around, given=given)
                for fault in faults:
                    doubt = _wrong(fault, place)
                    if fault.figure.removed:
                        removed.setdefault(fault.figure.text, doubt)
                    yield doubt
                if question and not faults and not note and (found := self._contradictions.check(sentence, question)):
                    yield Doubt(
                        "contradiction", place, sentence, "leave this answer out",
                        f"{found.source} says: {found.other}{_asked(question)}", against=found.other,
                    )  # fmt: skip
        yield from _said_again(record, removed)
        if not note:
            yield from self._nameless(record, given | removed.keys())

    def _nameless(self, record: Record, told: frozenset[str]) -> Iterator[Doubt]:
        """A phone that is not the hospital's in a sentence that does not tell whose it should be ("<PHONE_1>, that's
        the direct line"): of the department that was named last.
        """
        named = ""
        for place, turn in enumerate(record.turns):
            text = turn.text.lower()
            here = max(((text.rfind(name), name) for name in self._phones if name in text), default=(0, ""))[1]
            named = here or named
            if turn.speaker != "staff" or not named:
                continue
            for sentence in sentences(turn.text):
                for token in dict.fromkeys(_REMOVED.findall(sentence)):
                    if token not in told and not _ASKED.search(sentence) and len(stems(sentence)) <= _FEW:
                        right = self._phones[named]
                        yield Doubt(
                            "wrong_phone", place, sentence, f"{token} -> {right}", f"site.yaml says: {named}: {right}",
                            sentence.replace(token, right), f"{named}: {right}",
                        )  # fmt: skip


def sentences(text: str) -> Iterator[str]:
    """The sentences of a turn, line by line, as they stand in it."""
    for line in text.split("\n"):
        yield from split_sentences(_BULLET.sub("", line.strip()))


def opposite(one: Said, other: Said, reason: str) -> list[tuple[int, Doubt]]:
    """The doubts, with the number of their record, that two contradicting answers raise: about the one that the truth
    does not say, or about both. None where one of them goes against the truth already: that is asked about.
    """
    if one.doubted != other.doubted:
        return []
    if one.supported != other.supported:
        pairs = [(other, one) if one.supported else (one, other)]
    else:
        pairs = [(one, other), (other, one)]
    return [
        (
            wrong.record,
            Doubt(
                "contradiction", wrong.turn, wrong.answer, "leave this answer out",
                f"another answer to this question ({reason}): {right.answer[:_EXCERPT]}{_asked(wrong.question)}",
                against=right.answer,
            ),
        )
        for wrong, right in pairs
    ]  # fmt: skip


@dataclass(slots=True)
class Decided:
    """A record after decisions; None if it is left out. ``counts``: what was done; ``open``: what is asked."""

    record: Record | None
    counts: Counter[str] = field(default_factory=Counter)
    open: list[Doubt] = field(default_factory=list)


def decide(record: Record, doubts: Sequence[Doubt], decisions: Mapping[str, Verdict]) -> Decided:
    """Apply decisions. An answer that is doubted is left out until somebody decides: the staff's turn, and the
    patient's turns right before it. A note, or a call with no answer left, is left out as a whole.
    """
    done = Decided(record)
    out: set[int] = set()
    mends: defaultdict[int, defaultdict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    dropped = False
    for doubt in doubts:
        verdict = decisions.get(doubt.key)
        if verdict is None:
            done.open.append(doubt)
            out.add(doubt.turn)
        elif verdict == "drop":
            dropped = True
        elif verdict == "accept" and doubt.right:
            mends[doubt.turn][doubt.sentence].append(doubt.right)
            done.counts["corrected"] += 1
        elif verdict == "accept":
            out.add(doubt.turn)
            done.counts["left_out_by_decision"] += 1
        else:
            done.counts["kept_by_decision"] += 1
    if dropped:
        done.record = None
        done.counts["records_dropped_by_decision"] += 1
        return done
    if mends:
        record = record.with_turns(_mended(turn.text, mends.get(i, {})) for i, turn in enumerate(record.turns))
    done.record = _without(record, out)
    held = bool(done.open)
    if done.record is None:
        done.counts["records_held" if held else "records_left_out_by_decision"] += 1
    elif out:
        done.counts["answers_held"] += len({doubt.turn for doubt in done.open})
    return done


def _mended(text: str, mends: Mapping[str, Sequence[str]]) -> str:
    """The turn with its sentences as they should read; of two mends of the same words in one, the first is made."""
    for sentence, rights in mends.items():
        made, end = sentence, len(sentence)
        for start, stop, put in sorted({_edit(sentence, right): None for right in rights}, key=lambda edit: -edit[0]):
            if stop <= end:
                made, end = f"{made[:start]}{put}{made[stop:]}", start
        text = text.replace(sentence, made)
    return text


def _edit(sentence: str, right: str) -> tuple[int, int, str]:
    """Where a sentence differs from how it should read, and what should stand there."""
    start = _alike(sentence, right)
    end = _alike(sentence[start:][::-1], right[start:][::-1])
    return start, len(sentence) - end, right[start : len(right) - end]


def _alike(one: str, other: str) -> int:
    """How many characters two texts begin with alike."""
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(one, other, strict=False)))


def _without(record: Record, out: set[int]) -> Record | None:
    """The record without some of the staff's turns and the questions before them."""
    if not out:
        return record
    if -1 in out:
        return None
    gone = set(out)
    for place in out:
        before = place - 1
        while before >= 0 and record.turns[before].speaker == "patient":
            gone.add(before)
            before -= 1
    turns = tuple(turn for place, turn in enumerate(record.turns) if place not in gone)
    asked = record.kind == "note" or any(turn.speaker == "patient" for turn in turns)
    if not asked or not any(turn.speaker == "staff" for turn in turns):
        return None
    return record.model_copy(update={"turns": turns})


def _asked(question: str) -> str:
    """The end of the question, for who has to judge an answer."""
    text = " ".join(question.split())
    return f"; asked was: {'… ' if len(text) > _ASKED_LENGTH else ''}{text[-_ASKED_LENGTH:]}" if text else ""


def _wrong(fault: Fault, place: int) -> Doubt:
    return Doubt(
        fault.kind, place, fault.sentence, f"{fault.figure.text} -> {fault.right}",
        f"{fault.statement.source} says: {fault.statement.text}", fault.corrected, fault.statement.text,
    )  # fmt: skip


def _said_again(record: Record, removed: Mapping[str, Doubt]) -> Iterator[Doubt]:
    """A wrong phone that the staff says again, in a sentence that does not tell whose it is ("Sure, it's ...")."""
    for place, turn in enumerate(record.turns):
        if turn.speaker != "staff":
            continue
        for sentence in sentences(turn.text):
            for token, doubt in removed.items():
                if token in sentence and sentence != doubt.sentence:
                    right = doubt.proposal.partition(" -> ")[2]
                    yield Doubt(
                        "wrong_phone", place, sentence, doubt.proposal, doubt.reason,
                        sentence.replace(token, right), doubt.against,
                    )  # fmt: skip
