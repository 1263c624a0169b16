"""What changed between two versions."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from app.errors import ConfigurationError
from tests.unit.training.curate.version_files import DAY, SECRET, SIX, content, provenance, record
from training.curate.dataset import StageEntry, read_manifest, write_version
from training.curate.differences import Difference, diff
from training.curate.forgetting import forget
from training.curate.stages import RECORDS


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    return write_version(content(tmp_path / "content", SIX), tmp_path / "versions", provenance())


def test_a_difference_tells_records_options_counts_and_sources(tmp_path: Path) -> None:
    before = write_version(
        content(tmp_path / "a", SIX[:5]),
        tmp_path / "v",
        provenance(sources={"calls.jsonl": "1" * 64, "gone.csv": "3" * 64}, decisions={"0" * 16: "accept"}),
    )
    later = [
        SIX[0],
        SIX[1].model_copy(update={"weight": 2.0, "side": "validation"}),
        record(2, None, "Where is that?", conversation="c" * 20),
        SIX[3].model_copy(update={"topic": "parking"}),
        SIX[5],
    ]
    stage = StageEntry(
        name="correct", options={"margin": 3, "lists": {"own": ["x"]}}, records_in=6, records_out=5, counts={"fixed": 1}
    )
    after = write_version(
        content(tmp_path / "b", later),
        tmp_path / "v",
        provenance(
            parent=read_manifest(before).version,
            sources={"calls.jsonl": "2" * 64},
            decisions={"0" * 16: "drop"},
            stages=[stage],
        ),
    )
    found = diff(before, after)
    assert found.related == "child"
    assert (found.added, found.removed) == ([SIX[5].id], [SIX[4].id])
    assert {one.id: one.parts for one in found.changed} == {
        SIX[1].id: ["side", "weight"],
        SIX[2].id: ["text"],
        SIX[3].id: ["facts"],
    }
    assert (found.dialogues_added, found.dialogues_removed, found.dialogues_changed) == (1, 1, 1)
    options = {change.name: (change.before, change.after) for change in found.options}
    assert options == {"correct.margin": (2, 3), "correct.lists.own": ([], ["x"])}
    assert {change.name for change in found.sources} == {"calls.jsonl", "gone.csv"}
    assert [(change.before, change.after) for change in found.decisions] == [("accept", "drop")]
    assert ("correct.fixed", None, 1) in [(c.name, c.before, c.after) for c in found.stage_counts]
    assert "records: 1 added, 1 removed, 3 changed (facts 1, side 1, text 1, weight 1)" in found.text()
    assert "correct.margin: 2 -> 3" in found.text()
    assert Difference.model_validate_json(found.model_dump_json()) == found
    assert diff(after, before).related == "parent"


def test_a_version_does_not_differ_from_itself(dataset: Path) -> None:
    found = diff(dataset, dataset)
    assert found.related == "same"
    assert (found.added, found.removed, found.changed, found.options, found.counts) == ([], [], [], [], [])


def test_a_difference_shows_the_erasure_and_no_text_of_a_record(dataset: Path) -> None:
    done = forget(dataset, "P1", secret=SECRET, on=DAY)
    assert done.folder is not None
    found = diff(dataset, done.folder)
    assert len(found.removed) == 5
    assert "2026-11-26: 5 records, 5 dialogues" in found.text()
    assert "Where is it" not in found.text() + found.model_dump_json()


def test_long_lists_are_cut_in_text_and_whole_in_json(tmp_path: Path) -> None:
    many = [record(number, f"P{number}") for number in range(30)]
    before = write_version(content(tmp_path / "a", many[:1]), tmp_path / "v", provenance())
    after = write_version(content(tmp_path / "b", many), tmp_path / "v", provenance())
    found = diff(before, after)
    assert "and 19 more" in found.text()
    assert len(json.loads(found.model_dump_json())["added"]) == 29


def test_what_is_no_version_is_refused(dataset: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="is no dataset version"):
        diff(dataset, tmp_path)
    (dataset / RECORDS).write_text("")
    with pytest.raises(ConfigurationError, match="was changed since"):
        diff(dataset, dataset)
