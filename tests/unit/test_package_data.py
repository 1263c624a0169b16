"""Whatever the service reads beside its modules is part of the package."""

from __future__ import annotations

import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
DATA: dict[str, list[str]] = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["package-data"]


def test_every_file_beside_the_modules_is_packaged() -> None:
    globs = [f"{package.replace('.', '/')}/{glob}" for package, found in DATA.items() for glob in found]
    named = {path for glob in globs for path in ROOT.glob(glob)}
    there = {path for path in (ROOT / "app").rglob("*") if path.is_file() and "__pycache__" not in path.parts}
    assert sorted(str(path.relative_to(ROOT)) for path in there - named if path.suffix not in (".py", ".pyc")) == []
