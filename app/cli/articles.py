"""`bedside articles`: check, import, export and follow approved articles, and see why a question finds one."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterable
from datetime import date
from itertools import groupby
from pathlib import Path
from typing import Annotated, Any

import typer

from app.bootstrap import Runtime, load_articles, runtime
from app.chat.pipeline import Bounds
from app.chat.search import search_text
from app.cli.administration import with_runtime
from app.cli.ask import database_name, note
from app.cli.lines import write
from app.cli.unanswered import unanswered
from app.contracts.passages import Passage
from app.contracts.site import load_site
from app.encoder.reach import open_reach
from app.errors import ConfigurationError
from app.knowledge.candidates import Likeness
from app.knowledge.export import refuse_used, write_folder
from app.knowledge.index import Explanation
from app.knowledge.repository import ArticlePage, Version
from app.knowledge.service import Checked, check_folder
from app.redaction.vault import MemoryVault
from app.settings import Settings

articles = typer.Typer(
    help="Approved articles: check, import, export, ask, list, history, due, unanswered.", no_args_is_help=True
)
articles.command("unanswered")(unanswered)
Folder = Annotated[Path | None, typer.Argument(help="Folder of .md files. Default: the site's articles/.")]
AsJson = Annotated[bool, typer.Option("--json", help="JSON, one object a line.")]

_PASSAGES, _CHARACTERS = 3, 160
"""Passages of an article, and characters of a passage, that are shown to people."""


@articles.command("check")
def check(folder: Folder = None) -> None:
    """Read every article as an import does and say file and line of each fault and warning.

    Exit status 1 if there is a fault. Links are held against allowed_links of the site.yaml beside the folder, else of
    the configured site.
    """
    checked = _checked(folder)
    faulty = len({fault.file for fault in checked.faults})
    print(f"{len(checked.articles)} articles are right, {faulty} have faults, {len(checked.warnings)} warnings")
    raise typer.Exit(1 if checked.faults else 0)


@articles.command("import")
def import_(
    folder: Folder = None,
    keep_going: Annotated[bool, typer.Option(help="Import the right ones even if others have faults.")] = False,
) -> None:
    """Bring the index to what the folder holds; only texts that changed are embedded anew.

    Articles that the folder lacks are withdrawn. With faults nothing is imported, unless --keep-going: then a faulty
    article keeps its last good version.
    """
    checked = _checked(folder)
    if checked.faults and not keep_going:
        print("nothing was imported; mend the faults, or give --keep-going", file=sys.stderr)
        raise typer.Exit(1)

    async def work(parts: Runtime) -> None:
        report = await parts.knowledge.import_folder(folder or parts.settings.site / "articles", keep_going=keep_going)
        stored = f"{len(report.stored)} stored ({report.passages} passages)"
        print(f"{stored}, {report.unchanged} unchanged, {len(report.withdrawn)} withdrawn")

    with_runtime(work)


@articles.command("export")
def export(
    folder: Annotated[Path, typer.Argument(help="New or empty folder.")],
    force: Annotated[bool, typer.Option("--force", help="Replace files of the same names in a folder in use.")] = False,
) -> None:
    """Write the current version of every article into a folder, as it was imported."""
    if not force:
        refuse_used(folder)  # before anything is opened

    async def work(parts: Runtime) -> None:
        files = await parts.knowledge.export()
        others = write_folder(folder, files, force=force)
        for name in others:
            print(f"warning: {name} lies in the folder too and is no current article", file=sys.stderr)
        print(f"{len(files)} articles written to {folder}")

    with_runtime(work)


@articles.command("list")
def list_() -> None:
    """Articles with owner and the day until which they may be cited."""

    async def work(parts: Runtime) -> None:
        for page in await parts.knowledge.articles():
            print(f"{page.id:45} v{page.version}  review by {page.review_by}  {page.owner}")

    with_runtime(work)


@articles.command("history")
def history(
    article: Annotated[str, typer.Argument(help="Id of an article; it may be withdrawn.")], as_json: AsJson = False
) -> None:
    """All versions of an article, newest first: dates, SHA-256 of the file, answers that cited it while it was current.

    Counted are answers that are still stored. "unknown" is the file of a version from before files were kept.
    """

    async def work(parts: Runtime) -> None:
        for version in await parts.knowledge.history(article):
            if as_json:
                write(version_as_json(version))
            else:
                print(version_in_words(version))

    with_runtime(work)


@articles.command("due")
def due(
    days: Annotated[int, typer.Option("--days", min=0, max=3650, help="How far to look ahead.")] = 60,
    as_json: AsJson = False,
) -> None:
    """Articles whose review is due, by owner. An article past its day is never cited."""

    async def work(parts: Runtime) -> None:
        found, today = await parts.knowledge.due(days), date.today()
        if as_json:
            for page in found:
                write(due_as_json(page, today))
            return
        print("\n".join([*due_in_words(found, today), f"{len(found)} articles are due within {days} days"]))

    with_runtime(work)


def version_as_json(version: Version) -> dict[str, Any]:
    """A line of `bedside articles history --json`."""
    return {
        "version": version.version, "current": version.current, "title": version.title, "owner": version.owner,
        "reviewed": version.reviewed.isoformat(), "review_by": version.review_by.isoformat(),
        "stored_at": version.stored_at.isoformat(), "sha256": version.sha256, "answers": version.answers,
    }  # fmt: skip


def version_in_words(version: Version) -> str:
    """The same for people."""
    return (
        f"v{version.version:<3} {'current' if version.current else '':7}  stored {version.stored_at:%Y-%m-%d %H:%M}  "
        f"reviewed {version.reviewed}  review by {version.review_by}  {(version.sha256 or 'unknown')[:12]:12}  "
        f"{version.answers} answers"
    )


def due_as_json(page: ArticlePage, today: date) -> dict[str, Any]:
    """A line of `bedside articles due --json`; ``days`` are those left, below 0 for an article past its day."""
    left = (page.review_by - today).days
    return {
        "owner": page.owner, "id": page.id, "title": page.title, "review_by": page.review_by.isoformat(),
        "days": left, "expired": left < 0,
    }  # fmt: skip


def due_in_words(found: list[ArticlePage], today: date) -> Iterable[str]:
    """The same for people, under each owner's name."""
    for owner, pages in groupby(found, key=lambda page: page.owner):
        yield owner
        for page in pages:
            past = "  EXPIRED: not cited" if page.review_by < today else ""
            yield f"  {page.review_by}  {page.id:45} {page.title}{past}"


@articles.command("ask")
def ask(
    question: Annotated[str, typer.Argument(help="A question as a patient would type it.")],
    site: Annotated[
        Path | None,
        typer.Option("--site", help="Try this hospital's folder, in a database of its own. Default: what is imported."),
    ] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, max=6, help="Articles to show.")] = 3,
    as_json: AsJson = False,
) -> None:
    """Show which articles and passages a question finds, and why: likenesses, words corrected or added, the bounds."""
    settings = Settings() if site is None else Settings(site=site, database_url=None)  # a trial must not reach patients

    async def run() -> None:
        name = "bedside" if site is None else database_name(settings)
        async with runtime(settings, database_name=name, say=note) as parts:
            if site is not None:
                await load_articles(parts.knowledge, settings.site, note, keep_going=True)
            asked = search_text(parts.redactor.redact(question, MemoryVault()).text)
            found = await parts.index.explain(asked)
        shown = explained(found, Bounds(), limit)
        if as_json:
            write(shown)
        else:
            print("\n".join(in_words(shown)))

    asyncio.run(run())


def explained(found: Explanation, bounds: Bounds, limit: int) -> dict[str, Any]:
    """What `bedside articles ask --json` prints: the best ``limit`` articles with their passages, best first."""
    return {
        "searched": found.query.text,
        "corrected": found.corrected,
        "added": list(found.query.added),
        "bounds": {"found": bounds.similarity, "sure": bounds.sure_similarity},
        "articles": [
            _article(likeness, score, [pair for pair in found.passages if pair[0].article_id == name], found, bounds)
            for name, likeness, score in found.articles[:limit]
        ],
    }


def _article(
    likeness: Likeness, score: float, passages: list[tuple[Passage, Likeness]], found: Explanation, bounds: Bounds
) -> dict[str, Any]:
    best = passages[0][0]
    verdict = "sure" if score >= bounds.sure_similarity else "found" if score >= bounds.similarity else "not found"
    return {
        "id": best.article_id, "title": best.title, "version": best.article_version,
        "reviewed": best.reviewed.isoformat(), "review_by": best.review_by.isoformat(),
        "score": round(score, 4), "verdict": verdict, "likeness": _rounded(likeness),
        "passages": [
            {
                "id": passage.passage_id, "heading": passage.heading, "text": passage.text,
                "score": round(passage.score, 4), "likeness": _rounded(own),
                "answers": round(found.logits[passage.passage_id], 2) if passage.passage_id in found.logits else None,
            }
            for passage, own in passages
        ],
    }  # fmt: skip


def _rounded(likeness: Likeness) -> dict[str, float]:
    named = {
        "passage": likeness.passage, "heading": likeness.heading, "phrases": likeness.asked, "words": likeness.words,
        "tokens": likeness.tokens,
    }  # fmt: skip
    return {name: round(value, 4) for name, value in named.items()}


def in_words(shown: dict[str, Any]) -> Iterable[str]:
    """The same for people, line by line."""
    yield f"searched for: {shown['searched'] or '(nothing is left of the question)'}"
    if shown["corrected"]:
        yield "corrected: " + ", ".join(f"{typed} to {right}" for typed, right in shown["corrected"].items())
    if shown["added"]:
        yield f"added: {', '.join(shown['added'])}"
    yield f"an article counts as found from {shown['bounds']['found']}, as sure from {shown['bounds']['sure']}"
    if not shown["articles"]:
        yield "no article can be cited: none is imported, or all are past their day"
    for place, article in enumerate(shown["articles"], start=1):
        yield ""
        yield f"{place}. {article['title']}  {article['score']:.2f} {article['verdict']}"
        dates = f"reviewed {article['reviewed']}, review by {article['review_by']}"
        yield f"   {article['id']} v{article['version']}, {dates}"
        yield f"   {_likeness(article['likeness'])}"
        for passage in article["passages"][:_PASSAGES]:
            text = " ".join(passage["text"].split())
            cut = text if len(text) <= _CHARACTERS else text[:_CHARACTERS].rsplit(" ", 1)[0] + " ..."
            parts = {name: value for name, value in passage["likeness"].items() if name != "phrases"}
            read = "not read again" if passage["answers"] is None else f"answers {passage['answers']:+.2f}"
            yield f"   {passage['score']:.2f} {passage['heading'] or '(no heading)'}  ({_likeness(parts)}  {read})"
            yield f"        {cut}"


def _likeness(values: dict[str, float]) -> str:
    return "  ".join(f"{name} {value:.2f}" for name, value in values.items())


def _checked(folder: Path | None) -> Checked:
    """Check a folder, and say what was found on standard error. Raises ConfigurationError if no article lies there."""
    chosen = folder or Settings().site / "articles"
    beside = chosen.parent / "site.yaml"
    site = load_site(beside.parent if beside.is_file() else Settings().site)
    checked = check_folder(chosen, site.allowed_links, date.today(), open_reach())
    if not checked.articles and not checked.faults:
        raise ConfigurationError(
            f"{chosen} holds no .md file; give the folder of the articles, say {chosen / 'articles'}"
        )
    for fault in checked.faults:
        print(fault, file=sys.stderr)
    for warning in checked.warnings:
        print(f"warning: {warning}", file=sys.stderr)
    return checked
