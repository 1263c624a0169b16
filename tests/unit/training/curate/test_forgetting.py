"""That a forgotten patient is gone and stays gone."""

from __future__ import annotations

import json
import shutil
import stat
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Thread
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.contracts.adapters import AdapterManifest, write_json
from app.contracts.site import load_site
from app.errors import ConfigurationError
from tests.unit.training.curate.chain_stages import full_disk, somebody_else
from tests.unit.training.curate.version_files import DAY, SECRET, SIX, content, patient, provenance, record
from training.curate.dataset import HUGGINGFACE, read_manifest, write_version
from training.curate.forgetting import Forgotten, forget
from training.curate.formats.contract import SourceRule
from training.curate.ingest import QUARANTINE, Ingest, Options
from training.curate.locks import alone
from training.curate.publish import record_of
from training.curate.records import read_records, record_line
from training.curate.stages import RECORDS, Context
from training.curate.tombstones import TOMBSTONES, forgotten
from training.finetune.data import files_hash, load_dialogues


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
    assert done.elsewhere == [tmp_path / "work"]
    said = done.text()
    assert f"Still holds the records, remove it: {tmp_path / 'work'}\n" in f"{said}\n"
    assert "P1)" not in said
    again = erase(dataset, purge=True)
    assert again.purged == sorted([dataset, other])
    assert again.holding == []
    assert not dataset.exists()
    assert not other.exists()
    assert without.exists()
    assert done.folder is not None
    assert done.folder.exists()


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("a.jsonl", '{"id": "C1", "patient": "MRN\u20663", "turns": [{"speaker": "Zorgon", "text": "hi"}]}\n'),
        ("a.csv", "id,speaker,text,patient\nC1,Zorgon,hi,MRN3\n"),
        ("a.jsonl", json.dumps({"id": "C1", "text": "Caller: " + "x" * 900, "patient": "MRN3"}) + "\n"),
    ],
)
def test_what_was_set_aside_is_looked_into(dataset: Path, tmp_path: Path, name: str, data: str) -> None:
    chosen = Options(sources=[SourceRule(files="*", kind="transcript")], max_record_characters=200)
    sources, out = tmp_path / "sources", tmp_path / "work" / "01-ingest"
    for folder in (sources, out):
        folder.mkdir(parents=True)
    (sources / name).write_text(data, encoding="utf-8")
    Ingest().run(sources, out, Context(site=load_site(Path("demo")), articles=sources, options=chosen))
    assert (out / RECORDS).read_bytes() == b""
    done = erase(dataset, "MRN3", also=[tmp_path / "work"])
    assert (out / QUARANTINE).read_bytes()
    assert done.elsewhere == [tmp_path / "work"]
    assert "knows this id" not in done.text()
    for other in ("MRN", "RN3", "MRN33"):
        done = erase(dataset, other, also=[tmp_path / "work"])
        assert done.elsewhere == []
        assert "No version and no work folder knows this id" in done.text()


def test_nobody_who_was_forgotten_before_comes_back_with_an_older_version(dataset: Path) -> None:
    first, second = erase(dataset, "P1"), erase(dataset, "P3")
    assert first.folder is not None
    assert second.folder is not None
    gone = {record.id for record in read_records(dataset / RECORDS)} - {
        record.id for record in read_records(second.folder / RECORDS)
    }
    assert len(gone) == first.records + second.records
    erased = read_manifest(second.folder).erasures
    assert [(one.patient, one.records) for one in erased] == [
        (second.patient, second.records),
        (first.patient, first.records),
    ]
    assert [one.dialogues for one in erased] == [second.dialogues, first.dialogues]


def test_reports_and_exported_questions_may_quote_her(dataset: Path, tmp_path: Path) -> None:
    work = tmp_path / "work"
    for name in ("report/report.html", "review/review.csv"):
        (work / name).parent.mkdir(parents=True)
        (work / name).write_text("what she said")
    assert erase(dataset, "P99", also=[work]).elsewhere == []
    assert erase(dataset, also=[work]).elsewhere == [work / "report", work / "review"]


def killed(folder: Path, name: str) -> Path:
    """What a process leaves that is killed while it writes; the patient is in it."""
    left = folder / name / "part"
    left.mkdir(parents=True)
    (left / RECORDS).write_text(record_line(record(1, "P1")), encoding="utf-8")
    return folder / name


@pytest.mark.parametrize("purge", [True, False])
def test_what_killed_runs_have_left_is_removed(dataset: Path, tmp_path: Path, purge: bool) -> None:
    versions, work = dataset.parent, tmp_path / "work"
    left = [killed(versions, name) for name in (".forget-x1", ".going-0123456789abcdef", ".version-x2")]
    left += [killed(work, ".01-ingest.part")]
    kept = killed(work, ".hidden")
    (versions / ".version-link").symlink_to(kept)
    done = erase(dataset, also=[work], purge=purge)
    assert done.leftovers == left
    assert not any(path.exists() for path in left)
    assert f"Removed, a run that was killed had left it: {left[0]}" in done.text()
    assert kept.is_dir()
    assert done.elsewhere == [versions / ".version-link" / "part" / RECORDS, work]
    assert (versions / ".version-link").is_symlink()


def test_what_another_run_writes_is_never_taken_for_left(dataset: Path) -> None:
    writing = killed(dataset.parent, ".version-x")
    waiting = Thread(target=erase, args=(dataset,))
    with alone(dataset.parent):
        waiting.start()
        waiting.join(timeout=0.5)
        assert writing.exists()
        writing.rename(dataset.parent / "0123456789abcdef")
    waiting.join()
    assert (dataset.parent / "0123456789abcdef").exists()


def test_what_is_left_and_cannot_be_removed_is_said(tmp_path: Path) -> None:
    with TemporaryDirectory() as name, somebody_else(Path(name)):
        dataset = write_version(content(Path(name) / "content", SIX), Path(name) / "versions", provenance())
        left = killed(dataset.parent, ".version-x")
        (left / "part").chmod(0o500)
        with pytest.raises(ConfigurationError, match=r"Permission denied; later runs will leave the patient out; mend"):
            erase(dataset)
        assert forgotten(dataset.parent / TOMBSTONES) == {patient("P1")}
        (left / "part").chmod(0o700)
        assert erase(dataset).leftovers == [left]


def test_versions_that_cannot_be_written_are_said() -> None:
    with TemporaryDirectory() as name, somebody_else(Path(name)):
        dataset = write_version(content(Path(name) / "content", SIX), Path(name) / "versions", provenance())
        dataset.parent.chmod(0o500)
        with pytest.raises(ConfigurationError, match=r"\.lock cannot be written: Permission denied"):
            erase(dataset)
        (Path(name) / "versions").chmod(0o700)
        (dataset.parent / ".lock").touch()
        dataset.parent.chmod(0o500)
        with pytest.raises(ConfigurationError, match=r"forgotten\.jsonl cannot be written: Permission.*nobody was"):
            erase(dataset)
        dataset.parent.chmod(0o700)


def test_a_version_that_was_removed_in_part_leaves_no_folder_of_its_name(dataset: Path, tmp_path: Path) -> None:
    with TemporaryDirectory() as name, somebody_else(Path(name)):
        dataset = write_version(content(Path(name) / "content", SIX), Path(name) / "versions", provenance())
        (dataset / HUGGINGFACE).chmod(0o500)
        with pytest.raises(ConfigurationError, match="Permission denied"):
            erase(dataset, purge=True)
        assert not dataset.exists()
        [going] = dataset.parent.glob(".going-*")
        (going / HUGGINGFACE).chmod(0o700)
        [newest] = (path for path in dataset.parent.iterdir() if path.is_dir() and path != going)
        assert erase(newest).leftovers == [going]


def test_a_link_beside_the_versions_is_no_second_one(dataset: Path) -> None:
    link = dataset.parent / "newest"
    link.symlink_to(dataset.name)
    assert erase(dataset).holding == [dataset]
    done = erase(dataset, purge=True)
    assert (done.purged, done.elsewhere) == ([dataset], [])
    assert not dataset.exists()


def test_a_folder_beside_the_versions_that_is_none_is_looked_into(dataset: Path) -> None:
    torn = dataset.parent / "fedcba9876543210"
    shutil.copytree(dataset, torn)
    (torn / "manifest.json").unlink()
    assert erase(dataset, purge=True).elsewhere == [torn / RECORDS]


def test_a_folder_that_cannot_be_looked_into_is_said(dataset: Path) -> None:
    with TemporaryDirectory() as name, somebody_else(Path(name)):
        mine = write_version(content(Path(name) / "content", SIX), Path(name) / "versions", provenance())
        closed = Path(name) / "adapters" / "closed"
        closed.mkdir(parents=True)
        closed.chmod(0)
        with pytest.raises(ConfigurationError, match=r"adapters/closed: Permission denied; later runs will leave"):
            erase(mine, adapters=[closed.parent])
        closed.chmod(0o700)


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
