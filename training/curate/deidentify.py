"""Take identifiers out of records: pseudonyms in the text, keyed hashes for people, moved dates.

Text goes through :mod:`app.redaction` under its training policy with one vault for each conversation (a record without
one is alone), so that a person has one pseudonym in it. Then a stricter look (:mod:`training.curate.leaks`) counts
suspects, takes them out and asks people about them.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path

from training.curate.pseudonyms import NAME, TAKEN_OUT, Outcome, Pseudonyms
from training.curate.pseudonyms import Options as Options
from training.curate.public import Public
from training.curate.stages import RECORDS, REVIEW, Context, ReviewItem, StageReport
from training.curate.streams import mapped

MOST_EXAMPLES = 12
_COUNTED = (
    "forgotten",
    "redaction_failed",
    "dropped_by_decision",
    "messages",
    "messages_changed",
    "audited_messages",
    "messages_with_suspects",
    "fields_cleared",
)


class Deidentify:
    """The second stage. Records of one conversation come out next to each other, at the place of the first."""

    name = NAME

    def run(self, source: Path, out: Path, context: Context) -> StageReport:
        """See Stage."""
        options: Options = context.options
        public = Public.read(context.site, context.articles, options.allowed)
        prepare = partial(
            Pseudonyms,
            secret=context.secret,
            encoder=context.encoder,
            public=public,
            options=options,
            decisions=dict(context.decisions),
            forgotten=context.forgotten,
        )
        path = source / RECORDS
        total, partners = _partners(path)
        tally = _Tally(options.questions)
        done = 0
        with (out / RECORDS).open("w", encoding="utf-8") as records:
            for outcome in mapped(_conversations(path, partners), prepare, context.workers):
                records.writelines(outcome.lines)
                tally.add(outcome)
                done += outcome.seen
                context.progress(done, total)
        write_questions(tally.questions, out)
        return tally.report(total)


class Questions:
    """Each question once, with the smallest record in which it came up. Of those about what is taken out anyway only
    the ``most`` with the smallest keys are kept: which ones does not hang on the order, and memory stays flat.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._open: dict[str, ReviewItem] = {}
        self._out: dict[str, ReviewItem] = {}

    def add(self, item: ReviewItem) -> None:
        """Take in a question."""
        kept = self._out if item.reason == TAKEN_OUT else self._open
        known = kept.get(item.key)
        if known is None or (item.record, item.excerpt) < (known.record, known.excerpt):
            kept[item.key] = item
        if len(self._out) > 2 * self._most + 100:
            self._out = dict(sorted(self._out.items())[: self._most])

    def __iter__(self) -> Iterator[ReviewItem]:
        """All that are asked, by key."""
        asked = self._open | dict(sorted(self._out.items())[: self._most])
        return iter([asked[key] for key in sorted(asked)])


def write_questions(questions: Questions, out: Path) -> None:
    """Write the review queue, if there is one."""
    if text := "".join(item.model_dump_json() + "\n" for item in questions):
        (out / REVIEW).write_text(text, encoding="utf-8")


def _partners(path: Path) -> tuple[int, dict[str, list[int]]]:
    """How many records there are, and the offsets of those whose conversation has several."""
    first: dict[str, int] = {}
    several: dict[str, list[int]] = {}
    total = offset = 0
    with path.open("rb") as lines:
        for line in lines:
            total += 1
            conversation = json.loads(line)["conversation"]
            if conversation in several:
                several[conversation].append(offset)
            elif conversation in first:
                several[conversation] = [first.pop(conversation), offset]
            elif conversation:
                first[conversation] = offset
            offset += len(line)
    return total, several


def _conversations(path: Path, partners: Mapping[str, Sequence[int]]) -> Iterator[list[str]]:
    """Lines of records that share a conversation, at the place of the first."""
    later = {offset for offsets in partners.values() for offset in offsets[1:]}
    offset = 0
    with path.open("rb") as lines, path.open("rb") as again:
        for line in lines:
            here, offset = offset, offset + len(line)
            if here in later:
                continue
            group = [line.decode()]
            for other in partners.get(json.loads(line)["conversation"] or "", [])[1:]:
                again.seek(other)
                group.append(again.readline().decode())
            yield group


class _Tally:
    """Sums over conversations that do not depend on their order, so that the reports of shards add up."""

    def __init__(self, most: int) -> None:
        self._written = 0
        self._counts: Counter[str] = Counter()
        self._identifiers: Counter[str] = Counter()
        self._suspects: Counter[tuple[str, str]] = Counter()
        self._examples: list[dict[str, str]] = []
        self.questions = Questions(most)

    def add(self, outcome: Outcome) -> None:
        """Take in one conversation."""
        self._written += len(outcome.lines)
        self._counts.update(outcome.counts)
        self._identifiers.update(outcome.identifiers)
        self._suspects.update(outcome.suspects)
        for item in outcome.items:
            self.questions.add(item)
        if outcome.examples:
            self._examples = sorted([*self._examples, *outcome.examples], key=lambda one: one["order"])[:MOST_EXAMPLES]

    def report(self, records_in: int) -> StageReport:
        """The stage's report."""
        identifiers = [{"type": kind, "count": count} for kind, count in sorted(self._identifiers.items()) if count]
        suspects = [
            {"kind": kind, "what": what, "count": count} for (kind, what), count in sorted(self._suspects.items())
        ]
        return StageReport(
            stage=NAME,
            records_in=records_in,
            records_out=self._written,
            counts={name: self._counts[name] for name in _COUNTED},
            tables={"identifiers": identifiers, "suspects": suspects},
            examples=self._examples,
        )
