"""The files of a policy bundle, read once: their bytes, their hash, and the line of every part of a YAML file."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from yaml.reader import Reader

from app.errors import ConfigurationError

_READ = frozenset({".yaml", ".txt", ".safetensors"})
_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong, and in which line (from 1) of which file of the bundle."""

    file: str
    line: int | None
    said: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.said}" if self.line else f"{self.file}: {self.said}"


def read_files(folder: Path) -> dict[str, bytes]:
    """Every ``*.yaml``, ``*.txt`` and ``*.safetensors`` of a bundle by name.

    Raises ConfigurationError where it is not a bundle.
    """
    if not (folder / "bundle.yaml").is_file():
        raise ConfigurationError(f"{folder} is not a policy bundle: bundle.yaml is missing")
    try:
        paths = sorted(path for path in folder.iterdir() if path.suffix in _READ)
        return {path.name: path.read_bytes() for path in paths}
    except OSError as error:
        raise ConfigurationError(f"{error.filename} of the policy bundle cannot be read: {error.strerror}") from error


def digest(files: Mapping[str, bytes]) -> str:
    """SHA-256 (hex) over names and bytes in order of name: the hash of a bundle. Its signature is no part of it."""
    found = hashlib.sha256()
    for name, content in sorted(files.items()):
        found.update(f"{name}:{len(content)}\n".encode())
        found.update(content)
    return found.hexdigest()


class YamlFile:
    """One parsed file. A path is made of keys and numbers: ``("rules", 3, "triggers", 0)``."""

    def __init__(self, name: str, text: str, root: yaml.Node, data: Any) -> None:
        self.name, self.data = name, data
        self._text, self._root = text, root

    def line(self, *path: str | int) -> int:
        """The line of a part (of its key, if it has one), or of the nearest part around it that exists."""
        mark, _ = self._find(path)
        return int(mark.start_mark.line) + 1

    def line_of(self, words: str, *path: str | int) -> int:
        """The line in which ``words`` stand inside a value of several lines; else the line of the value."""
        mark, value = self._find(path)
        first, last = int(value.start_mark.line), int(value.end_mark.line)
        for number, line in enumerate(self._text.split("\n")[first : last + 1], start=first + 1):
            if words in line:
                return number
        return int(mark.start_mark.line) + 1

    def fault(self, said: str, *path: str | int) -> Fault:
        """A fault at a part of the file."""
        return Fault(self.name, self.line(*path), said)

    def _find(self, path: tuple[str | int, ...]) -> tuple[yaml.Node, yaml.Node]:
        """The node that marks a part, and its value."""
        mark = value = self._root
        for part in path:
            if isinstance(value, yaml.MappingNode):
                pair = next(((k, v) for k, v in value.value if k.value == str(part)), None)
            elif isinstance(value, yaml.SequenceNode) and isinstance(part, int) and part < len(value.value):
                pair = (value.value[part], value.value[part])
            else:
                pair = None
            if pair is None:
                break
            mark, value = pair
        return mark, value


def read_yaml(name: str, content: bytes, faults: list[Fault]) -> YamlFile | None:
    """Parse a file. What is wrong with it goes to ``faults``; None if nothing can be made of it."""
    text = read_text(name, content, faults)
    if text is None:
        return None
    if odd := Reader.NON_PRINTABLE.search(text):
        faults.append(Fault(name, _line_at(text, odd.start()), "not valid YAML: a control character"))
        return None
    loader = _LOADER(text)
    root: yaml.Node | None = None
    try:
        root = loader.get_single_node()
        data = loader.construct_document(root) if root is not None else None
    except yaml.MarkedYAMLError as error:
        faults.append(Fault(name, *_marked(error)))
    except (ValueError, RecursionError) as error:
        faults.append(Fault(name, _line_of_value(root), f"not valid YAML: {error}"))
    else:
        if root is None:
            faults.append(Fault(name, 1, "the file is empty"))
            return None
        faults += [Fault(name, line, f"{key} stands here a second time") for key, line in _twice(root)]
        return YamlFile(name, text, root, data)
    finally:
        loader.dispose()
    return None


def read_text(name: str, content: bytes, faults: list[Fault]) -> str | None:
    """UTF-8 text, or None and a fault."""
    try:
        return content.decode("utf-8").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        faults.append(Fault(name, line, "not UTF-8; save the file as UTF-8 text"))
        return None


def _line_at(text: str, position: int) -> int:
    return text.count("\n", 0, position) + 1


def _marked(error: yaml.MarkedYAMLError) -> tuple[int | None, str]:
    mark = error.problem_mark or error.context_mark
    line = mark.line + 1 if mark else None
    began = error.context_mark.line + 1 if error.context_mark else line
    since = f" (in what begins in line {began})" if began != line else ""
    return line, f"not valid YAML: {error.problem or error.context}{since}"


def _line_of_value(root: yaml.Node | None) -> int | None:
    """The line of the first value that cannot be made, such as the date 2026-13-45."""
    loader = _LOADER("")
    try:
        for node in _nodes(root) if root is not None else ():
            if isinstance(node, yaml.ScalarNode):
                try:
                    loader.construct_object(node)
                except ValueError:
                    return int(node.start_mark.line) + 1
    finally:
        loader.dispose()
    return None


def _nodes(root: yaml.Node) -> Iterator[yaml.Node]:
    open_, seen = [root], set[int]()
    while open_:
        node = open_.pop()
        if id(node) in seen:  # an alias stands for a node that was visited
            continue
        seen.add(id(node))
        yield node
        if isinstance(node, yaml.MappingNode):
            open_ += [child for pair in reversed(node.value) for child in reversed(pair)]
        elif isinstance(node, yaml.SequenceNode):
            open_ += reversed(node.value)


def _twice(root: yaml.Node) -> Iterator[tuple[str, int]]:
    """Keys that a mapping has twice, of which YAML would drop the first in silence."""
    for node in _nodes(root):
        if isinstance(node, yaml.MappingNode):
            known: set[str] = set()
            for key, _ in node.value:
                if str(key.value) in known:
                    yield str(key.value), int(key.start_mark.line) + 1
                known.add(str(key.value))
