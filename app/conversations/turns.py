"""Runs turns apart from any request: a dropped connection, a full queue or a restart loses no patient message.

Turns of one conversation run in order and one at a time, over all processes: a turn is claimed in the database with
a lease that its runner renews. A runner that dies leaves its lease to run out; the next one takes the turn up again,
withdraws what was half shown, and after :data:`MOST_ATTEMPTS` runs lets a person answer instead of the assistant.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from collections.abc import Awaitable, Callable, Iterator

from sqlalchemy import RowMapping

from app.conversations.turns_repository import TurnsRepository
from app.db.models import new_id
from app.db.session import Database
from app.errors import BedsideError
from app.logging import logger

MOST_ATTEMPTS = 3
"""Runs of one turn after which it ends in a safe reply and a handoff."""

Work = Callable[[RowMapping], Awaitable[None]]
"""Answers one claimed turn to its end; a row of ``TurnsRepository.claim``."""


Ahead = Callable[[str], Awaitable[list[str]]]
"""Given a conversation, which of its queued turns are emergencies and must not wait for the one before."""


class TurnRunner:
    """Owns the tasks that answer. ``concurrency`` turns run at once; the rest wait in the database.

    A message that comes while the one before it is still being answered is looked at ``ahead``: an emergency
    overtakes. Answered is who has accepted ``notice_version``; of others triage alone looks at what they write.
    """

    def __init__(
        self,
        database: Database,
        work: Work,
        *,
        notice_version: str,
        ahead: Ahead | None = None,
        concurrency: int = 256,
        lease_s: float = 10.0,
        sweep_s: float = 2.0,
    ) -> None:
        self._database = database
        self._work = work
        self._notice = notice_version
        self._ahead = ahead
        self._overtaking: set[asyncio.Task[None]] = set()
        self._repository = TurnsRepository()
        self._slots = asyncio.Semaphore(concurrency)
        self._lease_s = lease_s
        self._sweep_s = sweep_s
        self._name = f"{socket.gethostname()[:24]}:{os.getpid()}:{new_id()[:8]}"
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._again: set[str] = set()
        self._running: set[str] = set()
        self._pending: set[str] = set()
        self._of: dict[str, set[str]] = {}
        self._waiting: dict[str, set[asyncio.Event]] = {}
        self._stopping = False
        self._sweeper: asyncio.Task[None] | None = None
        self._log = logger(__name__)

    async def start(self) -> None:
        """Adopt what other runs left open, and keep watching for it."""
        self._stopping = False
        self._sweeper = asyncio.create_task(self._sweep(), name="turn sweeper")

    def wake(self, conversation: str, turn: str | None = None) -> None:
        """Say that a conversation has an open turn (and which, if it is new)."""
        if self._stopping:
            return  # stays queued; the next process adopts it
        if turn is not None:
            self._pending.add(turn)
            self._of.setdefault(conversation, set()).add(turn)
        self._again.add(conversation)
        if conversation not in self._tasks:
            self._tasks[conversation] = asyncio.create_task(self._conversation(conversation), name="turns")
        elif self._ahead is not None:
            task = asyncio.create_task(self._overtake(self._ahead, conversation), name="look ahead")
            self._overtaking.add(task)
            task.add_done_callback(self._overtaking.discard)

    @contextlib.contextmanager
    def expecting(self, turn: str) -> Iterator[asyncio.Event]:
        """An asyncio.Event that is set when this process has ended the turn, for the length of the block."""
        event = asyncio.Event()
        self._waiting.setdefault(turn, set()).add(event)
        try:
            yield event
        finally:
            self._waiting[turn].discard(event)
            if not self._waiting[turn]:
                del self._waiting[turn]

    @property
    def busy(self) -> bool:
        """Whether this process works on any turn now."""
        return bool(self._tasks or self._overtaking)

    def pending(self, turn: str) -> bool:
        """Whether this process was woken for the turn and has not ended it."""
        return turn in self._pending

    async def stop(self, drain_s: float = 10.0) -> None:
        """Take no new turns; let running ones finish for ``drain_s`` seconds; put the rest back into the queue."""
        self._stopping = True
        self._again.clear()
        tasks = [*self._tasks.values(), *self._overtaking]
        if tasks:
            _done, late = await asyncio.wait(tasks, timeout=drain_s)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)
        if self._sweeper is not None:
            self._sweeper.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._sweeper
            self._sweeper = None

    async def _conversation(self, conversation: str) -> None:
        """Claim and answer the conversation's turns until none is open."""
        try:
            while conversation in self._again:
                self._again.discard(conversation)
                claimed = False
                while not self._stopping:
                    async with self._slots:
                        claim = await self._claim(conversation)
                        if claim is None:
                            break
                        claimed = True
                        if not await self._answer(claim):
                            break
                if not claimed and self._ahead is not None and not self._stopping:
                    await self._overtake(self._ahead, conversation)  # another process works on the turn before
        finally:
            # No await since the last look at _again: a wake() either was seen or starts a new task.
            del self._tasks[conversation]
            self._pending.difference_update(self._of.pop(conversation, ()))

    async def _overtake(self, ahead: Ahead, conversation: str) -> None:
        """Answer emergencies among the queued turns at once."""
        try:
            for turn in await ahead(conversation):
                async with self._database.session() as session:
                    claim = await self._repository.claim_one(session, turn, self._name, self._lease_s, self._notice)
                if claim is not None:
                    await self._answer(claim)
        except Exception:  # the turn is still queued and comes in its order
            self._log.error("looking ahead failed", conversation_id=conversation, exc_info=True)

    async def _claim(self, conversation: str) -> RowMapping | None:
        try:
            async with self._database.statement() as session:
                return await self._repository.claim(session, conversation, self._name, self._lease_s, self._notice)
        except BedsideError:
            self._log.warning("turn not claimed", conversation_id=conversation, exc_info=True)
            return None  # the sweeper tries again

    async def _answer(self, claim: RowMapping) -> bool:
        """Work on one turn; False if it has to be tried again, which the sweeper does."""
        turn = str(claim["id"])
        self._running.add(turn)
        try:
            await self._work(claim)
            return True
        except asyncio.CancelledError:
            await asyncio.shield(self._give_up(turn))
            raise
        except Exception:
            # Nothing was stored (the work has its own safe reply for failing steps): leave it to the next attempt.
            self._log.error(
                "turn interrupted", conversation_id=claim["conversation_id"], attempt=claim["attempt"], exc_info=True
            )
            await self._give_up(turn)
            return False
        finally:
            self._running.discard(turn)
            self._pending.discard(turn)
            for event in self._waiting.get(turn, ()):
                event.set()

    async def _give_up(self, turn: str) -> None:
        with contextlib.suppress(BedsideError):  # then the lease runs out by itself
            async with self._database.session() as session:
                await self._repository.give_up(session, [turn], self._name)

    async def _sweep(self) -> None:
        """Renew leases and pick up orphans, until cancelled."""
        first = True
        while True:
            try:
                async with self._database.session() as session:
                    if self._running:
                        await self._repository.renew(session, list(self._running), self._name, self._lease_s)
                    orphans = await self._repository.orphans(session, 0.0 if first else self._sweep_s)
                first = False
                for conversation in orphans:
                    if conversation not in self._tasks:
                        self.wake(conversation)
            except Exception:
                self._log.warning("turns not swept", exc_info=True)
            await asyncio.sleep(self._sweep_s)
