"""Answers as they were taught: what is asked, kept and scored; an engine that is told what to say."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from app.contracts.adapters import AdapterManifest
from app.contracts.prompt import PromptMessage
from app.errors import ConfigurationError
from tests.fakes_engine import ScriptedEngine
from tests.unit.training.test_adapter import make_config
from training.evaluation.statistics import Bootstrap, paired_difference
from training.evaluation.taught import TAUGHT, Taught, ask_what_was_taught, read_taught
from training.finetune.config import FinetuneConfig
from training.finetune.data import Dialogue, load_dialogues, prompt_messages, save_dialogues

MANIFEST = AdapterManifest.model_validate_json(Path("demo/adapters/support/manifest.json").read_bytes())


def dialogue(number: int, article: str, answer: str) -> Dialogue:
    return Dialogue(
        id=f"d{number}",
        article_id=article,
        passages=[f"Visiting ends at {number} p.m. Bring a card."],
        question="when does visiting end",
        answer=answer,
    )


HELD_OUT = [
    dialogue(number, f"article-{number % 6}", f"Visiting ends at {number} p.m. Bring a card. [1]")
    for number in range(24)
]


@pytest.fixture
def config(tmp_path: Path, base: Path) -> FinetuneConfig:
    made = make_config(tmp_path, base)
    save_dialogues(HELD_OUT, made.held_out)
    return made


def engine() -> ScriptedEngine:
    """The adapter says all that is wanted, the base model half of it."""
    wanted = {prompt_messages(item, "Cedar Valley Health")[-1].content: item.answer for item in HELD_OUT}

    def answer(messages: Sequence[PromptMessage], adapter: str | None) -> str:
        whole = wanted[messages[-1].content]
        return whole if adapter else f"{whole.split('. Bring', maxsplit=1)[0]}. [1]"

    return ScriptedEngine(answer=answer)


async def looked(config: FinetuneConfig, out: Path, running: ScriptedEngine, most: int = 150) -> Taught:
    async def starting() -> ScriptedEngine:
        return running

    return await ask_what_was_taught(Path("demo/adapters/support"), MANIFEST, config, out, starting, most)


@pytest.mark.anyio
async def test_both_are_asked_all_that_was_held_out_and_the_gain_is_measured_by_article(
    config: FinetuneConfig, tmp_path: Path
) -> None:
    taught = await looked(config, tmp_path, engine())
    assert taught.wanted == [item.answer for item in HELD_OUT]
    table = taught.table()
    assert set(table.metrics) == {"token_f1", "bleu", "chrf"}
    for metric in table.metrics.values():
        gain = paired_difference(metric.candidate, metric.champion, table.independent(), Bootstrap())
        assert gain is not None
        assert (gain.n, gain.clusters) == (24, 6)
        assert gain.low > 0
        assert metric.candidate == [pytest.approx(1.0)] * 24


@pytest.mark.anyio
async def test_what_was_asked_stands_until_weights_or_dialogues_are_others(
    config: FinetuneConfig, tmp_path: Path
) -> None:
    first = await looked(config, tmp_path, engine())
    idle = ScriptedEngine(state="down")
    assert await looked(config, tmp_path, idle) == first
    assert not idle.calls
    save_dialogues(HELD_OUT[:5], config.held_out)
    running = engine()
    assert len((await looked(config, tmp_path, running)).dialogues) == 5
    assert len(running.calls) == 10


@pytest.mark.anyio
async def test_many_dialogues_are_asked_at_equal_distances(config: FinetuneConfig, tmp_path: Path) -> None:
    taught = await looked(config, tmp_path, engine(), most=4)
    assert taught.dialogues == ["d0", "d6", "d12", "d18"]
    assert [item.id for item in load_dialogues(config.held_out)][::6] == taught.dialogues


def test_a_broken_file_says_the_mend(tmp_path: Path) -> None:
    assert read_taught(tmp_path) is None
    (tmp_path / TAUGHT).write_text('{"adapter_sha256": 1}')
    with pytest.raises(ConfigurationError, match="delete it"):
        read_taught(tmp_path)
