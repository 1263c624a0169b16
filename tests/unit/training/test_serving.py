from __future__ import annotations

import pytest

from app.errors import EngineUnavailable
from tests.fakes_engine import Scripted, ScriptedEngine
from training.serving import answer_all

pytestmark = pytest.mark.anyio


async def test_answers_come_in_the_order_of_the_prompts() -> None:
    engine, count = ScriptedEngine(answer=lambda messages, _: f" {messages[0].content}! "), []
    said = await answer_all(engine, ["one", "two", "three"], at_once=2, done=lambda: count.append(1))
    assert said == ["one!", "two!", "three!"]
    assert len(count) == 3


async def test_the_first_failure_ends_the_other_streams_and_is_raised() -> None:
    engine = ScriptedEngine(replies=[Scripted("slow", delay_s=30), Scripted(fault="down")])
    with pytest.raises(EngineUnavailable):
        await answer_all(engine, ["one", "two"])
    assert [call.outcome for call in engine.calls] == ["cancelled", "failed"]
