from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from app.errors import ConfigurationError
from training.finetune.config import FinetuneConfig, load_config, require_start


def write(folder: Path, **changes: Any) -> Path:
    for name in ("train.jsonl", "held_out.jsonl"):
        (folder / name).write_text("{}\n")
    fields: dict[str, Any] = {
        "name": "support",
        "base_model": "some/hub-id",
        "base_id": "demo",
        "site": "Cedar Valley Health",
        "train": str(folder / "train.jsonl"),
        "held_out": str(folder / "held_out.jsonl"),
        "output": str(folder / "out"),
        "work": str(folder / "work"),
        **changes,
    }
    path = folder / "config.yaml"
    path.write_text(yaml.safe_dump(fields))
    return path


@pytest.mark.parametrize("name", ["support", "shipped"])
def test_the_shipped_configs_are_valid(name: str) -> None:
    config = FinetuneConfig.model_validate(yaml.safe_load(Path(f"demo/adapters/{name}.yaml").read_text()))
    assert config.lora.rslora
    assert config.lora.rank in (16, 32, 64)


@pytest.mark.parametrize(
    ("lora", "word"),
    [
        ({"dora": True}, "DoRA"),
        ({"lora_bias": True}, "lora_bias"),
        ({"bias": "all"}, "bias"),
        ({"modules_to_save": ["lm_head"]}, "modules_to_save"),
        ({"init": "pissa"}, "pissa"),
        ({"init": "olora"}, "olora"),
        ({"rank": 12}, "rank 12"),
        ({"rank": 1024}, "rank 1024"),
        ({"qalora": True}, "QALoRA"),
        ({"layer_replication": [[0, 2]]}, "replicated"),
        ({"trainable_tokens": [5]}, "trainable_tokens"),
    ],
)
def test_what_the_engine_cannot_load_is_refused_with_the_mend(tmp_path: Path, lora: dict[str, Any], word: str) -> None:
    with pytest.raises(ConfigurationError, match=word):
        load_config(write(tmp_path, lora=lora))


@pytest.mark.parametrize("rank", [1, 8, 16, 32, 64, 128, 256, 320, 512])
def test_served_ranks_are_accepted(tmp_path: Path, rank: int) -> None:
    assert load_config(write(tmp_path, lora={"rank": rank})).lora.rank == rank


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"train": "nowhere.jsonl"}, "nowhere.jsonl does not exist"),
        ({"name": "Big Name"}, "name"),
        ({"speed": 3}, "speed"),
    ],
)
def test_other_faults_name_file_and_field(tmp_path: Path, changes: dict[str, Any], word: str) -> None:
    with pytest.raises(ConfigurationError, match=word) as caught:
        load_config(write(tmp_path, **changes))
    assert "config.yaml" in str(caught.value)


def test_a_missing_or_broken_file_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="does not exist"):
        load_config(tmp_path / "none.yaml")
    (tmp_path / "broken.yaml").write_text("a: [")
    with pytest.raises(ConfigurationError, match=r"broken\.yaml"):
        load_config(tmp_path / "broken.yaml")


def test_checking_a_config_loads_no_heavy_library() -> None:
    code = "import sys, training.cli, training.finetune.config; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_start_that_does_not_exist_is_refused_for_training_only(tmp_path: Path) -> None:
    config = load_config(write(tmp_path, start_from=str(tmp_path / "nowhere")))
    with pytest.raises(ConfigurationError, match="start_from"):
        require_start(config)
    require_start(load_config(write(tmp_path)))


def test_a_start_in_the_folder_that_training_clears_is_refused(tmp_path: Path) -> None:
    config = load_config(write(tmp_path))
    with pytest.raises(ConfigurationError, match=r"start_from.*copy it elsewhere"):
        require_start(config.model_copy(update={"start_from": config.work / "checkpoint-50"}))
