"""What is kept of each record while a stage looks at all of them, in bytes: numbers, no texts."""

from __future__ import annotations

import gc
import tracemalloc
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np

from training.curate.answers import MEASURES
from training.curate.augment import OtherSides
from training.curate.bias import Answers
from training.curate.columns import MOST_GROUPS, Columns, Row, Signature
from training.curate.deduplicate import CLUSTERS
from training.curate.mitigation import within_share
from training.curate.records import Record, record_line
from training.curate.split import _tied
from training.curate.stages import RECORDS
from training.curate.statements import Names

DIGITS = "red green blue one two three four five six seven".split()
FEW, MANY = 200, 1200


def write(folder: Path, count: int) -> Path:
    """Calls of as many patients, all held out, no two with a run of words in common. Their ids are longer
    than the strings of which pydantic keeps some thousand.
    """
    folder.mkdir()
    with (folder / RECORDS).open("w", encoding="utf-8") as file:
        for number in range(count):
            said = " ".join([DIGITS[int(digit)] for digit in f"{number:07}"] * 3)
            fields = {
                "id": f"{number:070x}", "kind": "transcript", "source": "calls", "place": number + 1,
                "patient": f"patient {number:070x}", "conversation": f"conversation {number:070x}",
                "side": "held_out", "turns": [{"speaker": "patient", "text": said}],
            }  # fmt: skip
            file.write(record_line(Record.model_validate(fields)))
    (folder / CLUSTERS).write_text("")
    return folder


def per_record(act: Callable[[int], object]) -> tuple[float, float]:
    """Bytes for each further record: of what ``act`` returns for so many records, and at the most.

    The least of three rounds each: caches that fill once, and other threads of the run of tests, only ever add.
    """
    rounds = np.array([[_traced(act, count) for _ in range(3)] for count in (FEW, MANY)])
    few, many = rounds.min(axis=1)
    kept, most = (many - few) / (MANY - FEW)
    return float(kept), float(most)


def _traced(act: Callable[[int], object], count: int) -> tuple[int, int]:
    """Bytes that are held with what ``act`` returns, and at the most."""
    gc.collect()
    tracemalloc.start()
    result = act(count)
    gc.collect()
    traced = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    del result
    return traced


def test_split_keeps_numbers_of_what_records_are_tied_by(tmp_path: Path) -> None:
    sources = {count: write(tmp_path / str(count), count) for count in (FEW, MANY)}
    kept, most = per_record(lambda count: _tied(sources[count]))
    assert kept < 40
    assert most < 60


def test_augment_keeps_its_words_of_other_sides_in_files(tmp_path: Path) -> None:
    paths = {count: write(tmp_path / str(count), count) / RECORDS for count in (FEW, MANY)}
    folders: list[Path] = []

    def others(count: int) -> OtherSides:
        folders.append(tmp_path / f"others{len(folders)}")
        folders[-1].mkdir()
        OtherSides.gather(paths[count], 13, folders[-1])
        return OtherSides(folders[-1], paths[count], 13, Names())

    kept, most = per_record(others)
    assert kept < 20
    assert most < 40


def columns(count: int) -> Columns:
    """Calls that could have two copies each."""
    own = Row((0.5,) * len(MEASURES), {"sex": "female", "age_band": "65+"}, "visits", "en")
    rows = (own, replace(own, axis="sex", groups={"sex": "male"}), replace(own, axis="age_band"))
    found = Columns()
    for number in range(count):
        free = {"sex": f"sex {number % 2}", "ward": f"ward {number}"}
        found.add(
            Signature(f"{number:020x}", f"patient {number // 2:020x}", (replace(own, groups=free), *rows[1:]), ())
        )
    return found


def test_balance_keeps_numbers_of_a_call() -> None:
    kept, _ = per_record(columns)
    assert kept < 160
    kept, most = per_record(lambda count: columns(count).rows(0.15))
    assert kept < 350
    assert most < 700


def test_of_a_dimension_with_too_many_groups_no_more_are_told_apart() -> None:
    found = columns(3 * MOST_GROUPS).rows(0)
    assert set(found.answers.dimensions) == {"sex"}


def test_copies_are_drawn_call_by_call_within_their_share() -> None:
    owners = np.array([0, 0, 0, 1, 2, 2, 3], dtype=np.int64)
    copied = np.array([0, 1, 1, 0, 0, 1, 0], dtype=np.bool_)
    draws = np.array([9, 1, 2, 3], dtype=np.uint64)
    for share, kept in ((0.0, [0, 3, 4, 6]), (0.25, [0, 3, 4, 5, 6]), (0.5, [0, 3, 4, 5, 6]), (0.75, [*range(7)])):
        assert np.flatnonzero(within_share(owners, copied, draws, share)).tolist() == kept


def test_patients_are_numbered_as_they_come() -> None:
    answers: Answers = columns(5).rows(0).answers
    assert answers.patients.tolist() == [0, 0, 1, 1, 2]
