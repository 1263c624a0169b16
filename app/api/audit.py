"""Admin: the audit log."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

from fastapi import APIRouter, Query

from app.api.deps import AdminDep, ServicesDep, SessionDep
from app.api.errors import documented
from app.api.schemas import AuditEntryOut, AuditList, AuditVerified
from app.errors import Forbidden, NotSignedIn, SessionExpired, StoreUnavailable

_ERRORS = (NotSignedIn, SessionExpired, Forbidden, StoreUnavailable)


def build_router() -> APIRouter:
    """``/v1/admin/audit``."""
    router = APIRouter(prefix="/v1/admin/audit", tags=["admin"])

    @router.get("", summary="Newest audit entries", response_model=AuditList, responses=documented(*_ERRORS))
    async def newest(
        services: ServicesDep,
        session: SessionDep,
        admin: AdminDep,
        limit: Annotated[int, Query(ge=1, le=1_000, description="most entries of the answer")] = 100,
    ) -> AuditList:
        """Who did what, newest first. Looking is audited too."""
        rows = await services.audit.newest(session, limit)
        await services.audit.append(session, admin.username, "audit.read", "audit", {"limit": limit})
        names = AuditEntryOut.model_fields
        return AuditList(items=[AuditEntryOut(**{name: row[name] for name in names}) for row in rows])

    @router.get("/verify", summary="Check the chain", response_model=AuditVerified, responses=documented(*_ERRORS))
    async def verify(services: ServicesDep, session: SessionDep, admin: AdminDep) -> AuditVerified:
        """Recompute all hashes; says the first entry that was changed or is missing."""
        return AuditVerified(**asdict(await services.audit.verify(session)))

    return router
