from __future__ import annotations

from pathlib import Path

import pytest

from app.errors import ConfigurationError
from training.files import require_writable, write_text


def test_a_text_stands_there_readable_for_all_and_nothing_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "report.json"
    write_text(path, "one")
    write_text(path, "zwei Äpfel")
    assert path.read_text(encoding="utf-8") == "zwei Äpfel"
    assert path.stat().st_mode & 0o777 == 0o644
    assert [found.name for found in path.parent.iterdir()] == ["report.json"]


def test_what_cannot_be_written_is_named_with_the_mend(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for path in (tmp_path / "file" / "report.json", tmp_path):
        with pytest.raises(ConfigurationError, match=f"{path} cannot be written.*make its folder writable"):
            write_text(path, "text")


def test_a_folder_that_cannot_be_written_into_is_named_with_the_mend(tmp_path: Path) -> None:
    require_writable(tmp_path / "new" / "folder")
    assert list((tmp_path / "new" / "folder").iterdir()) == []
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigurationError, match=r"file cannot be written into.*make it writable"):
        require_writable(tmp_path / "file")
