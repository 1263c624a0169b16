"""The api image, built and started natively: its own steps, only the files and the locked packages that it takes.

Takes minutes and the package registry: runs with BEDSIDE_TEST_IMAGES=1 (continuous integration sets it).
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.unit.docker.reading import ROOT, Stage, copied, in_context, read_compose, read_dockerfile

pytestmark = [
    pytest.mark.skipif(not os.environ.get("BEDSIDE_TEST_IMAGES"), reason="BEDSIDE_TEST_IMAGES is not set"),
    pytest.mark.timeout(900),
]
ACCOUNTS_AND_PACKAGES = ("groupadd", "apt-get")


class Build:
    """Follows the steps of an image below ``root``; paths inside the image are moved there."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.environment = {
            key: value for key, value in os.environ.items() if not key.startswith(("BEDSIDE_", "VIRTUAL_ENV", "PYTHON"))
        } | {"PATH": "/usr/bin:/bin"}
        self.folder = root

    def moved(self, text: str) -> str:
        """``text`` with the image's paths replaced by those below ``root``."""
        python = str(Path(sys.base_prefix) / "bin" / "python3")
        parts = text.split("/usr/local/bin/python3")
        for top in ("/opt/bedside", "/srv/bedside", "/var/lib/bedside", "/usr/local/bin", "/run/secrets"):
            parts = [part.replace(top, f"{self.root}{top}") for part in parts]
        return python.join(parts)

    def follow(self, stage: Stage) -> None:
        """Do what the stage says, except for system accounts and packages."""
        for kind, words in stage.steps:
            if kind == "WORKDIR":
                self.folder = Path(self.moved(words))
                self.folder.mkdir(parents=True, exist_ok=True)
            elif kind == "COPY":
                self._copy(words)
            elif kind == "RUN" and not words.startswith(ACCOUNTS_AND_PACKAGES):
                command = " ".join(word for word in words.split() if not word.startswith("--mount="))
                environment = self.environment | self._settings(stage)
                subprocess.run(["/bin/sh", "-ec", self.moved(command)], cwd=self.folder, env=environment, check=True)
        self.environment |= self._settings(stage)

    def _settings(self, stage: Stage) -> dict[str, str]:
        found = {key: self.moved(value) for key, value in stage.environment().items()}
        if "PATH" in found:
            found["PATH"] = found["PATH"].replace("$PATH", "/usr/bin:/bin")
        return found

    def _copy(self, words: str) -> None:
        stage, sources, target = copied(words)
        if stage is not None:
            assert all(Path(self.moved(source)).exists() for source in sources), words
            return
        into = self.folder / self.moved(target)
        for source in sources:
            files = [ROOT / source] if not source.endswith("/") else sorted((ROOT / source).rglob("*"))
            base = ROOT / source if source.endswith("/") else (ROOT / source).parent
            for file in files:
                if file.is_file() and in_context(str(file.relative_to(ROOT))):
                    place = into / file.relative_to(base) if target.endswith("/") else into
                    place.parent.mkdir(parents=True, exist_ok=True)
                    shutil.copy2(file, place)
                    if "--chmod=0755" in words:
                        place.chmod(0o755)


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Build:
    root = tmp_path_factory.mktemp("api-image")
    (root / "usr/local/bin").mkdir(parents=True)
    (root / "var/lib/bedside").mkdir(parents=True)
    image = Build(root)
    build, final = read_dockerfile(ROOT / "docker/api.Dockerfile")
    image.follow(build)
    for left in (root / "srv/bedside").iterdir():
        if left.name != "app":
            shutil.rmtree(left) if left.is_dir() else left.unlink()
    image.follow(final)
    wrapper = root / "usr/local/bin/bedside"
    wrapper.write_text(image.moved(wrapper.read_text()))
    return image


def test_has_the_service_and_no_torch(api: Build) -> None:
    code = "import sys, app.main; assert 'torch' not in sys.modules; import torch"
    done = subprocess.run(["python", "-c", code], cwd=api.folder, env=api.environment, capture_output=True, text=True)
    assert "No module named 'torch'" in done.stderr


def test_bedside_works_from_any_folder(api: Build, tmp_path: Path) -> None:
    line = '{"id": 1, "text": "I have crushing chest pain"}\n'
    done = subprocess.run(
        ["bedside", "triage"], input=line, cwd=tmp_path, env=api.environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert '"emergency"' in done.stdout


@pytest.fixture
def served(api: Build, database_url: str, tmp_path: Path) -> Iterator[int]:
    """The image's CMD with compose's settings, its secrets made by the script; the port."""
    secrets = api.root / "run/secrets"
    subprocess.run([ROOT / "docker/make-secrets.sh", secrets], check=True, capture_output=True)
    (secrets / "database_url").unlink()
    (secrets / "database_url").write_text(database_url)
    service = read_compose()["services"]["api"]
    settings = {key: api.moved(str(value)) for key, value in service["environment"].items()}
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    settings |= {"BEDSIDE_SITE": str(ROOT / "demo"), "BEDSIDE_ADAPTERS": str(ROOT / "demo/adapters")}
    settings |= {"BEDSIDE_HOST": "127.0.0.1", "BEDSIDE_PORT": str(port), "BEDSIDE_ENGINE_URL": "http://127.0.0.1:9"}
    command = read_dockerfile(ROOT / "docker/api.Dockerfile")[-1].exec_form("CMD")
    with (tmp_path / "log").open("w") as log:
        process = subprocess.Popen(command, cwd=api.folder, env=api.environment | settings, stdout=log, stderr=log)
        try:
            yield port
        finally:
            process.terminate()
            process.wait(45)
            print((tmp_path / "log").read_text()[-4_000:])


def test_serves_and_its_healthcheck_passes_while_the_engine_is_away(api: Build, served: int) -> None:
    kind, *check = read_compose()["services"]["api"]["healthcheck"]["test"]
    assert kind == "CMD"
    check = [word.replace("127.0.0.1:8080", f"127.0.0.1:{served}") for word in check]
    end = time.monotonic() + 300
    while True:
        done = subprocess.run(check, env=api.environment, capture_output=True, text=True)
        if done.returncode == 0:
            return
        assert time.monotonic() < end, done.stderr
        time.sleep(1)
