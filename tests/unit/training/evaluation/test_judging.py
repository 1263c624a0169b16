"""From the files of an evaluation to a verdict: the facts are what the files tell, and what is open blocks."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

from app.contracts.adapters import AdapterManifest
from app.errors import AdapterInvalid, ConfigurationError
from tests.unit.training.evaluation.panels import make_run
from tests.unit.training.evaluation.reports import make_panel, make_table
from tests.unit.training.tiny import make_dialogue
from training.evaluation.answers import Run, read_run, write_run
from training.evaluation.items import Item, load_items
from training.evaluation.judging import gather, judge_evaluation, overlap
from training.evaluation.panel import run_hash
from training.evaluation.probes import Probes
from training.evaluation.rules import FactRule, PanelRule, Policy, load_policy
from training.evaluation.table import write_table
from training.finetune.data import save_dialogues

SHIPPED = Path("demo/adapters/support")
SAMPLE = Path("tests/data/evaluation")
ARTICLES = Path("demo/articles")


@pytest.fixture
def adapter(tmp_path: Path) -> Path:
    return Path(shutil.copytree(SHIPPED, tmp_path / "adapter"))


@pytest.fixture
def manifest(adapter: Path) -> AdapterManifest:
    return AdapterManifest.model_validate_json((adapter / "manifest.json").read_bytes())


@pytest.fixture
def items() -> list[Item]:
    return list(load_items(SAMPLE, ARTICLES).items)


def answered(system: str, items: list[Item], manifest: AdapterManifest, **more: object) -> Run:
    """A run as if the adapter had given it."""
    sha256 = manifest.content_sha256 if system == "candidate" else None
    fields = {"adapter_sha256": sha256, "base_sha256": manifest.base_sha256, "prompt_version": manifest.prompt_version}
    run = make_run(system, items)
    answers = tuple(one.model_copy(update={"raw": one.text}) for one in run.answers)
    return run.model_copy(update={"answers": answers} | fields | more)


@pytest.fixture
def evaluation(tmp_path: Path, items: list[Item], manifest: AdapterManifest) -> Path:
    """The folder that `bedside-train evaluate` writes."""
    folder = tmp_path / "evaluation"
    (folder / "runs").mkdir(parents=True)
    for system in ("base", "champion", "candidate"):
        write_run(answered(system, items, manifest), folder / "runs" / f"{system}.json")
    write_table(make_table(items), folder / "scores.json")
    return folder


def probed(manifest: AdapterManifest, **more: object) -> Probes:
    """What was found of the adapter while vLLM served it."""
    fields = {"adapter_sha256": manifest.content_sha256, "listed": True, "prompts": 50, "agreeing": 49}
    return Probes.model_validate(fields | more)


def policy(*facts: str) -> Policy:
    """The shipped policy's rules about these facts only."""
    shipped, _ = load_policy()
    rules = [rule for rule in shipped.rules if isinstance(rule, FactRule) and rule.fact in facts]
    assert len(rules) == len(facts)
    return shipped.model_copy(update={"rules": rules})


def test_a_whole_adapter_has_its_facts(items: list[Item], adapter: Path, manifest: AdapterManifest) -> None:
    base, candidate = answered("base", items, manifest), answered("candidate", items, manifest)
    facts = gather(manifest, adapter, base, candidate, items, [])
    assert (facts.base_matches, facts.template_matches, facts.tampered, facts.loads_in_engine) == (
        True,
        True,
        False,
        None,
    )
    assert facts.train_loss == manifest.metrics["train_loss"] > 0
    assert facts.held_out_loss == manifest.metrics["held_out_loss"] > 0
    assert (facts.ngram_overlap, facts.canaries_planted, facts.hf_vllm_agreement) == (None, None, None)


def test_changed_weights_another_base_and_another_adapter_are_seen(
    items: list[Item], adapter: Path, manifest: AdapterManifest
) -> None:
    base = answered("base", items, manifest)
    foreign = answered("candidate", items, manifest, base_sha256="0" * 64, adapter_sha256="1" * 64, prompt_version="v0")
    weights = adapter / "adapter_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"\x01")
    facts = gather(manifest, adapter, base, foreign, items, [], probed(manifest))
    assert (facts.base_matches, facts.template_matches, facts.tampered, facts.loads_in_engine) == (
        False,
        False,
        True,
        False,
    )


def test_an_adapter_that_changes_nothing_is_seen(items: list[Item], adapter: Path, manifest: AdapterManifest) -> None:
    base, candidate = answered("base", items, manifest), answered("candidate", items, manifest)
    same = candidate.model_copy(update={"answers": base.answers})
    facts = gather(manifest, adapter, base, same, items, [])
    assert (facts.differs_share, facts.answers_compared) == (0.0, len(items))
    other = [
        one.model_copy(update={"raw": "other words"}) if place < 3 else one for place, one in enumerate(base.answers)
    ]
    changed = candidate.model_copy(update={"answers": tuple(other)})
    assert gather(manifest, adapter, base, changed, items, []).differs_share == pytest.approx(3 / len(items))


def test_a_training_text_that_holds_an_item_is_seen(
    items: list[Item], evaluation: Path, adapter: Path, tmp_path: Path
) -> None:
    long = items[0].model_copy(
        update={"turns": ["one two three four five six seven eight nine ten eleven twelve thirteen x"]}
    )
    learnt = ["Well: ONE two three four five six seven, eight nine ten eleven twelve thirteen!"]
    assert overlap([long, *items[1:4]], learnt) == 0.25
    assert overlap([long], ["one two three four five six seven eight nine ten eleven twelve"]) == 0.0
    short = items[0].model_copy(update={"turns": ["Hello!", "How do I see my chart?"]})
    assert overlap([short], ["Hello.", "hello", "how do I see my chart today"]) == 0.0
    assert overlap([short], ["how do i see my CHART"]) == 1.0
    file = tmp_path / "train.jsonl"
    file.write_text('"no object"\n', encoding="utf-8")
    with pytest.raises(ConfigurationError, match=r"train\.jsonl:1 is no JSON object"):
        judge_evaluation(evaluation, adapter, policy("tampered"), items=SAMPLE, articles=ARTICLES, trained_on=[file])


def test_a_verdict_and_a_report_come_of_the_files(evaluation: Path, adapter: Path, tmp_path: Path) -> None:
    trained = tmp_path / "train.jsonl"
    save_dialogues([make_dialogue(1)], trained)
    asked = policy("base_matches", "tampered")
    given: dict[str, Any] = {
        "items": SAMPLE,
        "articles": ARTICLES,
        "trained_on": [trained],
    }
    judged = judge_evaluation(evaluation, adapter, asked, **given)
    assert judged.decision.verdict == "pass"
    assert judged.report.read_text(encoding="utf-8").startswith("<!doctype html>")
    report = json.loads((evaluation / "report.json").read_bytes())
    assert (report["verdict"], report["confidence"]) == ("pass", asked.confidence)
    (adapter / "adapter_model.safetensors").write_bytes(b"other weights")
    assert judge_evaluation(evaluation, adapter, asked, **given).decision.verdict == "fail"
    open_rule = judge_evaluation(evaluation, adapter, policy("canaries_planted"), **given)
    assert open_rule.decision.verdict == "inconclusive"


def test_probes_close_the_facts_that_files_do_not_tell(
    items: list[Item], adapter: Path, manifest: AdapterManifest, evaluation: Path
) -> None:
    found = probed(manifest, canaries_planted=20, canaries_extracted=1)
    base, candidate = answered("base", items, manifest), answered("candidate", items, manifest)
    facts = gather(manifest, adapter, base, candidate, items, [], found)
    assert (facts.hf_vllm_agreement, facts.prompts_compared) == (0.98, 50)
    assert (facts.canaries_planted, facts.canaries_extracted, facts.loads_in_engine) == (20, 1, True)
    unlisted = gather(manifest, adapter, base, candidate, items, [], probed(manifest, listed=False))
    assert unlisted.loads_in_engine is False
    given: dict[str, Any] = {"items": SAMPLE, "articles": ARTICLES, "trained_on": []}
    judged = judge_evaluation(evaluation, adapter, policy("canaries_extracted"), probes=found, **given)
    assert judged.decision.verdict == "fail"
    foreign = found.model_copy(update={"adapter_sha256": "0" * 64})
    with pytest.raises(ConfigurationError, match="probes are of another adapter"):
        judge_evaluation(evaluation, adapter, policy("tampered"), probes=foreign, **given)


def test_a_panel_is_heard_about_the_answers_that_it_rated(
    items: list[Item], adapter: Path, evaluation: Path, tmp_path: Path
) -> None:
    runs = [read_run(evaluation / "runs" / f"{name}.json") for name in ("champion", "candidate")]
    shipped, _ = load_policy()
    asked = shipped.model_copy(update={"rules": [rule for rule in shipped.rules if isinstance(rule, PanelRule)]})
    given: dict[str, Any] = {"items": SAMPLE, "articles": ARTICLES, "trained_on": []}
    file = tmp_path / "panel.json"
    told = make_panel()
    for outcome in ("pass", "fail"):
        about = {"champion_run_sha256": run_hash(runs[0]), "candidate_run_sha256": run_hash(runs[1])}
        file.write_text(told.model_copy(update={"outcome": outcome} | about).model_dump_json(), encoding="utf-8")
        assert judge_evaluation(evaluation, adapter, asked, panel=file, **given).decision.verdict == outcome
    assert json.loads((evaluation / "report.json").read_bytes())["panel"]["outcome"] == "fail"
    file.write_text(told.model_dump_json(), encoding="utf-8")
    with pytest.raises(ConfigurationError, match="the panel rated other answers"):
        judge_evaluation(evaluation, adapter, asked, panel=file, **given)
    file.write_text("{}", encoding="utf-8")
    with pytest.raises(ConfigurationError, match="no verdict of a panel"):
        judge_evaluation(evaluation, adapter, asked, panel=file, **given)


def test_files_that_do_not_belong_together_are_refused(evaluation: Path, adapter: Path, tmp_path: Path) -> None:
    given: dict[str, Any] = {"articles": ARTICLES, "trained_on": ()}
    few = tmp_path / "few"
    few.mkdir()
    rows = yaml.safe_load((SAMPLE / "sample.yaml").read_text(encoding="utf-8"))
    (few / "few.yaml").write_text(yaml.safe_dump(rows | {"items": rows["items"][:5]}), encoding="utf-8")
    with pytest.raises(ConfigurationError, match="is not in the set"):
        judge_evaluation(evaluation, adapter, policy("tampered"), items=few, **given)
    (adapter / "manifest.json").unlink()
    with pytest.raises(AdapterInvalid, match=r"holds no manifest\.json"):
        judge_evaluation(evaluation, adapter, policy("tampered"), items=SAMPLE, **given)
