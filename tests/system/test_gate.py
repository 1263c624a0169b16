"""The gate's command on a few items, with the real model, the real pipeline and vLLM of its own."""

from __future__ import annotations

import asyncio
import json
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

from app.engine.protocol import Engine
from training.cli import cli
from training.evaluation.evaluate import Plan
from training.evaluation.gate import last_line, run_gate
from training.evaluation.pipeline import Setup
from training.evaluation.rules import load_policy
from training.finetune.config import load_config
from training.finetune.dialogues import build

pytestmark = [
    pytest.mark.engine,
    pytest.mark.timeout(900),
    pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::UserWarning"),
]


def test_a_trial_answers_probes_judges_and_writes_nothing_beside_the_weights(
    tmp_path: Path, encoder_folder: Path
) -> None:
    build(Path("demo/articles"), Path("demo/dialogues/questions.yaml"), tmp_path / "dialogues")
    config = tmp_path / "config.yaml"
    text = Path("demo/adapters/shipped.yaml").read_text(encoding="utf-8")
    config.write_text(text.replace("var/dialogues", str(tmp_path / "dialogues")), encoding="utf-8")
    adapter = Path(shutil.copytree("demo/adapters/support", tmp_path / "adapter"))
    before = {path.name: path.read_bytes() for path in adapter.iterdir()}
    shutil.copytree(encoder_folder, tmp_path / "state" / "encoder")
    words = ["gate", str(adapter), "--config", str(config), "--out", str(tmp_path / "out"), "--limit", "4"]
    words += ["--items", "tests/data/evaluation", "--state", str(tmp_path / "state")]
    run = CliRunner().invoke(cli, words)
    assert run.exit_code == 2, run.output
    assert run.output.strip().splitlines()[-1].startswith("BLOCKED: ")
    # Base and candidate were asked, by both libraries, and the facts are in the report.
    runs = {path.stem: json.loads(path.read_bytes()) for path in (tmp_path / "out" / "runs").iterdir()}
    assert {name: len(run["answers"]) for name, run in runs.items()} == {"base": 4, "champion": 4, "candidate": 4}
    assert any(answer["raw"] for answer in runs["candidate"]["answers"])
    assert json.loads((tmp_path / "out" / "probes.json").read_bytes())["prompts"] == 4
    told = json.loads((tmp_path / "out" / "report.json").read_bytes())
    assert told["verdict"] != "pass"
    assert (tmp_path / "out" / "report.html").is_file()
    # Too few items bind nothing.
    assert {path.name: path.read_bytes() for path in adapter.iterdir()} == before
    # A second call asks nobody again.
    policy, digest = load_policy()
    plan = Plan(
        adapter, None, Path("tests/data/evaluation"), tmp_path / "out", "demo/model", Path("demo"), tmp_path / "state",
        setup=Setup(prompt_passages=1), limit=4,
    )  # fmt: skip
    again = asyncio.run(run_gate(plan, load_config(config), policy, digest, never))
    assert last_line(again, adapter) == run.output.strip().splitlines()[-1]


async def never() -> Engine:
    raise AssertionError("the engine was asked for")
