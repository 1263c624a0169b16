"""Admin: adapters."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

from fastapi import APIRouter
from pydantic import Field

from app.adapters.service import Live
from app.api.deps import AdminDep, Services, ServicesDep
from app.api.errors import documented
from app.api.schemas import AdapterIn, AdapterList, AdapterOut, LiveOut, Moved, MoveIn
from app.errors import (
    AdapterInvalid,
    EngineUnavailable,
    Forbidden,
    InvalidContent,
    NotFound,
    NotPromotable,
    NotSignedIn,
    SessionExpired,
    StoreUnavailable,
    VersionConflict,
)

_ALWAYS = (NotSignedIn, SessionExpired, Forbidden, StoreUnavailable)


def build_router() -> APIRouter:
    """``/v1/admin/adapters``."""
    router = APIRouter(prefix="/v1/admin/adapters", tags=["admin"])

    @router.get("", summary="Adapters and what is live", response_model=AdapterList, responses=documented(*_ALWAYS))
    async def listed(services: ServicesDep, admin: AdminDep) -> AdapterList:
        """All registered versions, newest first, each with its gate report, and the live pointer."""
        versions, live = await services.adapters.list()
        return AdapterList(items=[AdapterOut(**asdict(version)) for version in versions], live=LiveOut(**asdict(live)))

    @router.post(
        "", status_code=201, summary="Register an adapter", response_model=AdapterOut,
        responses=documented(*_ALWAYS, AdapterInvalid, InvalidContent),
    )  # fmt: skip
    async def add(body: AdapterIn, services: ServicesDep, admin: AdminDep) -> AdapterOut:
        """Register the adapter in a folder of the server, under one of the allowed import folders."""
        found = await services.adapters.add(_allowed(services, body.path), admin.username)
        return AdapterOut(**asdict(found))

    @router.post(
        "/rollback", summary="Return to the previous version", response_model=Moved,
        responses=documented(*_ALWAYS, NotPromotable, VersionConflict, EngineUnavailable),
    )  # fmt: skip
    async def rollback(services: ServicesDep, admin: AdminDep, body: MoveIn | None = None) -> Moved:
        """Give patients the version that was live before; replies that have begun end as they began.

        Send the epoch that you saw: a second rollback of the same one is refused, where it would undo the first.
        """
        expected = body.expected_epoch if body is not None else None
        return _moved(await services.adapters.rollback(admin.username, expected))

    @router.post(
        "/{version}/promote", summary="Make a version live", response_model=Moved,
        responses=documented(*_ALWAYS, NotFound, NotPromotable, VersionConflict, EngineUnavailable),
    )  # fmt: skip
    async def promote(
        version: Annotated[str, Field(description="`version` of a registered adapter")],
        services: ServicesDep,
        admin: AdminDep,
        body: MoveIn | None = None,
    ) -> Moved:
        """Needs a passing gate report; every replica loads it and answers a canary prompt first."""
        expected = body.expected_epoch if body is not None else None
        return _moved(await services.adapters.promote(_known_form(version), admin.username, expected))

    return router


def _moved(live: Live) -> Moved:
    return Moved(live=LiveOut(**asdict(live)))


def _known_form(version: str) -> str:
    if not version.isprintable() or len(version) > 64:
        raise NotFound("no such adapter is registered")
    return version


def _allowed(services: Services, path: str) -> Path:
    """The folder, if it lies under an allowed one (links resolved)."""
    folder = Path(path).resolve()
    if not any(folder.is_relative_to(root.resolve()) for root in services.import_folders):
        raise InvalidContent("adapters are imported from the server's import folders only; copy it there first")
    return folder
