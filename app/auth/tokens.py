"""Opaque bearer tokens: 128 random bits, of which only the SHA-256 is kept."""

from __future__ import annotations

import hashlib
import secrets


def new_token() -> str:
    """A fresh token of 128 random bits, safe in URLs and headers."""
    return secrets.token_urlsafe(16)


def token_hash(token: str) -> str:
    """What is stored of a token. A fast hash is right here: the token is random, nobody can guess its preimage."""
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()
