"""Reads vLLM's stream of chat completions. Cheap per token, and strict: anything unexpected is a protocol error.

Texts of errors never repeat what the engine sent, since that can hold a patient's words.
"""

from __future__ import annotations

import json
from typing import Any, Literal, cast

from app.engine.protocol import Delta, Finished
from app.errors import EngineError, EngineProtocolError, EngineUnavailable

MAX_EVENT_BYTES = 1_000_000
"""A longer line than this is not an answer of ours; reading on would only fill memory."""


class RequestRefused(EngineProtocolError):
    """The engine works, but does not accept this one request (HTTP 4xx): no reason to spare it other requests."""


_REASONS: dict[str, Literal["stop", "length", "abort"]] = {
    "stop": "stop",
    "length": "length",
    "abort": "abort",
    "repetition": "stop",
}


class ChatStreamParser:
    """Turns bytes of a ``text/event-stream`` into Delta and, last, Finished.

    ``feed`` takes any chunk, cut anywhere, and returns what became complete. ``ended`` is true after ``[DONE]``.
    Both raise EngineProtocolError on nonsense and EngineUnavailable when the engine reports its own failure.
    """

    def __init__(self) -> None:
        self.ended = False
        self._buffer = b""
        self._reason: Literal["stop", "length", "abort"] | None = None
        self._usage: tuple[int, int] | None = None

    def feed(self, chunk: bytes) -> list[Delta | Finished]:
        """Return the events that ``chunk`` completes."""
        lines = (self._buffer + chunk).split(b"\n")
        self._buffer = lines.pop()
        if len(self._buffer) > MAX_EVENT_BYTES:
            raise EngineProtocolError("The engine sent an event that never ends.")
        found: list[Delta | Finished] = []
        for line in lines:
            if self.ended:
                break
            if line.startswith(b"data:"):
                self._data(line[5:].strip(), found)
            elif line.strip() and not line.startswith((b":", b"event:", b"id:", b"retry:")):
                raise EngineProtocolError("The engine sent a line that is not part of an event stream.")
        return found

    def close(self) -> None:
        """To be called when the connection ended. Raises EngineProtocolError if the answer was not complete."""
        if not self.ended:
            raise EngineProtocolError("The engine ended its answer without saying that it was complete.")

    def _data(self, data: bytes, found: list[Delta | Finished]) -> None:
        if data == b"[DONE]":
            self._done(found)
            return
        try:
            event: Any = json.loads(data)
        except (ValueError, RecursionError) as error:
            raise EngineProtocolError("The engine sent an event that is not JSON.") from error
        if not isinstance(event, dict):
            raise EngineProtocolError("The engine sent an event that is not a JSON object.")
        if "error" in event:
            raise reported_error(event["error"])
        try:
            usage = event.get("usage")
            if usage is not None:
                self._usage = (_count(usage["prompt_tokens"]), _count(usage["completion_tokens"]))
            choices = event["choices"]
            if choices:
                self._choice(choices[0], found)
        except (KeyError, TypeError, IndexError, AttributeError) as error:
            raise EngineProtocolError("The engine sent an event without the fields of a chat completion.") from error

    def _choice(self, choice: dict[str, Any], found: list[Delta | Finished]) -> None:
        text = choice["delta"].get("content")
        if text is not None and not isinstance(text, str):
            raise EngineProtocolError("The engine sent text that is not a string.")
        if text:
            found.append(Delta(text))
        reason = choice.get("finish_reason")
        if reason is not None:
            if reason not in _REASONS:
                raise EngineProtocolError("The engine gave an unknown reason for the end of its answer.")
            self._reason = _REASONS[reason]

    def _done(self, found: list[Delta | Finished]) -> None:
        if self._reason is None or self._usage is None:
            raise EngineProtocolError("The engine ended its answer without a reason or without token counts.")
        self.ended = True
        found.append(Finished(self._reason, *self._usage))


def reported_error(body: object) -> EngineError:
    """The error for an ``error`` object of the engine: its own failure, or a request that it does not accept."""
    code = cast("dict[str, Any]", body).get("code") if isinstance(body, dict) else None
    if isinstance(code, int) and code < 500:
        return RequestRefused(f"The engine refused the request (code {code}).")
    return EngineUnavailable("The engine reported a failure of its own.")


def _count(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise TypeError("a token count is a whole number")
    return value
