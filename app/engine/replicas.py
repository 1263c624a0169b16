"""Several replicas as one engine: a conversation stays on one of them, and moves on only if that one is away."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import aclosing

from app.contracts.prompt import PromptMessage
from app.engine.protocol import Delta, Engine, EngineHealth, Finished, Limits
from app.errors import AdapterNotLoaded, EngineUnavailable


class Replicas:
    """Implements Engine over replicas by address, with rendezvous hashing (Thaler and Ravishankar 1998) on the session.

    Loading and unloading reach every replica.
    """

    def __init__(self, replicas: Mapping[str, Engine]) -> None:
        if not replicas:
            raise ValueError("give at least one replica")
        self._replicas = dict(replicas)

    def _order(self, session: str | None) -> list[Engine]:
        def weight(address: str) -> bytes:
            return hashlib.sha256(f"{session}|{address}".encode()).digest()

        return [self._replicas[address] for address in sorted(self._replicas, key=weight, reverse=True)]

    async def stream(
        self, messages: Sequence[PromptMessage], adapter: str | None, limits: Limits, *, session: str | None = None
    ) -> AsyncIterator[Delta | Finished]:
        """Generate on the session's replica, or on the next one if that is away or lacks the adapter."""
        last: EngineUnavailable | AdapterNotLoaded | None = None
        for engine in self._order(session):
            began = False
            try:
                async with aclosing(engine.stream(messages, adapter, limits, session=session)) as events:  # type: ignore[type-var]
                    async for event in events:
                        began = True
                        yield event
                return
            except (EngineUnavailable, AdapterNotLoaded) as error:
                if began:
                    raise
                last = error
        raise last or EngineUnavailable("no replica answered")

    async def health(self) -> EngineHealth:
        """The best state of any replica."""
        states = [await engine.health() for engine in self._replicas.values()]
        for wanted in ("ready", "starting"):
            for health in states:
                if health.state == wanted:
                    ready = sum(h.state == "ready" for h in states)
                    return EngineHealth(health.state, f"{ready} of {len(states)} replicas are ready", health.model)
        return states[0]

    async def list_adapters(self) -> list[str]:
        """Adapters that every replica has loaded."""
        lists = [set(await engine.list_adapters()) for engine in self._replicas.values()]
        return sorted(set.intersection(*lists))

    async def load_adapter(self, name: str, path: str) -> None:
        """Load on every replica."""
        for engine in self._replicas.values():
            await engine.load_adapter(name, path)

    async def unload_adapter(self, name: str) -> None:
        """Unload from every replica."""
        for engine in self._replicas.values():
            await engine.unload_adapter(name)
