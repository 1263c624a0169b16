"""Patient text at rest: AES-256-GCM under a key that lives in a file apart from the database.

A stored value is ``key id (4 bytes) | nonce (12) | ciphertext and tag``. The file holds one key a line, newest
first, in hex: adding a line on top rotates; older lines still decrypt. A value that is bound to its place (the place is
associated data) has another id of the same key, and opens nowhere else.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
from collections.abc import Sequence
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from app.errors import ConfigurationError, StoreUnavailable


class TextCipher:
    """Encrypts with the first key, decrypts with any. Safe for concurrent use."""

    def __init__(self, keys: Sequence[bytes]) -> None:
        if not keys or any(len(key) != 32 for key in keys):
            raise ConfigurationError("a text key must be 32 bytes (64 hex digits)")
        self._ciphers = {_id(b"bedside key id", key): AESGCM(key) for key in keys}
        self._oldest = keys[-1]
        self._bound = {_id(b"bedside bound key id", key): AESGCM(key) for key in keys}

    @classmethod
    def from_file(cls, path: Path, *, create: bool) -> TextCipher:
        """Read the key file; with ``create`` make one (mode 0600) where there is none. Raises ConfigurationError."""
        if create and not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(handle, "w", encoding="ascii") as file:
                file.write(secrets.token_hex(32) + "\n")
        try:
            keys = [bytes.fromhex(line) for line in path.read_text(encoding="ascii").split()]
        except FileNotFoundError as error:
            raise ConfigurationError(f"the key file {path} does not exist; restore it from your copy") from error
        except (ValueError, OSError) as error:
            raise ConfigurationError(f"the key file {path} must hold one key of 64 hex digits a line") from error
        return cls(keys)

    def encrypt(self, text: str, place: str = "") -> bytes:
        """Encrypt one value, bound to ``place`` (whose it is) where one is given; equal texts give different bytes."""
        nonce = secrets.token_bytes(12)
        key_id, cipher = next(iter((self._bound if place else self._ciphers).items()))
        return key_id + nonce + cipher.encrypt(nonce, text.encode(), place.encode() or None)

    def fingerprint(self, text: str) -> str:
        """A keyed hash (hex): equal texts have one, and nobody without the key can try out guesses. It stays while the
        oldest key does.
        """
        return hmac.new(self._oldest, b"fingerprint " + text.encode(), hashlib.sha256).hexdigest()

    def decrypt(self, data: bytes, place: str = "") -> str:
        """The text of a stored value. Raises StoreUnavailable if no key fits, the bytes were changed, or the value is
        bound to another place.
        """
        key_id = bytes(data[:4])
        bound = key_id in self._bound
        cipher = self._bound.get(key_id) or self._ciphers.get(key_id)
        if cipher is None:
            raise StoreUnavailable("stored text was encrypted with a key that is not in the key file")
        try:
            return cipher.decrypt(bytes(data[4:16]), bytes(data[16:]), place.encode() if bound else None).decode()
        except InvalidTag as error:
            raise StoreUnavailable("stored text does not match its key or was changed") from error


def _id(purpose: bytes, key: bytes) -> bytes:
    return hashlib.sha256(purpose + key).digest()[:4]
