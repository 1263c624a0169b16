"""SQL of adapters, gate reports, the rollout pointer and engine replicas."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from app.contracts.adapters import AdapterManifest, GateReport
from app.db.models import AdapterRow, EngineReplica, GateReportRow, Rollout, now
from app.guardrails.signoff import Signoffs


async def add(
    session: AsyncSession, manifest: AdapterManifest, path: str, report: GateReport | None, signoffs: Signoffs
) -> bool:
    """Register a version, or bring its gate report and their sign-offs up to date. Returns whether any was new."""
    known = await get(session, manifest.version)
    data = None if report is None else report.model_dump(mode="json")
    signed = signoffs.model_dump(mode="json")
    before = None if known is None or known[1] is None else (known[1].report, known[1].signoffs)
    if before is not None and before[0] == data and not signoffs.signoffs:
        signed = before[1]  # a copy of the adapter from before it was signed
    fresh = known is None or (data is not None and before != (data, signed))
    values: dict[str, Any] = {
        "version": manifest.version, "name": manifest.name, "content_sha256": manifest.content_sha256, "path": path,
        "manifest": manifest.model_dump(mode="json"), "status": "candidate" if report is None else "gated",
    }  # fmt: skip
    await session.execute(
        insert(AdapterRow)
        .values(**values)
        .on_conflict_do_update(index_elements=["version"], set_={"status": values["status"]})
    )
    if report is not None:
        await session.execute(
            insert(GateReportRow)
            .values(adapter_version=manifest.version, verdict=report.verdict, report=data, signoffs=signed)
            .on_conflict_do_update(
                index_elements=["adapter_version"],
                set_={"verdict": report.verdict, "report": data, "signoffs": signed},
            )
        )
    return fresh


async def get(session: AsyncSession, version: str) -> tuple[AdapterRow, GateReportRow | None] | None:
    """One version with its gate report."""
    row = await session.get(AdapterRow, version)
    return None if row is None else (row, await session.get(GateReportRow, version))


async def get_held(session: AsyncSession, version: str) -> tuple[AdapterRow, GateReportRow | None] | None:
    """As :func:`get`, and nobody brings report or sign-offs up to date until the transaction has ended."""
    await session.execute(select(AdapterRow.version).where(AdapterRow.version == version).with_for_update(read=True))
    return await get(session, version)


async def all_versions(session: AsyncSession) -> list[tuple[AdapterRow, GateReportRow | None]]:
    """All versions, newest first."""
    rows = await session.execute(
        select(AdapterRow, GateReportRow)
        .outerjoin(GateReportRow, GateReportRow.adapter_version == AdapterRow.version)
        .order_by(AdapterRow.created_at.desc(), AdapterRow.version)
    )
    return [(row[0], row[1]) for row in rows]


async def pointer(session: AsyncSession, channel: str) -> Rollout:
    """The channel's pointer; made (to the base model) if it is missing."""
    await session.execute(insert(Rollout).values(channel=channel, epoch=0).on_conflict_do_nothing())
    return (await session.scalars(select(Rollout).where(Rollout.channel == channel))).one()


async def swap(session: AsyncSession, channel: str, expected_epoch: int, version: str | None, actor: str) -> bool:
    """Compare-and-set the pointer; False if another change was faster. The version before is kept for rollback."""
    done = await session.scalar(
        update(Rollout)
        .where(Rollout.channel == channel, Rollout.epoch == expected_epoch)
        .values(
            previous_version=Rollout.adapter_version, adapter_version=version, epoch=Rollout.epoch + 1,
            changed_by=actor, changed_at=now(),
        )
        .returning(Rollout.epoch)
    )  # fmt: skip
    return done is not None


async def note_replica(session: AsyncSession, address: str, state: str, adapters: Sequence[str]) -> None:
    """Record what a replica was seen to have loaded."""
    values = {"state": state, "adapters": list(adapters), "seen_at": now()}
    await session.execute(
        insert(EngineReplica)
        .values(address=address, **values)
        .on_conflict_do_update(index_elements=["address"], set_=values)
    )
