"""The scripted engine's faults, so that tests that lean on it lean on something true."""

from __future__ import annotations

import time
from contextlib import aclosing

import anyio
import pytest

from app.contracts.prompt import PromptMessage
from app.engine.protocol import Delta, Finished, Limits
from app.errors import EngineProtocolError, EngineTimeout, EngineUnavailable
from tests.fakes_engine import Fault, Scripted, ScriptedEngine

pytestmark = pytest.mark.anyio
TEXT = "Two visitors may stay. Children come with an adult."
MESSAGES = [PromptMessage("user", f"[1] {TEXT}\n\nQuestion: How many?")]
QUICK = Limits(first_token_s=0.05, token_s=0.05, total_s=1.0)


async def collect(engine: ScriptedEngine, limits: Limits = QUICK) -> str:
    events = [item async for item in engine.stream(MESSAGES, None, limits)]
    assert isinstance(events[-1], Finished)
    return "".join(item.text for item in events if isinstance(item, Delta))


async def test_plays_the_script_and_then_copies_the_first_sentence() -> None:
    engine = ScriptedEngine(["One.", Scripted("Two words.", chunk=1)])
    assert [await collect(engine) for _ in range(3)] == ["One.", "Two words.", "Two visitors may stay. [1]"]
    assert [call.outcome for call in engine.calls] == ["finished"] * 3
    assert engine.running == 0


@pytest.mark.parametrize(
    ("fault", "error", "sent"),
    [
        ("down", EngineUnavailable, ""),
        ("garbage", EngineProtocolError, ""),
        ("raise", RuntimeError, ""),
        ("hang", EngineTimeout, ""),
        ("die-after", EngineUnavailable, "Two visitors"),
        ("garbage-after", EngineProtocolError, "Two visitors"),
        ("hang-after", EngineTimeout, "Two visitors"),
    ],
)
async def test_faults(fault: Fault, error: type[Exception], sent: str) -> None:
    engine = ScriptedEngine([Scripted(TEXT, fault=fault, after=12)])
    with pytest.raises(error):
        await collect(engine)
    assert (engine.calls[0].sent, engine.calls[0].outcome) == (sent, "failed")


async def test_hanging_takes_as_long_as_the_limit() -> None:
    begun = time.monotonic()
    with pytest.raises(EngineTimeout):
        await collect(ScriptedEngine([Scripted(fault="hang")]), Limits(first_token_s=0.2))
    assert 0.19 < time.monotonic() - begun < 5, "not the default of 10 s"


async def test_logs_what_was_given_up() -> None:
    engine = ScriptedEngine([Scripted(TEXT, delay_s=0.01), Scripted(TEXT, delay_s=5)])
    async with aclosing(engine.stream(MESSAGES, None, Limits())) as events:
        await anext(events)
        assert engine.running == 1
    with anyio.move_on_after(0.05):
        await collect(engine, Limits())
    assert [call.outcome for call in engine.calls] == ["cancelled", "cancelled"]


async def test_another_state_than_ready_refuses_everything() -> None:
    engine = ScriptedEngine(state="starting")
    assert (await engine.health()).state == "starting"
    with pytest.raises(EngineUnavailable):
        await collect(engine)
    with pytest.raises(EngineUnavailable):
        await engine.list_adapters()
