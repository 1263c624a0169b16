"""`bedside site check`: all that a hospital's folder lacks, at once."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from app.cli.program import app
from app.contracts.site import load_contacts, load_site
from app.errors import ConfigurationError, SiteRefused
from app.guardrails.catalogue import Catalogue

DEMO = Path(__file__).parents[3] / "demo"
ARTICLE = (DEMO / "articles" / "visiting-hours.md").read_text("utf-8")
SITE = (DEMO / "site.yaml").read_text("utf-8")


def hospital(folder: Path, site: str, *, article: str = ARTICLE) -> Path:
    """A hospital's folder with one article and no page."""
    (folder / "articles").mkdir()
    (folder / "articles" / "visiting-hours.md").write_text(article, "utf-8")
    (folder / "site.yaml").write_text(site, "utf-8")
    return folder


def without(text: str, *starts: str) -> str:
    """The lines that begin otherwise."""
    return "".join(line for line in text.splitlines(keepends=True) if not line.strip().startswith(starts))


def check(folder: Path) -> Result:
    return CliRunner().invoke(app, ["site", "check", str(folder)])


def test_the_demonstration_is_right() -> None:
    result = check(DEMO)
    assert (result.exit_code, result.stdout) == (0, f"{DEMO} is right: Cedar Valley Health\n")
    assert "page/index.html" not in result.stderr


def test_a_folder_without_a_page_is_right_and_says_so(tmp_path: Path) -> None:
    result = check(hospital(tmp_path, SITE))
    assert result.exit_code == 0
    assert "has no page/index.html" in result.stderr


def test_fields_lines_and_articles_are_named_in_one_run(tmp_path: Path) -> None:
    site = without(SITE, "timezone:", "pharmacist:", "nurse_line:").replace("phone: 515-555-0130", "phone: ask")
    result = check(hospital(tmp_path, site, article=ARTICLE.replace("owner:", "owned_by:")))
    assert result.exit_code == 1
    lines = result.stderr.splitlines()
    for said in (
        "timezone: Field required",
        "contacts.billing.phone: String should match",
        "contacts.pharmacist is missing (needed: ",
        "contacts.nurse_line is missing (needed: ",
        "visiting-hours.md:2: owner: Field required",
    ):
        assert any(said in line for line in lines), (said, lines)
    assert result.stdout.endswith(" faults\n")
    assert not any("contacts.billing is missing" in line for line in lines), "it is there, and wrong"


def test_a_site_of_another_country_is_told_every_line_that_it_must_name(tmp_path: Path) -> None:
    result = check(hospital(tmp_path, SITE.replace("country: US", "country: MX")))
    for route in ("911", "988", "poison_control", "maternal_mental_health", "domestic_violence", "child_abuse"):
        assert f"contacts.{route} is missing" in result.stderr


@pytest.mark.parametrize(
    "site",
    [
        "contacts: [1]\n",
        "- a\n",
        "id: [\n",
        "contacts: {billing: 3, moon: {}}\ncountry: 7\n",
        "id: 2027-13-45\n",
        "[" * 20_000,
    ],
)
def test_what_is_no_site_is_refused_in_a_sentence(tmp_path: Path, site: str) -> None:
    result = check(hospital(tmp_path, site))
    assert result.exit_code == 1
    assert isinstance(result.exception, (SystemExit, ConfigurationError))


def test_a_folder_without_articles_is_a_fault(tmp_path: Path) -> None:
    (tmp_path / "site.yaml").write_text(SITE, "utf-8")
    assert "articles" in check(tmp_path).stderr
    (tmp_path / "articles").mkdir()
    assert "holds no .md file" in check(tmp_path).stderr


def test_the_service_points_to_the_command(tmp_path: Path) -> None:
    (tmp_path / "site.yaml").write_text(without(SITE, "timezone:", "address:"), "utf-8")
    with pytest.raises(SiteRefused, match="bedside site check") as refused:
        load_site(tmp_path)
    assert [reason.split(":")[0] for reason in refused.value.reasons] == ["timezone", "address"]


def test_contacts_are_read_whatever_else_is_wrong(tmp_path: Path) -> None:
    text = without(SITE, "timezone:").replace("phone: 515-555-0130", "phone: ask")
    (tmp_path / "site.yaml").write_text(text, "utf-8")
    found = load_contacts(tmp_path)
    assert "billing" not in found
    assert {"911", "nurse_line", "records"} <= set(found)


@pytest.mark.parametrize(
    ("was", "now", "said"),
    [
        ("retention_days: 90", "retention_days: yes", "retention_days: Input should be a valid integer"),
        ("retention_days: 90", "retention_days: 10000000", "retention_days: Input should be less than or equal"),
        ("languages: [en, es]", "languages: []", "languages: List should have at least 1 item"),
        ("frame_ancestors: [\"'self'\"]", 'frame_ancestors: ["x; script-src *"]', "is not one CSP source such as"),
    ],
)
def test_what_would_stop_the_service_or_delete_too_much_is_a_fault(
    tmp_path: Path, was: str, now: str, said: str
) -> None:
    assert was in SITE
    result = check(hospital(tmp_path, SITE.replace(was, now)))
    assert result.exit_code == 1
    assert said in result.stderr


def test_a_folder_in_the_place_of_the_file_is_refused_in_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "site.yaml").mkdir()
    assert "cannot be read" in str(check(tmp_path).exception)


def test_a_text_that_writes_a_number_is_a_fault_of_the_check_too(tmp_path: Path) -> None:
    found = Catalogue({"bad": {"en": "The 911 team will help.", "es": "Bien."}}).faults(load_site(DEMO).contacts)
    assert found == ["text bad, en: write '911' as a field, such as {r911_phone}"]
