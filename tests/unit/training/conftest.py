from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.training.tiny import make_base


@pytest.fixture(scope="session")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny base model, written once."""
    return make_base(tmp_path_factory.mktemp("base"))
