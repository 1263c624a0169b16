"""docs/operations.md says what the code does: every setting with its default, commands and files that exist."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from app.settings import Settings

ROOT = Path(__file__).resolve().parents[3]
TEXT = (ROOT / "docs/operations.md").read_text()
SETTINGS = TEXT.split("\n## Settings\n")[1].split("\n## ")[0]
ROW = re.compile(r"^\| `(BEDSIDE_\w+)` \|\s*(?:`([^`]*)`)?\s*\| (.+) \|$", re.MULTILINE)


def shown(default: Any) -> str:
    """A default as the table writes it."""
    if default is None:
        return ""
    if isinstance(default, bool):
        return str(default).lower()
    if isinstance(default, float):
        return f"{default:g}"
    text = str(default)
    return str(Path(text).relative_to(ROOT)) if text.startswith(str(ROOT)) else text


def test_every_setting_stands_in_the_table_with_its_default() -> None:
    documented = {name: default for name, default, _ in ROW.findall(SETTINGS)}
    real = {f"BEDSIDE_{name.upper()}": shown(field.default) for name, field in Settings.model_fields.items()}
    assert documented == real


def test_settings_stand_in_the_order_of_the_code() -> None:
    names = [name for name, _, _ in ROW.findall(SETTINGS)]
    assert names == [f"BEDSIDE_{name.upper()}" for name in Settings.model_fields]


def test_every_meaning_is_said() -> None:
    for name, _, meaning in ROW.findall(SETTINGS):
        assert len(meaning.split()) >= 3 or "`" in meaning, name


@pytest.mark.parametrize("name", Settings.model_fields)
def test_choices_are_named(name: str) -> None:
    choices = (
        re.findall(r"'(\w+)'", str(Settings.model_fields[name].annotation))
        if "Literal" in str(Settings.model_fields[name].annotation)
        else []
    )
    row = next(row for row in ROW.findall(SETTINGS) if row[0] == f"BEDSIDE_{name.upper()}")
    assert [choice for choice in choices if choice != row[1] and f"`{choice}`" not in row[2]] == []


def test_compose_variables_are_documented() -> None:
    used = set(re.findall(r"\$\{(\w+)", (ROOT / "docker-compose.yml").read_text()))
    assert {name for name in used if f"`{name}`" not in TEXT} == set()


def test_compose_services_volumes_and_ports_are_the_documented_ones() -> None:
    compose = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
    table = TEXT.split("| container |")[1].split("\n\n")[0]
    assert {name for name in compose["services"] if f"`{name}`" not in table} == set()
    for name in re.findall(r"docker compose (?:exec|run|logs)(?: -T| --rm)* ([a-z-]+)", TEXT):
        assert name in compose["services"], name


def test_every_metric_is_documented() -> None:
    source = (ROOT / "app/api/measurements.py").read_text()
    names = set(re.findall(r'"(bedside_\w+)"', source))
    assert len(names) >= 5
    assert names == set(re.findall(r"^\| `(bedside_\w+)`", TEXT, re.MULTILINE))


def test_version_of_the_images_is_the_projects() -> None:
    version = re.search(r'^version = "([^"]+)"', (ROOT / "pyproject.toml").read_text(), re.MULTILINE)
    assert version is not None
    compose = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
    tags = {s["image"].rsplit(":", 1)[1] for s in compose["services"].values() if "build" in s}
    assert tags == {version[1]}
