"""A process that looks like an engine to the launcher: run as ``python pretend_engine.py SOCKET FAULT``.

It answers ``/health`` on a Unix socket and starts one child, as vLLM does. It writes both process ids to its log.
Faults: ``none``, ``crash`` (ends with status 3 at once), ``stubborn`` (both processes ignore SIGTERM), ``mute`` (never
answers), ``once`` (ends after its first health check, unless ``SOCKET.ran`` shows that it did so before).
"""

from __future__ import annotations

import http.server
import os
import signal
import socketserver
import subprocess
import sys
import threading
import time
from pathlib import Path


class Health(http.server.BaseHTTPRequestHandler):
    fault = "none"

    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        marker = Path(sys.argv[1] + ".ran")
        if self.fault == "once" and not marker.exists():
            marker.touch()
            threading.Timer(0.2, os._exit, (4,)).start()

    def address_string(self) -> str:
        return "unix"

    def log_message(self, format: str, *args: object) -> None:
        pass


class Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True


def main(socket: str, fault: str) -> None:
    ignore = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); " if fault == "stubborn" else ""
    if ignore:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    child = subprocess.Popen([sys.executable, "-c", f"{ignore}import time; time.sleep(600)"])
    print(f"pids {os.getpid()} {child.pid}", flush=True)
    if fault == "crash":
        print("ValueError: no such model", flush=True)
        sys.exit(3)
    if fault == "mute":
        time.sleep(600)
    Health.fault = fault
    with Server(socket, Health) as server:
        print("x" * 10_000, flush=True)
        os.write(1, b"broken \xff byte\n")
        server.serve_forever()


if __name__ == "__main__":
    main(*sys.argv[1:])
