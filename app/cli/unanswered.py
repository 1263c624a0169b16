"""`bedside articles unanswered`: what patients asked and no article answered, as the console shows it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict
from typing import Annotated

import typer

from app.audit.service import AuditLog
from app.bootstrap import Runtime, unanswered_questions
from app.cli.administration import actor, now_utc, with_runtime
from app.errors import InvalidContent
from app.knowledge.unanswered import DAYS, FEW, Nearest, Unanswered


def unanswered(
    days: Annotated[int, typer.Option(help="How far back: 7, 30 or 90.")] = 30,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object, as GET /v1/staff/unanswered.")] = False,
) -> None:
    """Questions that no article answered, like ones together; redacted. Rare ones are only counted."""
    if days not in DAYS:
        raise InvalidContent(f"--days must be one of {', '.join(map(str, DAYS))}")

    async def work(parts: Runtime) -> None:
        found = await unanswered_questions(parts, now_utc).report(days)
        async with parts.database.session() as session:
            await AuditLog(now_utc).append(session, actor(), "unanswered.read", "articles", {"days": days})
        if as_json:
            print(json.dumps(asdict(found), default=lambda value: value.isoformat(), ensure_ascii=False))
        else:
            print("\n".join(in_words(found)))

    with_runtime(work)


def in_words(found: Unanswered) -> Iterator[str]:
    """The report for a terminal."""
    yield f"{found.questions} questions without an answer in {found.days} days"
    for group in found.groups:
        yield ""
        span = f"{group.first:%Y-%m-%d} to {group.last:%Y-%m-%d}"
        yield f"{group.questions} questions  {group.patients} patients  {span}  {group.language}  {group.status}"
        yield from (f"  {words}" for words in group.examples)
        yield f"  nearest article: {_nearest(group.nearest)}"
    if found.left_out:
        yield f"\n{found.left_out} groups more, asked less often"
    if found.rare:
        yield f"\nasked by fewer than {FEW} patients: {found.rare_questions} questions"
        yield from (f"  {rare.questions}  nearest article: {_nearest(rare.nearest)}" for rare in found.rare)


def _nearest(article: Nearest | None) -> str:
    return f"{article.id} ({article.likeness:.2f})" if article else "none"
