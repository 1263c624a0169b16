"""Stage *correct*: misspelled drug names.

A word is corrected only where one drug alone can be meant (:mod:`training.curate.spelling`); a valid name is never
touched, and neither is a word of everyday or medical language. What may be a drug but cannot be told is left as it is
and asked about; accepted answers are applied in the next run. A person who finds a correction wrong rejects its key.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field
from rapidfuzz.distance import DamerauLevenshtein

from app.contracts.site import Site
from training.curate.cues import cue, speaks_of_drugs
from training.curate.druglist import DrugList, folded
from training.curate.language import detect
from training.curate.records import Record, read_records, record_line
from training.curate.spelling import Candidate, DrugSpeller, Judgement
from training.curate.stages import CORRECTIONS, RECORDS, REVIEW, Context, ReviewItem, StageReport, Verdict, review_key
from training.curate.streams import mapped
from training.finetune.dialogues import read_sections
from training.sentences import split_sentences

_WORD = re.compile(r"(?<![\w@])[^\W\d_](?:[^\W\d_]|\d(?=[^\W\d_]))+(?![\w@])")
_SKIPPED = re.compile(r"<[A-Z_]+(?:_\d+)?>|(?<!\S)\S*(?:@|://|www\.)\S*|(?<![\w-])[\w-]++(?:\.[\w-]++)+")
"""Pseudonyms, addresses and names of files; each is looked for only where it can begin."""
_LAST_WORD = re.compile(r"([^\W\d_]+)\s+$")
_NEXT_WORD = re.compile(r"\s+([^\W\d_]+)")
FIXED, ACCEPTED = "drug_fixed", "drug_accepted"
"""Kinds of corrections: by the rule, which a person may reject, and by a person."""
_PROPOSALS = 3
_EXCERPT = 240
_MOST_ROWS = 1000


class Options(BaseModel):
    """``names``: a file of further drug names, a generic and its brands a line (``generic = brand, brand``), such as
    the hospital's formulary. ``words``: a file of words that are right as they stand. ``examples``: changed sentences
    that the report shows.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    names: Path | None = None
    words: Path | None = None
    examples: int = Field(default=25, ge=0, le=200)


@dataclass(frozen=True, slots=True)
class Change:
    """``wrong`` became ``right`` (both as they stand in the text), ``decided`` by a person or by the rule. ``key`` is
    the one by which a person accepted it, or may reject it.
    """

    wrong: str
    right: str
    before: str
    after: str
    decided: bool
    key: str


@dataclass(frozen=True, slots=True)
class Decided:
    """What becomes of a word: the drug's ``name`` to put in (None: it stays), whether a person said so and by which
    ``key``; what is to be asked; whether the record is to be left out.
    """

    name: str | None = None
    by_person: bool = False
    key: str = ""
    asks: tuple[ReviewItem, ...] = ()
    drop: bool = False


@dataclass(slots=True)
class Corrected:
    """A record after correction; None if a person decided to leave it out."""

    record: Record | None
    changes: list[Change] = field(default_factory=list)
    items: list[ReviewItem] = field(default_factory=list)
    asked: Counter[str] = field(default_factory=Counter)


class Correct:
    """The stage. Each distinct question is asked once, however many records raise it."""

    name = "correct"

    def run(self, source: Path, out: Path, context: Context) -> StageReport:
        """See :class:`training.curate.stages.Stage`."""
        options: Options = context.options or Options()
        prepare = partial(corrector, options, context.site, context.articles, dict(context.decisions))
        report = StageReport(stage=self.name, records_in=0, records_out=0)
        counts: Counter[str] = Counter()
        made: Counter[tuple[str, str, str, str]] = Counter()
        seen: set[str] = set()
        with (
            (out / RECORDS).open("w", encoding="utf-8") as records,
            (out / REVIEW).open("w", encoding="utf-8") as queue,
        ):
            for done in mapped(read_records(source / RECORDS), prepare, context.workers):
                report.records_in += 1
                context.progress(report.records_in, None)
                if done.record is None:
                    counts["dropped_by_decision"] += 1
                    continue
                report.records_out += 1
                records.write(record_line(done.record))
                counts["records_changed"] += bool(done.changes)
                for change in done.changes:
                    kind = ACCEPTED if change.decided else FIXED
                    made[folded(change.wrong), folded(change.right), change.key, kind] += 1
                    counts["changed_by_decision" if change.decided else "changed_by_rule"] += 1
                    _show(report, change, options.examples)
                counts.update(done.asked)
                for item in done.items:
                    if item.key not in seen:
                        seen.add(item.key)
                        queue.write(item.model_dump_json() + "\n")
        if not seen:
            (out / REVIEW).unlink()
        counts["questions"] = len(seen)
        report.counts = dict(sorted(counts.items()))
        report.tables[CORRECTIONS] = [
            {"wrong": wrong, "right": right, "count": count, "kind": kind, "key": key}
            for (wrong, right, key, kind), count in sorted(made.items(), key=lambda item: (-item[1], item[0]))[
                :_MOST_ROWS
            ]
        ]
        return report


def corrector(
    options: Options, site: Site, articles: Path, decisions: Mapping[str, Verdict]
) -> Callable[[Record], Corrected]:
    """The function that corrects one record. The words of the approved articles and of the site's names are right."""
    texts = [sentence for section in read_sections(articles) for sentence in section.sentences]
    texts += [site.name, site.portal_name, *(department.name for department in site.departments)]
    speller = DrugSpeller(DrugList.load(names=options.names, words=options.words, also=texts))
    return partial(correct, Decider(speller, decisions))


def correct(decider: Decider, record: Record) -> Corrected:
    """Correct one record's turns, and collect what has to be asked."""
    done = Corrected(record)
    spoken_of = any(speaks_of_drugs(turn.text) for turn in record.turns)
    texts = [_turn(decider, record.id, turn.text, spoken_of, done) for turn in record.turns]
    if done.record is not None:
        done.record = record.with_turns(texts) if done.changes else record
    return done


class Decider:
    """Joins the speller's judgement with what people decided."""

    def __init__(self, speller: DrugSpeller, decisions: Mapping[str, Verdict]) -> None:
        self._speller, self._decisions = speller, decisions

    def decide(self, word: str, judgement: Judgement, sentence: str, record: str) -> Decided:
        """What becomes of a word that may be a drug's name with a slip."""
        lower = folded(word)
        if judgement.verdict == "fix":
            name = judgement.candidates[0].name
            key = review_key(Correct.name, FIXED, lower, name)
            return Decided() if self._decisions.get(key) == "reject" else Decided(name, key=key)
        accepted, open_items = [], []
        for candidate in judgement.candidates[:_PROPOSALS]:
            item = self._item(word, candidate, judgement, sentence, record)
            verdict = self._decisions.get(item.key)
            if verdict == "drop":
                return Decided(by_person=True, drop=True)
            if verdict == "accept":
                accepted.append((candidate.name, item))
            elif verdict is None:
                open_items.append(item)
        if len(accepted) == 1:
            name, item = accepted[0]
            return Decided(name, by_person=True, key=item.key)
        # Two names accepted for one word contradict each other: both are asked again.
        return Decided(asks=(*(item for _, item in accepted), *open_items))

    def knows(self, word: str) -> bool:
        """Whether a word is right whatever stands around it."""
        return self._speller.knows(word)

    def cut_off(self, word: str) -> bool:
        """Whether a word, the last of its text, may be a cut-off one."""
        return self._speller.cut_off(word)

    def judge(self, text: str, start: int, end: int, *, spoken_of: bool, spanish: bool) -> Judgement:
        """The speller's judgement of a word in its place."""
        around = (_LAST_WORD.search(text, 0, start), _NEXT_WORD.match(text, end))
        in_phrase = self._speller.in_phrase(text[start:end], *(match[1] if match else "" for match in around))
        if in_phrase:
            return Judgement("fix", (Candidate(in_phrase, 1),))
        found = cue(text, start, end, spoken_of=spoken_of, drug=self._speller.is_drug)
        return self._speller.judge(text[start:end], found, spanish=spanish)

    def written(self, word: str, name: str) -> str:
        """A name in the case of the word that it replaces."""
        name = self._speller.written(name)
        letters = [character for character in word if character.isalpha()]
        if len(letters) > 1 and all(character.isupper() for character in letters):
            return name.upper()
        return name[:1].upper() + name[1:] if word[:1].isupper() else name

    def _item(self, word: str, candidate: Candidate, judgement: Judgement, sentence: str, record: str) -> ReviewItem:
        kind = f"drug_{judgement.verdict}"
        lower, name = folded(word), self._speller.written(candidate.name)
        # Which of several drugs is meant hangs on the sentence; whether a word is a drug at all does not.
        where = [sentence] if judgement.verdict == "ambiguous" else []
        near = ", ".join(self._speller.written(c.name) for c in judgement.candidates[:_PROPOSALS])
        reason = (
            f"several drugs are spelled like this: {near}; accept the one that is meant"
            if judgement.verdict == "ambiguous"
            else "perhaps this drug, perhaps another word"
        )
        return ReviewItem(
            key=review_key(Correct.name, kind, lower, candidate.name, *where), stage=Correct.name, kind=kind,
            record=record, excerpt=sentence[:_EXCERPT], proposal=f"{word} -> {self.written(word, name)}", reason=reason,
        )  # fmt: skip


def _turn(decider: Decider, record: str, text: str, spoken_of: bool, done: Corrected) -> str:
    skipped = [match.span() for match in _SKIPPED.finditer(text)]
    turn_language = detect(text)
    pieces, end = [], 0
    for start, stop in _words(text):
        if any(start < b and a < stop for a, b in skipped):
            continue
        word = text[start:stop]
        if decider.knows(word) or (stop == len(text) and decider.cut_off(word)):
            continue
        sentence = _sentence(text, start, stop)
        spanish = (detect(sentence) or turn_language) == "es"
        judgement = decider.judge(text, start, stop, spoken_of=spoken_of, spanish=spanish)
        if judgement.verdict == "none":
            continue
        decided = decider.decide(word, judgement, sentence, record)
        if decided.drop:
            done.record = None
        done.items += decided.asks
        if decided.asks:
            done.asked[f"left_{judgement.verdict}"] += 1
        if decided.name is None:
            continue
        right = decider.written(word, decided.name) + _plural(word, decided.name)
        pieces += [text[end:start], right]
        end = stop
        after = sentence.replace(word, right)
        done.changes.append(Change(word, right, sentence, after, decided.by_person, decided.key))
    return "".join(pieces) + text[end:] if pieces else text


def _words(text: str) -> Iterator[tuple[int, int]]:
    for match in _WORD.finditer(text):
        yield match.span()


def _plural(word: str, name: str) -> str:
    """The s of a plural ("Tylanols"): it is no slip where the word without it is nearer to the name."""
    lower, plain = folded(word), folded(name)
    if not lower.endswith("s") or plain.endswith(("s", "x", "z")):
        return ""
    nearer = DamerauLevenshtein.distance(lower[:-1], plain) < DamerauLevenshtein.distance(lower, plain)
    return word[-1] if nearer else ""


def _sentence(text: str, start: int, stop: int) -> str:
    """The sentence around a word."""
    word, at = text[start:stop], 0
    for sentence in split_sentences(text):
        found = text.find(sentence, at)
        if found < 0:
            continue
        at = found + len(sentence)
        if found <= start and stop <= at and word in sentence:
            return sentence
    return text[max(0, start - _EXCERPT // 2) : stop + _EXCERPT // 2].strip()


def _show(report: StageReport, change: Change, most: int) -> None:
    if len(report.examples) < most and all(folded(change.wrong) != shown["key"] for shown in report.examples):
        report.examples.append(
            {"key": folded(change.wrong), "before": change.before[:_EXCERPT], "after": change.after[:_EXCERPT]}
        )
