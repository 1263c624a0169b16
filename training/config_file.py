"""Read a YAML file of settings into a pydantic model, with faults that name the file, the field and the mend."""

from __future__ import annotations

from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from app.errors import ConfigurationError

Settings = TypeVar("Settings", bound=BaseModel)


def read_config(path: Path, model: type[Settings]) -> Settings:
    """The settings of a file. Raises ConfigurationError."""
    return checked(read_fields(path), model, str(path))


def read_fields(path: Path) -> dict[str, Any]:
    """The fields as they stand in the file, unchecked. Raises ConfigurationError."""
    try:
        fields: Any = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigurationError(f"{path} does not exist") from None
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
