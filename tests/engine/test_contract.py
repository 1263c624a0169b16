"""One contract, two engines: whatever holds for the scripted engine of the tests holds for real vLLM."""

from __future__ import annotations

import asyncio
import json
import re
import time
from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, aclosing, suppress
from dataclasses import dataclass, replace
from pathlib import Path

import httpx
import pytest

from app.contracts.prompt import PromptMessage
from app.engine.lanes import LaneTransport
from app.engine.protocol import Delta, Engine, Finished, Limits
from app.engine.vllm import VllmEngine
from app.errors import AdapterInvalid, AdapterNotLoaded, EngineTimeout
from tests.engine_fixtures import RunningVllm, TinyAdapter
from tests.fakes_engine import Scripted, ScriptedEngine

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(1_200)]

PASSAGE = "Two visitors may be with a patient at one time. Children must be with an adult at all times."
MESSAGES = [
    PromptMessage("system", "Answer from the passages."),
    PromptMessage("user", f"[1] {PASSAGE}\n\nQuestion: How many visitors may be with a patient?"),
]
UNKNOWN = "nobody@000000000000"
LIMITS = Limits(max_tokens=48, first_token_s=60, token_s=30, total_s=90)
LONG = replace(LIMITS, max_tokens=900, total_s=240)
"""For ``Subject.tireless``: a generation of seconds, so that what happens in its middle is in its middle."""


@dataclass(frozen=True)
class Work:
    """What an engine has done since it started."""

    running: int
    completed: int
    tokens: int


class Subject(ABC):
    """An engine under test, and a look at its work from the inside.

    ``tireless`` is the same engine asked to write on until ``max_tokens``, however short the answer would be.
    """

    engine: Engine
    tireless: Engine

    @abstractmethod
    async def work(self) -> Work: ...


class ScriptedSubject(Subject):
    def __init__(self) -> None:
        self.scripted = ScriptedEngine(answer=lambda *_: Scripted(PASSAGE + " [1]", delay_s=0.01))
        self.engine = self.scripted
        self.long = ScriptedEngine(
            answer=lambda *_: Scripted((PASSAGE + " ") * 10, delay_s=0.01), adapters=self.scripted.adapters
        )
        self.tireless = self.long

    async def work(self) -> Work:
        calls = [*self.scripted.calls, *self.long.calls]
        completed = sum(call.outcome == "finished" for call in calls)
        running = self.scripted.running + self.long.running
        return Work(running, completed, sum(len(call.sent.split()) for call in calls))


class WritesOn(httpx.AsyncHTTPTransport):
    """Asks vLLM not to stop at the end of the answer."""

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if request.url.path == "/v1/chat/completions":
            content = json.dumps(json.loads(request.content) | {"ignore_eos": True}).encode()
            headers = {**request.headers, "content-length": str(len(content))}
            request = httpx.Request(
                request.method, request.url, headers=headers, content=content, extensions=request.extensions
            )
        return await super().handle_async_request(request)


class VllmSubject(Subject):
    def __init__(self, running: RunningVllm) -> None:
        socket = str(running.socket)
        self.client = VllmEngine(model=running.model, uds=socket, stream_interval=1)
        self.engine = self.client
        lanes = LaneTransport(lambda: WritesOn(uds=socket, verify=False))
        self.long = VllmEngine(model=running.model, uds=socket, stream_interval=1, transport=lanes)
        self.tireless = self.long
        transport = httpx.AsyncHTTPTransport(uds=socket, verify=False)
        self.http = httpx.AsyncClient(transport=transport, base_url="http://engine", timeout=60)

    async def aclose(self) -> None:
        async with AsyncExitStack() as stack:
            for opened in (self.client, self.long, self.http):
                stack.push_async_callback(opened.aclose)

    async def work(self) -> Work:
        metrics = (await self.http.get("/metrics")).text

        def total(name: str) -> int:
            return int(sum(map(float, re.findall(rf"^vllm:{name}\{{.*\}} (\S+)$", metrics, re.MULTILINE))))

        return Work(total("num_requests_running"), total("request_success_total"), total("generation_tokens_total"))


@pytest.fixture(params=["scripted", pytest.param("vllm", marks=pytest.mark.engine)])
async def subject(request: pytest.FixtureRequest) -> AsyncIterator[Subject]:
    if request.param == "scripted":
        yield ScriptedSubject()
        return
    async with aclosing(VllmSubject(request.getfixturevalue("vllm"))) as real:
        yield real
        await unload_all(real.client)


async def unload_all(engine: Engine) -> None:
    """Unload this suite's adapters. A busy machine gets a minute; an engine that cannot be reached is an error."""
    until = time.monotonic() + 60
    while True:
        try:
            for name in await loaded(engine):
                await engine.unload_adapter(name)
            return
        except EngineTimeout:
            if time.monotonic() > until:
                raise


async def loaded(engine: Engine) -> list[str]:
    """The adapters of this suite that are loaded; other suites share the engine."""
    return [name for name in await engine.list_adapters() if name.startswith("tiny@")]


async def collect(engine: Engine, adapter: str | None = None, limits: Limits = LIMITS) -> tuple[str, Finished]:
    """The whole text and the end of one generation; checks the shape of the stream."""
    text, end = "", None
    async for item in engine.stream(MESSAGES, adapter, limits, session="contract"):
        assert end is None, "nothing comes after Finished"
        if isinstance(item, Delta):
            assert item.text
            text += item.text
        else:
            end = item
    assert end is not None
    return text, end


async def test_streams_text_and_then_how_it_ended(subject: Subject) -> None:
    text, end = await collect(subject.engine)
    assert text.strip()
    assert end.reason in ("stop", "length")
    assert end.prompt_tokens > 20
    assert 0 < end.completion_tokens <= LIMITS.max_tokens


async def test_the_same_prompt_gives_the_same_greedy_answer(subject: Subject) -> None:
    assert (await collect(subject.engine))[0] == (await collect(subject.engine))[0]


async def test_stops_at_the_bound_of_tokens(subject: Subject) -> None:
    _, end = await collect(subject.engine, limits=replace(LIMITS, max_tokens=3))
    assert (end.reason, end.completion_tokens) == ("length", 3)


async def test_many_streams_at_once(subject: Subject) -> None:
    alone = (await collect(subject.engine))[0]
    results = await asyncio.gather(*[collect(subject.engine) for _ in range(8)])
    assert len(results) == 8
    assert all(text[:20] == alone[:20] for text, _ in results)


def tireless(subject: Subject) -> aclosing[AsyncGenerator[Delta | Finished, None]]:
    """A long generation, which is closed with the block; both engines give a generator."""
    events = subject.tireless.stream(MESSAGES, None, LONG)
    assert isinstance(events, AsyncGenerator)
    return aclosing(events)


async def require_given_up(subject: Subject, stopped: Callable[[], Awaitable[None]]) -> None:
    """Check that the engine works no more soon after ``stopped``, and leaves most of the generation undone.

    Of eight tries, each after a longer pause, one is enough: on a machine whose cores are taken the engine hears of a
    stop after its last token, which tells nothing; one that goes on whatever its callers do goes on eight times.
    """
    whole = (await collect(subject.tireless, limits=LONG))[1].completion_tokens
    for pause_s in range(8):
        await asyncio.sleep(pause_s)
        before = await subject.work()
        await stopped()
        async with asyncio.timeout(20):
            after, earlier = await subject.work(), None
            while after.running or after != earlier:
                await asyncio.sleep(0.3)
                after, earlier = await subject.work(), after
        if after.completed == before.completed and after.tokens - before.tokens < whole / 2:
            return
    pytest.fail(f"the engine went on with what nobody waits for: {before}, then {after}")


async def test_closing_the_iterator_gives_the_generation_up(subject: Subject) -> None:
    async def stopped() -> None:
        async with tireless(subject) as events:
            assert isinstance(await anext(events), Delta)

    await require_given_up(subject, stopped)


async def test_cancelling_the_caller_gives_the_generation_up(subject: Subject) -> None:
    async def stopped() -> None:
        begun = asyncio.Event()

        async def reader() -> None:
            async with tireless(subject) as events:
                async for _ in events:
                    begun.set()

        task = asyncio.create_task(reader())
        await begun.wait()
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task

    await require_given_up(subject, stopped)
    assert (await collect(subject.tireless))[1].completion_tokens, "the next patient is served"


@pytest.mark.parametrize("limits", [replace(LIMITS, first_token_s=0.001), replace(LIMITS, total_s=0.001)])
async def test_no_token_within_the_limit(subject: Subject, limits: Limits) -> None:
    with pytest.raises(EngineTimeout):
        await collect(subject.engine, limits=limits)
    assert (await collect(subject.engine))[0].strip(), "the next patient is served"


async def test_an_adapter_that_is_not_loaded(subject: Subject) -> None:
    for name in (UNKNOWN, "../../etc/passwd"):
        with pytest.raises(AdapterNotLoaded):
            await collect(subject.engine, name)
    assert (await collect(subject.engine))[0].strip()


async def test_loads_lists_uses_and_unloads(subject: Subject, tiny_adapters: list[TinyAdapter]) -> None:
    engine = subject.engine
    assert await loaded(engine) == []
    for adapter in tiny_adapters:
        await engine.load_adapter(adapter.name, str(adapter.folder))
        await engine.load_adapter(adapter.name, str(adapter.folder))
    assert await loaded(engine) == sorted(adapter.name for adapter in tiny_adapters)
    texts = await asyncio.gather(*[collect(engine, adapter.name) for adapter in tiny_adapters])
    assert all(end.completion_tokens for _, end in texts)
    for adapter in tiny_adapters:
        await engine.unload_adapter(adapter.name)
        await engine.unload_adapter(adapter.name)
        with pytest.raises(AdapterNotLoaded):
            await collect(engine, adapter.name)
    assert await loaded(engine) == []


async def test_unloading_lets_running_generations_finish(subject: Subject, tiny_adapters: list[TinyAdapter]) -> None:
    adapter = tiny_adapters[0]
    limits = replace(LONG, max_tokens=100)
    await subject.engine.load_adapter(adapter.name, str(adapter.folder))
    whole, _ = await collect(subject.tireless, adapter.name, limits)
    text = ""
    async for item in subject.tireless.stream(MESSAGES, adapter.name, limits):
        if not text:
            await subject.engine.unload_adapter(adapter.name)
        if isinstance(item, Delta):
            text += item.text
    assert text == whole


async def test_a_folder_without_an_adapter(subject: Subject, tmp_path: Path) -> None:
    with pytest.raises(AdapterInvalid):
        await subject.engine.load_adapter("tiny@00000000000a", str(tmp_path / "missing"))
    assert await loaded(subject.engine) == []
    assert (await collect(subject.engine))[0].strip()


@pytest.mark.parametrize("name", ["tiny", "tiny@xyz", "Tiny@00000000000a", "tiny@00000000000a/.."])
async def test_names_that_are_not_versions(subject: Subject, tiny_adapters: list[TinyAdapter], name: str) -> None:
    with pytest.raises(AdapterInvalid):
        await subject.engine.load_adapter(name, str(tiny_adapters[0].folder))


async def test_is_well(subject: Subject) -> None:
    health = await subject.engine.health()
    assert (health.state, health.model) == ("ready", health.model)
    assert health.model
    assert health.detail
