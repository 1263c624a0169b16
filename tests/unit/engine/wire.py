"""A server of scripted bytes on a Unix socket: every way in which an engine can misbehave on the wire."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

Handler = Callable[["Connection"], Awaitable[None]]

EVENTS = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\ntransfer-encoding: chunked\r\n\r\n"
USAGE = {"choices": [], "usage": {"prompt_tokens": 11, "completion_tokens": 3, "total_tokens": 14}}


def event(data: object) -> bytes:
    """One SSE event as one HTTP chunk."""
    text = data if isinstance(data, str) else json.dumps(data)
    return chunk(f"data: {text}\n\n".encode())


def chunk(data: bytes) -> bytes:
    return f"{len(data):x}\r\n".encode() + data + b"\r\n"


def delta(text: str | None, reason: str | None = None) -> bytes:
    """A chat completion chunk."""
    content = {} if text is None else {"content": text}
    return event({"choices": [{"index": 0, "delta": content, "finish_reason": reason}]})


def answer(status: int, body: object) -> bytes:
    """A complete JSON answer."""
    data = json.dumps(body).encode()
    head = f"HTTP/1.1 {status} X\r\ncontent-type: application/json\r\ncontent-length: {len(data)}\r\n\r\n"
    return head.encode() + data


COMPLETE = (
    EVENTS
    + event({"choices": [{"index": 0, "delta": {"role": "assistant", "content": ""}, "finish_reason": None}]})
    + delta("Two ")
    + delta("visitors.")
    + delta(None, "stop")
    + event(USAGE)
    + event("[DONE]")
    + b"0\r\n\r\n"
)


@dataclass
class Connection:
    """One request and the means to answer it."""

    head: str
    body: Any
    writer: asyncio.StreamWriter
    reader: asyncio.StreamReader

    @property
    def path(self) -> str:
        return self.head.split(" ")[1]

    def header(self, name: str) -> str | None:
        for line in self.head.split("\r\n")[1:]:
            key, _, value = line.partition(":")
            if key.lower() == name:
                return value.strip()
        return None

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def gone(self) -> bool:
        """Wait until the client closed the connection."""
        return await self.reader.read(1) == b""


@dataclass
class Server:
    """``handlers`` answer one request each, in turn; the last one answers all that follow."""

    handlers: list[Handler]
    requests: list[Connection] = field(default_factory=list)
    connections: int = 0

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode()
                connection = Connection(head, None, writer, reader)
                length = int(connection.header("content-length") or 0)
                connection.body = json.loads(await reader.readexactly(length)) if length else None
                self.requests.append(connection)
                await self.handlers[min(len(self.requests), len(self.handlers)) - 1](connection)
                if writer.is_closing():
                    return
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


@asynccontextmanager
async def serve(socket: Path, *handlers: Handler) -> AsyncIterator[Server]:
    """Serve ``handlers`` on ``socket``."""
    server = Server(list(handlers))
    running = await asyncio.start_unix_server(server, str(socket))
    try:
        yield server
    finally:
        running.close()


def sends(data: bytes, *, close: bool = False) -> Handler:
    """A handler that writes ``data``, and closes the connection after it if told to."""

    async def handle(connection: Connection) -> None:
        await connection.send(data)
        if close:
            connection.writer.close()

    return handle
