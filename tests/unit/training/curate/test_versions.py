"""What a version says, and what it leaves where it could not be written."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.training.curate.chain_stages import full_disk
from tests.unit.training.curate.version_files import content, provenance, record
from training.curate.dataset import read_manifest, write_version


def test_consent_is_counted(tmp_path: Path) -> None:
    some = [record(1), record(2), record(3, consent=False)]
    one = write_version(content(tmp_path / "a", some), tmp_path / "v", provenance())
    two = write_version(content(tmp_path / "b", some[:2]), tmp_path / "v", provenance())
    assert read_manifest(one).consent == {"given": 2, "not_given": 1}
    assert read_manifest(two).consent == {"given": 2}


@pytest.mark.parametrize("left", [300, 1500, 4000])  # too little for records, for a table of dialogues, for its file
def test_a_version_for_which_the_disk_is_too_full_leaves_nothing(tmp_path: Path, left: int) -> None:
    made = content(tmp_path / "content", [record(1)])
    with full_disk(left), pytest.raises(OSError, match="too large"):
        write_version(made, tmp_path / "v", provenance())
    assert list((tmp_path / "v").iterdir()) == []
