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
        ({"country": "usa"}, "country"),
        ({"country": "MX"}, "contacts must name these routes too: 911, 988, poison_control"),
        ({"safe_exit_url": "javascript:alert(1)"}, "safe_exit_url"),
        ({"chat_hours": [{"days": ["mon"], "opens": "7", "closes": "19:00"}]}, "chat_hours"),
    ],
)
def test_faults_name_the_field(tmp_path: Path, change: dict[str, object], named: str) -> None:
    data = yaml.safe_load((DEMO / "site.yaml").read_text())
    (tmp_path / "site.yaml").write_text(yaml.safe_dump(data | change))
    with pytest.raises(ConfigurationError, match=named):
        load_site(tmp_path)


def test_the_country_must_be_said_and_the_emergency_number_given(tmp_path: Path) -> None:
    data = yaml.safe_load((DEMO / "site.yaml").read_text())
    without = {name: value for name, value in data.items() if name != "country"}
    (tmp_path / "site.yaml").write_text(yaml.safe_dump(without))
    with pytest.raises(ConfigurationError, match="country"):
        load_site(tmp_path)
    data["contacts"]["911"] = {"label": "Emergency services"}
    (tmp_path / "site.yaml").write_text(yaml.safe_dump(data))
    with pytest.raises(ConfigurationError, match="needs the phone that is called in your country"):
        load_site(tmp_path)


@pytest.mark.parametrize("field", ["phone", "text_line"])
@pytest.mark.parametrize("value", ["call us", "515-555-0100 or 0101 x", "<b>"])
def test_a_number_must_be_one(tmp_path: Path, field: str, value: str) -> None:
    data = yaml.safe_load((DEMO / "site.yaml").read_text())
    data["contacts"]["nurse_line"][field] = value
    (tmp_path / "site.yaml").write_text(yaml.safe_dump(data))
    with pytest.raises(ConfigurationError, match=f"contacts.nurse_line.{field}"):
        load_site(tmp_path)


@pytest.mark.parametrize(("text", "said"), [(None, "does not exist"), ("a: [", "not valid"), ("- a", "mapping")])
def test_missing_and_broken_files_are_said(tmp_path: Path, text: str | None, said: str) -> None:
    if text is not None:
        (tmp_path / "site.yaml").write_text(text)
    with pytest.raises(ConfigurationError, match=said):
        load_site(tmp_path)
