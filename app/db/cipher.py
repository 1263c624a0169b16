"""Patient text at rest: AES-256-GCM under a key that lives in a file apart from the database.

A stored value is ``key id (4 bytes) | nonce (12) | ciphertext and tag``. The file holds one key a line, newest
first, in hex: adding a line on top rotates; older lines still decrypt.
"""

from __future__ import annotations

import hashlib
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
        self._ciphers = {hashlib.sha256(b"bedside key id" + key).digest()[:4]: AESGCM(key) for key in keys}
        self._current = next(iter(self._ciphers))

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

    def encrypt(self, text: str) -> bytes:
        """Encrypt one value; equal texts give different bytes."""
        nonce = secrets.token_bytes(12)
        return self._current + nonce + self._ciphers[self._current].encrypt(nonce, text.encode(), None)

    def decrypt(self, data: bytes) -> str:
        """The text of a stored value. Raises StoreUnavailable if no key fits or the bytes were changed."""
        cipher = self._ciphers.get(bytes(data[:4]))
        if cipher is None:
            raise StoreUnavailable("stored text was encrypted with a key that is not in the key file")
        try:
            return cipher.decrypt(bytes(data[4:16]), bytes(data[16:]), None).decode()
        except InvalidTag as error:
            raise StoreUnavailable("stored text does not match its key or was changed") from error
