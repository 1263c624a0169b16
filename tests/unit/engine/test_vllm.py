"""VllmEngine against scripted bytes on a real Unix socket."""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing
from pathlib import Path

import pytest

from app.contracts.prompt import PromptMessage
from app.engine.breaker import CircuitBreaker
from app.engine.protocol import Delta, EngineHealth, Finished, Limits
from app.engine.vllm import VllmEngine
from app.errors import (
    AdapterInvalid,
    AdapterNotLoaded,
    EngineError,
    EngineProtocolError,
    EngineTimeout,
    EngineUnavailable,
)
from tests.unit.engine.wire import (
    COMPLETE,
    EVENTS,
    USAGE,
    Connection,
    answer,
    chunk,
    delta,
    event,
    sends,
    serve,
)

pytestmark = pytest.mark.anyio
SECRET = "my name is Quillon Featherstone"
MESSAGES = [PromptMessage("system", "Rules."), PromptMessage("user", f"[1] A passage.\n\nQuestion: {SECRET}")]
NAME = "support@0123456789ab"


@pytest.fixture
def socket() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="bs-") as folder:
        yield Path(folder) / "e.sock"


@pytest.fixture
async def engine(socket: Path) -> AsyncIterator[VllmEngine]:
    subject = VllmEngine(model="base", uds=str(socket))
    yield subject
    await subject.aclose()


async def collect(
    engine: VllmEngine, adapter: str | None = None, limits: Limits | None = None, session: str | None = None
) -> list[Delta | Finished]:
    async with aclosing(engine.stream(MESSAGES, adapter, limits or Limits(), session=session)) as events:
        return [item async for item in events]


async def test_streams_deltas_and_then_the_usage(engine: VllmEngine, socket: Path) -> None:
    async with serve(socket, sends(COMPLETE)) as server:
        events = await collect(engine, NAME, Limits(max_tokens=9, temperature=0.5), session="c-1")
    assert events == [Delta("Two "), Delta("visitors."), Finished("stop", 11, 3)]
    request = server.requests[0]
    assert request.path == "/v1/chat/completions"
    assert request.header("x-session-id") == "c-1"
    assert request.body["model"] == NAME
    assert request.body["messages"][0] == {"role": "system", "content": "Rules."}
    assert (request.body["max_tokens"], request.body["temperature"]) == (9, 0.5)
    assert request.body["stream_options"] == {"include_usage": True}


async def test_asks_the_base_model_without_an_adapter(engine: VllmEngine, socket: Path) -> None:
    async with serve(socket, sends(COMPLETE)) as server:
        await collect(engine)
    assert server.requests[0].body["model"] == "base"
    assert server.requests[0].header("x-session-id") is None


async def test_many_streams_ask_for_fewer_events(engine: VllmEngine, socket: Path) -> None:
    release = asyncio.Event()

    async def wait(connection: Connection) -> None:
        await release.wait()
        await connection.send(COMPLETE)

    async with serve(socket, wait) as server:
        tasks = []
        for count in range(1, 21):
            tasks.append(asyncio.create_task(collect(engine)))
            async with asyncio.timeout(20):
                while len(server.requests) < count:
                    await asyncio.sleep(0.001)
        release.set()
        await asyncio.gather(*tasks)
        await collect(engine)
    asked = [request.body.get("stream_interval", 1) for request in server.requests]
    assert asked == [1] * 4 + [2] * 12 + [4] * 4 + [1]


async def test_uses_one_connection_again(engine: VllmEngine, socket: Path) -> None:
    async with serve(socket, sends(COMPLETE)) as server:
        for _ in range(5):
            await collect(engine)
    assert (len(server.requests), server.connections) == (5, 1)


@pytest.mark.parametrize("size", [1, 3, 50])
async def test_chunk_borders_mean_nothing(engine: VllmEngine, socket: Path, size: int) -> None:
    payload = "".join(
        f"data: {text}\r\n\r\n"
        for text in (
            '{"choices":[{"delta":{"content":"Fünf €"},"finish_reason":null}]}',
            '{"choices":[{"delta":{},"finish_reason":"length"}]}',
            '{"choices":[],"usage":{"prompt_tokens":1,"completion_tokens":2}}',
            "[DONE]",
        )
    )
    raw = f": keep-alive\n\nevent: message\n{payload}".encode()
    pieces = b"".join(chunk(raw[at : at + size]) for at in range(0, len(raw), size))
    async with serve(socket, sends(EVENTS + pieces + b"0\r\n\r\n")):
        assert await collect(engine) == [Delta("Fünf €"), Finished("length", 1, 2)]


@pytest.mark.parametrize(
    "data",
    [
        EVENTS + event("{not json") + b"0\r\n\r\n",
        EVENTS + event("[1, 2]") + b"0\r\n\r\n",
        EVENTS + event("[" * 5_000) + b"0\r\n\r\n",
        EVENTS + event({"choices": [{"nothing": 1}]}) + b"0\r\n\r\n",
        EVENTS + event({"choices": [{"delta": {"content": 5}}]}) + b"0\r\n\r\n",
        EVENTS + event({"choices": "text"}) + b"0\r\n\r\n",
        EVENTS + event({"choices": [], "usage": {"prompt_tokens": "many", "completion_tokens": 1}}) + b"0\r\n\r\n",
        EVENTS + delta("x", "because") + b"0\r\n\r\n",
        EVENTS + chunk(b"<html>proxy error</html>\n") + b"0\r\n\r\n",
        EVENTS + chunk(b"data: \xff\xfe\xfa\n\n") + b"0\r\n\r\n",
        EVENTS + delta("half") + b"0\r\n\r\n",
        EVENTS + delta("whole", "stop") + event("[DONE]") + b"0\r\n\r\n",
        EVENTS + event(USAGE) + event("[DONE]") + b"0\r\n\r\n",
        EVENTS + b"zz\r\nnot a chunk",
        b"HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ncontent-length: 2\r\n\r\nhi",
        b"SSH-2.0-OpenSSH_9.2\r\n\r\n",
        answer(400, {"error": {"message": SECRET, "code": 400}}),
        answer(400, {"error": {"message": "maximum context length is 1024", "code": 400}}),
    ],
)
async def test_nonsense_is_a_protocol_error_that_repeats_nothing(engine: VllmEngine, socket: Path, data: bytes) -> None:
    async with serve(socket, sends(data, close=True)) as server:
        with pytest.raises(EngineProtocolError) as caught:
            await collect(engine)
    assert SECRET not in str(caught.value)
    assert len(server.requests) == 1, "nonsense is not asked for again"


async def test_an_endless_event_is_cut(engine: VllmEngine, socket: Path) -> None:
    async def flood(connection: Connection) -> None:
        await connection.send(EVENTS)
        while True:
            await connection.send(chunk(b"x" * 65_536))

    async with serve(socket, flood):
        with pytest.raises(EngineProtocolError, match="never ends"):
            await collect(engine)


async def test_unknown_adapter(engine: VllmEngine, socket: Path) -> None:
    async with serve(socket, sends(answer(404, {"error": {"code": 404}}))) as server:
        for _ in range(8):
            with pytest.raises(AdapterNotLoaded):
                await collect(engine, NAME)
    assert len(server.requests) == 8, "an unknown adapter says nothing about the engine: the circuit stays closed"


async def test_refused_requests_do_not_open_the_circuit(engine: VllmEngine, socket: Path) -> None:
    async with serve(socket, sends(answer(400, {}))) as server:
        for _ in range(8):
            with pytest.raises(EngineProtocolError):
                await collect(engine)
    assert len(server.requests) == 8


@pytest.mark.parametrize(
    "name",
    ["support", "Support@0123456789ab", "support@0123", "../x@0123456789ab", f"{NAME}\n", "", "a b@0123456789ab"],
)
async def test_refuses_names_that_are_not_versions(engine: VllmEngine, socket: Path, name: str) -> None:
    async with serve(socket, sends(COMPLETE)) as server:
        with pytest.raises(AdapterNotLoaded):
            await collect(engine, name)
        with pytest.raises(AdapterInvalid):
            await engine.load_adapter(name, "/adapters/x")
        with pytest.raises(AdapterNotLoaded):
            await engine.unload_adapter(name)
    assert server.requests == []


async def test_no_engine(engine: VllmEngine) -> None:
    begun = time.monotonic()
    with pytest.raises(EngineUnavailable, match="cannot be reached"):
        await collect(engine)
    assert time.monotonic() - begun < 5, "not the limit of 10 s"
    with pytest.raises(EngineUnavailable):
        await engine.list_adapters()
    assert (await engine.health()).state == "down"


async def test_tries_again_before_the_first_token(engine: VllmEngine, socket: Path) -> None:
    async with serve(socket, sends(b"", close=True), sends(answer(503, {})), sends(COMPLETE)) as server:
        events = await collect(engine)
    assert events[-1] == Finished("stop", 11, 3)
    assert len(server.requests) == 3


async def test_gives_up_after_two_more_tries(engine: VllmEngine, socket: Path) -> None:
    async with serve(socket, sends(answer(503, {}))) as server:
        with pytest.raises(EngineUnavailable):
            await collect(engine)
    assert len(server.requests) == 3


async def test_never_tries_again_after_the_first_token(engine: VllmEngine, socket: Path) -> None:
    dying = sends(EVENTS + delta("Two "), close=True)
    async with (
        serve(socket, dying, sends(COMPLETE)) as server,
        aclosing(engine.stream(MESSAGES, None, Limits())) as events,
    ):
        assert await anext(events) == Delta("Two ")
        with pytest.raises(EngineUnavailable, match="broke"):
            await anext(events)
    assert len(server.requests) == 1


async def test_an_error_event_in_the_middle(engine: VllmEngine, socket: Path) -> None:
    data = EVENTS + delta("Two ") + event({"error": {"message": SECRET, "code": 500}}) + event("[DONE]")
    async with serve(socket, sends(data)):
        with pytest.raises(EngineUnavailable) as caught:
            await collect(engine)
    assert SECRET not in str(caught.value)


async def test_an_answer_that_is_here_but_too_late_is_refused(socket: Path) -> None:
    """As when the process was stopped meanwhile: a timer alone would let the waiting bytes through."""
    times = iter((0.0, 0.0))
    subject = VllmEngine(
        model="base", uds=str(socket), clock=lambda: next(times, 100.0), breaker=CircuitBreaker(lambda: 0.0)
    )
    async with serve(socket, sends(EVENTS + COMPLETE)):
        with pytest.raises(EngineTimeout):
            await collect(subject, limits=Limits(first_token_s=10, total_s=30))
    await subject.aclose()


@pytest.mark.parametrize(
    ("begin", "limits"),
    [
        (b"", Limits(first_token_s=0.15)),
        (EVENTS, Limits(first_token_s=0.15)),
        (EVENTS + event({"choices": [{"delta": {"role": "assistant", "content": ""}}]}), Limits(first_token_s=0.15)),
        (EVENTS + delta("Two "), Limits(token_s=0.15)),
        (EVENTS + delta("Two "), Limits(total_s=0.15)),
    ],
)
async def test_a_hanging_engine_is_left(engine: VllmEngine, socket: Path, begin: bytes, limits: Limits) -> None:
    left = asyncio.Event()

    async def hang(connection: Connection) -> None:
        await connection.send(begin)
        if await connection.gone():
            left.set()

    async with serve(socket, hang) as server:
        begun = time.monotonic()
        with pytest.raises(EngineTimeout):
            await collect(engine, limits=limits)
        assert 0.1 < time.monotonic() - begun < 4, "not one of the other limits"
        async with asyncio.timeout(10):
            await left.wait()
    assert len(server.requests) == 1


async def test_dripping_without_end_meets_the_total(engine: VllmEngine, socket: Path) -> None:
    async def drip(connection: Connection) -> None:
        await connection.send(EVENTS)
        while not connection.writer.is_closing():
            await connection.send(delta("x"))
            await asyncio.sleep(0.02)

    async with serve(socket, drip):
        with pytest.raises(EngineTimeout):
            await collect(engine, limits=Limits(total_s=0.3, token_s=0.2))


async def test_closing_the_iterator_closes_the_connection(engine: VllmEngine, socket: Path) -> None:
    left = asyncio.Event()

    async def endless(connection: Connection) -> None:
        await connection.send(EVENTS + delta("Two "))
        if await connection.gone():
            left.set()

    async with serve(socket, endless):
        async with aclosing(engine.stream(MESSAGES, None, Limits())) as events:
            assert await anext(events) == Delta("Two ")
        async with asyncio.timeout(10):
            await left.wait()


async def test_cancelling_the_task_closes_the_connection(engine: VllmEngine, socket: Path) -> None:
    asked, left = asyncio.Event(), asyncio.Event()

    async def silent(connection: Connection) -> None:
        asked.set()
        if await connection.gone():
            left.set()

    async with serve(socket, silent):
        task = asyncio.create_task(collect(engine))
        await asked.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        async with asyncio.timeout(10):
            await left.wait()


@pytest.mark.parametrize("warm", [False, True], ids=["a new connection", "a used connection"])
def test_a_cancel_at_any_step_blocks_no_later_patient(socket: Path, warm: bool) -> None:
    """Cancel a stream after 0, 1, 2, ... rounds of the event loop, up to its end: the next one is served each time.

    On a loop of its own: anyio's socket logs an InvalidStateError where a cancel meets data in one round.
    """

    async def cancelled_after(rounds: int) -> bool:
        engine = VllmEngine(model="base", uds=str(socket))
        try:
            async with serve(socket, sends(COMPLETE)):
                if warm:
                    await collect(engine)
                task = asyncio.create_task(collect(engine))
                for _ in range(rounds):
                    await asyncio.sleep(0)
                ended = task.done()
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)
                assert len(await collect(engine)) == 3, f"after {rounds} rounds"
        finally:
            await engine.aclose()
        return ended

    rounds = 0
    while not asyncio.run(cancelled_after(rounds)):
        socket.unlink()
        rounds += 1
    assert rounds > 5


async def test_the_circuit_opens_and_closes_again(socket: Path) -> None:
    now = 0.0
    breaker = CircuitBreaker(lambda: now, failures=3, open_s=2.0)
    engine = VllmEngine(model="base", uds=str(socket), breaker=breaker)
    with pytest.raises(EngineUnavailable):
        await collect(engine)
    assert breaker.state == "open"
    async with serve(socket, sends(COMPLETE)) as server:
        with pytest.raises(EngineUnavailable, match="several times in a row"):
            await collect(engine)
        assert server.requests == []
        now = 2.0
        assert len(await collect(engine)) == 3
        assert breaker.state == "closed"
    await engine.aclose()


async def test_a_cancelled_probe_does_not_lock_the_circuit(socket: Path) -> None:
    now = 0.0
    breaker = CircuitBreaker(lambda: now, failures=1, open_s=1.0)
    engine = VllmEngine(model="base", uds=str(socket), breaker=breaker)
    with pytest.raises(EngineError):
        await collect(engine)
    now = 1.0
    asked = asyncio.Event()

    async def silent(connection: Connection) -> None:
        asked.set()
        await connection.gone()

    async with serve(socket, silent, sends(COMPLETE)):
        task = asyncio.create_task(collect(engine))
        await asked.wait()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        assert len(await collect(engine)) == 3
    await engine.aclose()


async def test_health_tells_starting_from_down(socket: Path) -> None:
    known = EngineHealth("starting", "12 s so far", "base")
    engine = VllmEngine(model="base", uds=str(socket), unreachable=lambda: known)
    assert await engine.health() == known
    async with serve(socket, sends(answer(200, {})), sends(answer(503, {}))):
        assert (await engine.health()).state == "ready"
        assert (await engine.health()).state == "down"
    await engine.aclose()


async def test_lists_adapters_without_the_base(engine: VllmEngine, socket: Path) -> None:
    cards = {
        "data": [
            {"id": "base", "parent": None},
            {"id": "b@0123456789ab", "parent": "base"},
            {"id": NAME, "parent": "base"},
        ]
    }
    async with serve(socket, sends(answer(200, cards)), sends(answer(200, {"data": 3})), sends(answer(500, {}))):
        assert await engine.list_adapters() == ["b@0123456789ab", NAME]
        with pytest.raises(EngineProtocolError):
            await engine.list_adapters()
        with pytest.raises(EngineUnavailable):
            await engine.list_adapters()


async def test_loading_what_is_loaded_is_no_error(engine: VllmEngine, socket: Path) -> None:
    cards = {"data": [{"id": NAME, "parent": "base"}]}
    async with serve(socket, sends(answer(400, {"error": {}})), sends(answer(200, cards))) as server:
        await engine.load_adapter(NAME, "/adapters/a")
    assert server.requests[0].body == {"lora_name": NAME, "lora_path": "/adapters/a"}


async def test_a_load_that_fails_tells_files_from_engine(engine: VllmEngine, socket: Path) -> None:
    empty = sends(answer(200, {"data": []}))
    failed = sends(answer(500, {}))
    async with serve(socket, failed, empty, sends(answer(200, {})), failed, empty, sends(answer(503, {}))):
        with pytest.raises(AdapterInvalid, match="could not load"):
            await engine.load_adapter(NAME, "/adapters/a")
        with pytest.raises(EngineUnavailable):
            await engine.load_adapter(NAME, "/adapters/a")


async def test_unloading_an_unknown_name_is_no_error(engine: VllmEngine, socket: Path) -> None:
    async with serve(socket, sends(answer(404, {})), sends(answer(500, {}))):
        await engine.unload_adapter(NAME)
        with pytest.raises(EngineUnavailable):
            await engine.unload_adapter(NAME)


def test_needs_exactly_one_address() -> None:
    with pytest.raises(ValueError, match="exactly one"):
        VllmEngine(model="base")
    with pytest.raises(ValueError, match="exactly one"):
        VllmEngine(model="base", uds="/x", base_url="http://x")
