"""Keyed hashes that stand for patients, and where their key comes from."""

from __future__ import annotations

import hashlib
import hmac
import os
import stat
from collections.abc import Mapping
from pathlib import Path

from pydantic import BaseModel, ConfigDict, model_validator

from app.errors import ConfigurationError

SECRET_VARIABLE = "BEDSIDE_CURATE_SECRET"
"""The environment variable that is read when a config names no other source."""
LEAST_BYTES = 16
_DIGITS = 20


class SecretSource(BaseModel):
    """Where the key comes from: an environment variable, a file that only its owner may read, or, for a demonstration
    whose patients are invented, the config itself.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    environment: str = ""
    file: Path | None = None
    demonstration: str = ""

    @model_validator(mode="after")
    def _one(self) -> SecretSource:
        if sum(map(bool, (self.environment, self.file, self.demonstration))) > 1:
            raise ValueError("name one of environment, file and demonstration")
        return self


def keyed_hash(secret: bytes, purpose: str, value: str) -> str:
    """20 hexadecimal digits of HMAC-SHA-256: the same value gives the same hash only under the same key and purpose.

    ``purpose`` is ``patient``, ``conversation``, ``record`` ...: a hash of one kind says nothing about another.
    """
    return _mac(secret, purpose, value).hexdigest()[:_DIGITS]


def keyed_number(secret: bytes, purpose: str, value: str, below: int) -> int:
    """A number from 0 to ``below`` - 1 that depends on the key, the purpose and the value."""
    return int.from_bytes(_mac(secret, purpose, value).digest()[:8], "big") % below


def _mac(secret: bytes, purpose: str, value: str) -> hmac.HMAC:
    return hmac.new(secret, f"{purpose}\x1f{value}".encode(errors="surrogatepass"), hashlib.sha256)


def load_secret(source: SecretSource, *, demonstration: bool, environment: Mapping[str, str] = os.environ) -> bytes:
    """The key's bytes. ``demonstration`` is the site's own flag: only then may the key stand in the config.

    Raises ConfigurationError that says the mend: missing, too short, a file that others may read.
    """
    if source.demonstration:
        if not demonstration:
            raise ConfigurationError(
                "secret.demonstration is for sites with `demonstration: true`; name secret.environment or secret.file"
            )
        return _long_enough(source.demonstration.encode(), "secret.demonstration")
    if source.file is not None:
        return _long_enough(_file(source.file), str(source.file))
    name = source.environment or SECRET_VARIABLE
    value = environment.get(name, "")
    if not value:
        raise ConfigurationError(
            f"{name} is not set: the key of patients' hashes. Make one (`openssl rand -hex 32`), keep it apart from "
            "the data, and set it or name a file as secret.file in the config; only the same key finds a patient again"
        )
    return _long_enough(value.encode(), name)


def _file(path: Path) -> bytes:
    try:
        if stat.S_IMODE(path.stat().st_mode) & 0o077:
            raise ConfigurationError(f"{path}: others may read the key of patients' hashes; run `chmod 600 {path}`")
        return path.read_bytes().strip()
    except OSError as error:
        raise ConfigurationError(f"{path}, the key of patients' hashes, cannot be read: {error.strerror}") from None


def _long_enough(key: bytes, name: str) -> bytes:
    if len(key) < LEAST_BYTES:
        raise ConfigurationError(f"{name}: the key of patients' hashes needs at least {LEAST_BYTES} characters")
    return key
