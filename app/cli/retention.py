"""`bedside retention`: what is stored and due, deleting it now, and legal holds."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated

import typer

from app.audit.service import AuditLog
from app.cli.administration import actor, now_utc, with_database
from app.cli.lines import write
from app.contracts.site import Site, load_site
from app.conversations.retention import Kept, Retention
from app.db.session import Database
from app.settings import Settings

retention = typer.Typer(
    help="Conversations past their time (retention_days of site.yaml), and legal holds.", no_args_is_help=True
)
Conversation = Annotated[
    str, typer.Argument(help="Id of a conversation, as the console's address and the audit log have it.")
]


def of(site: Site, database: Database) -> Retention:
    """The retention of a site."""
    keep = timedelta(days=site.retention_days)
    return Retention(database, AuditLog(now_utc), site.id, keep=keep, now=now_utc)


@retention.command("status")
def status(as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False) -> None:
    """How many conversations are stored, due, held, and past their time but with a call for a person that is open."""

    async def work(settings: Settings, database: Database) -> None:
        site = load_site(settings.site)
        found, days = await of(site, database).kept(), site.retention_days
        if as_json:
            oldest = found.oldest.isoformat() if found.oldest else None
            write({
                "days": days, "stored": found.stored, "due": found.due, "held": found.held, "waiting": found.waiting,
                "oldest": oldest,
            })  # fmt: skip
            return
        print("\n".join(in_words(found, days)))

    with_database(work)


def in_words(found: Kept, days: int) -> list[str]:
    """The same for people, line by line."""
    last = f"; the oldest that goes changed last on {found.oldest:%Y-%m-%d}" if found.oldest else ""
    return [
        f"conversations go {days} days after the last thing that happened in them",
        f"{found.stored} stored{last}",
        f"{found.due} due: they go at the next look (each hour)",
        f"{found.held} under a legal hold",
        f"{found.waiting} past their time that stay until the call for a person is closed",
    ]


@retention.command("run")
def run() -> None:
    """Delete what is due now; the service does it each hour."""

    async def work(settings: Settings, database: Database) -> None:
        print(f"{await of(load_site(settings.site), database).look(actor())} conversations deleted")

    with_database(work)


@retention.command("hold")
def hold(
    conversation: Conversation,
    reason: Annotated[
        str, typer.Option("--reason", help="Why, such as a case number; the audit log keeps it for ever, so no names.")
    ],
) -> None:
    """Keep a conversation until it is released: neither its age nor the patient deletes it."""

    async def work(settings: Settings, database: Database) -> None:
        async with database.session() as session:
            since = await of(load_site(settings.site), database).hold(session, conversation, actor(), reason)
        print(f"{conversation} is held since {since:%Y-%m-%d %H:%M} UTC")

    with_database(work)


@retention.command("release")
def release(conversation: Conversation) -> None:
    """End the hold: the conversation goes when its time is over."""

    async def work(settings: Settings, database: Database) -> None:
        async with database.session() as session:
            was = await of(load_site(settings.site), database).release(session, conversation, actor())
        print(f"{conversation} {'is released' if was else 'was not held'}")

    with_database(work)
