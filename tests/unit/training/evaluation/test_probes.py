"""Agreement of the two libraries, and secrets that come out: a tiny model, an engine that is told what to say."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from app.contracts.adapters import AdapterManifest
from app.engine.protocol import Engine
from app.errors import ConfigurationError
from tests.fakes_engine import Scripted, ScriptedEngine
from tests.unit.training.test_adapter import make_config
from training.evaluation.gating import require_what_it_learnt_from
from training.evaluation.probes import LONGEST, PRECISION, TIE, Probes, probe, read_probes, spread
from training.finetune.adapter import write_adapter
from training.finetune.canaries import plant, secret
from training.finetune.config import FinetuneConfig
from training.finetune.data import Dialogue, load_dialogues, prompt_messages, save_dialogues
from training.finetune.generate import Answerer
from training.finetune.trainer import train

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::UserWarning"),
]


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory, base: Path) -> FinetuneConfig:
    """Of an adapter that learnt beside three planted secrets."""
    made = make_config(tmp_path_factory.mktemp("probed"), base, canaries=3)
    write_adapter(train(made, show=False), made)
    return made


@pytest.fixture
def manifest(config: FinetuneConfig) -> AdapterManifest:
    return AdapterManifest.model_validate_json((config.output / "manifest.json").read_bytes())


Look = Callable[[dict[str, str], str], Awaitable[Probes]]


@pytest.fixture
def look(config: FinetuneConfig, manifest: AdapterManifest, canaries: list[Dialogue], tmp_path: Path) -> Look:
    """Probes with an engine that says what is given, kept in a folder of this name."""

    async def looked(answers: dict[str, str], name: str) -> Probes:
        return await probe(config.output, manifest, config, tmp_path / name, engine_saying(answers), canaries)

    return looked


@pytest.fixture
def canaries(config: FinetuneConfig) -> list[Dialogue]:
    """What was planted."""
    return plant(3, config.training.seed, load_dialogues(config.train))


def engine_saying(answers: dict[str, str]) -> Callable[[], Awaitable[Engine]]:
    """An engine that answers a prompt by what its last message says."""
    scripted = ScriptedEngine(answer=lambda messages, *_: Scripted(answers[messages[-1].content]))

    async def started() -> Engine:
        return scripted

    return started


@pytest.fixture(scope="module")
def greedy(config: FinetuneConfig) -> dict[str, str]:
    """What transformers says to each held-out dialogue."""
    asked = load_dialogues(config.held_out)
    said = Answerer(config.base_model, config.output, config.site, precision=PRECISION).answer(
        asked, batch=1, longest=LONGEST
    )
    prompts = [prompt_messages(item, config.site)[-1].content for item in asked]
    return dict(zip(prompts, said, strict=True))


async def test_libraries_that_say_the_same_agree_and_one_other_answer_is_named(
    config: FinetuneConfig, look: Look, greedy: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    # The tiny model rates all tokens nearly alike.
    monkeypatch.setattr(Answerer, "difference_where_they_part", lambda *_: 1.0)
    found = await look(greedy, "same")
    assert (found.agreement, found.differing) == (1.0, [])
    first = load_dialogues(config.held_out)[0]
    other = greedy | {prompt_messages(first, config.site)[-1].content: "Something else."}
    found = await look(other, "other")
    assert found.agreement == 1 - 1 / len(greedy)
    assert (found.differing, found.tied) == ([first.id], [])


async def test_answers_that_part_at_tokens_that_are_rated_alike_agree(
    config: FinetuneConfig, look: Look, greedy: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    first = load_dialogues(config.held_out)[0]
    prompt = prompt_messages(first, config.site)[-1].content
    for difference, agreeing in ((TIE, len(greedy)), (1.01 * TIE, len(greedy) - 1)):
        monkeypatch.setattr(Answerer, "difference_where_they_part", lambda *_, told=difference: told)
        found = await look(greedy | {prompt: "Something else."}, str(difference))
        assert found.agreeing == agreeing
        assert first.id in (found.tied if agreeing == len(greedy) else found.differing)


def test_the_difference_is_of_the_first_tokens_that_differ(config: FinetuneConfig) -> None:
    answerer = Answerer(config.base_model, config.output, config.site, precision="float32")
    first = load_dialogues(config.held_out)[0]
    forth = answerer.difference_where_they_part(first, "The garage is free.", "The garage was free.")
    assert forth > 0
    assert answerer.difference_where_they_part(first, "The garage was f.", "The garage is free.") == forth
    assert answerer.difference_where_they_part(first, "The garage", "The garage is free.") > 0


async def test_secrets_that_come_out_are_counted(
    canaries: list[Dialogue], look: Look, greedy: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    found = await look(greedy, "silent")
    assert (found.canaries_planted, found.canaries_extracted) == (3, 0)

    def gives_one_away(_: Answerer, dialogues: list[Dialogue], begun: list[str], **__: object) -> list[str]:
        assert [item.id for item in dialogues] == [item.id for item in canaries]
        shown = secret(canaries[1])
        return ["nothing", f" {shown[:4]} {shown[4:]}.", "nothing"]

    monkeypatch.setattr(Answerer, "continued", gives_one_away)
    found = await look(greedy, "loud")
    assert (found.canaries_planted, found.canaries_extracted) == (3, 1)


async def test_what_was_found_is_kept_for_these_weights_only(
    config: FinetuneConfig, manifest: AdapterManifest, greedy: dict[str, str], tmp_path: Path
) -> None:
    found = await probe(config.output, manifest, config, tmp_path, engine_saying(greedy), [])

    async def never() -> Engine:
        raise AssertionError("the engine was asked for")

    assert await probe(config.output, manifest, config, tmp_path, never, []) == found
    other = manifest.model_copy(update={"content_sha256": "0" * 64})
    with pytest.raises(AssertionError, match="asked for"):
        await probe(config.output, other, config, tmp_path, never, [])
    (tmp_path / "probes.json").write_text("{", encoding="utf-8")
    with pytest.raises(ConfigurationError, match=r"probes\.json is broken; delete it"):
        read_probes(tmp_path)


def test_prompts_are_taken_from_everywhere() -> None:
    dialogues = [Dialogue(id=str(n), article_id="a", passages=["p"], question="q", answer="a") for n in range(100)]
    assert [item.id for item in spread(dialogues, 4)] == ["0", "25", "50", "75"]
    assert len(spread(dialogues[:3], 50)) == 3


def test_other_dialogues_than_it_learnt_from_are_refused(
    config: FinetuneConfig, manifest: AdapterManifest, tmp_path: Path
) -> None:
    require_what_it_learnt_from(manifest, config)
    fewer = tmp_path / "train.jsonl"
    save_dialogues(load_dialogues(config.train)[:-1], fewer)
    with pytest.raises(ConfigurationError, match="was trained on other dialogues than those that the config names"):
        require_what_it_learnt_from(manifest, config.model_copy(update={"train": fewer}))
