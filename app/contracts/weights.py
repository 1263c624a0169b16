"""The identity of a base model: training writes it into an adapter's manifest, the service compares it."""

from __future__ import annotations

import hashlib
from pathlib import Path

from app.errors import ConfigurationError


def weights_digest(folder: Path) -> str:
    """SHA-256 (hex) of the weights in a model folder; of the digests in order of name where they are several files.

    Raises ConfigurationError where there are none, OSError where one cannot be read.
    """
    digests = []
    for path in sorted(folder.glob("*.safetensors")):
        with path.open("rb") as file:
            digests.append(hashlib.file_digest(file, "sha256").hexdigest())
    if not digests:
        raise ConfigurationError(f"{folder} holds no .safetensors weights: put them there, or name another base model")
    return digests[0] if len(digests) == 1 else hashlib.sha256("".join(digests).encode()).hexdigest()
