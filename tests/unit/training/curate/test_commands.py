"""What an administrator types, and what is answered."""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from app.errors import ConfigurationError
from tests.unit.training.curate.chain_stages import call, config
from tests.unit.training.curate.version_files import SECRET, SIX, content, provenance
from training.cli import cli
from training.curate.dataset import find_versions, write_version
from training.curate.tombstones import TOMBSTONES


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A config file over small sources."""
    settings = config(tmp_path).model_dump(mode="json", exclude_defaults=True)
    file = tmp_path / "curate.yaml"
    file.write_text(yaml.safe_dump(settings), encoding="utf-8")
    return file


def say(*words: object, given: str | None = None) -> str:
    result = CliRunner().invoke(cli, [str(word) for word in words], input=given)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result.output


def test_a_stage_alone_and_shards(path: Path, tmp_path: Path) -> None:
    said = say("curate", path, "--only", "ingest")
    assert "ingest: 32 -> 30" in said
    assert "quarantined 2" in said
    assert "ingest (finished before): 32 -> 30" in say("curate", path, "--only", "ingest", "--workers", 2)
    say("curate", path, "--shard", "1/2")
    assert (tmp_path / "work-shard-1-of-2" / "02-deidentify" / "records.jsonl").exists()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--shard", "3/2"], "write it as 1/4"),
        (["--shard", "0/2"], "write it as 1/4"),
        (["--shard", "two"], "write it as 1/4"),
        (["--join", "2", "--only", "ingest"], "--join goes with neither"),
        (["--only", "sort"], "there is no stage sort"),
        (["--join", "2"], "ingest of shard 1/2 is not finished"),
    ],
)
def test_what_cannot_be_asked_for(path: Path, words: list[str], said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        say("curate", path, *words)


def test_questions_go_out_and_decisions_come_back(path: Path, tmp_path: Path) -> None:
    say("curate", path, "--only", "ingest")
    say("curate", path, "--only", "deidentify")
    assert "30 open questions (0 are decided)" in say("data", "review", "export", path, "--out", tmp_path / "asked")
    rows = csv.DictReader((tmp_path / "asked" / "review.csv").read_text(encoding="utf-8-sig").splitlines())
    (tmp_path / "decided.csv").write_text(f"key,verdict\n{next(rows)['key']},accept\n")
    said = say("data", "review", "import", path, tmp_path / "decided.csv", "--reviewer", "Ana")
    assert "1 new decisions, 0 changed, 0 known, 0 still open" in said
    assert "29 open questions (1 are decided)" in say("data", "review", "export", path)
    assert (tmp_path / "work" / "review" / "review.html").exists()


def test_the_whole_way_to_a_version_and_back(path: Path, tmp_path: Path) -> None:
    turns = [
        {"speaker": "caller", "text": "May my old dog run free under the apple trees on a sunny morning?"},
        {"speaker": "agent", "text": "Dogs must be on a leash. Bring a hat in summer."},
    ]
    (tmp_path / "sources" / "c.jsonl").write_text(call(99, patient="P9", id="C99", turns=turns), encoding="utf-8")
    said = say("curate", path)
    assert "report.html" in said
    assert "questions wait for people" in said
    (first,) = find_versions(tmp_path / "versions").values()
    link = tmp_path / "current"
    link.unlink(missing_ok=True)
    link.symlink_to(first)
    gone = say("data", "forget", path, link, given="P9\n")
    assert (tmp_path / "versions" / TOMBSTONES).exists()
    assert "will be left out of every later run" in gone
    assert "1 records" in gone
    second = next(folder for folder in find_versions(tmp_path / "versions").values() if folder != first)
    assert "removed" in say("data", "diff", first, second)
    assert json.loads(say("data", "diff", first, second, "--json"))["related"] == "child"


def forget_fails(path: Path, said: str, patient: str = "P1") -> str:
    """What is printed before it fails."""
    (version,) = find_versions(path.parent / "versions").values()
    result = CliRunner().invoke(cli, ["data", "forget", str(path), str(version), "--patient", patient])
    assert isinstance(result.exception, ConfigurationError)
    assert re.search(said, str(result.exception))
    return result.output


def with_a_version(folder: Path) -> Path:
    """A config file with a link to the newest version, and one version that holds the patient P1."""
    settings = config(folder, current=folder / "current", secret={"demonstration": SECRET.decode()})
    write_version(content(folder / "content", SIX), folder / "versions", provenance())
    file = folder / "curate.yaml"
    file.write_text(yaml.safe_dump(settings.model_dump(mode="json", exclude_defaults=True)), encoding="utf-8")
    return file


def test_a_link_that_cannot_be_set_does_not_hide_what_was_done(tmp_path: Path) -> None:
    file = with_a_version(tmp_path)
    (tmp_path / ".current.part").mkdir()
    said = forget_fails(file, r"current still leads to .*; the version without .*: mend it and set the link: ln -sfn")
    assert "new version" in said
    assert len(find_versions(tmp_path / "versions")) == 2


def test_only_a_link_to_the_version_that_is_mended_is_moved(tmp_path: Path) -> None:
    file = with_a_version(tmp_path)
    (held,) = find_versions(tmp_path / "versions").values()
    newer = write_version(content(tmp_path / "other", SIX[5:]), tmp_path / "versions", provenance())
    link = tmp_path / "current"
    link.symlink_to(newer)
    said = say("data", "forget", file, held, "--patient", "P1")
    assert "new version" in said
    assert link.resolve() == newer.resolve()
    assert "leads to a version with the patient" not in said
    link.unlink()
    link.symlink_to(held)
    said = say("data", "forget", file, newer, "--patient", "P1", "--purge")
    assert not held.exists()
    assert "leads to a version with the patient: run `bedside-train curate" in said.replace("\n", " ")


def test_a_folder_in_the_place_of_the_link_is_refused(tmp_path: Path) -> None:
    file = with_a_version(tmp_path)
    (tmp_path / "current").mkdir()
    assert forget_fails(file, r"current: .*current is there and no link; name another place") == ""


@pytest.mark.parametrize("name", ["work", "w4[a]"])
def test_forgetting_looks_into_our_folders_and_no_others(tmp_path: Path, name: str) -> None:
    file = with_a_version(tmp_path)
    file.write_text(file.read_text().replace(f"work: {tmp_path / 'work'}\n", f"work: '{tmp_path / name}'\n"))
    ours = [tmp_path / folder / ".01-ingest.part" for folder in (name, f"{name}-shard-1-of-4")]
    theirs = [tmp_path / folder / ".draft.part" for folder in (f"{name}notes", f"{name}-shard-1-of-4.old", "w4a")]
    for folder in (*ours, *theirs):
        folder.mkdir(parents=True)
    (version,) = find_versions(tmp_path / "versions").values()
    said = say("data", "forget", file, version, "--patient", "P1")
    assert [folder for folder in ours if f"had left it: {folder}" in said.replace("\n", "")] == ours
    assert not any(folder.exists() for folder in ours)
    assert all(folder.exists() for folder in theirs)
    assert not any((folder.parent / ".lock").exists() for folder in theirs)


def test_a_link_that_leads_to_itself_is_no_version(path: Path, tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to("loop")
    with pytest.raises(ConfigurationError, match="is no version of this config"):
        say("data", "forget", path, tmp_path / "loop", "--patient", "P1")


def test_the_demo_sources_are_written_anew(tmp_path: Path) -> None:
    said = say("demo-sources", "--out", tmp_path / "out")
    assert "transcript" in said
    assert (tmp_path / "out" / "key.jsonl").read_bytes() == Path("demo/transcripts/key.jsonl").read_bytes()
