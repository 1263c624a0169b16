"""The Engine protocol, spoken to vLLM over a Unix socket or a private address."""

from __future__ import annotations

import contextlib
import random
import re
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import aclosing
from dataclasses import asdict
from typing import Any

import anyio
import httpx

from app.contracts.prompt import PromptMessage
from app.engine.breaker import CircuitBreaker
from app.engine.lanes import LaneTransport
from app.engine.protocol import Delta, EngineHealth, Finished, Limits
from app.engine.sse import ChatStreamParser, RequestRefused, reported_error
from app.errors import (
    AdapterInvalid,
    AdapterNotLoaded,
    EngineError,
    EngineProtocolError,
    EngineTimeout,
    EngineUnavailable,
)

ADAPTER_NAME = re.compile(r"[a-z][a-z0-9-]*@[0-9a-f]{12}")
"""Served names of adapters: name and the first 12 hex digits of the content hash. Others are refused."""

_NAME_RULE = "An adapter's served name is <name>@<12 hex digits>."

Events = AsyncGenerator[Delta | Finished, None]

_CONTROL_S = 5.0
_HEALTH_S = 2.0
_LOAD_S = 60.0
_RETRIES = 2


class VllmEngine:
    """One vLLM replica, or several behind a router that reads ``X-Session-ID``.

    Give ``uds`` (path of a Unix socket) or ``base_url`` (``http://host:port``). ``model`` is the served name of the
    base model. ``stream_interval`` is how many tokens vLLM puts into one event (the first comes at once); None chooses
    by the number of streams that run. ``unreachable`` tells what is known about an engine that does not answer (the
    launcher's state), so that "starting" and "down" can be told apart. ``clock`` gives monotonic seconds.
    Close with ``aclose``.
    """

    def __init__(
        self,
        *,
        model: str,
        uds: str | None = None,
        base_url: str | None = None,
        stream_interval: int | None = None,
        breaker: CircuitBreaker | None = None,
        unreachable: Callable[[], EngineHealth] | None = None,
        clock: Callable[[], float] = time.monotonic,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        if (uds is None) == (base_url is None):
            raise ValueError("give exactly one of uds and base_url")
        self._model = model
        self._stream_interval = stream_interval
        self._running = 0
        self._clock = clock
        self._breaker = breaker or CircuitBreaker(clock)
        self._unreachable = unreachable
        self._http = httpx.AsyncClient(
            transport=transport or LaneTransport(_lanes(uds)),
            base_url=base_url or "http://engine",
            timeout=httpx.Timeout(None, connect=2.0, write=5.0, pool=5.0),
            headers={"accept-encoding": "identity"},
            trust_env=False,
        )

    async def aclose(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def stream(
        self, messages: Sequence[PromptMessage], adapter: str | None, limits: Limits, *, session: str | None = None
    ) -> Events:
        """See Engine.stream. Tries again, at most twice and within ``first_token_s``, only before the first Delta."""
        if adapter is not None:
            _require_name(adapter)
        request = self._chat_request(messages, adapter, limits, session)
        self._running += 1
        try:
            async with aclosing(self._attempts(request, limits)) as events:
                async for event in events:
                    yield event
        finally:
            self._running -= 1

    async def _attempts(self, request: httpx.Request, limits: Limits) -> Events:
        started = self._clock()
        attempt = 0
        while True:
            if not self._breaker.allow():
                raise EngineUnavailable("The engine failed several times in a row; it is tried again in a moment.")
            begun = False
            settled = False
            try:
                async with aclosing(self._attempt(request, limits, started)) as events:
                    async for event in events:
                        if not begun:
                            begun = settled = True
                            self._breaker.succeeded()
                        yield event
                return
            except (AdapterNotLoaded, RequestRefused):
                settled = True
                self._breaker.succeeded()
                raise
            except EngineError as error:
                settled = True
                self._breaker.failed()
                wait = random.uniform(0.05, 0.15) * 2**attempt
                late = self._clock() - started + wait >= limits.first_token_s
                if begun or late or attempt >= _RETRIES or not isinstance(error, EngineUnavailable):
                    raise
                attempt += 1
            finally:
                if not settled:
                    self._breaker.cancelled()
            await anyio.sleep(wait)

    async def health(self) -> EngineHealth:
        """See Engine.health. Asks vLLM's ``/health``, which looks at the engine core too."""
        try:
            response = await self._control("GET", "/health", seconds=_HEALTH_S)
        except EngineError as error:
            known = self._unreachable() if self._unreachable is not None else None
            if known is not None and known.state != "ready":
                return known
            return EngineHealth("down", str(error), self._model)
        if response.status_code == 200:
            return EngineHealth("ready", "The engine answers.", self._model)
        return EngineHealth("down", f"The engine says that it is not well (HTTP {response.status_code}).", self._model)

    async def list_adapters(self) -> list[str]:
        """See Engine.list_adapters."""
        response = await self._control("GET", "/v1/models")
        if response.status_code != 200:
            raise _refusal(response)
        try:
            cards = response.json()["data"]
            return sorted(card["id"] for card in cards if card.get("parent") is not None)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise EngineProtocolError("The engine's list of models cannot be read.") from error

    async def load_adapter(self, name: str, path: str) -> None:
        """See Engine.load_adapter. ``path`` must be the version's own folder, never changed afterwards."""
        if not ADAPTER_NAME.fullmatch(name):
            raise AdapterInvalid(_NAME_RULE)
        body = {"lora_name": name, "lora_path": path}
        response = await self._control("POST", "/v1/load_lora_adapter", body, seconds=_LOAD_S)
        if response.status_code == 200 or name in await self.list_adapters():
            return
        if response.status_code >= 500 and (await self.health()).state != "ready":
            raise EngineUnavailable("The engine failed while it loaded the adapter.")
        raise AdapterInvalid(f"The engine could not load the adapter {name} (HTTP {response.status_code}).")

    async def unload_adapter(self, name: str) -> None:
        """See Engine.unload_adapter."""
        _require_name(name)
        response = await self._control("POST", "/v1/unload_lora_adapter", {"lora_name": name})
        if response.status_code not in (200, 404):
            raise _refusal(response)

    def _chat_request(
        self, messages: Sequence[PromptMessage], adapter: str | None, limits: Limits, session: str | None
    ) -> httpx.Request:
        body: dict[str, Any] = {
            "model": adapter or self._model,
            "messages": [asdict(message) for message in messages],
            "stream": True,
            "stream_options": {"include_usage": True},
            "max_tokens": limits.max_tokens,
            "temperature": limits.temperature,
        }
        interval = self._stream_interval or tokens_per_event(self._running)
        if interval > 1:
            body["stream_interval"] = interval
        headers = {"x-session-id": session} if session else {}
        return self._http.build_request("POST", "/v1/chat/completions", json=body, headers=headers)

    async def _attempt(self, request: httpx.Request, limits: Limits, started: float) -> Events:
        """One try. Waits ``first_token_s`` for the first Delta, then ``token_s`` for each, ``total_s`` in all."""
        first_by = started + min(limits.first_token_s, limits.total_s)
        end_by = started + limits.total_s
        with _HttpErrors():
            response = await self._within(first_by, self._http.send(request, stream=True), "a first token")
        try:
            if response.status_code != 200:
                with _HttpErrors():
                    await self._within(first_by, response.aread(), "an answer")
                raise _refusal(response)
            if not response.headers.get("content-type", "").startswith("text/event-stream"):
                raise EngineProtocolError("The engine answered with something that is not an event stream.")
            parser = ChatStreamParser()
            chunks = response.aiter_raw()
            begun = False
            due = first_by
            while True:
                what = "more text" if begun else "a first token"
                if self._clock() >= due:  # a timer alone lets through what already lies in the buffer
                    raise _late(what)
                with _HttpErrors():
                    chunk = await self._within(due, anext(chunks, None), what)
                if chunk is None:
                    parser.close()
                    return
                found = parser.feed(chunk)
                complete = bool(found) and isinstance(found[-1], Finished)
                if complete:
                    await _drain(chunks)
                for event in found:
                    yield event
                if complete:
                    return
                begun = begun or bool(found)
                if begun:
                    due = min(self._clock() + limits.token_s, end_by)
        finally:
            with anyio.CancelScope(shield=True):
                await response.aclose()

    async def _within(self, due: float, awaitable: Any, what: str) -> Any:
        try:
            with anyio.fail_after(max(0.0, due - self._clock())):
                return await awaitable
        except TimeoutError as error:
            raise _late(what) from error

    async def _control(
        self, method: str, path: str, body: dict[str, str] | None = None, *, seconds: float = _CONTROL_S
    ) -> httpx.Response:
        with _HttpErrors():
            response: httpx.Response = await self._within(
                self._clock() + seconds, self._http.request(method, path, json=body), "an answer"
            )
        return response


def _late(what: str) -> EngineTimeout:
    return EngineTimeout(f"The engine did not send {what} within the limit.")


def tokens_per_event(running: int) -> int:
    """Tokens in one event while ``running`` other streams run.

    Few streams: every token at once, since a sentence is shown when its last token is here. Many: fewer events, which
    at 32 streams save about 150 of 400 microseconds of CPU a token in vLLM's front and in this process.
    """
    return 1 if running < 4 else 2 if running < 16 else 4


def _lanes(uds: str | None) -> Callable[[], httpx.AsyncHTTPTransport]:
    """What makes a lane. All share one TLS context, which takes longer to make than a short request."""
    one = httpx.Limits(max_connections=1, max_keepalive_connections=1, keepalive_expiry=30.0)
    context = httpx.create_ssl_context(verify=uds is None)
    return lambda: httpx.AsyncHTTPTransport(uds=uds, verify=context, limits=one)


async def _drain(chunks: AsyncIterator[bytes]) -> None:
    """Read the end of a complete answer, so that its connection can be used again."""
    with contextlib.suppress(httpx.HTTPError), anyio.move_on_after(0.25):
        await anext(chunks, None)


class _HttpErrors:
    """Turns httpx's errors into ours. Cheaper per token than a generator-based context manager."""

    __slots__ = ()

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, httpx.ConnectError | httpx.ConnectTimeout | httpx.PoolTimeout):
            raise EngineUnavailable("The engine cannot be reached.") from error
        if isinstance(error, httpx.TimeoutException):
            raise EngineTimeout("The engine did not answer within the limit.") from error
        if isinstance(error, httpx.RemoteProtocolError) and not _cut_off(error):
            raise EngineProtocolError("The engine answered something that is not HTTP.") from error
        if isinstance(error, httpx.TransportError | httpx.StreamError):
            raise EngineUnavailable("The connection to the engine broke.") from error
        if isinstance(error, httpx.DecodingError):
            raise EngineProtocolError("The engine answered with bytes that cannot be decoded.") from error


def _cut_off(error: httpx.RemoteProtocolError) -> bool:
    text = str(error).lower()
    return "disconnected" in text or "closed connection" in text


def _require_name(name: str) -> None:
    if not ADAPTER_NAME.fullmatch(name):
        raise AdapterNotLoaded(_NAME_RULE)


def _refusal(response: httpx.Response) -> EngineError:
    """The error for a status other than 200. The engine's own words are left out: they can hold the prompt."""
    status = response.status_code
    if status == 404:
        return AdapterNotLoaded("The engine does not know the model or adapter that was asked for.")
    if status == 400 and b"context length" in response.content:
        return RequestRefused("The prompt is longer than the model's context (HTTP 400).")
    return reported_error({"code": status})
