"""Health: is the process up, and what can it serve."""

from __future__ import annotations

from typing import Literal

from fastapi import APIRouter, Response

from app.api.deps import HealthReport, ServicesDep
from app.api.schemas import Alive, EngineOut, Ready


def build_router() -> APIRouter:
    """``/healthz`` and ``/readyz``."""
    router = APIRouter(tags=["operations"])

    @router.get("/healthz", summary="The process is up", response_model=Alive)
    async def alive() -> Alive:
        """Always 200 while the process answers."""
        return Alive(status="ok")

    @router.get(
        "/readyz", summary="What can be served", response_model=Ready,
        responses={503: {"model": Ready, "description": "patients cannot be served"}},
    )  # fmt: skip
    async def ready(services: ServicesDep, response: Response) -> Ready:
        """200 once emergency texts and approved passages can be served; the engine's state is shown beside it."""
        report = await services.health()
        response.status_code = 200 if report.ready else 503
        engine = EngineOut(state=report.engine.state, detail=report.engine.detail, model=report.engine.model)
        return Ready(
            ready=report.ready, database=report.database, engine=engine, adapter=report.adapter,
            articles=report.articles, answers=_answers(report),
        )  # fmt: skip

    return router


def _answers(report: HealthReport) -> Literal["nothing", "emergency and approved passages", "everything"]:
    if not report.ready:
        return "nothing"
    return "everything" if report.engine.state == "ready" else "emergency and approved passages"
