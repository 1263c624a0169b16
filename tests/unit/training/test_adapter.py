from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path

import pytest
from safetensors.torch import load_file

from app.contracts.adapters import content_hash
from app.errors import AdapterInvalid, ConfigurationError
from tests.unit.training.tiny import make_dialogue
from training.finetune.adapter import base_hash, read_manifest, write_adapter
from training.finetune.config import FinetuneConfig
from training.finetune.data import save_dialogues
from training.finetune.trainer import train

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::UserWarning")


def make_config(folder: Path, base: Path, name: str = "one", **changes: object) -> FinetuneConfig:
    save_dialogues([make_dialogue(number, f"train-{number}") for number in range(12)], folder / "train.jsonl")
    save_dialogues([make_dialogue(number, f"held-{number}") for number in range(4)], folder / "held_out.jsonl")
    training = {
        "max_steps": 4,
        "batch_size": 4,
        "evaluate_every": 2,
        "max_length": 400,
        "threads": 1,
        "warmup_steps": 0,
    }
    fields = {
        "name": "support",
        "base_model": str(base),
        "base_id": "tiny",
        "site": "Cedar Valley Health",
        "train": folder / "train.jsonl",
        "held_out": folder / "held_out.jsonl",
        "output": folder / name / "adapter",
        "work": folder / name / "work",
        "lora": {"rank": 8, "alpha": 8, "dropout": 0.1},
        "training": {**training, "learning_rate": 1e-2, "precision": "float32"},
    }
    return FinetuneConfig.model_validate({**fields, **changes})


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, base: Path) -> FinetuneConfig:
    """A config whose adapter has been trained and written."""
    config = make_config(tmp_path_factory.mktemp("made"), base)
    write_adapter(train(config, show=False), config)
    return config


def test_the_manifest_matches_the_weights_and_their_source(made: FinetuneConfig, base: Path) -> None:
    manifest = read_manifest(made.output)
    assert manifest.content_sha256 == content_hash(made.output)
    assert manifest.version == f"support@{manifest.content_sha256[:12]}"
    assert manifest.base_sha256 == base_hash(str(base))
    assert (manifest.rank, manifest.alpha) == (8, 8.0)
    assert "q_proj" in manifest.target_modules
    assert manifest.metrics["steps"] == 4
    assert manifest.libraries["torch"]
    assert {path.name for path in made.output.iterdir()} == {
        "adapter_config.json",
        "adapter_model.safetensors",
        "manifest.json",
        "README.md",
    }


def test_the_written_files_hold_nothing_that_the_engine_refuses_and_no_local_path(made: FinetuneConfig) -> None:
    fields = json.loads((made.output / "adapter_config.json").read_text())
    assert fields["use_rslora"]
    assert not fields["use_dora"]
    assert fields["base_model_name_or_path"] == "tiny"
    weights = load_file(str(made.output / "adapter_model.safetensors"))
    assert all("lora_" in name for name in weights)
    assert any(float(tensor.abs().sum()) > 0 for name, tensor in weights.items() if "lora_B" in name)


def test_the_card_is_written_from_the_manifest(made: FinetuneConfig) -> None:
    text = (made.output / "README.md").read_text()
    assert read_manifest(made.output).version in text
    assert "rank 8" in text
    assert "More Information Needed" not in text


def test_changed_or_missing_files_are_refused(made: FinetuneConfig, tmp_path: Path) -> None:
    for path in made.output.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    read_manifest(tmp_path)
    weights = tmp_path / "adapter_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"\x01")
    with pytest.raises(AdapterInvalid, match="not those that the manifest names"):
        read_manifest(tmp_path)
    weights.unlink()
    with pytest.raises(AdapterInvalid, match="holds no adapter_model"):
        read_manifest(tmp_path)


def test_another_prompt_version_is_refused(made: FinetuneConfig, tmp_path: Path) -> None:
    for path in made.output.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    fields = json.loads((tmp_path / "manifest.json").read_text())
    (tmp_path / "manifest.json").write_text(json.dumps({**fields, "prompt_version": "v0"}))
    with pytest.raises(AdapterInvalid, match="prompt v0"):
        read_manifest(tmp_path)


def test_a_killed_run_ends_after_resume_bit_for_bit_where_an_unbroken_one_does(
    made: FinetuneConfig, tmp_path: Path, base: Path
) -> None:
    config = make_config(tmp_path, base, "two")
    shutil.copytree(made.work / "checkpoint-2", config.work / "checkpoint-2")
    write_adapter(train(config, resume=True, show=False), config)
    steps = [json.loads(line)["step"] for line in (config.work / "metrics.jsonl").read_text().splitlines()]
    assert min(steps) > 2
    assert content_hash(config.output) == content_hash(made.output)


def test_the_time_budget_ends_training_with_a_state_to_keep(tmp_path: Path, base: Path) -> None:
    config = make_config(tmp_path, base)
    short = config.model_copy(update={"training": config.training.model_copy(update={"minutes": 1e-9})})
    metrics = train(short, show=False).metrics
    assert metrics["steps"] == 1
    assert metrics["held_out_loss"] > 0


def test_articles_on_both_sides_are_refused(tmp_path: Path, base: Path) -> None:
    config = make_config(tmp_path, base)
    save_dialogues([make_dialogue(1, "train-3")], config.held_out)
    with pytest.raises(ConfigurationError, match="train-3"):
        train(config, show=False)


def in_dataset(config: FinetuneConfig, version: str) -> FinetuneConfig:
    """The same config, its files beside the manifest of a curated dataset version."""
    files = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in (config.train, config.held_out)}
    (config.train.parent / "manifest.json").write_text(json.dumps({"version": version, "files": files}))
    return config


def test_an_adapter_names_the_dataset_versions_in_its_weights(tmp_path: Path, base: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    first = in_dataset(make_config(tmp_path / "a", base), "a" * 64)
    assert write_adapter(train(first, show=False), first).dataset_versions == ["a" * 64]
    second = in_dataset(make_config(tmp_path / "b", base, start_from=first.output), "b" * 64)
    assert write_adapter(train(second, show=False), second).dataset_versions == ["a" * 64, "b" * 64]
    assert "`bbbbbbbbbbbbbbbb`" in (second.output / "README.md").read_text()


def test_files_changed_after_their_dataset_version_are_refused_before_training(tmp_path: Path, base: Path) -> None:
    config = in_dataset(make_config(tmp_path, base), "a" * 64)
    save_dialogues([make_dialogue(1)], config.train)
    with pytest.raises(ConfigurationError, match="was changed after its dataset version"):
        train(config, show=False)


def test_training_can_begin_with_an_adapter_of_the_same_shape_only(
    made: FinetuneConfig, tmp_path: Path, base: Path
) -> None:
    config = make_config(tmp_path, base, start_from=made.output)
    assert train(config, show=False).metrics["held_out_loss"] < read_manifest(made.output).metrics["held_out_loss"]
    other = make_config(tmp_path, base, start_from=made.output, lora={"rank": 16})
    with pytest.raises(ConfigurationError, match="start_from"):
        train(other, show=False)
