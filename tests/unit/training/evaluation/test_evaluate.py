"""The score table of two runs, and the command without an engine."""

from __future__ import annotations

from pathlib import Path

import pytest

from app.engine.protocol import Engine
from app.errors import AdapterInvalid, ConfigurationError
from tests.fakes_engine import Scripted, ScriptedEngine, copy_first_sentence
from tests.unit.training.evaluation.conftest import SAMPLE
from training.evaluation.answers import Kept, Run
from training.evaluation.evaluate import Plan, evaluate, limited, scored
from training.evaluation.items import ItemSet
from training.evaluation.pipeline import Parts, answer_items
from training.evaluation.scorers import Context

pytestmark = pytest.mark.anyio


async def run_of(parts: Parts, items: ItemSet, folder: Path, system: str, engine: ScriptedEngine) -> Run:
    identity = parts.identity(system, None, "b" * 64, items.sha256)
    return await answer_items(parts, engine, identity, items, Kept(folder, identity))


async def test_a_table_has_every_figure_of_every_item_in_order(parts: Parts, sample: ItemSet, tmp_path: Path) -> None:
    good = await run_of(parts, sample, tmp_path, "candidate", ScriptedEngine(answer=copy_first_sentence))
    made_up = ScriptedEngine(answer=lambda *_given: Scripted("Give 77 mg of aspirin to the child. [1]"))
    poor = await run_of(parts, sample, tmp_path, "champion", made_up)
    table = scored(sample, good, poor, Context(parts.site, parts.detector, sample.items))
    assert table.items == [item.id for item in sample.items]
    assert table.kinds == [item.kind for item in sample.items]
    fever, jane = table.items.index("sample-fever-three-months"), table.items.index("sample-visiting-jane")
    assert table.metrics["medical_accuracy"].candidate[fever] == 1
    assert table.metrics["raw_wrong_number"].candidate[fever] == 0
    assert table.metrics["raw_wrong_number"].champion[fever] == 1  # the checks held it back, and the table tells
    assert table.metrics["wrong_number"].champion[fever] is None
    assert table.metrics["missed_emergency"].candidate.count(0) == 2
    assert table.groups["pronoun"][jane] == "she"
    assert table.groups["pronoun"][fever] == ""
    assert set(table.groups["language"]) == {"en"}
    assert table.pairs[jane] == "sample-visiting"
    truth, ours, theirs = table.labels["reply"]
    assert (truth[fever], ours[fever], theirs[fever]) == ("answer", "answer", "answer")
    assert truth[table.items.index("sample-identifiers")] == ""
    assert table.labels["route"][0][table.items.index("sample-chest-pain")] == "911"
    assert table.labels["route"][1][table.items.index("sample-chest-pain")] == "911"


async def test_runs_under_other_conditions_are_not_compared(parts: Parts, sample: ItemSet, tmp_path: Path) -> None:
    run = await run_of(parts, limited(sample, 2), tmp_path, "candidate", ScriptedEngine())
    two = limited(sample, 2)
    assert two.sha256 != sample.sha256
    context = Context(parts.site, parts.detector, two.items)
    with pytest.raises(ConfigurationError, match="different policy_hash; evaluate both again"):
        scored(two, run, run.model_copy(update={"policy_hash": "other"}), context)
    with pytest.raises(ConfigurationError, match="different parts_sha256; evaluate both again"):
        scored(two, run, run.model_copy(update={"parts_sha256": "other"}), context)
    with pytest.raises(ConfigurationError, match="run of candidate answered other items"):
        scored(sample, run, run, context)
    with pytest.raises(ConfigurationError, match="answered other items"):
        scored(two, run.model_copy(update={"answers": run.answers[:1]}), run, context)


async def test_a_folder_that_is_no_adapter_is_refused_before_anything_starts(tmp_path: Path) -> None:
    def plan(items: Path) -> Plan:
        return Plan(tmp_path, None, items, tmp_path / "out", "demo/model", Path("demo"), tmp_path / "state")

    async def never() -> Engine:
        raise AssertionError("the engine was asked for")

    with pytest.raises(ConfigurationError, match=r"holds no \.yaml file"):
        await evaluate(plan(tmp_path), never)
    with pytest.raises(AdapterInvalid, match=r"holds no manifest\.json"):
        await evaluate(plan(SAMPLE), never)
    assert not (tmp_path / "state").exists()
