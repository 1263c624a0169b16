"""`bedside ask` and `bedside chat`: the serving pipeline from a terminal or a script."""

from __future__ import annotations

import asyncio
import hashlib
import sys
import time
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from app.bootstrap import Runtime, load_articles, promote_first, register_shipped_adapters, runtime
from app.chat.protocols import Turn
from app.cli.lines import BadLine, Line, convert_together
from app.contracts.replies import Clarification, Reply, Sentence
from app.errors import NotFound
from app.redaction.vault import MemoryVault
from app.settings import Settings

AT_ONCE = 4
LEAVING = frozenset({"quit", "exit"})
"""What ends `bedside chat` when it is typed alone."""
ENGINE_WAIT_S, ENGINE_STARTS = 600.0, 3


def note(line: str) -> None:
    """Progress, to standard error."""
    print(f"[bedside] {line}", file=sys.stderr, flush=True)


def database_name(settings: Settings) -> str:
    """The embedded database of a site: the service's own for the configured site, another for a site that is tried."""
    default = Settings.model_fields["site"].default
    if settings.database_url is not None or settings.site.resolve() == Path(default).resolve():
        return "bedside"
    return "site_" + hashlib.sha256(str(settings.site.resolve()).encode()).hexdigest()[:16]


class Asker:
    """Answers single messages through the pipeline with one adapter."""

    def __init__(self, parts: Runtime, adapter: str | None) -> None:
        self._parts, self._adapter = parts, adapter

    async def reply(
        self,
        turns: list[str],
        vault: MemoryVault | None = None,
        *,
        offered: Clarification | None = None,
        show: Any = None,
    ) -> Reply:
        """The reply to the last of the patient's messages. ``show`` is called with each vetted sentence.

        ``offered`` is the ``clarification`` of the reply before.
        """
        vault = vault or MemoryVault()
        earlier = turns[:-1]
        redacted = [self._parts.redactor.redact(text, vault).text for text in earlier[-2:]]
        turn = Turn(
            conversation_id="ask",
            text=turns[-1],
            vault=vault,
            earlier=earlier,
            earlier_redacted=redacted,
            adapter=self._adapter,
            offered=offered,
        )
        async for event in self._parts.pipeline.respond(turn):
            if isinstance(event, Sentence):
                if show is not None:
                    show(event.text)
            else:
                return event
        raise AssertionError("the pipeline ended without a reply")

    async def as_json(self, line: Line) -> dict[str, Any]:
        """The stable output of `bedside ask` for one line."""
        began = time.perf_counter()
        reply = await self.reply(line.turns)
        return {
            "id": line.id,
            "text": reply.text,
            "kind": str(reply.kind),
            "citations": [{"article_id": c.article_id, "title": c.title, "quote": c.quote} for c in reply.citations],
            "tier": reply.tier.label,
            "guardrails": [f"{hit.stage}:{hit.rule}" for hit in reply.hits],
            "adapter": reply.adapter,
            "milliseconds": round((time.perf_counter() - began) * 1000, 1),
        }


@asynccontextmanager
async def asker(settings: Settings, adapter: str | None) -> AsyncIterator[Asker]:
    """An Asker over the site's articles, with an engine that is running or is started here (and stopped again)."""
    async with runtime(settings, database_name=database_name(settings), say=note) as parts:
        await load_articles(parts.knowledge, settings.site, note, keep_going=True)
        version = await _engine(parts, adapter) if parts.engine.front is not None else None
        yield Asker(parts, version)


async def _engine(parts: Runtime, wanted: str | None) -> str | None:
    """Bring the engine up, and the adapter in it; its version, or None for the base model."""
    if parts.engine.launcher is not None:
        await parts.engine.launcher.start()
        note("waiting for the engine (a minute if it has to start)")
        if not await parts.engine.launcher.wait_ready(ENGINE_WAIT_S, starts=ENGINE_STARTS):
            note(f"no engine: {parts.engine.launcher.health().detail} Answers are approved passages.")
            return None
    if wanted == "base":
        return None
    shipped = await register_shipped_adapters(parts.adapters, parts.settings.adapters, note)
    await promote_first(parts.adapters, shipped, note)
    views, live = await parts.adapters.list()
    if wanted is not None:
        match = [view for view in views if view.version == wanted or view.name == wanted]
        if not match:
            raise NotFound(f"no adapter {wanted!r}; known: {', '.join(v.version for v in views) or 'none'}, or base")
        await parts.adapters.try_out(match[0].version)
        return match[0].version
    await parts.adapters.reconcile()
    return live.version


async def ask_lines(settings: Settings, lines: Iterable[Line | BadLine], adapter: str | None) -> bool:
    """Answer JSON lines in order; False if a line could not be used."""
    async with asker(settings, adapter) as answers:
        return await convert_together(lines, answers.as_json, AT_ONCE)


async def ask_once(settings: Settings, question: str, adapter: str | None) -> None:
    """Answer one question in plain words."""
    async with asker(settings, adapter) as answers:
        show_reply(await answers.reply([question]))


async def chat(settings: Settings, adapter: str | None) -> None:
    """Talk until an empty line, a word of :data:`LEAVING` or end of input."""
    async with asker(settings, adapter) as answers:
        print(f"{answers._parts.site.name}. You are talking with an AI assistant. An empty line or `quit` ends it.")
        turns: list[str] = []
        vault, offered = MemoryVault(), None
        while True:
            try:
                text = (await asyncio.to_thread(input, "\nyou> ")).strip()
            except EOFError:
                return
            if not text or text.lower() in LEAVING:
                return
            turns.append(text)
            reply = await answers.reply(turns, vault, offered=offered)
            offered = reply.clarification
            show_reply(reply)


def show_reply(reply: Reply) -> None:
    """A reply for people: its words, where they stand, and how it came about."""
    print(reply.text)
    for citation in reply.citations:
        print(f"  [{citation.title}, reviewed {citation.reviewed:%d %B %Y}]")
    adapter = f", adapter {reply.adapter}" if reply.adapter else ""
    print(f"  ({reply.kind}, tier {reply.tier.label}{adapter})", file=sys.stderr)
    if reply.handoff:
        print("  (this is a trial: no person is told)", file=sys.stderr)
