"""The stage: representation, the gaps before and after, weights and copies."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from pydantic import ValidationError

from app.contracts.site import load_site
from app.errors import ConfigurationError
from training.curate.balance import Balance, Options
from training.curate.records import Kind, Record, Turn, read_records, record_id, record_line
from training.curate.representation import representation
from training.curate.stages import RECORDS, Context, StageReport

ARTICLE = """---
id: portal
title: Your chart online
topic: portal
audience: patients
owner: Patient support
reviewed: 2026-01-01
review_by: 2027-01-01
sources: ["Policy 1"]
---

## How do I get back into my chart?

Choose the blue link on the sign-in page to get a new password for your chart. The link works for 30 minutes.
"""
GOOD = (
    "Of course. Choose the blue link on the sign-in page to get a new password for your chart. Please call CedarChart "
    "help desk if it does not come."
)
POOR = "I have no idea, somebody else knows about those."
LIGHT = Options(permutations=999, resamples=100)
Run = Callable[..., tuple[StageReport, list[Record]]]


def record(place: int, answer: str, *, kind: Kind = "transcript", wife: bool = False, **fields: object) -> Record:
    asked = "My wife lost her password." if wife else "I lost my password."
    turns = (Turn(speaker="patient", text=f"{asked} How do I get into my chart?"), Turn(speaker="staff", text=answer))
    source = "calls.jsonl"
    return Record.model_validate(
        {
            "id": record_id(source, place, turns), "kind": kind, "source": source, "place": place, "turns": turns,
            "patient": f"p{place}", "topic": "portal", "language": "en", "resolved": answer == GOOD, **fields,
        }
    )  # fmt: skip


def corpus(count: int = 260, *, private: float = 0.9, others: float = 0.5, seed: int = 3) -> list[Record]:
    """Calls of three insurances; a share of each is answered well."""
    rng = random.Random(seed)
    records = []
    for place in range(1, count + 1):
        insurance = rng.choices(["private", "public", "none"], [6, 2, 2])[0]
        good = rng.random() < (private if insurance == "private" else others)
        groups = {
            "insurance": insurance,
            "sex": rng.choice(["female", "male"]),
            "age_band": rng.choice(["18-39", "65+"]),
        }
        answer = GOOD if good else POOR
        records.append(
            record(place, answer, wife=place % 4 == 0, groups=groups, topic=rng.choice(["portal", "billing"]))
        )
    return records


@pytest.fixture(scope="module")
def articles(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("articles")
    (folder / "portal.md").write_text(ARTICLE, encoding="utf-8")
    return folder


@pytest.fixture
def run(tmp_path: Path, articles: Path) -> Run:
    def balanced(
        records: Sequence[Record], options: Options = LIGHT, workers: int = 1, name: str = "out"
    ) -> tuple[StageReport, list[Record]]:
        source, out = tmp_path / "source", tmp_path / name
        source.mkdir(exist_ok=True)
        out.mkdir()
        (source / RECORDS).write_text("".join(map(record_line, records)), encoding="utf-8")
        context = Context(load_site(Path("demo")), articles, options=options, workers=workers)
        report = Balance().run(source, out, context)
        return report, list(read_records(out / RECORDS))

    return balanced


def row(report: StageReport, table: str, **wanted: object) -> dict[str, object]:
    return next(item for item in report.tables[table] if all(item[key] == value for key, value in wanted.items()))


def test_a_planted_bias_is_found_and_at_least_halved_without_loss(run: Run) -> None:
    report, records = run(corpus())
    found = row(report, "bias_before", group="private", measure="resolved")
    after = row(report, "bias_after", group="private", measure="resolved")
    assert found["alarm"]
    assert float(found["gap"]) > 0.3
    assert abs(float(after["gap"])) <= 0.5 * float(found["gap"])
    mended = row(report, "mitigation", group="private", measure="resolved")
    assert mended["halved"]
    assert mended["halved_on_other_patients"]
    assert report.counts["gaps_found"] >= report.counts["gaps_to_mend"] == report.counts["gaps_halved"] > 0
    assert report.counts["overall_measures_fallen"] == 0
    assert all(
        item["after"] >= item["before"] - 0.005 for item in report.tables["overall"] if item["measure"] != "words"
    )
    assert 0 < report.counts["effective_records"] < 260
    assert all(1 / 8 <= item.weight <= 4 for item in records)


def test_the_gap_after_is_that_of_the_records_written(run: Run) -> None:
    _, records = run(corpus())

    def resolved(private: bool) -> float:
        own = [item for item in records if (item.groups["insurance"] == "private") == private]
        return sum(item.weight * bool(item.resolved) for item in own) / sum(item.weight for item in own)

    assert abs(resolved(True) - resolved(False)) < 0.15


def test_without_bias_nothing_is_weighted(run: Run) -> None:
    report, records = run(corpus(private=0.7, others=0.7), LIGHT.model_copy(update={"copies": 0.0}))
    assert report.counts["gaps_tested"] > 10
    assert report.counts["gaps_found"] == 0
    assert {item.weight for item in records} == {1.0}
    assert report.records_in == report.records_out == len(records) == 260


def test_a_copy_follows_its_source_and_they_share_its_weight(run: Run) -> None:
    report, records = run(corpus(private=0.7, others=0.7))
    copies = [item for item in records if item.origin]
    assert 0 < len(copies) <= 0.15 * 260
    assert report.records_out == report.records_in + len(copies) == len(records)
    assert report.counts["copies_sex"] == len(copies)
    for before, copy in itertools.pairwise(records):
        if copy.origin:
            assert copy.origin == before.id
            assert {before.groups["sex"], copy.groups["sex"]} == {"female", "male"}
            assert before.weight == copy.weight == 0.5
            assert "husband" in copy.text
            assert copy.turns[1] == before.turns[1]
    assert all("wife" in example["before"] and "husband" in example["after"] for example in report.examples)
    reasons = {item["reason"]: item["records"] for item in report.tables["copies_refused"] if item["axis"] == "sex"}
    assert reasons["no word to swap"] == 195


def test_an_example_shows_the_place_that_differs(run: Run) -> None:
    long = "I have waited for a long time in a long line. " * 12
    turns = (Turn(speaker="patient", text=f"{long}Now my wife is tired. {long}"), Turn(speaker="staff", text=GOOD))
    records = [item.model_copy(update={"turns": turns}) if item.place == 4 else item for item in corpus(40)]
    report, _ = run(records, LIGHT.model_copy(update={"copies": 1.0}))
    assert any("my wife is tired" in example["before"] for example in report.examples)
    assert all(example["before"] != example["after"] for example in report.examples)


def test_a_given_population_is_reached_by_weights(run: Run) -> None:
    wanted = {"insurance": {"private": 0.4, "public": 0.3, "none": 0.3}}
    options = LIGHT.model_copy(update={"reference": wanted})
    report, records = run(corpus(private=0.7, others=0.7), options)
    whole = sum(item.weight for item in records)
    private = sum(item.weight for item in records if item.groups["insurance"] == "private") / whole
    assert private == pytest.approx(0.4, abs=0.03)
    shown = row(report, "representation", dimension="insurance", group="private")
    assert shown["given"]
    assert shown["verdict"] == "over"
    assert shown["weighted"] == pytest.approx(private, abs=0.001)
    assert row(report, "representation", dimension="sex", group="male")["given"] is False


def test_given_shares_of_topics_are_reached_by_weights(run: Run) -> None:
    options = LIGHT.model_copy(update={"reference": {"topic": {"portal": 0.7, "billing": 0.3}}})
    report, records = run(corpus(private=0.7, others=0.7), options)
    portal = sum(item.weight for item in records if item.topic == "portal") / sum(item.weight for item in records)
    assert portal == pytest.approx(0.7, abs=0.03)
    shown = row(report, "representation", dimension="topic", group="portal")
    assert shown["weighted"] == pytest.approx(portal, abs=0.001)


@pytest.mark.parametrize(
    ("reference", "told"),
    [
        ({"age-band": {"65+": 1}}, "age-band is no dimension .* there are topic, age_band, insurance, "),
        ({"sex": {"f": 0.5, "m": 0.5}}, "sex: no record is of f, m; there are female, male"),
        ({"topic": {"Billing": 1}}, "topic: no record is of Billing; there are billing, portal"),
    ],
)
def test_a_reference_that_the_records_lack_is_named(
    run: Run, reference: dict[str, dict[str, float]], told: str
) -> None:
    options = LIGHT.model_copy(update={"reference": reference})
    with pytest.raises(ConfigurationError, match=told):
        run(corpus(60), options)
    assert run([], options, name="empty")[0].records_out == 0


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"reference": {"sex": {"female": 0}}}, "greater than 0"),
        ({"reference": {"sex": {"female": 1.5, "male": -0.5}}}, "greater than 0"),
        ({"reference": {"sex": {"female": float("inf")}}}, "finite"),
        ({"reference": {"sex": {}}}, "at least 1 item"),
        ({"mended": ["qualty"]}, "nothing measures qualty; there are quality, resolved, "),
    ],
)
def test_options_that_could_do_nothing_or_harm_are_refused(fields: dict[str, object], told: str) -> None:
    with pytest.raises(ValidationError, match=told):
        Options.model_validate(fields)


def test_other_kinds_pass_untouched(run: Run) -> None:
    notes = [record(place, POOR, kind="note", groups={"insurance": "none"}) for place in range(300, 340)]
    report, records = run([*notes[:20], *corpus(), *notes[20:]])
    assert [item for item in records if item.kind == "note"] == notes
    assert report.counts["not_compared"] == 40
    assert sum(item["records"] for item in report.tables["lengths"] if item["kind"] == "note") == 40


def test_the_result_is_the_same_however_many_processes_work(run: Run) -> None:
    records = corpus()
    one, two = run(records, name="one"), run(records, workers=2, name="two")
    assert one[0] == two[0]
    assert list(map(record_line, one[1])) == list(map(record_line, two[1]))


def test_records_without_groups_or_none_at_all(run: Run) -> None:
    bare, records = run([record(1, GOOD, patient=None), record(2, POOR, patient=None, resolved=None)], name="bare")
    assert bare.counts["gaps_tested"] == 0
    assert [item.weight for item in records] == [1.0, 1.0]
    empty, records = run([], name="empty")
    assert (empty.records_in, empty.records_out, records) == (0, 0, [])


def test_free_text_is_no_group_of_people(run: Run) -> None:
    records = [
        item.model_copy(update={"groups": {**item.groups, "remark": f"remark {item.place}"}}) for item in corpus()
    ]
    report, _ = run(records)
    assert {item["dimension"] for item in report.tables["bias_before"]} >= {"insurance", "sex"}
    assert all(
        item["dimension"] != "remark" for name in report.tables for item in report.tables[name] if "dimension" in item
    )


def test_representation_by_hand() -> None:
    counts = {"sex": {"female": 60, "male": 30, "unknown": 10}}
    rows = representation(
        counts, {"sex": {"female": 50.0, "male": 50.0}}, {"sex": {"female": 1, "male": 1, "other": 2}}
    )
    assert [(item.group, item.records, item.share, item.reference, item.weighted, item.verdict) for item in rows] == [
        ("female", 60, 0.6667, 0.25, 0.5, "over"),
        ("male", 30, 0.3333, 0.25, 0.5, "over"),
        ("other", 0, 0.0, 0.5, 0.0, "under"),
        ("unknown", 10, None, None, None, ""),
    ]
    uniform = representation({"sex": {"female": 55, "male": 45}}, {}, {})
    assert [(item.reference, item.given, item.weighted, item.verdict) for item in uniform] == [
        (0.5, False, None, "as expected"),
        (0.5, False, None, "as expected"),
    ]
