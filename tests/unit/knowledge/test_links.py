"""Links of articles: what they lead to, where they stand, and how the page shows them."""

from __future__ import annotations

import pytest

from app.knowledge.links import Link, Target, headings, links, target, to_html


@pytest.mark.parametrize(
    ("href", "found"),
    [
        ("parking.md", Target("article", "parking")),
        ("./parking.md#what-does-it-cost", Target("article", "parking", "what-does-it-cost")),
        ("/articles/parking", Target("article", "parking")),
        ("#d%C3%ADa", Target("article", "", "día")),
        ("https://WWW.Cedarvalley.example/a?b", Target("host", "www.cedarvalley.example")),
        ("//cdn.example/x", Target("host", "cdn.example")),
        ("tel:515-555-0100", Target("contact")),
        ("mailto:help@cedarvalley.example", Target("contact")),
        ("https://www.cedarvalley.example@evil.example/", Target("account")),
        ("JavaScript:alert(1)", Target("scheme", "javascript")),
        ("java\tscript:alert(1)", Target("scheme", "javascript")),
        (" data:text/html,x", Target("scheme", "data")),
        ("file:///etc/passwd", Target("scheme", "file")),
        ("../parking.md", Target("nowhere", "../parking.md")),
        ("/console/", Target("nowhere", "/console/")),
        ("parking.md?a=1", Target("nowhere", "parking.md?a=1")),
        ("https://[x", Target("nowhere", "https://[x")),
    ],
)
def test_what_a_link_leads_to(href: str, found: Target) -> None:
    assert target(href) == found


def test_links_are_found_with_their_lines_however_they_are_written() -> None:
    markdown = (
        "See\n[a](java&#115;cript:x) and\n![map](map.png).\n\n- one\n- [b][ref]\n\n"
        "`[code](javascript:x)`\n\n[ref]: vbscript:x\n"
    )
    assert links(markdown) == [
        Link(1, Target("scheme", "javascript"), False),
        Link(2, Target("nowhere", "map.png"), True),
        Link(5, Target("scheme", "vbscript"), False),
    ]


def test_repeated_headings_have_anchors_of_their_own() -> None:
    found = headings("# Parking\n\n## What does it `cost`?\n\nText.\n\n## What does it cost?\n")
    assert [(heading.line, heading.text, heading.anchor) for heading in found] == [
        (0, "Parking", "parking"),
        (2, "What does it cost?", "what-does-it-cost"),
        (6, "What does it cost?", "what-does-it-cost-1"),
    ]


def test_the_page_has_the_anchors_and_leads_to_other_pages() -> None:
    html = to_html('# Title\n\n## "Free" hours?\n\n[a](parking.md#free-hours) [b](./parking.md) [c](#free-hours)\n')
    assert "<h1>Title</h1>" in html
    assert '<h2 id="free-hours">' in html
    assert 'href="parking#free-hours"' in html
    assert 'href="parking"' in html
    assert 'href="#free-hours"' in html


def test_the_page_has_no_dangerous_link_and_no_html() -> None:
    html = to_html('[a](javascript:x) [b](data:text/html,x) <b>c</b>\n\n## <i>d</i> "e\n')
    assert "href" not in html
    assert "<b>" not in html
    assert "<i>" not in html
    assert 'id="idi-e"' in html


def test_raw_html_never_reaches_the_page() -> None:
    assert to_html("<script>x</script>") == "<p>&lt;script&gt;x&lt;/script&gt;</p>\n"
