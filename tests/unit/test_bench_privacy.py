"""The measuring of redaction itself: what counts as found, what as changed, and that held-out messages stay unread."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.bench_privacy import (
    BEGIN,
    END,
    REPORT,
    ROWS,
    Find,
    Texts,
    changed_rows,
    class_table,
    covered,
    leak_row,
    lines_of,
    measure,
    methods,
    origin_table,
    report,
    slice_table,
    stock_presidio,
    stretches,
    write,
)
from tests.privacy_sets import Message, Span, load

TEXT = "Penny Okonjo, mrn 44-0918, call (512) 555-0134"


def _message(text: str = TEXT, *, language: str = "en", slice_name: str = "names") -> Message:
    spans = [
        Span(start=0, end=12, type="PERSON", kind="full", origin="african"),
        Span(start=18, end=25, type="MRN", kind="cue"),
        Span(start=32, end=46, type="PHONE", kind="bare"),
    ]
    return Message(id="dev-1", text=text, spans=spans, language=language, slice=slice_name)


def _finds(*spans: tuple[int, int]) -> Find:
    return lambda _text: spans


def test_an_identifier_is_covered_when_every_letter_and_digit_is_whatever_the_punctuation() -> None:
    assert covered(TEXT, 32, 46, [(33, 36), (38, 41), (42, 46)])
    assert covered(TEXT, 0, 12, [(0, 25)])
    assert not covered(TEXT, 0, 12, [(0, 11)])
    assert not covered(TEXT, 18, 25, [(18, 20)])
    assert not covered(TEXT, 18, 25, [])


def test_every_identifier_is_measured_with_its_type_kind_and_origin() -> None:
    person, record, phone = measure([_message()], {"ours": _finds((0, 12), (18, 20)), "other": _finds((32, 46))})
    assert (person.text, person.type, person.kind, person.origin) == ("Penny Okonjo", "PERSON", "full", "african")
    assert person.found == {"ours": True, "other": False}
    assert record.found == {"ours": False, "other": False}
    assert phone.found == {"ours": False, "other": True}


def test_the_table_says_which_goals_are_missed() -> None:
    identifiers = measure([_message()], {"ours": _finds((0, 12))})
    lines = class_table(identifiers, ["ours"]).splitlines()
    (names,) = [line for line in lines if line.startswith("| **names: all** ")]
    (phones,) = [line for line in lines if line.startswith("| PHONE ")]
    assert names == "| **names: all** | 1 | 99 % | 100.0 % (20.7 to 100.0) |"
    assert phones == "| PHONE | 1 | 99.9 %, missed | 0.0 % (0.0 to 79.3) |"
    assert not any(line.startswith("| EMAIL ") for line in lines)


def test_every_type_of_the_sets_has_its_row() -> None:
    nothing: dict[str, Find] = {"none": _finds()}
    for identifier in measure(load("dev"), nothing):
        assert sum(row.counts(identifier) for row in ROWS) >= 2, identifier


def test_a_message_leaks_if_any_of_its_identifiers_is_left() -> None:
    whole = leak_row(measure([_message()], {"ours": _finds((0, 46))}), ["ours"])
    part = leak_row(measure([_message()], {"ours": _finds((0, 40))}), ["ours"])
    assert whole[1:] == [1, "1 %", "0.0 % (0.0 to 79.3)"]
    assert part[1:] == [1, "1 %", "100.0 % (20.7 to 100.0)"]


def test_clean_and_adversarial_messages_are_counted_apart() -> None:
    messages = [_message("x", slice_name="plain"), *(_message("y", slice_name="adv-drugs") for _ in range(3))]
    shown: list[str] = []
    rows = changed_rows(messages, {"ours": lambda text: [(0, 1)] if text == "y" else []}, shown.append)
    assert [row[1] for row in rows] == [1, 3]
    assert str(rows[0][3]).startswith("0.0 %")
    assert str(rows[1][3]).startswith("100.0 %")
    assert len(shown) == 3


def test_slices_and_origins_are_told_apart() -> None:
    identifiers = measure([_message(), _message(language="es")], {"ours": _finds((0, 12))})
    slices = slice_table(identifiers, ["ours"])
    assert "| Spanish | 3 | 33.3 %" in slices
    assert "| kind bare | 2 | 0.0 %" in slices
    assert "small letters" not in slices
    assert "| african | 2 | 100.0 %" in origin_table(identifiers, ["ours"])
    assert "0.0 points" in origin_table(identifiers, ["ours"])


def test_texts_that_are_timed_have_the_length_that_is_told() -> None:
    assert {len(text) for text in stretches(load("dev"))} == {200}


def test_remarks_are_no_kept_lines() -> None:
    assert lines_of("# a remark\n\nmetformin 500 mg\nbp 120/80\n") == ["metformin 500 mg", "bp 120/80"]


def test_the_rules_and_stock_presidio_are_measured_side_by_side() -> None:
    found = methods(learned=False)
    assert list(found) == ["rules alone", "stock Presidio"]
    assert list(found["rules alone"]("mrn 44-0918")) == [(4, 11)]
    assert (12, 27) in list(stock_presidio()("my email is lee@example.com"))


@pytest.mark.parametrize("held_out", [False, True])
def test_held_out_messages_are_never_shown(held_out: bool) -> None:
    clean = [_message(slice_name="plain"), _message(slice_name="adv-drugs")]
    texts = Texts([_message()] * 8, clean, ["metformin 500 mg"] if held_out else [], shown=not held_out)
    shown: list[str] = []
    text = report(texts, {"ours": _finds((0, 5))}, shown.append)
    assert bool(shown) != held_out
    assert ("drug names altered | 1 |" in text) == held_out
    assert not any(word in text for word in ("Okonjo", "0918", "metformin"))


def test_only_dev_may_be_shown() -> None:
    assert Texts.read("dev").shown
    assert not Texts.read("dev").kept
    assert not Texts.read("blind").shown
    assert len(Texts.read("blind").kept) == 1_000


def test_the_report_replaces_what_stood_between_its_markers(tmp_path: Path) -> None:
    document = tmp_path / "measurements.md"
    document.write_text(f"## Redaction\n\n{BEGIN}\nold\n{END}\n\n## Next\n", encoding="utf-8")
    write("new", document)
    assert document.read_text(encoding="utf-8") == f"## Redaction\n\n{BEGIN}\nnew\n{END}\n\n## Next\n"


def test_the_document_has_the_markers_in_its_section_on_redaction() -> None:
    document = REPORT.read_text(encoding="utf-8")
    section = document.split("\n## Redaction\n")[1].split("\n## ")[0]
    assert section.index(BEGIN) < section.index(END)
