"""Runs one command and never leaves any of its processes behind: ``python -I guard.py GRACE_SECONDS COMMAND …``.

vLLM is a tree of processes; killing its root can orphan the engine core. This guard starts the command in a process
group of its own and holds the read end of a pipe as its standard input. When the pipe ends (the parent closed it, or
died in any way, SIGKILL included) or on SIGTERM, the command gets SIGTERM; when it has ended, at the latest after
the seconds of grace, its whole group gets SIGKILL. The exit status is the command's (128 + signal where a signal
ended it). Standard library only, so that it starts in milliseconds.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import select
import signal
import subprocess
import sys
import time

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36


def main(grace_s: float, command: list[str]) -> int:
    """Run ``command`` until it ends or the guard is told to end it; return its exit status."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    wake_read, wake_write = os.pipe()
    for descriptor in (wake_read, wake_write):
        os.set_blocking(descriptor, False)
    signal.set_wakeup_fd(wake_write, warn_on_full_buffer=False)
    ending = False

    def end(*_: object) -> None:
        nonlocal ending
        ending = True

    signal.signal(signal.SIGTERM, end)
    signal.signal(signal.SIGINT, end)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    child = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        start_new_session=True,
        preexec_fn=lambda: libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0),
    )
    while child.poll() is None and not ending:
        readable, _, _ = select.select([0, wake_read], [], [], 5.0)
        if 0 in readable and not os.read(0, 4096):
            ending = True
        if wake_read in readable:
            os.read(wake_read, 4096)
    if child.poll() is None:
        child.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.wait(grace_s)
    _kill_group(child.pid)
    status = child.wait()
    _reap_group(child.pid)
    return status if status >= 0 else 128 - status


def _kill_group(group: int) -> bool:
    try:
        os.killpg(group, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        return False
    return True


def _reap_group(group: int, *, seconds: float = 5.0) -> None:
    """Reap what is left of the group: orphans of the tree became this process's children."""
    deadline = time.monotonic() + seconds
    while _kill_group(group) and time.monotonic() < deadline:
        with contextlib.suppress(ChildProcessError):
            while os.waitpid(-group, os.WNOHANG)[0]:
                pass
        time.sleep(0.02)


if __name__ == "__main__":
    sys.exit(main(float(sys.argv[1]), sys.argv[2:]))
