"""The config: every fault named with its field and the mend, in the first second."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from app.errors import ConfigurationError
from training.config_file import read_fields
from training.curate.config import CurateConfig, load_config
from training.curate.deidentify import Options as Deidentify
from training.curate.formats.contract import FIELDS, SourceRule
from training.curate.ingest import Options as Ingest

DEMO = Path("demo/curate.yaml")


def fault(folder: Path, **change: object) -> str:
    fields = yaml.safe_load(DEMO.read_text(encoding="utf-8")) | change
    path = folder / "curate.yaml"
    path.write_text(yaml.safe_dump({name: value for name, value in fields.items() if value is not None}))
    with pytest.raises(ConfigurationError) as error:
        load_config(path)
    return str(error.value)


def test_the_demo_config_is_whole_and_its_paths_are_there() -> None:
    config = load_config(DEMO)
    assert config.sources.is_dir()
    assert config.articles.is_dir()
    assert config.key(config.read_site())
    kinds = {rule.kind for rule in config.ingest.sources}
    assert kinds == {"transcript", "note", "faq"}


def test_the_demo_adapter_learns_from_what_the_demo_config_writes() -> None:
    fields = yaml.safe_load(Path("demo/adapters/curated.yaml").read_text(encoding="utf-8"))
    current = load_config(DEMO).current
    assert current is not None
    assert fields["also_train"] == [str(current / "train.jsonl")]
    plain = yaml.safe_load(Path("demo/adapters/support.yaml").read_text(encoding="utf-8"))
    assert {name: value for name, value in fields.items() if name != "also_train"} == plain


def test_each_stage_has_its_own_options() -> None:
    stages = ("ingest", "deidentify", "correct", "check", "deduplicate", "balance", "split", "augment", "publish")
    assert [name for name in CurateConfig.model_fields if name in stages] == list(stages)


def test_every_field_and_format_is_documented() -> None:
    page = Path("docs/curate.md").read_text(encoding="utf-8")
    for name in (*CurateConfig.model_fields, *SourceRule.model_fields, *FIELDS, *Ingest.model_fields):
        assert f"`{name}" in page or f" {name}:" in page, name
    for name in Deidentify.model_fields:
        assert f"`{name}" in page, name


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"name": "Not A Name"}, "name: "),
        ({"sources": None}, "sources: Field required"),
        ({"unknown": 1}, "unknown: Extra inputs"),
        ({"workers": 0}, "workers: "),
        ({"ingest": {"sources": []}}, "ingest.sources: "),
        ({"ingest": {"sources": [{"files": "*", "kind": "song"}]}}, "ingest.sources.0.kind: "),
        ({"deidentify": {"dates": "keep"}}, "deidentify.dates: "),
        ({"deidentify": {"audit_share": 2}}, "deidentify.audit_share: "),
        ({"secret": {"environment": "A", "demonstration": "b"}}, "secret: name one of environment, file"),
        ({"work": "demo/transcripts/work"}, "work: demo/transcripts/work lies inside the sources"),
        ({"versions": "demo/transcripts"}, "versions: demo/transcripts lies inside the sources"),
        ({"current": "demo"}, "current: demo is there and no link"),
        ({"work": "var/a", "versions": "var/a/b"}, "versions: var/a/b lies inside work"),
    ],
)
def test_a_fault_names_its_field(tmp_path: Path, change: dict[str, object], said: str) -> None:
    assert said in fault(tmp_path, **change)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("name: a\nseed: 2026-13-45\n", "no such number or date; put it between quotes.*line 2"),
        (f"seed: {'9' * 5000}\n", "no such number or date"),
        ("x: " + "[" * 3000, "cannot be read: nested too deeply"),
        ('x: !!int ""\n', "no such number or date"),
        ("x: !!bool maybe\n", "no such number or date"),
        ("x: !!timestamp never\n", "no such number or date"),
        ('name: a\nsources: "a\\0b"\n', "a character that is no text; remove it.*line 2"),
        ('work: "w\\ud800"\n', "a character that is no text"),
        ("name: a\nseed: 1\nname: b\n", "'name' is there twice; remove one.*line 3"),
        ("ingest: {sources: [], sources: []}\n", "'sources' is there twice"),
    ],
)
def test_a_value_that_is_none_is_said_with_its_line(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "curate.yaml"
    path.write_text(text)
    with pytest.raises(ConfigurationError, match=f"(?s){said}"):
        load_config(path)


def test_fields_may_be_merged_in_and_then_differ(tmp_path: Path) -> None:
    path = tmp_path / "some.yaml"
    path.write_text("one: &one {a: 1, b: 2}\ntwo: &two {<<: *one, b: 3}\nthree: {<<: [*one, *two], c: 4}\n")
    assert read_fields(path)["three"] == {"a": 1, "b": 2, "c": 4}
    assert read_fields(path)["two"] == {"a": 1, "b": 3}


def test_the_articles_are_apart_in_all_stages_or_in_none(tmp_path: Path) -> None:
    said = "split.articles is shared and publish.articles apart; set both alike"
    assert said in fault(tmp_path, split={"articles": "shared"})


@pytest.mark.parametrize("name", ["decisions", "versions", "sources"])
def test_what_is_to_be_kept_does_not_lie_in_the_folder_that_may_be_deleted(tmp_path: Path, name: str) -> None:
    said = fault(tmp_path, work=str(tmp_path / "w"), **{name: str(tmp_path / "w" / "x")})
    assert f"{name}: {tmp_path / 'w' / 'x'} lies inside work, which may be deleted" in said


def test_a_link_that_leads_to_itself_is_no_end_of_the_command(tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to("loop")
    assert "loop lies inside work" in fault(tmp_path, work=str(tmp_path / "loop"), versions=str(tmp_path / "loop"))


def test_a_file_that_is_no_config(tmp_path: Path) -> None:
    path = tmp_path / "curate.yaml"
    for text, said in ((None, "does not exist"), ("- a\n", "field: value"), ("a: [", "cannot be read")):
        if text is not None:
            path.write_text(text)
        with pytest.raises(ConfigurationError, match=said):
            load_config(path)
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigurationError, match="cannot be read"):
        load_config(path)
