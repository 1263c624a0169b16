"""Commands for those who run an installation: adapters, users, audit; and `bedside redact`."""

from __future__ import annotations

import asyncio
import getpass
import sys
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any, TypeVar, cast, get_args

import typer

from app.adapters.service import Live
from app.audit.service import AuditLog
from app.auth.staff import StaffAccounts
from app.bootstrap import Runtime, open_database, open_encoder, runtime, site_detector
from app.cli.lines import Line, write
from app.contracts.site import load_site
from app.db.session import Database
from app.errors import ConfigurationError, InvalidContent
from app.redaction.redactor import Policy, Redactor
from app.redaction.vault import MemoryVault
from app.settings import Settings

T = TypeVar("T")
adapters = typer.Typer(help="LoRA adapters: list, add, promote, roll back.", no_args_is_help=True)
users = typer.Typer(help="Accounts of staff and admins.", no_args_is_help=True)
audit = typer.Typer(help="The audit log.", no_args_is_help=True)


def with_runtime(work: Callable[[Runtime], Awaitable[T]]) -> T:
    """Run ``work`` over the configured installation; a running engine is used, none is started."""

    async def run() -> T:
        async with runtime(Settings()) as parts:
            return await work(parts)

    return asyncio.run(run())


def with_database(work: Callable[[Settings, Database], Awaitable[T]]) -> T:
    """Run ``work`` over the configured database; nothing else is opened, so that it takes a second or two."""

    async def run() -> T:
        settings = Settings()
        database = await asyncio.to_thread(open_database, settings)
        try:
            return await work(settings, database)
        finally:
            await database.dispose()

    return asyncio.run(run())


def redaction(settings: Settings, policy: str) -> Callable[[Line], dict[str, Any]]:
    """What `bedside redact` does with a line. Raises ConfigurationError for an unknown policy."""
    if policy not in get_args(Policy):
        raise ConfigurationError(f"--policy must be one of {', '.join(get_args(Policy))}")
    detector = site_detector(load_site(settings.site), open_encoder(settings))
    redactor = Redactor(detector, cast(Policy, policy))

    def work(line: Line) -> dict[str, Any]:
        if "turns" in line.item:
            raise InvalidContent('"turns" are not redacted: give each of them as "text" on a line of its own')
        found = redactor.redact(line.text, MemoryVault())
        return {"id": line.id, "text": found.text, "entities": [asdict(entity) for entity in found.entities]}

    return work


def _print_live(live: Live) -> None:
    print(f"live: {live.version or 'base model'}   before: {live.previous or 'base model'}   epoch: {live.epoch}")


@adapters.command("list")
def adapters_list(as_json: Annotated[bool, typer.Option("--json", help="JSON lines.")] = False) -> None:
    """All registered versions, newest first, and which one is live."""

    async def work(parts: Runtime) -> None:
        views, live = await parts.adapters.list()
        for view in views:
            verdict = view.gate["verdict"] if view.gate else "not gated"
            if as_json:
                write(
                    {
                        "version": view.version,
                        "gate": verdict,
                        "live": view.version == live.version,
                        "created_at": view.created_at.isoformat(),
                    }
                )
            else:
                mark = "*" if view.version == live.version else " "
                print(f"{mark} {view.version}  gate: {verdict}  {view.created_at:%Y-%m-%d %H:%M}")
        if not as_json:
            _print_live(live)

    with_runtime(work)


@adapters.command("add")
def adapters_add(
    folder: Annotated[Path, typer.Argument(help="Folder with weights, manifest.json and gate_report.json.")],
) -> None:
    """Validate an adapter and register it as an immutable version."""

    async def work(parts: Runtime) -> None:
        view = await parts.adapters.add(folder, actor())
        signed = f"  {view.signed}" if view.signed else ""
        print(f"registered {view.version}  gate: {view.gate['verdict'] if view.gate else 'not gated'}{signed}")

    with_runtime(work)


@adapters.command("promote")
def adapters_promote(version: Annotated[str, typer.Argument(help="A version of `bedside adapters list`.")]) -> None:
    """Load a version into every engine, try it, and make it live. Needs a passing gate report and a running engine."""

    async def work(parts: Runtime) -> None:
        _print_live(await parts.adapters.promote(version, actor=actor()))

    with_runtime(work)


@adapters.command("rollback")
def adapters_rollback() -> None:
    """Make the version before live again."""

    async def work(parts: Runtime) -> None:
        _print_live(await parts.adapters.rollback(actor=actor()))

    with_runtime(work)


def _accounts(settings: Settings, database: Database) -> StaffAccounts:
    minutes = settings.staff_idle_minutes, settings.staff_session_minutes
    idle, life = (timedelta(minutes=value) for value in minutes)
    return StaffAccounts(database, idle=idle, life=life, now=now_utc)


def now_utc() -> datetime:
    """The time now, UTC."""
    return datetime.now(UTC)


def actor() -> str:
    """Who is written into the audit log: the account of this machine."""
    return f"cli:{getpass.getuser()}"


@users.command("add")
def users_add(
    username: Annotated[str, typer.Argument(help="Name to sign in with.")],
    display_name: Annotated[str, typer.Argument(help="Name that patients see.")],
    role: Annotated[list[str], typer.Option("--role", help="staff or admin; may be given twice.")],
) -> None:
    """Create an account; the password is asked for (or read from standard input)."""
    password = _password()

    async def work(settings: Settings, database: Database) -> None:
        async with database.session() as session:
            roles: list[Any] = list(role)
            identity = await _accounts(settings, database).add(session, username, display_name, password, roles)
            await AuditLog(now_utc).append(session, actor(), "user.added", identity, {"roles": role})
        print(f"account {username} exists now")

    with_database(work)


@users.command("password")
def users_password(username: Annotated[str, typer.Argument(help="Name of the account.")]) -> None:
    """Give an account a new password, lift its lock and end its sessions."""
    password = _password()

    async def work(settings: Settings, database: Database) -> None:
        async with database.session() as session:
            await _accounts(settings, database).set_password(session, username, password)
            await AuditLog(now_utc).append(session, actor(), "user.password", username)
        print(f"{username} has a new password")

    with_database(work)


@users.command("deactivate")
def users_deactivate(username: Annotated[str, typer.Argument(help="Name of the account.")]) -> None:
    """Keep an account out from now on and end its sessions; what it wrote keeps its name.

    Calls that it holds wait for staff again within seconds, once the service runs.
    """

    async def work(settings: Settings, database: Database) -> None:
        async with database.session() as session:
            await _accounts(settings, database).deactivate(session, username)
            await AuditLog(now_utc).append(session, actor(), "user.deactivated", username)
        print(f"{username} cannot sign in any more; calls that the account held wait for staff again")

    with_database(work)


@users.command("list")
def users_list() -> None:
    """All accounts with their roles."""

    async def work(settings: Settings, database: Database) -> None:
        async with database.session() as session:
            for row in await _accounts(settings, database).all(session):
                state = "" if row["active"] else "  (deactivated)"
                print(f"{row['username']:24} {', '.join(row['roles']):14} {row['display_name']}{state}")

    with_database(work)


def _password() -> str:
    if not sys.stdin.isatty():
        return sys.stdin.readline().rstrip("\n")
    first = getpass.getpass("password: ")
    if first != getpass.getpass("again: "):
        raise InvalidContent("the two passwords differ; nothing was changed")
    return first


@audit.command("verify")
def audit_verify() -> None:
    """Recompute the hash chain of the audit log. Exit status 1 if an entry was changed or removed."""

    async def work(_settings: Settings, database: Database) -> bool:
        async with database.session() as session:
            report = await AuditLog(now_utc).verify(session)
        if report.intact:
            print(f"the chain of {report.entries} entries is whole; its head is {report.head}")
        else:
            print(f"the chain is BROKEN at entry {report.broken_at}; {report.entries} entries before it are whole")
        return report.intact

    raise typer.Exit(0 if with_database(work) else 1)
