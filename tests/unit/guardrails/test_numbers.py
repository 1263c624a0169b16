"""The numbers in the texts: those of the site and its country, never those of another, and none is missing."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

from app.api.notice import notice
from app.contracts.site import Site, load_site, national_lines
from app.conversations.texts import _TEXTS, text
from app.errors import PolicyRefused
from app.guardrails.active import compiled
from app.guardrails.catalogue import Catalogue
from app.guardrails.policy import PolicyBundle

ROOT = Path(__file__).parents[3]
ABROAD = ROOT / "tests/data/sites/valle-sereno"
PHONE = re.compile(r"\d[\d-]{2,}")


def us_numbers() -> set[str]:
    """Every number of the shipped lines of the United States."""
    lines = national_lines("US").values()
    return {line[kind] for line in lines for kind in ("phone", "text_line") if line.get(kind)}


def changed(contacts: dict[str, Any]) -> Site:
    """The site abroad with other contacts; None takes one away."""
    data = yaml.safe_load((ABROAD / "site.yaml").read_text())
    merged = {**data["contacts"], **contacts}
    return Site.model_validate({**data, "contacts": {k: v for k, v in merged.items() if v is not None}})


@pytest.fixture(scope="module")
def abroad() -> Site:
    return load_site(ABROAD)


@pytest.fixture(scope="module")
def catalogue(bundle: PolicyBundle) -> Catalogue:
    return Catalogue(bundle.texts)


def test_a_site_of_the_united_states_gets_the_national_lines_and_may_name_its_own(site: Site) -> None:
    assert site.contacts["988"].phone == "988"
    assert site.contacts["domestic_violence"].text_word == "START"
    data = yaml.safe_load((ROOT / "demo/site.yaml").read_text())
    data["contacts"]["988"] = {"label": "County crisis line", "phone": "515-555-0190"}
    own = Site.model_validate(data)
    assert (own.contacts["988"].phone, own.contacts["988"].text_line) == ("515-555-0190", None)


@pytest.mark.parametrize("language", ["en", "es"])
def test_no_us_number_is_in_any_text_of_a_site_abroad(abroad: Site, catalogue: Catalogue, language: str) -> None:
    foreign = us_numbers()
    assert {"911", "988", "88788", "1-800-222-1222"} <= foreign
    own = {c.phone for c in abroad.contacts.values()} | {c.text_line for c in abroad.contacts.values()}
    texts = [catalogue.render(text_id, language, abroad) for text_id in catalogue.ids]
    texts += [text(name, language, position=1, hours="8", assistant="a", staff="s", emergency=abroad.emergency_phone)
              for name in _TEXTS["en"]]  # fmt: skip
    texts += notice(abroad, language)[0]
    found = {number for words in texts for number in PHONE.findall(words)}
    assert found & foreign == set()
    assert "55-5555-0110" in found
    assert {number for number in found if len(number) > 4} <= own


def test_texts_say_how_and_when_a_line_is_reached(abroad: Site, site: Site, catalogue: Catalogue) -> None:
    assert catalogue.render("crisis_suicide", "en", site).startswith("Call or text 988 now. Someone answers day and")
    said = catalogue.render("crisis_suicide", "en", abroad)
    assert said.startswith("Call 55-5555-0111 or text 55-5555-0112 now. Someone answers Monday to Friday 8 to 20.")
    said = catalogue.render("crisis_suicide", "es", abroad)
    assert said.startswith("Llame al 55-5555-0111 o escriba al 55-5555-0112 ahora. Atienden lunes a viernes de 8 a 20")
    assert "text START to 88788" in catalogue.render("abuse_partner", "en", site)
    assert "envíe la palabra START al 88788" in catalogue.render("abuse_partner", "es", site)
    assert "  " not in catalogue.render("abuse_danger", "en", abroad), "a note that the site has not leaves no gap"


@pytest.mark.parametrize(
    ("contacts", "said"),
    [
        ({"domestic_violence": None}, "contacts.domestic_violence is missing (needed: "),
        ({"child_abuse": {"label": "x", "hours": "always"}}, "contacts.child_abuse lacks phone or text_line, used in "),
        ({"poison_control": {"label": "x", "hours": "always"}}, "contacts.poison_control lacks phone"),
        ({"988": {"label": "x", "phone": "55-5555-0111"}}, "contacts.988 lacks hours"),
        ({"billing": None}, "contacts.billing is missing (needed: "),
    ],
)  # fmt: skip
def test_a_site_without_a_number_of_a_text_is_refused_at_start(
    bundle: PolicyBundle, contacts: dict[str, Any], said: str
) -> None:
    with pytest.raises(PolicyRefused) as refused:
        compiled(bundle, changed(contacts), datetime.now(UTC))
    assert any(said in reason for reason in refused.value.reasons), refused.value.reasons
    assert "valle-sereno" in str(refused.value)


def test_a_site_that_gives_every_number_is_not_refused(bundle: PolicyBundle, abroad: Site, site: Site) -> None:
    catalogue = Catalogue(bundle.texts)
    catalogue.require(abroad, bundle.version)
    catalogue.require(site, bundle.version)


def test_a_text_that_writes_a_number_itself_is_refused(site: Site) -> None:
    texts = {"bad": {"en": "The 911 team will help.", "es": "Llame al {r911_phone}."}}
    with pytest.raises(PolicyRefused, match="text bad, en: write '911' as a field"):
        Catalogue(texts).require(site, "v1")
