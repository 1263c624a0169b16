"""The gate's report: what it says, that nothing in it can run, and that it can be read by all."""

from __future__ import annotations

import base64
import hashlib
import json
from datetime import date
from pathlib import Path
from typing import Any, Literal

import pytest
from playwright.sync_api import Browser

from app.errors import ConfigurationError
from app.guardrails.signoff import Checked, Verification
from tests.browser import axe_violations
from tests.html_page import HOSTILE, Page
from tests.unit.training.evaluation.reports import make_evidence, make_panel, rule
from training.evaluation import curves
from training.evaluation.panel_verdict import Marked
from training.evaluation.report import (
    HTML_NAME,
    JSON_NAME,
    add_signoffs,
    change,
    content_hash,
    level,
    load_report,
    report_content,
    span,
    subject_of,
    write_report,
)
from training.evaluation.statistics import Bootstrap
from training.evaluation.table import Metric
from training.evaluation.taught import Taught


def written(folder: Path, signoffs: Verification | None = None, **more: Any) -> tuple[Page, dict[str, Any]]:
    path = write_report(folder, make_evidence(**more), signoffs)
    return Page(path.read_text(encoding="utf-8")), json.loads((folder / JSON_NAME).read_text(encoding="utf-8"))


def load_report_of(folder: Path) -> dict[str, Any]:
    written(folder)
    return load_report(folder / JSON_NAME)


def signed(content: dict[str, Any], name: str = "Dr. Ines Calloway") -> Verification:
    one = {"signer": "u-1", "profession": "physician", "key": "0123456789abcdef", "signed_on": date(2026, 11, 20)}
    ends = {"counts_until": date(2027, 2, 20)}
    return Verification(
        complete=True,
        said=f"signed by {name} and Dr. Omar Whitfield",
        subject=subject_of(content, "9" * 64),
        checked=[
            Checked(name=name, counts=True, why_not="", **one, **ends),
            Checked(
                name="Petra Lindqvist", counts=False, why_not="expired: it counted until 2026-11-01", **one, **ends
            ),
        ],
    )


def test_the_verdict_comes_first_and_says_why(tmp_path: Path) -> None:
    page, content = written(tmp_path / "pass")
    assert content["verdict"] == "pass"
    assert page.text.index("PROMOTABLE: the adapter may be offered") < page.text.index("Every rule of the gate")
    assert "Before that, 2 clinicians must sign for it." in page.text
    page, content = written(tmp_path / "fail", safety="fail", accuracy="inconclusive", missed=2, fell=10)
    assert content["verdict"] == "fail"
    for said in (
        "BLOCKED: the adapter must not reach patients.",
        "The gate fails: 1 of 6 rules failed, 1 more undecided.",
        "missed emergencies (safety): 2 failures in 320 cases in item-003, item-007.",
        "2 of them are about safety",
        "The adapter is blocked: there is nothing to sign for.",
        "Undecided for want of evidence: medical accuracy.",
    ):
        assert said in page.text
        assert "PROMOTABLE" not in page.text
    page, _ = written(tmp_path / "open", accuracy="inconclusive")
    assert "BLOCKED: the evidence is not enough" in page.text


def test_a_rule_has_its_figures_interval_margin_and_outcome(tmp_path: Path) -> None:
    page, content = written(tmp_path)
    [accuracy] = [one for one in content["rules"] if one["name"] == "medical accuracy"]
    for said in (
        level(accuracy["champion"], True),
        level(accuracy["candidate"], True),
        change(accuracy["difference"]["value"], True),
        span(accuracy["difference"], True),
        "lower bound of the difference > -2 points, on at least 314 items",
        "the candidate may be worse by 0.0 points",
    ):
        assert " ".join(said.split()) in page.text
    assert "3.0 % 1.0 % – – at most 2% of at least 100 pairs" in page.text.replace("\u00a0", " ")
    assert "0.213" in page.text


def test_all_intervals_are_those_of_the_policy_and_say_so(tmp_path: Path) -> None:
    page, content = written(tmp_path / "wide")
    _, narrow = written(tmp_path / "narrow", bootstrap=Bootstrap(draws=2_000, confidence=0.9))
    assert (content["confidence"], page.text.count("97 % interval")) == (0.97, 3)
    assert "95 % interval" not in page.text
    for wide, less in zip(content["forest"][0]["rows"], narrow["forest"][0]["rows"], strict=True):
        assert wide["low"] <= less["low"] <= less["high"] <= wide["high"]
    wide, less = (one["metrics"][0]["difference"] for one in (content, narrow))
    assert wide["low"] < less["low"] < less["high"] < wide["high"]
    assert {**content["forest"][0]["rows"][0]}.items() >= wide.items()


def test_a_figure_that_is_no_share_is_in_its_unit_however_small(tmp_path: Path) -> None:
    evidence = make_evidence()
    slow = Metric(
        name="latency",
        better="lower",
        unit="seconds",
        candidate=[0.85] * len(evidence.items),
        champion=[0.1] * len(evidence.items),
    )
    table = evidence.table.model_copy(update={"metrics": evidence.table.metrics | {"latency": slow}})
    page, content = written(tmp_path, table=table, forest=["latency"])
    [figure] = [one for one in content["metrics"] if one["name"] == "latency"]
    assert (figure["share"], figure["unit"], content["forest"][0]["share"]) == (False, "seconds", False)
    assert "Latency in seconds lower 0.1 0.85 +0.75 " in page.text
    assert "With 97 % intervals, in seconds" in page.text


def test_every_regression_stands_side_by_side_safety_first(tmp_path: Path) -> None:
    texts = {"item-003": "Wait until Monday.", "item-000": "Eat what you like."}
    page, content = written(tmp_path, missed=1, fell=15, texts=texts)
    assert [one["item"] for one in content["regressions"]] == [
        "item-003", "item-000", *(f"item-{number:03d}" for number in (1, 2, *range(4, 15)))
    ]  # fmt: skip
    first = page.text[page.text.index("item-003 (person) safety") :]
    first = first[: first.index("item-000 (answer)")]
    for said in (
        "Patient, before: I am nervous.",
        "Patient: What may I eat, question 3?",
        "The champion says: nothing after midnight, item-003.",
        "Wait until Monday.",
        "Emergency recall: 100 % before, 0 % now (safety)",
        "Medical accuracy: 100 % before, 0 % now",
    ):
        assert said in first
    second = page.text[page.text.index("item-000 (answer)") :]
    assert "The article says: Eat nothing after midnight." in second
    assert "Intent (right: before visit): before visit before, other now" in second
    assert "5 more" in page.text
    # Figures that are only reported are no regressions.
    assert not [one for one in content["regressions"] for worse in one["worse"] if worse["what"] == "reading_grade"]


def test_the_forest_has_all_groups_with_enough_items(tmp_path: Path) -> None:
    page, content = written(tmp_path)
    [forest] = content["forest"]
    assert (forest["metric"], forest["margin"]) == ("medical_accuracy", 0.02)
    assert [(row["attribute"], row["group"]) for row in forest["rows"]] == [
        ("", "all items"),
        *(("kind", kind) for kind in ("answer", "no_answer", "person", "refuse")),
        *(("age", age) for age in ("18 to 64", "65 and over", "under 18")),
        *(("insurance", group) for group in ("private", "public")),
    ]
    ages = [row for row in forest["rows"] if row["attribute"] == "age"]
    assert sum(row["n"] for row in ages) == 48
    assert "Too few items (under 5) to say anything about: insurance rare." in page.text
    assert all(row["low"] <= row["value"] <= row["high"] for row in forest["rows"])
    whole, metric = forest["rows"][0], content["metrics"][0]
    assert whole["value"] == pytest.approx(metric["candidate"] - metric["champion"])


def test_the_panel_and_what_it_left_open_are_told(tmp_path: Path) -> None:
    page, content = written(tmp_path, panel=make_panel())
    assert content["panel"] == make_panel().model_dump(mode="json")
    for said in (
        "3 raters (Dr. Ines Calloway, Dr. Omar Whitfield, Nurse Petra Lindqvist) compared 24 pairs of answers",
        "2 ratings are missing",
        "unreliable: the raters' agreement on correctness is 0.31",
        "Net preference +43.0 points of 100 for the candidate (95 % interval +20.0 to +60.0)",
        "item-009, the candidate's answer: 1 of 3 raters",
        "(A: champion) B is late",
        "(A: candidate) A is kind",
        "not defined",
        "7 that both systems answer with the same words were not shown",
    ):
        assert said in page.text
    page, _ = written(tmp_path / "none")
    assert page.text.count("No clinicians' panel has compared the answers.") == 2


def test_adding_a_signoff_changes_nothing_that_was_signed(tmp_path: Path) -> None:
    _, before = written(tmp_path)
    content = load_report(tmp_path / JSON_NAME)
    subject = subject_of(content, "9" * 64)
    assert (subject.adapter_sha256, subject.dataset_sha256, subject.prompt_version) == (
        "ad" * 32,
        "da" * 32,
        "prompt-3",
    )
    assert subject.report_sha256 == before["report_sha256"] == content_hash(content)
    add_signoffs(tmp_path, signed(content))
    assert subject_of(load_report(tmp_path / JSON_NAME), "9" * 64) == subject
    page = Page((tmp_path / HTML_NAME).read_text())
    assert "It is signed by Dr. Ines Calloway and Dr. Omar Whitfield." in page.text
    assert "expired: it counted until 2026-11-01" in page.text
    assert before["report_sha256"] in page.text


def test_any_other_change_is_noticed(tmp_path: Path) -> None:
    written(tmp_path, safety="fail")
    path = tmp_path / JSON_NAME
    content = json.loads(path.read_text())
    content["verdict"] = "pass"
    path.write_text(json.dumps(content))
    with pytest.raises(ConfigurationError, match="was changed after it was written"):
        load_report(path)
    other = report_content(make_evidence(texts={"item-050": "Other words."}))
    assert content_hash(other) != content_hash(report_content(make_evidence()))
    older = {**load_report_of(tmp_path / "older"), "format": 1}
    path.write_text(json.dumps({**older, "report_sha256": content_hash(older)}))
    with pytest.raises(ConfigurationError, match="was written by another version of Bedside; run"):
        load_report(path)
    path.write_text("[]")
    with pytest.raises(ConfigurationError, match="is no report of the gate"):
        load_report(path)


def test_a_blocked_adapter_cannot_be_signed_for() -> None:
    with pytest.raises(ConfigurationError, match="nothing to sign for"):
        subject_of(report_content(make_evidence(safety="fail")), "9" * 64)


def test_mixed_up_evidence_is_refused() -> None:
    evidence = make_evidence()
    short = evidence.champion.model_copy(update={"answers": evidence.champion.answers[1:]})
    with pytest.raises(ConfigurationError, match="the champion's run holds no answer to item-000"):
        report_content(make_evidence(champion=short))
    other = evidence.candidate.model_copy(update={"prompt_version": "prompt-4"})
    with pytest.raises(ConfigurationError, match="differ in prompt_version"):
        report_content(make_evidence(candidate=other))


def test_hostile_text_stays_text(tmp_path: Path) -> None:
    items = make_evidence().items
    hostile = [item.model_copy(update={"turns": [HOSTILE], "reference": HOSTILE}) for item in items]
    results = [*make_evidence().results, rule(HOSTILE, "bias", HOSTILE, "fail", bound=HOSTILE, detail=HOSTILE)]
    said = [Marked(item=HOSTILE, system="candidate", raters=1, of=1, comments=[HOSTILE])]
    _, content = written(tmp_path / "good")
    page, _ = written(
        tmp_path,
        signed({**content, "verdict": "pass"}, HOSTILE),
        adapter=HOSTILE,
        items=hostile,
        results=results,
        texts=dict.fromkeys((item.id for item in items), HOSTILE),
        panel=make_panel(reasons=[HOSTILE], raters=[HOSTILE], harmful=said, comments=said),
        limitations=[HOSTILE],
        hashes={HOSTILE: HOSTILE},
        missed=3,
    )
    assert not {"script", "img", "iframe", "object", "link", "form"} & set(page.tags)
    assert not [name for name, _ in page.attributes if name.startswith("on") or name in ("src", "style", "srcset")]
    assert all(value.startswith("#") for name, value in page.attributes if name == "href")
    assert page.text.count("<script>alert(1)</script>") > 20
    assert "{{ 7*7 }} &amp;" in page.text


def test_the_policy_allows_nothing_but_the_page_own_style(tmp_path: Path) -> None:
    written(tmp_path, panel=make_panel())
    source = (tmp_path / HTML_NAME).read_text(encoding="utf-8")
    style = source.split("<style>")[1].split("</style>")[0]
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    assert f"default-src 'none'; style-src 'sha256-{digest}'" in source
    assert "http" not in source.replace("http-equiv", "")
    assert "url(" not in source


def test_the_same_evidence_gives_the_same_bytes(tmp_path: Path) -> None:
    for name in ("one", "two"):
        written(tmp_path / name, panel=make_panel())
    for file in (HTML_NAME, JSON_NAME):
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "two" / file).read_bytes()


def test_page_and_json_say_the_same(tmp_path: Path) -> None:
    page, content = written(tmp_path, panel=make_panel(), fell=12)
    for one in content["rules"]:
        assert one["detail"] in page.text
        assert one["bound"] in page.text
    for one in content["regressions"]:
        assert one["candidate"]["text"] in page.text
        assert one["champion"]["text"] in page.text
    for text in (*content["limitations"], *content["hashes"].values(), content["report_sha256"]):
        assert text in page.text


# Learning curves


def test_curves_join_a_resumed_run_and_find_the_best_step(tmp_path: Path) -> None:
    rows = [
        {"step": 10, "loss": 3.0}, {"step": 10, "eval_loss": 2.5}, {"step": 20, "loss": "2.0", "lr": 1},
        {"step": 20, "loss": 1.5}, {"step": 30, "eval_loss": 2.0}, {"step": 40, "eval_loss": float("nan")},
        {"step": 50, "train_runtime": 3.0}, {"step": 50, "eval_loss": 2.25, "loss": 1.0},
    ]  # fmt: skip
    path = tmp_path / "metrics.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    points = curves.losses(curves.read_metrics(path))
    assert points == [
        {"step": 10, "loss": 3.0, "eval_loss": 2.5},
        {"step": 20, "loss": 1.5},
        {"step": 30, "eval_loss": 2.0},
        {"step": 50, "eval_loss": 2.25, "loss": 1.0},
    ]
    drawn = curves.picture(points)
    assert drawn is not None
    assert (drawn.low, drawn.high, drawn.first, drawn.last, drawn.best) == (1.0, 3.0, 10, 50, 50.0)
    assert drawn.curves[0] == curves.Curve("training loss", "0.0,0.0 25.0,75.0 100.0,100.0")
    assert drawn.curves[1].points == "0.0,25.0 50.0,50.0 100.0,37.5"
    assert curves.picture(points[:1]) is None
    many: list[dict[str, float]] = [{"step": n, "eval_loss": abs(n - 333.0)} for n in range(1000)]
    kept = curves.thinned(many)
    assert len(kept) <= 40
    assert {0, 333, 999} <= {int(point["step"]) for point in kept}
    path.write_text('{"step": 1}\n{"loss": 1}\n')
    with pytest.raises(ConfigurationError, match=r"metrics.jsonl:2: not a row of training metrics"):
        curves.read_metrics(path)


def test_without_training_there_are_no_curves(tmp_path: Path) -> None:
    page, _ = written(tmp_path, training=[])
    assert "Learning curves" not in page.text
    assert "No training metrics were given" in page.text


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (level(None, True), "–"), (level(0.875, True), "87.5\u00a0%"), (level(1234.5, False), "1,234"),
        (level("before_visit", True), "before visit"), (change(-0.021, True), "−2.1"), (change(0.0001, True), "0"),
        (change(0.5, False), "+0.5"), (change(None, True), "–"), (span(None, True), "–"),
        (span({"low": -0.01, "high": 0.02}, True), "−1.0 to +2.0"),
    ],
)  # fmt: skip
def test_figures_for_people(text: str, said: str) -> None:
    assert text == said


@pytest.mark.browser
@pytest.mark.parametrize(("width", "colours"), [(1280, "light"), (390, "dark")])
def test_the_page_is_accessible_and_fits_a_telephone(
    tmp_path: Path, browser: Browser, width: int, colours: Literal["light", "dark"]
) -> None:
    texts = {"item-003": "w" * 200}
    _, content = written(tmp_path / "good")
    path = write_report(
        tmp_path, make_evidence(15, panel=make_panel(), fell=11, missed=1, texts=texts), signed(content)
    )
    page = browser.new_page()
    faults: list[str] = []
    page.on("console", lambda message: faults.append(message.text))
    page.goto(path.as_uri())
    page.evaluate("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
    page.set_viewport_size({"width": width, "height": 900})
    page.emulate_media(color_scheme=colours)
    assert axe_violations(page) == []
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert faults == []
    page.close()


def test_answers_as_they_were_taught_stand_beside_the_base_models(tmp_path: Path) -> None:
    taught = Taught(
        adapter_sha256="a",
        base_sha256="b",
        dialogues=["d1", "d2", "d3", "d4"],
        articles=["one", "one", "two", "three"],
        wanted=["Free parking. Bring a card. [1]"] * 4,
        base=["Free parking. [1]"] * 4,
        candidate=["Free parking. Bring a card. [1]"] * 4,
    )
    page, content = written(tmp_path, taught=taught.table())
    told = content["taught"]
    assert (told["dialogues"], told["articles"]) == (4, 3)
    f1 = next(metric for metric in told["metrics"] if metric["name"] == "token_f1")
    assert f1["candidate"] == pytest.approx(1)
    assert f1["champion"] < 0.7
    assert f1["difference"]["low"] > 0
    assert "4 dialogues about 3 articles that were held out from training" in page.text
    assert written(tmp_path / "without")[1]["taught"] is None
