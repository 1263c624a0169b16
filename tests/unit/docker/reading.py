"""Reads the container files as far as they use their languages: Dockerfiles, .dockerignore, compose interpolation."""

from __future__ import annotations

import fnmatch
import json
import re
import shlex
import sys
import tomllib
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[3]
DOCKERFILES = sorted((ROOT / "docker").glob("*.Dockerfile"))


@dataclass
class Stage:
    """One stage of a Dockerfile; ``steps`` are (instruction, words) in order, flags included."""

    base: str
    name: str
    steps: list[tuple[str, str]] = field(default_factory=list)

    def all(self, instruction: str) -> list[str]:
        """The arguments of every such instruction."""
        return [words for found, words in self.steps if found == instruction]

    def last(self, instruction: str) -> str | None:
        """The arguments of the one that counts."""
        found = self.all(instruction)
        return found[-1] if found else None

    def exec_form(self, instruction: str) -> list[str]:
        """ENTRYPOINT or CMD as a list; the shell form is refused, because signals would not reach the process."""
        words = self.last(instruction)
        if words is None:
            return []
        parsed = json.loads(words)
        assert isinstance(parsed, list), f"{instruction} is not in exec form: {words}"
        return parsed

    def environment(self) -> dict[str, str]:
        """All ENV values; ``$PATH`` and the like are left as they are."""
        pairs = [pair for words in self.all("ENV") for pair in shlex.split(words)]
        return dict(pair.split("=", 1) for pair in pairs)


def read_dockerfile(path: Path) -> list[Stage]:
    """The stages of a Dockerfile. Fails on an instruction that this reader does not know."""
    text = "\n".join(line for line in path.read_text().splitlines() if not line.lstrip().startswith("#"))
    stages: list[Stage] = []
    for line in re.sub(r"\\\n\s*", "", text).splitlines():
        if not line.strip():
            continue
        instruction, words = line.split(None, 1)
        if instruction == "FROM":
            match = re.fullmatch(r"(\S+)(?: AS (\w+))?", words)
            assert match, line
            stages.append(Stage(match[1], match[2] or ""))
            continue
        assert instruction in {"ARG", "ENV", "WORKDIR", "COPY", "RUN", "USER", "EXPOSE", "ENTRYPOINT", "CMD"}, line
        stages[-1].steps.append((instruction, words))
    return stages


def copied(words: str) -> tuple[str | None, list[str], str]:
    """A COPY: the stage it copies from (None: the build context), its sources, its target."""
    parts = shlex.split(words)
    stage = next((part.removeprefix("--from=") for part in parts if part.startswith("--from=")), None)
    *sources, target = [part for part in parts if not part.startswith("--")]
    return stage, sources, target


def in_context(path: str) -> bool:
    """Whether .dockerignore lets a path of the repository into the build; the last matching rule counts."""
    allowed = True
    parents = [str(parent) for parent in PurePosixPath(path).parents if str(parent) != "."]
    for line in (ROOT / ".dockerignore").read_text().splitlines():
        rule = line.strip()
        if not rule or rule.startswith("#"):
            continue
        keep, pattern = rule.startswith("!"), rule.lstrip("!").rstrip("/")
        names = [path, *parents]
        if pattern.startswith("**/"):
            hit = any(fnmatch.fnmatchcase(PurePosixPath(name).name, pattern[3:]) for name in names)
        else:
            hit = any(PurePosixPath(name).match(pattern) and name.count("/") == pattern.count("/") for name in names)
        if hit:
            allowed = keep
    return allowed


def read_compose(environment: dict[str, str] | None = None) -> dict[str, Any]:
    """docker-compose.yml with ``${NAME:-default}`` filled in; any other form of variable fails."""
    values = environment or {}

    def fill(text: str) -> str:
        filled = re.sub(r"\$\{(\w+):-([^}]*)\}", lambda match: values.get(match[1]) or match[2], text)
        assert "$" not in filled, text
        return filled

    def walk(item: Any) -> Any:
        if isinstance(item, dict):
            return {key: walk(value) for key, value in item.items()}
        if isinstance(item, list):
            return [walk(value) for value in item]
        return fill(item) if isinstance(item, str) else item

    found: dict[str, Any] = walk(yaml.safe_load((ROOT / "docker-compose.yml").read_text()))
    return found


def script(name: str) -> list[str]:
    """The command line that does what a console script of pyproject.toml does."""
    scripts = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"]
    module, function = scripts[name].split(":")
    return [sys.executable, "-c", f"import sys; from {module} import {function}; sys.argv[0] = '{name}'; {function}()"]
