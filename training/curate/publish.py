"""Publish: training dialogues out of curated records, in the form that fine-tuning reads.

The wanted answer is never what the staff said but the one to three sentences of an approved passage that say the same,
and after them what else it says: in service every answer cites an article. What no passage supports is left out and
counted.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Literal, TextIO

from pydantic import BaseModel, ConfigDict, Field

from app.contracts.prompt import NOT_IN_ARTICLES
from app.errors import ConfigurationError
from training.curate.elsewhere import Elsewhere
from training.curate.exchanges import Exchange, asks, exchanges
from training.curate.records import Record, read_records, record_line
from training.curate.stages import RECORDS, Context, StageReport
from training.curate.streams import mapped
from training.curate.support import Bounds, Found, Support
from training.finetune.data import Dialogue
from training.finetune.dialogues import Section, held_out, whole_answer

Side = Literal["train", "validation", "held_out"]
SIDES: tuple[Side, ...] = ("train", "validation", "held_out")
EXAMPLES = 12
"""Dialogues shown in the report."""


class Options(BaseModel):
    """Settings of the stage.

    ``articles: apart`` gives each article one side (:func:`article_side`) and leaves out a dialogue whose record lies
    on another, so that an adapter is measured on articles and patients that it was not trained on; ``shared`` looks at
    the record only. ``languages``: those of the articles; other records are published without dialogues.
    ``licences``: those that may be published, all where empty. ``repeat`` carries the weights of reweighting into the
    training file: a dialogue of weight 2 stands in it twice, of weight 0.5 with even chance. ``keep_out`` are folders
    of evaluation items: what they ask gives no dialogue.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    bounds: Bounds = Field(default_factory=Bounds)
    articles: Literal["apart", "shared"] = "apart"
    languages: tuple[str, ...] = ("en", "")
    licences: tuple[str, ...] = ()
    repeat: bool = True
    keep_out: tuple[Path, ...] = ()


@dataclass(slots=True)
class Made:
    """What one record gives: its line ('' where it is dropped), dialogues, and what is counted."""

    line: str = ""
    side: Side = "train"
    dialogues: list[Dialogue] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)


class Publish:
    """Writes records.jsonl and one dialogue file a side; :mod:`training.curate.dataset` makes a version of them."""

    name = "publish"

    def run(self, source: Path, out: Path, context: Context) -> StageReport:
        """Raises ConfigurationError for broken articles and for records that have no side (split has not run)."""
        options = context.options or Options()
        counts: Counter[str] = Counter()
        sides: dict[Side, Counter[str]] = {side: Counter() for side in SIDES}
        examples: list[dict[str, str]] = []
        read = kept = 0
        with ExitStack() as files:
            records = files.enter_context((out / RECORDS).open("w", encoding="utf-8"))
            lines = {side: files.enter_context((out / f"{side}.jsonl").open("w", encoding="utf-8")) for side in SIDES}
            prepare = partial(_prepare, context.articles, options, context.site.name, context.seed)
            for made in mapped(read_records(source / RECORDS), prepare, context.workers):
                read += 1
                counts += made.counts
                if made.line:
                    kept += 1
                    records.write(made.line)
                    sides[made.side]["records"] += 1
                for dialogue in made.dialogues:
                    _write(dialogue, lines[made.side])
                    sides[made.side][dialogue.kind] += 1
                    if len(examples) < EXAMPLES and dialogue.kind == "answer":
                        examples.append({"question": dialogue.question, "answer": dialogue.answer})
                context.progress(read, None)
        table = [
            {"side": side, **{name: sides[side][name] for name in ("records", "answer", "none")}} for side in SIDES
        ]
        return StageReport(
            stage=self.name, records_in=read, records_out=kept, counts=dict(sorted(counts.items())),
            tables={"sides": table}, examples=examples,
        )  # fmt: skip


class Dialogues:
    """Makes the dialogues of one record; build it once in each process."""

    def __init__(self, support: Support, options: Options, seed: int) -> None:
        """Raises ConfigurationError where ``keep_out`` cannot be read."""
        self._support, self._options, self._seed = support, options, seed
        self._elsewhere = Elsewhere(options.keep_out)

    def __call__(self, record: Record) -> Made:
        """Raises ConfigurationError for a record without a side."""
        made = Made()
        if reason := self._barred(record):
            made.counts[f"dropped_{reason}"] += 1
            return made
        if not record.side:
            raise ConfigurationError(f"record {record.id} has no side; run the stage split before publish")
        made.line, made.side = record_line(record), record.side
        if record.language not in self._options.languages:
            made.counts["records_in_another_language"] += 1
            return made
        answered: set[tuple[str, str]] = set()
        last_article = ""
        for exchange in exchanges(record):
            made.counts["exchanges"] += 1
            outcome = self._dialogue(record, exchange)
            if isinstance(outcome, Dialogue) and exchange.follows and outcome.article_id != last_article:
                # Two questions about two things: the answer is to the second only.
                outcome = "leaning_question"
            if isinstance(outcome, str):
                made.counts[f"left_out_{outcome}"] += 1
                continue
            last_article = outcome.article_id
            if (outcome.question, outcome.answer) in answered:
                made.counts["left_out_repeated"] += 1
            elif self._options.articles == "apart" and article_side(outcome.article_id) != record.side:
                made.counts["left_out_article_on_another_side"] += 1
            else:
                answered.add((outcome.question, outcome.answer))
                made.dialogues += self._copies(outcome, record)
                made.counts[f"dialogues_{outcome.kind}"] += 1
        return made

    def _barred(self, record: Record) -> str:
        if not record.consent:
            return "no_consent"
        if self._options.licences and record.licence not in self._options.licences:
            return "licence"
        return ""

    def _dialogue(self, record: Record, exchange: Exchange) -> Dialogue | str:
        """The dialogue of an exchange, or why there is none."""
        if not exchange.question:
            return "leaning_question"
        if self._elsewhere.asks(exchange.question):
            return "question_of_an_evaluation_set"
        found = self._support.find(exchange.question, exchange.said)
        if isinstance(found, Found):
            sentences = " ".join(whole_answer(found.section.sentences, found.places))
            return _made(record, exchange, found.section, f"{sentences} [1]", "answer")
        if not exchange.declined or not asks(exchange.question):
            return found
        section, share = self._support.nearest(exchange.question)
        if share >= self._options.bounds.unanswered:
            return "article_may_answer"
        return _made(record, exchange, section, NOT_IN_ARTICLES, "none")

    def _copies(self, dialogue: Dialogue, record: Record) -> Iterator[Dialogue]:
        """The dialogue as often as its record's weight says, on the training side."""
        if record.side != "train" or not self._options.repeat:
            yield dialogue
            return
        drawn = int.from_bytes(sha256(f"{self._seed} {dialogue.id}".encode()).digest()[:4], "big") / 2**32
        for copy in range(int(record.weight) + (drawn < record.weight % 1)):
            yield dialogue.model_copy(update={"id": f"{dialogue.id}-{copy + 1}"}) if copy else dialogue


def article_side(article_id: str) -> Side:
    """The side of an article, a fixed property of its id. Held out are those that the demo dialogues hold out too, so
    that an adapter may go on from one that was trained on these; a tenth of all is for validation.
    """
    if held_out(article_id):
        return "held_out"
    return "validation" if sha256(f"validation {article_id}".encode()).digest()[0] < 0.12 * 256 else "train"


def article_votes(records: Path, context: Context, options: Options | None = None) -> Iterator[Counter[Side]]:
    """For each record of a file how many of its dialogues are about articles of each side.

    A split that gives a component the side with most votes, and looks at its hash only where votes are equal, keeps
    patients and articles apart at once and leaves few dialogues for publish to leave out.
    """
    shared = (options or Options()).model_copy(update={"articles": "shared", "repeat": False, "keep_out": ()})
    prepare = partial(_prepare, context.articles, shared, context.site.name, context.seed)
    sideless = (record.model_copy(update={"side": "train"}) for record in read_records(records))
    for made in mapped(sideless, prepare, context.workers):
        yield Counter(article_side(dialogue.article_id) for dialogue in made.dialogues)


def record_of(dialogue_id: str) -> str:
    """The id of the record that a dialogue was made from."""
    return dialogue_id.partition("-")[0]


def _prepare(articles: Path, options: Options, site: str, seed: int) -> Callable[[Record], Made]:
    return Dialogues(Support.load(articles, options.bounds, ignored=site), options, seed)


def _made(
    record: Record, exchange: Exchange, section: Section, answer: str, kind: Literal["answer", "none"]
) -> Dialogue:
    return Dialogue(
        id=f"{record.id}-{exchange.turn}",
        article_id=section.article_id,
        passages=[" ".join(section.sentences)],
        question=exchange.question,
        answer=answer,
        kind=kind,
        origin="curated",
    )


def _write(dialogue: Dialogue, out: TextIO) -> None:
    out.write(json.dumps(dialogue.model_dump(), ensure_ascii=False) + "\n")
