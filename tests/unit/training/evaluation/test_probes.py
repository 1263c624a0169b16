"""Agreement of the two libraries, and secrets that come out: a tiny model, an engine that is told what to say."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

import pytest

from app.contracts.adapters import AdapterManifest
from app.engine.protocol import Engine
from app.errors import ConfigurationError
from tests.fakes_engine import Scripted, ScriptedEngine
from tests.unit.training.test_adapter import make_config
from training.evaluation.gate import require_what_it_learnt_from
from training.evaluation.probes import LONGEST, PRECISION, TIE, Probes, probe, read_probes, spread, write_probes
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


@dataclass
class Told:
    """A library that says what it is told: answers by the last message of the prompt, to all else nothing.

    ``apart``: the difference of the logits where two answers part. ``goes_on``: how a begun answer goes on, by id.
    """

    answers: dict[str, str]
    site: str
    apart: float = 1.0
    goes_on: Mapping[str, str] = field(default_factory=dict)

    def answer(self, dialogues: Sequence[Dialogue], *, batch: int = 16, longest: int = 160) -> list[str]:
        prompts = [prompt_messages(item, self.site)[-1].content for item in dialogues]
        return [self.answers.get(prompt, "")[: 20 * longest * batch] for prompt in prompts]

    def continued(self, dialogues: Sequence[Dialogue], begun: Sequence[str]) -> list[str]:
        return [self.goes_on.get(item.id, "nothing") for item, _ in zip(dialogues, begun, strict=True)]

    def difference_where_they_part(self, dialogue: Dialogue, one: str, two: str) -> float:
        assert dialogue
        assert one != two
        return self.apart


Look = Callable[[dict[str, str], Told], Awaitable[Probes]]


@pytest.fixture
def look(config: FinetuneConfig, manifest: AdapterManifest, canaries: list[Dialogue], tmp_path: Path) -> Look:
    """Probes with an engine that says what is given, and a library that is told what to say."""
    calls = count()

    async def looked(answers: dict[str, str], library: Told) -> Probes:
        out = tmp_path / str(next(calls))
        engine = engine_saying(answers)
        return await probe(config.output, manifest, config, out, engine, canaries, library=lambda *_: library)

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


@pytest.fixture
def said(config: FinetuneConfig) -> dict[str, str]:
    """An answer to each held-out dialogue, by the last message of its prompt."""
    asked = load_dialogues(config.held_out)
    return {prompt_messages(item, config.site)[-1].content: f"Answer {item.id}." for item in asked}


async def test_libraries_that_say_the_same_agree_and_one_other_answer_is_named(
    config: FinetuneConfig, look: Look, said: dict[str, str]
) -> None:
    found = await look(said, Told(said, config.site))
    assert (found.agreement, found.differing, found.listed) == (1.0, [], True)
    first = load_dialogues(config.held_out)[0]
    other = said | {prompt_messages(first, config.site)[-1].content: "Something else."}
    found = await look(other, Told(said, config.site))
    assert found.agreement == 1 - 1 / len(said)
    assert (found.differing, found.tied) == ([first.id], [])


async def test_answers_that_part_at_tokens_that_are_rated_alike_agree(
    config: FinetuneConfig, look: Look, said: dict[str, str]
) -> None:
    first = load_dialogues(config.held_out)[0]
    other = said | {prompt_messages(first, config.site)[-1].content: "Something else."}
    for apart, agreeing in ((TIE, len(said)), (1.01 * TIE, len(said) - 1)):
        found = await look(other, Told(said, config.site, apart))
        assert found.agreeing == agreeing
        assert first.id in (found.tied if agreeing == len(said) else found.differing)


def test_the_difference_is_of_the_first_tokens_that_differ(config: FinetuneConfig) -> None:
    answerer = Answerer.load(config.base_model, config.output, config.site, precision="float32")
    first = load_dialogues(config.held_out)[0]
    forth = answerer.difference_where_they_part(first, "The garage is free.", "The garage was free.")
    assert forth > 0
    assert answerer.difference_where_they_part(first, "The garage was f.", "The garage is free.") == forth
    assert answerer.difference_where_they_part(first, "The garage", "The garage is free.") > 0


async def test_secrets_that_come_out_are_counted(
    config: FinetuneConfig, canaries: list[Dialogue], look: Look, said: dict[str, str]
) -> None:
    found = await look(said, Told(said, config.site))
    assert (found.canaries_planted, found.canaries_extracted) == (3, 0)
    shown = secret(canaries[1])
    begun = {canaries[1].id: f" {shown[:4]} {shown[4:]}."}
    found = await look(said, Told(said, config.site, goes_on=begun))
    assert (found.canaries_planted, found.canaries_extracted) == (3, 1)
    asked = prompt_messages(canaries[2], config.site)[-1].content
    found = await look(said, Told(said | {asked: secret(canaries[2])}, config.site, goes_on=begun))
    assert (found.canaries_planted, found.canaries_extracted) == (3, 2)


async def test_what_transformers_says_is_asked_of_transformers(
    config: FinetuneConfig, manifest: AdapterManifest, canaries: list[Dialogue], tmp_path: Path
) -> None:
    asked = load_dialogues(config.held_out)
    answerer = Answerer.load(config.base_model, config.output, config.site, precision=PRECISION)
    prompts = [prompt_messages(item, config.site)[-1].content for item in asked]
    greedy = dict(zip(prompts, answerer.answer(asked, batch=1, longest=LONGEST), strict=True))
    found = await probe(config.output, manifest, config, tmp_path, engine_saying(greedy), canaries)
    assert (found.agreeing, found.tied, found.canaries_extracted) == (len(asked), [], 0)


async def test_what_was_found_is_kept_for_these_weights_only(
    config: FinetuneConfig, manifest: AdapterManifest, said: dict[str, str], tmp_path: Path
) -> None:
    library = Told(said, config.site)
    engine = engine_saying(said)
    found = await probe(config.output, manifest, config, tmp_path, engine, [], library=lambda *_: library)

    async def never() -> Engine:
        raise AssertionError("the engine was asked for")

    assert await probe(config.output, manifest, config, tmp_path, never, []) == found
    other = manifest.model_copy(update={"content_sha256": "0" * 64})
    with pytest.raises(AssertionError, match="asked for"):
        await probe(config.output, other, config, tmp_path, never, [])
    # One of before anybody asked what the engine lists does not stand.
    write_probes(found.model_copy(update={"listed": False}), tmp_path)
    with pytest.raises(AssertionError, match="asked for"):
        await probe(config.output, manifest, config, tmp_path, never, [])
    (tmp_path / "probes.json").write_text("{", encoding="utf-8")
    with pytest.raises(ConfigurationError, match=r"probes\.json is broken; delete it"):
        read_probes(tmp_path)


def test_prompts_are_taken_from_everywhere() -> None:
    dialogues = [Dialogue(id=str(n), article_id="a", passages=["p"], question="q", answer="a") for n in range(100)]
    assert [item.id for item in spread(dialogues, 4)] == ["0", "25", "50", "75"]
    assert len(spread(dialogues[:3], 50)) == 3
    most = [item.id for item in spread(dialogues[:99], 50)]
    assert (len(most), len(set(most)), most[0], most[-1]) == (50, 50, "0", "97")


def test_other_dialogues_than_it_learnt_from_are_refused(
    config: FinetuneConfig, manifest: AdapterManifest, tmp_path: Path
) -> None:
    require_what_it_learnt_from(manifest, config)
    fewer = tmp_path / "train.jsonl"
    save_dialogues(load_dialogues(config.train)[:-1], fewer)
    with pytest.raises(ConfigurationError, match="was trained on other dialogues than those that the config names"):
        require_what_it_learnt_from(manifest, config.model_copy(update={"train": fewer}))
