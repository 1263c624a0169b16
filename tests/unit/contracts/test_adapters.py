"""One reader of manifests, for training and service; each fault names the folder or file and says the mend."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from app.contracts.adapters import MANIFEST, WEIGHT_FILES, content_hash, read_manifest
from app.errors import AdapterInvalid

SHIPPED = Path("demo/adapters/support")


@pytest.fixture
def adapter(tmp_path: Path) -> Path:
    return Path(shutil.copytree(SHIPPED, tmp_path / "adapter"))


def test_a_sound_folder_is_read(adapter: Path) -> None:
    assert read_manifest(adapter).content_sha256 == content_hash(adapter)


@pytest.mark.parametrize("name", [MANIFEST, *WEIGHT_FILES])
def test_a_file_that_is_missing_is_named(adapter: Path, name: str) -> None:
    (adapter / name).unlink()
    with pytest.raises(AdapterInvalid, match=rf"adapter holds no {name}: name an adapter's folder, as `bedside-train"):
        read_manifest(adapter)


@pytest.mark.parametrize("text", ["{", "[]", "{}", '{"name": "support", "more": 1}', "\xff"])
def test_what_is_no_manifest_is_named(adapter: Path, text: str) -> None:
    (adapter / MANIFEST).write_text(text, encoding="latin-1")
    with pytest.raises(AdapterInvalid, match=r"adapter/manifest\.json is no manifest of an adapter: "):
        read_manifest(adapter)


def test_a_manifest_that_cannot_be_read_is_named(adapter: Path) -> None:
    (adapter / MANIFEST).unlink()
    (adapter / MANIFEST).mkdir()
    with pytest.raises(AdapterInvalid, match=r"manifest\.json cannot be read \(Is a directory\): make it readable"):
        read_manifest(adapter)


def test_other_weights_are_told_only_to_those_who_ask(adapter: Path) -> None:
    fields = json.loads((adapter / "adapter_config.json").read_bytes())
    (adapter / "adapter_config.json").write_text(json.dumps(fields | {"r": 8}))
    with pytest.raises(AdapterInvalid, match="the weights are not those that the manifest names"):
        read_manifest(adapter)
    assert read_manifest(adapter, verify=False) == read_manifest(SHIPPED)
