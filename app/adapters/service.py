"""Registration, promotion and rollback of adapters, and the reconciler that keeps replicas in step.

Promotion changes one pointer, and only after every replica has loaded the version and answered a canary prompt with
it. Each turn resolves the pointer once, so a reply is never of two versions.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

from app.adapters import repository
from app.adapters.signatures import signed
from app.adapters.store import AdapterStore, read_gate_report
from app.audit.service import AuditLog
from app.contracts.adapters import AdapterManifest, GateReport, read_manifest
from app.contracts.passages import Passage
from app.contracts.prompt import PROMPT_VERSION, render, template_hash
from app.db.models import AdapterRow, GateReportRow, Rollout
from app.db.notify import notify
from app.db.session import Database
from app.engine.protocol import Delta, Engine, Finished, Limits
from app.engine.validation import validate_adapter
from app.errors import (
    AdapterInvalid,
    ConfigurationError,
    EngineError,
    EngineUnavailable,
    NotFound,
    NotPromotable,
    VersionConflict,
)
from app.guardrails.signoff import SIGNOFF_FILE, load_signoffs
from app.logging import logger

CHANNEL = "live"
CHANGED = "adapters"
"""Wake-up key of a changed pointer."""


Refuse = Callable[[AdapterRow, GateReportRow | None], None]
"""Raises NotPromotable where a version, by its row and its report, may not become live."""

CANARY = Limits(max_tokens=8, first_token_s=60.0, token_s=60.0, total_s=60.0)
"""Bounds of the canary answer: short, with one minute for all of it. No patient waits for it, and how an engine that is
busy with chats spreads that minute over its tokens says nothing about the adapter."""


@dataclass(frozen=True, slots=True)
class Live:
    """The pointer: what patients get now, what a rollback would give, and the compare-and-set value."""

    channel: str
    version: str | None
    previous: str | None
    epoch: int


@dataclass(frozen=True, slots=True)
class AdapterView:
    """An adapter version as lists show it."""

    version: str
    name: str
    content_sha256: str
    status: str
    created_at: datetime
    manifest: dict[str, Any]
    gate: dict[str, Any] | None
    signed: str = ""
    """Who has signed for it, in words; empty where the service asks for no sign-offs."""


class AdaptersService:
    """``engines`` are all replicas by address; a command that changes what is served talks to each of them directly.

    ``base_config`` is the base model's config.json, ``base_sha256`` the digest of its weights; None for a hub model.
    A gate report counts that was made by the rules of ``thresholds_sha256`` on the evaluation set of
    ``evaluation_sha256``, under the bundle of ``policy_hash``.
    Where ``signers`` is given (the file of those who may sign, read anew each time), two of them must have signed too.
    What changes is audited in the transaction of the change, whoever asked for it: admin, command line or first start.
    """

    def __init__(
        self,
        database: Database,
        store: AdapterStore,
        engines: Mapping[str, Engine],
        audit: AuditLog,
        *,
        base_config: Mapping[str, Any] | None,
        base_sha256: str | None,
        max_rank: int,
        policy_hash: Callable[[], str],
        thresholds_sha256: str,
        evaluation_sha256: str,
        signers: Path | None = None,
    ) -> None:
        self._database, self._store, self._engines, self._audit = database, store, engines, audit
        self._base_config, self._base_sha256, self._max_rank = base_config, base_sha256, max_rank
        self._policy_hash = policy_hash
        self._thresholds_sha256, self._evaluation_sha256 = thresholds_sha256, evaluation_sha256
        self._signers = signers
        self._log = logger("adapters")
        self._left_out: set[str] = set()
        self._task: asyncio.Task[None] | None = None

    async def list(self) -> tuple[list[AdapterView], Live]:
        """All versions, newest first, and the pointer."""
        async with self._database.session() as session:
            rows = await repository.all_versions(session)
            live = _live(await repository.pointer(session, CHANNEL))
        return await asyncio.to_thread(lambda: [self._view(row, report) for row, report in rows]), live

    async def live(self) -> Live:
        """The pointer now."""
        async with self._database.session() as session:
            return _live(await repository.pointer(session, CHANNEL))

    async def served(self) -> Live:
        """The pointer as turns use it: the base model where the live version does not fit what is served now."""
        async with self._database.session() as session:
            live = _live(await repository.pointer(session, CHANNEL))
            found = None if live.version is None else await repository.get(session, live.version)
        return live if found is None or self._servable(found[0]) else replace(live, version=None)

    async def add(self, folder: Path, actor: str) -> AdapterView:
        """Validate and register the adapter in ``folder``; registering the same content again is not an error.

        Audited if the version or its gate report is new. Raises AdapterInvalid with the rule that it breaks.
        """
        manifest = await asyncio.to_thread(self._checked, folder)
        report = read_gate_report(folder)
        if report is not None and report.adapter_sha256 != manifest.content_sha256:
            raise AdapterInvalid(
                "gate_report.json was written for another adapter (hash differs); run `bedside-train gate`"
            )
        try:
            signoffs = load_signoffs(folder / SIGNOFF_FILE)
        except ConfigurationError as error:
            raise AdapterInvalid(str(error)) from None
        path = await asyncio.to_thread(self._store.publish, folder, manifest)
        async with self._database.session() as session:
            if await repository.add(session, manifest, str(path), report, signoffs):
                verdict = "none" if report is None else report.verdict
                await self._audit.append(session, actor, "adapter.add", manifest.version, {"gate": verdict})
        return await self.get(manifest.version)

    def _checked(self, folder: Path) -> AdapterManifest:
        manifest = read_manifest(folder)
        if self._base_config is not None:  # a hub model's shapes are known to the engine alone; it checks on loading
            validate_adapter(folder, self._base_config, self._max_rank)
        if (reason := self._foreign(manifest.model_dump())) is not None:
            raise AdapterInvalid(reason)
        return manifest

    def _foreign(self, manifest: Mapping[str, Any]) -> str | None:
        """Why an adapter with this manifest does not fit the prompt template or base model served now, or None."""
        prompt, template = manifest.get("prompt_version"), manifest.get("template_sha256")
        if prompt != PROMPT_VERSION or template != template_hash():
            return f"trained with prompt template {prompt}, here it is {PROMPT_VERSION}: train it again"
        if self._base_sha256 is not None and manifest.get("base_sha256") != self._base_sha256:
            base = manifest.get("base_id")
            return f"trained on another base model ({base}) than the one that the engine serves"
        return None

    def _refuse_foreign(self, row: AdapterRow) -> None:
        if (reason := self._foreign(row.manifest)) is not None:
            raise NotPromotable(f"{row.version} cannot be served: {reason}")

    def _refuse_promotion(self, row: AdapterRow, stored: GateReportRow | None) -> None:
        self._refuse_ungated(row, None if stored is None else GateReport.model_validate(stored.report))
        self._refuse_unsigned(row, stored)
        self._refuse_foreign(row)

    def _refuse_rollback(self, row: AdapterRow, stored: GateReportRow | None) -> None:
        if stored is not None and stored.report.get("verdict") != "pass":
            raise NotPromotable(f"the gate says since that {row.version} fails: promote another version")
        self._refuse_foreign(row)

    def _refuse_ungated(self, row: AdapterRow, report: GateReport | None) -> None:
        if report is None:
            raise NotPromotable(f"{row.version} has no gate report: run `bedside-train gate` and add it again")
        if report.adapter_sha256 != row.content_sha256:
            raise NotPromotable(f"the gate report of {row.version} is for other weights")
        if report.verdict != "pass":
            failed = ", ".join(rule.name for rule in report.rules if not rule.passed) or "see the report"
            raise NotPromotable(f"the gate says {report.verdict} for {row.version}: {failed}")
        if (reason := self._gated_otherwise(report)) is not None:
            raise NotPromotable(f"{row.version} was gated {reason}: gate it again and add it again")

    def _refuse_unsigned(self, row: AdapterRow, report: GateReportRow | None) -> None:
        if (
            self._signers is not None
            and report is not None
            and not (found := signed(row, report, self._signers)).complete
        ):
            mend = "sign with `bedside-train signoff sign` and add the adapter again"
            raise NotPromotable(f"{row.version}: {found.said}{found.why}; {mend}")

    def _view(self, row: AdapterRow, report: GateReportRow | None) -> AdapterView:
        gate = None if report is None else dict(report.report)
        created = row.created_at if row.created_at.tzinfo else row.created_at.replace(tzinfo=UTC)
        said = "" if self._signers is None or report is None else signed(row, report, self._signers).said
        manifest = dict(row.manifest)
        return AdapterView(row.version, row.name, row.content_sha256, row.status, created, manifest, gate, said)

    def _gated_otherwise(self, report: GateReport) -> str | None:
        """What a passing report was made under that is not so here, or None."""
        if report.prompt_version != PROMPT_VERSION:
            return f"with prompt template {report.prompt_version}, here it is {PROMPT_VERSION}"
        if report.missing:
            return f"by an earlier version, whose report does not tell {', '.join(report.missing)}"
        if report.policy_hash != (ours := self._policy_hash()):
            return f"under the policy bundle {report.policy_hash[:12]}, here {ours[:12]} is in force"
        if report.thresholds_sha256 != self._thresholds_sha256:
            return f"by other rules than those of {self._thresholds_sha256[:12]} (BEDSIDE_GATE_THRESHOLDS)"
        if report.evaluation_sha256 != (counts := self._evaluation_sha256):
            theirs = report.evaluation_sha256[:12]
            return f"on the evaluation set {theirs}, here that of {counts[:12]} counts (BEDSIDE_GATE_ITEMS)"
        return None

    def _servable(self, row: AdapterRow) -> bool:
        """Whether a replica may load it; the log says once that the base model serves instead."""
        if self._foreign(row.manifest) is None:
            return True
        if row.version not in self._left_out:
            self._left_out.add(row.version)
            self._log.warning("adapter does not fit the base model or prompt template", adapter=row.version)
        return False

    async def get(self, version: str) -> AdapterView:
        """One version. Raises NotFound."""
        async with self._database.session() as session:
            found = await repository.get(session, version)
        if found is None:
            raise NotFound(f"no adapter {version} is registered")
        return self._view(*found)

    async def promote(self, version: str, actor: str, expected_epoch: int | None = None) -> Live:
        """Make a version live on every replica, then move the pointer, if report and sign-offs still count by then.

        Raises NotFound, NotPromotable (no passing gate report, one by other rules, on another evaluation set or under
        another policy bundle, no sign-offs where they are asked for, another base model or prompt template),
        AdapterInvalid (changed files, or an engine that cannot load them), VersionConflict (somebody else promoted
        meanwhile) or EngineError; the pointer is unchanged then.
        """
        before = await self._expected(expected_epoch)
        await self._load_everywhere(version, before, self._refuse_promotion)
        return await self._move(version, before, actor, "adapter.promote", self._refuse_promotion)

    async def rollback(self, actor: str, expected_epoch: int | None = None) -> Live:
        """Give patients the previous version again (or the base model, if there was none).

        It passed the gate when it was promoted; rules and policy bundle may be others since, but where its newest
        report says that it fails, patients do not get it again. Raises NotPromotable, AdapterInvalid (changed files),
        VersionConflict (somebody else changed what is live, say by rolling back) or EngineError.
        """
        before = await self._expected(expected_epoch)
        if before.epoch == 0:
            raise NotPromotable("nothing was promoted yet, so there is nothing to roll back to")
        if before.previous is not None:
            await self._load_everywhere(before.previous, before, self._refuse_rollback)
        return await self._move(before.previous, before, actor, "adapter.rollback", self._refuse_rollback)

    async def _expected(self, epoch: int | None) -> Live:
        """What is live. Raises VersionConflict if it is not of the ``epoch`` that the caller saw."""
        live = await self.live()
        if epoch is not None and epoch != live.epoch:
            raise VersionConflict("the live adapter was changed by somebody else; look again before changing it")
        return live

    async def _load_everywhere(self, version: str, before: Live, refuse: Refuse) -> None:
        """Have every replica answer with a version that is not refused. Raises what ``promote`` raises."""
        async with self._database.session() as session:
            found = await repository.get(session, version)
        if found is None:
            raise NotFound(f"no adapter {version} is registered")
        refuse(*found)
        await asyncio.to_thread(self._store.verify, found[0].content_sha256)
        await self._bring_up(version, found[0].path, keep={before.version, before.previous})

    async def _move(self, version: str | None, before: Live, actor: str, action: str, refuse: Refuse) -> Live:
        """Move the pointer. A version that is refused by now (loading takes a while) is unloaded, and not made live."""
        try:
            async with self._database.session() as session:
                if not await repository.swap(session, CHANNEL, before.epoch, version, actor):
                    raise VersionConflict(
                        "the live adapter was changed by somebody else; look again before changing it"
                    )
                if version is not None and (found := await repository.get_held(session, version)) is not None:
                    refuse(*found)
                await notify(session, CHANGED)
                await self._audit.append(session, actor, action, version or "base", {"epoch": before.epoch + 1})
        except NotPromotable as error:
            if version is not None and version not in {before.version, before.previous}:
                await self._unload(version)
            raise NotPromotable(f"{error} (this came while it was loading; what was live before still is)") from None
        self._log.info("adapter pointer moved", adapter=version or "base", epoch=before.epoch + 1)
        return await self.live()

    async def _bring_up(self, version: str, path: str, keep: set[str | None]) -> None:
        if not self._engines:
            raise EngineUnavailable("no engine is configured; start one before promoting")
        results = await asyncio.gather(
            *(bring_up(engine, version, path) for engine in self._engines.values()), return_exceptions=True
        )  # all have ended: none loads it after it was unloaded
        for error in results:
            if error is not None:
                if version not in keep:
                    await self._unload(version)
                raise error

    async def _unload(self, version: str) -> None:
        for engine in self._engines.values():
            with contextlib.suppress(EngineError):
                await engine.unload_adapter(version)

    async def try_out(self, version: str) -> None:
        """Load a registered version on every replica without making it live. Raises NotFound, EngineError."""
        view = await self.get(version)
        path = self._store.folder(view.content_sha256)
        await asyncio.to_thread(self._store.verify, view.content_sha256)
        await asyncio.gather(*(engine.load_adapter(version, str(path)) for engine in self._engines.values()))

    async def reconcile(self) -> None:
        """Bring what each replica has loaded to what the pointer asks for, and note what was seen."""
        async with self._database.session() as session:
            live = _live(await repository.pointer(session, CHANNEL))
            wanted = {}
            for version in (live.version, live.previous):
                found = None if version is None else await repository.get(session, version)
                if found is not None and self._servable(found[0]):
                    wanted[found[0].version] = found[0].path
        for address, engine in self._engines.items():
            health = await engine.health()
            loaded: Sequence[str] = []
            if health.state == "ready":
                with contextlib.suppress(EngineError):
                    loaded = await engine.list_adapters()
                    for version, path in wanted.items():
                        if version not in loaded:
                            await self._load(engine, version, path)
                    loaded = await engine.list_adapters()
            async with self._database.session() as session:
                await repository.note_replica(session, address, health.state, loaded)

    async def _load(self, engine: Engine, version: str, path: str) -> None:
        try:
            await engine.load_adapter(version, path)
        except AdapterInvalid as error:  # this replica lacks the folder, say: the others go on
            self._log.warning("adapter not loaded", adapter=version, exc_info=error)
        else:
            self._log.info("adapter loaded", adapter=version)

    def start(self, every_s: float = 3.0) -> None:
        """Reconcile now and every ``every_s`` seconds, in a task of its own."""
        self._task = asyncio.create_task(self._forever(every_s), name="adapter reconciler")

    async def stop(self) -> None:
        """End the task."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    async def _forever(self, every_s: float) -> None:
        while True:
            try:
                await self.reconcile()
            except Exception as error:  # the database or an engine is away: the next round tries again
                self._log.warning("reconciling failed", exc_info=error)
            await asyncio.sleep(every_s)


async def bring_up(engine: Engine, version: str, path: str) -> None:
    """Load a version on one replica, see it listed, and have it answer a canary prompt (which also warms it).

    Raises EngineError, or AdapterInvalid if it cannot load the files.
    """
    await engine.load_adapter(version, path)
    if version not in await engine.list_adapters():
        raise EngineUnavailable(f"the engine took {version} but does not list it")
    today = date.today()
    passage = Passage("canary#1", "canary", 1, "Opening hours", "", "The pharmacy opens at 8 a.m.", today, today)
    prompt = render("When does the pharmacy open?", [passage], site="the hospital")
    words, finished = "", False
    async for event in engine.stream(prompt, version, CANARY):
        if isinstance(event, Delta):
            words += event.text
        elif isinstance(event, Finished):
            finished = True
    if not finished or not words.strip():
        raise EngineUnavailable(f"{version} gave no words to the canary prompt")


def _live(row: Rollout) -> Live:
    return Live(row.channel, row.adapter_version, row.previous_version, row.epoch)
