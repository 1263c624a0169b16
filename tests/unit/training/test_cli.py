"""The entry point: what goes wrong on purpose, or on the disk, is one line."""

from __future__ import annotations

from pathlib import Path

import pytest

from app.errors import ConfigurationError
from training.cli import main


def test_an_error_is_one_line_and_exit_status_1(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def wrong() -> None:
        raise ConfigurationError("a.yaml: base_model is missing; add it")

    def folder() -> None:
        tmp_path.read_bytes()

    def hub() -> None:
        raise OSError("no such model\non the hub")

    said = []
    for run in (wrong, folder, hub):
        with pytest.raises(SystemExit) as ended:
            main(run)
        assert ended.value.code == 1
        said.append(capsys.readouterr().err)
    assert said[0] == "error: a.yaml: base_model is missing; add it\n"
    assert said[1] == f"error: [Errno 21] Is a directory: '{tmp_path}'\n"
    assert said[2] == "error: no such model on the hub\n"
