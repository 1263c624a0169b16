"""Items are answered by the pipeline of the service, and everything that the model said is on record."""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Sequence
from pathlib import Path

import pytest

from app.bootstrap import build_pipeline
from app.chat.pipeline import Bounds
from app.contracts.prompt import NOT_IN_ARTICLES, PromptMessage
from app.engine.protocol import Limits
from app.engine.sse import RequestRefused
from app.errors import ConfigurationError, EngineError, EngineUnavailable, GuardrailFailed
from app.guardrails.active import compiled
from app.guardrails.policy import default_bundle_folder
from app.settings import Settings
from tests.fakes_engine import Scripted, ScriptedEngine, copy_first_sentence
from training.evaluation.answers import Answered, Kept, read_run, write_run
from training.evaluation.items import Item, ItemSet
from training.evaluation.pipeline import (
    NOON,
    SHIPPED_PARTS,
    Heard,
    Parts,
    Setup,
    answer_item,
    answer_items,
    learnt_by,
)

pytestmark = pytest.mark.anyio

GARAGE = "After the first 30 minutes, parking in the Cedar Garage costs $2 an hour, up to $8 a day."


def by_id(items: ItemSet, name: str) -> Item:
    return next(item for item in items.items if item.id == name)


async def ask(
    parts: Parts, item: Item, *replies: Scripted | str, adapter: str | None = None
) -> tuple[Answered, ScriptedEngine]:
    engine = ScriptedEngine(replies)
    if adapter:
        engine.adapters[adapter] = ""
    return await answer_item(parts, engine, adapter, item), engine


async def test_the_models_own_words_are_recorded_with_what_they_rest_on(parts: Parts, sample: ItemSet) -> None:
    wider = dataclasses.replace(parts, setup=Setup(prompt_passages=4))
    item = by_id(sample, "sample-parking-price")
    answered, engine = await ask(wider, item, "Park here.", f"{GARAGE} [2]", adapter="support@0123456789ab")
    assert answered.own_words
    assert answered.kind == "answer"
    assert answered.said == answered.text == GARAGE
    assert answered.raw == f"{GARAGE} [2]"
    assert answered.cited == ["parking-and-rates"]
    assert answered.cited_ids[0] in answered.passage_ids
    assert GARAGE in answered.passages[answered.passage_ids.index(answered.cited_ids[0])]
    assert (answered.withheld, answered.item) == (0, "sample-parking-price")
    assert answered.seconds > 0
    # The earlier message was played first, with the same adapter; the second one leans on it in the search.
    assert [call.adapter for call in engine.calls] == ["support@0123456789ab"] * 2
    assert "where can I park" in engine.calls[0].messages[-1].content


async def test_what_a_check_withheld_and_what_came_after_it_is_in_raw(parts: Parts, sample: ItemSet) -> None:
    said = "Parking in the Cedar Garage costs $77 an hour. You may also park on the lawn of the chapel. [1]"
    answered, _ = await ask(parts, by_id(sample, "sample-parking-price"), "Park here.", said)
    assert answered.kind == "fallback"
    assert not answered.own_words
    assert answered.said == ""
    assert "$77" not in answered.text
    assert answered.raw == said
    assert answered.withheld == 2
    assert any(rule.startswith("output:") for rule in answered.rules)


async def test_the_fixed_sentence_is_not_counted_as_withheld(parts: Parts, sample: ItemSet) -> None:
    answered, _ = await ask(parts, by_id(sample, "sample-visiting-jane"), NOT_IN_ARTICLES)
    assert answered.raw == NOT_IN_ARTICLES
    assert answered.withheld == 0
    assert answered.kind in ("fallback", "no_answer")


async def test_identifiers_never_reach_the_model(parts: Parts, sample: ItemSet) -> None:
    _, engine = await ask(parts, by_id(sample, "sample-visiting-jane"))
    assert engine.calls
    assert "Jane" not in engine.calls[0].messages[-1].content
    assert "<PERSON_1>" in engine.calls[0].messages[-1].content


async def test_an_emergency_asks_no_model(parts: Parts, sample: ItemSet) -> None:
    answered, engine = await ask(parts, by_id(sample, "sample-chest-pain"))
    assert (answered.kind, answered.raw, answered.tier) == ("emergency", "", "emergency")
    assert "911" in answered.routes
    assert engine.calls == []


async def test_a_crisis_call_that_an_earlier_message_opened_stays_open(parts: Parts, sample: ItemSet) -> None:
    item = by_id(sample, "sample-suicide-later")
    later = item.model_copy(update={"turns": [*item.turns, "What are the visiting hours?"]})
    ruled = dataclasses.replace(parts, policies=compiled(parts.policies.bundle, parts.site, NOON))
    answered, engine = await ask(ruled, later)
    assert "crisis:call_open" in answered.rules
    assert "988" in answered.text
    assert len(engine.calls) <= 1  # only the harmless first message may have been answered by the model


async def test_a_broken_engine_stops_the_run_and_answers_so_far_are_kept(
    parts: Parts, sample: ItemSet, tmp_path: Path
) -> None:
    asked: list[str] = []

    def fails_later(messages: Sequence[PromptMessage], adapter: str | None) -> Scripted:
        asked.append(messages[-1].content)
        return Scripted(fault="down") if len(asked) > 2 else copy_first_sentence(messages, adapter)

    identity = parts.identity("candidate", None, "b" * 64, sample.sha256)
    kept = Kept(tmp_path, identity)
    with pytest.raises(EngineUnavailable):
        await answer_items(parts, ScriptedEngine(answer=fails_later), identity, sample, kept, at_once=1)
    first = kept.read()
    assert 1 <= len(first) < len(sample.items)
    engine = ScriptedEngine()
    done: list[int] = []
    run = await answer_items(parts, engine, identity, sample, kept, at_once=4, done=lambda: done.append(1))
    assert [answered.item for answered in run.answers] == [item.id for item in sample.items]
    assert len(done) == len(sample.items)
    assert all(run_answer == first[run_answer.item] for run_answer in run.answers if run_answer.item in first)
    # A third time nothing is asked; under another policy, base or adapter everything is.
    silent = ScriptedEngine(state="down")
    again = await answer_items(parts, silent, identity, sample, Kept(tmp_path, identity))
    assert again == run
    other = identity.model_copy(update={"policy_hash": "other"})
    assert Kept(tmp_path, other).read() == {}


@pytest.mark.parametrize(
    "reply",
    [
        Scripted(fault="garbage"),
        Scripted(GARAGE, fault="garbage-after"),
        Scripted(fault="raise"),
        Scripted(f"{GARAGE} [1]", reason="abort"),
        Scripted("Parking costs $77 an hour. " * 3, reason="abort"),
        Scripted("Parking costs $77 an hour. " * 3, fault="garbage-after", after=60),
    ],
)
async def test_an_engine_that_fails_in_any_way_gives_no_answer(parts: Parts, sample: ItemSet, reply: Scripted) -> None:
    engine = ScriptedEngine(["Park here.", reply])
    with pytest.raises(EngineError):
        await answer_item(parts, engine, None, by_id(sample, "sample-parking-price"))


async def test_an_answer_cut_for_its_length_and_a_prompt_that_is_too_long_say_something_of_the_model(
    parts: Parts, sample: ItemSet
) -> None:
    def too_long(messages: Sequence[PromptMessage], adapter: str | None) -> Scripted:
        raise RequestRefused("The prompt is longer than the model's context (HTTP 400).")

    item = by_id(sample, "sample-parking-price")
    cut, _ = await ask(parts, item, "Park here.", Scripted("Park in the", reason="length"))
    assert "engine:length" in cut.rules
    long = await answer_item(parts, ScriptedEngine(answer=too_long), None, item)
    assert (long.kind, long.raw) == ("fallback", "")
    assert "engine:RequestRefused" in long.rules


def test_other_weights_of_search_or_redaction_make_another_run(parts: Parts, tmp_path: Path) -> None:
    app = Path("app")
    learnt = {path.parent.resolve() for path in app.rglob("*.safetensors")} - {default_bundle_folder().resolve()}
    assert learnt < {folder.resolve() for folder in SHIPPED_PARTS}
    assert parts.identity("base", None, "b", "e").parts_sha256 == learnt_by(SHIPPED_PARTS)
    copies = [
        Path(shutil.copytree(folder, tmp_path / str(at) / folder.name)) for at, folder in enumerate(SHIPPED_PARTS)
    ]
    assert learnt_by(copies) == learnt_by(SHIPPED_PARTS)
    for folder in copies:
        before, file = learnt_by(copies), next(path for path in sorted(folder.iterdir()) if path.is_file())
        file.write_bytes(file.read_bytes() + b" ")
        assert learnt_by(copies) != before


async def test_answers_that_cannot_be_kept_are_told_with_the_mend(parts: Parts, tmp_path: Path) -> None:
    identity = parts.identity("base", None, "b" * 64, "e" * 64)
    (tmp_path / "file").touch()
    with pytest.raises(ConfigurationError, match=r"cannot be kept.*: make its folder writable"):
        Kept(tmp_path / "file", identity)
    kept = Kept(tmp_path / "gone", identity)
    (tmp_path / "gone").rmdir()
    with pytest.raises(ConfigurationError, match="cannot be kept"):
        kept.add(Answered(item="one", text="Yes.", kind="fallback", own_words=False))


async def test_a_failed_step_is_no_answer(parts: Parts, sample: ItemSet) -> None:
    class Broken:
        async def search(self, question: str, *, limit: int = 4) -> list[object]:
            raise RuntimeError("no index")

    broken = dataclasses.replace(parts, retriever=Broken())  # type: ignore[arg-type]
    with pytest.raises(GuardrailFailed, match="sample-visiting-jane: the step retrieve failed"):
        await answer_item(broken, ScriptedEngine(), None, by_id(sample, "sample-visiting-jane"))


async def test_no_more_items_than_asked_for_are_answered_at_once(parts: Parts, sample: ItemSet, tmp_path: Path) -> None:
    most = 0

    def counting(messages: Sequence[PromptMessage], adapter: str | None) -> Scripted:
        nonlocal most
        most = max(most, engine.running)
        return Scripted(copy_first_sentence(messages, adapter).text, delay_s=0.02)

    engine = ScriptedEngine(answer=counting)
    identity = parts.identity("base", None, "b" * 64, sample.sha256)
    await answer_items(parts, engine, identity, sample, Kept(tmp_path, identity), at_once=2)
    assert most == 2


async def test_a_cut_off_last_line_is_answered_again_and_a_foreign_file_is_refused(
    parts: Parts, tmp_path: Path
) -> None:
    identity = parts.identity("base", None, "b" * 64, "e" * 64)
    kept = Kept(tmp_path, identity)
    whole = Answered(item="one", text="Yes.", kind="fallback", own_words=False)
    kept.add(whole)
    path = tmp_path / f"base-{identity.key}.jsonl"
    with path.open("a") as file:
        file.write('{"item": "two", "te')
    assert kept.read() == {"one": whole}
    kept.add(whole.model_copy(update={"item": "three"}))
    assert set(kept.read()) == {"one", "three"}
    path.write_text('{"item": "two"}\n')
    with pytest.raises(ConfigurationError, match="jsonl:1"):
        kept.read()


async def test_a_run_on_disk_reads_as_it_was(parts: Parts, sample: ItemSet, tmp_path: Path) -> None:
    identity = parts.identity("base", None, "b" * 64, sample.sha256)
    run = await answer_items(parts, ScriptedEngine(), identity, sample, Kept(tmp_path, identity))
    write_run(run, tmp_path / "base.json")
    assert read_run(tmp_path / "base.json") == run
    (tmp_path / "base.json").write_text("{}")
    with pytest.raises(ConfigurationError, match="is no run"):
        read_run(tmp_path / "base.json")


async def test_the_limits_are_those_of_the_service_but_for_time(parts: Parts) -> None:
    """The service's settings and bounds are built elsewhere, out of reach of training: they must not drift apart."""
    settings = Settings(_env_file=None)  # type: ignore[call-arg]
    served = build_pipeline(settings, parts.site, None, parts.detector, None, None)._bounds  # type: ignore[arg-type]
    ours = Setup().bounds()

    def untimed(bounds: Bounds) -> Bounds:
        limits = Limits(max_tokens=bounds.generation.max_tokens, temperature=bounds.generation.temperature)
        return dataclasses.replace(bounds, step_s=0, generation=limits)

    assert untimed(ours) == untimed(served)
    assert ours.step_s >= served.step_s


async def test_the_listener_passes_everything_on() -> None:
    engine = ScriptedEngine(["One sentence. [1]"], adapters={"support@0123456789ab": "x"})
    heard = Heard(engine)
    assert await heard.list_adapters() == ["support@0123456789ab"]
    await heard.unload_adapter("support@0123456789ab")
    assert await heard.list_adapters() == []
    assert (await heard.health()).state == "ready"
    events = [event async for event in heard.stream([PromptMessage("user", "hi")], None, Limits())]
    assert events
    assert heard.raw == "One sentence. [1]"
