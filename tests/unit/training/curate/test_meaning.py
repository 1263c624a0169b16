"""Vectors of the truth's statements are made once and kept beside the encoder's files."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from app.encoder.encoder import Embedding
from training.curate.figures import read_figures
from training.curate.meaning import KEPT, vectors_of
from training.curate.truth import Statement, Truth, stems

TEXTS = ["Parking costs $2 an hour.", "Visiting hours are from 9 a.m. to 8 p.m.", "Bring your insurance card."]


def truth(*texts: str) -> Truth:
    """These sentences as statements."""
    return Truth([Statement("desk", text, stems(text), read_figures(text)) for text in texts])


@pytest.fixture
def folder(encoder_folder: Path, tmp_path: Path) -> Path:
    """The encoder's files, and no vectors beside them."""
    shutil.copytree(encoder_folder, tmp_path / "encoder", ignore=lambda _, names: [n for n in names if n == KEPT])
    return tmp_path / "encoder"


@pytest.fixture
def passes(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many texts each call of the encoder read."""
    seen: list[int] = []
    embed = Embedding.embed

    def counted(self: Embedding, texts: list[str]) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
        seen.append(len(texts))
        return embed(self, texts)

    monkeypatch.setattr(Embedding, "embed", counted)
    return seen


def test_they_are_kept_until_a_statement_changes(folder: Path, passes: list[int]) -> None:
    first = vectors_of(truth(*TEXTS), folder)
    assert first.shape == (3, 384)
    assert np.allclose(np.linalg.norm(first, axis=1), 1, atol=1e-4)
    assert np.array_equal(vectors_of(truth(*TEXTS), folder), first)
    assert sum(passes) == 3
    changed = vectors_of(truth(TEXTS[0].replace("$2", "$3"), *TEXTS[1:]), folder)
    assert sum(passes) == 6
    assert not np.array_equal(changed[0], first[0])
    assert np.array_equal(changed[1:], first[1:])


@pytest.mark.parametrize("content", [b"", b"\x00" * 40, b"not safetensors at all"])
def test_a_damaged_file_is_made_anew(folder: Path, passes: list[int], content: bytes) -> None:
    first = vectors_of(truth(*TEXTS), folder)
    (folder / KEPT).write_bytes(content)
    assert np.array_equal(vectors_of(truth(*TEXTS), folder), first)
    assert np.array_equal(vectors_of(truth(*TEXTS), folder), first)
    assert sum(passes) == 6


def test_without_a_place_to_keep_them_they_are_made_each_time(folder: Path, passes: list[int]) -> None:
    (folder / KEPT).mkdir()
    first = vectors_of(truth(*TEXTS), folder)
    assert np.array_equal(vectors_of(truth(*TEXTS), folder), first)
    assert sum(passes) == 6
