"""Admin: the policy bundle in force."""

from __future__ import annotations

from dataclasses import asdict

from fastapi import APIRouter

from app.api.deps import AdminDep, ServicesDep
from app.api.errors import documented
from app.api.schemas import Empty, PoliciesOut, ReloadedOut
from app.errors import ConfigurationError, Forbidden, NotSignedIn, PolicyRefused, SessionExpired, StoreUnavailable

_ALWAYS = (NotSignedIn, SessionExpired, Forbidden, StoreUnavailable)


def build_router() -> APIRouter:
    """``/v1/admin/policies``."""
    router = APIRouter(prefix="/v1/admin/policies", tags=["admin"])

    @router.get("", summary="The policies in force", response_model=PoliciesOut, responses=documented(*_ALWAYS))
    async def shown(services: ServicesDep, admin: AdminDep) -> PoliciesOut:
        """Version and hash of the bundle that judges turns in this process, since when, and what speaks against it."""
        return PoliciesOut(**asdict(services.policies.view()))

    @router.post(
        "/reload", summary="Put a changed bundle in force", response_model=ReloadedOut,
        responses=documented(*_ALWAYS, ConfigurationError, PolicyRefused),
    )  # fmt: skip
    async def reload(services: ServicesDep, admin: AdminDep, body: Empty | None = None) -> ReloadedOut:
        """Read the bundle's folder anew and check it whole, the examples of its rules too (several seconds).

        Turns that begin afterwards are judged by it; those under way end as they began. A bundle that is refused
        (422, `reasons` lists every fault with file and line) changes nothing. Each service process reloads by itself.
        """
        done = await services.policies.reload(admin.username)
        return ReloadedOut(changed=done.changed, policies=PoliciesOut(**asdict(done.policies)))

    return router
