"""docs/security-controls.md cannot rot: each row has a state and a proof that exists, and what it counts is counted."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import pytest

from tests.unit.docs.test_clinical_safety import functions_of

ROOT = Path(__file__).resolve().parents[3]
TEXT = (ROOT / "docs/security-controls.md").read_text(encoding="utf-8")
STATES = ("met", "partly", "not met", "hospital's part")
TEST_ID = re.compile(r"tests/[\w/]+\.py::\w+")
POINT = re.compile(r"^- \*\*(\w+):\*\*\s+(.+?)(?=^- \*\*|\Z)", re.MULTILINE | re.DOTALL)
CHAPTERS = {1, 2, 3, 4, 5, 6, 7, 8, 11, 12, 13, 14, 15, 16}
"""Of the seventeen of ASVS 5.0; tokens that hold their own content, OAuth and WebRTC do not apply."""

ROWS: dict[str, dict[str, str]] = {
    heading: dict(POINT.findall(body))
    for heading, body in re.findall(r"^#### (.+?)\n(.+?)(?=^#{2,4} |\Z)", TEXT, re.MULTILINE | re.DOTALL)
}


def state(heading: str) -> str:
    """The state that a row gives itself."""
    return ROWS[heading]["State"].strip()


@pytest.mark.parametrize("test_id", sorted(set(TEST_ID.findall(TEXT))))
def test_every_named_test_exists(test_id: str) -> None:
    name, _, function = test_id.partition("::")
    assert (ROOT / name).is_file(), f"there is no {name}"
    assert function in functions_of(name), f"{name} has no {function}"


def test_every_named_file_and_setting_exists() -> None:
    paths = {span.partition("::")[0] for span in re.findall(r"`([^`\s]+)`", TEXT) if re.match(r"[a-z][\w.-]+/", span)}
    assert len(paths) > 50
    assert sorted(path for path in paths if path != "application/problem+json" and not (ROOT / path).exists()) == []
    settings = (ROOT / "app/settings.py").read_text(encoding="utf-8")
    named = re.findall(r"`BEDSIDE_(\w+)", TEXT)
    assert [name for name in named if not re.search(rf"^    {name.lower()}: ", settings, re.MULTILINE)] == []


@pytest.mark.parametrize("heading", ROWS)
def test_a_row_is_whole(heading: str) -> None:
    row = ROWS[heading]
    assert set(row) <= {"Asks", "Bedside", "Limits", "Missing", "Proof", "State"}
    assert list(row)[-1] == "State"
    assert {"Asks", "Bedside"} <= set(row)
    assert state(heading) in STATES
    assert re.search(r"`((app|training|docker|requirements)/[\w./-]+|docker-compose\.yml)`", row["Bedside"]), "where?"
    assert ("Missing" in row) == (state(heading) != "met"), "what is missing says why a row is not met"
    if state(heading) != "not met":
        assert TEST_ID.search(row.get("Proof", "")), "which test proves it?"


def test_tables_and_rows_tell_the_same_states_in_the_same_order() -> None:
    told = re.findall(r"^\| \[(.+?)\]\(#.+?\) \|(?: .+? \|)? ([^|]+) \|$", TEXT, re.MULTILINE)
    assert told == [(heading, state(heading)) for heading in ROWS]


def test_the_conclusion_counts_right() -> None:
    counts = Counter(map(state, ROWS))
    told = re.search(
        r"Of (\d+) rows (\d+) are met, (\d+) partly met, (\d+) not met and (\d+) the hospital's part",
        " ".join(TEXT.replace("\n> ", " ").split()),
    )
    assert told is not None
    assert [int(number) for number in told.groups()] == [len(ROWS), *(counts[name] for name in STATES)]


def test_no_requirement_is_left_out() -> None:
    assert [h.split(".")[0] for h in ROWS if h[0] == "S"] == [f"S{n}" for n in range(1, 13)]
    asked = re.findall(r"^\| \[S\d+\..+?\| (\([a-e]\).*?) (?:[RA] )?\|", TEXT, re.MULTILINE)
    assert asked == [
        "(a)(1)", "(a)(2)(i)", "(a)(2)(ii)", "(a)(2)(iii)", "(a)(2)(iv)", "(b)", "(c)(1)", "(c)(2)", "(d)", "(e)(1)",
        "(e)(2)(i)", "(e)(2)(ii)",
    ]  # fmt: skip
    assert {int(n) for n in re.findall(r"^V(\d+)\.", "\n".join(ROWS), re.MULTILINE)} == CHAPTERS
    assert [h.split(".")[0] for h in ROWS if h.startswith("LLM")] == [f"LLM{n:02}" for n in range(1, 11)]


@pytest.mark.parametrize("page", ["README.md", "docs/security.md"])
def test_the_page_is_found(page: str) -> None:
    assert "security-controls.md)" in (ROOT / page).read_text(encoding="utf-8")
