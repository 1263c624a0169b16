"""Read a YAML file of settings into a pydantic model, with faults that name the file, the field and the mend."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError
from yaml.constructor import ConstructorError
from yaml.nodes import MappingNode, Node, ScalarNode

from app.errors import ConfigurationError

Settings = TypeVar("Settings", bound=BaseModel)
_NO_TEXT = re.compile("[\\0\\ud800-\\udfff]")


class _Loader(yaml.SafeLoader):
    """Refuses, with the line, what YAML lets through: a field twice, a value that is none of its kind or no text."""

    def compose_mapping_node(self, anchor: dict[Any, Node]) -> MappingNode:
        """The node as the file has it, before fields of others are merged in. Raises ConstructorError."""
        node = super().compose_mapping_node(anchor)
        seen: set[str] = set()
        for key in (key for key, _ in node.value if isinstance(key, ScalarNode) and key.value != "<<"):
            if key.value in seen:
                raise ConstructorError(None, None, f"{key.value!r} is there twice; remove one", key.start_mark)
            seen.add(key.value)
        return node

    def construct_object(self, node: Node, deep: bool = False) -> Any:
        """The value of a node. Raises ConstructorError."""
        try:
            value = super().construct_object(node, deep)
        except (ValueError, LookupError, AttributeError):
            raise ConstructorError(
                None, None, "no such number or date; put it between quotes if it is text", node.start_mark
            ) from None
        if isinstance(value, str) and _NO_TEXT.search(value):
            raise ConstructorError(None, None, "a character that is no text; remove it", node.start_mark)
        return value


def read_config(path: Path, model: type[Settings]) -> Settings:
    """The settings of a file. Raises ConfigurationError."""
    return checked(read_fields(path), model, str(path))


def read_fields(path: Path) -> dict[str, Any]:
    """The fields as they stand in the file, unchecked. Raises ConfigurationError."""
    try:
        fields: Any = yaml.load(path.read_text(encoding="utf-8"), _Loader)
    except FileNotFoundError:
        raise ConfigurationError(f"{path} does not exist") from None
    except RecursionError:
        raise ConfigurationError(f"{path} cannot be read: nested too deeply") from None
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigurationError(f"{path} cannot be read: {error}") from None
    if not isinstance(fields, dict):
        raise ConfigurationError(f"{path} must hold `field: value` lines")
    return fields


def checked(fields: dict[str, Any], model: type[Settings], name: str) -> Settings:
    """The model of these fields; ``name`` says in faults where they come from. Raises ConfigurationError."""
    try:
        return model.model_validate(fields)
    except ValidationError as error:
        faults = [
            f"{'.'.join(map(str, item['loc'])) or 'file'}: {item['msg'].removeprefix('Value error, ')}"
            for item in error.errors()
        ]
        raise ConfigurationError(f"{name}: " + "; ".join(faults)) from None
