"""The engine's command line, environment and socket."""

from __future__ import annotations

import os
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.engine.command import (
    TARGET_MODULES,
    detect_device,
    engine_command,
    engine_environment,
    engine_socket,
)
from app.errors import ConfigurationError

SOCKET = Path("/run/bedside/engine.sock")


@pytest.fixture
def runtime() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="bs-") as folder:
        yield Path(folder)


def option(command: list[str], name: str) -> str:
    return command[command.index(name) + 1]


def test_cpu_command() -> None:
    command = engine_command("demo/model", SOCKET, served_name="base", python="/venv/bin/python")
    assert command[:3] == ["/venv/bin/python", "-m", "vllm.entrypoints.openai.api_server"]
    assert option(command, "--model") == "demo/model"
    assert option(command, "--uds") == str(SOCKET)
    assert option(command, "--served-model-name") == "base"
    assert option(command, "--max-loras") == "4"
    assert option(command, "--max-lora-rank") == "64"
    assert option(command, "--dtype") == "bfloat16"
    at = command.index("--lora-target-modules") + 1
    assert tuple(command[at : at + 8]) == (*TARGET_MODULES, "--shutdown-timeout")
    assert "--enforce-eager" in command
    assert {"--no-enable-log-requests", "--disable-uvicorn-access-log", "--enable-lora"} <= set(command)
    assert "--host" not in command
    assert "--port" not in command


def test_gpu_command() -> None:
    command = engine_command("a/b", SOCKET, served_name="base", device="cuda", max_model_len=4096, gpu_memory=0.5)
    assert "--enforce-eager" not in command
    assert option(command, "--dtype") == "auto"
    assert option(command, "--gpu-memory-utilization") == "0.5"
    assert option(command, "--max-model-len") == "4096"


def test_environment_leaves_the_services_secrets_out() -> None:
    inherited = {
        "PATH": "/bin",
        "HOME": "/home/x",
        "BEDSIDE_DATABASE_URL": "postgresql://user:password@db/x",
        "BEDSIDE_SECRET_KEY": "secret",
        "PYTHONPATH": "/elsewhere",
    }
    environment = engine_environment(SOCKET, inherited=inherited, cores=16)
    assert environment["PATH"] == "/bin"
    assert not any(key.startswith("BEDSIDE_") or key == "PYTHONPATH" for key in environment)
    assert environment["VLLM_ALLOW_RUNTIME_LORA_UPDATING"] == "True"
    assert environment["VLLM_NO_USAGE_STATS"] == "1"
    assert environment["HF_HUB_OFFLINE"] == "1"
    assert environment["VLLM_RPC_BASE_PATH"] == "/run/bedside"
    assert environment["VLLM_HOST_IP"] == "127.0.0.1"


def test_few_cores_are_left_to_the_kernel_and_the_operator_wins() -> None:
    two = engine_environment(SOCKET, inherited={}, cores=2)
    assert (two["VLLM_CPU_OMP_THREADS_BIND"], two["OMP_NUM_THREADS"]) == ("nobind", "1")
    assert engine_environment(SOCKET, inherited={}, cores=1)["OMP_NUM_THREADS"] == "1"
    many = engine_environment(SOCKET, inherited={}, cores=16)
    assert "VLLM_CPU_OMP_THREADS_BIND" not in many
    chosen = {"VLLM_CPU_OMP_THREADS_BIND": "0-1", "VLLM_CPU_KVCACHE_SPACE": "4"}
    assert chosen.items() <= engine_environment(SOCKET, inherited=chosen, cores=2).items()
    assert "VLLM_CPU_KVCACHE_SPACE" not in engine_environment(SOCKET, inherited={}, device="cuda")
    assert "HF_HUB_OFFLINE" not in engine_environment(SOCKET, inherited={}, offline=False)


def test_sees_a_gpu_by_its_driver(tmp_path: Path) -> None:
    assert detect_device(tmp_path) == "cpu"
    (tmp_path / "proc/driver/nvidia/gpus").mkdir(parents=True)
    assert detect_device(tmp_path) == "cpu", "the driver is there, a GPU is not"
    (tmp_path / "proc/driver/nvidia/gpus/0000:01:00.0").mkdir()
    assert detect_device(tmp_path) == "cuda"


def test_socket_is_private_stable_and_differs_by_key(runtime: Path) -> None:
    inherited = {"XDG_RUNTIME_DIR": str(runtime)}
    socket = engine_socket("model-a", inherited=inherited)
    assert socket == engine_socket("model-a", inherited=inherited)
    assert socket != engine_socket("model-b", inherited=inherited)
    assert socket.parent.parent == runtime
    assert stat.S_IMODE(socket.parent.stat().st_mode) == 0o700


def test_socket_path_stays_short(runtime: Path) -> None:
    deep = runtime / ("d" * 100)
    deep.mkdir()
    socket = engine_socket("model", inherited={"XDG_RUNTIME_DIR": str(deep)})
    assert deep not in socket.parents
    assert len(os.fsencode(socket.parent)) + 37 <= 107
    socket.parent.rmdir()


def test_refuses_a_folder_of_somebody_else(runtime: Path) -> None:
    inherited = {"XDG_RUNTIME_DIR": str(runtime)}
    with pytest.raises(ConfigurationError, match="belongs to somebody else"):
        engine_socket("model", inherited=inherited, uid=os.getuid() + 1)
    folder = engine_socket("model", inherited=inherited).parent
    folder.rmdir()
    folder.symlink_to(runtime)
    with pytest.raises(ConfigurationError, match="belongs to somebody else"):
        engine_socket("model", inherited=inherited)
