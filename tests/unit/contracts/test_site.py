"""site.yaml: the demo site is right, and each fault is named with its mend."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from app.contracts.site import load_site
from app.errors import ConfigurationError

DEMO = Path(__file__).parents[3] / "demo"


def test_the_demo_site_is_right_and_says_that_it_is_fictional() -> None:
    site = load_site(DEMO)
    assert site.demonstration
    assert site.contacts["poison_control"].phone == "1-800-222-1222"


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"timezone": "Mars/Base"}, "timezone"),
        ({"contacts": {"911": {"label": "E"}}}, "contacts"),
        ({"unknown_field": 1}, "unknown_field"),
        ({"id": "Not An Id"}, "id"),
        ({"chat_hours": [{"days": ["mon"], "opens": "7", "closes": "19:00"}]}, "chat_hours"),
    ],
)
def test_faults_name_the_field(tmp_path: Path, change: dict[str, object], named: str) -> None:
    data = yaml.safe_load((DEMO / "site.yaml").read_text())
    (tmp_path / "site.yaml").write_text(yaml.safe_dump(data | change))
    with pytest.raises(ConfigurationError, match=named):
        load_site(tmp_path)


@pytest.mark.parametrize(("text", "said"), [(None, "does not exist"), ("a: [", "not valid"), ("- a", "mapping")])
def test_missing_and_broken_files_are_said(tmp_path: Path, text: str | None, said: str) -> None:
    if text is not None:
        (tmp_path / "site.yaml").write_text(text)
    with pytest.raises(ConfigurationError, match=said):
        load_site(tmp_path)
