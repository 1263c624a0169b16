from __future__ import annotations

import shutil
from datetime import date
from pathlib import Path

import pytest

from app.contracts.site import load_site
from app.errors import ConfigurationError
from app.guardrails.catalogue import Catalogue
from app.guardrails.language import language_of
from app.guardrails.policy import PolicyBundle, default_bundle_folder, load_bundle

SITE = load_site(Path(__file__).parents[3] / "demo")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return Path(shutil.copytree(default_bundle_folder(), tmp_path / "v1"))


def _edit(path: Path, old: str, new: str) -> None:
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), encoding="utf-8")


def test_the_hash_follows_the_bytes(folder: Path, bundle: PolicyBundle) -> None:
    assert load_bundle(folder).hash == bundle.hash
    _edit(folder / "lexicon.yaml", "breastbone, ", "")
    assert load_bundle(folder).hash != bundle.hash


def test_every_category_has_a_rule_and_every_rule_a_source(bundle: PolicyBundle) -> None:
    assert {rule.category for rule in bundle.triage} == set(bundle.header.category_order)
    assert all(rule.source.url.startswith("https://") for rule in bundle.triage)


def test_unsigned_rules_are_active_and_listed(bundle: PolicyBundle) -> None:
    assert set(bundle.unreviewed) == {rule.id for rule in bundle.triage if not rule.clinically_reviewed}


def test_expired_rules_warn_or_stop(folder: Path) -> None:
    assert load_bundle(folder, today=date(2030, 1, 1)).warnings
    with pytest.raises(ConfigurationError, match="expired"):
        load_bundle(folder, strict=True, today=date(2030, 1, 1))


@pytest.mark.parametrize(
    ("name", "old", "new", "message"),
    [
        (
            "triage_1_heart_breath_brain.yaml",
            '"@chest_pain"]',
            '"@nonsense"]',
            r"rule cardiac\.chest-pain: unknown concept @nonsense",
        ),
        (
            "triage_1_heart_breath_brain.yaml",
            "text: emergency_cardiac",
            "text: nowhere",
            r"rule cardiac\.chest-pain.*nowhere",
        ),
        ("triage_1_heart_breath_brain.yaml", "tier: emergency", "tier: huge", "huge"),
        ("triage_1_heart_breath_brain.yaml", 'routes: ["911"]', 'routes: ["912"]', "routes"),
        ("triage_1_heart_breath_brain.yaml", "rules:\n", "rules:\n  bad: [\n", r"brain\.yaml:4: not valid YAML"),
        ("scope.yaml", "- id: scope.identity", "- id: scope.harm", "twice"),
        ("bundle.yaml", "injection_threshold: 0.6", "injection_threshold: 7", "injection_threshold"),
        ("lexicon.yaml", 'chest: "chest,', 'chest: "@chest, chest,', "refers to itself"),
    ],
)
def test_a_broken_bundle_is_refused_with_file_and_rule(
    folder: Path, name: str, old: str, new: str, message: str
) -> None:
    _edit(folder / name, old, new)
    with pytest.raises(ConfigurationError, match=message):
        load_bundle(folder)


def test_not_a_bundle(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"bundle\.yaml"):
        load_bundle(tmp_path)


def test_every_text_renders_in_both_languages(bundle: PolicyBundle) -> None:
    catalogue = Catalogue(bundle.texts)
    for text_id in catalogue.ids:
        english, spanish = (catalogue.render(text_id, language, SITE) for language in ("en", "es"))
        assert english != spanish
        assert "{" not in english + spanish


def test_every_text_tells_its_language(bundle: PolicyBundle) -> None:
    """What stands around a safety text is put in its language by this. An intro to a passage is none."""
    catalogue = Catalogue(bundle.texts)
    for text_id in set(catalogue.ids) - {"fallback_intro"}:
        for language, other in (("en", "es"), ("es", "en")):
            assert language_of(catalogue.render(text_id, language, SITE), other) == language, text_id


def test_emergency_texts_act_first(bundle: PolicyBundle) -> None:
    catalogue = Catalogue(bundle.texts)
    for text_id in {rule.text for rule in bundle.triage if rule.text.startswith("emergency_")}:
        assert catalogue.render(text_id, "en", SITE).startswith("Call 911 now.")
        assert catalogue.render(text_id, "es-MX", SITE).startswith("Llame al 911 ahora.")
    assert "988" in catalogue.render("crisis_suicide", "en", SITE)


def test_needed_texts_exist(bundle: PolicyBundle) -> None:
    needed = {
        "identity",
        "privacy",
        "handoff_open",
        "handoff_closed",
        "no_answer",
        "engine_down",
        "decline",
        "decline_injection",
        "greeting",
        "thanks",
        "consent_required",
        "error",
        "safety_net",
    }
    assert needed <= set(bundle.texts)


def test_an_unknown_text_is_an_error(bundle: PolicyBundle) -> None:
    with pytest.raises(ConfigurationError, match="nope"):
        Catalogue(bundle.texts).render("nope", "en", SITE)
