"""What is kept of each record while a stage looks at all of them, in bytes: numbers, no texts.

The bytes are counted in a process of its own: threads and caches of other tests would count too.
"""

from __future__ import annotations

import gc
import tracemalloc
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from tempfile import mkdtemp

import numpy as np
import pytest

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


def per_record(act: Callable[..., object], *given: Path) -> tuple[float, float]:
    """Bytes for each further record: of what ``act`` returns for so many records, and at the most.

    ``act`` is a function of this module; it gets the number of records and what is ``given``.
    """
    with ProcessPoolExecutor(1, get_context("spawn")) as process:
        return process.submit(_per_record, act, given).result()


def _per_record(act: Callable[..., object], given: Sequence[Path]) -> tuple[float, float]:
    """The first round fills caches that are filled once."""
    _, few, many = (_traced(partial(act, count, *given)) for count in (FEW, FEW, MANY))
    return (many[0] - few[0]) / (MANY - FEW), (many[1] - few[1]) / (MANY - FEW)


def _traced(act: Callable[[], object]) -> tuple[int, int]:
    """Bytes that are held with what ``act`` returns, and at the most."""
    gc.collect()
    tracemalloc.start()
    result = act()
    gc.collect()
    traced = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    del result
    return traced


def tied(count: int, folder: Path) -> object:
    return _tied(folder / str(count))


def others(count: int, folder: Path) -> OtherSides:
    path, words = folder / str(count) / RECORDS, Path(mkdtemp(dir=folder))
    OtherSides.gather(path, 13, words)
    return OtherSides(words, path, 13, Names())


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where ``FEW`` and ``MANY`` records lie, in folders of these names."""
    for count in (FEW, MANY):
        write(tmp_path / str(count), count)
    return tmp_path


def test_split_keeps_numbers_of_what_records_are_tied_by(folder: Path) -> None:
    kept, most = per_record(tied, folder)
    assert kept < 40
    assert most < 60


def test_augment_keeps_its_words_of_other_sides_in_files(folder: Path) -> None:
    kept, most = per_record(others, folder)
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


def rows(count: int) -> object:
    return columns(count).rows(0.15)


def test_balance_keeps_numbers_of_a_call() -> None:
    kept, _ = per_record(columns)
    assert kept < 160
    kept, most = per_record(rows)
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
