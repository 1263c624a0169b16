"""What an adapter has learnt by way of the one that its training began with stays in sight."""

from __future__ import annotations

import gzip
import json
import shutil
from pathlib import Path

import pytest
import yaml

from app.contracts.adapters import AdapterManifest, Ancestor, read_manifest, write_json
from app.errors import ConfigurationError
from tests.unit.training.tiny import make_dialogue
from training.files import file_hash
from training.finetune.ancestry import (
    learnt_files,
    learnt_texts,
    require_held_out_unseen,
    require_named,
    starting_manifest,
)
from training.finetune.config import FinetuneConfig, load_config
from training.finetune.data import save_dialogues
from training.finetune.dialogues import build

SHIPPED = Path("demo/adapters/support")


@pytest.fixture
def config(tmp_path: Path) -> FinetuneConfig:
    for name in ("train", "held_out", "earlier"):
        save_dialogues([make_dialogue(1, name)], tmp_path / f"{name}.jsonl")
    return FinetuneConfig(
        name="support", base_model="demo/model", base_id="demo", site="Cedar Valley Health",
        train=tmp_path / "train.jsonl", held_out=tmp_path / "held_out.jsonl", output=tmp_path / "out",
        work=tmp_path / "work",
    )  # fmt: skip


def ancestor(*files: Path) -> Ancestor:
    return Ancestor(
        version="support@aaaaaaaaaaaa",
        content_sha256="a" * 64,
        dataset_sha256="d" * 64,
        trained_on=[file_hash(path) for path in files],
    )


def test_what_an_ancestor_learnt_from_is_named_somewhere_in_the_config(config: FinetuneConfig, tmp_path: Path) -> None:
    earlier = tmp_path / "earlier.jsonl"
    require_named([], config)
    require_named([ancestor(config.train)], config)
    with pytest.raises(ConfigurationError, match=r"aaa learnt from 1 of 2 files .* under learnt_before"):
        require_named([ancestor(config.train), ancestor(config.train, earlier)], config)
    require_named([ancestor(earlier)], config.model_copy(update={"also_train": (earlier,)}))
    before, both = config.model_copy(update={"learnt_before": (earlier,)}), ancestor(config.train, earlier)
    require_named([both], before)
    save_dialogues([make_dialogue(2, "changed")], earlier)
    with pytest.raises(ConfigurationError, match=r"learnt from 1 of 2 files .* as they were"):
        require_named([both], before)
    earlier.unlink()
    with pytest.raises(ConfigurationError, match=r"earlier\.jsonl cannot be read"):
        require_named([both], before)


def test_an_ancestor_of_which_nobody_knows_is_refused(config: FinetuneConfig) -> None:
    with pytest.raises(ConfigurationError, match=r"does not tell what it learnt from.*begin at zero"):
        require_named([ancestor()], config)


def test_an_adapter_without_a_sound_manifest_is_no_start(config: FinetuneConfig, tmp_path: Path) -> None:
    assert starting_manifest(config) is None
    start = Path(shutil.copytree(SHIPPED, tmp_path / "start"))
    begun = config.model_copy(update={"start_from": start})
    assert starting_manifest(begun) == read_manifest(SHIPPED)
    (start / "manifest.json").unlink()
    with pytest.raises(ConfigurationError, match=r"nobody can tell what it learnt from: .* holds no manifest\.json"):
        starting_manifest(begun)


def test_the_line_of_an_adapter_ends_with_itself() -> None:
    shipped = read_manifest(SHIPPED)
    first = ancestor(Path("demo/site.yaml"))
    line = shipped.model_copy(update={"ancestors": [first]}).line
    assert [one.version for one in line] == [first.version, shipped.version]
    assert line[-1].trained_on == shipped.trained_on != []


def test_a_manifest_of_an_earlier_version_is_read(tmp_path: Path) -> None:
    shutil.copytree(SHIPPED, tmp_path / "adapter")
    path = tmp_path / "adapter" / "manifest.json"
    fields = json.loads(path.read_bytes())
    del fields["trained_on"], fields["ancestors"]
    path.write_text(json.dumps(fields), encoding="utf-8")
    manifest = read_manifest(tmp_path / "adapter")
    assert (manifest.trained_on, manifest.ancestors) == ([], [])
    write_json(manifest, path)
    assert AdapterManifest.model_validate_json(path.read_bytes()) == manifest


def test_texts_in_folders_count_and_programs_do_not(config: FinetuneConfig, tmp_path: Path) -> None:
    folder = tmp_path / "texts"
    (folder / "deep").mkdir(parents=True)
    for name in ("page.txt", "deep/page.yaml", "program.py", "notes"):
        (folder / name).write_text("one line\nand another\n", encoding="utf-8")
    found = learnt_files(config.model_copy(update={"learnt_before": (folder, folder / "notes")}))
    assert found == [config.train, folder / "deep/page.yaml", folder / "page.txt", folder / "notes"]
    assert list(learnt_texts(folder / "page.txt")) == ["one line", "and another"]


def test_rows_teach_their_question_or_else_all_their_texts(tmp_path: Path) -> None:
    rows = [
        {"question": "What?", "answer": "a sentence of an article"},
        {"turns": [{"role": "user", "content": "Hello."}], "number": 1},
    ]
    with gzip.open(tmp_path / "rows.jsonl.gz", "wt", encoding="utf-8") as out:
        out.writelines(json.dumps(row) + "\n" for row in rows)
    assert list(learnt_texts(tmp_path / "rows.jsonl.gz")) == ["What?", "user", "Hello."]
    (tmp_path / "rows.jsonl.gz").write_bytes(b"no gzip")
    with pytest.raises(ConfigurationError, match=r"rows\.jsonl\.gz cannot be read"):
        list(learnt_texts(tmp_path / "rows.jsonl.gz"))


def test_an_article_that_was_learnt_before_cannot_be_held_out(config: FinetuneConfig, tmp_path: Path) -> None:
    require_held_out_unseen(config)
    before = config.model_copy(update={"learnt_before": (tmp_path / "earlier.jsonl",)})
    require_held_out_unseen(before)
    save_dialogues([make_dialogue(1, "held_out")], tmp_path / "earlier.jsonl")
    with pytest.raises(ConfigurationError, match="both sides of the split: held_out; take them out"):
        require_held_out_unseen(before)


def test_a_file_that_is_not_there_is_told_with_its_field(config: FinetuneConfig, tmp_path: Path) -> None:
    fields = config.model_dump(mode="json") | {"learnt_before": [str(tmp_path / "gone.jsonl")]}
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(fields), encoding="utf-8")
    with pytest.raises(ConfigurationError, match=r"learnt_before: .*gone\.jsonl does not exist; put it there"):
        load_config(tmp_path / "config.yaml")


def test_the_shipped_configs_name_what_the_shipped_adapter_learnt_from(tmp_path: Path) -> None:
    build(Path("demo/articles"), Path("demo/dialogues/questions.yaml"), tmp_path)
    learnt = {"var/dialogues/train.jsonl": file_hash(tmp_path / "train.jsonl")}
    for name in ("curated", "support"):
        config = FinetuneConfig.model_validate(yaml.safe_load(Path(f"demo/adapters/{name}.yaml").read_text()))
        assert config.start_from == SHIPPED
        named = {learnt.get(str(path)) for path in config.training_files}
        assert set(read_manifest(SHIPPED).trained_on) <= named
