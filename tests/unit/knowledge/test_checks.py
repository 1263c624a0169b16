"""What `bedside articles check` says about articles together: links, hosts, expiry, length, near-copies."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from app.encoder.encoder import Encoder
from app.encoder.reach import open_reach
from app.knowledge.checks import sound_articles
from app.knowledge.service import check_folder

TODAY = date(2026, 6, 1)
HOSTS = ["https://www.cedarvalley.example/"]
DEMO = Path(__file__).parents[3] / "demo"


def write(folder: Path, name: str, text: str, *, title: str = "", review_by: str = "2027-01-01") -> None:
    folder.mkdir(exist_ok=True)
    (folder / f"{name}.md").write_text(
        f"---\nid: {name}\ntitle: {title or name}\ntopic: visiting\naudience: patients\nowner: Guest services\n"
        f"reviewed: 2025-01-01\nreview_by: {review_by}\nsources: [Policy]\n---\n\n{text}\n",
        encoding="utf-8",
    )


def faults(folder: Path) -> list[str]:
    return [str(fault) for fault in sound_articles(folder)[1]]


def warned(folder: Path, encoded: int = 10_000) -> list[str]:
    checked = check_folder(folder, HOSTS, TODAY, lambda text: min(len(text), encoded))
    assert checked.faults == []
    return [str(warning) for warning in checked.warnings]


@pytest.mark.parametrize(
    ("link", "fault"),
    [
        ("javascript:alert(1)", "HTML or script"),
        ("java&#115;cript:alert(1)", "may not begin with javascript:"),
        ("data:text/html,x", "may not begin with data:"),
        ("https://me:secret@www.cedarvalley.example", "a name to sign in with"),
        ("../other.md", "leads nowhere"),
        ("gone.md", "no article 'gone'"),
        ("visiting.md#when", "visiting has no heading 'when'; it has at-night"),
        ("#cost", "parking has no heading 'cost'"),
    ],
)
def test_broken_and_dangerous_links_are_faults_with_their_line(tmp_path: Path, link: str, fault: str) -> None:
    write(tmp_path, "parking", f"## Where?\n\nIn the garage.\nSee [this]({link}).")
    write(tmp_path, "visiting", "## At night\n\nAsk the nurse.")
    articles, found = sound_articles(tmp_path)
    assert [article.head.id for article in articles] == ["visiting"]
    assert [(f.file, f.line) for f in found] == [("parking.md", 15)]
    assert fault in found[0].text


def test_right_links_are_no_faults(tmp_path: Path) -> None:
    write(
        tmp_path,
        "parking",
        "## Where?\n\n[a](visiting.md#at-night) [b](#where) [c](/articles/visiting) [d](tel:515-555-0100)",
    )
    write(tmp_path, "visiting", "## At night\n\nAsk. [e](https://www.cedarvalley.example/visit)")
    assert faults(tmp_path) == []
    assert warned(tmp_path) == []


def test_a_link_to_an_article_with_faults_of_its_own_is_no_second_fault(tmp_path: Path) -> None:
    write(tmp_path, "parking", "See [the hours](visiting.md#at-night).")
    (tmp_path / "visiting.md").write_text("no front matter")
    assert [fault.split(":")[0] for fault in faults(tmp_path)] == ["visiting.md"]


def test_hosts_that_no_answer_may_name_are_warned_of(tmp_path: Path) -> None:
    write(
        tmp_path,
        "parking",
        "Pay at www.cedarvalley.example.\nOr see [it](https://pay.example/x).\n\nOr www.pay.example.",
    )
    assert [warning.split(" is not")[0] for warning in warned(tmp_path)] == [
        "parking.md:13: pay.example",
        "parking.md:15: www.pay.example",
    ]


def test_an_article_past_its_day_is_warned_of_at_the_field(tmp_path: Path) -> None:
    write(tmp_path, "parking", "Text.", review_by=str(TODAY))
    assert warned(tmp_path) == []
    write(tmp_path, "parking", "Text.", review_by="2026-05-31")
    assert warned(tmp_path) == ["parking.md:8: review_by 2026-05-31 is past: never cited"]


def test_pictures_are_warned_of(tmp_path: Path) -> None:
    write(tmp_path, "parking", "Text.\n\n![The garage](https://www.cedarvalley.example/map.png)")
    assert warned(tmp_path) == ["parking.md:14: pictures are not shown; say in words what this one shows"]


def test_a_passage_that_the_encoder_cuts_is_warned_of_at_its_heading(tmp_path: Path) -> None:
    write(tmp_path, "parking", "Short.\n\n## Long\n\n" + "word " * 40)
    found = warned(tmp_path, encoded=100)
    assert len(found) == 1
    assert found[0].startswith('parking.md:14: a passage under "Long" is too long')
    assert f"its last {len('parking. Long. ' + ('word ' * 40).strip()) - 100} characters" in found[0]


def test_reach_is_what_the_encoder_reads(encoder: Encoder) -> None:
    reach = open_reach()
    assert reach("A short text.") == len("A short text.")
    long = " ".join(f"Number {n} of many." for n in range(200))
    read = reach(long)
    assert 0 < read < len(long)
    whole, cut, less = encoder.embed([long, long[:read], long[: read - 12]])
    assert whole @ cut > 0.99999
    assert whole @ less < 0.99999


def test_near_copies_and_equal_titles_are_warned_of(tmp_path: Path) -> None:
    text = " ".join(f"Sentence {n} says where to leave your car on level {n}." for n in range(12))
    write(tmp_path, "east-garage", text, title="East garage")
    write(tmp_path, "west-garage", text.replace("level 3", "level 9"), title="East  Garage")
    write(tmp_path, "visiting", "Visitors may come from 8 a.m. to 8 p.m. on any day of the week.", title="Visiting")
    found = warned(tmp_path)
    assert [warning.split(":")[:2] for warning in found] == [["west-garage.md", "3"], ["west-garage.md", "12"]]
    assert "same title as east-garage.md" in found[0]
    assert "nearly equal to east-garage.md (9" in found[1]


def test_the_demo_hospital_has_neither_faults_nor_warnings_but_expiry() -> None:
    checked = check_folder(
        DEMO / "articles", ["www.cedarvalley.example", "chart.cedarvalley.example"], TODAY, open_reach()
    )
    assert checked.faults == []
    assert [str(w) for w in checked.warnings] == []
