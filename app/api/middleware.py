"""What every answer passes: size limit, security headers, metrics. Pure ASGI, so that streams are not touched."""

from __future__ import annotations

import asyncio
import contextlib
import time
from typing import Protocol

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.api.errors import problem
from app.api.refusals import aid_for, arrived

BODY_LIMIT = 64 * 1024
"""Bytes of a request body."""

MOST_DROPPED = 16 * BODY_LIMIT
"""Bytes over the limit that are still read, for at most :data:`DROPPING_S` seconds, to keep the last of them."""

DROPPING_S = 3.0

MOST_NESTED = 32
"""Levels of nesting in a JSON body; no request of ours has more than three."""

SECURITY_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
}
"""Set where a route has not set them itself, as is a Content-Security-Policy of nothing at all."""

METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
"""What the metrics name; any other method is ``OTHER``, since callers may send whatever they like."""


class RequestMetrics(Protocol):
    """Counts requests by route template."""

    def request(self, method: str, route: str, status: int, seconds: float) -> None:
        """One finished request."""
        ...


class BodyLimit:
    """Answers 413 to bodies over the limit and 400 to JSON that is nested too deeply, before anything parses them."""

    def __init__(self, app: ASGIApp, limit: int = BODY_LIMIT) -> None:
        self._app = app
        self._limit = limit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] in ("GET", "HEAD", "OPTIONS"):
            return await self._app(scope, receive, send)
        body, size = [], 0
        while True:
            message = await receive()
            if message["type"] != "http.request":
                return None  # the client is gone
            body.append(message.get("body", b""))
            size += len(body[-1])
            if size > self._limit:
                await self._too_large(scope, receive, send, b"".join(body), message.get("more_body", False))
                return None
            if not message.get("more_body", False):
                break
        whole = arrived(scope).body = b"".join(body)
        if _depth(whole) > MOST_NESTED:
            detail = f"JSON may be nested {MOST_NESTED} levels deep"
            answer = problem(400, "invalid_json", detail, aid=await aid_for(scope))
            return await answer(scope, _nothing, send)
        sent = False

        async def replay() -> Message:
            nonlocal sent
            if sent:
                return await receive()
            sent = True
            return {"type": "http.request", "body": whole, "more_body": False}

        await self._app(scope, replay, send)

    async def _too_large(self, scope: Scope, receive: Receive, send: Send, body: bytes, more: bool) -> None:
        """Refuse a body; of a patient's message the beginning and the end are looked at all the same."""
        found = arrived(scope)
        found.body, found.tail = body[: self._limit], body[self._limit :]
        dropped = len(found.tail)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(DROPPING_S):
                while more and dropped < MOST_DROPPED:
                    message = await receive()
                    if message["type"] != "http.request":
                        return  # the client is gone
                    found.tail = (found.tail + message.get("body", b""))[-self._limit :]
                    dropped += len(message.get("body", b""))
                    more = message.get("more_body", False)
        detail = f"a request body may have {self._limit} bytes. In an emergency call the emergency services."
        answer = problem(413, "too_large", detail, aid=await aid_for(scope))
        await answer(scope, _nothing, send)


class Headers:
    """Adds security headers, and tells the metrics about each request."""

    def __init__(self, app: ASGIApp, metrics: RequestMetrics, secure: bool) -> None:
        self._app = app
        self._metrics = metrics
        self._secure = secure

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        started, status = time.perf_counter(), 500

        async def with_headers(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(scope=message)
                for name, value in SECURITY_HEADERS.items():
                    headers.setdefault(name, value)
                headers.setdefault("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
                if not headers.get("content-type", "").startswith("text/html"):
                    headers.setdefault("Cache-Control", "no-store")
                if self._secure:
                    headers.setdefault("Strict-Transport-Security", "max-age=31536000; includeSubDomains")
            await send(message)

        try:
            await self._app(scope, receive, with_headers)
        finally:
            route = str(getattr(scope.get("route"), "path", "unknown"))
            method = scope["method"] if scope["method"] in METHODS else "OTHER"
            self._metrics.request(method, route, status, time.perf_counter() - started)


async def _nothing() -> Message:
    return {"type": "http.disconnect"}


def _depth(body: bytes) -> int:
    """Deepest nesting of brackets outside strings; an upper bound that needs no parser and no stack."""
    if body.count(b"{") + body.count(b"[") <= MOST_NESTED:
        return 0
    depth = deepest = 0
    inside = escaped = False
    for byte in body:
        if inside:
            if escaped:
                escaped = False
            elif byte == 0x5C:
                escaped = True
            elif byte == 0x22:
                inside = False
        elif byte == 0x22:
            inside = True
        elif byte in (0x7B, 0x5B):
            depth += 1
            deepest = max(deepest, depth)
        elif byte in (0x7D, 0x5D):
            depth -= 1
    return deepest
