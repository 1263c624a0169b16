"""The policies in force, for admins: what they are, and putting a changed bundle in force without a restart."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from app.audit.service import AuditLog
from app.db.session import Database
from app.errors import ConfigurationError, PolicyRefused
from app.guardrails.active import ActivePolicies, Policies, require_examples
from app.logging import logger

_PAUSE_S = 0.005
"""Slept after each rule whose examples were run, so that chats get the processor."""
_NOTED = 5
"""Reasons of a refusal that are audited and logged; the admin gets all."""


class ReloadObserver(Protocol):
    """Counts reloads."""

    def reloaded(self, outcome: str) -> None:
        """A reload ended."""
        ...


@dataclass(frozen=True, slots=True)
class PoliciesView:
    """The bundle that judges turns now. ``previous_hash`` is that of the one before, None since the start."""

    version: str
    hash: str
    loaded_at: datetime
    previous_hash: str | None
    rules: int
    unreviewed: int
    signature: str
    strict: bool
    warnings: list[str]


@dataclass(frozen=True, slots=True)
class Reloaded:
    """What a reload did; not ``changed`` means that the files are those in force."""

    changed: bool
    policies: PoliciesView


class PoliciesService:
    """Shows and replaces the policies. ``load`` reads, checks and compiles the bundle; it blocks."""

    def __init__(
        self,
        active: ActivePolicies,
        load: Callable[[], Policies],
        database: Database,
        audit: AuditLog,
        observer: ReloadObserver,
        *,
        strict: bool,
    ) -> None:
        self._active, self._load, self._strict = active, load, strict
        self._database, self._audit, self._observer = database, audit, observer
        self._one = asyncio.Lock()
        self._log = logger("policies")

    def view(self) -> PoliciesView:
        """What is in force."""
        now = self._active.current
        bundle = now.bundle
        return PoliciesView(
            version=bundle.version,
            hash=bundle.hash,
            loaded_at=now.loaded_at,
            previous_hash=self._active.previous_hash,
            rules=len(bundle.rules),
            unreviewed=len(bundle.unreviewed),
            signature=bundle.signature,
            strict=self._strict,
            warnings=list(bundle.warnings),
        )

    async def reload(self, actor: str) -> Reloaded:
        """Read the bundle anew, run the examples of its rules, and put it in force for turns that begin then.

        Turns under way end with the policies that they began with. Whatever fails, the policies stay as they are.
        Raises ConfigurationError (PolicyRefused with every reason), StoreUnavailable.
        """
        async with self._one:
            before = self._active.current.bundle.hash
            try:
                new = await asyncio.to_thread(self._checked, before)
            except ConfigurationError as error:
                await self._refused(actor, before, error)
                raise
            except Exception:
                self._observer.reloaded("failed")
                raise
            changed = new.bundle.hash != before
            details = {
                "changed": changed, "previous": before, "version": new.bundle.version,
                "signature": new.bundle.signature, "unreviewed": len(new.bundle.unreviewed),
            }  # fmt: skip
            async with self._database.session() as session:
                await self._audit.append(session, actor, "policies.reload", new.bundle.hash, details)
            self._active.swap(new)
        self._observer.reloaded("changed" if changed else "unchanged")
        self._log.info("policies reloaded", policy_hash=new.bundle.hash, version=new.bundle.version)
        return Reloaded(changed, self.view())

    def _checked(self, before: str) -> Policies:
        """The bundle as it lies there; its examples are run unless it is the one in force."""
        new = self._load()
        if new.bundle.hash != before:
            require_examples(new, pause_s=_PAUSE_S)
        return new

    async def _refused(self, actor: str, before: str, error: ConfigurationError) -> None:
        reasons = error.reasons if isinstance(error, PolicyRefused) else (str(error),)
        self._observer.reloaded("refused")
        for reason in reasons[:_NOTED]:
            self._log.error("policy bundle refused", reason_code=reason)
        details = {"faults": len(reasons), "first": list(reasons[:_NOTED])}
        async with self._database.session() as session:
            await self._audit.append(session, actor, "policies.reload_refused", before, details)
