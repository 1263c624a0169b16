"""Reading articles: right ones parse, broken ones are refused with file and line."""

from __future__ import annotations

import os
from contextlib import suppress
from datetime import date, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.errors import ConfigurationError
from app.knowledge.articles import MAX_BYTES, ArticleHead, parse_article, read_folder, render_article
from app.knowledge.passages import split
from tests.cost import seconds

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
        (("owner: Guest services", "owner: Guest services\n\n\ncolour: red"), 9, "unknown field; an article has id"),
        (("topic: visiting", "title: Another\ntopic: visiting"), 4, "in line 3 already"),
        (("topic: visiting", "topic: 2026"), 4, "write it in quotes"),
        (("reviewed: 2026-09-01", "reviewed: 2026-02-30"), 7, "day is out of range"),
        (("owner: Guest services", "owner: !!bool maybe"), 6, "not a value that can be read"),
        (("owner: Guest services", "owner: !!python/name:os.system x"), 6, "could not determine a constructor"),
        (('["Policy V-1"]', '&a ["Policy V-1"]\nasked: *a'), 2, "may not use"),
        (('["Policy V-1"]', "[" * 9 + "]" * 9), 2, "nested too deeply"),
        (("owner: Guest services", r'owner: "Guest\x00"'), 6, "control character"),
        (("owner: Guest services", r'owner: "Guest\nservices"'), 6, "one line"),
        (("owner: Guest services", r'owner: "\x3cb>Guest"'), 6, "HTML"),
        (("The garage costs", "The garage \x85 costs"), 15, "control character"),
        (("The garage costs", "The gar\ufffdge costs"), 15, "wrong encoding"),
        (("The garage costs", "The garage \u202ecosts"), 15, "order of letters"),
        (("The garage costs", "<!-- hidden\n\n--> The garage costs"), 15, "HTML"),
        (("The garage costs", "Click javascript:pay() The garage costs"), 15, "HTML"),
        (("review_by: 2027-09-01\n", ""), 2, "review_by"),
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
        (b"---\nid: parking\ntext", "front matter"),
        (GOOD.encode("utf-16"), "not UTF-8"),
        (GOOD.replace("free", "fr\u00e9e").encode("cp1252"), "x.md:11: not UTF-8"),
        (b"", "front matter"),
    ],
)
def test_files_that_are_no_articles_are_refused(data: bytes, fault: str) -> None:
    with pytest.raises(ConfigurationError, match=fault):
        parse_article(data, "x.md")


def test_every_fault_of_a_file_is_named_at_once() -> None:
    text = GOOD.replace("topic: visiting", "topic: v").replace("audience: patients", "audience: all")
    with pytest.raises(ConfigurationError) as caught:
        parse_article(text.replace("- Cash", "- <b>Cash</b>").encode(), "parking.md")
    assert [fault.split(" ")[0] for fault in str(caught.value).split("; ") if fault.startswith("parking.md")] == [
        "parking.md:4:",
        "parking.md:5:",
        "parking.md:17:",
    ]


@pytest.mark.parametrize(
    "text", ["If it is <b, call.\n\n> A quotation", "Less than 5 < x and y > 3", "a < 5 and b > 6"]
)
def test_a_smaller_sign_is_no_tag(text: str) -> None:
    assert text in parse_article(GOOD.replace("Parking is free", text).encode(), "parking.md").markdown


@pytest.mark.parametrize(
    "text",
    [
        GOOD + "<a" * 100_000,
        GOOD + "<" + " " * 200_000,
        GOOD.replace('["Policy V-1"]', "[" * 100_000),
        GOOD.replace('["Policy V-1"]', "\n" + "- " * 50_000),
        "\x01\n" * 130_000,
        GOOD + "<a\n" * 80_000 + ">",
        GOOD + "<!\n" * 80_000,
    ],
    ids=["tags", "spaces", "brackets", "lists", "control characters", "lines of tags", "lines of comments"],
)
def test_hostile_files_are_read_in_little_time(text: str) -> None:
    def read() -> None:
        with suppress(ConfigurationError):
            parse_article(text.encode(), "x.md")

    assert seconds(read, most=4) < 4  # half a second on free cores; a search that grows with the square took 7


@pytest.mark.parametrize("entity", ["&#x202e;", "&#8238;", "&#X2066;"])
def test_a_hidden_character_that_is_written_as_a_number_is_found_too(entity: str) -> None:
    with pytest.raises(ConfigurationError, match=r"^parking\.md:17: a hidden character"):
        parse_article(GOOD.replace("Cash is", f"Cash {entity}is").encode(), "parking.md")


def test_line_ends_and_marks_of_other_systems_change_nothing() -> None:
    plain = parse_article(GOOD.encode(), "parking.md")
    for text in (GOOD.replace("\n", "\r\n"), GOOD.replace("\n", "\r"), "\ufeff" + GOOD, "\n\n" + GOOD):
        other = parse_article(text.encode(), "parking.md")
        assert (other.head, other.markdown) == (plain.head, plain.markdown)
    assert (plain.line, plain.fields["review_by"]) == (11, 8)
    assert parse_article(b"\n\n" + GOOD.encode(), "parking.md").line == 13


def test_three_dashes_inside_a_value_do_not_end_the_front_matter() -> None:
    article = parse_article(GOOD.replace("Guest services", "Guest services ---").encode(), "parking.md")
    assert article.head.owner == "Guest services ---"


WORD_LINES = st.text(st.characters(exclude_categories=["Cc", "Cs", "Zl", "Zp"], exclude_characters="<\ufffd"))
VALUES = WORD_LINES.filter(lambda text: "javascript:" not in text.lower())
HEADS = st.builds(
    lambda days, **fields: ArticleHead(review_by=fields["reviewed"] + timedelta(days=days), **fields),
    days=st.integers(1, 2_000),
    id=st.from_regex(r"[a-z0-9][a-z0-9-]{1,80}", fullmatch=True),
    title=VALUES.map(lambda text: f"{text} ab"[-140:]).filter(lambda text: len(text) >= 3),
    topic=VALUES.map(lambda text: f"{text}: "[-60:]),
    audience=st.sampled_from(["patients", "caregivers", "parents"]),
    owner=VALUES.map(lambda text: f"- {text}"[:200]),
    reviewed=st.dates(date(1950, 1, 1), date(2200, 1, 1)),
    sources=st.lists(VALUES.map(lambda text: f"{text}#"[-500:]), min_size=1, max_size=4),
    asked=st.lists(VALUES.map(lambda text: f"why {text}"[:140]), max_size=12),
).filter(lambda head: not any("\u202a" <= c <= "\u202e" or "\u2066" <= c <= "\u2069" for c in head.model_dump_json()))
BODIES = st.lists(
    st.sampled_from(["---\n", "## A heading\n\n", "- one\n", "    code\n", "id: other\n", "\n\n", "a --- b"])
    | st.text(st.characters(exclude_categories=["Cc", "Cs"], exclude_characters="<\ufffd", max_codepoint=0x2020)),
    min_size=1,
).map("".join)


@given(HEADS, BODIES.filter(lambda text: text.strip() and "javascript:" not in text.lower()))
def test_a_file_that_is_written_is_read_as_the_same_article(head: ArticleHead, body: str) -> None:
    article = parse_article(render_article(head, body), "x.md")
    assert article.head == head
    assert article.markdown == body.strip() + "\n"


@pytest.mark.parametrize(
    "word", ["yes", "null", "2026-01-01", "1_000", "~ab", "'ab", "ab: c", "# ab", "*ab", "!ab", "0x1f"]
)
def test_words_that_yaml_takes_for_something_else_are_written_as_words(word: str) -> None:
    head = parse_article(GOOD.encode(), "parking.md").head.model_copy(update={"title": word, "sources": [word, "---"]})
    assert parse_article(render_article(head, "Text."), "x.md").head == head


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


def test_names_and_kinds_of_files_are_minded(tmp_path: Path) -> None:
    folder, outside = tmp_path / "articles", tmp_path / "outside.md"
    folder.mkdir()
    outside.write_text(GOOD)
    (folder / "parking.md").write_text(GOOD)
    (folder / "Parking.md").write_text(GOOD)
    (folder / "copy.md").write_text(GOOD)
    (folder / "loud.MD").write_text(GOOD)
    (folder / "out.md").symlink_to(outside)
    (folder / "broken.md").symlink_to(folder / "missing")
    (folder / "circle.md").symlink_to(folder / "circle.md")
    (folder / "folder.md").mkdir()
    os.mkfifo(folder / "pipe.md")
    (folder / "huge.md").write_bytes(b"x" * (MAX_BYTES + 5))
    (folder / "._parking.md").write_bytes(b"\x00")
    (folder / "notes.txt").write_text("not an article")
    articles, faults = read_folder(folder)
    assert [article.head.id for article in articles] == ["parking"]
    said = dict(fault.split(": ", 1) for fault in faults)
    assert said == {
        "Parking.md": "differs from parking.md in case only; give it another name and id",
        "broken.md": "cannot be read (No such file or directory)",
        "circle.md": said["circle.md"],
        "copy.md:2": "id 'parking' must equal the file name; parking.md is there already",
        "folder.md": "is not a file",
        "huge.md": f"{MAX_BYTES + 5} bytes; an article may have at most {MAX_BYTES}",
        "loud.MD": "the name must end in .md, in small letters",
        "out.md": "is a link that leads out of the folder; copy the file here",
        "pipe.md": "is not a file",
    }
    assert said["circle.md"].startswith("cannot be read")


def test_a_link_that_stays_in_the_folder_is_followed(tmp_path: Path) -> None:
    (tmp_path / "..data").mkdir()
    (tmp_path / "..data" / "parking.md").write_text(GOOD)
    (tmp_path / "parking.md").symlink_to(tmp_path / "..data" / "parking.md")
    articles, faults = read_folder(tmp_path)
    assert ([article.head.id for article in articles], faults) == (["parking"], [])


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


def test_every_article_of_the_demo_hospital_is_right() -> None:
    articles, faults = read_folder(Path(__file__).parents[3] / "demo" / "articles")
    assert faults == []
    assert len(articles) >= 80
