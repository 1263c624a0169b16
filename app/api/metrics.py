"""The Prometheus endpoint."""

from __future__ import annotations

from fastapi import APIRouter, Response
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from app.api.deps import ServicesDep


def build_router() -> APIRouter:
    """``/metrics``. Keep it private: it says how much the service is used."""
    router = APIRouter(tags=["operations"])

    @router.get(
        "/metrics", summary="Metrics in the Prometheus text format", response_class=Response,
        responses={200: {"content": {"text/plain": {}}, "description": "metrics"}},
    )  # fmt: skip
    async def metrics(services: ServicesDep) -> Response:
        """Counters and histograms of this process; labels never hold ids or text."""
        health = await services.health()
        services.metrics.engine_ready.set(1 if health.engine.state == "ready" else 0)
        return Response(generate_latest(services.metrics.registry), media_type=CONTENT_TYPE_LATEST)

    return router
