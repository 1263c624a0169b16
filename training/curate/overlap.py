"""Runs of words that two records share, and which of them say that the records belong together.

Two things do not count. Words that staff read out of an approved article, eight or more in a row: every good answer
quotes the same sentences, so that otherwise all calls about a topic would lie on one side, and the sides could only be
cut by topic. And standard sentences ("is there anything else I can help you with ..."): runs that many components have
in common, whoever says them. They tell nothing of a single call, and would in time join every call with every other.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt

from training.curate.grams import ROW, Hashes, Rows, Spill, gram_hashes, known, word_hashes
from training.curate.records import Record, read_records
from training.curate.streams import mapped
from training.curate.words import words
from training.finetune.dialogues import read_sections

QUOTED = 8
"""Words in a row that make a quotation from an article."""

Ints = npt.NDArray[np.int64]
_NONE = np.empty(0, dtype=np.uint64)


class Reader:
    """Finds the runs of a record; build it once in each process."""

    def __init__(self, articles: Path, length: int) -> None:
        self._length = length
        texts = [word_hashes(words(" ".join(section.sentences))) for section in read_sections(articles)]
        runs = [gram_hashes(text, QUOTED) for text in texts]
        self._quotable = np.unique(np.concatenate(runs))

    def runs(self, record: Record) -> Hashes:
        """The distinct runs of a record that no turn's end and no quotation cuts."""
        turns = [words(turn.text) for turn in record.turns]
        said = [word for turn in turns for word in turn]
        each = word_hashes(said)
        lengths = [len(turn) for turn in turns]
        turn = np.repeat(np.arange(len(turns)), lengths)
        staff = np.repeat([turn.speaker == "staff" for turn in record.turns], lengths)
        quoted = self._quoted(each, turn, staff)
        ends = len(said) - self._length + 1
        if ends < 1:
            return _NONE
        before = np.concatenate([[0], np.cumsum(quoted)])
        whole = (turn[:ends] == turn[self._length - 1 :]) & (before[:ends] == before[self._length :])
        return np.unique(gram_hashes(each, self._length)[whole])

    def _quoted(self, each: Hashes, turn: Ints, staff: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
        """Which words stand in a quotation."""
        found = np.zeros(len(each), dtype=np.bool_)
        ends = len(each) - QUOTED + 1
        if ends > 0:
            there = known(gram_hashes(each, QUOTED), self._quotable)
            for at in np.flatnonzero(there & staff[:ends] & (turn[:ends] == turn[QUOTED - 1 :])):
                found[at : at + QUOTED] = True
        return found


def patient_runs(record: Record, length: int) -> Hashes:
    """The runs of what the patient says."""
    said = (turn.text for turn in record.turns if turn.speaker == "patient")
    return np.concatenate([_NONE, *(gram_hashes(word_hashes(words(text)), length) for text in said)])


def spill(records: Path, articles: Path, length: int, workers: int, into: Spill) -> None:
    """Put the runs of all records of a file into ``into``; a record's number is its place in the file, from 0."""
    prepare = partial(_reading, articles, length)
    for number, runs in enumerate(mapped(read_records(records), prepare, workers)):
        rows = np.empty(len(runs), dtype=ROW)
        rows["gram"], rows["record"] = runs, number
        into.add(rows)


def _reading(articles: Path, length: int) -> partial[Hashes]:
    return partial(Reader.runs, Reader(articles, length))


@dataclass(frozen=True, slots=True)
class Counted:
    """The runs of a bucket that count, and ``standard``: those left out as standard sentences, each with one of its
    records and the number of components that have it.
    """

    rows: Rows
    standard: list[tuple[int, int, int]]

    def links(self, component: Ints) -> list[tuple[int, int, int]]:
        """Pairs of records of two components that share a run, and that run."""
        gram, record = self.rows["gram"], self.rows["record"].astype(np.int64)
        meet = (gram[1:] == gram[:-1]) & (component[record[1:]] != component[record[:-1]])
        places = np.flatnonzero(meet)
        return [(int(record[at]), int(record[at + 1]), int(gram[at])) for at in places]


def counted(spilt: Spill, component: Ints, standard: int) -> Iterator[Counted]:
    """Bucket by bucket: the runs that count, where ``component`` gives each record's component before any run joins
    two. Runs that ``standard`` components or more have in common are standard sentences.
    """
    for rows in spilt.buckets():
        own = component[rows["record"]]
        pairs = np.unique(np.stack([rows["gram"], own.astype(np.uint64)]), axis=1)
        grams, numbers = np.unique(pairs[0], return_counts=True)
        often = numbers >= standard
        first = rows["record"][np.searchsorted(rows["gram"], grams[often])]
        said = zip(grams[often].tolist(), first.tolist(), numbers[often].tolist(), strict=True)
        yield Counted(rows[~known(rows["gram"], grams[often])], list(said))


def spelled(record: Record, run: int, length: int) -> str:
    """The words of a run that stands in a record; '' if it does not."""
    for turn in record.turns:
        said = words(turn.text)
        at = np.flatnonzero(gram_hashes(word_hashes(said), length) == np.uint64(run))
        if len(at):
            return " ".join(said[at[0] : at[0] + length])
    return ""
