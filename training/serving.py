"""Answers through the engine that serves patients: vLLM is started for a model folder, asked, and stopped."""

from __future__ import annotations

import asyncio
import os
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from app.contracts.prompt import PromptMessage
from app.engine.command import SOCKET_NAME, detect_device, engine_command, engine_environment
from app.engine.launcher import EngineLauncher
from app.engine.protocol import Delta, Engine, Limits
from app.engine.vllm import VllmEngine
from app.errors import EngineUnavailable

_NAME = "base"
_START_S, _STARTS = 600.0, 2
LIMITS = Limits(max_tokens=128, first_token_s=300, token_s=120, total_s=600)
"""Greedy, at most 128 tokens; generous times, since a batch may wait for its turn on a small machine."""


@asynccontextmanager
async def served(model: Path | str, adapters: Mapping[str, Path] | None = None) -> AsyncIterator[VllmEngine]:
    """An engine of its own for ``model`` (a folder or a hub id), with ``adapters`` (folders by served name) loaded.

    Raises EngineUnavailable with the end of its log when it does not start, AdapterInvalid for one that it refuses.
    """
    log: list[str] = []
    device = detect_device()
    local = await asyncio.to_thread(Path(model).exists)
    with tempfile.TemporaryDirectory(prefix="bs-") as folder:
        socket = Path(folder) / SOCKET_NAME
        launcher = EngineLauncher(
            engine_command(str(model), socket, served_name=_NAME, device=device),
            engine_environment(socket, inherited=os.environ, device=device, offline=local),
            socket,
            on_log=log.append,
            model=_NAME,
            grace_s=10.0,
        )
        await launcher.start()
        try:
            if not await launcher.wait_ready(_START_S, starts=_STARTS):
                raise EngineUnavailable(f"{launcher.health().detail} The end of its log:\n" + "\n".join(log[-20:]))
            engine = VllmEngine(model=_NAME, uds=str(socket))
            try:
                for name, path in (adapters or {}).items():
                    await engine.load_adapter(name, str(path.resolve()))
                yield engine
            finally:
                await engine.aclose()
        finally:
            await launcher.stop()


Starting = Callable[[], Awaitable[Engine]]
"""Gives the engine; the first call starts it."""


@asynccontextmanager
async def on_demand(model: Path | str) -> AsyncIterator[Starting]:
    """An engine for ``model`` that is started by whoever needs it first, and stopped at the end. Raises as served."""
    running: list[Engine] = []
    async with AsyncExitStack() as stack:

        async def engine() -> Engine:
            if not running:
                running.append(await stack.enter_async_context(served(model)))
            return running[0]

        yield engine


async def answer_all(
    engine: Engine,
    prompts: Sequence[str],
    *,
    adapter: str | None = None,
    at_once: int = 16,
    done: Callable[[], None] = lambda: None,
) -> list[str]:
    """One greedy answer for each user message, in their order. ``done`` is called after each.

    The first failure of the engine ends all streams and is raised.
    """
    places = asyncio.Semaphore(at_once)

    async def one(prompt: str) -> str:
        async with places:
            events = engine.stream([PromptMessage("user", prompt)], adapter, LIMITS)
            text = "".join([item.text async for item in events if isinstance(item, Delta)])
        done()
        return text.strip()

    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(one(prompt)) for prompt in prompts]
    except BaseExceptionGroup as failures:
        raise failures.exceptions[0] from None
    return [task.result() for task in tasks]
