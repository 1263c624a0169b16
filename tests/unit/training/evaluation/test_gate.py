"""The whole gate over the real pipeline, with an engine that is scripted: what it writes, and what it refuses first."""

from __future__ import annotations

import hashlib
import shutil
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from app.contracts.adapters import (
    GATE_REPORT,
    SHIPPED_EVALUATION,
    SHIPPED_THRESHOLDS,
    AdapterManifest,
    Ancestor,
    GateReport,
    content_hash,
    read_manifest,
    write_json,
)
from app.engine.protocol import Engine
from app.errors import ConfigurationError
from tests.fakes_engine import ScriptedEngine
from tests.unit.training.curate.chain_stages import somebody_else
from tests.unit.training.evaluation.conftest import ROOT, SAMPLE, small_hospital
from tests.unit.training.tiny import make_dialogue
from training.evaluation import report
from training.evaluation.commands import ITEMS, usual_folder
from training.evaluation.evaluate import Plan
from training.evaluation.gate import Gated, last_line, rows, run_gate
from training.evaluation.items import load_items
from training.evaluation.probes import Probes, write_probes
from training.evaluation.rules import THRESHOLDS, FactRule, Policy, load_policy
from training.files import file_hash
from training.finetune.config import FinetuneConfig
from training.finetune.data import files_hash, load_dialogues, save_dialogues

pytestmark = pytest.mark.anyio
CARD = "README.md"


@pytest.fixture
def config(tmp_path: Path) -> FinetuneConfig:
    return make_config(tmp_path)


def make_config(folder: Path) -> FinetuneConfig:
    """Of a run over three dialogues."""
    files = folder / "train.jsonl", folder / "held_out.jsonl"
    for number, path in enumerate(files):
        save_dialogues([make_dialogue(3 * number + at, path.stem) for at in range(3)], path)
    return FinetuneConfig(
        name="support", base_model=str(ROOT / "demo/model"), base_id="bedside-demo", site="Cedar Valley Health",
        train=files[0], held_out=files[1], output=folder / "output", work=folder / "work",
    )  # fmt: skip


@pytest.fixture
def adapter(tmp_path: Path, config: FinetuneConfig) -> Path:
    """The shipped weights as if they had learnt from these dialogues, not gated yet."""
    return copy_of(ROOT / "demo/adapters/support", tmp_path / "adapter", dataset_sha256=files_hash(config.files))


def copy_of(source: Path, folder: Path, **changed: str) -> Path:
    shutil.copytree(source, folder)
    (folder / GATE_REPORT).unlink(missing_ok=True)
    manifest = AdapterManifest.model_validate_json((folder / "manifest.json").read_bytes())
    write_json(manifest.model_copy(update=changed), folder / "manifest.json")
    return folder


@pytest.fixture(scope="module")
def hospital(tmp_path_factory: pytest.TempPathFactory, encoder_folder: Path) -> Path:
    """A small hospital's ``site``, and ``state``, where its articles are indexed once."""
    return small_hospital(tmp_path_factory.mktemp("hospital"), encoder_folder)


@pytest.fixture
def plan(tmp_path: Path, adapter: Path, hospital: Path) -> Plan:
    """The sample items; what the two libraries say was compared before."""
    write_probes(Probes(adapter_sha256=content_hash(adapter), listed=True, prompts=3, agreeing=3), tmp_path / "out")
    return make_plan(adapter, tmp_path / "out", hospital)


def make_plan(adapter: Path, out: Path, hospital: Path) -> Plan:
    return Plan(adapter, None, SAMPLE, out, str(ROOT / "demo/model"), hospital / "site", hospital / "state")


def policy(*facts: str) -> Policy:
    """The shipped policy's rules about these facts only."""
    shipped, _ = load_policy()
    rules = [rule for rule in shipped.rules if isinstance(rule, FactRule) and rule.fact in facts]
    assert len(rules) == len(facts)
    return shipped.model_copy(update={"rules": rules})


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


async def scripted() -> Engine:
    return ScriptedEngine()


async def never() -> Engine:
    raise AssertionError("the engine was asked for")


async def test_report_and_card_lie_beside_the_weights_and_a_second_call_asks_nobody(
    plan: Plan, adapter: Path, config: FinetuneConfig
) -> None:
    asked = policy("base_matches", "template_matches")
    gated = await run_gate(plan, config, asked, "7" * 64, scripted)
    # 1. What the service reads is bound to all that was measured, and to what clinicians sign.
    written = GateReport.model_validate_json((adapter / GATE_REPORT).read_bytes())
    assert written == gated.report
    assert (written.verdict, written.adapter_sha256, written.thresholds_sha256) == (
        "pass",
        content_hash(adapter),
        "7" * 64,
    )
    assert written.missing == []
    assert written.champion_sha256 == written.base_sha256
    told = report.load_report(plan.out / report.JSON_NAME)
    assert written.report_sha256 == report.content_hash(told)
    assert told["taught"]["dialogues"] == len(load_dialogues(config.held_out))
    # 2. The card tells the figures.
    card = (adapter / CARD).read_text(encoding="utf-8")
    assert "\n".join(rows(written)) in card
    assert rows(written)[-1].startswith("| same prompt template | 1 | is yes | pass;")
    # 3. The last line.
    assert last_line(gated, adapter).startswith("PROMOTABLE: The gate passes")
    # 4. Every answer is kept.
    again = await run_gate(plan, config, asked, "7" * 64, never)
    assert again.report.model_dump(exclude={"created_at"}) == written.model_dump(exclude={"created_at"})
    # 5. What is open blocks, and says so beside the weights too.
    closed = await run_gate(plan, config, policy("canaries_planted"), "7" * 64, never)
    assert last_line(closed, adapter).startswith("BLOCKED: The gate is inconclusive")
    assert "canaries planted" in last_line(closed, adapter)
    assert GateReport.model_validate_json((adapter / GATE_REPORT).read_bytes()).verdict == "inconclusive"


async def test_a_trial_writes_nothing_beside_the_weights(plan: Plan, adapter: Path, config: FinetuneConfig) -> None:
    before = files(adapter)
    gated: Gated = await run_gate(replace(plan, limit=3), config, policy("base_matches"), "7" * 64, scripted)
    assert (gated.judged.decision.verdict, gated.written) == ("pass", False)
    assert last_line(gated, adapter).startswith("TRIAL: ")
    assert files(adapter) == before


async def test_what_an_ancestor_learnt_from_is_looked_at_or_the_adapter_refused(
    plan: Plan, adapter: Path, config: FinetuneConfig, tmp_path: Path
) -> None:
    asked = load_items(SAMPLE).items[0].turns[-1]
    save_dialogues([make_dialogue(1, "before", question=asked)], tmp_path / "earlier.jsonl")
    manifest = read_manifest(adapter)
    told = {"version": "support@aaaaaaaaaaaa", "content_sha256": "a" * 64, "dataset_sha256": "d" * 64}
    ancestor = Ancestor(**told, trained_on=[file_hash(tmp_path / "earlier.jsonl")])
    rule = policy("ngram_overlap")
    # 1. Of an adapter that began at zero nothing else is to be looked at.
    assert (await run_gate(plan, config, rule, "7" * 64, scripted)).report.verdict == "pass"
    # 2. The manifest of this one says nothing about where it began, and the config does.
    begun = config.model_copy(update={"start_from": tmp_path / "start"})
    with pytest.raises(ConfigurationError, match="names no adapter that it began with"):
        await run_gate(plan, begun, rule, "7" * 64, never)
    # 3. It names an ancestor, whose texts nobody showed the gate.
    write_json(manifest.model_copy(update={"ancestors": [ancestor]}), adapter / "manifest.json")
    for given in (config, begun):
        with pytest.raises(ConfigurationError, match="support@aaaaaaaaaaaa learnt from 1 of 1 files"):
            await run_gate(plan, given, rule, "7" * 64, never)
    # 4. Shown, they count: one of them is a question of the evaluation set.
    shown = begun.model_copy(update={"learnt_before": (tmp_path / "earlier.jsonl",)})
    gated = await run_gate(plan, shown, rule, "7" * 64, never)
    assert gated.report.verdict == "fail"
    # 5. What was learnt before is not held out.
    save_dialogues([make_dialogue(1, config.held_out.stem)], tmp_path / "earlier.jsonl")
    ancestor = Ancestor(**told, trained_on=[file_hash(tmp_path / "earlier.jsonl")])
    write_json(manifest.model_copy(update={"ancestors": [ancestor]}), adapter / "manifest.json")
    with pytest.raises(ConfigurationError, match="both sides of the split: held_out"):
        await run_gate(plan, shown, rule, "7" * 64, never)


def test_a_trial_has_a_folder_of_its_own() -> None:
    assert usual_folder("support@0123456789ab", trial=False) == Path("var/evaluation/support@0123456789ab")
    assert usual_folder("support@0123456789ab", trial=True) == Path("var/evaluation/support@0123456789ab-trial")


async def test_the_candidate_under_another_name_is_no_champion(
    plan: Plan, adapter: Path, config: FinetuneConfig, tmp_path: Path
) -> None:
    renamed = copy_of(adapter, tmp_path / "champion", name="other")
    with pytest.raises(ConfigurationError, match="is the candidate itself"):
        await run_gate(replace(plan, champion=renamed), config, policy("base_matches"), "7" * 64, never)


async def test_a_folder_that_cannot_be_written_is_told_before_anything_is_asked(hospital: Path) -> None:
    with TemporaryDirectory() as name:
        config = make_config(Path(name))
        adapter = copy_of(
            ROOT / "demo/adapters/support", Path(name) / "adapter", dataset_sha256=files_hash(config.files)
        )
        adapter.chmod(0o555)
        with somebody_else(Path(name)), pytest.raises(ConfigurationError, match="adapter cannot be written into"):
            await run_gate(
                make_plan(adapter, Path(name) / "out", hospital), config, policy("tampered"), "7" * 64, never
            )


def test_the_service_knows_the_shipped_rules() -> None:
    found = hashlib.sha256(THRESHOLDS.read_bytes()).hexdigest()
    assert found == SHIPPED_THRESHOLDS, (
        f"thresholds.yaml has changed: write {found} into app/contracts/adapters.py and gate the shipped adapter again"
    )


def test_the_service_knows_the_shipped_evaluation_set_and_the_shipped_adapter_passed_on_it() -> None:
    found = load_items(ITEMS).sha256
    assert found == SHIPPED_EVALUATION, (
        f"the items have changed: write {found} into app/contracts/adapters.py and gate the shipped adapter again"
    )
    report = GateReport.model_validate_json((ROOT / "demo/adapters/support" / GATE_REPORT).read_bytes())
    assert (report.verdict, report.evaluation_sha256, report.thresholds_sha256) == (
        "pass",
        SHIPPED_EVALUATION,
        SHIPPED_THRESHOLDS,
    )
