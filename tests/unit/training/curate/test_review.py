"""The queue goes out, decisions come back, and nothing in a cell or on the page can do harm."""

from __future__ import annotations

import csv
import stat
from datetime import date
from pathlib import Path
from threading import Thread

import pytest
from hypothesis import given
from hypothesis import strategies as st
from playwright.sync_api import Page, Request, expect

from app.errors import ConfigurationError
from tests.browser import axe_violations
from tests.browser_fixtures import OpenPage
from training.curate.locks import changing
from training.curate.review import (
    COLUMNS,
    Decision,
    export,
    import_decisions,
    load_decisions,
    questions,
    save_decisions,
    verdicts,
)
from training.curate.stages import CORRECTIONS, REPORT, REVIEW, ReviewItem, StageReport, review_key

DAY = date(2026, 11, 26)


def item(number: int = 1, **fields: str) -> ReviewItem:
    values = {
        "key": review_key("correct", "drug", str(number)),
        "stage": "correct",
        "kind": "ambiguous_drug",
        "record": f"{number:020x}",
        "excerpt": f"Patient {number} takes hydroxizine every day.",
        "proposal": "hydroxyzine",
        "reason": "two drugs are as near",
    }
    return ReviewItem.model_validate({**values, **fields})


def queue(folder: Path, *stages: tuple[str, list[ReviewItem]]) -> Path:
    for name, items in stages:
        (folder / name).mkdir(parents=True)
        text = "".join(f"{one.model_dump_json()}\n" for one in items)
        (folder / name / REVIEW).write_text(text, encoding="utf-8")
    return folder


@pytest.fixture
def work(tmp_path: Path) -> Path:
    """Three questions of two stages, one of which two files ask."""
    check = item(7, stage="check", kind="contradiction", key=review_key("check", "x", "7"))
    again = item(1, record="f" * 20)
    return queue(tmp_path / "work", ("03_correct", [item(1), item(2), again]), ("04_check", [check]))


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        return list(csv.DictReader(file))


def fill(path: Path, given: dict[int, str], reviewer: str = "Ana Ruiz") -> Path:
    """Write verdicts into the exported rows as a spreadsheet would."""
    filled = rows(path)
    for number, verdict in given.items():
        filled[number] |= {"verdict": verdict, "reviewer": reviewer}
    with path.open("w", encoding="utf-8-sig", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        writer.writerows(filled)
    return path


def test_questions_come_stage_by_stage_and_once_each(work: Path) -> None:
    found = questions(work)
    assert [(one.stage, one.record) for one in found] == [
        ("correct", item(1).record),
        ("correct", item(2).record),
        ("check", item(7).record),
    ]


def test_no_column_counts_what_is_always_one(work: Path, tmp_path: Path) -> None:
    exported = export(work, tmp_path, tmp_path / "d.jsonl")
    assert "times" not in rows(exported.csv)[0]
    assert "places" not in exported.html.read_text(encoding="utf-8")


def test_a_file_of_before_with_that_column_is_still_imported(work: Path, tmp_path: Path) -> None:
    path = tmp_path / "given.csv"
    path.write_text(f'"key","record","times","verdict","reviewer"\n"k{item(1).key}","a","2","accept","Ana"\n')
    assert import_decisions(path, work, tmp_path / "d.jsonl", on=DAY).new == 1


def test_what_a_broken_run_left_is_not_asked(work: Path) -> None:
    queue(work, (".05-split.part", [item(5)]))
    assert len(questions(work)) == 3


def test_verdicts_of_the_csv_are_remembered_and_not_asked_again(work: Path, tmp_path: Path) -> None:
    decisions = tmp_path / "decisions.jsonl"
    first = export(work, tmp_path / "out", decisions)
    assert (first.questions, first.decided) == (3, 0)
    done = import_decisions(fill(first.csv, {0: "Accept", 2: " drop "}), work, decisions, on=DAY)
    assert (done.new, done.undecided) == (2, 1)
    key = item(1).key
    kept = load_decisions(decisions)[key]
    assert (kept.verdict, kept.reviewer, kept.date, kept.kind) == ("accept", "Ana Ruiz", DAY, "ambiguous_drug")
    assert verdicts(decisions) == {key: "accept", questions(work)[2].key: "drop"}
    again = export(work, tmp_path / "out", decisions)
    assert (again.questions, again.decided) == (1, 2)
    assert key not in again.html.read_text(encoding="utf-8")


def test_the_decisions_file_holds_no_text_of_a_record(work: Path, tmp_path: Path) -> None:
    decisions = tmp_path / "decisions.jsonl"
    import_decisions(fill(export(work, tmp_path, decisions).csv, {0: "reject"}), work, decisions, on=DAY)
    assert "hydroxi" not in decisions.read_text(encoding="utf-8")


def test_the_same_verdict_again_changes_nothing_and_another_needs_replace(work: Path, tmp_path: Path) -> None:
    decisions = tmp_path / "decisions.jsonl"
    filled = fill(export(work, tmp_path, decisions).csv, {0: "accept"})
    import_decisions(filled, work, decisions, on=DAY)
    before = decisions.read_bytes()
    same = import_decisions(filled, work, decisions, on=date(2026, 12, 1))
    assert (same.new, same.known, decisions.read_bytes()) == (0, 1, before)
    fill(filled, {0: "reject"}, reviewer="Bo Li")
    with pytest.raises(ConfigurationError, match="was decided before \\(accept by Ana Ruiz on 2026-11-26\\)"):
        import_decisions(filled, work, decisions, on=DAY)
    assert decisions.read_bytes() == before
    assert import_decisions(filled, work, decisions, on=DAY, replace=True).changed == 1
    assert load_decisions(decisions)[item(1).key].reviewer == "Bo Li"


def test_every_fault_is_named_by_its_line_and_then_nothing_is_imported(work: Path, tmp_path: Path) -> None:
    one, two = f"k{item(1).key}", f"k{item(2).key}"
    lines = [
        "key,verdict,reviewer",
        f"{one},accept,Ana",
        "k0123456789abcdef,accept,Ana",
        f"{two},perhaps,Ana",
        f"{one},drop,Ana",
        f"{two},accept,",
    ]
    path = tmp_path / "given.csv"
    path.write_text("\n".join(lines), encoding="utf-8")
    with pytest.raises(ConfigurationError) as caught:
        import_decisions(path, work, tmp_path / "decisions.jsonl", on=DAY)
    said = str(caught.value)
    assert ":3: key '0123456789abcdef' was never asked" in said
    assert ":4: the verdict is none of accept, reject, drop" in said
    assert f":5: key '{item(1).key}' is decided twice, first on line 2" in said
    assert ":6: nobody is named as reviewer" in said
    assert said.endswith("Nothing was imported.")
    assert not (tmp_path / "decisions.jsonl").exists()


def test_a_key_beside_another_questions_words_is_refused(work: Path, tmp_path: Path) -> None:
    filled = fill(export(work, tmp_path, tmp_path / "d.jsonl").csv, {0: "accept", 1: "reject"})
    table = rows(filled)
    table[0]["key"], table[1]["key"] = table[1]["key"], table[0]["key"]
    with filled.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, table[0].keys())
        writer.writeheader()
        writer.writerows(table)
    with pytest.raises(ConfigurationError, match="those of another question"):
        import_decisions(filled, work, tmp_path / "d.jsonl", on=DAY)
    assert not (tmp_path / "d.jsonl").exists()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("key,verdict,verdict,reviewer\nk1,accept,drop,Ana\n", "verdict is there twice"),
        ("key,verdict,reviewer\nk1,accept\n", "more or fewer cells"),
        ("key,verdict,reviewer\nk1,accept,Ana,and more\n", "more or fewer cells"),
    ],
)
def test_columns_and_cells_that_do_not_fit_are_refused(work: Path, tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "mangled.csv"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigurationError, match=message):
        import_decisions(path, work, tmp_path / "d.jsonl", on=DAY)


@pytest.mark.parametrize("given", [{0: "accept"}, {1: "accept"}, {0: "accept", 1: "reject"}])
def test_of_several_drugs_for_one_word_each_can_be_decided(tmp_path: Path, given: dict[int, str]) -> None:
    drugs = ("prednisone", "prednisolone")
    asked = [item(number, record="a" * 20, excerpt="I take prednisoone.", proposal=drugs[number]) for number in (0, 1)]
    work = queue(tmp_path / "work", ("03_correct", asked))
    decisions = tmp_path / "decisions.jsonl"
    path = export(work, tmp_path / "out", decisions).csv
    done = import_decisions(fill(path, given), work, decisions, on=DAY)
    assert done.new == len(given)
    assert verdicts(decisions) == {asked[number].key: verdict for number, verdict in given.items()}


def test_the_key_of_one_drug_beside_another_is_refused(tmp_path: Path) -> None:
    drugs = ("prednisone", "prednisolone")
    asked = [item(number, record="a" * 20, excerpt="I take prednisoone.", proposal=drugs[number]) for number in (0, 1)]
    work = queue(tmp_path / "work", ("03_correct", asked))
    path = export(work, tmp_path / "out", tmp_path / "decisions.jsonl").csv
    first, second = (one["key"] for one in rows(path))
    path.write_text(path.read_text("utf-8").replace(first, "x").replace(second, first).replace('"x"', f'"{second}"'))
    with pytest.raises(ConfigurationError, match="was one column sorted"):
        import_decisions(fill(path, {0: "accept"}), work, tmp_path / "decisions.jsonl", on=DAY)


def test_a_correction_of_the_report_can_be_rejected_and_nothing_else(work: Path, tmp_path: Path) -> None:
    key = review_key("correct", "drug_fixed", "tylanol", "tylenol")
    row = {"wrong": "tylanol", "right": "tylenol", "count": 2, "kind": "drug_fixed", "key": key}
    report = StageReport(stage="correct", records_in=1, records_out=1, tables={CORRECTIONS: [row]})
    (work / "03_correct" / REPORT).write_text(report.model_dump_json())
    decisions, path = tmp_path / "decisions.jsonl", tmp_path / "mine.csv"
    path.write_text(f"key,verdict,reviewer\nk{key},accept,Ana Ruiz\n")
    with pytest.raises(ConfigurationError, match="can only be rejected"):
        import_decisions(path, work, decisions, on=DAY)
    path.write_text(f"key,verdict,reviewer\nk{key},reject,Ana Ruiz\n")
    assert import_decisions(path, work, decisions, on=DAY).new == 1
    (decided,) = load_decisions(decisions).values()
    assert (decided.key, decided.verdict, decided.stage, decided.kind) == (key, "reject", "correct", "drug_fixed")


def test_lines_are_counted_right_behind_a_cell_with_line_breaks(work: Path, tmp_path: Path) -> None:
    path = tmp_path / "given.csv"
    path.write_text(f'key,excerpt,verdict\nk{item(1).key},"a\nb\nc",accept\nkffff,"x\ny",drop\n', encoding="utf-8")
    with pytest.raises(ConfigurationError, match=":5: what stands as key was never asked"):
        import_decisions(path, work, tmp_path / "d.jsonl", on=DAY, reviewer="Ana")


def test_lines_are_counted_right_behind_empty_ones_and_no_cell_is_told(work: Path, tmp_path: Path) -> None:
    path, decisions = tmp_path / "given.csv", tmp_path / "d.jsonl"
    path.write_text(f"key,verdict\n\n\nkMRN00003,drop\nk{item(1).key},Zanele\nk{'f' * 100_000},drop\n")
    with pytest.raises(ConfigurationError) as caught:
        import_decisions(path, work, decisions, on=DAY, reviewer="Ana")
    said = str(caught.value)
    for line in (f"{path}:4: what stands as key was never", f"{path}:5: the verdict", f"{path}:6: what stands as key"):
        assert line in said
    assert "MRN" not in said
    assert "zanele" not in said.lower()
    assert len(said) < 1000
    decisions.write_text("\n\n{}\n")
    with pytest.raises(ConfigurationError, match=r"d\.jsonl:3: key"):
        load_decisions(decisions)


def test_folders_that_cannot_be_made_and_names_that_are_no_text(work: Path, tmp_path: Path) -> None:
    file = tmp_path / "afile"
    file.touch()
    filled = fill(export(work, tmp_path / "out", tmp_path / "d.jsonl").csv, {0: "accept"}, reviewer="")
    for out in (file, file / "x"):
        with pytest.raises(ConfigurationError, match="cannot be written"):
            export(work, out, tmp_path / "d.jsonl")
    with pytest.raises(ConfigurationError, match="afile cannot be written: File exists; make its folder"):
        import_decisions(filled, work, file / "d.jsonl", on=DAY, reviewer="Ana")
    with pytest.raises(ConfigurationError, match="name is no UTF-8 text"):
        import_decisions(filled, work, tmp_path / "d.jsonl", on=DAY, reviewer="A\udcff")


def test_who_imports_waits_for_who_imports_already(work: Path, tmp_path: Path) -> None:
    decisions = tmp_path / "d.jsonl"
    exported = export(work, tmp_path / "out", decisions).csv
    waiting = Thread(target=import_decisions, args=(fill(exported, {0: "accept"}), work, decisions), kwargs={"on": DAY})
    other = Decision(key="0" * 16, verdict="drop", reviewer="Bo", date=DAY)
    with changing(decisions):
        waiting.start()
        waiting.join(timeout=0.5)
        assert not decisions.exists()
        save_decisions({other.key: other}, decisions)
    waiting.join()
    assert load_decisions(decisions).keys() == {other.key, item(1).key}


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"verdict\naccept\n", ":1: there is no column key"),
        (b"", ":1: there is no column key or verdict"),
        (b'key,verdict\n"k1,accept\n', "not CSV"),
        (b"key,verdict\nk\xff,accept\n", "save it as CSV in UTF-8"),
    ],
)
def test_files_that_are_no_decisions_are_refused(work: Path, tmp_path: Path, data: bytes, message: str) -> None:
    path = tmp_path / "given.csv"
    path.write_bytes(data)
    with pytest.raises(ConfigurationError, match=message):
        import_decisions(path, work, tmp_path / "d.jsonl", on=DAY, reviewer="Ana")


def test_semicolons_of_some_spreadsheets_are_read(work: Path, tmp_path: Path) -> None:
    path = tmp_path / "given.csv"
    path.write_text(f"key;verdict;reviewer\r\nk{item(1).key};reject;Ana\r\n", encoding="utf-8-sig")
    assert import_decisions(path, work, tmp_path / "d.jsonl", on=DAY).new == 1


def test_a_decisions_file_that_decides_twice_is_refused(tmp_path: Path) -> None:
    line = Decision(key="0" * 16, verdict="drop", reviewer="Ana", date=DAY).model_dump_json()
    path = tmp_path / "d.jsonl"
    path.write_text(f"{line}\n{line}\n", encoding="utf-8")
    with pytest.raises(ConfigurationError, match=r"d\.jsonl:2: 0{16} is decided twice"):
        load_decisions(path)


@given(
    st.lists(
        st.tuples(st.integers(0, 2**64 - 1), st.sampled_from(["accept", "reject", "drop"])),
        unique_by=lambda pair: pair[0],
    )
)
def test_decisions_survive_the_file_in_any_order(made: list[tuple[int, str]]) -> None:
    import tempfile

    given_ = {
        f"{number:016x}": Decision.model_validate(
            {"key": f"{number:016x}", "verdict": verdict, "reviewer": "Ana\u2028Ruiz", "date": DAY}
        )
        for number, verdict in made
    }
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "d.jsonl"
        save_decisions(given_, path)
        first = path.read_bytes()
        save_decisions(dict(reversed(given_.items())), path)
        assert path.read_bytes() == first
        assert load_decisions(path) == given_


@pytest.mark.parametrize(
    "text", ["=1+1", "+1", "-1", "@SUM(A1)", " =cmd|' /C calc'!A0", "＝1", "|x", '"=1', "\tx", "\rx"]
)
def test_no_cell_is_a_formula(tmp_path: Path, text: str) -> None:
    work = queue(tmp_path / "w", ("01", [item(1, excerpt=text, proposal=text, reason=text, record=text)]))
    row = rows(export(work, tmp_path, tmp_path / "d.jsonl").csv)[0]
    for column in ("record", "excerpt", "proposal", "reason"):
        assert row[column].startswith("'")
    assert row["excerpt"] == f"'{text}"


@pytest.mark.parametrize("mark", [";", "; ", ';"', "\t", "\r", "\n", "\n\n "])
@pytest.mark.parametrize("formula", ["=1+1", "+1", "-1", "@SUM(A1)", "＝1"])
def test_nor_is_a_part_of_a_cell_where_a_spreadsheet_parts_it(tmp_path: Path, mark: str, formula: str) -> None:
    text = f"He said{mark}{formula}"
    asked = [item(1, excerpt=text, proposal=text), item(2, excerpt=text + " again")]
    work = queue(tmp_path / "w", ("01", asked))
    exported = export(work, tmp_path, tmp_path / "d.jsonl")
    row = rows(exported.csv)[0]
    assert row["excerpt"] == row["proposal"] == f"He said{mark}'{formula}"
    import_decisions(fill(exported.csv, {0: "accept"}), work, tmp_path / "d.jsonl", on=DAY)
    assert verdicts(tmp_path / "d.jsonl") == {item(1).key: "accept"}
    (tmp_path / "swapped.csv").write_text(
        exported.csv.read_text(encoding="utf-8-sig").replace(item(1).key, "X").replace(item(2).key, item(1).key)
        .replace("X", item(2).key), encoding="utf-8",
    )  # fmt: skip
    with pytest.raises(ConfigurationError, match="those of another question"):
        import_decisions(fill(tmp_path / "swapped.csv", {0: "drop"}), work, tmp_path / "d.jsonl", on=DAY)


def test_plain_words_are_exported_as_they_are(tmp_path: Path) -> None:
    text = "It's 5 - 3; no, 2 + 2; a@b.example; 50 % or so, 'quoted' | x"
    work = queue(tmp_path / "w", ("01", [item(1, excerpt=text)]))
    assert rows(export(work, tmp_path, tmp_path / "d.jsonl").csv)[0]["excerpt"] == text


def test_a_key_of_digits_is_no_number_for_a_spreadsheet(tmp_path: Path) -> None:
    work = queue(tmp_path / "w", ("01", [item(1, key="12e4567890123456")]))
    exported = export(work, tmp_path, tmp_path / "d.jsonl")
    assert rows(exported.csv)[0]["key"] == "k12e4567890123456"
    import_decisions(fill(exported.csv, {0: "accept"}), work, tmp_path / "d.jsonl", on=DAY)
    assert verdicts(tmp_path / "d.jsonl") == {"12e4567890123456": "accept"}


def test_exported_files_are_readable_by_their_owner_only(work: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "review.csv").write_text("from before")
    (tmp_path / "out" / "review.csv").chmod(0o644)
    exported = export(work, tmp_path / "out", tmp_path / "d.jsonl")
    assert {stat.S_IMODE(path.stat().st_mode) for path in (exported.csv, exported.html)} == {0o600}


def test_export_gives_the_same_bytes_again(work: Path, tmp_path: Path) -> None:
    one, two = (export(work, tmp_path / name, tmp_path / "d.jsonl") for name in "ab")
    assert one.csv.read_bytes() == two.csv.read_bytes()
    assert one.html.read_bytes() == two.html.read_bytes()


def test_a_broken_queue_names_file_and_line(tmp_path: Path) -> None:
    work = queue(tmp_path / "w", ("01", [item(1)]))
    with (work / "01" / REVIEW).open("a") as lines:
        lines.write('{"key": 1}\n')
    with pytest.raises(ConfigurationError, match=r"review.jsonl:2: key"):
        questions(work)
    with pytest.raises(ConfigurationError, match="run `bedside-train curate` first"):
        questions(tmp_path / "nowhere")


# --- the page, in a real browser

HOSTILE = '</script><script>document.title="owned"</script><img src=x onerror="document.title=\'owned\'">'


def show(open_page: OpenPage, folder: Path, items: list[ReviewItem], **options: object) -> Page:
    work = queue(folder / "w", ("01", items))
    page = open_page(export(work, folder, folder / "d.jsonl").html.as_uri(), accept_downloads=True, **options)
    page.on("request", _refuse)
    return page


def _refuse(request: Request) -> None:
    if not request.url.startswith(("file:", "blob:")):
        pytest.fail(f"the page asked for {request.url}")


@pytest.mark.browser
def test_the_page_is_decided_by_keys_and_its_file_is_imported(open_page: OpenPage, tmp_path: Path) -> None:
    page = show(open_page, tmp_path, [item(1), item(2), item(3)])
    page.locator("article").first.focus()
    page.keyboard.press("a")
    expect(page.locator("#progress")).to_have_text("1 of 3 decided")
    expect(page.locator("article").nth(1)).to_be_focused()
    page.keyboard.press("j")
    page.keyboard.press("d")
    page.get_by_role("button", name="Download decisions").click()
    expect(page.locator("#fault")).to_contain_text("Write your name first")
    page.keyboard.type("Ana Ruiz")
    with page.expect_download() as download:
        page.get_by_role("button", name="Download decisions").click()
    download.value.save_as(tmp_path / "decisions.csv")
    done = import_decisions(tmp_path / "decisions.csv", tmp_path / "w", tmp_path / "d.jsonl", on=DAY)
    assert done.new == 2
    assert verdicts(tmp_path / "d.jsonl") == {item(1).key: "accept", item(3).key: "drop"}
    assert load_decisions(tmp_path / "d.jsonl")[item(1).key].reviewer == "Ana Ruiz"


@pytest.mark.browser
def test_verdicts_are_kept_over_a_reload_changed_and_taken_back(open_page: OpenPage, tmp_path: Path) -> None:
    page = show(open_page, tmp_path, [item(1), item(2)])
    page.locator("article").first.get_by_role("button", name="Reject").click()
    expect(page.locator("#progress")).to_have_text("1 of 2 decided")
    page.reload()
    expect(page.locator("#progress")).to_have_text("1 of 2 decided")
    page.get_by_label("Show").select_option("all")
    first = page.locator("article").first
    expect(first.get_by_role("button", name="Reject")).to_have_attribute("aria-pressed", "true")
    first.focus()
    page.keyboard.press("u")
    expect(page.locator("#progress")).to_have_text("0 of 2 decided")


@pytest.mark.browser
def test_typing_a_name_decides_nothing_and_kinds_are_filtered(open_page: OpenPage, tmp_path: Path) -> None:
    other = item(9, stage="check", kind="leak", key=review_key("check", "leak", "9"))
    page = show(open_page, tmp_path, [item(1), other])
    page.get_by_label("Your name").fill("Ada Drury")
    expect(page.locator("#progress")).to_have_text("0 of 2 decided")
    page.get_by_label("Kind").select_option("check: leak")
    expect(page.locator("article:visible")).to_have_count(1)
    page.get_by_role("button", name="Drop").locator("visible=true").click()
    expect(page.locator("#calm")).to_be_visible()


@pytest.mark.browser
def test_hostile_text_stays_text_and_the_page_is_accessible(open_page: OpenPage, tmp_path: Path) -> None:
    page = show(open_page, tmp_path, [item(1, excerpt=HOSTILE, kind=HOSTILE, record=HOSTILE, proposal=HOSTILE)])
    expect(page.locator("blockquote")).to_have_text(HOSTILE)
    expect(page).to_have_title("Review of training data")
    assert axe_violations(page) == []


@pytest.mark.browser
def test_the_dark_page_is_accessible_on_a_phone(open_page: OpenPage, tmp_path: Path) -> None:
    size = {"width": 360, "height": 700}
    page = show(open_page, tmp_path, [item(1), item(2)], color_scheme="dark", viewport=size)
    page.locator("article").first.get_by_role("button", name="Accept").click()
    page.get_by_label("Show").select_option("all")
    assert axe_violations(page) == []
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
