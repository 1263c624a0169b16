"""Start vLLM inside its container, with the very flags and environment that the launcher uses outside of one.

Only the address differs: port 8000 of a private network instead of a Unix socket. Settings: BEDSIDE_ENGINE_DEVICE
(cpu or cuda), BEDSIDE_BASE_MODEL (a folder in the container), BEDSIDE_MAX_LORA_RANK, BEDSIDE_ENGINE_ARGUMENTS.
Needs the standard library and app/engine/command.py, nothing else.
"""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Mapping
from pathlib import Path

from app.engine.command import engine_command, engine_environment

_SERVED_NAME = "base"
_ADDRESS = ["--host", "0.0.0.0", "--port", "8000"]
_UNUSED_SOCKET = Path("/tmp/engine.sock")


def container_command(settings: Mapping[str, str], python: str) -> list[str]:
    """The engine's command line for a container. Exits with the mend where a setting is wrong."""
    device = settings.get("BEDSIDE_ENGINE_DEVICE", "cpu")
    if device not in ("cpu", "cuda"):
        sys.exit(f"BEDSIDE_ENGINE_DEVICE must be cpu or cuda, not {device!r}.")
    model = settings.get("BEDSIDE_BASE_MODEL", "")
    if not Path(model, "config.json").is_file():
        sys.exit(
            f"BEDSIDE_BASE_MODEL: {model!r} holds no config.json. The engine has no way to the internet: put the "
            "model's folder into models/ on the host and set BEDSIDE_BASE_MODEL=/models/<folder>."
        )
    rank = int(settings.get("BEDSIDE_MAX_LORA_RANK") or 64)
    command = engine_command(
        model,
        _UNUSED_SOCKET,
        served_name=_SERVED_NAME,
        device="cuda" if device == "cuda" else "cpu",
        max_lora_rank=rank,
        python=python,
    )
    at = command.index("--uds")
    command[at : at + 2] = _ADDRESS
    return command + shlex.split(settings.get("BEDSIDE_ENGINE_ARGUMENTS", ""))


def container_environment(settings: Mapping[str, str]) -> dict[str, str]:
    """The engine's environment for a container: offline, and without the service's settings."""
    device = "cuda" if settings.get("BEDSIDE_ENGINE_DEVICE") == "cuda" else "cpu"
    return engine_environment(_UNUSED_SOCKET, inherited=settings, device=device)


def main() -> None:
    """Become vLLM, so that signals of the container reach it."""
    command = container_command(os.environ, sys.executable)
    os.execve(command[0], command, container_environment(os.environ))


if __name__ == "__main__":
    main()
