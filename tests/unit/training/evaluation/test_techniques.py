"""Techniques side by side: what is trained, measured, kept and shown."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from playwright.sync_api import Browser

from app.contracts.adapters import read_manifest
from app.errors import ConfigurationError
from tests.browser import axe_violations
from tests.html_page import Page
from tests.unit.training.test_adapter import make_config
from training.evaluation import techniques
from training.evaluation.techniques import HTML_NAME, JSON_NAME, RESULT, compare, load_compare, page, table

VARIANTS = {"adapter": {}, "all": {"technique": "full", "training": {"learning_rate": 1e-3}}}


def written(folder: Path, base: Path, variants: dict[str, object], **changes: object) -> Path:
    """A config of the command over a tiny base model."""
    finetune = make_config(folder, base, **changes).model_dump(mode="json", exclude_defaults=True)
    (folder / "finetune.yaml").write_text(yaml.safe_dump(finetune), encoding="utf-8")
    fields = {
        "config": str(folder / "finetune.yaml"),
        "work": str(folder / "compared"),
        "answers": 3,
        "variants": variants,
    }
    (folder / "compare.yaml").write_text(yaml.safe_dump(fields), encoding="utf-8")
    return folder / "compare.yaml"


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory, base: Path) -> Path:
    """The config of a comparison that was made."""
    path = written(tmp_path_factory.mktemp("compared"), base, VARIANTS)
    told: list[tuple[str, int, int]] = []
    compare(*load_compare(path), lambda *one: told.append(one))
    assert told == [("adapter", 1, 2), ("all", 2, 2)]
    return path


def test_each_technique_is_trained_and_measured(done: Path) -> None:
    content = json.loads((done.parent / "compared" / JSON_NAME).read_bytes())
    adapter, everything = content["variants"]
    assert (adapter["name"], adapter["technique"], everything["technique"]) == ("adapter", "lora", "full")
    assert 0 < adapter["trainable"] < adapter["parameters"] / 2
    assert everything["trainable"] == everything["parameters"] < adapter["parameters"]
    for row in content["variants"]:
        assert row["steps"] == 4
        assert row["seconds"] > 0
        assert row["peak_mb"] > 100
        assert row["held_out_loss"] > 0
        assert 0 <= row["bleu"] <= 1
    assert adapter["token_f1_difference"] is None
    assert set(everything["token_f1_difference"]) == {"value", "low", "high", "p"}
    assert content["answers"] == 3
    # What is an adapter can be gated; all weights are not kept as one.
    assert read_manifest(done.parent / "compared" / "adapter" / "adapter").rank == 8
    assert not (done.parent / "compared" / "all" / "adapter").exists()


def test_what_is_finished_is_not_trained_again_and_what_is_other_is(done: Path, tmp_path: Path) -> None:
    config, variants = load_compare(done)
    before = {name: (config.work / name / RESULT).read_bytes() for name in variants}
    compare(config, variants, lambda *one: pytest.fail(f"{one} was trained again"))
    assert before == {name: (config.work / name / RESULT).read_bytes() for name in variants}
    asked: list[str] = []

    def watch(name: str, *_: int) -> None:
        asked.append(name)
        raise KeyboardInterrupt

    longer = config.model_copy(update={"answers": 2})
    with pytest.raises(KeyboardInterrupt):
        compare(longer, variants, watch)
    assert asked == ["adapter"]


@pytest.mark.parametrize(
    ("variants", "said"),
    [
        ({"one": {}}, "variants"),
        ({"one": {}, "Two ": {}}, "variants: Two "),
        ({"one": {}, "two": {"lora": {"rank": 5}}}, "variants: two: lora.*rank"),
        ({"one": {}, "two": {"training": {"steps": 3}}}, "variants: two: training.steps"),
        ({"one": {}, "two": {"technique": "magic"}}, "variants.two.technique"),
    ],
)
def test_a_fault_names_its_variant(tmp_path: Path, base: Path, variants: dict[str, object], said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        load_compare(written(tmp_path, base, variants))


def test_adapters_begin_at_zero_whatever_the_config_begins_with(tmp_path: Path, base: Path) -> None:
    _, variants = load_compare(written(tmp_path, base, VARIANTS, start_from=tmp_path / "earlier"))
    assert all(settings.start_from is None for settings in variants.values())


def test_table_and_page_say_the_same(done: Path, browser: Browser) -> None:
    content = json.loads((done.parent / "compared" / JSON_NAME).read_bytes())
    text = (done.parent / "compared" / HTML_NAME).read_text(encoding="utf-8")
    assert text == page(content)
    shown = Page(text).text
    for row in content["variants"]:
        for said in (row["name"], f"{row['held_out_loss']:.3f}", f"{row['token_f1']:.3f}", f"{row['trainable']:,}"):
            assert said in shown
            assert said in table(content)
    opened = browser.new_page()
    faults: list[str] = []
    opened.on("console", lambda message: faults.append(message.text))
    opened.goto((done.parent / "compared" / HTML_NAME).as_uri())
    for width in (390, 1280):
        opened.set_viewport_size({"width": width, "height": 900})
        assert axe_violations(opened) == []
        assert opened.evaluate("document.documentElement.scrollWidth") <= width
    assert faults == []
    opened.close()


def test_the_demonstrations_config_is_whole(tmp_path: Path) -> None:
    fields = yaml.safe_load(Path("demo/adapters/compare.yaml").read_text(encoding="utf-8"))
    config = techniques.CompareConfig.model_validate(fields)
    assert config.config.is_file()
    assert {variant.technique for variant in config.variants.values()} == {"lora", "full"}
