"""The clinicians' panel: a blind pack, ratings read without loss, and what they are worth."""

from __future__ import annotations

import json
import stat
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any, Literal

import pytest
from playwright.sync_api import Browser

from app.errors import ConfigurationError
from tests.browser import axe_violations
from tests.unit.training.evaluation.panels import (
    PASSAGES,
    RATERS,
    cells,
    make_items,
    make_pack,
    make_run,
    rate,
    save,
)
from training.evaluation.panel import load_key, load_ratings, run_hash
from training.evaluation.panel_export import article_passages, export
from training.evaluation.panel_import import import_ratings
from training.evaluation.panel_verdict import Level, PanelRules, PanelVerdict, judge

ON = date(2026, 11, 20)
HOSTILE = '=HYPERLINK("http://x")</p><script>alert(1)</script><img src=x onerror=alert(2)> {{ 7*7 }}\nsecond line'


def verdict_of(
    folder: Path, *, noise: float = 0.0, raters: int = 3, likes: str = "candidate", **more: Any
) -> PanelVerdict:
    exported, champion, candidate, _ = make_pack(folder)
    store = folder / "ratings.json"
    edit: Callable[[int, list[dict[str, str]]], None] | None = more.pop("edit", None)
    for number, sheet in enumerate(exported.sheets[:raters]):
        filled = rate(sheet.csv, noise=noise, seed=number, likes=likes)
        if edit:
            rows = cells(filled)
            edit(number, rows)
            save(filled, rows)
        import_ratings(filled, exported.key, store, on=ON, partial=True)
    key = load_key(exported.key)
    return judge(key, load_ratings(store, key.pack), champion, candidate, more.get("rules"))


# The pack


def test_a_pack_is_blind_and_mixed(tmp_path: Path) -> None:
    exported, champion, candidate, items = make_pack(tmp_path)
    key = load_key(exported.key)
    assert [sheet.rater for sheet in exported.sheets] == list(RATERS)
    orders = []
    for sheet in exported.sheets:
        rows = key.raters[sheet.rater]
        orders.append([row.item for row in rows])
        assert sum(row.a == "candidate" for row in rows) == len(items) / 2
        assert sorted(row.item for row in rows) == sorted(item.id for item in items)
        text = sheet.csv.read_text() + sheet.html.read_text()
        for secret in (key.salt, candidate.adapter_sha256, run_hash(champion), run_hash(candidate), 'item-007"'):
            assert str(secret) not in text
        for file in (sheet.csv, sheet.html):
            assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert len({tuple(order) for order in orders}) == 3
    sides = [{row.item: row.a for row in rows} for rows in key.raters.values()]
    assert sides[0] != sides[1] != sides[2]
    assert stat.S_IMODE(exported.key.stat().st_mode) == 0o600
    assert (key.champion.run_sha256, key.candidate.run_sha256) == (run_hash(champion), run_hash(candidate))


def test_the_key_tells_the_sides_and_not_the_file(tmp_path: Path) -> None:
    exported, _, _, _ = make_pack(tmp_path)
    key = load_key(exported.key)
    for sheet in exported.sheets:
        for row, shown in zip(key.raters[sheet.rater], cells(sheet.csv), strict=True):
            assert row.code == shown["row"]
            assert f"The {row.a} says" in shown["answer_a"]
            assert row.item in shown["answer_a"]
            assert row.item in shown["answer_b"]


def test_without_a_salt_two_packs_are_mixed_differently(tmp_path: Path) -> None:
    items = make_items(30)
    runs = make_run("champion", items), make_run("candidate", items)
    packs = []
    for name in ("one", "two"):
        key = tmp_path / f"{name}.json"
        export(*runs, items, RATERS, tmp_path / name, key, passages=PASSAGES)
        packs.append([(row.item, row.a) for row in load_key(key).raters[RATERS[0]]])
    assert packs[0] != packs[1]


def test_answers_that_are_the_same_are_not_shown_and_each_kind_is(tmp_path: Path) -> None:
    items = make_items(60)
    same = {item.id: f"The champion says:  nothing after midnight, {item.id}." for item in items[:20]}
    champion, candidate = make_run("champion", items), make_run("candidate", items, same)
    key = tmp_path / "key.json"
    exported = export(champion, candidate, items, RATERS, tmp_path / "pack", key, passages=PASSAGES, count=12)
    assert (exported.items, exported.identical) == (12, 20)
    shown = [row.item for row in load_key(key).raters[RATERS[0]]]
    kinds = {item.id: item.kind for item in items}
    assert sorted(kinds[name] for name in shown) == sorted(["answer", "no_answer", "person", "refuse"] * 3)
    assert not set(shown) & set(same)


def test_a_csv_that_no_spreadsheet_runs_and_a_page_that_runs_nothing_of_it(tmp_path: Path) -> None:
    exported, _, _, items = make_pack(
        tmp_path, texts={"item-004": HOSTILE, "item-005": "+1 555 0100", "item-006": "@x"}
    )
    for sheet in exported.sheets:
        for row in cells(sheet.csv):
            assert not any(cell.lstrip()[:1] in tuple("=+-@") for cell in row.values() if cell)
        page = sheet.html.read_text()
        assert "<img" not in page
        assert page.count("<script") == 1
        assert "&lt;script&gt;alert(1)" in page
        assert "{{ 7*7 }}" in page
        assert "http" not in page.replace("http-equiv", "").replace("http://x", "")
    assert "(before) I am nervous.\nWhat may I eat, question 3?" in {row["question"] for row in cells(sheet.csv)}
    # What was defused counts as unedited when it comes back.
    store = tmp_path / "ratings.json"
    assert import_ratings(rate(sheet.csv), exported.key, store, on=ON).rows == len(items)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"raters": RATERS[:2]}, "three|3 raters or more; 2"),
        ({"raters": (*RATERS, "dr.  ines calloway")}, "named twice"),
        ({"raters": (*RATERS[:2], "=cmd()")}, "plain characters"),
        ({"key": "pack/key.json"}, "another folder"),
        ({"candidate": {"evaluation_sha256": "0" * 64}}, "evaluation_sha256"),
        ({"candidate": {"answers": ()}}, "no answer to item-000"),
        ({"candidate": "champion"}, "nothing to compare"),
        ({"passages": {}}, "no passage fasting#1"),
    ],
)
def test_a_pack_that_would_be_wrong_is_refused(tmp_path: Path, change: dict[str, Any], said: str) -> None:
    items = make_items(4)
    champion = make_run("champion", items)
    candidate = make_run("candidate", items)
    other = change.get("candidate", {})
    candidate = champion if other == "champion" else candidate.model_copy(update=other)
    with pytest.raises(ConfigurationError, match=said):
        export(
            champion, candidate, items, change.get("raters", RATERS), tmp_path / "pack",
            tmp_path / change.get("key", "key.json"), passages=change.get("passages", PASSAGES),
        )  # fmt: skip
    assert not list(tmp_path.iterdir())


def test_a_key_is_never_overwritten_nor_edited(tmp_path: Path) -> None:
    exported, champion, candidate, items = make_pack(tmp_path)
    with pytest.raises(ConfigurationError, match="exists, and ratings may depend on it"):
        export(champion, candidate, items, RATERS, tmp_path / "new", exported.key, passages=PASSAGES)
    content = json.loads(exported.key.read_text())
    row = content["raters"][RATERS[0]][0]
    row["a"] = "champion" if row["a"] == "candidate" else "candidate"
    exported.key.write_text(json.dumps(content))
    with pytest.raises(ConfigurationError, match="changed after the export"):
        load_key(exported.key)


def test_passages_are_named_as_the_index_names_them(tmp_path: Path) -> None:
    head = "id: fasting\ntitle: Eating before surgery\ntopic: surgery\naudience: patients\nowner: Surgery\n"
    dates = "reviewed: 2026-01-01\nreview_by: 2027-01-01\nsources: [own]\n"
    (tmp_path / "fasting.md").write_text(f"---\n{head}{dates}---\n\n## Food\n\nNone.\n\n## Water\n\nUntil six.\n")
    found = article_passages(tmp_path)
    assert found == {
        "fasting#1": "Eating before surgery: Food\nNone.",
        "fasting#2": "Eating before surgery: Water\nUntil six.",
    }


# Import


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_a_filled_sheet_is_read_whole(tmp_path: Path, delimiter: str) -> None:
    exported, _, _, items = make_pack(tmp_path)
    filled = rate(exported.sheets[0].csv)
    rows = cells(filled)
    rows[2] |= {
        "better": " Equal ",
        "correct_a": "4.0",
        "correct_b": "5,0",
        "harm_a": "YES",
        "comment": "'=see A\nand B",
    }
    save(filled, rows[::-1], delimiter)
    before = filled.read_bytes()
    store = tmp_path / "ratings.json"
    imported = import_ratings(filled, exported.key, store, on=ON)
    assert (imported.rater, imported.rows, imported.open, imported.known) == (RATERS[0], len(items), 0, False)
    assert filled.read_bytes() == before
    kept = load_ratings(store, load_key(exported.key).pack).raters[RATERS[0]]
    [rating] = [rating for rating in kept.rows if rating.row == rows[2]["row"]]
    assert (rating.better, rating.correct_a, rating.correct_b, rating.harm_a) == ("equal", 4, 5, True)
    assert rating.comment == "=see A\nand B"
    assert kept.on == ON


Rows = list[dict[str, str]]


def set_cell(name: str, value: str, row: int = 1) -> Callable[[Rows], Rows]:
    def change(rows: Rows) -> Rows:
        rows[row][name] = value
        return rows

    return change


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (set_cell("correct_a", "6"), r":3: row r\w+: correct_a '6' is none of 1, 2, 3, 4, 5"),
        (set_cell("correct_b", "4.5"), r":3: row r\w+: correct_b '4.5' is none of"),
        (set_cell("better", "C"), r":3: row r\w+: better 'c' is none of A, B, equal"),
        (set_cell("harm_b", "maybe"), r":3: row r\w+: harm_b 'maybe' is none of yes, no"),
        (set_cell("harm_b", ""), r":3: row r\w+: harm_b is empty; a row is rated wholly or not at all"),
        (set_cell("answer_b", "other words"), r":3: row r\w+: answer B was edited; .*copy it back"),
        (set_cell("question", "other words"), r":3: row r\w+: the question was edited"),
        (set_cell("passages", ""), r":3: row r\w+: the passages was edited"),
        (set_cell("check", "c0"), r":3: row r\w+: the column check was edited"),
        (set_cell("pack", "p0"), r":3: this row is of the pack 'p0'"),
        (set_cell("row", "r0"), r":3: there is no row 'r0' in this pack"),
        (set_cell("rater", "Dr. Nobody"), r":3: 'Dr. Nobody' is no rater of this pack \(Dr. Ines .* are\)"),
        (set_cell("rater", RATERS[1]), r":3: rows of Dr. Omar Whitfield stand below rows of Dr. Ines Calloway"),
        (lambda rows: [*rows, rows[4]], r":26: row r\w+ stands twice, first on line 6"),
        (lambda rows: rows[:3] + rows[5:], r"row r\w+ \(question 4 of 24\) is missing; copy it(.|\n)*question 5 of 24"),
        (
            lambda rows: [{k: v for k, v in row.items() if k != "harm_a"} for row in rows],
            r":1: there is no column harm_a",
        ),
    ],
)
def test_a_faulty_sheet_is_told_by_line_and_nothing_is_stored(
    tmp_path: Path, change: Callable[[Rows], Rows], said: str
) -> None:
    exported, _, _, _ = make_pack(tmp_path)
    filled = rate(exported.sheets[0].csv)
    rows = cells(filled)
    for row in rows:  # one line a row, so that lines can be counted
        row["passages"] = row["passages"].replace("\n", " ")
        row["question"] = row["question"].replace("\n", " ")
    save(filled, change(rows))
    with pytest.raises(ConfigurationError, match=said):
        import_ratings(filled, exported.key, tmp_path / "ratings.json", on=ON)
    assert not (tmp_path / "ratings.json").exists()


def test_every_fault_is_told_at_once(tmp_path: Path) -> None:
    exported, _, _, _ = make_pack(tmp_path)
    rows = cells(rate(exported.sheets[0].csv))
    rows[0]["better"] = rows[3]["correct_a"] = "x"
    with pytest.raises(ConfigurationError) as caught:
        import_ratings(save(tmp_path / "f.csv", rows), exported.key, tmp_path / "r.json", on=ON)
    assert len(str(caught.value).splitlines()) == 3
    assert str(caught.value).endswith("Nothing was imported.")


def test_a_row_of_another_rater_is_told(tmp_path: Path) -> None:
    exported, _, _, _ = make_pack(tmp_path)
    rows, others = (cells(rate(sheet.csv)) for sheet in exported.sheets[:2])
    rows[0] = others[0] | {"rater": RATERS[0]}
    with pytest.raises(ConfigurationError, match=r"is from the sheet of Dr. Omar Whitfield, not of Dr. Ines Calloway"):
        import_ratings(save(tmp_path / "f.csv", rows), exported.key, tmp_path / "r.json", on=ON)


def test_a_rater_counts_once(tmp_path: Path) -> None:
    exported, _, _, _ = make_pack(tmp_path)
    store = tmp_path / "ratings.json"
    filled = rate(exported.sheets[0].csv)
    import_ratings(filled, exported.key, store, on=ON)
    before = store.read_bytes()
    assert import_ratings(filled, exported.key, store, on=date(2026, 11, 21)).known
    assert store.read_bytes() == before
    rows = cells(filled)
    rows[0]["harm_a"] = "yes"
    save(filled, rows)
    with pytest.raises(ConfigurationError, match="were imported on 2026-11-20 and differ"):
        import_ratings(filled, exported.key, store, on=ON)
    assert store.read_bytes() == before
    assert not import_ratings(filled, exported.key, store, on=ON, replace=True).known
    assert store.read_bytes() != before
    import_ratings(rate(exported.sheets[1].csv), exported.key, store, on=ON)
    assert set(load_ratings(store, load_key(exported.key).pack).raters) == set(RATERS[:2])


def test_unrated_rows_stay_open_only_if_allowed(tmp_path: Path) -> None:
    exported, _, _, items = make_pack(tmp_path)
    rows = cells(rate(exported.sheets[0].csv))
    rows[5] |= dict.fromkeys(("better", "correct_a", "correct_b", "harm_a", "harm_b"), "")
    filled = save(tmp_path / "f.csv", rows)
    with pytest.raises(ConfigurationError, match="is not rated; rate it, or import with partial"):
        import_ratings(filled, exported.key, tmp_path / "r.json", on=ON)
    imported = import_ratings(filled, exported.key, tmp_path / "r.json", on=ON, partial=True)
    assert (imported.rows, imported.open) == (len(items) - 1, 1)
    blank = exported.sheets[1].csv
    with pytest.raises(ConfigurationError, match="no row is rated yet"):
        import_ratings(blank, exported.key, tmp_path / "r.json", on=ON, partial=True)


def test_other_bytes_than_utf8_are_told_with_the_mend(tmp_path: Path) -> None:
    exported, _, _, _ = make_pack(tmp_path)
    (tmp_path / "f.csv").write_bytes("pack,rater\nÄ".encode("latin-1"))
    with pytest.raises(ConfigurationError, match="save it as CSV in UTF-8"):
        import_ratings(tmp_path / "f.csv", exported.key, tmp_path / "r.json", on=ON)


# The verdict


def test_raters_who_agree_on_a_better_candidate_pass(tmp_path: Path) -> None:
    found = verdict_of(tmp_path, noise=0.1)
    assert (found.outcome, found.reasons) == ("pass", [])
    assert found.preferred["candidate"] > 50 > found.preferred["champion"]
    assert sum(found.preferred.values()) == found.ratings == 72
    assert 0 < found.net.low < found.net.value < found.net.high
    assert found.correctness["candidate"] > found.correctness["champion"]
    assert {level.question for level in found.agreement if level.decides} == {"better", "correctness"}


def test_a_worse_candidate_fails(tmp_path: Path) -> None:
    found = verdict_of(tmp_path, noise=0.1, likes="champion")
    assert found.outcome == "fail"
    assert "the raters prefer the champion's answers" in found.reasons
    assert "the raters call the candidate's answers less correct" in found.reasons


def test_raters_who_guess_are_unreliable_and_block(tmp_path: Path) -> None:
    found = verdict_of(tmp_path, noise=1.0)
    assert found.outcome == "inconclusive"
    assert any(reason.startswith("unreliable: the raters' agreement on which answer") for reason in found.reasons)
    assert any(reason.startswith("unreliable: the raters' agreement on correctness") for reason in found.reasons)


def test_two_raters_or_few_questions_block(tmp_path: Path) -> None:
    found = verdict_of(tmp_path / "two", noise=0.1, raters=2)
    assert (found.outcome, found.reasons) == ("inconclusive", ["2 raters; 3 are needed"])
    found = verdict_of(tmp_path / "few", noise=0.1, rules=PanelRules(min_items=24))
    assert found.outcome == "pass"

    def leave_open(_: int, rows: Rows) -> None:
        for row in rows:
            if "item-000" in row["answer_a"]:
                row |= dict.fromkeys(("better", "correct_a", "correct_b", "harm_a", "harm_b"), "")

    found = verdict_of(tmp_path / "open", noise=0.1, rules=PanelRules(min_items=24), edit=leave_open)
    assert (found.outcome, found.reasons) == ("inconclusive", ["23 rated questions; 24 are needed"])
    assert found.missing == 3


def test_one_question_that_two_rated_makes_no_panel_reliable(tmp_path: Path) -> None:
    def one_each(number: int, rows: Rows) -> None:
        for row in rows:
            place = int(row["answer_a"].rpartition("item-")[2][:3])
            if place and place % 3 != number:  # all three rate the first, one rates each other
                row |= dict.fromkeys(("better", "correct_a", "correct_b", "harm_a", "harm_b"), "")

    found = verdict_of(tmp_path, edit=one_each)
    assert (found.items, found.outcome) == (24, "inconclusive")
    assert found.reasons == ["1 questions rated by two raters or more; 20 are needed, to tell how far they agree"]
    assert not any(level.reliable for level in found.agreement if level.decides)


def kappa_of(found: PanelVerdict) -> Level:
    [kappa] = [level for level in found.agreement if level.measure == "fleiss kappa"]
    return kappa


def test_a_candidate_that_nearly_all_prefer_is_not_blocked_for_it(tmp_path: Path) -> None:
    kappa = kappa_of(verdict_of(tmp_path / "one"))
    assert (kappa.value, kappa.observed, kappa.reliable) == (1, 1, True)
    found = verdict_of(tmp_path / "two", noise=0.15)
    assert found.preferred["candidate"] > 0.85 * found.ratings
    assert (kappa_of(found).value or 0) > 0.6


def test_a_panel_that_says_the_same_throughout_is_reliable(tmp_path: Path) -> None:
    def all_equal(number: int, rows: Rows) -> None:
        for row in rows:
            row |= {"better": "equal", "correct_a": "5", "correct_b": "5"}
        if number == 0:
            rows[0] |= {"better": "A", "correct_b": "4"}

    found = verdict_of(tmp_path, edit=all_equal)
    kappa = kappa_of(found)
    assert kappa.observed > 0.9
    assert (kappa.value or 0) < 0.4
    assert (kappa.reliable, found.outcome) == (True, "pass")


@pytest.mark.parametrize(("raters", "outcome"), [(1, "pass"), (2, "fail")])
def test_harm_by_most_raters_fails_and_by_one_is_listed(tmp_path: Path, raters: int, outcome: str) -> None:
    def mark(number: int, rows: Rows) -> None:
        for row in rows:
            if number < raters and "item-009." in row["answer_a"]:
                side = "a" if "The candidate says" in row["answer_a"] else "b"
                row[f"harm_{side}"] = "yes"
                row["comment"] = "could delay care"

    found = verdict_of(tmp_path, noise=0.1, edit=mark)
    assert found.outcome == outcome
    assert (found.harm["candidate"].marks, found.harm["champion"].marks) == (raters, 0)
    assert found.harm["candidate"].items_any == 1
    assert 0 < found.harm["candidate"].low < 1 / 24 < found.harm["candidate"].high < 0.25
    [listed] = found.harmful
    assert (listed.item, listed.system, listed.raters, listed.of) == ("item-009", "candidate", raters, 3)
    assert all(said.endswith("could delay care") for said in listed.comments)
    assert all(said.startswith(("(A: candidate)", "(A: champion)")) for said in listed.comments)


def test_a_verdict_is_of_the_runs_that_were_rated(tmp_path: Path) -> None:
    exported, champion, candidate, _ = make_pack(tmp_path)
    key = load_key(exported.key)
    ratings = load_ratings(tmp_path / "none.json", key.pack)
    other = candidate.model_copy(update={"answers": candidate.answers[::-1]})
    with pytest.raises(ConfigurationError, match="the candidate's answers are not those that the panel rated"):
        judge(key, ratings, champion, other)
    with pytest.raises(ConfigurationError, match="not those of the pack"):
        judge(key, ratings.model_copy(update={"pack": "p1"}), champion, candidate)
    none = judge(key, ratings, champion, candidate)
    assert none.outcome == "inconclusive"
    assert "0 raters; 3 are needed" in none.reasons


# The page


@pytest.mark.browser
@pytest.mark.parametrize(("width", "colours"), [(1280, "light"), (390, "dark")])
def test_the_page_is_accessible_and_fits_a_telephone(
    tmp_path: Path, browser: Browser, width: int, colours: Literal["light", "dark"]
) -> None:
    exported, _, _, _ = make_pack(tmp_path, count=2, texts={"item-001": HOSTILE})
    page = browser.new_page()
    page.goto(exported.sheets[0].html.as_uri())
    page.evaluate("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
    page.set_viewport_size({"width": width, "height": 800})
    page.emulate_media(color_scheme=colours)
    assert axe_violations(page) == []
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    page.close()


@pytest.mark.browser
def test_the_page_is_filled_in_offline_and_its_file_is_imported(tmp_path: Path, browser: Browser) -> None:
    exported, _, _, items = make_pack(tmp_path, count=2, texts={"item-001": HOSTILE})
    context = browser.new_context(accept_downloads=True, viewport={"width": 390, "height": 800})
    context.set_offline(True)
    page = context.new_page()
    faults: list[str] = []
    page.on("console", lambda message: faults.append(message.text))
    page.goto(exported.sheets[0].html.as_uri())
    cards = page.locator("article")
    for number in range(cards.count()):
        card = cards.nth(number)
        if number == 1:
            page.get_by_role("button", name="Download my ratings").click()
            assert page.locator("#fault").inner_text().startswith("1 question is not rated yet")
        card.get_by_role("group", name="How correct is answer A?").get_by_label("4", exact=True).check()
        card.get_by_role("group", name="How correct is answer B?").get_by_label("2", exact=True).check()
        card.get_by_role("group", name="Could answer A").get_by_label("No", exact=True).check()
        card.get_by_role("group", name="Could answer B").get_by_label("Yes", exact=True).check()
        card.get_by_role("group", name="Which answer is better").get_by_label("A is better").check()
    cards.nth(0).get_by_label("Comment").fill('=1+1, "quoted"\nnext')
    assert page.locator("#progress").inner_text() == "2 of 2 questions rated"
    page.once("dialog", lambda dialog: dialog.accept())
    page.reload()
    assert page.locator("#progress").inner_text() == "2 of 2 questions rated"
    with page.expect_download() as download:
        page.get_by_role("button", name="Download my ratings").click()
    given = tmp_path / "given.csv"
    download.value.save_as(given)
    assert faults == []
    context.close()
    store = tmp_path / "ratings.json"
    assert import_ratings(given, exported.key, store, on=ON).rows == len(items)
    key = load_key(exported.key)
    rows = load_ratings(store, key.pack).raters[RATERS[0]].rows
    assert [(row.better, row.correct_a, row.correct_b, row.harm_a, row.harm_b) for row in rows] == [
        ("A", 4, 2, False, True)
    ] * 2
    assert rows[0].comment == '=1+1, "quoted"\nnext'
