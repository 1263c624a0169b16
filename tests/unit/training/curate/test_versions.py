"""What changed between two versions, and that a forgotten patient is gone and stays gone."""

from __future__ import annotations

import json
import stat
from collections.abc import Iterable
from datetime import UTC, date, datetime
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.contracts.adapters import AdapterManifest, write_json
from app.errors import ConfigurationError
from tests.unit.training.curate.chain_stages import full_disk
from training.curate.dataset import (
    FILES,
    HUGGINGFACE,
    Provenance,
    StageEntry,
    fingerprint,
    read_manifest,
    write_version,
)
from training.curate.keys import keyed_hash
from training.curate.publish import record_of
from training.curate.records import Record, Turn, read_records, record_line
from training.curate.stages import RECORDS
from training.curate.versions import TOMBSTONES, Difference, Forgotten, alone, diff, forget, forgotten
from training.finetune.data import Dialogue, files_hash, load_dialogues

SECRET = b"a secret of the hospital"
DAY = date(2026, 11, 26)


def patient(name: str) -> str:
    return keyed_hash(SECRET, "patient", name)


def record(number: int, who: str | None = "P1", text: str = "Where is it?", **fields: object) -> Record:
    turns = (Turn(speaker="patient", text=text), Turn(speaker="staff", text="In the lobby."))
    values = {
        "id": f"{number:020x}",
        "kind": "transcript",
        "source": "calls.jsonl",
        "place": number + 1,
        "patient": patient(who) if who else None,
        "side": "train" if number % 4 else "held_out",
        "turns": turns,
        "licence": "internal",
    }
    return Record.model_validate({**values, **fields})


def provenance(**fields: object) -> Provenance:
    stage = StageEntry(name="correct", options={"margin": 2, "lists": {"own": []}}, records_in=6, records_out=6)
    values = {"site": "Cedar Valley Health", "stages": [stage], "secret_fingerprint": fingerprint(SECRET)}
    return Provenance.model_validate({**values, **fields})


def content(folder: Path, records: Iterable[Record]) -> Path:
    """A folder as the stage publish leaves it, one dialogue a record."""
    folder.mkdir(parents=True)
    files = {name: (folder / name).open("w", encoding="utf-8") for name in FILES}
    for one in records:
        files[RECORDS].write(record_line(one))
        dialogue = Dialogue(
            id=f"{one.id}-1", article_id="maps", passages=["It is in the lobby."], question=one.turns[0].text,
            answer="It is in the lobby. [1]", origin="curated",
        )  # fmt: skip
        files[f"{one.side}.jsonl"].write(json.dumps(dialogue.model_dump()) + "\n")
    for file in files.values():
        file.close()
    return folder


SIX = [
    record(0, "P1", conversation="c" * 20),
    record(1, "P1"),
    record(2, None, conversation="c" * 20),
    record(3, "P2", origin=f"{1:020x}"),
    record(4, "P2", origin=f"{3:020x}"),
    record(5, "P3"),
    record(6, None),
]


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    return write_version(content(tmp_path / "content", SIX), tmp_path / "versions", provenance())


def adapter(folder: Path, **fields: object) -> Path:
    folder.mkdir(parents=True)
    values = {
        "name": "support", "content_sha256": "0" * 64, "base_id": "tiny", "base_sha256": "0", "rank": 8, "alpha": 8.0,
        "target_modules": [], "prompt_version": "v1", "template_sha256": "0", "dataset_sha256": "0",
        "created_at": datetime(2026, 1, 1, tzinfo=UTC),
    }  # fmt: skip
    write_json(AdapterManifest.model_validate({**values, **fields}), folder / "manifest.json")
    return folder


def erase(dataset: Path, name: str = "P1", **options: Any) -> Forgotten:
    given: dict[str, Any] = {"secret": SECRET, "on": DAY, **options}
    return forget(dataset, name, **given)


def ids(folder: Path) -> set[int]:
    return {int(one.id, 16) for one in read_records(folder / RECORDS)}


# --- forgetting


def test_the_patients_records_and_all_made_from_them_are_gone(dataset: Path) -> None:
    done = erase(dataset, " P1\n")
    # 0 and 1 are the patient's, 2 is of the same conversation, 3 was made from 1, 4 from 3.
    assert done.folder is not None
    assert ids(done.folder) == {5, 6}
    assert (done.records, done.dialogues) == (5, 5)
    kept = [d for side in ("train", "validation") for d in lines(done.folder / f"{side}.jsonl")]
    assert {int(record_of(one["id"]), 16) for one in kept} == {5, 6}
    assert lines(done.folder / "held_out.jsonl") == []
    rest = "".join(path.read_text(encoding="utf-8") for path in done.folder.rglob("*.jsonl"))
    assert patient("P1") not in rest


def lines(path: Path) -> list[dict[str, str]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").split("\n") if line]


def test_the_new_version_names_its_parent_and_the_erasure_but_no_id(dataset: Path) -> None:
    before = {path: path.read_bytes() for path in dataset.rglob("*") if path.is_file()}
    done = erase(dataset, "Patient-0815")
    assert done.folder is None
    done = erase(dataset, "P1")
    assert done.folder is not None
    old, new = read_manifest(dataset), read_manifest(done.folder, verify=True)
    assert (new.parent, done.version) == (old.version, new.version)
    [erasure] = new.erasures
    assert (erasure.on, erasure.records, erasure.dialogues, erasure.version) == (DAY, 5, 5, old.version)
    assert new.counts["records"] == 2
    assert new.stages == old.stages
    written = "".join(path.read_text() for path in dataset.parent.rglob("*.json*"))
    assert '"P1"' not in written
    assert "Patient-0815" not in written
    assert SECRET.decode() not in written
    assert {path: path.read_bytes() for path in dataset.rglob("*") if path.is_file()} == before


def test_the_dialogues_for_huggingface_are_made_anew(dataset: Path, tmp_path: Path) -> None:
    done = erase(dataset)
    assert done.folder is not None
    data = done.folder / HUGGINGFACE / "data"
    assert [path.name for path in data.iterdir()] == ["train.parquet"]
    old = (dataset / HUGGINGFACE / "data" / "train.parquet").read_bytes()
    assert f"{1:020x}".encode() in old
    assert f"{1:020x}".encode() not in (data / "train.parquet").read_bytes()


def test_later_runs_are_told_whom_to_leave_out(dataset: Path) -> None:
    stones = dataset.parent / TOMBSTONES
    assert forgotten(stones) == frozenset()
    erase(dataset, "P1")
    erase(dataset, "unheard of")
    erase(dataset, "P1")
    assert forgotten(stones, SECRET) == {patient("P1"), patient("unheard of")}
    assert len(stones.read_text().splitlines()) == 2
    with pytest.raises(ConfigurationError, match="written with another secret"):
        forgotten(stones, b"another secret of it")
    stones.write_text('{"patient": "P1"}\n')
    with pytest.raises(ConfigurationError, match=r"forgotten\.jsonl:1"):
        forgotten(stones)


def test_a_broken_list_is_refused_with_the_mend(dataset: Path) -> None:
    stones = dataset.parent / TOMBSTONES
    erase(dataset, "P8")
    erase(dataset, "P9")
    stones.write_bytes(stones.read_bytes()[:-40])
    for asked in (lambda: forgotten(stones), lambda: erase(dataset)):
        with pytest.raises(ConfigurationError, match=r"forgotten\.jsonl:2: .*backup, or remove this line and forget"):
            asked()
    stones.write_bytes(stones.read_bytes().split(b"\n")[0] + b"\n\xff\n")
    with pytest.raises(ConfigurationError, match=r"forgotten\.jsonl:2: "):
        forgotten(stones)


def test_a_full_disk_leaves_the_list_as_it_was(dataset: Path) -> None:
    stones = dataset.parent / TOMBSTONES
    erase(dataset, "P9")
    stones.chmod(0o640)
    before = stones.read_bytes()
    with full_disk(len(before) + 20), pytest.raises(ConfigurationError, match=r"too large.*nobody was forgotten"):
        erase(dataset)
    assert stones.read_bytes() == before
    assert {path.name for path in dataset.parent.iterdir()} == {dataset.name, TOMBSTONES, ".lock"}
    erase(dataset)
    assert stones.read_bytes().startswith(before)
    assert stat.S_IMODE(stones.stat().st_mode) == 0o640


def test_a_full_disk_behind_the_list_says_what_is_done_and_what_not(dataset: Path) -> None:
    with full_disk(300), pytest.raises(ConfigurationError, match="later runs will leave the patient out; mend it"):
        erase(dataset)
    assert forgotten(dataset.parent / TOMBSTONES) == {patient("P1")}
    assert erase(dataset).records == 5


def test_nobody_is_forgotten_while_a_run_works_in_the_folder(dataset: Path, tmp_path: Path) -> None:
    work = tmp_path / "work"
    with alone(work), pytest.raises(ConfigurationError, match="another run is working here"):
        erase(dataset, also=[work])
    assert not (dataset.parent / TOMBSTONES).exists()
    assert erase(dataset, also=[work, work]).records == 5


def test_forgetting_waits_until_a_version_is_written(dataset: Path) -> None:
    waiting = Thread(target=erase, args=(dataset,))
    with alone(dataset.parent):
        waiting.start()
        waiting.join(timeout=0.5)
        assert not (dataset.parent / TOMBSTONES).exists()
    waiting.join()
    assert forgotten(dataset.parent / TOMBSTONES) == {patient("P1")}


def test_another_secret_is_refused_before_anything_is_written(dataset: Path) -> None:
    with pytest.raises(ConfigurationError, match="was made with another secret"):
        erase(dataset, secret=b"another secret of it")
    with pytest.raises(ConfigurationError, match="id is empty"):
        erase(dataset, " ")
    assert [path.name for path in dataset.parent.iterdir()] == [dataset.name]


def test_adapters_that_learnt_from_the_patient_are_listed(dataset: Path, tmp_path: Path) -> None:
    version = read_manifest(dataset).version
    root = tmp_path / "adapters"
    by_version = adapter(root / "a", dataset_versions=["f" * 64, version])
    by_files = adapter(root / "b", dataset_sha256=files_hash([dataset / "train.jsonl", dataset / "held_out.jsonl"]))
    adapter(root / "c", dataset_versions=["e" * 64])
    (root / "d").mkdir()
    (root / "d" / "manifest.json").write_text("{}")
    assert erase(dataset, adapters=[root]).adapters == [by_version, by_files]
    assert erase(dataset, "P9", adapters=[root]).adapters == []


def test_an_adapter_of_an_ancestor_that_is_gone_is_listed(dataset: Path, tmp_path: Path) -> None:
    gone = read_manifest(dataset).version
    child = write_version(tmp_path / "content", dataset.parent, provenance(parent=gone))
    one = adapter(tmp_path / "adapters" / "a", dataset_versions=[gone])
    for path in sorted(dataset.rglob("*"), reverse=True):
        path.unlink() if path.is_file() else path.rmdir()
    dataset.rmdir()
    assert erase(child, adapters=[tmp_path / "adapters"]).adapters == [one]


def test_every_version_that_still_holds_her_is_named_or_purged(dataset: Path, tmp_path: Path) -> None:
    other = write_version(tmp_path / "content", dataset.parent, provenance(seed=8))
    without = write_version(content(tmp_path / "c2", SIX[5:]), dataset.parent, provenance())
    work = tmp_path / "work" / "01_ingest"
    work.mkdir(parents=True)
    (work / RECORDS).write_text('{"patient": "P1"}\n')
    (work / "quarantine.jsonl").write_text('{"patient": "P11"}\n')
    done = erase(dataset, also=[tmp_path / "work"])
    assert done.holding == sorted([dataset, other])
    assert done.elsewhere == [work / RECORDS]
    said = done.text()
    assert f"Still holds the records, remove it: {work / RECORDS}" in said
    assert "P1)" not in said
    again = erase(dataset, purge=True)
    assert again.purged == sorted([dataset, other])
    assert again.holding == []
    assert not dataset.exists()
    assert not other.exists()
    assert without.exists()
    assert done.folder is not None
    assert done.folder.exists()


@given(
    st.lists(
        st.tuples(st.sampled_from(["P1", "P2", None]), st.integers(0, 3), st.one_of(st.none(), st.integers(0, 11))),
        min_size=1,
        max_size=12,
    )
)
@settings(max_examples=25, deadline=None)
def test_nothing_of_the_patient_is_left_whatever_hangs_together(
    drawn: list[tuple[str | None, int, int | None]],
) -> None:
    import tempfile

    records = [
        record(
            number,
            who,
            conversation=f"{talk:020x}" if talk else None,
            origin="" if origin is None or origin == number else f"{origin:020x}",
            side="train",
        )
        for number, (who, talk, origin) in enumerate(drawn)
    ]
    with tempfile.TemporaryDirectory() as folder:
        dataset = write_version(content(Path(folder) / "c", records), Path(folder) / "v", provenance())
        done = erase(dataset)
        if done.folder is None:
            assert all(one.patient != patient("P1") for one in records)
            return
        left = list(read_records(done.folder / RECORDS))
        removed = {one.id for one in records} - {one.id for one in left}
        talks = {one.conversation for one in records if one.patient == patient("P1")} - {None}
        assert all(one.patient != patient("P1") and one.conversation not in talks for one in left)
        assert all(one.origin not in removed for one in left)
        assert done.records == len(removed)
        if left:
            assert len(load_dialogues(done.folder / "train.jsonl")) == len(left)


# --- what a version says and leaves


def test_consent_is_counted(tmp_path: Path) -> None:
    some = [record(1), record(2), record(3, consent=False)]
    one = write_version(content(tmp_path / "a", some), tmp_path / "v", provenance())
    two = write_version(content(tmp_path / "b", some[:2]), tmp_path / "v", provenance())
    assert read_manifest(one).consent == {"given": 2, "not_given": 1}
    assert read_manifest(two).consent == {"given": 2}


@pytest.mark.parametrize("left", [300, 1500, 4000])  # too little for records, for a table of dialogues, for its file
def test_a_version_for_which_the_disk_is_too_full_leaves_nothing(tmp_path: Path, left: int) -> None:
    made = content(tmp_path / "content", [record(1)])
    with full_disk(left), pytest.raises(OSError, match="too large"):
        write_version(made, tmp_path / "v", provenance())
    assert list((tmp_path / "v").iterdir()) == []


# --- differences


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
    done = erase(dataset)
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
