"""Items are read, checked against the articles and frozen by a hash; every fault names file, item, field and mend."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any, get_args

import pytest
import yaml

from app.errors import ConfigurationError
from tests.unit.training.evaluation.conftest import ROOT, SAMPLE
from training.evaluation.items import Item, ItemKind, content_hash, load_items, main, read_items

GOOD: dict[str, Any] = {
    "id": "fever-one",
    "family": "f",
    "author": "a",
    "topic": "t",
    "kind": "answer",
    "turns": ["What is a fever in a child?"],
    "articles": ["fever-children"],
    "intent": "child_health",
    "must_state": [{"any_of": ["100.4 F or higher"], "harm": 2}],
    "numbers": ["100.4"],
    "reference": "A temperature of 100.4 F or higher is a fever in a baby or child.",
}


def write(folder: Path, *items: dict[str, Any], name: str = "one.yaml", **shared: str) -> Path:
    folder.mkdir(exist_ok=True)
    content: Any = {**shared, "items": list(items)} if shared else list(items)
    (folder / name).write_text(yaml.safe_dump(content, allow_unicode=True), encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def articles(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The articles of the demonstration hospital that the sample needs: reading all takes a second."""
    folder = tmp_path_factory.mktemp("articles")
    for name in ("fever-children", "parking-and-rates", "visiting-hours", "statins"):
        shutil.copy(ROOT / "demo" / "articles" / f"{name}.md", folder)
    return folder


def changed(**fields: Any) -> dict[str, Any]:
    return {key: value for key, value in {**GOOD, **fields}.items() if value is not None}


def test_the_sample_is_sound(articles: Path) -> None:
    found = load_items(SAMPLE, articles)
    assert {item.kind for item in found.items} == set(get_args(ItemKind))
    assert {item.family for item in found.items} == {"sample"}


def test_a_good_item_has_no_fault(tmp_path: Path, articles: Path) -> None:
    assert read_items(write(tmp_path / "items", GOOD), articles)[1] == []


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"kind": "question"}, "kind: Input should be 'answer'"),
        ({"intent": "fever"}, "intent: 'fever' is none of before_visit"),
        ({"route": "nurses"}, "route: 'nurses' is none of 911"),
        ({"route": 911}, "route: must be text, not 911: put it in quotes"),
        ({"numbers": [100.4]}, "numbers.0: must be text, not 100.4: put it in quotes"),
        ({"turns": []}, "turns: List should have at least 1 item"),
        ({"turns": ["  "]}, "turns.0: String should have at least 1 character"),
        ({"ask": "x"}, "ask: unknown field; the fields are id, family"),
        ({"family": None}, "family: is missing"),
        ({"articles": []}, "articles: is empty; name the articles"),
        ({"reference": ""}, "reference: is empty; quote the sentences"),
        ({"must_state": []}, "must_state: is empty; say what a right answer states"),
        ({"must_state": [{"any_of": ["... !"]}]}, "must_state.0: '... !' has no word"),
        ({"must_state": [{"any_of": ["101 F"]}]}, "must_state.0: the reference says none of ['101 F']"),
        ({"must_state": [{"any_of": ["100.4"], "harm": 4}]}, "must_state.0.harm: Input should be less than or equal"),
        ({"must_not_state": [{"any_of": ["is a fever"]}]}, "must_not_state.0: the reference itself says ['is a"),
        ({"numbers": ["100"]}, "numbers: '100' is not in the reference"),
        ({"articles": ["fever"]}, "articles: there is no article 'fever'"),
        ({"articles": ["statins"]}, "reference: stands word for word in none of the articles"),
        ({"reference": "A temperature of 100.4 F or higher is a fever in a baby."}, "reference: stands word for word"),
        ({"kind": "refuse"}, "reference: must be empty unless kind is answer"),
        ({"attributes": {"Who": "x"}}, "attributes: Who: an attribute is a word in lower case"),
    ],
)  # fmt: skip
def test_a_fault_names_file_item_field_and_mend(
    tmp_path: Path, articles: Path, fields: dict[str, Any], said: str
) -> None:
    found = read_items(write(tmp_path / "items", changed(**fields)), articles)[1]
    assert any(fault.startswith(f"one.yaml: fever-one: {said}") for fault in found), found


def test_all_faults_are_told_at_once(tmp_path: Path, articles: Path) -> None:
    folder = write(tmp_path / "items", changed(intent="x", route="y"), changed(id="fever-two", turns=[]))
    write(folder, changed(id="fever-three", articles=["nothing"]), name="two.yaml")
    (folder / "three.yaml").write_text("items: [", encoding="utf-8")
    with pytest.raises(ConfigurationError) as error:
        load_items(folder, articles)
    for part in (
        "intent: 'x'",
        "route: 'y'",
        "fever-two: turns",
        "two.yaml: fever-three: articles",
        "three.yaml: cannot",
    ):
        assert part in str(error.value)


def test_a_sentence_of_another_place_in_the_article_may_be_quoted_too(tmp_path: Path, articles: Path) -> None:
    both = f"{GOOD['reference']} Call for a baby from 3 to 12 months with a fever of 102.2 F or higher."
    assert read_items(write(tmp_path / "items", changed(reference=both)), articles)[1] == []


def test_ids_are_unique_over_files(tmp_path: Path) -> None:
    folder = write(tmp_path / "items", GOOD)
    write(folder, GOOD, name="two.yaml")
    assert read_items(folder)[1] == [
        "two.yaml: fever-one: id: used 2 times (one.yaml, two.yaml); every item needs its own"
    ]


@pytest.mark.parametrize(
    ("second", "said"),
    [
        (None, "has one member"),
        ({"attributes": {"pronoun": "she"}}, "differ in attributes"),
        ({"attributes": {}}, "differ in attributes"),
        ({"attributes": {"pronoun": "he"}, "articles": ["statins"]}, "the same kind and articles"),
        ({"attributes": {"pronoun": "he"}}, ""),
    ],
)
def test_a_pair_asks_the_same_and_differs_in_attributes(
    tmp_path: Path, second: dict[str, Any] | None, said: str
) -> None:
    items = [changed(pair="p", attributes={"pronoun": "she"})]
    if second is not None:
        items.append(changed(id="fever-two", pair="p", **second))
    found = read_items(write(tmp_path / "items", *items))[1]
    assert [fault.startswith("one.yaml: fever-one: pair: 'p'") and said in fault for fault in found] == [True] * bool(
        said
    )


def test_family_author_and_topic_may_stand_once_above(tmp_path: Path) -> None:
    bare = changed(family=None, author=None, topic=None)
    own = changed(id="fever-two", family="own", author=None, topic=None)
    items, found = read_items(write(tmp_path / "items", bare, own, family="top", author="a", topic="t"))
    assert found == []
    assert [item.family for item in items] == ["top", "own"]
    assert "kind: only family, author, topic" in read_items(write(tmp_path / "more", bare, kind="answer"))[1][0]


def test_the_hash_is_over_content_alone(tmp_path: Path) -> None:
    two = changed(id="fever-two")
    one = load_items(write(tmp_path / "one", GOOD, two))
    other = load_items(write(write(tmp_path / "other", two, name="b.yaml"), GOOD, name="c.yaml"))
    assert one.sha256 == other.sha256
    assert load_items(write(tmp_path / "third", GOOD, two, changed(id="fever-three"))).sha256 != one.sha256
    for fields in ({"turns": ["What is a fever?"]}, {"harm": 3}, {"attributes": {"age": "old"}}):
        if "harm" in fields:
            fields = {"must_state": [{"any_of": ["100.4 F or higher"], "harm": 3}]}
        assert content_hash([Item.model_validate(changed(**fields)), *one.items[1:]]) != one.sha256


def test_an_empty_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"holds no \.yaml file"):
        load_items(tmp_path)


def test_authors_see_counts_or_faults(tmp_path: Path, articles: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(SAMPLE), "--articles", str(articles)]) == 0
    shown = capsys.readouterr().out
    assert "emergency 2" in shown
    assert "sample 11" in shown
    assert main([str(write(tmp_path / "items", changed(intent="x")))]) == 1
    assert "one.yaml: fever-one: intent" in capsys.readouterr().err
