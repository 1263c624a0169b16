"""`bedside articles`: what people and scripts see of checks, versions, reviews, exports and searches."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from app.chat.pipeline import Bounds
from app.cli.articles import (
    due_as_json,
    due_in_words,
    explained,
    in_words,
    version_as_json,
    version_in_words,
)
from app.cli.program import app
from app.contracts.passages import Passage
from app.errors import ConfigurationError
from app.knowledge.candidates import Likeness
from app.knowledge.index import Explanation
from app.knowledge.query import Query
from app.knowledge.repository import ArticlePage, Version

DEMO = Path(__file__).parents[3] / "demo"
Run = Callable[..., Result]


def write(folder: Path, name: str, text: str, *, owner: str = "Guest services", days: int = 200) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.md"
    path.write_text(
        f"---\nid: {name}\ntitle: About {name}\ntopic: visiting\naudience: patients\nowner: {owner}\n"
        f"reviewed: 2020-01-01\nreview_by: {date.today() + timedelta(days=days)}\nsources: [Policy]\n---\n\n{text}\n",
        encoding="utf-8",
    )
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The articles of a small site."""
    write(tmp_path / "site" / "articles", "parking", "## What does it cost?\n\nThe garage costs $2 an hour.", days=30)
    write(tmp_path / "site" / "articles", "visiting", "Visitors may come until 8 p.m.", owner="Nursing", days=-3)
    shutil.copy(DEMO / "site.yaml", tmp_path / "site")
    return tmp_path / "site" / "articles"


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs a command of an installation that has neither engine nor articles."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("BEDSIDE_ENGINE", "off")

    def command(*arguments: str | Path) -> Result:
        return CliRunner().invoke(app, ["articles", *map(str, arguments)])

    return command


def test_check_of_a_folder_without_articles_names_the_right_one(run: Run, folder: Path) -> None:
    result = run("check", str(folder.parent))
    assert result.exit_code == 1
    assert f"say {folder.parent / 'articles'}" in str(result.exception)


def test_check_names_faults_and_warnings_by_line_and_fails_for_faults_only(run: Run, folder: Path) -> None:
    result = run("check", folder)
    assert (result.exit_code, result.stdout) == (0, "2 articles are right, 0 have faults, 1 warnings\n")
    assert result.stderr.startswith("warning: visiting.md:8: review_by")
    write(folder, "broken", "See [it](javascript&colon;x) and [that](gone.md).\n\nAnd <b>this</b>.")
    write(folder, "other", "See [it](gone.md).\n[More](https://elsewhere.example) at www.cedarvalley.example.")
    result = run("check", folder)
    assert (result.exit_code, result.stdout) == (1, "2 articles are right, 2 have faults, 1 warnings\n")
    assert [line.split(": ")[0] for line in result.stderr.splitlines()] == ["broken.md:14", "other.md:12", "warning"]
    write(folder, "gone", "Here.")
    (folder / "broken.md").unlink()
    assert "warning: other.md:13: elsewhere.example is not in allowed_links" in run("check", folder).stderr


def test_an_import_with_faults_is_refused_before_anything_is_opened(run: Run, folder: Path) -> None:
    (folder / "broken.md").write_text("no front matter")
    result = run("import", folder)
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.splitlines()[0].startswith("broken.md:1: ")
    assert result.stderr.splitlines()[-1] == "nothing was imported; mend the faults, or give --keep-going"


def test_a_missing_folder_is_said(run: Run, tmp_path: Path) -> None:
    assert isinstance(run("check", tmp_path / "missing").exception, ConfigurationError)


def test_the_life_of_a_folder(
    run: Run, folder: Path, database_url: str, encoder_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / "encoder").symlink_to(encoder_folder)
    monkeypatch.setenv("BEDSIDE_STATE", str(tmp_path / "state"))
    monkeypatch.setenv("BEDSIDE_DATABASE_URL", database_url)
    monkeypatch.setenv("BEDSIDE_SITE", str(folder.parent))
    (folder / "broken.md").write_text("no front matter")
    result = run("import", "--keep-going")
    assert result.stdout == "2 stored (2 passages), 0 unchanged, 0 withdrawn\n"
    assert result.stderr.splitlines()[0].startswith("broken.md:1: ")

    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "more.md").write_text("more")
    assert isinstance(run("export", tmp_path / "out").exception, ConfigurationError)
    result = run("export", tmp_path / "out", "--force")
    assert result.stdout == f"2 articles written to {tmp_path / 'out'}\n"
    assert result.stderr == "warning: more.md lies in the folder too and is no current article\n"
    assert (tmp_path / "out" / "parking.md").read_bytes() == (folder / "parking.md").read_bytes()

    found = json.loads(run("ask", "what does the garrage cost", "--json").stdout)
    assert found["corrected"] == {"garrage": "garage"}
    assert [(article["id"], article["version"]) for article in found["articles"]] == [("parking", 1)]

    write(folder, "draft", "Nobody has approved this.")
    found = json.loads(run("ask", "what is approved", "--site", folder.parent, "--json").stdout)
    assert {article["id"] for article in found["articles"]} == {"draft", "parking"}
    assert "draft" not in run("list").stdout  # a trial stays out of the database of the service


def test_a_version_is_shown_with_its_dates_hash_and_answers() -> None:
    stored = datetime(2026, 5, 4, 3, 2, tzinfo=UTC)
    version = Version(2, "Parking", "Guests", date(2026, 1, 1), date(2027, 1, 1), stored, "ab" * 32, True, 7)
    assert version_in_words(version) == (
        "v2   current  stored 2026-05-04 03:02  reviewed 2026-01-01  review by 2027-01-01  abababababab  7 answers"
    )
    assert "unknown" in version_in_words(replace(version, sha256=None))
    assert version_as_json(version) == {
        "version": 2, "current": True, "title": "Parking", "owner": "Guests", "reviewed": "2026-01-01",
        "review_by": "2027-01-01", "stored_at": "2026-05-04T03:02:00+00:00", "sha256": "ab" * 32, "answers": 7,
    }  # fmt: skip


def test_reviews_that_are_due_are_shown_by_owner() -> None:
    today = date(2026, 6, 1)
    pages = [
        ArticlePage(name, 1, name.title(), "", "", owner, date(2025, 1, 1), today + timedelta(days=days), [], "")
        for name, owner, days in [("visiting", "Guests", -1), ("parking", "Guests", 0), ("billing", "Nursing", 9)]
    ]
    lines = [" ".join(line.split()) for line in due_in_words(pages, today)]
    assert lines == [
        "Guests",
        "2026-05-31 visiting Visiting EXPIRED: not cited",
        "2026-06-01 parking Parking",
        "Nursing",
        "2026-06-10 billing Billing",
    ]
    shown = [due_as_json(page, today) for page in pages]
    assert [(line["days"], line["expired"]) for line in shown] == [(-1, True), (0, False), (9, False)]


LIKENESS = Likeness(0.5, 0.25, 0.75, 0.125, 0.375)


def explanation(*scores: float, corrected: dict[str, str] | None = None) -> Explanation:
    names = [f"article-{place}" for place, _ in enumerate(scores, start=1)]
    passages = [
        Passage(f"{name}#{n}", name, 3, name.title(), "Cost?", "word " * 60, date(2026, 1, 1), date(2027, 1, 1), 0.5)
        for name in names
        for n in range(1, 6)
    ]
    return Explanation(
        Query("where is parking", ("where", "is", "parking"), ("garage",)),
        corrected or {},
        [(name, LIKENESS, score) for name, score in zip(names, scores, strict=True)],
        [(passage, LIKENESS) for passage in passages],
        {f"{name}#1": 1.5 for name in names},
    )


def test_an_explanation_has_likenesses_verdicts_and_versions() -> None:
    shown = explained(explanation(0.7, 0.5, 0.2, 0.1), Bounds(similarity=0.4, sure_similarity=0.6), limit=3)
    assert shown["bounds"] == {"found": 0.4, "sure": 0.6}
    assert [(a["score"], a["verdict"]) for a in shown["articles"]] == [
        (0.7, "sure"),
        (0.5, "found"),
        (0.2, "not found"),
    ]
    first = shown["articles"][0]
    assert (first["id"], first["version"], first["reviewed"], first["review_by"]) == (
        "article-1", 3, "2026-01-01", "2027-01-01",
    )  # fmt: skip
    assert first["likeness"] == {"passage": 0.5, "heading": 0.25, "phrases": 0.75, "words": 0.125, "tokens": 0.375}
    assert [passage["id"] for passage in first["passages"]] == [f"article-1#{n}" for n in range(1, 6)]
    assert [passage["answers"] for passage in first["passages"]] == [1.5, None, None, None, None]
    bounds = Bounds(similarity=0.4, sure_similarity=0.6)
    on_the_bounds = explained(explanation(0.6, 0.4), bounds, limit=3)["articles"]
    assert [article["verdict"] for article in on_the_bounds] == ["sure", "found"]


def test_an_explanation_in_words_is_short_and_says_what_was_changed() -> None:
    corrected = {"prking": "parking"}
    lines = list(in_words(explained(explanation(0.7, corrected=corrected), Bounds(similarity=0.4), limit=3)))
    assert lines[:3] == ["searched for: where is parking", "corrected: prking to parking", "added: garage"]
    assert "1. Article-1  0.70 sure" in lines
    assert "   article-1 v3, reviewed 2026-01-01, review by 2027-01-01" in lines
    assert "   passage 0.50  heading 0.25  phrases 0.75  words 0.12  tokens 0.38" in lines
    assert len([line for line in lines if line.endswith("word ...")]) == 3
    assert len([line for line in lines if line.endswith("answers +1.50)")]) == 1
    assert len([line for line in lines if line.endswith("not read again)")]) == 2
    assert max(map(len, lines)) < 180


def test_a_site_without_articles_is_said() -> None:
    lines = list(in_words(explained(explanation(), Bounds(), limit=3)))
    assert lines[-1] == "no article can be cited: none is imported, or all are past their day"
