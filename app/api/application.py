"""The HTTP side as one function: routes, error answers, limits and headers on an application."""

from __future__ import annotations

from fastapi import FastAPI

from app.api import (
    adapters,
    articles,
    audit,
    conversations,
    errors,
    escalations,
    health,
    metrics,
    policies,
    sessions,
    staff_sessions,
    unanswered,
)
from app.api.measurements import Metrics
from app.api.middleware import BodyLimit, Headers

ROUTERS = (
    sessions, conversations, staff_sessions, escalations, adapters, articles, unanswered, policies, audit, health,
    metrics,
)  # fmt: skip


def install(app: FastAPI, *, measured: Metrics, https: bool = False) -> None:
    """Give ``app`` the API. ``app.state.services`` (deps.Services) must be set before the first request."""
    for module in ROUTERS:
        app.include_router(module.build_router())
    errors.install(app)
    app.add_middleware(BodyLimit)
    app.add_middleware(Headers, metrics=measured, secure=https)
