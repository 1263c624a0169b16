"""Text at rest: round trip, tampering, rotation, key files."""

from __future__ import annotations

import secrets
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.db.cipher import TextCipher
from app.errors import ConfigurationError, StoreUnavailable

KEY = secrets.token_bytes(32)


@given(st.text(max_size=500))
def test_round_trip(text: str) -> None:
    cipher = TextCipher([KEY])
    assert cipher.decrypt(cipher.encrypt(text)) == text


def test_equal_texts_differ_and_tampering_is_noticed() -> None:
    cipher = TextCipher([KEY])
    one, two = cipher.encrypt("same"), cipher.encrypt("same")
    assert one != two
    assert b"same" not in one
    with pytest.raises(StoreUnavailable):
        cipher.decrypt(one[:-1] + bytes([one[-1] ^ 1]))


def test_rotation_reads_old_and_writes_new() -> None:
    old = TextCipher([KEY]).encrypt("before")
    new_key = secrets.token_bytes(32)
    rotated = TextCipher([new_key, KEY])
    assert rotated.decrypt(old) == "before"
    with pytest.raises(StoreUnavailable, match="not in the key file"):
        TextCipher([KEY]).decrypt(rotated.encrypt("after"))


def test_the_key_file_is_made_once_and_private(tmp_path: Path) -> None:
    path = tmp_path / "keys" / "text.key"
    first = TextCipher.from_file(path, create=True)
    assert path.stat().st_mode & 0o777 == 0o600
    assert TextCipher.from_file(path, create=True).decrypt(first.encrypt("x")) == "x"


@pytest.mark.parametrize("content", ["", "zz", "abcd"])
def test_broken_key_files_are_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "k").write_text(content)
    with pytest.raises(ConfigurationError):
        TextCipher.from_file(tmp_path / "k", create=False)


def test_a_missing_key_file_is_not_made_in_silence(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="restore it"):
        TextCipher.from_file(tmp_path / "k", create=False)
