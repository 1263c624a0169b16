from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from app.contracts.weights import weights_digest
from app.errors import ConfigurationError


def test_one_file_has_its_own_digest(tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").write_bytes(b"weights")
    assert weights_digest(tmp_path) == hashlib.sha256(b"weights").hexdigest()


def test_several_files_have_the_digest_of_theirs_in_order_of_name(tmp_path: Path) -> None:
    for name in ("b", "a"):
        (tmp_path / f"{name}.safetensors").write_bytes(name.encode())
    each = "".join(hashlib.sha256(name).hexdigest() for name in (b"a", b"b"))
    assert weights_digest(tmp_path) == hashlib.sha256(each.encode()).hexdigest()


def test_a_folder_without_weights_is_refused(tmp_path: Path) -> None:
    (tmp_path / "pytorch_model.bin").write_bytes(b"")
    with pytest.raises(ConfigurationError, match=r"no \.safetensors weights: put them there"):
        weights_digest(tmp_path)
