"""Signatures of policy bundles: Ed25519 over the bundle's hash, in ``bundle.sig`` beside its files.

``bundle.sig`` is JSON: ``bundle`` (the hash that was signed) and ``key`` (which key) only serve the words of an error;
what counts is ``signature`` (base64). Keys are PEM files, or a public key as base64 of its 32 bytes.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from app.errors import ConfigurationError
from app.files import replace_file

SIGNATURE_FILE = "bundle.sig"
Signature = Literal["unsigned", "unverified", "valid", "invalid"]
"""``unverified``: there is a signature, and no key to verify it with."""
_DOMAIN = b"bedside policy bundle, sha256: "
_RAW = serialization.Encoding.Raw, serialization.PublicFormat.Raw


@dataclass(frozen=True, slots=True)
class Checked:
    """What a signature is worth, and why it is not valid (empty if it is)."""

    state: Signature
    said: str


def make_key(path: Path) -> str:
    """Write a new private key (mode 0600) and, as ``<path>.pub``, its public key, which is returned as base64.

    Raises ConfigurationError if one of the files exists or cannot be written.
    """
    private = Ed25519PrivateKey.generate()
    pem = private.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    public = base64.b64encode(private.public_key().public_bytes(*_RAW)).decode("ascii")
    beside = path.with_name(path.name + ".pub")
    for target, content, mode in ((path, pem, 0o600), (beside, f"{public}\n".encode(), 0o644)):
        try:
            with os.fdopen(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
                file.write(content)
        except FileExistsError as error:
            raise ConfigurationError(f"{target} exists; a key is never overwritten, choose another name") from error
        except OSError as error:
            raise ConfigurationError(f"{target} cannot be written: {error.strerror}") from error
    return public


def read_public(given: str) -> Ed25519PublicKey:
    """A public key given as base64, or as a path of a file with base64 or PEM. Raises ConfigurationError."""
    key = _public(given.strip().encode())
    if key is None:
        try:
            key = _public(Path(given).read_bytes().strip())
        except (OSError, ValueError) as error:
            raise ConfigurationError(
                "the policy key is neither base64 of a public key nor a file; `bedside policies keygen` makes one"
            ) from error
    if key is None:
        raise ConfigurationError(
            f"{given} holds no Ed25519 public key; give the .pub file of `bedside policies keygen`"
        )
    return key


def read_private(path: Path) -> Ed25519PrivateKey:
    """A private key for signing. Raises ConfigurationError, also if others than the owner may read it."""
    try:
        if path.stat().st_mode & 0o077:
            raise ConfigurationError(f"others may read {path}: run `chmod 600` on it, and make a new key if they did")
        key = serialization.load_pem_private_key(path.read_bytes(), password=None)
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be read: {error.strerror}") from error
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise ConfigurationError(f"{path} is not a private key in PEM without a password") from error
    if not isinstance(key, Ed25519PrivateKey):
        raise ConfigurationError(f"{path} is not an Ed25519 key; `bedside policies keygen` makes one")
    return key


def key_id(key: Ed25519PublicKey) -> str:
    """A short name of a key, for people: the first 16 hex digits of the SHA-256 of its bytes."""
    return hashlib.sha256(key.public_bytes(*_RAW)).hexdigest()[:16]


def sign(folder: Path, digest: str, key: Ed25519PrivateKey) -> None:
    """Write ``bundle.sig`` for the hash of the bundle in ``folder``. Raises ConfigurationError."""
    content = {
        "bundle": digest,
        "key": key_id(key.public_key()),
        "signature": base64.b64encode(key.sign(_DOMAIN + digest.encode())).decode("ascii"),
    }
    try:
        replace_file(folder / SIGNATURE_FILE, f"{json.dumps(content, indent=2)}\n".encode(), 0o644)
    except OSError as error:
        raise ConfigurationError(f"{folder / SIGNATURE_FILE} cannot be written: {error.strerror}") from error


def check(folder: Path, digest: str, key: Ed25519PublicKey | None) -> Checked:
    """What the signature of the bundle in ``folder`` is worth for this hash."""
    try:
        content = json.loads((folder / SIGNATURE_FILE).read_bytes())
        signature = base64.b64decode(content["signature"], validate=True)
        signed, by = str(content.get("bundle")), str(content.get("key"))
    except FileNotFoundError:
        return Checked("unsigned", "the bundle is not signed: run `bedside policies sign` on it after its review")
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return Checked("invalid", "this is not a signature: run `bedside policies sign` on the bundle again")
    if key is None:
        return Checked("unverified", "the signature was not verified: set BEDSIDE_POLICY_KEY")
    try:
        key.verify(signature, _DOMAIN + digest.encode())
    except InvalidSignature:
        return Checked("invalid", _why(signed, by, digest, key_id(key)))
    return Checked("valid", "")


def _why(signed: str, by: str, digest: str, expected: str) -> str:
    if by != expected:
        return f"signed with the key {by[:16]}, not with {expected} of BEDSIDE_POLICY_KEY: sign with the right key"
    if signed != digest:
        return (
            f"signed for the bundle {signed[:12]}, and the files are {digest[:12]} now: somebody changed them after "
            "the signature; review the change and sign again"
        )
    return "the signature is wrong: run `bedside policies sign` on the bundle again"


def _public(given: bytes) -> Ed25519PublicKey | None:
    try:
        if given.startswith(b"-----BEGIN"):
            key = serialization.load_pem_public_key(given)
            return key if isinstance(key, Ed25519PublicKey) else None
        return Ed25519PublicKey.from_public_bytes(base64.b64decode(given, validate=True))
    except (ValueError, binascii.Error, UnsupportedAlgorithm):
        return None
