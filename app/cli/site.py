"""`bedside site`: check a hospital's folder before it serves."""

from __future__ import annotations

import sys
from datetime import date
from pathlib import Path
from typing import Annotated

import typer

from app.bootstrap import load_policies
from app.contracts.site import Site, load_contacts, load_site
from app.encoder.reach import open_reach
from app.errors import ConfigurationError, SiteRefused
from app.guardrails.catalogue import Catalogue
from app.knowledge.service import check_folder
from app.settings import Settings
from app.widget.routes import has_page

site = typer.Typer(help="A hospital's folder: check it before it serves.", no_args_is_help=True)


@site.callback()
def commands() -> None:
    """A hospital's folder."""


@site.command("check")
def check(
    folder: Annotated[
        Path | None, typer.Argument(help="Folder of a hospital: site.yaml and articles/. Default: BEDSIDE_SITE.")
    ] = None,
) -> None:
    """Read a hospital's folder as the service does and say all that is wrong or missing at once.

    Read are site.yaml, the telephone lines that texts for patients need, the articles and the page. Exit status 1 if
    there is a fault.
    """
    settings = Settings()
    chosen = folder or settings.site
    found, faults = _of_site(chosen, Catalogue(load_policies(settings).texts))
    faults += _of_articles(chosen, found)
    for fault in faults:
        print(fault, file=sys.stderr)
    if found is not None and not has_page(chosen / "page"):
        print(f"note: {chosen} has no page/index.html: patients reach the widget from your own pages", file=sys.stderr)
    if found is None or faults:
        print(f"{len(faults)} faults")
        raise typer.Exit(1)
    print(f"{chosen} is right: {found.name}")


def _of_site(folder: Path, catalogue: Catalogue) -> tuple[Site | None, list[str]]:
    """The site, None if it cannot be used; and what is wrong with it."""
    file = folder / "site.yaml"
    try:
        found, faults = load_site(folder), []
    except SiteRefused as error:
        found, faults = None, list(error.reasons)
    wrong = {".".join(fault.split(":")[0].split(".")[:2]) for fault in faults}
    lacking = [fault for fault in catalogue.faults(load_contacts(folder)) if fault.split()[0] not in wrong]
    return found, [f"{file}: {fault}" for fault in (*faults, *lacking)]


def _of_articles(folder: Path, found: Site | None) -> list[str]:
    articles = folder / "articles"
    try:
        checked = check_folder(articles, found.allowed_links if found else [], date.today(), open_reach())
    except ConfigurationError as error:
        return [str(error)]
    for warning in checked.warnings:
        print(f"warning: {warning}", file=sys.stderr)
    if not checked.articles and not checked.faults:
        return [f"{articles}: holds no .md file; patients would get no answer but the fixed texts"]
    return [str(fault) for fault in checked.faults]
