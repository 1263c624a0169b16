"""All pages of docs/ and the changelog: links lead somewhere, commands and targets exist, decisions are numbered."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import typer

from app.cli.program import app as program

ROOT = Path(__file__).resolve().parents[3]
PAGES = [*sorted((ROOT / "docs").rglob("*.md")), ROOT / "CHANGELOG.md"]
DECISIONS = sorted((ROOT / "docs/decisions").glob("*.md"))
COMMAND = re.compile(r"(?:^|(?<=\s))bedside ((?:[a-z][a-z-]* ?){1,2})", re.MULTILINE)


def anchors(text: str) -> set[str]:
    """The anchors of a page's headings, as code hosts make them."""
    heads = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", head).strip().lower().replace(" ", "-") for head in heads}


def code(text: str) -> str:
    """All code of a page: blocks and spans."""
    blocks = re.findall(r"^```\w*\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    rest = re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)
    return "\n".join([*blocks, *re.findall(r"`([^`\n]+)`", rest)])


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)]+)\)", page.read_text()):
        if target.startswith(("http://", "https://")):
            continue
        name, _, anchor = target.partition("#")
        other = (page.parent / name).resolve() if name else page
        assert other.exists(), f"{page.name}: {target}"
        if anchor:
            assert anchor in anchors(other.read_text()), f"{page.name}: {target}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_make_targets_and_files_exist(page: Path) -> None:
    text = code(page.read_text())
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert set(re.findall(r"\bmake ([a-z-]+)", text)) <= targets
    named = re.findall(r"(?<![\w/.-])((?:app|docker|requirements|demo|training|tests|migrations)/[\w./-]*[\w/])", text)
    assert [name for name in named if not (ROOT / name).exists()] == []


def test_commands_exist() -> None:
    """Every `bedside COMMAND [SUBCOMMAND]` of the pages is one of the program's."""
    tree = typer.main.get_command(program)
    used = [words.split() for page in PAGES for words in COMMAND.findall(code(page.read_text()))]
    assert ["adapters", "promote"] in used
    for words in used:
        found: Any = tree
        for word in words:
            if not hasattr(found, "commands"):
                break
            assert word in found.commands, f"bedside {' '.join(words)}"
            found = found.commands[word]


def test_decisions_are_numbered_and_whole() -> None:
    assert [path.name[:4] for path in DECISIONS] == [f"{number:04}" for number in range(1, len(DECISIONS) + 1)]
    for path in DECISIONS:
        text = path.read_text()
        assert re.match(rf"# {int(path.name[:4])}\. \S", text), path.name
        assert re.search(r"^Status: (accepted|superseded by \[\d+\]\(.+\)), \d{4}-\d{2}-\d{2}$", text, re.MULTILINE), (
            path.name
        )
        heads = re.findall(r"^## (.+)$", text, re.MULTILINE)
        assert [*heads[:2], heads[-1]] == ["Why", "What was decided", "What follows"], path.name


def test_changelog_knows_this_version() -> None:
    version = re.search(r'^version = "([^"]+)"', (ROOT / "pyproject.toml").read_text(), re.MULTILINE)
    assert version is not None
    text = (ROOT / "CHANGELOG.md").read_text()
    assert re.search(rf"^## \[{re.escape(version[1])}\] - (unreleased|\d{{4}}-\d{{2}}-\d{{2}})$", text, re.MULTILINE)
    assert set(re.findall(r"^### (\w+)$", text, re.MULTILINE)) <= {
        "Added",
        "Changed",
        "Deprecated",
        "Removed",
        "Fixed",
        "Security",
    }
