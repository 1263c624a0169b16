"""ScriptedEngine: the Engine protocol without a model, with every fault that a real one can show."""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, Callable, Iterable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import anyio

from app.contracts.prompt import PromptMessage
from app.engine.protocol import Delta, EngineHealth, EngineState, Finished, Limits
from app.errors import (
    AdapterInvalid,
    AdapterNotLoaded,
    EngineProtocolError,
    EngineTimeout,
    EngineUnavailable,
)

Fault = Literal["down", "hang", "hang-after", "die-after", "garbage", "garbage-after", "raise"]
_NAME = re.compile(r"[a-z][a-z0-9-]*@[0-9a-f]{12}")


@dataclass(frozen=True, slots=True)
class Scripted:
    """One reply. ``chunk`` is the number of characters of a Delta, ``delay_s`` the pause before each Delta.

    Faults: ``down`` refuses at once; ``hang`` never sends anything; ``garbage`` breaks the protocol at once; ``raise``
    raises a RuntimeError, as a bug would. With ``-after`` the fault comes after ``after`` characters of the text.
    """

    text: str = ""
    chunk: int = 7
    delay_s: float = 0.0
    fault: Fault | None = None
    after: int = 12
    reason: Literal["stop", "length", "abort"] = "stop"


@dataclass(slots=True)
class Call:
    """What a caller asked for, and how it ended: ``finished``, ``failed`` or ``cancelled``."""

    messages: tuple[PromptMessage, ...]
    adapter: str | None
    limits: Limits
    session: str | None
    outcome: Literal["running", "finished", "failed", "cancelled"] = "running"
    sent: str = ""


Answer = Callable[[Sequence[PromptMessage], str | None], "Scripted | str"]


def copy_first_sentence(messages: Sequence[PromptMessage], adapter: str | None) -> Scripted:
    """The default answer: the first sentence of passage 1 with its citation, as a model that copies well gives it."""
    match = re.search(r"^\[1\] (.+?[.!?])(?=\s|$)", messages[-1].content, re.MULTILINE)
    return Scripted(f"{match[1]} [1]" if match else "The approved articles do not answer this question.")


@dataclass
class ScriptedEngine:
    """Answers with ``replies`` in turn (texts or Scripted), then with ``answer``. ``calls`` logs everything asked.

    Knows only loaded adapters, as the real engine does: give ``adapters`` or load them. ``loads`` counts load calls
    that did something. ``state`` other than ``ready`` makes all calls fail.
    """

    replies: Iterable[Scripted | str] = ()
    answer: Answer = copy_first_sentence
    adapters: dict[str, str] = field(default_factory=dict)
    state: EngineState = "ready"
    model: str = "scripted"
    calls: list[Call] = field(default_factory=list)
    loads: int = 0

    def __post_init__(self) -> None:
        self._script = list(self.replies)

    def script(self, *replies: Scripted | str) -> None:
        """Append replies to the script."""
        self._script.extend(replies)

    @property
    def running(self) -> int:
        """Generations that have begun and not ended: a real engine would still compute them."""
        return sum(call.outcome == "running" for call in self.calls)

    async def stream(
        self, messages: Sequence[PromptMessage], adapter: str | None, limits: Limits, *, session: str | None = None
    ) -> AsyncGenerator[Delta | Finished, None]:
        call = Call(tuple(messages), adapter, limits, session)
        self.calls.append(call)
        try:
            self._require_ready()
            if adapter is not None and adapter not in self.adapters:
                raise AdapterNotLoaded("The engine does not know this adapter.")
            next_reply = self._script.pop(0) if self._script else self.answer(messages, adapter)
            reply = Scripted(next_reply) if isinstance(next_reply, str) else next_reply
            async with aclosing(self._play(reply, call, limits)) as events:
                async for event in events:
                    yield event
            call.outcome = "finished"
        except (GeneratorExit, anyio.get_cancelled_exc_class()):
            call.outcome = "cancelled"
            raise
        except BaseException:
            call.outcome = "failed"
            raise

    async def _play(self, reply: Scripted, call: Call, limits: Limits) -> AsyncGenerator[Delta | Finished, None]:
        start = anyio.current_time()
        if reply.fault == "down":
            raise EngineUnavailable("The scripted engine is down.")
        if reply.fault == "raise":
            raise RuntimeError("scripted bug")
        if reply.fault == "garbage":
            raise EngineProtocolError("The scripted engine sent garbage.")
        words = _as_tokens(reply.text)
        text = "".join(words[: limits.max_tokens])
        cut = len(words) > limits.max_tokens
        if reply.fault == "hang":
            await self._wait(reply.delay_s, limits.first_token_s, start, limits, hang=True)
        end = min(len(text), reply.after) if reply.fault is not None else len(text)
        for at in range(0, end, reply.chunk):
            bound = limits.first_token_s if at == 0 else limits.token_s
            await self._wait(reply.delay_s, bound, start, limits)
            piece = text[at : min(at + reply.chunk, end)]
            call.sent += piece
            yield Delta(piece)
        if reply.fault == "hang-after":
            await self._wait(reply.delay_s, limits.token_s, start, limits, hang=True)
        if reply.fault == "die-after":
            raise EngineUnavailable("The scripted engine died in the middle of its answer.")
        if reply.fault == "garbage-after":
            raise EngineProtocolError("The scripted engine sent garbage.")
        prompt = sum(len(_as_tokens(message.content)) for message in call.messages)
        yield Finished("length" if cut else reply.reason, prompt, min(len(words), limits.max_tokens))

    async def _wait(self, delay_s: float, bound_s: float, start: float, limits: Limits, *, hang: bool = False) -> None:
        left = min(bound_s, start + limits.total_s - anyio.current_time())
        if hang or delay_s > left:
            await anyio.sleep(max(0.0, left))
            raise EngineTimeout("The scripted engine sent nothing within the limit.")
        await anyio.sleep(delay_s)

    async def health(self) -> EngineHealth:
        return EngineHealth(self.state, "scripted", self.model)

    async def list_adapters(self) -> list[str]:
        self._require_ready()
        return sorted(self.adapters)

    async def load_adapter(self, name: str, path: str) -> None:
        self._require_ready()
        if not _NAME.fullmatch(name):
            raise AdapterInvalid("An adapter's served name is <name>@<12 hex digits>.")
        if name in self.adapters:
            return
        if not (Path(path) / "adapter_config.json").is_file():
            raise AdapterInvalid("There is no adapter in this folder.")
        self.adapters[name] = path
        self.loads += 1

    async def unload_adapter(self, name: str) -> None:
        self._require_ready()
        _require_name(name)
        self.adapters.pop(name, None)

    def _require_ready(self) -> None:
        if self.state != "ready":
            raise EngineUnavailable(f"The scripted engine is {self.state}.")


def _as_tokens(text: str) -> list[str]:
    return re.findall(r"\s*\S+|\s+", text)


def _require_name(name: str) -> None:
    if not _NAME.fullmatch(name):
        raise AdapterNotLoaded("An adapter's served name is <name>@<12 hex digits>.")
