"""A small hospital with everything of the pipeline but the model, built once."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from training.evaluation.items import ItemSet, load_items
from training.evaluation.pipeline import Parts, opened

ROOT = Path(__file__).parents[4]
SAMPLE = ROOT / "tests" / "data" / "evaluation"
ARTICLES = ("fever-children", "parking-and-rates", "visiting-hours", "fasting-blood-test", "gift-shop", "statins")


def small_hospital(folder: Path, encoder_folder: Path) -> Path:
    """The folder with ``site``, the demonstration hospital with six articles, and an empty ``state``."""
    (folder / "site" / "articles").mkdir(parents=True)
    shutil.copy(ROOT / "demo" / "site.yaml", folder / "site")
    for name in ARTICLES:
        shutil.copy(ROOT / "demo" / "articles" / f"{name}.md", folder / "site" / "articles")
    (folder / "state").mkdir()
    (folder / "state" / "encoder").symlink_to(encoder_folder)
    return folder


@pytest.fixture(scope="session")
def sample() -> ItemSet:
    """The sample items."""
    return load_items(SAMPLE)


@pytest.fixture(scope="package")
async def parts(tmp_path_factory: pytest.TempPathFactory, encoder_folder: Path) -> AsyncIterator[Parts]:
    """The demonstration hospital with six articles, opened as the command does."""
    folder = small_hospital(tmp_path_factory.mktemp("evaluation"), encoder_folder)
    async with opened(folder / "site", folder / "state") as built:
        yield built
