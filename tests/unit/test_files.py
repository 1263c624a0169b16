"""A file is replaced in one step, or stays as it was."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from app.files import replace_file


def test_the_new_bytes_stand_there_with_the_mode_asked_for_and_nothing_beside_them(tmp_path: Path) -> None:
    path = tmp_path / "key"
    replace_file(path, b"one")
    assert path.stat().st_mode & 0o777 == 0o600
    replace_file(path, b"two", 0o644)
    assert path.read_bytes() == b"two"
    assert path.stat().st_mode & 0o777 == 0o644
    assert [found.name for found in tmp_path.iterdir()] == ["key"]


def test_a_link_is_replaced_and_what_it_names_stays(tmp_path: Path) -> None:
    other, path = tmp_path / "other", tmp_path / "link"
    other.write_bytes(b"other")
    path.symlink_to(other)
    replace_file(path, b"new")
    assert not path.is_symlink()
    assert (other.read_bytes(), path.read_bytes()) == (b"other", b"new")


def test_after_a_failure_the_old_bytes_are_there_and_nothing_beside_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "key"
    path.write_bytes(b"old")

    def fails(*_: object) -> None:
        raise OSError("no space left")

    monkeypatch.setattr(os, "replace", fails)
    with pytest.raises(OSError, match="no space left"):
        replace_file(path, b"new")
    assert path.read_bytes() == b"old"
    assert [found.name for found in tmp_path.iterdir()] == ["key"]
