"""`bedside up` and `bedside serve`: the service in this process, with or without words for a person at a terminal."""

from __future__ import annotations

import asyncio
import signal
import socket
import sys
import time
from pathlib import Path
from typing import cast

import uvicorn
from fastapi import FastAPI

from app import logging as app_logging
from app.audit.service import SYSTEM
from app.bootstrap import Say
from app.errors import ConfigurationError
from app.logging import logger
from app.main import create_app
from app.settings import Settings
from app.widget.routes import has_page


def serve(settings: Settings) -> None:
    """Run until a signal. SIGTERM drains: running turns end or are taken up at the next start.

    SIGHUP reloads the policies, unless a terminal is attached: there it means that the terminal is gone.
    """
    app_logging.configure(settings.log_level, settings.log_format)
    require_free_port(settings.host, settings.port)
    server = _server(settings, create_app(settings))
    server.reloads = sys.stdin is None or not sys.stdin.isatty()
    server.run()


def up(settings: Settings) -> None:
    """Run, and say what happens and where everything is.

    The log is for people and holds warnings alone, unless BEDSIDE_LOG_FORMAT and BEDSIDE_LOG_LEVEL say otherwise.
    """
    level = settings.log_level if "log_level" in settings.model_fields_set else "warning"
    app_logging.configure(level, "text" if settings.log_format == "auto" else settings.log_format)
    require_free_port(settings.host, settings.port)
    began = time.monotonic()

    def say(line: str) -> None:
        print(f"[{time.monotonic() - began:5.1f} s] {line}", file=sys.stderr, flush=True)

    app = create_app(settings, say=say)
    server = _server(settings, app)

    async def run() -> None:
        narrator = asyncio.create_task(_narrate(server, app, settings, say))
        await server.serve()
        narrator.cancel()

    asyncio.run(run())
    if not server.started:
        sys.exit(1)


def require_free_port(host: str, port: int) -> None:
    """Raises ConfigurationError where something listens on the port already; 0 takes any free one."""
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise ConfigurationError(
                f"port {port} on {host} cannot be used ({error.strerror}); is Bedside running already? "
                "Choose another with --port or BEDSIDE_PORT"
            ) from error


def _leave(_number: int, _frame: object) -> None:
    """Uvicorn raises the signal again once it has stopped; a normal exit lets the embedded database stop too."""
    sys.exit(0)


def _server(settings: Settings, app: FastAPI) -> ClosingServer:
    signal.signal(signal.SIGTERM, _leave)
    config = uvicorn.Config(
        app,
        host=settings.host,
        port=settings.port,
        log_level="warning",
        log_config=None,  # its own handlers print messages of errors, which may quote patients
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=20,
        h11_max_incomplete_event_size=32_768,
    )
    return ClosingServer(config)


class ClosingServer(uvicorn.Server):
    """Lets open event streams end before it waits for connections; running turns are drained after that.

    With ``reloads`` SIGHUP puts a changed policy bundle in force.
    """

    reloads = False
    _reloading: asyncio.Task[None] | None = None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """See uvicorn.Server."""
        await super().startup(sockets)
        if self.reloads and self.started:
            asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, self._reload)

    def _served(self) -> FastAPI:
        """The application that this server was made with."""
        return cast(FastAPI, self.config.app)

    def _reload(self) -> None:
        self._reloading = asyncio.create_task(self._reload_policies(), name="policy reload")

    async def _reload_policies(self) -> None:
        try:
            await self._served().state.services.policies.reload(SYSTEM)
        except ConfigurationError:
            pass  # refused; the service has logged and audited why
        except Exception as error:
            logger("policies").error("reload failed", exc_info=error)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """See uvicorn.Server."""
        services = getattr(self._served().state, "services", None)
        if services is not None:  # none where the start failed
            services.closing.set()
        await super().shutdown(sockets)


async def _narrate(server: uvicorn.Server, app: FastAPI, settings: Settings, say: Say) -> None:
    """Print the addresses once the service answers, then follow the engine until it is ready."""
    while not server.started:
        await asyncio.sleep(0.05)
    port = next((sock.getsockname()[1] for s in server.servers for sock in s.sockets), settings.port)
    base = f"http://{'localhost' if settings.host in ('127.0.0.1', '0.0.0.0', '::1') else settings.host}:{port}"
    started = app.state.started
    lines = [
        f"{started.site.name} is open"
        + (" (a fictional hospital, for demonstration; not for patients)" if started.site.demonstration else ""),
        f"  patient page   {base}/"
        if has_page(settings.site / "page")
        else f"  widget         {base}/widget/launcher.js (a script for your own page; this site has no page/)",
        f"  staff console  {base}/console/",
        f"  API docs       {base}/docs",
        f"  readiness      {base}/readyz",
    ]
    for account in started.demo_accounts:
        lines.append(f"  demo account   {account.username} / {account.password}   ({', '.join(account.roles)})")
    print("\n" + "\n".join(lines) + "\n", file=sys.stderr, flush=True)
    if started.engine is None:
        say("no engine is configured: answers are approved passages and fixed texts")
        return
    say("until the engine is ready, answers are emergency texts and approved passages")
    told = ""
    while (health := await started.engine.health()).state != "ready":
        if (stage := health.detail.split("(")[0]) != told:
            told = stage
            say(f"engine: {health.state}. {health.detail}")
        await asyncio.sleep(1)
    await started.engine_prepared.wait()
    live = await started.live_adapter()
    adapter, gate = (live, "passed") if live else ("none (base model)", "not needed without an adapter")
    say(f"ready. engine: vLLM; model: {Path(settings.base_model).name}; adapter: {adapter}; gate: {gate}")
