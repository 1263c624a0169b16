from __future__ import annotations

import hashlib
import json
import resource
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file

from app.bootstrap import model_facts
from app.contracts.adapters import content_hash, read_manifest
from app.errors import AdapterInvalid, ConfigurationError
from tests.unit.training.tiny import make_dialogue
from training.files import file_hash
from training.finetune.adapter import base_hash, require_servable, save_adapter, write_adapter
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


def killed(made: FinetuneConfig, config: FinetuneConfig) -> FinetuneConfig:
    """``config``, its work folder as the run ``made`` left it when it was killed on the way from step 2 to 4."""
    shutil.copytree(made.work / "checkpoint-2", config.work / "checkpoint-2")
    shutil.copy(made.work / "run.json", config.work)
    rows = (made.work / "metrics.jsonl").read_text()
    (config.work / "metrics.jsonl").write_text(rows[: rows.rindex('{"step"') + 9])
    return config


def logged(config: FinetuneConfig) -> list[tuple[int, float | None]]:
    """Steps and held-out losses of metrics.jsonl."""
    rows = [json.loads(line) for line in (config.work / "metrics.jsonl").read_text().splitlines()]
    return [(row["step"], row.get("eval_loss")) for row in rows]


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
        require_servable(tmp_path)


def test_a_killed_run_ends_after_resume_bit_for_bit_where_an_unbroken_one_does(
    made: FinetuneConfig, tmp_path: Path, base: Path
) -> None:
    config = killed(made, make_config(tmp_path, base, "two"))
    again = write_adapter(train(config, resume=True, show=False), config)
    assert content_hash(config.output) == content_hash(made.output)
    whole = read_manifest(made.output).metrics
    assert again.metrics["train_loss"] == pytest.approx(whole["train_loss"])
    assert logged(config) == logged(made)


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"site": "Elsewhere"}, "other site"),
        ({"canaries": 3}, "other canaries"),
        ({"lora": {"rank": 8, "alpha": 9}}, "other lora"),
        ({"training": {"seed": 8, "batch_size": 4}}, "training.seed"),
    ],
)
def test_the_checkpoint_of_another_run_is_refused(
    made: FinetuneConfig, tmp_path: Path, base: Path, changes: dict[str, Any], word: str
) -> None:
    config = killed(made, make_config(tmp_path, base, **changes))
    with pytest.raises(ConfigurationError, match=f"{word}.*run without --resume"):
        train(config, resume=True, show=False)


def test_the_checkpoint_of_other_dialogues_or_of_nobody_knows_whom_is_refused(
    made: FinetuneConfig, tmp_path: Path, base: Path
) -> None:
    config = killed(made, make_config(tmp_path, base))
    save_dialogues([make_dialogue(number, f"train-{number}") for number in range(1, 13)], config.train)
    with pytest.raises(ConfigurationError, match="other dialogues: run without --resume"):
        train(config, resume=True, show=False)
    (config.work / "run.json").unlink()
    with pytest.raises(ConfigurationError, match=r"run\.json does not tell: run without --resume"):
        train(config, resume=True, show=False)


def test_a_new_run_in_a_used_folder_keeps_nothing_of_the_old_one(
    made: FinetuneConfig, tmp_path: Path, base: Path
) -> None:
    config = make_config(tmp_path, base)
    shutil.copytree(made.work, config.work)
    (config.work / "checkpoint-4").rename(config.work / "checkpoint-400")
    shorter = config.model_copy(update={"training": config.training.model_copy(update={"max_steps": 2})})
    train(shorter, show=False)
    assert {step for step, _ in logged(shorter)} == {2}
    assert [path.name for path in config.work.glob("checkpoint-*")] == ["checkpoint-2"]
    train(shorter, resume=True, show=False)


@contextmanager
def no_file_over(size: int) -> Iterator[None]:
    """The system refuses to write files of more bytes, as a disk does that is full."""
    before, most = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, most))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (before, most))


@pytest.mark.parametrize("size", [2_000, 12_000, 50_000], ids=["the card", "the weights", "the optimizer"])
def test_a_disk_that_is_full_at_the_first_checkpoint_is_told(tmp_path: Path, base: Path, size: int) -> None:
    config = make_config(tmp_path, base)
    told = r"checkpoint-2 cannot be written .*make room .*run this again with --resume; nothing is kept yet"
    with no_file_over(size), pytest.raises(ConfigurationError, match=told):
        train(config, show=False)
    assert list(config.work.glob("checkpoint-*")) == []


def test_a_run_that_a_full_disk_stopped_goes_on_from_what_was_kept(
    made: FinetuneConfig, tmp_path: Path, base: Path
) -> None:
    config = killed(made, make_config(tmp_path, base, "two"))
    metrics = config.work / "metrics.jsonl"
    told = r"cannot be written .*--resume; .*work/checkpoint-2 is kept, it will go on from there"
    with no_file_over(50_000), pytest.raises(ConfigurationError, match=f"checkpoint-4 {told}"):
        train(config, resume=True, show=False)
    assert [path.name for path in config.work.glob("checkpoint-*")] == ["checkpoint-2"]
    before = "".join(row for row in metrics.read_text().splitlines(keepends=True) if json.loads(row)["step"] <= 2)
    with no_file_over(len(before) + 10), pytest.raises(ConfigurationError, match=f"metrics.jsonl {told}"):
        train(config, resume=True, show=False)
    write_adapter(train(config, resume=True, show=False), config)
    assert content_hash(config.output) == content_hash(made.output)


def test_a_checkpoint_that_a_killed_run_left_half_is_passed_over(
    made: FinetuneConfig, tmp_path: Path, base: Path
) -> None:
    config = killed(made, make_config(tmp_path, base, "two"))
    shutil.copytree(config.work / "checkpoint-2", config.work / "checkpoint-3")
    (config.work / "checkpoint-3" / "trainer_state.json").write_text('{"global_step": 3')
    write_adapter(train(config, resume=True, show=False), config)
    assert content_hash(config.output) == content_hash(made.output)


def test_both_losses_are_of_the_kept_state(tmp_path: Path, base: Path) -> None:
    config = make_config(tmp_path, base, canaries=0)
    save_dialogues([make_dialogue(number, f"held-{number}") for number in range(12)], config.held_out)
    metrics = train(config, show=False).metrics
    assert metrics["train_loss"] == pytest.approx(metrics["held_out_loss"])


def test_a_canary_that_is_too_long_to_be_trained_on_is_refused(tmp_path: Path, base: Path) -> None:
    config = make_config(tmp_path, base, canaries=200)
    short = [make_dialogue(number, f"train-{number}") for number in range(40)]
    long = make_dialogue(99, "train-99")
    save_dialogues([*short, long.model_copy(update={"passages": [long.passages[0] * 12]})], config.train)
    with pytest.raises(ConfigurationError, match="of 200 canaries are longer than max_length 400; raise max_length"):
        train(config, show=False)


@pytest.mark.parametrize("broken", ["nowhere", "no weights", "half the weights"])
def test_a_base_model_that_cannot_be_loaded_is_named(tmp_path: Path, base: Path, broken: str) -> None:
    other = tmp_path / "base"
    if broken != "nowhere":
        shutil.copytree(base, other)
        weights = other / "model.safetensors"
        weights.unlink() if broken == "no weights" else weights.write_bytes(weights.read_bytes()[:1000])
    with pytest.raises(ConfigurationError, match=f"{other}.*name "):
        train(make_config(tmp_path, other), show=False)


def test_what_cannot_be_written_is_said_before_training(tmp_path: Path, base: Path) -> None:
    (tmp_path / "file").write_text("")
    config = make_config(tmp_path, tmp_path / "no base")
    for field in ("work", "output"):
        broken = config.model_copy(update={field: tmp_path / "file" / "in" / "it"})
        with pytest.raises(ConfigurationError, match=r"cannot be written into.*make it writable"):
            train(broken, show=False)


def test_an_adapter_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    output = tmp_path / "file" / "adapter"
    with pytest.raises(ConfigurationError, match=f"{output} cannot be written.*--resume"):
        save_adapter(None, output, "tiny", manifest=lambda _: pytest.fail("reached"), card=lambda _: "")


def test_the_base_of_an_adapter_is_the_one_that_the_service_reads(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    for number in (1, 2):
        (tmp_path / f"model-0000{number}-of-00002.safetensors").write_bytes(bytes([number]))
    whole = base_hash(str(tmp_path))
    assert model_facts(str(tmp_path)) == ({}, whole)
    (tmp_path / "model-00002-of-00002.safetensors").write_bytes(b"changed")
    assert base_hash(str(tmp_path)) != whole
    assert base_hash("org/model") == hashlib.sha256(b"org/model").hexdigest()
    assert model_facts("org/model") == (None, None)


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


def test_an_adapter_names_those_that_it_began_with_and_what_they_learnt_from(
    made: FinetuneConfig, tmp_path: Path, base: Path
) -> None:
    first = read_manifest(made.output)
    assert (first.trained_on, first.ancestors) == ([file_hash(made.train)], [])
    (tmp_path / "next").mkdir()
    second = make_config(tmp_path / "next", base, start_from=made.output)
    save_dialogues([make_dialogue(number, f"new-{number}") for number in range(12)], second.train)
    with pytest.raises(ConfigurationError, match=f"{first.version} learnt from 1 of 1 files that the config does not"):
        train(second, show=False)
    second = second.model_copy(update={"learnt_before": (made.train,)})
    write_adapter(train(second, show=False), second)
    (second.output.parent / "start").mkdir()
    third = make_config(second.output.parent / "start", base, start_from=second.output)
    third = third.model_copy(update={"train": second.train, "learnt_before": (made.train,)})
    told = write_adapter(train(third, show=False), third)
    assert told.ancestors == read_manifest(second.output).line
    assert [one.content_sha256 for one in told.ancestors] == [first.content_sha256, content_hash(second.output)]
    assert [one.trained_on for one in told.ancestors] == [[file_hash(made.train)], [file_hash(second.train)]]
    card = (third.output / "README.md").read_text()
    assert f"the adapter `{told.ancestors[1].version}`, which began with `{first.version}`" in card


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
