"""What the service refuses to serve, before it opens anything."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from app.errors import ConfigurationError
from app.main import create_app
from app.settings import Settings

DEMO = Path(__file__).resolve().parents[2] / "demo"


def production(folder: Path, **changed: Any) -> Settings:
    """Settings as a hospital gives them, with nothing else to be refused."""
    values: dict[str, Any] = {
        "environment": "production", "site": DEMO, "state": folder / "state", "key_file": folder / "text.key",
        "demo_accounts": False, "public_url": "https://chat.example.org", "engine": "off",
        "database_url": SecretStr("postgresql+psycopg://nobody@127.0.0.1:1/none"),
    }  # fmt: skip
    return Settings(_env_file=None, **(values | changed))


def test_production_refuses_a_demonstration_site(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"demonstration: true.*not served in production"):
        create_app(production(tmp_path))
    assert not (tmp_path / "state").exists()


def test_production_asks_the_site_and_not_its_name(tmp_path: Path) -> None:
    """The same site without the mark gets past it, to the next fault: a policy folder that does not exist."""
    site = tmp_path / "site"
    site.mkdir()
    told = (DEMO / "site.yaml").read_text(encoding="utf-8")
    assert "\ndemonstration: true\n" in told
    (site / "site.yaml").write_text(told.replace("\ndemonstration: true\n", "\n"), encoding="utf-8")
    with pytest.raises(ConfigurationError, match="policies-nowhere"):
        create_app(production(tmp_path, site=site, policy_folder=tmp_path / "policies-nowhere"))
