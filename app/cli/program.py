"""The command tree. Each command translates its options and calls what does the work."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from pydantic import ValidationError

from app import logging as app_logging
from app.bootstrap import load_policies, open_turn_encoder
from app.cli import administration, articles, ask, judging, policies, retention, serving, site
from app.cli.lines import convert, open_source, read_lines
from app.errors import BedsideError, InvalidContent
from app.settings import Settings

app = typer.Typer(
    help="Patient-support chat that a hospital runs on its own machines.", no_args_is_help=True, add_completion=False,
    pretty_exceptions_enable=False,
)  # fmt: skip
app.add_typer(administration.adapters, name="adapters")
app.add_typer(articles.articles, name="articles")
app.add_typer(policies.policies, name="policies")
app.add_typer(retention.retention, name="retention")
app.add_typer(site.site, name="site")
app.add_typer(administration.users, name="users")
app.add_typer(administration.audit, name="audit")

Site = Annotated[
    Path | None,
    typer.Option("--site", help="Folder of a hospital: site.yaml and articles/. Default: BEDSIDE_SITE, else demo/."),
]
Source = Annotated[str, typer.Argument(help="File of JSON lines; - is standard input.")]
Adapter = Annotated[
    str | None, typer.Option("--adapter", help="Adapter version or name, or `base`. Default: the live one.")
]
NoEngine = Annotated[
    bool, typer.Option("--no-engine", help="Answer without a language model: approved passages and fixed texts.")
]


def settings(**changes: Any) -> Settings:
    """Settings from the environment, with the options that were given."""
    return Settings(**{name: value for name, value in changes.items() if value is not None})


@app.command()
def up(site: Site = None, port: Annotated[int | None, typer.Option(help="Port to listen on.")] = None) -> None:
    """Start everything here: database, articles, engine, service; print the addresses."""
    serving.up(settings(site=site, port=port))


@app.command()
def serve(site: Site = None, port: Annotated[int | None, typer.Option(help="Port to listen on.")] = None) -> None:
    """Start the service alone, as in production: nothing is printed but the log."""
    serving.serve(settings(site=site, port=port))


@app.command("ask")
def ask_command(
    question: Annotated[
        str | None, typer.Argument(help="One question in plain words; without it JSON lines are read.")
    ] = None,
    source: Annotated[str, typer.Option("--input", help="File of JSON lines; - is standard input.")] = "-",
    site: Site = None,
    adapter: Adapter = None,
    no_engine: NoEngine = False,
) -> None:
    """Answer questions through the serving pipeline.

    In: {"id","text"} or {"id","turns":[...]} a line.
    Out: {"id","text","kind","citations","tier","guardrails","adapter","milliseconds"} a line.
    Starts the engine if none runs.
    """
    chosen = settings(site=site, engine="off" if no_engine else None)
    if question is not None:
        asyncio.run(ask.ask_once(chosen, question, adapter))
        return
    with open_source(source) as lines:
        clean = asyncio.run(ask.ask_lines(chosen, read_lines(lines), adapter))
    raise typer.Exit(0 if clean else 2)


@app.command()
def chat(site: Site = None, adapter: Adapter = None, no_engine: NoEngine = False) -> None:
    """Talk with the assistant in the terminal."""
    asyncio.run(ask.chat(settings(site=site, engine="off" if no_engine else None), adapter))


@app.command()
def redact(
    source: Source = "-",
    site: Site = None,
    policy: Annotated[str, typer.Option(help="prompt | log | training")] = "prompt",
) -> None:
    """Take identifiers out of texts.

    In: {"id","text"} a line.
    Out: {"id","text","entities":[{"type","start","end","replacement"}]} a line; offsets in characters of the input.
    """
    work = administration.redaction(settings(site=site), policy)
    with open_source(source) as lines:
        clean = convert(read_lines(lines), work)
    raise typer.Exit(0 if clean else 2)


@app.command()
def triage(
    source: Source = "-",
    site: Site = None,
    explain: Annotated[bool, typer.Option("--explain", help="Add every rule whose words occur, and why.")] = False,
    record: Annotated[
        bool, typer.Option("--record", help="Add the turns, so that the output can be replayed.")
    ] = False,
    replay: Annotated[
        Path | None, typer.Option("--replay", help="Judge stored decisions anew and print those that differ.")
    ] = None,
) -> None:
    """Judge how urgent messages are.

    In: {"id","text"} or {"id","turns":[...]} a line (the last turn is judged).
    Out: {"id","tier","route","category","rules","policy_hash"} a line; with --explain also
    "explain":[{"rule","tier","outcome","trigger","back","spans":[{"turn","start","end","flags"}],"because"}],
    offsets in characters of that turn.

    --replay FILE reads lines that hold a decision ("tier","rules","policy_hash") beside the text or turns. Exit status:
    0 no decision differs, 1 some do, 3 some are lower now, 2 some lines cannot be used.
    """
    chosen = settings(site=site)
    judge = judging.Judge.of(load_policies(chosen), open_turn_encoder(chosen), explained=explain, recorded=record)
    if replay is None:
        with open_source(source) as lines:
            clean = convert(read_lines(lines), judge.decide)
        raise typer.Exit(0 if clean else 2)
    if source != "-":
        raise InvalidContent("give either lines to judge or --replay, not both")
    with open_source(str(replay)) as lines:
        raise typer.Exit(judging.replay(judge, read_lines(lines)))


def main() -> None:
    """Entry point: errors of the tree end in one plain sentence and exit status 1."""
    app_logging.configure("warning", "text")
    try:
        app()
    except BedsideError as error:
        print(f"bedside: {error}", file=sys.stderr)
        raise SystemExit(1) from None
    except ValidationError as error:
        for fault in error.errors():
            name = "_".join(str(part) for part in fault["loc"]).upper()
            print(f"bedside: {'BEDSIDE_' + name + ': ' if name else ''}{fault['msg']}", file=sys.stderr)
        raise SystemExit(1) from None
    except KeyboardInterrupt:
        raise SystemExit(130) from None
