"""Reading articles: right ones parse, broken ones are refused with file and line."""

from __future__ import annotations

from pathlib import Path

import pytest

from app.errors import ConfigurationError
from app.knowledge.articles import MAX_BYTES, parse_article, read_folder, to_html
from app.knowledge.passages import split

GOOD = """---
id: parking
title: Parking at the hospital
topic: visiting
audience: patients
owner: Guest services
reviewed: 2026-09-01
review_by: 2027-09-01
sources: ["Policy V-1"]
---
Parking is free for the first hour.

## What does it cost?

The garage costs $2 an hour.

- Cash is taken at the exit.
- Cards are taken at every machine.
"""


def test_a_right_article_parses() -> None:
    article = parse_article(GOOD.encode(), "parking.md")
    assert article.head.id == "parking"
    assert article.head.review_by.year == 2027
    assert article.markdown.startswith("Parking is free")


@pytest.mark.parametrize(
    ("change", "line", "fault"),
    [
        (("title: Parking at the hospital", "title: P"), 3, "title"),
        (("reviewed: 2026-09-01", "reviewed: soon"), 7, "reviewed"),
        (("topic: visiting", "topic: [visiting"), 5, "YAML"),
        (("owner: Guest services", "owner: Guest services\ncolour: red"), 7, "colour"),
        (("The garage costs", "<script>alert(1)</script> The garage costs"), 15, "HTML"),
        (("The garage costs", "<b>The</b> garage costs"), 15, "HTML"),
        (("The garage costs", "The \x00 garage costs"), 15, "control character"),
        (("review_by: 2027-09-01", "review_by: 2025-09-01"), 2, "review_by must be after"),
        (("sources:", "asked: [no]\nsources:"), 9, "asked"),
        (("sources:", "asked: [ab]\nsources:"), 9, "at least 3"),
        (("sources:", f"asked: ['{'a' * 141}']\nsources:"), 9, "at most 140"),
        (("sources:", "asked: ['where do i park', 12]\nsources:"), 9, "asked"),
        (("sources:", f"asked: {['where to park'] * 13}\nsources:"), 9, "at most 12"),
        (("sources:", 'asked: ["two\\nlines"]\nsources:'), 9, "asked"),
    ],
)
def test_a_broken_article_is_refused_with_file_and_line(change: tuple[str, str], line: int, fault: str) -> None:
    with pytest.raises(ConfigurationError, match=fault) as caught:
        parse_article(GOOD.replace(*change).encode(), "parking.md")
    assert f"parking.md:{line}" in str(caught.value)


@pytest.mark.parametrize(
    ("data", "fault"),
    [
        (b"no front matter", "front matter"),
        (b"\xff\xfe\x00bad", "not UTF-8"),
        (GOOD.encode() + b"x" * MAX_BYTES, "at most"),
        (GOOD.split("Parking is free")[0].encode(), "no text"),
        (b"---\n- a\n- b\n---\ntext", "field: value"),
    ],
)
def test_files_that_are_no_articles_are_refused(data: bytes, fault: str) -> None:
    with pytest.raises(ConfigurationError, match=fault):
        parse_article(data, "x.md")


def test_phrases_that_patients_use_are_read_and_may_be_missing() -> None:
    assert parse_article(GOOD.encode(), "parking.md").head.asked == []
    text = GOOD.replace("sources:", "asked:\n  - where do i leave my car\n  - 'parking: how much'\nsources:")
    assert parse_article(text.encode(), "parking.md").head.asked == ["where do i leave my car", "parking: how much"]


def test_a_folder_gives_the_right_ones_and_names_the_faulty(tmp_path: Path) -> None:
    (tmp_path / "parking.md").write_text(GOOD)
    (tmp_path / "other.md").write_text(GOOD)  # its id is another one's
    articles, faults = read_folder(tmp_path)
    assert [article.head.id for article in articles] == ["parking"]
    assert len(faults) == 1
    assert "other.md:2" in faults[0]
    with pytest.raises(ConfigurationError, match="not a folder"):
        read_folder(tmp_path / "missing")


def test_passages_follow_headings_and_keep_lists_with_their_text() -> None:
    pieces = split(parse_article(GOOD.encode(), "parking.md").markdown)
    assert [piece.heading for piece in pieces] == ["", "What does it cost?"]
    assert pieces[1].text == (
        "The garage costs $2 an hour.\n- Cash is taken at the exit.\n- Cards are taken at every machine."
    )


def test_long_sections_are_split_between_paragraphs_only() -> None:
    paragraphs = [f"Sentence number {n} of a long section that goes on for a while." for n in range(30)]
    pieces = split("## Long\n\n" + "\n\n".join(paragraphs), target=300)
    assert len(pieces) > 5
    assert [line for piece in pieces for line in piece.text.split("\n")] == paragraphs


def test_raw_html_never_reaches_the_page() -> None:
    assert "<script>" not in to_html("<script>x</script>")


def test_every_article_of_the_demo_hospital_is_right() -> None:
    articles, faults = read_folder(Path(__file__).parents[3] / "demo" / "articles")
    assert faults == []
    assert len(articles) >= 80
