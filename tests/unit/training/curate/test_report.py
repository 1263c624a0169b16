"""The report of a run: what it says, that nothing in it can run, and that it can be read by all."""

from __future__ import annotations

import base64
import hashlib
import json
from pathlib import Path
from typing import Any, Literal

import pytest
from playwright.sync_api import Browser

from tests.browser import axe_violations
from tests.html_page import HOSTILE, Page
from training.curate.findings import Finding, findings, summary
from training.curate.plots import bar, interval
from training.curate.report import HTML_NAME, JSON_NAME, figure, write_report
from training.curate.stages import ReviewItem, StageReport, review_key


def gap(measure: str = "resolved", size: float = 0.35, alarm: bool = True, group: str = "private") -> dict[str, Any]:
    row = {"dimension": "insurance", "group": group, "measure": measure, "records": 330, "group_mean": 0.99}
    row |= {"rest_mean": 0.64, "gap": size, "low": size - 0.08, "high": size + 0.08, "effect": 1.1}
    return row | {"p": 0.0002, "p_holm": 0.013, "alarm": alarm}


def balance(after: float = 0.1, fell: bool = False) -> StageReport:
    later = {name: value for name, value in gap(size=after).items() if name not in ("p", "p_holm", "alarm")}
    overall = {
        "measure": "resolved",
        "before": 0.8,
        "after": 0.7 if fell else 0.9,
        "on_other_patients": 0.9,
        "fell": fell,
    }
    shares = {"dimension": "insurance", "records": 330, "share": 0.6, "reference": 0.25, "given": False, "ratio": 2.4}
    return StageReport(
        stage="balance",
        records_in=80,
        records_out=90,
        counts={"gaps_to_mend": 4, "gaps_halved": 4 if after < 0.17 else 1},
        tables={
            "bias_before": [gap(), gap("words", 0.1, alarm=False), gap("words", 20.0, group="none")],
            "bias_after": [later],
            "representation": [{**shares, "group": "private", "weighted": 0.5, "verdict": "over"}],
            "overall": [overall],
            "lengths": [{"kind": "transcript", "words": "0-24", "records": 7}],
        },
        examples=[{"kind": "copy", "before": "My wife called.", "after": "My husband called."}],
    )


def run() -> list[StageReport]:
    return [
        StageReport(
            stage="ingest",
            records_in=120,
            records_out=100,
            counts={"quarantined": 5, "without_consent": 15, "without_licence": 0},
            tables={"quarantine": [{"reason": "empty file", "count": 4}, {"reason": "not UTF-8", "count": 1}]},
        ),
        StageReport(
            stage="deidentify",
            records_in=100,
            records_out=100,
            counts={"messages": 1200, "messages_changed": 300, "audited_messages": 1200},
            tables={"identifiers": [{"type": "PERSON", "count": 400}, {"type": "PHONE", "count": 90}], "suspects": []},
        ),
        StageReport(stage="deduplicate", records_in=100, records_out=80, counts={"near_copies_dropped": 20}),
        balance(),
    ]


def written(folder: Path, stages: list[StageReport], **more: Any) -> tuple[Page, dict[str, Any]]:
    write_report(folder, stages, more.pop("manifest", {}), **more)
    page = Page((folder / HTML_NAME).read_text(encoding="utf-8"))
    return page, json.loads((folder / JSON_NAME).read_text(encoding="utf-8"))


def test_the_report_says_what_was_done(tmp_path: Path) -> None:
    page, content = written(tmp_path, run(), manifest={"version": "abc123", "licences": {"internal": 80}, "files": {}})
    for said in (
        "490 identifiers of 2 kinds were replaced, in 300 of 1,200 messages.",
        "No record was lost between stages: 120 read, 40 left out, 10 made from others, 90 kept.",
        "5 pieces of the sources could not be read and were set aside, each with its reason.",
        "Answers differ by insurance: for “private”, the share of questions resolved is 35 points above the others'",
        "(95 % interval +27 to +43 points); with the records' weights, +10 points.",
        "4 of 4 gaps in the quality of answers are at least halved",
        "abc123",
        "internal 80",
        "empty file",
    ):
        assert said in page.text
    assert content["stages"] == [stage.model_dump(mode="json") for stage in run()]
    assert content["summary"] in page.text


def test_what_differs_in_an_example_is_marked(tmp_path: Path) -> None:
    write_report(tmp_path, run(), {})
    source = (tmp_path / HTML_NAME).read_text(encoding="utf-8")
    assert "My <del>wife</del> called." in source
    assert "My <ins>husband</ins> called." in source


def test_hostile_text_stays_text(tmp_path: Path) -> None:
    stage = StageReport(
        stage=HOSTILE,
        records_in=1,
        records_out=1,
        counts={HOSTILE: 1},
        tables={HOSTILE: [{HOSTILE: HOSTILE, "nested": [HOSTILE]}, {HOSTILE: None, "count": 3}]},
        examples=[{"kind": HOSTILE, "before": HOSTILE, "after": "x" + HOSTILE}, {"text": HOSTILE}],
    )
    bias = balance()
    bias.tables["bias_before"][0] |= {"group": HOSTILE, "dimension": HOSTILE, "measure": HOSTILE}
    bias.tables["representation"][0] |= {"group": HOSTILE, "dimension": HOSTILE}
    bias.tables["lengths"][0] |= {"kind": HOSTILE, "words": HOSTILE}
    question = ReviewItem(
        key=review_key("check", HOSTILE), stage=HOSTILE, kind=HOSTILE, record="1", excerpt="e", reason="r"
    )
    page, _ = written(tmp_path, [stage, bias], manifest={HOSTILE: HOSTILE, "more": {HOSTILE: 1}}, queue=[question])
    assert not {"script", "img", "iframe", "object", "link", "form"} & set(page.tags)
    assert not [name for name, _ in page.attributes if name.startswith("on") or name in ("src", "style", "srcset")]
    assert all(value.startswith("#") for name, value in page.attributes if name == "href")
    assert HOSTILE in page.text or " ".join(HOSTILE.split()) in page.text
    assert "49" not in page.text


def test_the_policy_allows_nothing_but_the_page_own_style(tmp_path: Path) -> None:
    write_report(tmp_path, run(), {})
    source = (tmp_path / HTML_NAME).read_text(encoding="utf-8")
    style = source.split("<style>")[1].split("</style>")[0]
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    assert f"default-src 'none'; style-src 'sha256-{digest}'" in source
    assert "http" not in source.replace("http-equiv", "")


def test_the_same_run_gives_the_same_bytes(tmp_path: Path) -> None:
    for name in ("one", "two"):
        write_report(tmp_path / name, run(), {"version": "v"})
    for file in (HTML_NAME, JSON_NAME):
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "two" / file).read_bytes()


def test_questions_are_counted_and_never_shown(tmp_path: Path) -> None:
    items = [
        ReviewItem(
            key=review_key("deidentify", "name", str(number)), stage="deidentify", kind="possible_name", record="1",
            excerpt="my name is Ludmila", proposal="Ludmila", reason="looks like a name",
        )
        for number in range(3)
    ]  # fmt: skip
    page, content = written(tmp_path, run(), queue=items)
    assert content["queue"] == [{"stage": "deidentify", "kind": "possible_name", "open": 3}]
    assert "3 questions wait for a person's decision." in page.text
    assert "Ludmila" not in (tmp_path / HTML_NAME).read_text() + (tmp_path / JSON_NAME).read_text()


def test_tables_of_stages_to_come_are_shown_as_they_are(tmp_path: Path) -> None:
    rows: list[dict[str, Any]] = [{"name": "alpha", "found": True, "share": 0.25}, {"name": "beta", "extra": [1, 2]}]
    many = [{"word": f"w{number}", "times": number} for number in range(60)]
    page, _ = written(
        tmp_path, [StageReport(stage="new_stage", records_in=2, records_out=2, tables={"odd_rows": rows, "many": many})]
    )
    for said in ("New stage", "Odd rows", "alpha", "yes", "0.25", "[1, 2]", "20 more rows in report.json", "w59"):
        assert said in page.text
    assert "w19" not in page.text


def tones(stages: list[StageReport]) -> dict[str, str]:
    return {finding.text: finding.tone for finding in findings(stages, {})}


def test_without_deidentification_the_data_are_not_to_be_used() -> None:
    found = findings([balance()], {})
    assert found[0] == Finding(
        "privacy", "bad", "De-identification was not run: these data may hold identifiers of patients."
    )
    assert summary(found).tone == "bad"


def test_records_that_went_missing_are_told() -> None:
    stages = run()
    stages[2].records_in = 99
    assert tones(stages)["Records went missing between stages: deidentify gave 100, deduplicate read 99."] == "bad"


def test_what_a_run_could_not_use_is_told() -> None:
    stages = run()
    stages[0].counts |= {"without_consent": 1, "without_patient": 3}
    stages[0].tables["fields_never_seen"] = [{"rule": "*", "field": "consent", "key": "agred"}]
    stages[1].counts["fields_cleared"] = 43
    sides = [{"side": "train", "records": 60}, {"side": "held_out", "records": 0}]
    stages.append(StageReport(stage="split", records_in=60, records_out=60, tables={"sides": sides}))
    told = "\n".join(f"{tone}: {text}" for text, tone in tones(stages).items())
    for said in (
        "good: 1 record without consent was left out.",
        "look: 3 records name no patient: nobody can be forgotten by them",
        "look: The config names fields that no record has; are they misspelled? consent: agred.",
        "look: 43 values beside the text (groups, topics, terms) were cleared",
        "look: The side held out is empty",
    ):
        assert said in told
    assert "side train" not in told


@pytest.mark.parametrize(
    ("suspects", "said", "tone"),
    [
        ([], "found nothing that could still be an identifier", "good"),
        ([("taken_out", 4)], "suspected 4 more places; none was left in", "good"),
        ([("taken_out", 4), ("asked", 2)], "suspected 6 more places; 2 wait for a person's decision", "look"),
    ],
)
def test_the_second_look(suspects: list[tuple[str, int]], said: str, tone: str) -> None:
    stages = run()
    stages[1].tables["suspects"] = [{"kind": "name", "what": what, "count": count} for what, count in suspects]
    [text] = [text for text in tones(stages) if text.startswith("A second, stricter look")]
    assert said in text
    assert tones(stages)[text] == tone


def test_a_bias_that_stays_and_a_measure_that_falls_are_told() -> None:
    found = tones([*run()[:3], balance(after=0.3, fell=True)])
    assert found["1 of 4 gaps in the quality of answers are at least halved by the records' weights."] == "look"
    assert found["Over all patients, question resolved fell for it."] == "look"


def test_no_bias_is_told_apart_from_nothing_to_compare() -> None:
    stage = balance()
    stage.tables["bias_before"] = [gap(alarm=False)]
    assert tones([stage])["No group of patients was found to be answered differently, in 1 comparisons."] == "good"
    stage.tables["bias_before"] = []
    text = "Whether groups of patients are answered differently could not be tested: no group is large enough."
    assert tones([stage])[text] == "look"


def test_a_run_of_nothing_has_a_report(tmp_path: Path) -> None:
    page, content = written(tmp_path, [])
    assert content["stages"] == []
    assert "Curation report" in page.text


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, "–"), (True, "yes"), (1234567, "1,234,567"), (0.123456, "0.1235"), ("a", "a"), ({"b": 1}, '{"b": 1}')],
)
def test_a_cell_as_text(value: Any, text: str) -> None:
    assert figure(value) == text


def test_pictures_stay_on_their_scale() -> None:
    assert bar(3, 4, mark=1, rest=1) == bar(3, 4, mark=1, rest=9)
    assert (bar(3, 4).end, bar(5, 4).end, bar(1, 0).end) == (75, 100, 0)
    assert (bar(1, 4, mark=2).mark, bar(1, 4).rest) == (50, None)
    found = interval(-9, 0, 1, 2)
    assert (found.low, found.at, found.high) == (0, 50, 75)


@pytest.mark.browser
def test_the_page_is_accessible_and_fits_a_telephone(tmp_path: Path, browser: Browser) -> None:
    write_report(tmp_path, run(), {"version": "v"})
    page = browser.new_page()
    faults: list[str] = []
    page.on("console", lambda message: faults.append(message.text))
    page.goto((tmp_path / HTML_NAME).as_uri())
    page.evaluate("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
    looks: list[tuple[int, Literal["light", "dark"]]] = [(1280, "light"), (390, "dark")]
    for width, colours in looks:
        page.set_viewport_size({"width": width, "height": 900})
        page.emulate_media(color_scheme=colours)
        assert axe_violations(page) == []
        assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert faults == []
    page.close()
