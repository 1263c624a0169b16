"""What the service needs of a language-model engine, and nothing else.

``VllmEngine`` speaks it to vLLM; ``tests.fakes.ScriptedEngine`` speaks it to tests. One contract test suite runs
against both.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from app.contracts.prompt import PromptMessage


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of one generation: tokens, seconds to the first token, seconds between tokens, seconds in all."""

    max_tokens: int = 192
    temperature: float = 0.0
    first_token_s: float = 10.0
    token_s: float = 5.0
    total_s: float = 30.0


@dataclass(frozen=True, slots=True)
class Delta:
    """Some more text. Chunk borders mean nothing."""

    text: str


@dataclass(frozen=True, slots=True)
class Finished:
    """The generation ended. Token counts as the engine states them."""

    reason: Literal["stop", "length", "abort"]
    prompt_tokens: int
    completion_tokens: int


EngineState = Literal["starting", "ready", "down"]


@dataclass(frozen=True, slots=True)
class EngineHealth:
    """``state`` and one sentence that says why, for /readyz and the console."""

    state: EngineState
    detail: str = ""
    model: str = ""


class Engine(Protocol):
    """A language-model engine with LoRA adapters that are loaded by name."""

    def stream(
        self, messages: Sequence[PromptMessage], adapter: str | None, limits: Limits, *, session: str | None = None
    ) -> AsyncIterator[Delta | Finished]:
        """Generate. Yields any number of Delta, then one Finished. ``adapter`` None means the base model.

        Closing the iterator cancels the generation in the engine. ``session`` keeps one conversation on one replica.
        Raises EngineUnavailable, EngineTimeout, EngineProtocolError or AdapterNotLoaded; after the first Delta it
        never retries.
        """
        ...

    async def health(self) -> EngineHealth:
        """State now. Never raises."""
        ...

    async def list_adapters(self) -> list[str]:
        """Served names of loaded adapters, the base model left out. Raises EngineError."""
        ...

    async def load_adapter(self, name: str, path: str) -> None:
        """Load from a folder that the engine can read; a loaded name is not an error.

        Raises EngineError, AdapterInvalid.
        """
        ...

    async def unload_adapter(self, name: str) -> None:
        """Drop the name; running generations finish. An unknown name is not an error. Raises EngineError."""
        ...
